"""What a file says of itself: size, checksum, FITS structure, header, whether any pixel is not zero.

Runs as a child process (`python -m transformation.fits_facts`), one JSON request a line on stdin, one answer a line on
stdout: a file that crashes a reader must not take the job with it.
A file is read once, as a stream, so an image of 65 MB needs a megabyte.
"""

from __future__ import annotations

import math
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from transformation.fits_cards import Value, read_cards
from transformation.model import documents

_BLOCK = 2880
"""FITS files come in blocks of 2880 bytes (FITS standard 4.0, section 3.1)."""
_CHUNK = 1 << 20
_LONGEST_HEADER = 400 * _BLOCK
_STRUCTURE = ("BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "BZERO")


class Request(msgspec.Struct, frozen=True):
    """Ask for the facts of one file."""

    path: str
    is_image: bool
    keys: list[str] = []
    """Header keys wanted."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of one file; `problem` says what is wrong with its structure, in one sentence."""

    size_bytes: int = 0
    adler32: str = ""
    problem: str | None = None
    shape: tuple[int, int] | None = None
    """NAXIS1, NAXIS2."""
    bitpix: int | None = None
    bzero: float = 0.0
    all_zero: bool = False
    header: dict[str, Value] = {}


def inspect(request: Request) -> Facts:
    """Read the file to its end; never raises for what a file contains."""
    path = Path(request.path)
    try:
        size_bytes, adler32 = _checksum(path)
    except OSError as error:
        return Facts(problem=f"cannot be read: {error.strerror}")
    bare = Facts(size_bytes=size_bytes, adler32=adler32)
    if not request.is_image:
        return bare
    from isal import isal_zlib

    try:
        return _inspect_image(path, request.keys, bare)
    except (EOFError, OSError, zlib.error, isal_zlib.error) as error:  # type: ignore[misc] # their stub has it as a value
        return _with(bare, problem=f"does not gunzip to its end: {error}")
    except ValueError as error:
        return _with(bare, problem=f"is no valid FITS file: {error}")


def _checksum(path: Path) -> tuple[int, str]:
    from isal import isal_zlib

    value, size = 1, 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            value = isal_zlib.adler32(chunk, value)
            size += len(chunk)
    return size, f"{value:08x}"


def _inspect_image(path: Path, keys: list[str], bare: Facts) -> Facts:
    from isal import igzip

    with igzip.open(path, "rb") as stream:  # type: ignore[no-untyped-call]
        cards = read_cards(_header_text(iter(lambda: stream.read(_BLOCK), b"")), {*_STRUCTURE, *keys})
        axes = [_whole(cards, f"NAXIS{axis}") for axis in range(1, min(_whole(cards, "NAXIS"), 3) + 1)]
        bitpix = _whole(cards, "BITPIX")
        bzero = cards.get("BZERO", 0.0)
        if not isinstance(bzero, (int, float)) or not math.isfinite(bzero):
            raise ValueError(f"header: BZERO is {bzero}")
        if len(axes) != 2 or min(axes) < 1:
            raise ValueError(f"its axes are {axes}, not two of at least one pixel")
        data_bytes = axes[0] * axes[1] * abs(bitpix) // 8
        length, all_zero = _read_data(iter(lambda: stream.read(_CHUNK), b""), data_bytes)
    expected = -(-data_bytes // _BLOCK) * _BLOCK
    if length != expected:
        raise ValueError(f"{length:,} bytes of data instead of {expected:,}")
    return _with(
        bare, shape=(axes[0], axes[1]), bitpix=bitpix, bzero=float(bzero), all_zero=all_zero,
        header={key: cards.get(key) for key in keys},
    )  # fmt: skip


def _whole(cards: Mapping[str, Value], key: str) -> int:
    value = cards.get(key)
    if not isinstance(value, int):
        raise ValueError(f"header: {key} is {value}")  # noqa: TRY004 - the file is wrong, not the program
    return value


def _header_text(blocks: Iterator[bytes]) -> bytes:
    text = b""
    for block in blocks:
        if not text and not block.startswith(b"SIMPLE  ="):
            raise ValueError("it does not begin with SIMPLE")
        text += block
        if any(block[card : card + 80].rstrip() == b"END" for card in range(0, len(block), 80)):
            return text
        if len(text) > _LONGEST_HEADER:
            raise ValueError("the header has no END")
    raise ValueError("it ends within the header")


def _read_data(chunks: Iterator[bytes], data_bytes: int) -> tuple[int, bool]:
    """Length of the data with its padding, and whether all of it is zero bytes (0 and 0.0 alike; not -0.0)."""
    length, zero = 0, True
    for chunk in chunks:
        data = chunk[: max(0, data_bytes - length)]
        zero = zero and data.count(0) == len(data)
        length += len(chunk)
    return length, zero


def _with(facts: Facts, **changes: object) -> Facts:
    return msgspec.structs.replace(facts, **changes)


def main() -> None:
    """Answer requests until stdin ends, which is also how a dead parent is noticed."""
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(msgspec.json.encode(inspect(documents.decode(line, Request))) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
