"""A few keys of a FITS header, without astropy where the header leaves no doubt.

Cards in the standard's fixed format (FITS 4.0, section 4.2: what PhoSim and cfitsio write) are read here. If a card
that is asked for looks in any way different, astropy reads the header: its import costs 0.4 s of CPU and 40 MB.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

Value = str | int | float | bool | None

_FIELD = re.compile(
    rb"= (?:"
    rb"'(?P<string>[ -&(-~]*)' *|"
    rb" {19}(?P<logical>[TF])|"
    rb" *(?P<integer>[+-]?[0-9]+)|"
    rb" *(?P<real>[+-]?[0-9]+\.[0-9]*(?:E[+-]?[0-9]+)?)"
    rb")(?: */[ -&(-~]*| *)"
)
"""A string without quotes in it, a logical, an integer or a real number, and perhaps a comment without quotes."""
_CARD_BYTES, _KEY_BYTES = 80, 8
_ODD = (b"CONTINUE", b"HIERARCH")
"""Conventions beyond the standard's fixed format: a string that goes on, a long key."""


def read_cards(header: bytes, keys: Iterable[str]) -> dict[str, Value]:
    """Values by key; a key that the header lacks is left out, of one that is there twice the first counts.

    Raises `ValueError` for a header, or a card that was asked for, that is not FITS.
    """
    wanted = {key.encode(): key for key in keys}
    found: dict[str, Value] = {}
    for begin in range(0, len(header), _CARD_BYTES):
        card = header[begin : begin + _CARD_BYTES]
        word = card[:_KEY_BYTES].rstrip().upper()
        if word in wanted or word in _ODD:
            match = _FIELD.fullmatch(card, _KEY_BYTES)
            if word in _ODD or match is None or wanted[word] in found:
                return _read_with_astropy(header, list(wanted.values()))
            found[wanted[word]] = _value(match)
    return found


def _value(match: re.Match[bytes]) -> Value:
    text = match[match.lastgroup or 0].decode("ascii")
    match match.lastgroup:
        case "string":
            return text.rstrip(" ")
        case "logical":
            return text == "T"
        case "integer":
            return int(text)
        case _:
            return float(text)


def _read_with_astropy(header: bytes, keys: list[str]) -> dict[str, Value]:
    from astropy.io.fits import Header
    from astropy.io.fits.verify import VerifyError

    try:
        cards = Header.fromstring(header)
        found = {key: cards[key] for key in keys if key in cards}
    except (KeyError, TypeError, OverflowError, VerifyError) as error:
        raise ValueError(str(error)) from None
    return {key: value if isinstance(value, (str, int, float, bool)) else None for key, value in found.items()}
