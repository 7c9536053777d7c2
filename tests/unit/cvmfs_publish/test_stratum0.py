"""The backends `stratum0` and `gateway` against the stand-in: exact calls, every failure, and what is left after it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cvmfs_publish import catalogs, publishing
from cvmfs_publish.backends import cvmfs_server, preconditions, transaction
from cvmfs_publish.config import load_config
from cvmfs_publish.exits import Exit
from cvmfs_publish.state import StateFolder
from tests.cvmfs.stand_in import StandIn
from tests.unit.cvmfs_publish.kit import FILES, Ended, iod_publish, make_release

pytestmark = pytest.mark.allow_processes
ROOT = Path(__file__).parents[3]


def publish(server: StandIn, tree: Path, *words: object) -> Ended:
    """Publish through the stand-in."""
    return iod_publish("publish", tree, "--config", server.config, *words)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small release."""
    return make_release(tmp_path)


def _untouched(server: StandIn) -> bool:
    """Nothing is published, nothing is open."""
    return not server.facts()["in_transaction"] and server.facts()["revision"] == 1 and not list(server.mount.iterdir())


# ---------------------------------------------------------------- it works
def test_one_transaction_a_release(server: StandIn, tree: Path) -> None:
    done = publish(server, tree, "--tag", "toy-1.0", "--json")
    assert done.code == 0, done.err
    digest = done.document["digest"]
    assert server.changing_calls() == [
        "transaction REPO",
        f"publish -a toy-1.0 -m publish toy-1.0 sha256 {digest[:16]} REPO",
    ]
    place = server.mount / "lsst/toy/1.0"
    assert (place / ".cvmfscatalog").read_bytes() == b""
    assert (place / "toy-1.0/release.json").read_bytes() == (tree / "release.json").read_bytes()
    row = next(row for row in server.facts()["tags"] if row[0] == "toy-1.0")
    assert (done.document["revision"], done.document["root_hash"], done.document["tag"]) == (2, row[1], "toy-1.0")
    assert not server.facts()["in_transaction"]


def test_tags_are_unique(server: StandIn, tmp_path: Path) -> None:
    tags = []
    for version in ("1.0", "1.1"):
        done = publish(server, make_release(tmp_path, version=version), "--json")
        tags.append(done.document["tag"])
        server.change(tags=[*server.facts()["tags"], [f"{tags[-1][:-1]}x", "1" * 40, 0, 0, ""]])
    assert tags[0].startswith("toy-1.0-20")
    assert " " not in tags[0]
    server.change(tags=[*server.facts()["tags"], [tags[1].replace("1.1", "1.2"), "1" * 40, 0, 0, ""]])
    third = publish(server, make_release(tmp_path, version="1.2"), "--json")
    assert third.document["tag"] == tags[1].replace("1.1", "1.2") + "-2"


def test_bulk_folders_get_a_catalog(server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogs, "WORTH_ENTRIES", 9)
    spectra = {f"data/SEDs/{number:04}.txt": f"{number}\n" for number in range(10)}
    done = publish(server, make_release(tmp_path, files={**FILES, **spectra}))
    assert done.code == 0, done.err
    markers = sorted(str(path.relative_to(server.mount)) for path in server.mount.rglob(".cvmfscatalog"))
    assert markers == ["lsst/toy/1.0/.cvmfscatalog", "lsst/toy/1.0/toy-1.0/data/SEDs/.cvmfscatalog"]


def test_the_same_again_touches_nothing(server: StandIn, tree: Path) -> None:
    first = publish(server, tree, "--json").document
    server.forget_calls()
    again = publish(server, tree, "--json")
    assert (again.code, again.document) == (0, first)
    assert server.changing_calls() == []


def test_another_release_under_the_version_is_refused(server: StandIn, tree: Path, tmp_path: Path) -> None:
    publish(server, tree)
    server.forget_calls()
    other = make_release(tmp_path / "other", files={**FILES, "README": "other\n"})
    assert publish(server, other).code == Exit.CONFLICT.code
    assert server.changing_calls() == []


def test_a_dry_run_prints_the_exact_commands(server: StandIn, tree: Path) -> None:
    said = publish(server, tree, "--dry-run", "--tag", "toy-1.0", "-m", "it's new")
    assert said.code == 0
    assert server.changing_calls() == []
    mount, name = server.mount, server.repository
    lines = said.out.splitlines()
    assert lines[0] == f"$ cvmfs_server transaction {name}"
    assert lines[1].strip().endswith(f"-> {mount}/lsst/toy/1.0/toy-1.0")
    assert lines[2].strip() == f"touch {mount}/lsst/toy/1.0/.cvmfscatalog"
    assert lines[3] == f"$ cvmfs_server publish -a toy-1.0 -m 'it'\"'\"'s new' {name}"
    assert lines[4].endswith(f"$ cvmfs_server abort -f {name}")
    assert "  + data/table.txt" in lines
    for_programs = publish(server, tree, "--dry-run", "--tag", "toy-1.0", "-m", "it's new", "--json")
    assert for_programs.document["plan"] == lines


def test_a_gateway_leases_the_deepest_folder_that_is_there(server: StandIn, tmp_path: Path) -> None:
    for version, lease in (("1.0", ""), ("1.1", "/lsst/toy")):
        server.forget_calls()
        done = publish(server, make_release(tmp_path, version=version), "--backend", "gateway")
        assert done.code == 0, done.err
        assert server.changing_calls()[0] == f"transaction REPO{lease}"


# ---------------------------------------------------------------- it is refused, before or by the server
def test_busy(server: StandIn, tree: Path) -> None:
    server.change(in_transaction=True)
    refused = publish(server, tree)
    assert refused.code == Exit.BUSY.code
    assert "abort -f" in refused.err
    assert server.changing_calls() == []
    assert server.facts()["in_transaction"], "a transaction of somebody else must not be given up"


def test_a_second_publisher_in_the_last_moment(server: StandIn, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The preconditions held, but between them and the call somebody else has opened a transaction: exit code 17."""
    real = transaction.TransactionBackend.free_tag

    def free_tag(self: transaction.TransactionBackend, wanted: str) -> str | None:
        server.change(in_transaction=True)
        return real(self, wanted)

    monkeypatch.setattr(transaction.TransactionBackend, "free_tag", free_tag)
    refused = publish(server, tree)
    assert refused.code == Exit.BUSY.code
    assert "another transaction is already open" in refused.err
    assert server.changing_calls() == ["transaction REPO"], "no abort"
    assert server.facts()["in_transaction"]


def test_waiting_for_a_transaction_that_is_open_already(
    server: StandIn, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.change(in_transaction=True)
    said: list[str] = []

    def narrate(line: str) -> None:
        said.append(line)
        server.change(in_transaction=False)

    monkeypatch.setattr(publishing, "narrate", narrate)
    monkeypatch.setattr(publishing, "_ASK_AGAIN_S", 0.0)
    done = publish(server, tree, "--wait", "60")
    assert done.code == 0, done.err
    assert said[0].endswith("waiting")
    assert "abort -f REPO" not in server.changing_calls()


def test_waiting_for_another_publisher(server: StandIn, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def narrate(line: str) -> None:
        said.append(line)
        if "waiting" in line:
            server.change(in_transaction=False)

    real = transaction.TransactionBackend.free_tag

    def free_tag(self: transaction.TransactionBackend, wanted: str) -> str | None:
        server.change(in_transaction=True)
        return real(self, wanted)

    monkeypatch.setattr(transaction.TransactionBackend, "free_tag", free_tag)
    monkeypatch.setattr(publishing, "narrate", narrate)
    monkeypatch.setattr(cvmfs_server, "_ASK_AGAIN_S", 0.0)
    done = publish(server, tree, "--wait", "60")
    assert done.code == 0, done.err
    assert any("waiting" in line for line in said)


@pytest.mark.parametrize(("days", "says"), [(-1, "has expired"), (2, "good for 2 more days")])
def test_the_whitelist(days: int, says: str, server: StandIn, tree: Path) -> None:
    server.change(whitelist_days=days)
    refused = publish(server, tree)
    assert refused.code == Exit.WHITELIST_EXPIRED.code
    assert says in refused.err
    assert "resign" in refused.err
    assert _untouched(server)


def test_a_whitelist_that_expires_in_the_last_moment(
    server: StandIn, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preconditions, "state_problems", lambda *_: ())
    monkeypatch.setattr(preconditions, "whitelist_problems", lambda *_: ())
    server.change(whitelist_days=-1)
    refused = publish(server, tree)
    assert refused.code == Exit.WHITELIST_EXPIRED.code
    assert server.changing_calls() == ["transaction REPO"]
    assert _untouched(server)


def test_another_account(server: StandIn, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = server.home / "server.conf"
    settings.write_text("CVMFS_USER='lsstsw'\n")
    refused = publish(server, tree)
    assert refused.code == Exit.DENIED.code
    assert "runuser -u lsstsw" in refused.err
    settings.unlink()  # not readable: the server itself says no
    monkeypatch.setenv("STANDIN_USER", "nobody")
    refused = publish(server, tree)
    assert refused.code == Exit.DENIED.code
    assert "No write permission" in refused.err
    assert _untouched(server)


def test_an_unknown_repository(server: StandIn, tree: Path) -> None:
    refused = publish(server, tree, "--repository", "no.such.repo")
    assert refused.code == Exit.REPOSITORY_UNKNOWN.code
    assert server.repository in refused.err


def test_no_server_tools(server: StandIn, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert publish(server, tree).code == Exit.TOOL_MISSING.code


def test_all_that_is_not_ready_is_said(server: StandIn, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.change(in_transaction=True, whitelist_days=1)
    monkeypatch.chdir(server.mount)
    refused = publish(server, tree)
    assert len(refused.err.splitlines()) == 3
    assert "inside the repository" in refused.err
    assert all(line.startswith("ERROR: ") for line in refused.err.splitlines())


def test_too_little_disk_in_the_spool(server: StandIn, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preconditions, "_SPOOL_FACTOR", 1e15)
    refused = publish(server, tree)
    assert refused.code == Exit.DISK_SHORT.code
    assert str(server.home / "spool") in refused.err
    assert _untouched(server)


def test_too_few_open_files(server: StandIn, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 2048))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: raised.append(limits))
    refused = publish(server, tree)
    assert refused.code == Exit.NOT_READY.code
    assert "2048 files" in refused.err
    assert raised == [(2048, 2048)], "as far as it goes"


@contextmanager
def _process(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process with that command line, which waits."""
    code = "import sys; sys.stdout.write('.'); sys.stdout.flush(); sys.stdin.read()"
    command = [words[0], "-c", code, *words[1:]]
    started = subprocess.Popen(command, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with started:
        assert started.stdout is not None
        assert started.stdin is not None
        started.stdout.read(1)
        yield started
        started.stdin.close()


def test_garbage_collection_is_under_way(server: StandIn, tree: Path) -> None:
    with _process("cvmfs_swissknife", "gc", "-N", server.repository) as other:
        refused = publish(server, tree)
        assert refused.code == Exit.BUSY.code
        assert str(other.pid) in refused.err
    with _process("iod-publish", "verify", "--repository", server.repository), _process("cvmfs_swissknife", "gc", "x"):
        assert publish(server, tree).code == 0


def test_a_process_inside_the_mount_is_named(server: StandIn, tree: Path) -> None:
    code = "import os, sys; os.chdir(sys.argv[1]); print('there', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", code, str(server.mount)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        other.stdout.readline()
        done = publish(server, tree)
        other.stdin.close()
    assert done.code == 0
    assert str(other.pid) in done.err
    assert "60 s" in done.err


# ---------------------------------------------------------------- it fails in the middle
def test_a_tag_in_use(server: StandIn, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = server.tags()[0].replace(":", ".")
    server.change(tags=[[taken, "0" * 40, 1, 0, ""]])
    assert publish(server, tree, "--tag", taken).code == Exit.TAG_IN_USE.code
    assert server.changing_calls() == []
    # Somebody takes the tag in the last moment: the real server then stays in transaction.
    monkeypatch.setattr(transaction.TransactionBackend, "free_tag", lambda _, wanted: wanted)
    refused = publish(server, tree, "--tag", taken)
    assert refused.code == Exit.TAG_IN_USE.code
    assert f"Tag name '{taken}' is already in use." in refused.err
    assert server.changing_calls()[-1] == "abort -f REPO"
    assert _untouched(server)


def test_a_failing_publish_is_given_up(server: StandIn, tree: Path) -> None:
    server.plant("publish", "errno 13 on .cvmfscatalog")
    failed = publish(server, tree)
    assert failed.code == Exit.PUBLISH_FAILED.code
    assert "errno 13" in failed.err
    assert server.changing_calls()[0] == "transaction REPO"
    assert server.changing_calls()[-1] == "abort -f REPO"
    assert _untouched(server)
    assert publish(server, tree).code == 0


def test_a_failing_abort_is_a_failure_of_its_own(server: StandIn, tree: Path) -> None:
    server.plant("publish", "killed")
    server.plant("abort", "cannot load whitelist [expired whitelist]")
    failed = publish(server, tree)
    assert failed.code == Exit.STUCK.code
    assert "killed" in failed.err
    assert "runbook" in failed.err
    assert server.facts()["in_transaction"]


def test_a_transaction_that_does_not_close_is_given_up(server: StandIn, tree: Path) -> None:
    server.plant("stays-open", "yes")
    failed = publish(server, tree)
    assert failed.code == Exit.PUBLISH_FAILED.code
    assert "still in transaction" in failed.err
    assert server.changing_calls()[-1] == "abort -f REPO"
    assert not server.facts()["in_transaction"]


def test_a_copy_that_fails_is_given_up(server: StandIn, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert iod_publish("check", tree, "--config", server.config).code == 0
    (tree / "data/table.txt").write_text("1 2 4\n")
    failed = publish(server, tree)
    assert failed.code == Exit.SOURCE_UNUSABLE.code
    assert server.changing_calls() == ["transaction REPO", "abort -f REPO"]
    assert _untouched(server)


def _start(server: StandIn, tree: Path, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cvmfs_publish", "publish", str(tree), "--config", str(server.config), *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([str(word) for word in command], stderr=subprocess.PIPE, env=environment, text=True)


def _wait_for(path: Path, started: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert started.poll() is None, started.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_in_the_middle(number: signal.Signals, server: StandIn, tree: Path) -> None:
    server.plant("publish-waits", str(server.home))
    with _start(server, tree) as started:
        _wait_for(server.home / "begun", started)
        started.send_signal(number)
        _, err = started.communicate()
    assert started.returncode == Exit.INTERRUPTED.code, err
    assert number.name in err
    assert server.changing_calls()[-1] == "abort -f REPO"
    assert _untouched(server)
    (server.home / "begun").unlink()
    assert publish(server, tree).code == 0


def test_nobody_listens_any_more(server: StandIn, tree: Path) -> None:
    """As when the connection to the Stratum 0 is lost: what is open has to be given up all the same."""
    server.plant("publish", "errno 13")
    heard, said = os.pipe()
    os.close(heard)
    command = [sys.executable, "-m", "cvmfs_publish", "publish", str(tree), "--config", str(server.config)]
    try:
        done = subprocess.run(command, stderr=said, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    finally:
        os.close(said)
    assert done.returncode == Exit.PUBLISH_FAILED.code
    assert server.changing_calls()[-1] == "abort -f REPO"
    assert _untouched(server)


def test_without_anywhere_to_speak(server: StandIn, tree: Path) -> None:
    command = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", sys.executable, "-m", "cvmfs_publish", "publish", str(tree)]
    command += ["--config", str(server.config)]
    assert subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False).returncode == 0
    assert server.facts()["revision"] == 2


def test_a_killed_run_is_cleared_away_by_the_next(server: StandIn, tree: Path) -> None:
    server.plant("publish-waits", str(server.home))
    with _start(server, tree) as started:
        _wait_for(server.home / "begun", started)
        started.kill()
        started.communicate()
    assert server.facts()["in_transaction"]
    busy = publish(server, tree)  # what it had started is still at work
    assert busy.code == Exit.BUSY.code
    assert "is at work" in busy.err
    _end_orphans(server)
    done = publish(server, tree)
    assert done.code == 0, done.err
    assert "was killed" in done.err
    assert server.changing_calls()[-3] == "abort -f REPO"


def test_a_run_that_was_killed_before_its_transaction_owns_none(server: StandIn, tree: Path) -> None:
    """Its note says only that it was about to open one: the one that is open now may be somebody else's."""
    state = StateFolder(load_config(server.config).state_folder)
    state.note(transaction.OPENING, about="toy-1.0")
    server.change(in_transaction=True)
    assert publish(server, tree).code == Exit.BUSY.code
    assert server.changing_calls() == []
    state.note(transaction.OPEN, about="toy-1.0")
    assert publish(server, tree).code == 0
    assert server.changing_calls()[0] == "abort -f REPO"
    assert state.noted() == {}


def _end_orphans(server: StandIn) -> None:
    """End the stand-in that the killed run left behind, found by its command line."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if server.repository.encode() in words and any(word.endswith(b"/cvmfs_server") for word in words):
            os.kill(int(folder.name), signal.SIGKILL)
            while folder.exists() and (folder / "cmdline").read_bytes():
                time.sleep(0.01)


def test_a_run_that_was_killed_after_publishing_is_recorded_by_the_next(server: StandIn, tree: Path) -> None:
    publish(server, tree, "--tag", "toy-1.0")
    state = next(server.home.glob("state/**/releases.jsonl"))
    state.unlink()
    done = publish(server, tree, "--json")
    assert done.code == 0
    assert done.document["revision"] == 2
    assert len(state.read_text().splitlines()) == 1


def test_an_unhealthy_repository_mends_itself(server: StandIn, tree: Path) -> None:
    """After a reboot `list` says unhealthy, and the next transaction mounts again."""
    server.change(unhealthy=True)
    assert publish(server, tree).code == 0


# ---------------------------------------------------------------- what comes after
def test_switching_and_rolling_back(server: StandIn, tmp_path: Path) -> None:
    for version in ("1.0", "1.1"):
        assert publish(server, make_release(tmp_path, version=version)).code == 0
    config = ("--config", server.config)
    for version in ("1.0", "1.1"):
        server.forget_calls()
        assert iod_publish("current", "toy", version, *config).code == 0
        assert server.changing_calls() == ["transaction REPO", f"publish -m current toy-{version} REPO"]
        assert (server.mount / "lsst/toy/current").readlink() == Path(version)
    assert iod_publish("rollback", "toy", *config).code == 0
    assert (server.mount / "lsst/toy/current").readlink() == Path("1.0")
    log = [json.loads(line) for line in iod_publish("list", "--log", "--json", *config).out.splitlines()]
    assert [line["action"] for line in log] == ["publish", "publish", "current", "current", "rollback"]
    assert [line["revision"] for line in log] == [2, 3, 4, 5, 6]


def test_a_rollback_by_tag_shows_what_it_deletes(server: StandIn, tmp_path: Path) -> None:
    for version in ("1.0", "1.1", "1.2"):
        assert publish(server, make_release(tmp_path, version=version), "--tag", f"toy-{version}").code == 0
    server.forget_calls()
    config = ("--config", server.config)
    asked = iod_publish("rollback", "--tag", "toy-1.0", *config)
    assert asked.code == Exit.NEEDS_YES.code
    shown = [line.split()[2] for line in asked.out.splitlines() if line.startswith("deletes tag")]
    assert sorted(shown) == ["toy-1.1", "toy-1.2"]
    assert f"cvmfs_server rollback -f -t toy-1.0 {server.repository}" in asked.out
    assert server.changing_calls() == []
    planned = iod_publish("rollback", "--tag", "toy-1.0", "--dry-run", "--json", *config)
    assert planned.document["plan"] == asked.out.splitlines()
    done = iod_publish("rollback", "--tag", "toy-1.0", "--yes", "--json", *config)
    assert done.code == 0, done.err
    assert done.document["deleted_tags"] == shown
    assert "deletes tag toy-1.2" in done.err
    assert server.changing_calls() == ["rollback -f -t toy-1.0 REPO"]
    assert "toy-1.1" not in server.tags()
    line = json.loads(iod_publish("list", "--log", "--json", *config).out.splitlines()[-1])
    assert (line["action"], line["revision"], sorted(line["deleted_tags"])) == (
        "rollback-tag",
        5,
        ["toy-1.1", "toy-1.2"],
    )
    assert iod_publish("rollback", "--tag", "none", *config).code == Exit.NOT_PUBLISHED.code
