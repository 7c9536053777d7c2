"""A full disk under the work folder or under the store: named as such, nothing half-made is left or registered."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.whole_job.aftermath import Outcome, check_store
from tests.whole_job.bench import COMMAND, TIME_LIMIT_S, Bench

UNIT = "R22_S11-E000"


@cache
def mount_namespace() -> tuple[str, ...] | None:
    """A command prefix under which a small file system can be mounted, seen by nobody else; None if there is none."""
    for prefix in (("unshare", "--mount"), ("unshare", "--map-root-user", "--mount")):
        try:
            tried = subprocess.run([*prefix, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
        except FileNotFoundError:
            return None
        if tried.returncode == 0:
            return prefix
    return None


@pytest.fixture
def namespace() -> tuple[str, ...]:
    prefix = mount_namespace()
    if prefix is None:
        pytest.skip("mounting a small disk needs root or user namespaces")
    return prefix


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_release: Path) -> Bench:
    """A job that has nothing left to do."""
    bench = Bench(folder=tmp_path_factory.mktemp("finished"), release=tiny_release)
    bench.write_spec()
    assert bench.command(["run", "--job", "job.json", "--workdir", "work"]).returncode == 0
    return bench


SCRIPT = """
set -eu
disk=$1 size=$2 work=$3 copy=$4; shift 4
mkdir -p "$disk"
mount -t tmpfs -o "size=$size" none "$disk"
code=0
"$@" || code=$?
mkdir -p "$copy"
cp -a "$disk/." "$copy/"
exit $code
"""


def run_on_small_disk(bench: Bench, namespace: tuple[str, ...], disk: Path, size: str, **changes: object) -> Outcome:
    """Run a job while a small file system is mounted at `disk`; its contents are then in `<disk>-copy`."""
    path = bench.write_spec(**changes)
    work, copy = bench.folder / "work", disk.with_name(f"{disk.name}-copy")
    words = ["run", "--job", str(path), "--workdir", str(work)]
    done = subprocess.run(
        [*namespace, "sh", "-c", SCRIPT, "sh", str(disk), size, str(work), str(copy), COMMAND, *words],
        cwd=bench.folder,
        env=bench.environment(),
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )
    return Outcome(
        exit_code=done.returncode,
        stdout=done.stdout,
        stderr=done.stderr,
        workdir=copy if disk == work else work,
        store=copy if disk == bench.store else bench.store,
    )


def check_told(outcome: Outcome, code: int, name: str) -> None:
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (code, name), outcome.stderr
    assert outcome.report["exitCode"] == code
    assert json.loads((outcome.workdir / "payload_error_report.json").read_text())["error_code"] == code
    assert outcome.stderr.splitlines()[-1].startswith(f"ERROR: {name}: ")


def test_work_folder_too_small_for_a_unit_is_known_before_anything_starts(
    bench: Bench, namespace: tuple[str, ...]
) -> None:
    bench.break_stage("atmosphere", "real")
    outcome = run_on_small_disk(bench, namespace, bench.folder / "work", "3m")
    check_told(outcome, 42, "DISK_FULL")
    assert bench.starts("atmosphere") == []
    assert not bench.store.exists()


def test_work_folder_on_a_disk_that_is_full_already(bench: Bench, namespace: tuple[str, ...]) -> None:
    outcome = run_on_small_disk(bench, namespace, bench.folder / "work", "4k")
    assert outcome.exit_code == 42, outcome.stderr
    assert outcome.stderr.startswith(f"ERROR: DISK_FULL: {bench.folder}/work/scratch: No space left on device; ")
    assert outcome.stdout == "report   could not be written\n"


@pytest.mark.parametrize(
    "stage",
    [
        "atmosphere",
        pytest.param("trim", marks=pytest.mark.long),
        "raytrace",
        pytest.param("e2adc", marks=pytest.mark.long),
    ],
)
def test_work_folder_that_fills_up(bench: Bench, namespace: tuple[str, ...], stage: str) -> None:
    # Something else eats the disk just before the stage writes, and no scratch that is removed makes room again.
    bench.break_stage(stage, f"dd if=/dev/zero of={bench.folder}/work/eaten bs=4k 2> /dev/null; real")
    outcome = run_on_small_disk(bench, namespace, bench.folder / "work", "40m", amplifiers=True)
    check_told(outcome, 42, "DISK_FULL")
    assert outcome.units[UNIT]["failure"] == "DISK_FULL"
    assert outcome.manifests == {}
    check_store(bench.store)


def test_image_that_a_full_disk_cut_short_with_exit_0(bench: Bench, namespace: tuple[str, ...]) -> None:
    bench.break_stage("raytrace", "real; truncate -s 3000 lsst_e_*.gz; dd if=/dev/zero of=eaten bs=4k; exit 0")
    outcome = run_on_small_disk(bench, namespace, bench.folder / "work", "40m")
    check_told(outcome, 42, "DISK_FULL")


def test_request_that_does_not_fit_beside_its_own_work_files(bench: Bench, namespace: tuple[str, ...]) -> None:
    sky = bench.folder / "sky.txt"
    bench.spec()
    head, star = sky.read_text().rsplit("\n", 2)[:2]
    sky.write_text(head + "\n" + "".join(f"{star}\n" for _ in range(15_000)))
    outcome = run_on_small_disk(bench, namespace, bench.folder / "work", "1m")
    check_told(outcome, 42, "DISK_FULL")


@pytest.mark.parametrize("command", ["run", "again", "plan", "exit-codes", "none"])
def test_stdout_and_stderr_on_a_full_disk(finished: Bench, command: str) -> None:
    """A pilot keeps them in the job's folder; codes of 1 and 120 are Python's own, and nobody's."""
    words = {
        "run": ["run", "--job", "job.json", "--workdir", "full"],
        "again": ["run", "--job", "nothing.json", "--workdir", "full"],
        "plan": ["plan", "--job", "job.json"],
        "exit-codes": ["exit-codes"],
        "none": ["nonsense"],
    }[command]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [COMMAND, *words], stdout=full, stderr=full, cwd=finished.folder, env=finished.environment(), check=False
        )
    assert done.returncode == {"run": 0, "again": 12, "plan": 42, "exit-codes": 42, "none": 10}[command]


@pytest.mark.parametrize("name", ["journal.jsonl", "logs"])
def test_work_folder_with_a_stranger_in_the_place_of_our_own(bench: Bench, name: str) -> None:
    place = bench.folder / "work" / name
    place.parent.mkdir()
    place.mkdir() if name == "journal.jsonl" else place.touch()
    done = bench.command(["run", "--job", str(bench.write_spec()), "--workdir", str(bench.folder / "work")])
    assert done.returncode == 40
    assert done.stderr.startswith(f"ERROR: WORKDIR_UNUSABLE: {place}: ")


def test_store_that_is_too_small_is_known_before_anything_starts(bench: Bench, namespace: tuple[str, ...]) -> None:
    outcome = run_on_small_disk(bench, namespace, bench.store, "60k", amplifiers=True)
    check_full(outcome)
    assert outcome.outcomes() == []
    assert 0 < outcome.report["destinations"][0]["free_bytes"] <= 60 * 1024


@pytest.mark.parametrize("left", ["60k", "200k"])
def test_store_that_fills_up(bench: Bench, namespace: tuple[str, ...], left: str) -> None:
    # Something else eats the disk while the unit is made.
    eaten = bench.store / "eaten"
    bench.break_stage("raytrace", f"real; dd if=/dev/zero of={eaten} bs=4k 2> /dev/null; truncate -s -{left} {eaten}")
    outcome = run_on_small_disk(bench, namespace, bench.store, "4m", amplifiers=True)
    (outcome.store / "eaten").unlink()
    check_full(outcome)
    assert outcome.outcomes() == ["good"]
    kept = outcome.workdir / outcome.units[UNIT]["kept"]
    assert len(list(kept.glob("*.fits.gz"))) == 17


def check_full(outcome: Outcome) -> None:
    check_told(outcome, 71, "STORAGE_FULL")
    assert outcome.units[UNIT]["failure"] == "STORAGE_FULL"
    assert outcome.manifests == {}
    assert outcome.images == []
    assert [path for path in outcome.store.rglob("*") if path.is_file()] == []


def test_image_cut_at_the_size_that_a_process_may_write(bench: Bench) -> None:
    # Needs no mount: the kernel cuts files of raytrace at 20 blocks of 512 bytes.
    bench.break_stage("raytrace", "ulimit -f 20; trap '' XFSZ; real; exit 0")
    outcome = bench.run_job(bench.spec(attempts=2))
    assert outcome.exit_code == 55, outcome.stderr
    assert outcome.outcomes() == ["OUTPUT_DAMAGED"] * 2
    assert outcome.manifests == {}
