"""The table as programs and people see it."""

from __future__ import annotations

import json

import pytest

from transformation.exit_codes import markdown, plain, show_exit_codes, table
from transformation.model.failures import Failure


def test_the_table_has_success_first_and_every_row_in_order() -> None:
    rows = table()
    assert rows[0]["code"] == 0
    codes = [row["code"] for row in rows]
    assert codes == sorted(codes, key=int)
    assert [row["name"] for row in rows[1:]] == [row.name for row in sorted(Failure, key=lambda row: row.code)]
    assert all(set(row) == {"code", "name", "remedy", "meaning", "action"} for row in rows)


def test_plain_text_has_aligned_columns() -> None:
    lines = plain().splitlines()
    assert len(lines) == len(Failure) + 1
    for line, row in zip(lines, table(), strict=True):
        assert line[:3].strip() == str(row["code"])
        assert line[5:30].strip() == row["name"]
        assert line[30:46].strip() == row["remedy"]
        assert line[46:] == row["meaning"]
        assert line[29] == " ", "the name runs into the next column"


def test_markdown_has_one_line_a_row_and_no_stray_bar() -> None:
    head, rule, *lines = markdown().splitlines()
    assert head.count("|") == rule.count("|") == 6
    assert [line.count("|") for line in lines] == [6] * (len(Failure) + 1)
    assert f"| {Failure.PARTIAL.code} | PARTIAL | ELSEWHERE |" in markdown()


def test_the_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert show_exit_codes(as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == table()


def test_the_command_prints_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert show_exit_codes(as_json=False) == 0
    assert capsys.readouterr().out == plain() + "\n"
