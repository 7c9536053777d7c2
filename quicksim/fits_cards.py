"""FITS header cards as text: 80 characters each, 36 to a block. Standard library only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    CardValue = bool | int | float | str
    Card = tuple[str, CardValue]

CARD_LENGTH = 80
BLOCK_BYTES = 2880
LONGEST_TEXT = 68
"""What fits between the quotes of one card; longer texts are cut, as PhoSim cuts them."""


def format_card(key: str, value: CardValue) -> str:
    """One card in fixed format."""
    return f"{key:<8}= {_format_value(value)}".ljust(CARD_LENGTH)


def _format_value(value: CardValue) -> str:
    if isinstance(value, bool):
        return f"{'T' if value else 'F':>20}"
    if isinstance(value, str):
        return f"'{_fitting(value):<8}'"
    if isinstance(value, float):
        text = repr(value).upper()
        return f"{text if '.' in text or 'E' in text else text + '.':>20}"
    return f"{value:>20}"


def _fitting(text: str) -> str:
    """The beginning of a text that fits in a card: printable, with its quotes doubled."""
    printable = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
    fitting = ""
    for letter in printable:
        doubled = "''" if letter == "'" else letter
        if len(fitting) + len(doubled) > LONGEST_TEXT:
            break
        fitting += doubled
    return fitting


def header_block(cards: Iterable[str]) -> bytes:
    """Formatted cards with their END, padded to whole blocks."""
    text = "".join(cards) + "END".ljust(CARD_LENGTH)
    return text.encode("ascii") + b" " * (-len(text) % BLOCK_BYTES)


def structure_cards(bitpix: int, axes: tuple[int, ...]) -> list[str]:
    """The cards that every primary header begins with; `axes` has NAXIS1 first."""
    cards: list[Card] = [("SIMPLE", True), ("BITPIX", bitpix), ("NAXIS", len(axes))]
    cards += [(f"NAXIS{number}", length) for number, length in enumerate(axes, start=1)]
    return [format_card(key, value) for key, value in cards]
