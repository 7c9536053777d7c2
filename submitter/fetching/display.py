"""A fetch before a person's eyes: a bar on a terminal, a line now and then in a pipe, nothing beside a document."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from submitter.fetching.meter import Progress
from submitter.fetching.one_file import Fetched
from submitter.screen import Screen, duration, size

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

_LINE_EVERY_S = 5.0


class Display(Protocol):
    """Is shown every file that is over."""

    def show(self, progress: Progress, fetched: Fetched) -> None:
        """One more is over."""


@contextmanager
def display_on(screen: Screen) -> Iterator[Display]:
    """What fits the screen."""
    if screen.as_json:
        yield _Nothing()
    elif not screen.is_terminal:
        yield _Lines(screen)
    else:
        bars = _bars(screen)
        with bars:
            yield _Bar(bars)


class _Nothing:
    def show(self, progress: Progress, fetched: Fetched) -> None:
        """See `Display.show`."""


class _Lines:
    """For pipes and logs."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._shown_s = time.monotonic()

    def show(self, progress: Progress, fetched: Fetched) -> None:
        """See `Display.show`."""
        del fetched
        now_s = time.monotonic()
        if now_s - self._shown_s >= _LINE_EVERY_S or progress.n_done == progress.n_files:
            self._shown_s = now_s
            self._screen.say(line_of(progress))
            self._screen.flush()


class _Bar:
    """For terminals."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task = bars.add_task("", total=None, files="", rate="", left="")

    def show(self, progress: Progress, fetched: Fetched) -> None:
        """See `Display.show`."""
        del fetched
        self._bars.update(
            self._task,
            total=max(1, progress.total_bytes),
            completed=progress.done_bytes,
            files=f"{progress.n_done:,}/{progress.n_files:,} files",
            rate=f"{size(progress.bytes_per_s)}/s",
            left="" if progress.eta_s is None else f"{duration(progress.eta_s)} left",
        )


def _bars(screen: Screen) -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bars

    console = Console(file=sys.stdout, no_color=not screen.has_colour, width=screen.width)
    words = [TextColumn("{task.fields[" + name + "]}") for name in ("files", "rate", "left")]
    return Bars(BarColumn(), TaskProgressColumn(), *words, console=console)


def line_of(progress: Progress) -> str:
    """`12/34 files, 9.6 MB of 27.2 MB, 4.1 MB/s, 4.3 s left`."""
    words = [
        f"{progress.n_done:,}/{progress.n_files:,} files",
        f"{size(progress.done_bytes)} of {size(progress.total_bytes)}",
        f"{size(progress.bytes_per_s)}/s",
    ]
    if progress.eta_s is not None and progress.n_done < progress.n_files:
        words.append(f"{duration(progress.eta_s)} left")
    return ", ".join(words)
