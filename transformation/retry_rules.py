"""The failure table as rules of a PanDA server: rows of its tables RETRYACTIONS and RETRYERRORS.

Columns: PanDAWMS/panda-database, `initdb/sqls/pg_PANDA_TABLE.sql` (commit 09e4738; the Oracle schema has the same).
Meaning: PanDAWMS/panda-server, `pandaserver/taskbuffer/retryModule.py` and `getRetrialRules`: a rule applies if source
and code are equal and `errordiag`, a regular expression, matches from the start of the diagnosis; `parameters` reads
`key=value&key=value`; only the first error with a rule counts, in the order pilotErrorCode, exeErrorCode, ddmErrorCode,
transExitCode. Two limits that both match make the server fail, so no two of ours do.

A rule speaks of every job of the server, not only of ours. Ours are known by the name at the start of their diagnosis.
An exit code alone (transExitCode) has no diagnosis: those rows are passive (`active` N: the server only logs what it
would do) until the admin of a server that runs nothing else makes them active.
"""

from __future__ import annotations

from collections.abc import Iterator

from transformation.model.failures import Failure, Remedy

Row = dict[str, str | int | None]

OWNER = "imsim-on-demand"
"""Begins the description of each of our rows, so that a new release can replace them."""
_PAYLOAD_FAILED, _PAYLOAD_OUT_OF_MEMORY = 1305, 1212
"""Pilot 3, `common/errorcodes.py`."""
_NO_RETRY, _MORE_MEMORY, _LIMIT = "no_retry", "increase_memory", "limit_retry"
_ACTIONS = {
    _NO_RETRY: "Do not retry a hopeless job",
    _MORE_MEMORY: "Retry with more memory",
    _LIMIT: "Limit the number of attempts",
}
_AFTER_TRIES_HERE = 2
"""Attempts, where units were tried several times on one worker already: a second worker settles whose fault it is."""
_ELSEWHERE = 5
_RESUMING = 10
"""Attempts, where each goes on from where the one before was stopped."""


def documents() -> dict[str, list[Row]]:
    """Both tables, with ids that count from 1."""
    return {"retryactions": list(_actions()), "retryerrors": list(_errors())}


def _actions() -> Iterator[Row]:
    for number, (action, description) in enumerate(_ACTIONS.items(), start=1):
        yield {
            "retryaction_id": number,
            "retry_action": action,
            "active": "Y",
            "retry_description": f"{OWNER}: {description}",
        }


def _errors() -> Iterator[Row]:
    numbers = {action: number for number, action in enumerate(_ACTIONS, start=1)}
    for number, (failure, source, code, diagnosis) in enumerate(_conditions(), start=1):
        action, parameters = _action(failure)
        yield {
            "retryerror_id": number,
            "errorsource": source,
            "errorcode": code,
            "active": "Y" if diagnosis else "N",
            "retryaction": numbers[action],
            "errordiag": diagnosis,
            "parameters": parameters,
            "architecture": None,
            "release": None,
            "workqueue_id": None,
            "description": f"{OWNER}: {failure.name}, {failure.meaning}",
            "expiration_date": None,
        }


def _conditions() -> Iterator[tuple[Failure, str, int, str | None]]:
    """Where a failure shows: source, code, expression for the diagnosis."""
    for failure in sorted(Failure, key=lambda failure: failure.code):
        # The pilot puts a sentence of its own and a colon before what it found in stderr.
        of_pilot = f"([^:]*:)?\\s*{failure.name}: "
        yield failure, "pilotErrorCode", _PAYLOAD_FAILED, of_pilot
        if failure.remedy is Remedy.MORE_RESOURCES:
            yield failure, "pilotErrorCode", _PAYLOAD_OUT_OF_MEMORY, of_pilot
        yield failure, "exeErrorCode", failure.code, f"{failure.name}: "
        yield failure, "transExitCode", failure.code, None


def _action(failure: Failure) -> tuple[str, str | None]:
    if failure in {Failure.TERMINATED, Failure.DEADLINE}:
        return _LIMIT, f"maxAttempt={_RESUMING}"
    match failure.remedy:
        case Remedy.NEVER:
            return _NO_RETRY, None
        case Remedy.MORE_RESOURCES:
            return _MORE_MEMORY, None
        case Remedy.HERE:
            return _LIMIT, f"maxAttempt={_AFTER_TRIES_HERE}"
        case Remedy.ELSEWHERE:
            return _LIMIT, f"maxAttempt={_ELSEWHERE}"


def sql() -> str:
    """Statements for PostgreSQL and Oracle; run again, they replace what they wrote before."""
    lines = [
        f"-- Retry rules of {OWNER} for a PanDA server; generated from its failure table.",
        "-- PostgreSQL: SET search_path = doma_panda;   Oracle: ALTER SESSION SET CURRENT_SCHEMA = ATLAS_PANDA;",
        "-- The rows for transExitCode are passive: on a server that runs nothing else, set ACTIVE to 'Y'.",
        f"DELETE FROM retryerrors WHERE description LIKE '{OWNER}: %';",
    ]
    names: dict[str | int | None, str] = {}
    for row in documents()["retryactions"]:
        names[row["retryaction_id"]] = action = str(row["retry_action"])
        lines.append(
            "INSERT INTO retryactions (retryaction_id, retry_action, active, retry_description)"
            f" SELECT COALESCE(MAX(retryaction_id), 0) + 1, '{action}', 'Y', {_quoted(row['retry_description'])}"
            f" FROM retryactions HAVING COUNT(CASE WHEN retry_action = '{action}' THEN 1 END) = 0;"
        )
    for row in documents()["retryerrors"]:
        columns = [name for name, value in row.items() if value is not None]
        own = {
            "retryerror_id": "(SELECT COALESCE(MAX(retryerror_id), 0) + 1 FROM retryerrors)",
            "retryaction": "(SELECT MIN(retryaction_id) FROM retryactions"
            f" WHERE retry_action = '{names[row['retryaction']]}')",
        }
        values = [own.get(name) or _quoted(row[name]) for name in columns]
        lines.append(f"INSERT INTO retryerrors ({', '.join(columns)}) VALUES ({', '.join(values)});")
    return "\n".join([*lines, "COMMIT;", ""])


def _quoted(value: str | int | None) -> str:
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"
