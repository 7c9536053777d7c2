"""Runs our programs on bad input, and says what must hold whatever they were given."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from submitter.troubles import Trouble
from transformation.model.failures import Failure

LIMIT_S = 60.0
"""Nothing in a case takes a second; a busy machine must not be taken for a hang."""
SECRET = "the-secret-of-somebody-else"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_GOOD_CODES = {0} | {row.code for row in (*Failure, *Trouble) if row.name != "INTERNAL_ERROR"}
LONGEST_LINE = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a program ended."""

    code: int
    out: str
    err: str
    strange: list[str]
    """What it did outside of its folders."""

    @property
    def said(self) -> str:
        """The last line of stderr: what the pilot shows."""
        return (self.err.strip().splitlines() or [""])[-1]


@dataclass(kw_only=True)
class Sandbox:
    """A folder for one case after the other; beside it lies what nobody may touch."""

    root: Path
    releases: Path
    process: subprocess.Popen[bytes]
    answers: IO[bytes]
    env: dict[str, str] = field(default_factory=dict)

    @property
    def here(self) -> Path:
        """The case's own folder; the program's current one."""
        return self.root / "case"

    @property
    def outside(self) -> Path:
        """A folder with somebody else's file in it."""
        return self.root / "outside"

    def clear(self) -> None:
        """An empty folder for the next case."""
        shutil.rmtree(self.here, ignore_errors=True)
        for folder in (self.here / "home", self.here / "tmp", self.root / "notes", self.outside):
            folder.mkdir(parents=True, exist_ok=True)
        (self.outside / "secret.txt").write_text(SECRET)

    def put(self, name: str, content: str | bytes) -> Path:
        """A file in the case's folder."""
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
        return path

    def run(
        self, program: str, *words: str, stdin: bytes = b"", env: Mapping[str, str] | None = None, reads: bool = False,
        limit_s: float = LIMIT_S,
    ) -> Answer:  # fmt: skip
        """Run it. `reads`: the case may name files outside as its own input."""
        home = str(self.here / "home")
        case = {
            "program": program,
            "words": words,
            "stdin": base64.b64encode(stdin).decode(),
            "cwd": str(self.here),
            "env": {
                "PATH": "/usr/bin:/bin",
                "HOME": home,
                "TMPDIR": str(self.here / "tmp"),
                "IOD_RELEASES": str(self.releases),
                **self.env,
                **(env or {}),
            },
            "writable": [str(self.here)],
            "unreadable": [] if reads else [str(self.outside), "/etc/passwd", "/etc/shadow"],
            "notes": str(self.root / "notes"),
            "limit_s": limit_s,
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(case).encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.answers.readline())
        return Answer(code=answer["code"], out=answer["out"], err=answer["err"], strange=answer["strange"].splitlines())

    def check(self, program: str, *words: str, **more: object) -> Answer:
        """Run it, and hold it to what must be true of every run."""
        answer = self.run(program, *words, **more)  # type: ignore[arg-type]
        check(answer)
        assert [path.name for path in self.outside.iterdir()] == ["secret.txt"]
        assert (self.outside / "secret.txt").read_text() == SECRET
        return answer


def check(answer: Answer) -> None:
    """No traceback, no hang, nothing outside of its folders; a code of the table and one clear line."""
    everything = f"exit {answer.code}\n{answer.out[-500:]}\n{answer.err[-2500:]}\n" + "\n".join(answer.strange[:5])
    assert answer.code in _GOOD_CODES, everything
    assert "Traceback" not in answer.out + answer.err, everything
    assert "INTERNAL_ERROR: " not in answer.out + answer.err, everything
    assert not answer.strange, everything
    if answer.code:
        assert answer.said.startswith("ERROR: ") or (answer.out and not answer.err), everything
    assert all(len(line) <= LONGEST_LINE for line in answer.err.split("\n")), everything
    assert not _CONTROL.search(answer.err + answer.out), everything


def open_sandbox(root: Path, releases: Path) -> Sandbox:
    """A sandbox with its warm process; to be closed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bad_input.warm_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    sandbox = Sandbox(root=root, releases=releases, process=process, answers=process.stdout)
    sandbox.clear()
    return sandbox


def close_sandbox(sandbox: Sandbox) -> None:
    """End its process."""
    assert sandbox.process.stdin is not None
    sandbox.process.stdin.close()
    sandbox.process.wait()
    sandbox.answers.close()


def lines_of(words: Sequence[str]) -> str:
    """Words as lines of a file."""
    return "".join(f"{word}\n" for word in words)
