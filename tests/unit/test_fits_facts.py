"""What a file says of itself, whatever it holds."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import zlib
from pathlib import Path

import msgspec
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from transformation.fits_facts import Facts, Request, inspect

KEYS = ["OBSID", "CHIPID", "EXPTIME", "SHUTTER", "NOWHERE"]


def fits_bytes(pixels: np.ndarray) -> bytes:
    hdu = fits.PrimaryHDU(pixels)
    hdu.header["OBSID"] = 4242
    hdu.header["CHIPID"] = "R22_S11"
    hdu.header["EXPTIME"] = 15.0
    hdu.header["SHUTTER"] = True
    stream = io.BytesIO()
    hdu.writeto(stream)
    return stream.getvalue()


ELECTRONS = np.zeros((8, 5), np.float32)
ELECTRONS[3, 2] = 7.0
GOOD = fits_bytes(ELECTRONS)
RANDOM = fits_bytes(np.random.default_rng(1).normal(300, 160, (60, 50)).astype(np.float32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fits")


def facts_of(path: Path, content: bytes) -> Facts:
    path.write_bytes(content)
    return inspect(Request(str(path), is_image=True, keys=KEYS))


def facts(folder: Path, plain: bytes) -> Facts:
    return facts_of(folder / "image.fits.gz", gzip.compress(plain, mtime=0))


def test_a_good_electron_image(folder: Path) -> None:
    content = gzip.compress(GOOD, mtime=0)
    found = facts_of(folder / "e.fits.gz", content)
    assert found == Facts(
        size_bytes=len(content),
        adler32=f"{zlib.adler32(content):08x}",
        shape=(5, 8),
        bitpix=-32,
        header={"OBSID": 4242, "CHIPID": "R22_S11", "EXPTIME": 15.0, "SHUTTER": True, "NOWHERE": None},
    )


def test_a_good_amplifier_image(folder: Path) -> None:
    found = facts(folder, fits_bytes(np.full((20, 10), 970, np.uint16)))
    assert (found.problem, found.shape, found.bitpix, found.bzero) == (None, (10, 20), 16, 32768.0)
    assert not found.all_zero


@pytest.mark.parametrize(
    ("pixels", "all_zero"),
    [
        (np.zeros((8, 5), np.float32), True),
        (np.zeros((900, 900), np.float32), True),
        (ELECTRONS, False),
        (np.where(np.arange(810_000).reshape(900, 900) == 809_999, 1, 0).astype(np.float32), False),
        (np.where(np.arange(810_000).reshape(900, 900) == 0, 1, 0).astype(np.float32), False),
        (np.full((8, 5), np.nan, np.float32), False),
    ],
)
def test_all_zero_is_seen(folder: Path, pixels: np.ndarray, all_zero: bool) -> None:
    found = facts(folder, fits_bytes(pixels))
    assert (found.problem, found.all_zero) == (None, all_zero)


def test_padding_is_no_light(folder: Path) -> None:
    """Rubbish between the last pixel and the end of the block is not the image."""
    plain = bytearray(fits_bytes(np.zeros((8, 5), np.float32)))
    plain[-100:] = b"x" * 100
    assert facts(folder, bytes(plain)).all_zero


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "does not gunzip to its end|is no valid FITS file"),
        (b"garbage" * 100, "does not gunzip to its end"),
        (GOOD, "does not gunzip to its end"),
        (gzip.compress(b"", mtime=0), "is no valid FITS file: it ends within the header"),
        (gzip.compress(b"garbage" * 1000, mtime=0), "is no valid FITS file: it does not begin with SIMPLE"),
        (gzip.compress(b"SIMPLE  = ", mtime=0), "is no valid FITS file: it ends within the header"),
        (gzip.compress(b"SIMPLE  =".ljust(2880 * 500)), "is no valid FITS file: the header has no END"),
        (gzip.compress(GOOD[:-2880], mtime=0), "is no valid FITS file: 0 bytes of data instead of 2,880"),
        (gzip.compress(GOOD[:-1], mtime=0), "is no valid FITS file: 2,879 bytes of data instead of 2,880"),
        (gzip.compress(GOOD + b"\0" * 2880, mtime=0), "is no valid FITS file: 5,760 bytes of data instead of 2,880"),
        (gzip.compress(GOOD.replace(b"NAXIS1  ", b"NAXISX  ")), "is no valid FITS file: header: .*NAXIS1"),
        (gzip.compress(GOOD.replace(b"BITPIX  ", b"BITPAX  ")), "is no valid FITS file: header: .*BITPIX"),
        (gzip.compress(fits_bytes(np.zeros((2, 3, 4), np.float32))), "is no valid FITS file: its axes are"),
        (gzip.compress(fits_bytes(np.zeros((0, 5), np.float32))), "is no valid FITS file: its axes are"),
        (gzip.compress(fits_bytes(np.zeros(5, np.float32))), "is no valid FITS file: its axes are"),
    ],
)
def test_a_bad_file_is_named(folder: Path, content: bytes, problem: str) -> None:
    import re

    found = facts_of(folder / "bad.fits.gz", content)
    assert found.problem is not None
    assert re.match(problem, found.problem), found.problem
    assert (found.size_bytes, found.adler32) == (len(content), f"{zlib.adler32(content):08x}")
    assert "\n" not in found.problem


@pytest.mark.parametrize("name", ["missing.fits.gz", "."])
def test_what_cannot_be_read(folder: Path, name: str) -> None:
    found = inspect(Request(str(folder / name), is_image=True))
    assert found.problem is not None
    assert found.problem.startswith("cannot be read: ")


@pytest.mark.parametrize("plain", [GOOD, RANDOM])
@given(cut=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_never_good(folder: Path, plain: bytes, cut: float) -> None:
    whole = gzip.compress(plain, mtime=0)
    found = facts_of(folder / "cut.fits.gz", whole[: int(cut * len(whole))])
    assert found.problem is not None


@pytest.mark.parametrize("missing", range(1, 13))
def test_a_file_without_its_last_bytes_is_never_good(folder: Path, missing: int) -> None:
    """The last eight bytes are gzip's own check: without them nothing vouches for the pixels."""
    assert facts_of(folder / "cut.fits.gz", gzip.compress(RANDOM, mtime=0)[:-missing]).problem is not None


# Neither the ten bytes of gzip's header count, nor the last byte of the compressed data, which may hold spare bits.
SIZE = len(gzip.compress(RANDOM, mtime=0))


@pytest.mark.filterwarnings("ignore")
@given(at=st.integers(10, SIZE - 10) | st.integers(SIZE - 8, SIZE - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found(folder: Path, at: int, bit: int) -> None:
    content = bytearray(gzip.compress(RANDOM, mtime=0))
    content[at] ^= 1 << bit
    assert facts_of(folder / "flipped.fits.gz", bytes(content)).problem is not None


CARDS = st.binary(min_size=80, max_size=80) | st.text("NAXIS12BTPZERO= '/-+.0479TF&\n", max_size=80).map(
    lambda text: text.encode().ljust(80)
)


@pytest.mark.filterwarnings("ignore")
@given(at=st.integers(1, 8), card=CARDS)
def test_no_header_ends_the_helper(folder: Path, at: int, card: bytes) -> None:
    plain = bytearray(GOOD)
    plain[80 * at : 80 * (at + 1)] = card
    found = facts(folder, bytes(plain))
    msgspec.json.encode(found)
    assert found.problem is not None or found.shape is not None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "card",
    [
        b"NAXIS1  = 99999999999999999999",
        b"NAXIS1  = -5",
        b"NAXIS1  = 'five'",
        b"NAXIS1  =",
        b"NAXIS   = 999",
        b"BITPIX  = 0",
        b"BITPIX  = 1E400",
        b"BITPIX  = 'x",
    ],
)
def test_hostile_headers_are_problems(folder: Path, card: bytes) -> None:
    key = card[:8]
    at = GOOD.index(key)
    assert facts(folder, GOOD[:at] + card.ljust(80) + GOOD[at + 80 :]).problem is not None


def test_a_text_has_size_and_checksum_only(folder: Path) -> None:
    (folder / "centroids.txt").write_bytes(b"1 2 3\n")
    found = inspect(Request(str(folder / "centroids.txt"), is_image=False))
    assert found == Facts(size_bytes=6, adler32=f"{zlib.adler32(b'1 2 3' + bytes([10])):08x}")


@pytest.mark.allow_processes
def test_the_module_answers_line_by_line(folder: Path) -> None:
    (folder / "e.fits.gz").write_bytes(gzip.compress(GOOD, mtime=0))
    questions = [Request(str(folder / name), is_image=True, keys=["SEED"]) for name in ("e.fits.gz", "missing")]
    done = subprocess.run(
        [sys.executable, "-m", "transformation.fits_facts"],
        input=b"".join(msgspec.json.encode(question) + b"\n" for question in questions),
        capture_output=True,
        timeout=60,
        check=True,
    )
    answers = [msgspec.json.decode(line, type=Facts) for line in done.stdout.splitlines()]
    assert [answer.shape for answer in answers] == [(5, 8), None]
    assert answers[0].header == {"SEED": None}
