"""The stand-in against the recorded calls of the real `cvmfs_server`, and the kit's reading of both."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from cvmfs_publish.backends.preconditions import state_problems
from cvmfs_publish.backends.words import explain, state_in, tags_in, whitelist_days_in
from cvmfs_publish.exits import Exit
from cvmfs_publish.processes import Finished
from tests.cvmfs.stand_in import HERE, StandIn

pytestmark = pytest.mark.allow_processes
NAME = "test.example.org"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A recorded call."""

    words: tuple[str, ...]
    out: str
    err: str
    code: int
    user: str = ""

    @property
    def finished(self) -> Finished:
        """As the kit would have seen it."""
        return Finished(("cvmfs_server", *self.words), self.code, self.out, self.err)


def _recorded() -> list[Call]:
    calls = []
    for block in (HERE / "transcript.txt").read_text().split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        if not lines or not lines[0].startswith("$ ") or not lines[-1].startswith("rc="):
            continue
        before, _, words = lines[0][2:].partition("cvmfs_server ")
        user = re.search(r"runuser -u (\w+)", before)
        out, err = (
            "".join(f"{line[5:]}\n" for line in lines if line.startswith(f"{stream}| ")) for stream in ("out", "err")
        )
        calls.append(
            Call(
                words=tuple(words.split()),
                out=out,
                err=err,
                code=int(lines[-1][3:]),
                user=user.group(1) if user else "",
            )
        )
    return calls


RECORDED = _recorded()


def _first(*words: str, code: int | None = None, saying: str = "") -> Call:
    return next(
        call
        for call in RECORDED
        if call.words[: len(words)] == words and code in (None, call.code) and saying in call.out + call.err
    )


def _masked(text: str) -> list[str]:
    text = re.sub(r"\b[0-9a-f]{40}\b", "HASH", text)
    text = re.sub(r"generic-\S+?Z(-\d+)?(?=['\s]|$)", "generic-TIME", text, flags=re.MULTILINE)
    text = re.sub(r"(?<=HASH) \d+ \d+ \d+ ", " SIZE REVISION TIME ", text)
    text = re.sub(r"another \d+ days", "another N days", text)
    text = re.sub(r"(removed tag generic-TIME) *", r"\1 ", text)
    return [line.strip() for line in text.splitlines()]


def _run(server: StandIn, call: Call) -> tuple[list[str], list[str], int]:
    words = [word.replace(NAME, server.repository) for word in call.words]
    if words[-2:] == ["tag", server.repository]:  # the record shows a tag with a blank without its quotes
        words[1:4] = ["-a", "bad tag"]
    done = subprocess.run([str(HERE / "cvmfs_server"), *words], capture_output=True, text=True)
    plain = [text.replace(server.repository, NAME) for text in (done.stdout, done.stderr)]
    return _masked(plain[0]), _masked(plain[1]), done.returncode


OPEN = {"in_transaction": True}
CASES = {
    "list": (_first("list"), {}),
    "publish, none open": (_first("publish", code=1, saying="not in a transaction"), {}),
    "abort, none open": (_first("abort"), {}),
    "transaction": (_first("transaction", code=0), {}),
    "list, open": (_first("list", saying="in transaction"), OPEN),
    "transaction, open": (_first("transaction", code=17), OPEN),
    "publish": (_first("publish", "-a", code=0), OPEN),
    "tag with a blank": (_first("tag", "-a"), {}),
    "publish, tag in use": (
        _first("publish", "-a", code=1),
        {**OPEN, "tags": [["tr-1.0", "0" * 40, 1, 0, ""]]},
    ),
    "no such repository": (_first("transaction", code=1, saying="Unable"), {}),
    "another user": (_first("transaction", code=1, saying="Permission"), {}),
    "list, expired": (_first("list", saying="whitelist expired"), {"whitelist_days": -1}),
    "transaction, expired": (_first("transaction", code=5), {"whitelist_days": -1}),
    "resign": (_first("resign", "-f", NAME), {"whitelist_days": -1}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_stand_in_says_what_the_real_one_said(name: str, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    call, facts = CASES[name]
    server.change(**facts)
    monkeypatch.setenv("STANDIN_USER", server.facts()["owner"] if call.user in ("", "lsstsw") else call.user)
    assert _run(server, call) == (_masked(call.out), _masked(call.err), call.code)


def test_tags_and_a_rollback(server: StandIn) -> None:
    """The same revisions as in the record: a named one and two others after it."""
    rows = [["tr-1.0", "a" * 40, 11, 0, "first"], ["generic-2026-11-22T08:33:40Z", "b" * 40, 12, 0, ""]]
    rows.append(["generic-2026-11-22T08:33:42Z", "c" * 40, 13, 0, ""])
    (server.home / "revisions/11").mkdir()
    server.change(tags=rows, revision=13)
    inspect = _first("tag", "-i")
    assert _run(server, inspect) == (_masked(inspect.out), _masked(inspect.err), 0)
    call = _first("rollback")
    assert _run(server, call) == (_masked(call.out), [], 0)
    listed = _first("tag", "-l", saying="14 1795336425")
    out, _, _ = _run(server, listed)
    assert out == _masked(listed.out)[:2]
    assert server.facts()["revision"] == 14


def test_an_ingestion(server: StandIn, tmp_path: Path) -> None:
    missing = _first("ingest", code=1)
    out, err, code = _run(server, missing)
    assert code == 1
    assert out == _masked(missing.out)[:2]
    assert err[:4] == _masked(missing.err)[:4]
    import tarfile

    tarball = tmp_path / "tt.tar"
    tarfile.open(tarball, "w").close()
    good = _first("ingest", "-c", code=0)
    call = Call(words=("ingest", "-c", "-t", str(tarball), "-b", "tr", NAME), out="", err="", code=0)
    assert _run(server, call) == (_masked(good.out), _masked(good.err), 0)


# ---------------------------------------------------------------- what the kit understands
def test_the_kit_reads_the_states() -> None:
    states = [state_in(call.out, NAME) for call in RECORDED if call.words == ("list",)]
    assert [(state.in_transaction, state.whitelist_expired) for state in states if state] == [
        *((False, False), (True, False), (False, False), (True, False), (False, False), (False, True)),
    ]
    replica = state_in(RECORDED[0].out, f"s1.{NAME}")
    assert replica is not None
    assert not replica.is_stratum0
    assert state_in(RECORDED[0].out, "example.org") is None


def test_a_whitelist_that_the_web_server_does_not_give() -> None:
    state = state_in(f"{NAME} (stratum0 / local - whitelist unreachable)\n", NAME)
    assert state is not None
    assert [problem.exit for problem in state_problems(state, NAME)] == [Exit.NOT_READY]


def test_the_kit_reads_tags_and_days() -> None:
    tags = tags_in(_first("tag", "-l").out)
    assert len(tags) == 13
    assert [(tag.name, tag.revision, tag.description) for tag in tags[:2]] == [
        ("tr-1.0", 11, "first"),
        ("trunk", 11, "current HEAD"),
    ]
    assert tags[0].root_hash == "e06c0e3916b12a5bec41955fdb683c2a974e5fa4"
    assert [tag.name for tag in tags if tag.is_head] == ["trunk", "trunk-previous"]
    assert whitelist_days_in(_first("info").out) == 3649
    assert whitelist_days_in("Whitelist is expired") is None


@pytest.mark.parametrize(
    ("call", "exit_"),
    [
        pytest.param(_first("transaction", code=17), Exit.BUSY, id="busy"),
        pytest.param(_first("transaction", code=5), Exit.WHITELIST_EXPIRED, id="expired"),
        pytest.param(_first("transaction", saying="Permission"), Exit.DENIED, id="denied"),
        pytest.param(_first("transaction", saying="Unable"), Exit.REPOSITORY_UNKNOWN, id="unknown"),
        pytest.param(_first("publish", "-a", code=1), Exit.TAG_IN_USE, id="tag"),
        pytest.param(_first("publish", saying="not in a transaction"), Exit.REPOSITORY_BROKEN, id="not-open"),
        pytest.param(_first("ingest", code=1), Exit.PUBLISH_FAILED, id="ingest"),
    ],
)
def test_the_kit_understands_failures(call: Call, exit_: Exit) -> None:
    error = explain(call.finished)
    assert error.exit is exit_
    assert f"ended with {call.code}" in error.what
    assert "eval: [[" not in error.what, "the line that means nothing"
