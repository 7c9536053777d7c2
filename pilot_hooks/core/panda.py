"""Our report in PanDA's fields: error codes and texts, job metrics, memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional

from .files import ERROR_REPORT, MEMORY, PROGRESS, REPORT, Document, read_document, units_of
from .journal import read_story
from .table import LONGEST_DIAGNOSIS, TERMINATED, rows_by_code


@dataclass(frozen=True)
class Verdict:
    """How the job ended, as PanDA is to see it."""

    code: int
    """exeErrorCode; 0 if all went well or nothing is known."""
    text: str
    """exeErrorDiag: unit, cause and remedy in at most 256 characters."""
    needs_memory: bool
    """Another try needs more of it: PanDA has a code of its own for that."""
    n_done: int
    """Units that are committed or empty."""


def verdict(workdir: Path) -> Verdict:
    """From the reports in the work folder."""
    report, error = read_document(workdir / REPORT), read_document(workdir / ERROR_REPORT)
    code = _code(error.get("error_code")) or _code(report.get("exitCode"))
    text = " ".join(str(error.get("error_diag") or report.get("exitMsg") or "").split()) if code else ""
    return Verdict(
        code=code,
        text=_with_first_unit(text, report)[:LONGEST_DIAGNOSIS],
        needs_memory=rows_by_code().get(code, {}).get("remedy") == "MORE_RESOURCES",
        n_done=_n_done(report),
    )


def _with_first_unit(text: str, report: Document) -> str:
    """The sentence names the unit already, unless it speaks of the whole job and there is room for one."""
    failed = [unit for unit in units_of(report) if unit.get("failure") not in (None, TERMINATED)]
    if not text or not failed or any(unit["id"] in text for unit in failed):
        return text
    more = f" [{failed[0]['id']} {failed[0]['failure']}]"
    return text + more if len(text) + len(more) <= LONGEST_DIAGNOSIS else text


def metrics(workdir: Path) -> str:
    """`key=value` pairs for PanDA's jobMetrics, from progress and journal; empty before the job has begun."""
    progress, story = read_document(workdir / PROGRESS), read_story(workdir)
    units = units_of(read_document(workdir / REPORT))
    if not units and not story.units:
        return ""
    done = {unit["id"] for unit in units if unit.get("state") in ("committed", "empty")}
    done |= {unit_id for unit_id, unit in story.units.items() if unit.state in ("committed", "empty")}
    known = {unit["id"] for unit in units} | set(story.units)
    pairs = {"unitsDone": len(done), "unitsTotal": len(known)}
    words = [f"{key}={value}" for key, value in pairs.items()]
    if story.end:
        return " ".join(words)
    words += [
        f"{name}={progress[key]}"
        for key, name in (("progress", "progress"), ("eta_s", "etaSeconds"))
        if _is_number(progress.get(key))
    ]
    return " ".join(words)


_PRMON = (
    # PanDA's field, prmon's part and key: pilot 3, `user/rubin/utilities.py`.
    *(("max" + name.upper(), "Max", name) for name in ("rss", "vmem", "swap", "pss")),
    *(("avg" + name.upper(), "Avg", name) for name in ("rss", "vmem", "swap", "pss")),
    *((f"tot{name}", "Max", key) for name, key in (("RCHAR", "rchar"), ("WCHAR", "wchar"))),
    *((f"tot{name}", "Max", key) for name, key in (("RBYTES", "read_bytes"), ("WBYTES", "write_bytes"))),
    *((f"rate{name}", "Avg", key) for name, key in (("RCHAR", "rchar"), ("WCHAR", "wchar"))),
    *((f"rate{name}", "Avg", key) for name, key in (("RBYTES", "read_bytes"), ("WBYTES", "write_bytes"))),
)


def memory(workdir: Path) -> Dict[str, int]:
    """PanDA's memory fields (kB) and I/O fields (bytes, bytes a second) from the summary that `lsst-trf` writes."""
    summary = read_document(workdir / MEMORY)
    found: Dict[str, int] = {}
    for name, part, key in _PRMON:
        value: Any = _part(summary, part).get(key)
        if _is_number(value):
            found[name] = int(value)
    return found


def extracts(workdir: Path) -> str:
    """The report in a few lines, for people who look at the job in PanDA's monitor."""
    report = read_document(workdir / REPORT)
    if not report:
        return ""
    lines = [f"- {REPORT} -", str(report.get("exitMsg", ""))]
    failed = [unit for unit in units_of(report) if unit.get("state") == "failed"]
    lines += [f"{unit['id']} {unit.get('failure')}: {unit.get('detail', '')}"[:200] for unit in failed[:5]]
    return "\n".join(lines)


def cores(workdir: Path) -> Optional[int]:
    """How many cores the job uses; None if it has not said so."""
    return _whole(_part(read_document(workdir / REPORT), "resource").get("cores")) or None


def _part(document: Document, key: str) -> Document:
    part = document.get(key)
    return part if isinstance(part, dict) else {}


def _n_done(report: Document) -> int:
    return sum(unit.get("state") in ("committed", "empty") for unit in units_of(report))


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _code(value: Any) -> int:
    """An exit code; 0 for what is none."""
    return value if 0 < _whole(value) < _NO_EXIT_CODE else 0


def _is_number(value: Any) -> bool:
    """A finite one: JSON as Python reads it has others."""
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


_NO_EXIT_CODE = 256
