"""What an `object` line may be: one compiled expression for whole blocks, and a slow reading that explains.

    object ID RA DEC MAG SED REDSHIFT GAMMA1 GAMMA2 KAPPA DRA DDEC SPATIAL [pars] DUST_REST [pars] DUST_LAB [pars]

PhoSim 3.4 rejects no object line: where a number is malformed it keeps that of the line before. So what is accepted
here must be exactly right. Two rules of this file:

* `OBJECT_LINE` accepts only lines that `read_object` accepts too; what it leaves, `read_object` decides alone.
* `OBJECT_LINE` never backtracks over more than one field, so no input makes it slow. Possessive quantifiers stand only
  on single characters: on groups they are wrong in Python before 3.11.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from transformation.instance_catalog.problems import LineInvalid, shown

MAX_LINE_BYTES = 4095
"""PhoSim reads lines into 4096 bytes."""

SPATIAL_PARAMETERS = {
    "point": (),
    "star": (),
    "gauss": ("sigma",),
    "movingpoint": ("ra rate", "dec rate"),
    "sersic2d": ("semi-major axis", "semi-minor axis", "position angle", "index"),
    "sersic": ("a", "b", "c", "alpha", "beta", "index"),
    "pinhole": ("parameter 1", "parameter 2", "parameter 3", "parameter 4"),
}
"""PhoSim 3.4's spatial models. `star` is the word of PhoSim's own examples for a point; so acts any unknown word."""
STAMP_PARAMETERS = ("pixel size", "rotation")
"""A word that contains `fit` names a FITS stamp."""
DUST_LAWS = ("ccm", "CCM", "calzetti", "CALZETTI")
DUST_PARAMETERS = ("A_v", "R_v")

# ---------------------------------------------------------------- numbers
# Bounded, so that no text overflows a double (PhoSim knows no infinity), and no accepted line exceeds MAX_LINE_BYTES.
_DIGITS = r"[0-9]{1,40}+"
_EXPONENT = r"[eE](?:\+?0?|-[0-2]?)[0-9]{1,2}+"
_WIDE_NUMBER = rf"[-+]?+(?:{_DIGITS}(?:\.[0-9]{{0,40}}+)?|\.{_DIGITS})(?:{_EXPONENT})?"
NUMBER = re.compile(_WIDE_NUMBER)
# The common forms again, in as few steps as the matcher can do: `-38.07`, `5.`, `0`.
_PLAIN_NUMBER = r"-?+[0-9]{1,20}+\.?+[0-9]{0,24}+"
_DECLINATION = r"-?+[0-8]?[0-9](?:\.[0-9]{0,24}+)?"

# ---------------------------------------------------------------- one object line
# SED paths that cannot leave the data folder: at most one `..`, in front (SEDs are relative to data/SEDs), and no other
# part that begins with a dot.
_PART = r"[0-9A-Za-z_][!-.0-~]{0,100}+"
_SED = rf"(?:\.\./)?{_PART}(?:/{_PART}){{0,7}}"


def _rest_of_line(number: str, declination: str, blank: str) -> str:
    """Everything after the id, from these pieces."""

    def numbers(count: int) -> str:
        return (blank + number) * count

    spatial = "|".join(word + numbers(len(names)) for word, names in SPATIAL_PARAMETERS.items())
    dust = f"{blank}(?:none|(?:{'|'.join(DUST_LAWS)}){numbers(len(DUST_PARAMETERS))})"
    return f"{numbers(1)}{blank}{declination}{numbers(1)}{blank}{_SED}{numbers(6)}{blank}(?:{spatial}){dust}{dust}"


_PLAIN_REST = _rest_of_line(_PLAIN_NUMBER, _DECLINATION, " ")
_WIDE_REST = _rest_of_line(_WIDE_NUMBER, _DECLINATION, r"[ \t]{1,16}+")
OBJECT_LINE = re.compile(
    rf"object[ \t]{{1,16}}+({_WIDE_NUMBER})(?:{_PLAIN_REST}|{_WIDE_REST})\n|[^\n]*+\n".encode("ascii")
)
"""`findall` on whole lines gives one item a line: the id of a valid object, or nothing for any other line."""

_PRINTABLE_WORD = re.compile(r"[!-~]+")
_FORBIDDEN_BYTE = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")


# ---------------------------------------------------------------- the slow reading
class SkyObject(msgspec.Struct, frozen=True, kw_only=True):
    """What the reader keeps of an object line that the fast expression left."""

    id_text: bytes
    unknown_word: str | None
    """The spatial word, if PhoSim does not know it and takes the object for a point."""


def check_bytes(line: bytes) -> None:
    """Raise `LineInvalid` for a control character (a carriage return that ends no line is one)."""
    if found := _FORBIDDEN_BYTE.search(line):
        raise LineInvalid(
            f"byte {found.start() + 1} of the line is the control character 0x{line[found.start()]:02x}",
            "a catalog is plain text: remove it",
        )


def read_object(line: bytes) -> SkyObject:
    """Read an object line field by field. Raises `LineInvalid` naming the first wrong field."""
    words = iter(line.decode("latin-1").split()[1:])
    id_text = _number(words, "ID")
    _number(words, "RA")
    _declination(words)
    _number(words, "MAG")
    _sed(_next(words, "SED"))
    for name in ("REDSHIFT", "GAMMA1", "GAMMA2", "KAPPA", "DRA", "DDEC"):
        _number(words, name)
    unknown_word = _spatial(words)
    _dust(words, "DUST_REST", unknown_word)
    _dust(words, "DUST_LAB", None)
    if extra := next(words, None):
        raise LineInvalid(
            f"{shown(extra)} follows the last field of the object", "remove it, or put # in front of a comment line"
        )
    return SkyObject(id_text=id_text.encode("ascii"), unknown_word=unknown_word)


def _next(words: Iterator[str], name: str) -> str:
    word = next(words, None)
    if word is None:
        raise LineInvalid(f"the object line ends before its field {name}", "complete the line")
    return word


def _number(words: Iterator[str], name: str) -> str:
    word = _next(words, name)
    if NUMBER.fullmatch(word) is None:
        raise LineInvalid(f"{name} is {shown(word)}, not a number", f"write {name} as a finite decimal number")
    return word


def _declination(words: Iterator[str]) -> None:
    word = _number(words, "DEC")
    if not -90 <= float(word) <= 90:
        raise LineInvalid(f"DEC is {word}, outside -90 to 90", "write DEC in degrees")


def _sed(path: str) -> None:
    if _PRINTABLE_WORD.fullmatch(path) is None:
        raise LineInvalid(f"SED {shown(path)} has characters other than printable ASCII", "rename the SED file")
    if path.startswith("/"):
        raise LineInvalid(f"SED {shown(path)} is an absolute path", "name it relative to the release's data/SEDs")
    if not _stays_inside_data(path):
        raise LineInvalid(
            f"SED {shown(path)} names no file inside the release's data/", "name it relative to the release's data/SEDs"
        )


def _stays_inside_data(path: str) -> bool:
    """Whether a path relative to data/SEDs (or data/images) names a file in data/, by its text alone."""
    depth = 1
    parts = path.split("/")
    for part in parts:
        if part not in ("", "."):
            depth += -1 if part == ".." else 1
        if depth < 0:
            return False
    return parts[-1] not in ("", ".", "..")


def _spatial(words: Iterator[str]) -> str | None:
    """Read the spatial model; its word, if PhoSim does not know it."""
    word = _next(words, "SPATIAL")
    if NUMBER.fullmatch(word) or _PRINTABLE_WORD.fullmatch(word) is None:
        raise LineInvalid(f"SPATIAL is {shown(word)}, not a word", f"write one of {', '.join(SPATIAL_PARAMETERS)}")
    if word in SPATIAL_PARAMETERS:
        names: tuple[str, ...] = SPATIAL_PARAMETERS[word]
    elif "fit" in word:
        names = STAMP_PARAMETERS
        if word.startswith("/") or not _stays_inside_data(word):
            raise LineInvalid(f"FITS stamp {shown(word)} lies outside the release's data/", "name one of data/images")
    else:
        return word
    for name in names:
        _number(words, f"{name} of {word}")
    return None


def _dust(words: Iterator[str], name: str, unknown_word: str | None) -> None:
    word = _next(words, name)
    if word == "none":
        return
    if word not in DUST_LAWS:
        reading = f" (SPATIAL {shown(unknown_word)} is unknown, so it takes no parameters)" if unknown_word else ""
        raise LineInvalid(f"{name} is {shown(word)}{reading}", f"write none, {' or '.join(DUST_LAWS[::2])}")
    for parameter in DUST_PARAMETERS:
        _number(words, f"{parameter} of {name}")
