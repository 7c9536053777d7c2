"""What commands say, and to whom: people at a terminal, pipes, programs that want JSON. The only module that prints."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from io import TextIOWrapper

import msgspec

from site_configs.plain_text import plain
from submitter.troubles import IodError, Trouble
from transformation.telling import tell

_STYLES = {"bold": "1", "faint": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_PLAIN_WIDTH = 100


class Screen:
    """Where a command writes. With `as_json` stdout gets one document, and nothing is asked."""

    def __init__(self, *, as_json: bool = False) -> None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                # A name that is not UTF-8 must not end a command that only wanted to print it.
                stream.reconfigure(errors="backslashreplace")
        self.as_json = as_json
        self.is_terminal = sys.stdout.isatty()
        self.can_ask = not as_json and sys.stdin.isatty() and self.is_terminal
        self.has_colour = self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.is_unicode = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"

    @property
    def width(self) -> int:
        """Columns that a line may take."""
        return shutil.get_terminal_size((_PLAIN_WIDTH, 24)).columns if self.is_terminal else _PLAIN_WIDTH

    def say(self, *lines: str) -> None:
        """Lines for a person; nothing where a document is wanted."""
        if not self.as_json:
            sys.stdout.writelines(f"{line}\n" for line in lines)

    def note(self, line: str) -> None:
        """A line beside the output proper."""
        tell(line, sys.stderr)

    def emit(self, document: object) -> None:
        """The one JSON document."""
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n")

    def clear(self) -> None:
        """Begin again at the top of the terminal."""
        sys.stdout.write("\x1b[H\x1b[2J")

    def flush(self) -> None:
        """Let everything out."""
        sys.stdout.flush()

    def style(self, text: str, *names: str) -> str:
        """The text in colours, where those are wanted."""
        if not self.has_colour or not names:
            return text
        return f"\x1b[{';'.join(_STYLES[name] for name in names)}m{text}\x1b[0m"

    def confirm(self, question: str, *, yes: bool) -> None:
        """Go on only with a yes. Raises `IodError` NOT_CONFIRMED, also where nobody can answer."""
        if yes:
            return
        if not self.can_ask:
            raise IodError(Trouble.NOT_CONFIRMED, f"nobody is there to answer: {question}")
        if self.ask(f"{question} [y/N] ").strip().lower() not in {"y", "yes"}:
            raise IodError(Trouble.NOT_CONFIRMED, "it was not confirmed")

    def ask(self, prompt: str) -> str:
        """A line from the terminal. Raises `IodError` NOT_CONFIRMED at its end."""
        self.flush()
        try:
            return input(prompt)
        except EOFError:
            raise IodError(Trouble.NOT_CONFIRMED, "no answer") from None

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[str]], right: frozenset[int] = frozenset()) -> None:
        """Aligned columns of texts from anywhere; the last one is cut at the width of a terminal, never in a pipe."""
        lines = [tuple(heads), *(tuple(plain(cell).replace("\n", " ") for cell in row) for row in rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for number, line in enumerate(lines):
            cells = [
                cell.rjust(width) if at in right else cell.ljust(width)
                for at, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            text = "  ".join(cells).rstrip()
            text = text[: self.width] if self.is_terminal else text
            self.say(self.style(text, "bold") if number == 0 else text)


# ---------------------------------------------------------------- numbers for people
def duration(seconds: float) -> str:
    """`2.1 h`."""
    unit, length_s = ("h", 3600.0) if seconds >= 3600.0 else ("min", 60.0) if seconds >= 60.0 else ("s", 1.0)
    return f"{seconds / length_s:,.1f} {unit}"


def duration_range(low_s: float, mid_s: float, high_s: float) -> str:
    """`2.1 h (1.4 to 3.1)`."""
    unit, length_s = ("h", 3600.0) if mid_s >= 3600.0 else ("min", 60.0) if mid_s >= 60.0 else ("s", 1.0)
    low, mid, high = (f"{seconds / length_s:,.1f}" for seconds in (low_s, mid_s, high_s))
    return f"{mid} {unit} ({low} to {high})"


def size(n_bytes: float) -> str:
    """`27.1 MB`."""
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= length:
            return f"{n_bytes / length:,.1f} {unit}"
    return f"{n_bytes:,.0f} bytes"


def moment(seconds: float) -> str:
    """Local time, to the minute."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def iso(seconds: float | None) -> str | None:
    """For programs: UTC, ISO 8601."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def count(number: int, noun: str) -> str:
    """`9 sensors`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
