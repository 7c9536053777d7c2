"""Grid mode: the files of a visit for HTCondor, and the stages run by hand."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from quicksim_runs import Release, Run, catalog, star

RECORDED = Path(__file__).parents[4] / "shared" / "reference" / "phosim_grid_mode"
STARS = [star(number, number * 0.002, 0.0, magnitude) for number, magnitude in enumerate((18, 19, 20.5, 22, 15))]


def appended(run: Run, pars: Path, sensor: str) -> str:
    """The .pars of a raytrace with its objects, as the DAG's script would make it."""
    (trimmed,) = run.work.glob(f"trimcatalog_*_{sensor}.pars")
    return pars.read_text() + trimmed.read_text()


def grid(release: Release, folder: Path, text: str | Path, shim: str, checkpoint: int = 0) -> Run:
    (folder / "commands").write_text("zenith_v 1000.0\nraydensity 0.0\n")
    options = ["-s", "R22_S11|R22_S12", "-g", "condor", "-u", "standard", f"--checkpoint={checkpoint}"]
    return release.phosim(folder / "run", text, "-c", str(folder / "commands"), *options, path=shim)


def neutral(text: str, run: Run, release: Release) -> str:
    """Paths as in the recorded example."""
    for path, name in ((run.work, "/scratch/work"), (run.output, "/scratch/output")):
        text = text.replace(str(path), name)
    return text.replace(str(release.root), "/cvmfs/sw.example.org/phosim/3.4.47")


@pytest.fixture(scope="module")
def recorded() -> Path:
    if not RECORDED.is_dir():
        pytest.skip(f"the recorded example of PhoSim's grid mode is not in {RECORDED}")
    return RECORDED


@pytest.fixture(scope="module")
def imitated(full: Release, tmp_path_factory: pytest.TempPathFactory, shim: str, recorded: Path) -> Run:
    return grid(full, tmp_path_factory.mktemp("imitated"), recorded / "catalog.txt", shim)


@pytest.mark.parametrize(
    "name",
    [
        "dag_88000001.dag",
        "trim_88000001_10.pars",
        "trim_88000001_10.submit",
        "objectcatalog_88000001.pars",
        "e2adc_88000001_R22_S11_E000.submit",
    ],
)
def test_files_are_phosims_word_by_word(imitated: Run, full: Release, recorded: Path, name: str) -> None:
    ours = neutral((imitated.work / name).read_text(), imitated, full)
    assert [line.split() for line in ours.splitlines()] == [
        line.split() for line in (recorded / name).read_text().splitlines()
    ]


def test_trims_are_phosims_letter_by_letter(imitated: Run, full: Release, recorded: Path) -> None:
    done = full.stage("trim", imitated.work, imitated.work / "trim_88000001_10.pars")
    assert done.stdout == (recorded / "trim.out").read_text()
    for name in ("trimcatalog_88000001_R22_S00.pars", "trimcatalog_88000001_R22_S11.pars"):
        assert (imitated.work / name).read_text() == (recorded / name).read_text()


def test_e2adc_is_told_the_same_keys(imitated: Run, recorded: Path) -> None:
    name = "e2adc_88000001_R22_S11_E000.pars"
    ours, theirs = ((folder / name).read_text().splitlines() for folder in (imitated.work, recorded))
    assert [re.sub(r"\S*[./]\S*", "N", line).split() for line in ours] == [
        re.sub(r"\S*[./]\S*", "N", line).split() for line in theirs
    ]


def test_raytrace_is_told_the_same_keys_but_for_optics(imitated: Run, full: Release, recorded: Path) -> None:
    name = "raytrace_88000001_R22_S11_E000_0"
    full.stage("trim", imitated.work, imitated.work / "trim_88000001_10.pars")
    ours = appended(imitated, imitated.work / f"{name}.pars", "R22_S11").splitlines()
    theirs = (recorded / f"{name}.pars").read_text().splitlines()
    skipped = ("body", "izernike")
    assert [line.split()[:1] for line in ours] == [line.split()[:1] for line in theirs if not line.startswith(skipped)]
    submit = (imitated.work / f"{name}.submit").read_text().splitlines()
    wanted = (recorded / f"{name}.submit").read_text().splitlines()
    assert [line.split()[0] for line in submit[:11]] == [line.split()[0] for line in wanted[:11]]
    assert submit[10] == wanted[10]
    assert submit[-1] == "Queue 1"


def test_the_band_table_reads_like_phosims(imitated: Run, full: Release, recorded: Path) -> None:
    full.stage("trim", imitated.work, imitated.work / "trim_88000001_10.pars")
    text = appended(imitated, imitated.work / "raytrace_88000001_R22_S11_E000_0.pars", "R22_S11")
    done = full.stage("raytrace", imitated.work, text)
    assert (done.returncode, done.stderr) == (0, "")
    line = re.compile(
        r"^(Type .*|Astrophysical m=\d+ +\d+ +[\d,]+  \( +\d+, *\d+, *\d+, *\d+\) +[\d.]+ +[\d,]+)$", re.MULTILINE
    )
    ours, theirs = line.findall(done.stdout), line.findall((recorded / "rt.out").read_text())
    assert ours[0] == theirs[0]
    assert [row.split()[:3] for row in ours[1:]] == [row.split()[:3] for row in theirs[1:]]
    for mine, real in zip(ours[1:], theirs[1:], strict=True):
        assert len(mine) == len(real)
        photons = [int(row.split()[3].replace(",", "")) for row in (mine, real)]
        assert photons[0] == pytest.approx(photons[1], rel=0.03)


# Without the recording ---


def test_only_the_visits_steps_are_run(tiny: Release, tmp_path: Path, shim: str) -> None:
    run = grid(tiny, tmp_path, catalog(*STARS), shim)
    assert run.code == 0, run.stderr
    assert (run.work / "submitted").read_text() == "dag_4711.dag\n"
    assert run.files() == set()
    assert not list(run.work.glob("trimcatalog_*"))
    assert {path.name for path in run.work.iterdir() if path.is_dir()} == {"logs", "output", "errors"}
    for line in (run.work / "dag_4711.dag").read_text().splitlines():
        words = line.split()
        if words[0] == "JOB":
            assert Path(words[2]).is_file()
        if words[:2] == ["SCRIPT", "POST"]:
            assert Path(words[3]).stat().st_mode & 0o111


def test_without_condor_it_is_an_error(tiny: Release, tmp_path: Path) -> None:
    run = grid(tiny, tmp_path, catalog(*STARS), str(tmp_path))
    assert run.code == 1
    assert "condor_submit_dag is not on PATH" in run.stderr


def image(run: Run) -> np.ndarray:
    with fits.open(run.work / "lsst_e_4711_f2_R22_S11_E000.fits.gz", memmap=False) as hdus:
        return np.array(hdus[0].data)


def segments(release: Release, run: Run, count: int) -> None:
    release.stage("trim", run.work, run.work / "trim_4711_10.pars")
    for number in range(count):
        pars = run.work / f"raytrace_4711_R22_S11_E000_{number}.pars"
        done = release.stage("raytrace", run.work, appended(run, pars, "R22_S11"))
        assert (done.returncode, done.stderr) == (0, "")


def test_segments_give_the_same_pixels(tiny: Release, tmp_path: Path, shim: str) -> None:
    runs = {}
    for checkpoint in (0, 2):
        (tmp_path / str(checkpoint)).mkdir()
        runs[checkpoint] = grid(tiny, tmp_path / str(checkpoint), catalog(*STARS), shim, checkpoint)
        segments(tiny, runs[checkpoint], checkpoint + 1)
    np.testing.assert_array_equal(image(runs[0]), image(runs[2]))
    assert image(runs[0]).any()
    left = {path.name for path in runs[2].work.glob("*_ckpt*")}
    stem = "lsst_e_4711_f2_R22_S11_E000_ckpt"
    assert left == {f"{stem}{kind}_{number}.fits.gz" for kind in ("dt", "fp") for number in (0, 1)}


def test_a_segment_needs_the_one_before(tiny: Release, tmp_path: Path, shim: str) -> None:
    run = grid(tiny, tmp_path, catalog(*STARS), shim, 2)
    tiny.stage("trim", run.work, run.work / "trim_4711_10.pars")
    pars = run.work / "raytrace_4711_R22_S11_E000_2.pars"
    done = tiny.stage("raytrace", run.work, appended(run, pars, "R22_S11"))
    assert done.returncode == 1
    assert "Error opening the checkpoint of segment 1" in done.stderr


def test_the_dags_script_brings_a_unit_home(tiny: Release, tmp_path: Path, shim: str) -> None:
    """The nodes in order, each with its POST script, as HTCondor would run them."""
    run = grid(tiny, tmp_path, catalog(*STARS), shim)
    lines = [line.split() for line in (run.work / "dag_4711.dag").read_text().splitlines()]
    scripts = {words[2]: words[3:] for words in lines if words[0] == "SCRIPT"}
    for words in lines:
        if words[0] == "JOB" and ("R22_S11_E000" in words[1] or words[1].startswith("trim")):
            stage = words[1].split("_")[0]
            done = tiny.stage(stage, run.work, run.work / f"{words[1]}.pars")
            assert done.returncode == 0, done.stderr
            assert _script(scripts[words[1]]) == 0
    assert len(run.files()) == 17


def _script(command: list[str]) -> int:
    return subprocess.run(command, timeout=30).returncode
