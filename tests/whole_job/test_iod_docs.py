"""What the documentation shows of `iod` runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.whole_job.iod import Iod

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text()
    return [found["text"] for found in BLOCK.finditer(text) if found["language"] == language]


def test_the_commands_of_the_how_to_run(iod: Iod) -> None:
    (iod.bench.folder / "examples").symlink_to(ROOT / "examples")
    iod.configure('user = "tonyj"\noutput = "store"\n')
    lines = [line for block in blocks("how-to/submit-with-iod.md", "sh") for line in block.splitlines()]
    assert len(lines) == 4
    for line in lines:
        program, *words = shlex.split(line.replace("quicksim-1.0", iod.bench.release.name))
        assert program == "iod"
        assert iod.run(*words).stdout
    assert iod.wait("tonyj-ImsimOnDemand-00001")["state"] == "done"


def test_the_program_of_the_reference_runs(iod: Iod) -> None:
    (text,) = blocks("reference/iod.md", "python")
    iod.bench.write_spec()
    done = subprocess.run(
        [sys.executable, "-c", text],
        cwd=iod.bench.folder,
        env=iod.environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.decode().strip() in {"waiting", "running", "done"}, done.stderr
