"""PhoSim's grid mode, taken apart."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit.samples import make_release, plan, unit, visit_facts
from transformation.model.work import Role
from transformation.simulator.grid_mode import (
    GridMode,
    VisitGraph,
    prepare_attempt,
    read_graph,
    set_up_argv,
)
from transformation.simulator.names import find_output, sources_found, trimmed_catalog
from transformation.simulator.release import open_release
from transformation.simulator.seam import SetUpInvalid
from transformation.workdir import VisitDir

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "phosim_grid_mode"
VISIT = "42420"
NINE = tuple(f"R22_S{x}{y}" for x in range(3) for y in range(3))
NEXT_NINE = tuple(f"R23_S{x}{y}" for x in range(3) for y in range(3))
SENSORS = (*NINE, *NEXT_NINE)


def write_submit(work: Path, name: str, executable: str, pars: str) -> None:
    (work / f"{name}.submit").write_text(
        f"executable = /cvmfs/r/bin/{executable}\ninitialdir = {work}\nUniverse = standard\nInput = {pars}\nQueue 1\n"
    )


def write_graph(work: Path, exposures: int = 2, *, e2adc: bool = True) -> None:
    """What the driver leaves for two rafts."""
    work.mkdir(parents=True, exist_ok=True)
    lines = []
    for group, sensors in enumerate((NINE, NEXT_NINE), start=10):
        trim = f"trim_{VISIT}_{group}"
        lines.append(f"JOB {trim} /far/away/{trim}.submit")
        lines.append(f"SCRIPT POST {trim} /cvmfs/r/condor/chip posttrim {VISIT}")
        write_submit(work, trim, "trim", f"{trim}.pars")
        chips = "".join(f"chipid {at} {sensor}\n" for at, sensor in enumerate(sensors))
        (work / f"{trim}.pars").write_text(f"{chips}ncatalog 1\nchipids are nine\n")
        for sensor in sensors:
            for snap in range(exposures):
                fid = f"{VISIT}_{sensor}_E{snap:03d}"
                lines += [f"JOB raytrace_{fid}_0 /far/away/raytrace_{fid}_0.submit", f"RETRY raytrace_{fid}_0 3"]
                lines.append(f"PARENT {trim} CHILD raytrace_{fid}_0")
                write_submit(work, f"raytrace_{fid}_0", "raytrace", f"raytrace_{fid}_0.pars")
                (work / f"raytrace_{fid}_0.pars").write_text(f"obshistid {VISIT}\nchipid {sensor}\n")
                if e2adc:
                    lines.append(f"JOB e2adc_{fid} /far/away/e2adc_{fid}.submit")
                    lines.append(f"PARENT raytrace_{fid}_0 CHILD e2adc_{fid}")
                    write_submit(work, f"e2adc_{fid}", "e2adc", f"e2adc_{fid}.pars")
    (work / f"dag_{VISIT}.dag").write_text("\n".join(lines) + "\n")
    for name in ("airglowscreen_42420.fits.gz", "tracking_42420.pars", "atmospherescreen_42420_0_finep.fits.gz"):
        (work / name).write_text(name)
    for name in ("objectcatalog_42420.pars", "catlist_42420.pars", "obs_42420.pars", "chip_42420_R22_S11.pars"):
        (work / name).write_text(name)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    write_graph(tmp_path / "work")
    return tmp_path / "work"


def test_each_sensor_and_exposure_has_its_jobs(work: Path) -> None:
    graph = read_graph(work, VISIT)
    assert set(graph.units) == {(sensor, f"E{snap:03d}") for sensor in SENSORS for snap in range(2)}
    jobs = graph.units["R22_S11", "E001"]
    assert jobs.raytrace.name == f"raytrace_{VISIT}_R22_S11_E001_0"
    assert jobs.raytrace.executable == "/cvmfs/r/bin/raytrace"
    assert jobs.raytrace.pars == work / f"raytrace_{VISIT}_R22_S11_E001_0.pars"
    assert jobs.e2adc is not None
    assert jobs.e2adc.executable == "/cvmfs/r/bin/e2adc"


def test_a_trim_is_for_nine_sensors(work: Path) -> None:
    graph = read_graph(work, VISIT)
    assert {name: trim.sensors for name, trim in graph.trims.items()} == {
        f"trim_{VISIT}_10": NINE,
        f"trim_{VISIT}_11": NEXT_NINE,
    }
    for (sensor, _), jobs in graph.units.items():
        assert sensor in graph.trims[jobs.trim].sensors


def test_units_share_the_screens_but_no_files_of_single_jobs(work: Path) -> None:
    assert [path.name for path in read_graph(work, VISIT).shared_files] == [
        "airglowscreen_42420.fits.gz",
        "atmospherescreen_42420_0_finep.fits.gz",
        "tracking_42420.pars",
    ]


def test_without_amplifiers_there_is_no_e2adc(tmp_path: Path) -> None:
    write_graph(tmp_path, e2adc=False)
    assert {jobs.e2adc for jobs in read_graph(tmp_path, VISIT).units.values()} == {None}


def test_a_wavefront_half_is_a_sensor(work: Path) -> None:
    fid = f"{VISIT}_R00_S22_C1_E000"
    with (work / f"dag_{VISIT}.dag").open("a") as dag:
        dag.write(f"JOB raytrace_{fid}_0 x.submit\nPARENT trim_{VISIT}_10 CHILD raytrace_{fid}_0\n")
    write_submit(work, "x", "raytrace", "x.pars")
    assert ("R00_S22_C1", "E000") in read_graph(work, VISIT).units


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (f"dag_{VISIT}.dag", f"dag_{VISIT}.dag: No such file"),
        (f"trim_{VISIT}_10.submit", f"trim_{VISIT}_10.submit: No such file"),
        (f"trim_{VISIT}_10.pars", f"trim_{VISIT}_10.pars: No such file"),
        (f"e2adc_{VISIT}_R22_S11_E000.submit", "No such file"),
    ],
)
def test_a_missing_file_is_named(work: Path, spoil: str, words: str) -> None:
    (work / spoil).unlink()
    with pytest.raises(SetUpInvalid, match=words):
        read_graph(work, VISIT)


@pytest.mark.parametrize("key", ["executable", "input"])
def test_a_submit_file_without_a_key_is_named(work: Path, key: str) -> None:
    path = work / f"trim_{VISIT}_11.submit"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.lower().startswith(key)))
    with pytest.raises(SetUpInvalid, match=rf"trim_{VISIT}_11.submit names no '{key}'"):
        read_graph(work, VISIT)


def test_a_raytrace_without_a_trim_is_refused(work: Path) -> None:
    dag = work / f"dag_{VISIT}.dag"
    dag.write_text("".join(line for line in dag.read_text().splitlines(True) if "CHILD raytrace" not in line))
    with pytest.raises(SetUpInvalid, match="has no trim job"):
        read_graph(work, VISIT)


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("job", [f"trim_{VISIT}_10", f"raytrace_{VISIT}_R22_S11_E000_0", f"e2adc_{VISIT}_R22_S11_E000"])
def test_a_program_that_is_not_of_the_release_is_never_started(tmp_path: Path, job: str, link: bool) -> None:
    release = open_release(make_release(tmp_path / "releases"))
    folder = VisitDir(root=tmp_path / "v", logs=tmp_path)
    write_graph(folder.work)
    for submit in folder.work.glob("*.submit"):
        submit.write_text(submit.read_text().replace("/cvmfs/r/", f"{release.root}/"))
    simulator = GridMode(release=release, amplifiers=True)
    assert simulator.open_visit(folder, VISIT).graph.units
    foreign = tmp_path / "bin/sh"
    if link:
        foreign = release.root / "bin/away"
        foreign.symlink_to("/bin/sh")
    submit = folder.work / f"{job}.submit"
    lines = submit.read_text().splitlines()
    submit.write_text("\n".join([f"executable = {foreign}", *lines[1:]]))
    with pytest.raises(SetUpInvalid, match="is to be started, which is not in the release"):
        simulator.open_visit(folder, VISIT)


def test_jobs_of_another_visit_are_not_ours(work: Path) -> None:
    shutil.copy(work / f"dag_{VISIT}.dag", work / "dag_4242.dag")
    assert read_graph(work, "4242").units == {}


# -- an attempt


def prepare(work: Path, folder: Path) -> tuple[VisitGraph, Path]:
    graph = read_graph(work, VISIT)
    trimmed = trimmed_catalog(work, VISIT, "R22_S11")
    trimmed.write_text("\nobject 1 0 0 18 sed\n\n")
    folder.mkdir()
    return graph, prepare_attempt(folder, graph, graph.units["R22_S11", "E000"], trimmed)


def test_an_attempt_gets_its_input_with_the_objects_exactly_once(work: Path, tmp_path: Path) -> None:
    own = work / f"raytrace_{VISIT}_R22_S11_E000_0.pars"
    before = own.read_text()
    for attempt in range(3):
        _, pars = prepare(work, tmp_path / f"attempt-{attempt}")
        assert pars == tmp_path / f"attempt-{attempt}" / own.name
        assert pars.read_text() == before + "\nobject 1 0 0 18 sed\n\n"
    assert own.read_text() == before, "a second try would see the sky twice"


def test_an_attempt_finds_the_screens_in_its_folder(work: Path, tmp_path: Path) -> None:
    graph, pars = prepare(work, tmp_path / "attempt")
    assert {path.name for path in (tmp_path / "attempt").iterdir()} == {
        pars.name,
        *(path.name for path in graph.shared_files),
    }
    assert (tmp_path / "attempt" / "tracking_42420.pars").read_text() == "tracking_42420.pars"


@pytest.mark.parametrize("at", [0, 1, 16])
@pytest.mark.parametrize("with_filter", [True, False])
def test_both_habits_of_naming_are_found(tmp_path: Path, at: int, with_filter: bool) -> None:
    file = unit().files[at]
    left = tmp_path / (file.name if with_filter else file.name.replace("_f2", ""))
    assert find_output(tmp_path, file, 2) is None
    left.write_text("")
    assert find_output(tmp_path, file, 2) == left
    assert find_output(tmp_path, unit("R22_S12").files[at], 2) is None


def test_a_table_of_centroids_is_found_too(tmp_path: Path) -> None:
    (one,) = plan("R22_S11", visit_facts(nsnap=1, centroids=True), amplifiers=False)
    assert one.files[1].role is Role.CENTROIDS
    left = tmp_path / "centroid_lsst_e_87393588_R22_S11_E000.txt"
    left.write_text("")
    assert find_output(tmp_path, one.files[1], 2) == left


def test_a_folder_is_no_output(tmp_path: Path) -> None:
    (tmp_path / unit().files[0].name).mkdir()
    assert find_output(tmp_path, unit().files[0], 2) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("Found 2 source(s) for chip R22_S11.\n", {"R22_S11": 2}),
        ("---\nTrim Catalog\nFound 12 source(s) for chip R22_S11.\nFound 1 source(s) for chip R00_S22_C1.\n---\n",
         {"R22_S11": 12, "R00_S22_C1": 1}),
        ("Found 3 source(s) for chip R22_S11", {"R22_S11": 3}),
        ("Found no source(s) for chip R22_S11.\nNot Found 3 source(s) for chip R22_S12.\n", {}),
    ],
)  # fmt: skip
def test_what_trim_counted(text: str, found: dict[str, int]) -> None:
    assert sources_found(text) == found


@pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"what PhoSim 3.4 left is not there: {REFERENCE}")
def test_what_phosim_itself_leaves(tmp_path: Path) -> None:
    shutil.copytree(REFERENCE, tmp_path, dirs_exist_ok=True)
    # The folder keeps the files of one unit; those of the others differ in the name only.
    for line in (tmp_path / "dag_88000001.dag").read_text().splitlines():
        if line.startswith("JOB "):
            name = line.split()[1]
            sample = name.replace("R22_S12", "R22_S11").replace("_E001", "_E000")
            text = (REFERENCE / f"{sample}.submit").read_text().replace(sample, name)
            (tmp_path / f"{name}.submit").write_text(text)
    graph = read_graph(tmp_path, "88000001")
    assert set(graph.units) == {(sensor, snap) for sensor in ("R22_S11", "R22_S12") for snap in ("E000", "E001")}
    assert {name: trim.sensors for name, trim in graph.trims.items()} == {"trim_88000001_10": NINE}
    jobs = graph.units["R22_S12", "E001"]
    assert jobs.trim == "trim_88000001_10"
    assert jobs.raytrace.executable.endswith("/bin/raytrace")
    assert jobs.raytrace.pars.name == "raytrace_88000001_R22_S12_E001_0.pars"
    assert jobs.e2adc is not None
    assert sources_found((REFERENCE / "trim.out").read_text())["R22_S11"] == 2
    trimmed = trimmed_catalog(tmp_path, "88000001", "R22_S11")
    assert trimmed.read_text().count("object") == 2


# -- the command line of the set-up


@pytest.mark.parametrize("commands", ["", "zenith_v 1000\n"])
@pytest.mark.parametrize("amplifiers", [True, False])
def test_the_set_up_command_line(tmp_path: Path, commands: str, amplifiers: bool) -> None:
    release = open_release(make_release(tmp_path / "r-1", interpreter="python2.7", instrument="lsst"))
    folder = VisitDir(root=tmp_path / "visit-0", logs=tmp_path / "logs")
    folder.root.mkdir()
    folder.commands.write_text(commands)
    argv = set_up_argv(release, folder, ["R22_S11", "R22_S12"], amplifiers=amplifiers)
    assert argv[:3] == ("python2.7", str(release.root / "phosim.py"), str(folder.catalog))
    options = dict(zip(argv[3::2], argv[4::2], strict=False))
    assert ("-c" in argv) == bool(commands), "PhoSim 5/6 trips over a command file without lines"
    assert argv[argv.index("-s") + 1] == "R22_S11|R22_S12"
    assert argv[argv.index("-e") + 1] == ("1" if amplifiers else "0")
    assert argv[argv.index("-g") : argv.index("-g") + 5] == ("-g", "condor", "-u", "standard", "--checkpoint=0")
    for option in ("-w", "-o", *(("-c",) if commands else ())):
        assert Path(argv[argv.index(option) + 1]).is_absolute()
    assert options
