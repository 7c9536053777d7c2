"""Tell a person what happens: one line an event, and on a terminal a live line of progress below them."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from transformation.model.report import JobReport, UnitReport
from transformation.telling import tell


class Narrator(Protocol):
    """What the job tells while it goes on."""

    def say(self, line: str) -> None:
        """One line."""

    def unit_event(self, event: str, unit: UnitReport) -> None:
        """A unit went on; see `Ledger` for the events."""

    def expect(self, n_units: int, n_done: int) -> None:
        """How many units there are, and how many were done before."""

    def close(self) -> None:
        """No more events."""


def open_narrator() -> Narrator:
    """Live on a terminal, plain lines elsewhere."""
    return LiveNarrator() if sys.stdout.isatty() else PlainNarrator()


class PlainNarrator:
    """One line an event on stdout, which the PanDA pilot keeps: so it stays short."""

    def __init__(self, write: Callable[[str], None] | None = None) -> None:
        # The pilot takes a line with this word, were it in a name, for the reason of a failure (`control/payload.py`).
        self._write = write or (lambda line: tell(line.replace("CRITICAL", "critical"), sys.stdout))
        self._total = 0
        self._done = 0
        self._lock = threading.Lock()

    def say(self, line: str) -> None:
        """Print the line."""
        self._write(line)

    def expect(self, n_units: int, n_done: int) -> None:
        """Remember the numbers for the counter in front of each line."""
        self._total, self._done = n_units, n_done

    def unit_event(self, event: str, unit: UnitReport) -> None:
        """Print what a person wants to know of it."""
        line = _line_of(event, unit)
        if line is None:
            return
        with self._lock:
            if event in {"committed", "empty"} and unit.made_in_this_run:
                self._done += 1
            self._write(f"[{self._done}/{self._total}] {unit.id}: {line}")

    def close(self) -> None:
        """Nothing to tidy up."""


class LiveNarrator:
    """Lines that scroll, and below them a bar with the units under way."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(highlight=False),
            transient=True,
        )
        self._task = self._progress.add_task("setting up", total=None)
        self._lines = PlainNarrator(lambda line: self._progress.console.print(line, markup=False))
        self._running: dict[str, float] = {}
        self._parts: dict[str, str] = {}
        self._progress.start()

    def say(self, line: str) -> None:
        """Scroll the line."""
        self._lines.say(line)

    def expect(self, n_units: int, n_done: int) -> None:
        """Give the bar its length."""
        self._lines.expect(n_units, n_done)
        self._progress.update(self._task, total=n_units, completed=n_done)

    def unit_event(self, event: str, unit: UnitReport) -> None:
        """Scroll the event and move the bar."""
        self._lines.unit_event(event, unit)
        if event == "started":
            self._running[unit.id] = time.monotonic()
            self._parts.pop(unit.id, None)
        elif event in {"committed", "empty", "failed"}:
            self._running.pop(unit.id, None)
            if event != "failed" and unit.made_in_this_run:
                self._progress.advance(self._task)
        elif event == "progress" and unit.progress is not None:
            self._parts[unit.id] = f" {unit.progress:.0%}{_time_left(unit.eta_s)}"
        shown = ", ".join(f"{one}{self._parts.get(one, '')}" for one in sorted(self._running)[:3]) or "finishing"
        self._progress.update(self._task, description=shown)

    def close(self) -> None:
        """Remove the bar."""
        self._progress.stop()


def _time_left(left_s: float | None) -> str:
    """` (5 min)`; nothing for what is unknown or over in a moment."""
    if left_s is None or left_s < 1.0:
        return ""
    if left_s < 100.0:
        return f" ({left_s:.0f} s)"
    return f" ({left_s / 60:.0f} min)" if left_s < 6000.0 else f" ({left_s / 3600:.1f} h)"


def _line_of(event: str, unit: UnitReport) -> str | None:
    match event:
        case "started":
            return "simulating" if not unit.attempts else f"simulating, attempt {unit.attempts[-1].number + 1}"
        case "attempted" if unit.attempts[-1].outcome != "good":
            last = unit.attempts[-1]
            return f"attempt {last.number}: {last.outcome}: {last.detail}"
        case "committed" if unit.made_in_this_run:
            size_mb = sum(file.size for file in unit.files) / 1e6
            return f"committed, {len(unit.files)} files, {size_mb:.1f} MB, {unit.wall_s:.1f} s"
        case "empty" if unit.made_in_this_run:
            return "empty: no source near this sensor"
        case "failed":
            return f"FAILED {unit.failure}: {unit.detail}"
        case _:
            return None


def final_lines(report: JobReport) -> list[str]:
    """The summary: a table of units, then where everything is."""
    lines = _columns([_HEADINGS, *map(_row, report.units[:_MOST_ROWS])])
    if len(report.units) > _MOST_ROWS:
        lines.append(f"... and {len(report.units) - _MOST_ROWS} more units, all in jobReport.json")
    lines += [f"images   {visit.place}" for visit in report.visits]
    lines += [f"dataset  {visit.dataset}  in {report.catalog}" for visit in report.visits if report.catalog]
    return lines


_HEADINGS = ("unit", "state", "tries", "wall s", "CPU s", "peak MB", "files", "MB")


def _row(unit: UnitReport) -> tuple[str, ...]:
    before = unit.state in {"committed", "empty"} and not unit.made_in_this_run
    return (
        unit.id,
        f"{unit.state} before" if before else unit.state,
        str(len(unit.attempts)),
        f"{unit.wall_s:.1f}",
        f"{unit.cpu_s:.1f}",
        f"{unit.max_rss_bytes / 1e6:.0f}",
        str(len(unit.files)),
        f"{sum(file.size for file in unit.files) / 1e6:.1f}",
    )


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Words to the left, numbers to the right. Without rich: its import would cost each job 0.4 s at its end."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number < _N_WORDS else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


_N_WORDS = 2
_MOST_ROWS = 40
