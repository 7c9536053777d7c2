"""What surrounds the simulator's processes: environment, inputs, and why one failed."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.unit.samples import focal_plane, make_release, plan, visit_facts
from transformation.instance_catalog import InstanceCatalog, PhysicsCommands
from transformation.limits import Limits
from transformation.model.failures import Failed, Failure
from transformation.process import Processes
from transformation.set_up import (
    ReadyVisit,
    SimulatorBench,
    _write_inputs,
    disk_is_full,
    read_end,
    set_up_visit,
    simulator_environment,
)
from transformation.simulator.grid_mode import GridVisit, VisitGraph
from transformation.simulator.release import open_release
from transformation.stage_in import StagedVisit
from transformation.workdir import VisitDir, WorkDir

# -- environment


@pytest.mark.parametrize(
    "name",
    [
        "X509_USER_PROXY", "BEARER_TOKEN", "BEARER_TOKEN_FILE", "PANDA_AUTH_TOKEN", "OIDC_AUTH_ID_TOKEN",
        "XrdSecSSSKT", "XrdSecGSIUSERPROXY", "RUCIO_PASSWORD", "AWS_SECRET_ACCESS_KEY", "MY_API_KEY", "MYAPIKEY",
        "PGPASSWORD", "SESSION_COOKIE", "GOOGLE_APPLICATION_CREDENTIALS", "KRB5_KEYTAB", "SSH_PRIVATE_KEY",
        "x509_user_proxy",
    ],
)  # fmt: skip
def test_credentials_stay_with_us(name: str) -> None:
    workdir = WorkDir(root=Path("/w"), scratch=Path("/w/scratch"))
    assert name not in simulator_environment({name: "secret", "HOME": "/home/tonyj"}, workdir)


def test_the_simulators_environment() -> None:
    workdir = WorkDir(root=Path("/w"), scratch=Path("/fast/x"))
    environment = simulator_environment(
        {"HOME": "/home/tonyj", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "8", "LC_ALL": "de_DE", "TMPDIR": "/tmp"},
        workdir,
    )
    assert environment == {
        "HOME": "/home/tonyj", "PATH": "/fast/x/shim:/usr/bin:/bin", "TMPDIR": "/fast/x", "LC_ALL": "C",
        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "QUICKSIM_PYTHON": sys.executable,
    }  # fmt: skip
    assert simulator_environment({}, workdir)["PATH"] == f"/fast/x/shim:{os.defpath}"


# -- logs and space


def test_the_end_of_a_log_is_read_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a" * 100_000 + b"\xff end")
    assert read_end(path, 10) == "aaaaa� end"
    assert len(read_end(path)) == 16_384
    assert read_end(tmp_path / "missing") == ""


def test_a_disk_with_space_is_not_full(tmp_path: Path) -> None:
    assert not disk_is_full(tmp_path)
    assert not disk_is_full(tmp_path / "missing")
    assert disk_is_full(Path("/proc")), "a file system without any block"


# -- inputs of the simulator

HEADER = {
    "obshistid": "4242", "seed": "1000", "filter": "2", "nsnap": "2", "vistime": "33", "minsource": "3",
    "camconfig": "1", "telconfig": "0", "rightascension": "0", "declination": "0", "rotskypos": "0", "seeing": "0.67",
}  # fmt: skip


def staged_visit(given: dict[str, str], *, n_objects: int = 5, commands: tuple[str, ...] = ()) -> StagedVisit:
    catalog = InstanceCatalog(
        header={**HEADER, **given}, given=given, n_objects=n_objects, sha256=(), size_bytes=0, warnings=()
    )
    return StagedVisit(
        index=0, catalog=catalog, commands=PhysicsCommands(lines=commands, values=MappingProxyType({})),
        facts=visit_facts(visit="4242"), digest="d", identity={},
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> VisitDir:
    one = VisitDir(root=tmp_path / "visit-0", logs=tmp_path / "logs")
    one.root.mkdir()
    return one


def written(folder: VisitDir, staged: StagedVisit, groups: set[int]) -> dict[str, str]:
    _write_inputs(folder, staged, groups)
    return dict(line.split(" ", 1) for line in folder.catalog.read_text().splitlines())


@pytest.mark.parametrize(
    ("given", "groups", "camconfig"),
    [
        ({}, {0}, None),  # the release's default, 1, will do
        ({}, {1}, "3"),
        ({}, {0, 2}, "5"),
        ({"camconfig": "1"}, {0}, "1"),
        ({"camconfig": "1"}, {0, 1, 2}, "7"),
        ({"camconfig": "2"}, {0}, "3"),
        ({"camconfig": "7"}, {0, 2}, "7"),
        ({"camconfig": "0"}, {1}, "0"),  # 0 is all
    ],
)
def test_camconfig_is_widened_to_what_is_wanted(
    folder: VisitDir, given: dict[str, str], groups: set[int], camconfig: str | None
) -> None:
    assert written(folder, staged_visit({"obshistid": "4242", **given}), groups).get("camconfig") == camconfig


def test_the_catalog_is_a_header_that_includes_the_objects(folder: VisitDir) -> None:
    found = written(folder, staged_visit({"obshistid": "4242", "seed": "7"}), {0})
    assert found == {"obshistid": "4242", "seed": "7", "includeobj": folder.objects.name}
    # PhoSim looks for header words, and for `object`, anywhere in a line.
    assert "object" not in folder.objects.name
    assert "includeobj" not in written(folder, staged_visit({"obshistid": "4242"}, n_objects=0), {0})


def test_commands_end_with_a_newline_or_are_empty(folder: VisitDir) -> None:
    _write_inputs(folder, staged_visit({}, commands=("zenith_v 1000", "raydensity 0")), {0})
    assert folder.commands.read_text() == "zenith_v 1000\nraydensity 0\n"
    _write_inputs(folder, staged_visit({}), {0})
    assert folder.commands.read_text() == ""


# -- which sensors need no simulation


@pytest.mark.parametrize(
    ("given", "sources", "skipped"),
    [
        ({}, {}, True),
        ({}, {"R22_S11": 2}, True),
        ({}, {"R22_S11": 3}, False),
        ({}, {"R22_S12": 3}, True),
        ({"minsource": "0"}, {}, False),
        ({"telconfig": "1"}, {}, False),
        ({"telconfig": "3"}, {}, False),
    ],
)
def test_sensors_with_too_few_sources_are_skipped(
    folder: VisitDir, given: dict[str, str], sources: dict[str, int], skipped: bool
) -> None:
    graph = VisitGraph(trims={}, units={}, shared_files=())
    jobs = GridVisit(work=folder.work, visit="4242", graph=graph, amplifiers=True)
    ready = ReadyVisit(staged=staged_visit(given), folder=folder, jobs=jobs, sources=sources)
    assert ready.needs_no_simulation("R22_S11") is skipped


# -- the set-up itself, with a driver that is a few lines of shell


@pytest.mark.allow_processes
@pytest.mark.parametrize(
    ("driver", "tries", "failure", "words"),
    [
        ("exit 0", 3, Failure.SET_UP_FAILED, "dag_4242.dag: No such file"),
        ("echo oh dear >&2; exit 1", 3, Failure.SET_UP_FAILED, "exit status 1 after .*: oh dear"),
        ("touch visit-0/work/dag_4242.dag work/dag_4242.dag; exit 0", 3, Failure.SET_UP_FAILED, "prepared no job for"),
        ("echo 'No space left on device' >&2; exit 1", 1, Failure.DISK_FULL, "is full"),
        ("kill -KILL $$", 3, Failure.SIMULATOR_KILLED, "SIGKILL"),
        ("sleep 30", 3, Failure.SIMULATOR_HUNG, "wall limit"),
    ],
)
def test_a_set_up_that_fails(
    tmp_path: Path, folder: VisitDir, driver: str, tries: int, failure: Failure, words: str
) -> None:
    root = make_release(tmp_path / "r-1", interpreter="/bin/sh")
    (root / "phosim.py").write_text(f"echo start >> {tmp_path}/starts\n{driver}\n")
    workdir = WorkDir(root=tmp_path, scratch=tmp_path / "scratch")
    workdir.prepare()
    processes = Processes()
    bench = SimulatorBench(
        release=open_release(root),
        workdir=workdir,
        processes=processes,
        amplifiers=True,
        attempts=3,
        limits=Limits(wall_s=0.3),
    )
    units = list(plan("R22_S11", visit_facts(visit="4242")))
    sensors = {sensor.name: sensor for sensor in focal_plane()}
    try:
        failed = set_up_visit(bench, staged_visit({}), folder, units, sensors)
    finally:
        processes.close()
    assert isinstance(failed, Failed)
    assert failed.failure is failure
    assert re.search(words, failed.detail), failed.detail
    assert (tmp_path / "starts").read_text().count("start") == tries
