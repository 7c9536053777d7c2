"""The header keys of an instance catalog: their names in all its dialects, and which values are sound.

`KEYS` stands in the order of the chain in which PhoSim 3.4's `phosim.py` looks for `words` *anywhere in a line*; the
first hit wins. So `Opsim_`, `SIM_` and `_deg` are decoration there, and so they are here, but only these: a key such as
`SIM_SEED2`, which PhoSim would take for the seed, is known to `loose_name` alone (see `header.HeaderReader`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import msgspec

from transformation.instance_catalog.grammar import NUMBER
from transformation.instance_catalog.problems import LineInvalid, shown

_PREFIXES = ("Opsim_", "SIM_", "Slalib_", "Unrefracted_")
_SUFFIX = "_deg"
_LARGEST_INT32 = 2**31 - 1

UNUSED_KEYS = frozenset({"isdithered", "ditherra", "ditherdec"})
"""PhoSim accepts and ignores these; so do we, without a word."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a value has to be. `read` gives it in its plain form, or None if it is something else."""

    read: Callable[[str], str | None]
    description: str
    """Completes the sentence "it must be ..."."""
    remedy: str


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One header key under the short name that PhoSim 3.4, 5 and 6 all read."""

    name: str
    words: tuple[str, ...]
    """PhoSim 3.4 takes a line that contains one of these for this key."""
    synonyms: tuple[str, ...] = ()
    """Other whole names: those of PhoSim 5/6, and longer ones of 2014."""
    wanted: Wanted
    describes_visit: bool = True
    """False for the state of the instrument, which catalogs hardly ever give."""

    def read(self, value: str) -> str:
        """The value in its plain form. Raises `LineInvalid` for one that cannot be meant."""
        plain = self.wanted.read(value)
        if plain is None:
            raise LineInvalid(
                f"{self.name} is {shown(value)}, but must be {self.wanted.description}", self.wanted.remedy
            )
        return plain


# ---------------------------------------------------------------- kinds of values
def _number(low: float = -math.inf, high: float = math.inf, unit: str = "") -> Wanted:
    def read(value: str) -> str | None:
        return value if NUMBER.fullmatch(value) and low <= float(value) <= high else None

    bounds = [f"at least {low:g}"] if low > -math.inf else []
    bounds += [f"at most {high:g}"] if high < math.inf else []
    description = " ".join(["a finite number", *unit.split(), " and ".join(bounds)]).rstrip()
    return Wanted(read=read, description=description, remedy="correct the value")


def _whole(low: int, high: int, remedy: str = "correct the value") -> Wanted:
    def read(value: str) -> str | None:
        # PhoSim reads whole numbers through a double: `SIM_NSNAP 2.0` is 2.
        if NUMBER.fullmatch(value) is None or not float(value).is_integer():
            return None
        return str(int(float(value))) if low <= float(value) <= high else None

    return Wanted(read=read, description=f"a whole number from {low} to {high}", remedy=remedy)


def _matching(pattern: str, description: str, remedy: str) -> Wanted:
    compiled = re.compile(pattern)
    return Wanted(
        read=lambda value: value if compiled.fullmatch(value) else None, description=description, remedy=remedy
    )


def _read_visit_id(value: str) -> str | None:
    return value if re.fullmatch(r"[1-9][0-9]{0,9}", value) and int(value) <= _LARGEST_INT32 else None


_VISIT_ID = Wanted(
    read=_read_visit_id,
    description=f"a positive integer without leading zeros, at most {_LARGEST_INT32}",
    remedy="write plain digits: PhoSim names files by this text but computes with a 32-bit integer",
)
_FILTER = _whole(0, 5, "write 0, 1, 2, 3, 4 or 5 for the bands u, g, r, i, z, y")
_SEED = _whole(0, _LARGEST_INT32, "give a fixed seed: -1 means the clock, and a repeated unit would be another image")
_CAMCONFIG = _whole(0, 7, "add 1 for science sensors, 2 for wavefront sensors, 4 for guiders; 0 is all")
_TELCONFIG = _whole(0, 3, "write 0 for the sky, 1 for the closed dome, 2 or 3 for dome light")
_DATE = _matching(
    r"[0-9]{1,4}/(?:0?[1-9]|1[0-2])(?:/[0-9.]{1,24}){0,2}", "a date as year/month/day/fraction", "correct the value"
)
_NUMBERS = _matching(
    rf"{NUMBER.pattern}(?: {NUMBER.pattern}){{0,199}}", "one or more finite numbers", "correct the value"
)
_ANGLE = _number(unit="of degrees")
_LATITUDE = _number(-90, 90, "of degrees")


def _key(name: str, wanted: Wanted, *more_words: str, synonyms: tuple[str, ...] = ()) -> Key:
    return Key(name=name, words=(name, *more_words), synonyms=synonyms, wanted=wanted)


def _simulation_key(name: str, wanted: Wanted, synonyms: tuple[str, ...] = ()) -> Key:
    return Key(name=name, words=(name, name.upper()), synonyms=synonyms, wanted=wanted)


def _instrument_key(name: str, wanted: Wanted) -> Key:
    return Key(name=name, words=(name, name.upper()), wanted=wanted, describes_visit=False)


KEYS = (
    _key("obshistid", _VISIT_ID, synonyms=("obsid",)),
    _key("moonra", _ANGLE),
    _key("moondec", _LATITUDE),
    _key("sunalt", _LATITUDE),
    _key("moonalt", _LATITUDE),
    _key("dist2moon", _number(0, 180, "of degrees")),
    _key("moonphase", _number(0, 100, "of per cent")),
    _key("mjd", _number(0, 1e6, "of days"), synonyms=("expmjd",)),
    # 5/6 draw the seeing at random for -1; 3.4 has no turbulence for 0.
    _key("seeing", _number(-1, 100, "of arcsec"), synonyms=("rawseeing",)),
    _key("rottelpos", _ANGLE, synonyms=("camtelangle",)),
    _key("azimuth", _ANGLE, "Azimuth"),
    _key("altitude", _LATITUDE, "Altitude"),
    _key("rotskypos", _ANGLE, synonyms=("camskyangle",)),
    _key("rightascension", _ANGLE, "Unrefracted_RA"),
    _key("declination", _LATITUDE, "Unrefracted_Dec"),
    _simulation_key("seed", _SEED),
    _key("date", _DATE),
    _key("filter", _FILTER),
    _simulation_key("vistime", _number(0, 1e6, "of seconds"), ("obstime",)),
    _simulation_key("nsnap", _whole(1, 1000, "PhoSim counts snaps with three digits"), ("numexp",)),
    _simulation_key("minsource", _whole(0, _LARGEST_INT32)),
    _simulation_key("camconfig", _CAMCONFIG),
    _instrument_key("domeint", _number()),
    _instrument_key("domewav", _number()),
    _simulation_key("telconfig", _TELCONFIG),
    _instrument_key("temperature", _number()),
    _instrument_key("tempvar", _number()),
    _instrument_key("pressure", _number()),
    _instrument_key("pressvar", _number()),
    _instrument_key("overdepbias", _number()),
    _instrument_key("ccdtemp", _number()),
    _instrument_key("altvar", _number()),
    _instrument_key("control", _NUMBERS),
    _instrument_key("actuator", _NUMBERS),
)

_STRICT_NAMES = {name: key for key in KEYS for name in (*key.words, *key.synonyms)}


def strict_name(text: str) -> Key | None:
    """The key that a catalog's word stands for, decoration allowed."""
    bare = text.removesuffix(_SUFFIX)
    if bare in _STRICT_NAMES:
        return _STRICT_NAMES[bare]
    for prefix in _PREFIXES:
        if bare.startswith(prefix):
            return _STRICT_NAMES.get(bare.removeprefix(prefix))
    return None


def loose_name(text: str) -> Key | None:
    """The key that PhoSim 3.4 takes a line with this text for."""
    return next((key for key in KEYS if any(word in text for word in key.words)), None)
