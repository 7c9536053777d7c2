"""Our FITS files, read back with astropy."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from quicksim.fits import read_float_image, write_float_image, write_unsigned_image
from quicksim.fits_cards import format_card
from quicksim.pars import StageError

if TYPE_CHECKING:
    from pathlib import Path

CARDS = [
    format_card("OBSID", 4711),
    format_card("FILTER", "r"),
    format_card("EXPTIME", 15.0),
    format_card("TINY", 1e-7),
    format_card("QUOTED", "it's"),
    format_card("YES", True),
    format_card("LONG", "x" * 100),
]


def test_float_images_are_what_astropy_reads(tmp_path: Path) -> None:
    pixels = np.arange(300 * 7, dtype=np.float32).reshape(300, 7)
    write_float_image(tmp_path / "e.fits.gz", CARDS, pixels)
    with fits.open(tmp_path / "e.fits.gz", memmap=False) as hdus:
        hdus.verify("exception")
        assert len(hdus) == 1
        header, data = hdus[0].header, hdus[0].data
    assert (header["BITPIX"], header["NAXIS1"], header["NAXIS2"]) == (-32, 7, 300)
    assert data.dtype == np.dtype(">f4")
    np.testing.assert_array_equal(data, pixels)
    assert (header["OBSID"], header["FILTER"], header["EXPTIME"]) == (4711, "r", 15.0)
    assert (header["TINY"], header["QUOTED"], header["YES"]) == (1e-7, "it's", True)
    assert header["LONG"] == "x" * 68


def test_unsigned_images_use_bzero(tmp_path: Path) -> None:
    pixels = np.array([[0, 1, 32767, 32768, 65535]], dtype=np.uint16)
    write_unsigned_image(tmp_path / "a.fits.gz", CARDS, pixels)
    with fits.open(tmp_path / "a.fits.gz", memmap=False) as hdus:
        assert (hdus[0].header["BITPIX"], hdus[0].header["BZERO"]) == (16, 32768)
        assert hdus[0].data.dtype == np.uint16
        np.testing.assert_array_equal(hdus[0].data, pixels)


def test_files_are_whole_blocks_and_carry_no_time(tmp_path: Path) -> None:
    for name in ("one.fits.gz", "two.fits.gz"):
        write_float_image(tmp_path / name, CARDS, np.zeros((5, 5), np.float32))
    packed = [(tmp_path / name).read_bytes() for name in ("one.fits.gz", "two.fits.gz")]
    assert packed[0] == packed[1]
    assert packed[0][4:8] == bytes(4)  # where gzip has its time
    assert len(gzip.decompress(packed[0])) == 2 * 2880


def test_reading_gives_back_what_was_written(tmp_path: Path) -> None:
    pixels = np.arange(12, dtype=np.float32).reshape(3, 4)
    write_float_image(tmp_path / "e.fits.gz", CARDS, pixels)
    image = read_float_image(tmp_path / "e.fits.gz")
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.cards == CARDS


def test_a_short_image_is_refused(tmp_path: Path) -> None:
    write_float_image(tmp_path / "e.fits.gz", CARDS, np.zeros((60, 60), np.float32))
    short = gzip.decompress((tmp_path / "e.fits.gz").read_bytes())[:-8640]
    (tmp_path / "e.fits.gz").write_bytes(gzip.compress(short))
    with pytest.raises(StageError, match="ends before its last pixel"):
        read_float_image(tmp_path / "e.fits.gz")


def test_quotes_are_doubled() -> None:
    assert format_card("KEY", "it's").startswith("KEY     = 'it''s   '")


@given(
    st.one_of(st.text(), st.integers(-(2**40), 2**40), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
)
def test_every_card_is_80_characters_that_astropy_accepts(value: str | float | bool) -> None:
    text = format_card("KEY", value)
    assert len(text) == 80
    card = fits.Card.fromstring(text)
    card.verify("exception")
    if not isinstance(value, str):
        assert card.value == pytest.approx(value)
