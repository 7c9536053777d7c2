"""Spoil a gzipped FITS image: `doctor_image.py zero FILE...`, `doctor_image.py card KEY VALUE FILE...`."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

BLOCK = 2880
CARD = 80


def all_zero(image: bytes) -> bytes:
    """The same header over pixels that are all zero."""
    length = header_length(image)
    return image[:length] + bytes(len(image) - length)


def with_card(image: bytes, key: str, value: str) -> bytes:
    """The image with another value, as FITS text, in an existing card."""
    start = next(at for at in range(0, header_length(image), CARD) if image[at : at + 9] == f"{key:<8}=".encode())
    return image[:start] + f"{key:<8}= {value:>20}".ljust(CARD).encode() + image[start + CARD :]


def header_length(image: bytes) -> int:
    """Bytes of the primary header, whole blocks."""
    end = next(at for at in range(0, len(image), CARD) if image[at : at + CARD].rstrip() == b"END")
    return -(-(end + CARD) // BLOCK) * BLOCK


def main(words: list[str]) -> None:
    """Rewrite the files in place."""
    action, *rest = words
    names = rest if action == "zero" else rest[2:]
    for path in map(Path, names):
        image = gzip.decompress(path.read_bytes())
        spoiled = all_zero(image) if action == "zero" else with_card(image, rest[0], rest[1])
        path.write_bytes(gzip.compress(spoiled, compresslevel=1))


if __name__ == "__main__":
    main(sys.argv[1:])
