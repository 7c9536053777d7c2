"""What is read of a header without astropy is what astropy would read."""

from __future__ import annotations

import subprocess
import sys

import pytest
from astropy.io.fits import Card, Header
from astropy.io.fits.verify import VerifyError
from hypothesis import given
from hypothesis import strategies as st

from transformation.fits_cards import read_cards

END = b"END".ljust(80)


def header(*cards: bytes) -> bytes:
    return b"".join(card.ljust(80) for card in cards) + END


def astropy_says(text: bytes, key: str) -> object:
    try:
        return Header.fromstring(text).get(key)
    except VerifyError:
        return ValueError


def we_say(text: bytes, key: str) -> object:
    try:
        return read_cards(text, [key]).get(key)
    except ValueError:
        return ValueError


@pytest.mark.parametrize(
    "card",
    [
        b"A       = 'R22_S11 '           / chip",
        b"A       = '  x  '",
        b"A       = ''",
        b"A       = 'a / b'",
        b"A       = 'it''s'",
        b"A       = 'x'y",
        b"A       = ' / 'y",
        b"A       =                    T / flag",
        b"A       =                    F",
        b"A       =  T",
        b"A       =                   12 / number",
        b"A       = 12",
        b"A       = 12/near",
        b"A       = 12 13",
        b"A       = 00012",
        b"A       = -.5",
        b"A       =                  15. / s",
        b"A       = 1.5E3",
        b"A       = 1.5D3",
        b"A       = 1.5e3",
        b"A       =",
        b"A       = / nothing",
        b"A       = 12345678901234567890123",
        b"A       = 'caf\xe9'",
        b"a       = 12",
        b"HIERARCH A = 12",
        b"COMMENT A = 12",
    ],
)
def test_a_card(card: bytes) -> None:
    text = header(b"SIMPLE  =                    T", card)
    assert repr(we_say(text, "A")) == repr(astropy_says(text, "A"))


def test_a_complex_number_is_no_value_that_an_image_is_judged_by() -> None:
    assert we_say(header(b"A       = (1.0, 2.0)"), "A") is None


def test_of_a_key_that_is_there_twice_the_first_counts() -> None:
    assert read_cards(header(b"A       = 1", b"A       = 2"), ["A"]) == {"A": 1}


def test_a_string_that_goes_on_is_whole() -> None:
    long = "".join(str(at % 10) for at in range(150))
    text = Header([("A", long)]).tostring().encode()
    assert b"CONTINUE" in text
    assert read_cards(text, ["A"]) == {"A": long}


def test_only_what_was_asked_for_is_read_and_what_is_not_there_is_left_out() -> None:
    text = header(b"A       = 1", b"B       = 'x'y")
    assert read_cards(text, ["A", "C"]) == {"A": 1}


@given(
    st.one_of(
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60),
        st.integers(-(10**17), 10**17),
        st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
)
def test_what_astropy_writes(value: str | float | bool, comment: str) -> None:
    text = header(str(Card("A", value, comment)).encode()[:80])
    assert repr(we_say(text, "A")) == repr(astropy_says(text, "A"))


@pytest.mark.allow_processes
def test_the_cards_of_an_image_need_no_astropy() -> None:
    text = header(b"OBSID   =                 4242", b"CHIPID  = 'R22_S11 '           / chip", b"EXPTIME =   15.")
    program = (
        "import sys\nfrom transformation.fits_cards import read_cards\n"
        f"assert read_cards({text!r}, ['OBSID', 'CHIPID', 'EXPTIME']) == "
        "{'OBSID': 4242, 'CHIPID': 'R22_S11', 'EXPTIME': 15.0}\n"
        "assert 'astropy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
