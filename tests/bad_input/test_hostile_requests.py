"""Requests that somebody wrote to do harm: each is refused with one line and its code, or taken for what it says."""

from __future__ import annotations

import gzip
import json
import os
from typing import Any

import pytest

from tests.bad_input.sandbox import SECRET, Answer, Sandbox
from tests.bad_input.test_fuzz_requests import SPEC
from tests.unit.instance_catalog.conftest import HEADER, STAR
from tests.whole_job.bench import Bench
from tests.whole_job.sky import one_star
from transformation.model.failures import Failure

SHELL = ["$(touch pwned)", "`touch pwned`", "x;touch pwned", "x|touch pwned", "x&&touch pwned", "$(HOME)", "${IFS}x"]
LEADING_OUT = "../outside/secret.txt"


def plan(sandbox: Sandbox, program: str = "lsst-trf", **changes: object) -> Answer:
    """What `plan`, or `iod check`, says of a job with these changes."""
    spec = {"schema_version": 1, "name": "n", "user": "u", "sensors": "R22_S11", "catalogs": ["sky.txt"]}
    sandbox.put("job.json", json.dumps({**spec, "release": "quicksim-tiny-1.0", **changes}))
    if not (sandbox.here / "sky.txt").exists():
        sandbox.put("sky.txt", HEADER + STAR)
    words = ["plan", "--job", "job.json"] if program == "lsst-trf" else ["check", "--deep", "job.json"]
    answer = sandbox.check(program, *words)
    assert SECRET not in answer.out + answer.err
    assert not list(sandbox.root.rglob("pwned"))
    return answer


def said(answer: Answer) -> tuple[int, str]:
    """The code and its one line."""
    (line,) = answer.err.splitlines()
    return answer.code, line


@pytest.mark.parametrize("program", ["lsst-trf", "iod"])
@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", LEADING_OUT, "a/../../outside/secret.txt"])
def test_an_include_that_leads_out(sandbox: Sandbox, program: str, name: str) -> None:
    sandbox.put("sky.txt", HEADER + f"includeobj {name}\n".encode() + STAR)
    answer = plan(sandbox, program)
    assert answer.code == Failure.PATH_REFUSED.code
    assert "PATH_REFUSED" in answer.said


def test_an_include_of_a_link_that_leads_out(sandbox: Sandbox) -> None:
    (sandbox.here / "more.txt").symlink_to(sandbox.outside / "secret.txt")
    sandbox.put("sky.txt", HEADER + b"includeobj more.txt\n")
    assert said(plan(sandbox))[0] == Failure.PATH_REFUSED.code


@pytest.mark.parametrize("program", ["lsst-trf", "iod"])
@pytest.mark.parametrize(
    "pattern", ["(R|R2|R22|_|S|1|[A-Z0-9_]+)+x", "(.*)*(.*)*(.*)*(.*)*(.*)*x", "((((R22_S11)?)*)+)*x"]
)
def test_a_sensor_pattern_that_explodes(sandbox: Sandbox, program: str, pattern: str) -> None:
    """Whether the matcher ends by itself or has to be stopped, it is over soon, and no sensor matches."""
    answer = plan(sandbox, program, sensors=pattern)
    assert answer.code in {Failure.SENSOR_PATTERN_INVALID.code, Failure.NO_SENSOR_MATCHES.code}, answer
    assert "'sensors'" in answer.said


def _places(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where texts stand in a spec."""
    match document:
        case dict():
            return [place for key, one in document.items() for place in _places(one, (*at, key))]
        case list():
            return [place for number, one in enumerate(document) for place in _places(one, (*at, number))]
        case str():
            return [at]
        case _:
            return []


@pytest.mark.parametrize("place", _places(SPEC), ids=lambda place: ".".join(map(str, place)))
def test_words_for_a_shell_in_every_field(sandbox: Sandbox, place: tuple[Any, ...]) -> None:
    """Refused, where they cannot be meant; only a comment, and a folder to write to, may be called anything."""
    for text in SHELL:
        sandbox.clear()
        spec = json.loads(json.dumps(SPEC))
        spec["catalogs"] = ["sky.txt"] if place[0] != "catalogs" else spec["catalogs"]
        holder = spec
        for step in place[:-1]:
            holder = holder[step]
        holder[place[-1]] = text
        if place[:1] != ("options",):
            del spec["options"]
        if place[:1] != ("commands",):
            del spec["commands"]
        answer = plan(sandbox, **spec)
        if place in {("comment",), ("output", "base", 0), ("output", "base", 1)}:
            assert answer.code == 0, answer
        else:
            code, line = said(answer)
            assert 10 <= code < 40, answer
            assert line.startswith("ERROR: ")


def test_a_job_takes_shell_words_for_what_they_say(bench: Bench) -> None:
    """To its end, with real processes: nothing is run, and the images stand in the folder of that name."""
    odd = "a $(touch pwned) `touch pwned` ;touch pwned; b"
    sky = bench.write(f"{odd}.txt", one_star())
    base = bench.folder / odd
    outcome = bench.run_job(bench.spec(catalogs=[sky.name], comment=odd, output={"base": str(base)}), store=base)
    assert outcome.exit_code == 0, outcome.stderr
    assert len(outcome.images) == 1
    assert not list(bench.folder.rglob("pwned"))


@pytest.mark.parametrize("program", ["lsst-trf", "iod"])
def test_a_catalog_that_is_a_bomb(sandbox: Sandbox, program: str) -> None:
    sandbox.put("sky.txt", gzip.compress(HEADER + STAR * 3_000_000, 9))
    answer = plan(sandbox, program, limits={"max_unpacked_mb": 50})
    assert answer.code == Failure.CATALOG_TOO_LARGE.code, answer
    assert "CATALOG_TOO_LARGE" in answer.said


def test_command_files_that_are_bombs(sandbox: Sandbox) -> None:
    """Command files are never unpacked; one that is too large is not read to its end, and a pipe not at all."""
    sandbox.put("packed.txt", gzip.compress(b"zenith_v 22\n" * 1_000_000))
    sandbox.put("large.txt", b"zenith_v 22\n" * 100_000)
    os.mkfifo(sandbox.here / "pipe.txt")
    for name in ("packed.txt", "large.txt", "/dev/zero", "pipe.txt"):
        code, line = said(plan(sandbox, commands=[name]))
        assert code == Failure.COMMANDS_INVALID.code, line
        assert "COMMANDS_INVALID" in line


@pytest.mark.parametrize("location", ["/dev/zero", "/dev/stdin", "/dev", "."])
def test_a_catalog_that_is_no_file(sandbox: Sandbox, location: str) -> None:
    code, line = said(plan(sandbox, catalogs=[location]))
    assert code == Failure.CATALOG_MISSING.code, line


def test_the_watch_sees_what_is_written_outside(sandbox: Sandbox) -> None:
    """Of a command that is told to: without this, no test here would mean much."""
    answer = sandbox.run("hooks", "pack", "../outside/hooks.pyz")
    assert any(line.startswith("open writes") and "hooks.pyz" in line for line in answer.strange), answer
    (sandbox.outside / "hooks.pyz").unlink()
