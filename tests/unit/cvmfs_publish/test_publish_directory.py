"""Publishing into a plain folder, and everything around a publish that all backends share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest

from cvmfs_publish import copying, state
from cvmfs_publish.exits import Exit, KitError
from tests.unit.cvmfs_publish.kit import FILES, describe, iod_publish, make_release

pytestmark = pytest.mark.allow_processes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder that is published into."""
    return tmp_path / "root"


def _everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
        if ".iod-publish" not in path.parts
    }


def test_a_release_arrives_whole(tmp_path: Path, root: Path) -> None:
    tree = make_release(tmp_path)
    (tree / "data/link.txt").symlink_to("table.txt")
    describe(tree)
    old_umask = os.umask(0o077)
    try:
        published = iod_publish("publish", tree, "--root", root, "--base", "lsst", "--json")
    finally:
        os.umask(old_umask)
    assert published.code == 0, published.err
    place = root / "lsst/toy/1.0/toy-1.0"
    assert _everything(place) == _everything(tree)
    assert (place / "data/link.txt").readlink() == Path("table.txt")
    for folder in (place, *list(place.parents)[:3]):
        assert folder.stat().st_mode & 0o777 == 0o755, folder
    assert (place / "data/table.txt").stat().st_mtime_ns == (tree / "data/table.txt").stat().st_mtime_ns
    assert published.document["path"] == "lsst/toy/1.0/toy-1.0"


def test_the_log_says_who_what_and_when(tmp_path: Path, root: Path) -> None:
    for version in ("1.0", "1.1"):
        tree = make_release(tmp_path, version=version)
        assert iod_publish("publish", tree, "--root", root, "-m", f"for {version}").code == 0
    lines = [json.loads(line) for line in iod_publish("list", "--log", "--json", "--root", root).out.splitlines()]
    assert [(line["action"], line["release"], line["revision"]) for line in lines] == [
        ("publish", "toy-1.0", 1),
        ("publish", "toy-1.1", 2),
    ]
    for line in lines:
        assert line["who"]
        assert line["time"].endswith("Z")
        assert len(line["digest"]) == 64
        assert line["message"] == f"for {line['release'][4:]}"


def test_the_same_again_is_done(tmp_path: Path, root: Path) -> None:
    tree = make_release(tmp_path)
    first = iod_publish("publish", tree, "--root", root, "--json").document
    before = _everything(root)
    again = iod_publish("publish", tree, "--root", root, "--json")
    assert again.code == 0
    assert again.document == first
    assert "published already" in again.err
    assert _everything(root) == before


def test_a_lost_line_of_the_log_is_written_again(tmp_path: Path, root: Path) -> None:
    tree = make_release(tmp_path)
    iod_publish("publish", tree, "--root", root)
    (root / ".iod-publish/releases.jsonl").unlink()
    again = iod_publish("publish", tree, "--root", root, "--json")
    assert again.code == 0
    assert again.document["message"] == "found published"
    assert iod_publish("publish", tree, "--root", root, "--json").document == again.document


def test_another_release_under_the_same_version_is_refused(tmp_path: Path, root: Path) -> None:
    iod_publish("publish", make_release(tmp_path / "a"), "--root", root)
    before = _everything(root)
    other = make_release(tmp_path / "b", files={**FILES, "README": "another\n"})
    refused = iod_publish("publish", other, "--root", root)
    assert refused.code == Exit.CONFLICT.code
    assert "1.0_1" in refused.err
    assert _everything(root) == before


def test_a_folder_that_is_no_release_is_not_written_over(tmp_path: Path, root: Path) -> None:
    (root / "toy/1.0").mkdir(parents=True)
    tree = make_release(tmp_path)
    assert iod_publish("publish", tree, "--root", root).code == 0  # an empty folder does not count
    (root / "toy/1.1").mkdir()
    (root / "toy/1.1/something").touch()
    refused = iod_publish("publish", make_release(tmp_path, version="1.1"), "--root", root)
    assert refused.code == Exit.CONFLICT.code
    assert (root / "toy/1.1/something").exists()


def test_what_fails_the_check_is_not_published(tmp_path: Path, root: Path) -> None:
    tree = make_release(tmp_path)
    os.mkfifo(tree / "pipe")
    refused = iod_publish("publish", tree, "--root", root)
    assert refused.code == Exit.CHECK_FAILED.code
    assert "iod-publish check" in refused.err
    assert not (root / "toy").exists()


def test_what_changes_after_the_check_is_not_published(tmp_path: Path, root: Path) -> None:
    tree = make_release(tmp_path)
    assert (
        iod_publish("check", tree).code == 0
    )  # leaves a receipt: publishing does not read the files for a check again
    (tree / "data/table.txt").write_text("1 2 4\n")
    refused = iod_publish("publish", tree, "--root", root)
    assert refused.code == Exit.SOURCE_UNUSABLE.code
    assert "table.txt" in refused.err
    assert not (root / "toy/1.0").exists()
    assert [path.name for path in (root / "toy").iterdir()] == []


def test_a_receipt_is_for_the_demands_it_was_given_under(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = make_release(tmp_path)
    opened: list[str] = []
    config = tmp_path / "kit.toml"
    config.write_text('[check]\nworkers = ["el8"]\n')
    assert iod_publish("check", tree).code == 0
    from cvmfs_publish import publishing

    real = publishing.check
    monkeypatch.setattr(publishing, "check", lambda *words: opened.append("full") or real(*words))
    assert iod_publish("publish", tree, "--root", root, "--dry-run").code == 0
    assert opened == []
    assert iod_publish("publish", tree, "--root", root, "--config", config).code == 0
    assert opened == ["full"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = make_release(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "table.txt")

    monkeypatch.setattr(copying, "_write", full)
    failed = iod_publish("publish", tree, "--root", root)
    assert failed.code == Exit.DISK_SHORT.code
    assert [path.name for path in (root / "toy").iterdir()] == []
    monkeypatch.undo()
    assert iod_publish("publish", tree, "--root", root).code == 0


def test_too_little_disk_is_said_before(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = make_release(tmp_path)
    real = os.statvfs

    def nearly_full(path: object) -> object:
        found = real(path)  # type: ignore[arg-type]
        return os.statvfs_result((found.f_bsize, found.f_frsize, 9, 9, 1, *found[5:]))

    monkeypatch.setattr(os, "statvfs", nearly_full)
    refused = iod_publish("publish", tree, "--root", root)
    assert refused.code == Exit.DISK_SHORT.code
    assert "free" in refused.err


def test_a_killed_copy_is_swept_away_by_the_next(tmp_path: Path, root: Path) -> None:
    tree = make_release(tmp_path)
    leftover = root / "toy/.iod-1.0-99999"
    (leftover / "toy-1.0").mkdir(parents=True)
    assert iod_publish("publish", tree, "--root", root).code == 0
    assert sorted(path.name for path in (root / "toy").iterdir()) == ["1.0"]


def test_a_signal_in_the_middle_leaves_nothing(tmp_path: Path, root: Path) -> None:
    """The source of the copy is a pipe that says nothing, so the copy can be stopped while it waits."""
    tree = make_release(tmp_path)
    assert iod_publish("check", tree).code == 0
    (tree / "data/table.txt").unlink()
    os.mkfifo(tree / "data/table.txt")
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        "import cvmfs_publish.checks.check as check\n"
        "from cvmfs_publish.cli import main\n"
        "check.Verdict.passed = property(lambda self: True)\n"  # the pipe itself would fail the check
        "sys.exit(main(sys.argv[1:]))\n"
    )
    started = subprocess.Popen(
        [sys.executable, str(script), "publish", str(tree), "--root", str(root)],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        text=True,
    )
    with started, (tree / "data/table.txt").open("wb"):  # returns once the copy has opened the other end
        started.send_signal(signal.SIGTERM)
        _, err = started.communicate()
    assert started.returncode == Exit.INTERRUPTED.code, err
    assert "SIGTERM" in err
    assert [path.name for path in (root / "toy").iterdir()] == []


def test_two_at_once(tmp_path: Path, root: Path) -> None:
    from cvmfs_publish.state import StateFolder

    tree = make_release(tmp_path)
    with StateFolder(root / ".iod-publish").locked():
        refused = iod_publish("publish", tree, "--root", root)
    assert refused.code == Exit.BUSY.code
    assert str(os.getpid()) in refused.err
    assert iod_publish("publish", tree, "--root", root).code == 0


def test_waiting_for_another_run(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other, real, tries = ExitStack(), state._taken, []

    def taken(lock: IO[str]) -> bool:
        if tries:
            other.close()
        tries.append(lock)
        return real(lock)

    other.enter_context(state.StateFolder(root / ".iod-publish").locked())
    monkeypatch.setattr(state, "_taken", taken)
    monkeypatch.setattr(state, "_TRY_AGAIN_S", 0.0)
    done = iod_publish("publish", make_release(tmp_path), "--root", root, "--wait", "600")
    assert (done.code, len(tries)) == (0, 2), done.err


def test_a_lock_of_another_account(tmp_path: Path, root: Path) -> None:
    (root / ".iod-publish/lock").mkdir(parents=True)
    refused = iod_publish("publish", make_release(tmp_path), "--root", root)
    assert refused.code == Exit.DENIED.code
    assert f"{root}/.iod-publish/lock: " in refused.err


def test_a_dry_run_writes_nothing(tmp_path: Path, root: Path) -> None:
    old = make_release(tmp_path)
    iod_publish("publish", old, "--root", root)
    new = make_release(
        tmp_path, version="1.1", files={**{k: v for k, v in FILES.items() if k != "README"}, "NEWS": "n\n"}
    )
    before = {str(path) for path in root.rglob("*")}
    said = iod_publish("publish", new, "--root", root, "--dry-run")
    assert said.code == 0
    assert {str(path) for path in root.rglob("*")} == before
    assert f"-> {root}/toy/1.1/toy-1.1" in said.out
    assert "against toy-1.0" in said.out
    lines = [line.strip() for line in said.out.splitlines()]
    assert "+ NEWS" in lines
    assert "- README" in lines
    assert "~ VERSION" in lines


def test_a_log_that_cannot_be_written_is_its_own_failure(tmp_path: Path, root: Path) -> None:
    tree = make_release(tmp_path)
    (root / ".iod-publish/releases.jsonl").mkdir(parents=True)
    failed = iod_publish("publish", tree, "--root", root)
    assert failed.code == Exit.RECORD_LOST.code
    assert "releases.jsonl" in failed.err
    assert (root / "toy/1.0/toy-1.0/release.json").exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("publish",), 10),
        (("publish", "x", "--nonsense"), 10),
        ((), 10),
        (("nonsense",), 10),
        (("publish", "."), 10),
        (("publish", ".", "--root", "r"), 13),
        (("publish", "/nonexistent", "--root", "r"), 13),
        (("publish", ".", "--backend", "stratum0"), 10),
        (("publish", ".", "--backend", "oasis"), 11),
        (("publish", ".", "--repository", "bad name"), 10),
        (("publish", ".", "--base", "../up", "--root", "r"), 10),
        (("publish", ".", "--tag", "a b", "--root", "r"), 10),
        (("publish", ".", "--config", "/nonexistent.toml"), 11),
        (("list",), 10),
        (("list", "--root", "/nonexistent"), 42),
    ],
)
def test_wrong_calls(words: tuple[str, ...], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = iod_publish(*words)
    assert ended.code == code, ended.err
    assert "Traceback" not in ended.err
    assert ended.err.startswith("ERROR: ")
    assert len(ended.err.splitlines()) == 1


def test_a_link_in_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    from cvmfs_publish.manifest import read_release

    tree = make_release(tmp_path)
    release = read_release(tree)
    (tree / "README").unlink()
    (tree / "README").symlink_to("/etc/passwd")
    with pytest.raises(KitError) as caught:
        copying.copy_release(tree, release, tmp_path / "copy")
    assert caught.value.exit is Exit.PUBLISH_FAILED
