"""FITS images: one primary HDU in a gzip file, written in pieces so that no second copy of the pixels is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from quicksim.fits_cards import BLOCK_BYTES, CARD_LENGTH, format_card, header_block, structure_cards
from quicksim.gz import read_gz, write_gz
from quicksim.pars import StageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Pixels = NDArray[np.float32]

ROWS_PER_PIECE = 128
UNSIGNED_ZERO = 32768
"""BZERO of unsigned 16-bit images: FITS itself has signed integers only."""

STRUCTURE_KEYS = ("SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "BZERO", "BSCALE", "END")


@dataclass(frozen=True)
class Image:
    """An image as it was read: its formatted cards without those of the structure, and its pixels."""

    cards: list[str]
    pixels: Pixels


def write_float_image(path: Path, cards: list[str], pixels: Pixels) -> None:
    """Write 32-bit floating-point pixels, row 0 first."""
    rows, columns = pixels.shape
    header = [*structure_cards(-32, (columns, rows)), *cards]
    write_gz(path, _pieces(header, pixels, ">f4"))


def write_unsigned_image(path: Path, cards: list[str], pixels: NDArray[np.uint16]) -> None:
    """Write unsigned 16-bit pixels, by way of BZERO."""
    rows, columns = pixels.shape
    scale = [format_card("BZERO", UNSIGNED_ZERO), format_card("BSCALE", 1)]
    header = [*structure_cards(16, (columns, rows)), *scale, *cards]
    # Turning the highest bit round is the same as taking 32768 away.
    signed = (pixels ^ np.uint16(UNSIGNED_ZERO)).view(np.int16)
    write_gz(path, _pieces(header, signed, ">i2"))


def _pieces(header: list[str], pixels: NDArray[np.float32] | NDArray[np.int16], dtype: str) -> Iterator[bytes]:
    yield header_block(header)
    for row in range(0, pixels.shape[0], ROWS_PER_PIECE):
        yield pixels[row : row + ROWS_PER_PIECE].astype(dtype).tobytes()
    yield bytes(-pixels.nbytes % BLOCK_BYTES)


def read_float_image(path: Path) -> Image:
    """Read an image that `write_float_image` wrote."""
    content = read_gz(path)
    cards = _header_cards(content, path)
    values = {card[:8].rstrip(): card[10:].strip() for card in cards}
    shape = (int(values["NAXIS2"]), int(values["NAXIS1"]))
    start = -(-len(cards) * CARD_LENGTH // BLOCK_BYTES) * BLOCK_BYTES
    if len(content) < start + 4 * shape[0] * shape[1]:
        raise StageError(f"{path} ends before its last pixel")
    pixels = np.frombuffer(content, ">f4", shape[0] * shape[1], start).reshape(shape)
    own = [card for card in cards if card[:8].rstrip() not in STRUCTURE_KEYS]
    return Image(own, pixels.astype(np.float32))


def _header_cards(content: bytes, path: Path) -> list[str]:
    cards = []
    for start in range(0, len(content), CARD_LENGTH):
        card = content[start : start + CARD_LENGTH].decode("ascii", "replace")
        cards.append(card)
        if card.startswith("END "):
            return cards
    raise StageError(f"{path} has no FITS header")
