"""The rules for a PanDA server, read as the server reads them."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from transformation.model.failures import Failed, Failure, Remedy
from transformation.reporting import diagnosis
from transformation.retry_rules import documents, sql

HOOKS = Path(__file__).parents[2] / "pilot_hooks"
# PanDAWMS/panda-database, initdb/sqls/pg_PANDA_TABLE.sql
SCHEMA = """
CREATE TABLE retryactions (retryaction_id bigint NOT NULL PRIMARY KEY, retry_action varchar(50) NOT NULL,
 active char(1) NOT NULL DEFAULT 'Y', retry_description varchar(250));
CREATE TABLE retryerrors (retryerror_id bigint NOT NULL PRIMARY KEY, errorsource varchar(256) NOT NULL,
 errorcode bigint NOT NULL, active char(1) NOT NULL DEFAULT 'Y', retryaction bigint NOT NULL, errordiag varchar(256),
 parameters varchar(256), architecture varchar(256), release varchar(64), workqueue_id integer,
 description varchar(250), expiration_date timestamp);
"""
WIDTHS = {"errorsource": 256, "errordiag": 256, "parameters": 256, "description": 250, "retry_description": 250}
EXPECTED = {
    Remedy.NEVER: ("no_retry", {}),
    Remedy.MORE_RESOURCES: ("increase_memory", {}),
    Remedy.HERE: ("limit_retry", {"maxAttempt": "2"}),
    Remedy.ELSEWHERE: ("limit_retry", {"maxAttempt": "5"}),
}
RESUMING = {Failure.TERMINATED, Failure.DEADLINE}

Rule = dict[str, Any]


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    """A server's tables with rules of others, after our statements ran twice."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    connection.execute("INSERT INTO retryactions VALUES (7, 'no_retry', 'Y', 'of others')")
    connection.execute(
        "INSERT INTO retryerrors (retryerror_id, errorsource, errorcode, retryaction, description)"
        " VALUES (41, 'exeErrorCode', 10, 7, 'of others')"
    )
    for _ in range(2):
        connection.executescript("BEGIN;\n" + sql())
    yield connection
    connection.close()


def rules_of(database: sqlite3.Connection) -> list[Rule]:
    """As `getRetrialRules` of panda-server reads them."""
    rows = database.execute(
        "SELECT re.retryerror_id, re.errorsource, re.errorcode, re.errordiag, re.parameters, ra.retry_action,"
        " re.active, ra.active FROM retryerrors re, retryactions ra WHERE re.retryaction = ra.retryaction_id"
    )
    return [
        {
            "source": source,
            "code": code,
            "diag": diag,
            "params": dict(pair.split("=") for pair in parameters.split("&")) if parameters else {},
            "action": action,
            "active": active == of_action == "Y",
        }
        for _, source, code, diag, parameters, action, active, of_action in rows
    ]


def applying(rules: list[Rule], errors: list[tuple[str, int, str]]) -> list[Rule]:
    """The rules that act on a job: those of its first error that has any (`apply_retrial_rules`)."""
    for source, code, diag in errors:
        found = [
            rule
            for rule in rules
            if (rule["source"], rule["code"]) == (source, code)
            and rule["active"]
            and (not rule["diag"] or re.match(rule["diag"], diag))
        ]
        if found:
            return found
    return []


def errors_of(failure: Failure, how: str) -> list[tuple[str, int, str]]:
    """What a job that failed so shows, in the server's order."""
    text = diagnosis(Failed(failure=failure, detail="v4242-R22_S11-E000: PARTIAL: it says; no"))
    match how:
        case "generic":  # pilot 3.7: a sentence of its own, our line from stderr, no exeErrorCode
            return [
                ("pilotErrorCode", 1305, f"Failed to execute payload:{text}"),
                ("transExitCode", failure.code, ""),
            ]
        case "plug-in":
            code = 1212 if failure.remedy is Remedy.MORE_RESOURCES else 1305
            return [("pilotErrorCode", code, text), ("exeErrorCode", failure.code, text)]
        case _:  # only the payload's own error
            return [("exeErrorCode", failure.code, text)]


@pytest.mark.parametrize("how", ["generic", "plug-in", "exe-only"])
@pytest.mark.parametrize("failure", Failure, ids=lambda failure: failure.name)
def test_every_failure_meets_exactly_its_rule(database: sqlite3.Connection, failure: Failure, how: str) -> None:
    rules = [rule for rule in rules_of(database) if rule["diag"] or not rule["active"]]
    (rule,) = applying(rules, errors_of(failure, how))
    expected = ("limit_retry", {"maxAttempt": "10"}) if failure in RESUMING else EXPECTED[failure.remedy]
    assert (rule["action"], rule["params"]) == expected


@pytest.mark.parametrize("failure", Failure, ids=lambda failure: failure.name)
def test_other_payloads_are_left_alone(database: sqlite3.Connection, failure: Failure) -> None:
    ours = [rule for rule in rules_of(database) if rule["diag"]]
    foreign = f"Failed to execute payload:athena said {failure.name}: no"
    errors = [
        ("pilotErrorCode", 1305, foreign),
        ("exeErrorCode", failure.code, "exit"),
        ("transExitCode", failure.code, ""),
    ]
    assert applying(ours, errors) == []


def test_rules_of_others_stay_and_ours_are_not_doubled(database: sqlite3.Connection) -> None:
    assert database.execute("SELECT COUNT(*) FROM retryerrors WHERE description = 'of others'").fetchone() == (1,)
    ours = "SELECT COUNT(*) FROM retryerrors WHERE description LIKE 'imsim-on-demand: %'"
    assert database.execute(ours).fetchone() == (len(documents()["retryerrors"]),)
    names = [name for (name,) in database.execute("SELECT retry_action FROM retryactions ORDER BY 1")]
    assert names == ["increase_memory", "limit_retry", "no_retry"]


def test_json_and_sql_say_the_same(database: sqlite3.Connection) -> None:
    tables = json.loads((HOOKS / "retry_rules.json").read_text())
    actions = {row["retryaction_id"]: row["retry_action"] for row in tables["retryactions"]}
    columns = ("errorsource", "errorcode", "active", "errordiag", "parameters", "description")
    of_json = {(actions[row["retryaction"]], *(row[name] for name in columns)) for row in tables["retryerrors"]}
    of_sql = set(
        database.execute(
            f"SELECT ra.retry_action, {', '.join('re.' + name for name in columns)}"
            " FROM retryerrors re, retryactions ra"
            " WHERE re.retryaction = ra.retryaction_id AND re.description LIKE 'imsim-on-demand: %'"
        )
    )
    assert of_json == of_sql


def test_every_text_fits_its_column() -> None:
    for rows in documents().values():
        for row in rows:
            for name, width in WIDTHS.items():
                assert len(str(row.get(name) or "")) <= width


def test_the_file_is_what_the_table_says() -> None:
    assert (HOOKS / "retry_rules.sql").read_text() == sql()
