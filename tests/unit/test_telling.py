"""Lines that cannot be written: the program goes on, and its exit code stays its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from transformation.telling import tell

SCRIPT = """
import sys
from transformation.telling import tell
for number in range(3):
    tell(f"line {number}", sys.stdout)
    tell(f"line {number}", sys.stderr)
sys.exit(42)
"""


def test_lines_are_written_at_once() -> None:
    stream = io.StringIO()
    tell("one", stream)
    tell("two", stream)
    assert stream.getvalue() == "one\ntwo\n"


@pytest.mark.allow_processes
@pytest.mark.parametrize("place", ["full disk", "closed pipe"])
def test_the_exit_code_survives_streams_that_take_nothing(place: str) -> None:
    if place == "full disk":
        full = Path("/dev/full").open("wb")  # noqa: SIM115 - closed below
    else:
        reader, writer = os.pipe()
        os.close(reader)
        full = os.fdopen(writer, "wb")
    with full:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], stdout=full, stderr=full, check=False, cwd=Path(__file__).parents[2]
        )
    assert done.returncode == 42


def test_a_line_that_was_lost_does_not_come_later(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as stream:
        good = os.dup(stream.fileno())
        with Path("/dev/full").open("wb") as full:
            os.dup2(full.fileno(), stream.fileno())
        tell("lost", stream)
        os.dup2(good, stream.fileno())
        os.close(good)
        tell("kept", stream)
    assert (tmp_path / "out").read_text() == "kept\n"


@pytest.mark.allow_processes
def test_a_stream_that_the_caller_has_closed_is_nobodys(tmp_path: Path) -> None:
    script = "import os, sys; from transformation.telling import open_closed_streams, tell; open_closed_streams()"
    script += f"; first = os.open({str(tmp_path / 'first')!r}, os.O_CREAT); [os.write(n, b'x') for n in (1, 2)]"
    script += (
        "; tell('one', sys.stdout); tell('two', sys.stderr); sys.exit(40 + first if sys.stdin.read() == '' else 9)"
    )
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", script],
        check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 43
    assert (tmp_path / "first").read_bytes() == b""
