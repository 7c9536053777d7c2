"""Before the payload: ask the site doctor, and give a sick worker back before any work is lost on it."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import List, Optional

from .files import ERROR_REPORT, REPORT, write_document
from .memory_of_node import remember_fit, was_fit
from .start import Answer, command_of, run
from .table import RELEASE_UNREACHABLE, Row, diagnosis, row_named, rows_by_code

LIMIT_S = 60.0
_ELSEWHERE = "ELSEWHERE"


def preprocess(workdir: Path, arguments: List[str], limit_s: float = LIMIT_S) -> int:
    """Run `lsst-trf doctor --short`; 0 to go on, else an exit code whose remedy is another worker.

    Only a verdict on the worker stops a job here. Whatever else goes wrong is left for the job itself to meet, which
    can say more about it: no doctor in this release, a wrong option, a doctor that crashed.
    """
    if was_fit(arguments):
        print("doctor: go, this node was fit a short while ago")
        return 0
    command = command_of(workdir)
    if not command:
        print("no lsst-trf here to ask: the payload will tell")
        return 0
    started = time.monotonic()
    answer = run([*command, "doctor", "--short", *arguments], workdir, limit_s)
    for line in answer.output.strip().splitlines()[-20:]:
        print(line)
    row = _verdict(answer)
    print(f"doctor: {'go' if row is None else row['name']} after {time.monotonic() - started:.1f} s")
    if row is None:
        if answer.exit_code == 0:
            remember_fit(arguments)
        return 0
    _leave_word(workdir, row, _detail(row, answer, limit_s))
    return int(row["code"])


def _verdict(answer: Answer) -> Optional[Row]:
    """The row that speaks against this worker; None to go on."""
    if answer.exit_code is None:
        return row_named(RELEASE_UNREACHABLE)
    row = rows_by_code().get(answer.exit_code)
    return row if row is not None and row["remedy"] == _ELSEWHERE else None


def _detail(row: Row, answer: Answer, limit_s: float) -> str:
    if answer.exit_code is None:
        return f"the site doctor gave no answer in {limit_s:.0f} s"
    last = (answer.output.strip().splitlines() or ["the site doctor found this worker unfit"])[-1]
    # `lsst-trf.sh` and the doctor end with the line that the pilot would show.
    return last.removeprefix(f"ERROR: {row['name']}: ").removesuffix(f"; {row['action']}")


def _leave_word(workdir: Path, row: Row, detail: str) -> None:
    """Both reports, as the payload would have left them: the pilot does not start it now."""
    text = diagnosis(row, detail)
    with suppress(OSError):
        write_document(workdir / ERROR_REPORT, {"error_code": row["code"], "error_diag": text})
        document = {"exitCode": row["code"], "exitAcronym": row["name"], "exitMsg": text, "state": "failed"}
        write_document(workdir / REPORT, {"schema_version": 1, **document, "name": "", "units": [], "resource": {}})
    print(json.dumps({"error_code": row["code"], "error_diag": text}))
