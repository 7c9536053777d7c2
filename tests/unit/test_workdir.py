"""The work folder: its lock, its scratch, and files that are replaced whole."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.samples import failure_of, file_size_limit, unit
from transformation.model.failures import Failure, JobError
from transformation.workdir import VisitDir, WorkDir, open_workdir, write_whole


def refused(root: Path) -> tuple[Failure, str]:
    with pytest.raises(JobError) as caught:
        open_workdir(root, None)
    return failure_of(caught.value)


def test_a_missing_folder_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    workdir, lock = open_workdir(Path("a/b"), None)
    os.close(lock)
    assert workdir.root == tmp_path / "a/b"
    assert workdir.scratch == tmp_path / "a/b/scratch"
    assert (workdir.report.name, workdir.error_report.name) == ("jobReport.json", "payload_error_report.json")


@pytest.mark.parametrize("name", ["my jobs", "it's", "a$HOME", "a;b"])
def test_a_path_that_the_simulators_would_take_apart_is_refused(tmp_path: Path, name: str) -> None:
    workdir, lock = open_workdir(tmp_path / name, None)
    os.close(lock)
    with pytest.raises(JobError) as caught:
        workdir.prepare()
    failure, detail = failure_of(caught.value)
    assert failure is Failure.WORKDIR_UNUSABLE
    assert detail.startswith(f"{tmp_path / name / 'scratch'}: ")
    assert not workdir.scratch.exists()


def test_two_jobs_do_not_share_a_folder(tmp_path: Path) -> None:
    _, lock = open_workdir(tmp_path, None)
    assert refused(tmp_path) == (Failure.WORKDIR_BUSY, f"{tmp_path} is in use by another lsst-trf")
    os.close(lock)
    _, lock = open_workdir(tmp_path, None)
    os.close(lock)


@pytest.mark.allow_processes
def test_the_lock_of_another_process_counts(tmp_path: Path) -> None:
    script = "import fcntl, os, sys; f = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT); fcntl.flock(f, fcntl.LOCK_EX)"
    script += "; print('locked', flush=True); sys.stdin.read()"
    arguments = [sys.executable, "-c", script, str(tmp_path / ".lock")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        assert refused(tmp_path)[0] is Failure.WORKDIR_BUSY
        other.kill()
    _, lock = open_workdir(tmp_path, None)
    os.close(lock)


def test_a_lock_is_not_inherited(tmp_path: Path) -> None:
    """A simulator that outlives us must not keep the folder busy."""
    _, lock = open_workdir(tmp_path, None)
    assert fcntl.fcntl(lock, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    os.close(lock)


def test_a_file_system_without_locks_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(_file: int, _operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    workdir, lock = open_workdir(tmp_path, None)
    os.close(lock)
    assert workdir.root == tmp_path


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_made(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    failure, detail = refused(tmp_path / place)
    assert failure is Failure.WORKDIR_UNUSABLE
    assert str(tmp_path / place) in detail


def test_scratch_elsewhere_is_our_own(tmp_path: Path) -> None:
    workdir, lock = open_workdir(tmp_path / "work", tmp_path / "fast")
    os.close(lock)
    assert workdir.scratch.parent == tmp_path / "fast"
    assert workdir.scratch.stat().st_mode & 0o777 == 0o700


def test_prepare_clears_what_a_killed_run_left(tmp_path: Path) -> None:
    workdir = WorkDir(root=tmp_path, scratch=tmp_path / "scratch")
    leftover = workdir.visit(0).root / "units" / "x"
    leftover.mkdir(parents=True)
    (tmp_path / "journal.jsonl").write_text("kept")
    workdir.prepare()
    assert not leftover.exists()
    assert workdir.logs.is_dir()
    assert workdir.inputs.is_dir()
    assert workdir.journal.read_text() == "kept"
    workdir.clear()
    assert not workdir.scratch.exists()
    assert workdir.logs.is_dir()


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_stranger_in_the_place_of_scratch_goes_itself(tmp_path: Path, kind: str) -> None:
    workdir = WorkDir(root=tmp_path / "work", scratch=tmp_path / "work" / "scratch")
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "precious").write_text("kept")
    workdir.root.mkdir()
    workdir.scratch.symlink_to(tmp_path / "else") if kind == "link" else os.mkfifo(workdir.scratch)
    workdir.clear()
    assert list(workdir.root.iterdir()) == []
    assert [path.name for path in (tmp_path / "else").iterdir()] == ["precious"]


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), Failure.DISK_FULL),
        (FileNotFoundError(errno.ENOENT, "gone", "/work/scratch/visit-0/commands.txt"), Failure.WORKDIR_UNUSABLE),
        (FileNotFoundError(errno.ENOENT, "gone", "/elsewhere"), None),
        (ValueError("a bug"), None),
    ],
    ids=["full", "removed", "elsewhere", "bug"],
)
def test_what_is_behind_an_error_that_nobody_expected(error: Exception, failure: Failure | None) -> None:
    cause = WorkDir(root=Path("/work"), scratch=Path("/work/scratch")).explain(error)
    assert (cause and cause.failure) == failure


@pytest.mark.allow_processes
def test_the_shim_stands_in_for_condor(tmp_path: Path) -> None:
    workdir = WorkDir(root=tmp_path, scratch=tmp_path / "scratch")
    workdir.prepare()
    done = subprocess.run(["condor_submit_dag", "dag_1.dag"], env={"PATH": str(workdir.shim)}, timeout=10)
    assert done.returncode == 0


def test_prepare_says_what_it_could_not_make(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JobError, match="file") as caught:
        WorkDir(root=tmp_path, scratch=tmp_path / "file" / "scratch").prepare()
    assert caught.value.failed.failure is Failure.WORKDIR_UNUSABLE


def test_no_two_things_share_a_path(tmp_path: Path) -> None:
    workdir = WorkDir(root=tmp_path, scratch=tmp_path / "scratch")
    one, other = unit("R22_S11"), unit("R22_S12")
    paths = []
    for visit in (workdir.visit(0), workdir.visit(1)):
        paths += [visit.catalog, visit.objects, visit.commands, visit.work, visit.output]
        paths += [visit.attempt(each, number) for each in (one, other) for number in (1, 2)]
        paths += [visit.set_up_log("set-up", number) for number in (1, 2)]
    logs = [workdir.visit(0).unit_log(one, stage, at) for stage in ("raytrace", "e2adc") for at in (1, 2)]
    assert len({*paths, *logs}) == len(paths) + len(logs)
    assert all(path.is_relative_to(tmp_path) for path in (*paths, *logs))
    assert all(log.parent.is_dir() for log in logs)


def test_attempts_stand_in_their_units_folder(tmp_path: Path) -> None:
    visit = VisitDir(root=tmp_path / "visit-0", logs=tmp_path / "logs")
    assert visit.attempt(unit(), 2) == visit.unit(unit()) / "attempt-2"


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "jobReport.json"
    for content in (b"old", b"new and longer"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["jobReport.json"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "jobReport.json"
    write_whole(path, b"old")
    with file_size_limit(1000), pytest.raises(OSError, match="large"):
        write_whole(path, b"n" * 5000)
    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["jobReport.json"]


def test_a_link_in_the_place_of_a_file_leads_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    (tmp_path / ".report.tmp").symlink_to(secret)
    (tmp_path / "report").symlink_to(secret)
    write_whole(tmp_path / "report", b"new")
    assert secret.read_text() == "mine"
    assert (tmp_path / "report").read_bytes() == b"new"
    assert not (tmp_path / "report").is_symlink()


@pytest.mark.parametrize("name", [".lock", "journal.jsonl"])
@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "folder", "device"])
def test_only_plain_files_are_opened(tmp_path: Path, name: str, kind: str) -> None:
    secret = tmp_path / "secret"
    work = tmp_path / "work"
    work.mkdir()
    match kind:
        case "pipe":
            os.mkfifo(work / name)
        case "folder":
            (work / name).mkdir()
        case "device":
            (work / name).symlink_to("/dev/null")
        case _:
            (work / name).symlink_to(secret)
            if kind == "link":
                secret.write_text("mine")
    with pytest.raises(JobError) as caught:
        open_workdir(work, None)[0].open_journal("run")
    assert failure_of(caught.value)[0] is Failure.WORKDIR_UNUSABLE
    assert (secret.read_text() if secret.exists() else None) == ("mine" if kind == "link" else None)


def test_a_reader_of_the_old_file_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "jobReport.json"
    write_whole(path, b"old")
    with path.open("rb") as reader:
        write_whole(path, b"new")
        assert reader.read() == b"old"
