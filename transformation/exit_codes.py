"""The failure table for people and programs: `lsst-trf exit-codes`, README, docs and the pilot hook's copy."""

from __future__ import annotations

import json

from transformation.model.failures import Failure


def show_exit_codes(*, as_json: bool) -> int:
    """Print the table."""
    print(json.dumps(table(), indent=1) if as_json else plain())
    return 0


def table() -> list[dict[str, str | int]]:
    """One row a code, success first."""
    rows: list[dict[str, str | int]] = [
        {"code": 0, "name": "OK", "remedy": "-", "meaning": "every unit is committed or empty", "action": "-"}
    ]
    rows += [
        {
            "code": failure.code,
            "name": failure.name,
            "remedy": failure.remedy.value,
            "meaning": failure.meaning,
            "action": failure.action,
        }
        for failure in sorted(Failure, key=lambda failure: failure.code)
    ]
    return rows


def plain() -> str:
    """The table as aligned text."""
    return "\n".join(f"{row['code']:>3}  {row['name']:<24} {row['remedy']:<15} {row['meaning']}" for row in table())


def markdown() -> str:
    """The table for README and docs."""
    head = "| code | name | remedy | meaning | what to do |\n| --- | --- | --- | --- | --- |\n"
    return head + "".join(
        f"| {row['code']} | {row['name']} | {row['remedy']} | {row['meaning']} | {row['action']} |\n" for row in table()
    )
