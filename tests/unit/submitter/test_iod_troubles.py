"""The codes that `iod` ends with."""

from __future__ import annotations

from submitter.troubles import Trouble, table
from transformation.model.failures import FORBIDDEN_CODES, Failure


def test_codes_are_unique_and_mean_the_same_as_in_the_job() -> None:
    rows = table()
    codes = [row["code"] for row in rows]
    assert len(codes) == len(set(codes))
    by_code = {failure.code: failure for failure in Failure}
    for row in rows[1:]:
        code = row["code"]
        if code in by_code:
            assert row["name"] == by_code[int(code)].name


def test_own_codes_keep_clear_of_those_of_shells_and_of_the_job() -> None:
    taken = {failure.code for failure in Failure}
    own = {trouble.code for trouble in Trouble} - {Trouble.USAGE.code}
    assert not own & taken
    assert not own & FORBIDDEN_CODES
    assert max(own) < 160


def test_every_row_says_what_to_do() -> None:
    assert all(row["meaning"] and row["action"] for row in table())
