"""phosim.py from end to end on the tiny release, `-g no`."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits
from quicksim_runs import Release, Run, catalog, star

if TYPE_CHECKING:
    from pathlib import Path

NO_SKY = "zenith_v 1000.0\nraydensity 0.0\n"
ONE_SNAP = {"nsnap": 1, "vistime": 15.0}
AMPLIFIERS = [f"C{column}{row}" for column in (0, 1) for row in range(8)]


def names(sensor: str, exposures: int, visit: str = "4711") -> set[str]:
    """The 17 files of each exposure."""
    stems = [f"{sensor}_E{number:03d}" for number in range(exposures)]
    images = {f"lsst_e_{visit}_f2_{stem}.fits.gz" for stem in stems}
    return images | {
        f"lsst_a_{visit}_f2_{sensor}_{name}_E{number:03d}.fits.gz" for name in AMPLIFIERS for number in range(exposures)
    }


def pixels(run: Run, name: str) -> np.ndarray:
    with fits.open(run.output / name, memmap=False) as hdus:
        return np.array(hdus[0].data)


@pytest.fixture(scope="module")
def two_snaps(tiny: Release, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("two_snaps")
    (folder / "commands").write_text("mine 5\nbackalpha 0.0\nbackbeta 4.0\nbackgamma 10.0\n")
    text = catalog(star(1, 0, 0, 18), star(2, 0.005, 0.005, 21))
    return tiny.phosim(folder / "run", text, "-s", "R22_S11|R99_S99", "-p", "2", "-c", str(folder / "commands"))


def test_a_visit_gives_17_files_a_snap_and_an_empty_work_folder(two_snaps: Run) -> None:
    assert (two_snaps.code, two_snaps.stderr) == (0, "")
    assert two_snaps.files() == names("R22_S11", 2)
    assert list(two_snaps.work.iterdir()) == []
    assert "Found 2 source(s) for chip R22_S11." in two_snaps.stdout
    assert "chip R22_S00" not in two_snaps.stdout


def test_e_images_are_whole_electrons(two_snaps: Run) -> None:
    with fits.open(two_snaps.output / "lsst_e_4711_f2_R22_S11_E001.fits.gz", memmap=False) as hdus:
        data, header = np.array(hdus[0].data), hdus[0].header
    assert (data.shape, data.dtype, header["BITPIX"]) == ((408, 400), np.dtype(">f4"), -32)
    assert (data >= 0).all()
    assert (data == np.rint(data)).all()
    expected = {
        "OBSID": 4711,
        "DATASET": "4711",
        "FILTNM": 2,
        "FILTER": "r",
        "CHIPID": "R22_S11",
        "PAIRID": 1,
        "EXPTIME": 15.0,
        "TIMEOFF": 9.0,
        "SEED": 1001,
        "RA_DEG": 0.0,
        "DEC_DEG": 0.0,
        "ROTANG": 0.0,
        "CREATOR": "QUICKSIM",
        "VERSION": "1.0",
        "PHOV0": "mine 5",
        "PHOV3": "backgamma 10.0",
    }
    assert {key: header[key] for key in expected} == expected
    assert header["AIRMASS"] == pytest.approx(1.00015, abs=1e-5)
    assert "PHOV4" not in header
    assert "DATE" in header


@pytest.mark.parametrize("amplifier", ["C00", "C17"])
def test_amplifier_images(two_snaps: Run, amplifier: str) -> None:
    with fits.open(two_snaps.output / f"lsst_a_4711_f2_R22_S11_{amplifier}_E000.fits.gz", memmap=False) as hdus:
        data, header = np.array(hdus[0].data), hdus[0].header
    assert (data.shape, data.dtype, header["BZERO"]) == ((210, 52), np.uint16, 32768)
    assert (header["CCDID"], header["AMPID"], header["CHIPID"]) == ("R22_S11", amplifier, "R22_S11")
    assert header["OUTFILE"] == "lsst_e_4711_f2_R22_S11_E000.fits.gz"
    assert (header["BIASSEC"], header["DATASEC"], header["TRIMSEC"]) == ("[1:52,1:6]", "[2:52,7:206]", "[2:52,7:206]")
    assert 1.5 < header["GAIN"] < 1.9
    assert 3.5 < header["RDNOISE"] < 5.0
    overscan = data[:6]
    assert overscan.mean() == pytest.approx(1000, rel=0.1)
    assert overscan.std() == pytest.approx(header["RDNOISE"], rel=0.2)
    assert np.median(data[6:206, 1:]) - np.median(overscan) == pytest.approx(304 / header["GAIN"], rel=0.1)


def test_amplifiers_hold_the_e_image_in_their_own_order(tiny: Release, tmp_path: Path) -> None:
    """A star in the left half is read from the middle outwards, one in the right half likewise."""
    scale_deg = 10 / 179_920
    stars = [star(1, x * scale_deg, 30 * scale_deg, 15) for x in (-50, 50)]
    (tmp_path / "commands").write_text(NO_SKY)
    run = tiny.phosim(tmp_path / "run", catalog(*stars, **ONE_SNAP), "-s", "R22_S11", "-c", str(tmp_path / "commands"))
    image = pixels(run, "lsst_e_4711_f2_R22_S11_E000.fits.gz")
    for name, first in (("C04", 0), ("C14", 200)):
        part = image[4 * 51 : 5 * 51, first : first + 200].T
        part = part[::-1] if name.startswith("C0") else part
        read = pixels(run, f"lsst_a_4711_f2_R22_S11_{name}_E000.fits.gz")[6:206, 1:].astype(float)
        assert np.corrcoef(read.ravel(), part.ravel())[0, 1] > 0.999


def test_the_same_seed_gives_the_same_pixels_whatever_the_threads_and_another_does_not(
    tiny: Release, two_snaps: Run, tmp_path: Path
) -> None:
    (tmp_path / "commands").write_text("backalpha 0.0\nbackbeta 4.0\nbackgamma 10.0\n")
    lines = (star(1, 0, 0, 18), star(2, 0.005, 0.005, 21))
    options = ("-s", "R22_S11", "-c", str(tmp_path / "commands"))
    again = tiny.phosim(tmp_path / "again", catalog(*lines), *options, "-t", "3")
    for name in names("R22_S11", 2):
        np.testing.assert_array_equal(pixels(again, name), pixels(two_snaps, name))
    other = tiny.phosim(tmp_path / "other", catalog(*lines, seed=7, **ONE_SNAP), *options)
    for name in names("R22_S11", 1):
        assert (pixels(other, name) != pixels(two_snaps, name)).any()
    snaps = [pixels(again, f"lsst_e_4711_f2_R22_S11_E00{number}.fits.gz") for number in (0, 1)]
    assert (snaps[0] != snaps[1]).any()


def test_without_date_equal_runs_are_equal_files(tiny: Release, tmp_path: Path) -> None:
    (tmp_path / "commands").write_text("date 0\n")
    options = ("-s", "R22_S11", "-c", str(tmp_path / "commands"))
    runs = [tiny.phosim(tmp_path / name, catalog(star(1, 0, 0, 20), **ONE_SNAP), *options) for name in ("one", "two")]
    packed = [{path.name: path.read_bytes() for path in run.output.iterdir()} for run in runs]
    assert packed[0] == packed[1]


def test_includes_plain_and_packed_are_read_beside_the_catalog(tiny: Release, tmp_path: Path) -> None:
    folder = tmp_path / "catalogs"
    folder.mkdir()
    (folder / "main.txt").write_text(
        catalog(star(1, 0, 0, 20), "includeobj more.txt", "includeobj most.txt.gz", **ONE_SNAP)
    )
    (folder / "more.txt").write_text(star(2, 0.002, 0, 20) + "\n")
    (folder / "most.txt.gz").write_bytes(gzip.compress((star(3, 0, 0.002, 20) + "\n").encode()))
    run = tiny.phosim(tmp_path / "run", folder / "main.txt", "-s", "R22_S11", "-e", "0")
    assert (run.code, run.files()) == (0, {"lsst_e_4711_f2_R22_S11_E000.fits.gz"})
    assert "Found 3 source(s) for chip R22_S11." in run.stdout


def test_centroids_and_throughput_and_extraid(tiny: Release, tmp_path: Path) -> None:
    (tmp_path / "commands").write_text(NO_SKY + "centroidfile 1\nthroughputfile 1\nextraid 1\n")
    text = catalog(star(5, 0, 0, 18), star(6, 0.0105, 0, 35), **ONE_SNAP)
    run = tiny.phosim(tmp_path / "run", text, "-s", "R22_S11", "-c", str(tmp_path / "commands"))
    stem = "lsst_e_47111_f2_R22_S11_E000"
    assert run.files() == names("R22_S11", 1, "47111") | {f"centroid_{stem}.txt", f"throughput_{stem}.txt"}
    head, first, second = (run.output / f"centroid_{stem}.txt").read_text().splitlines()
    assert head == "SourceID Photons AvgX AvgY"
    number, photons, x, y = first.split()
    assert (number, float(photons)) == ("5", pytest.approx(39_100 * 10**0.8, rel=0.02))
    assert (float(x), float(y)) == (pytest.approx(200, abs=0.3), pytest.approx(204, abs=0.3))
    assert second.split() == ["6", "0", "nan", "nan"]
    assert pixels(run, f"{stem}.fits.gz").sum() == float(photons)


@pytest.mark.parametrize(
    ("example", "check"),
    [
        ("bias", lambda image: not image.any()),
        ("dark", lambda image: image.mean() < 100),
        ("flat", lambda image: abs(np.median(image) / 9870 - 1) < 0.02),
    ],
)
def test_calibration_examples(tiny: Release, tmp_path: Path, example: str, check: object) -> None:
    run = tiny.phosim(tmp_path, tiny.root / "examples" / example, "-s", "R22_S11")
    assert (run.code, run.stderr) == (0, "")
    assert check(pixels(run, "lsst_e_99999999_f2_R22_S11_E000.fits.gz"))  # type: ignore[operator]


def test_perfect_is_sharper_than_toypsf_and_that_than_the_air(tiny: Release, tmp_path: Path) -> None:
    peaks = []
    for example in ("nobackground", "toypsf", "perfect"):
        options = ("-s", "R22_S11", "-e", "0", "-c", f"examples/{example}")
        run = tiny.phosim(tmp_path / example, tiny.root / "examples" / "star", *options)
        peaks.append(pixels(run, "lsst_e_99999999_f2_R22_S11_E000.fits.gz").max())
    assert peaks == sorted(peaks)
    assert peaks[2] > 39_100 * 0.9 / 4


def test_saturation_can_be_switched_off(tiny: Release, tmp_path: Path) -> None:
    brightest = []
    for number, switch in enumerate(("", "saturation 0\n")):
        (tmp_path / "commands").write_text(NO_SKY + switch)
        options = ("-s", "R22_S11", "-e", "0", "-c", str(tmp_path / "commands"))
        run = tiny.phosim(tmp_path / str(number), catalog(star(1, 0, 0, 14), **ONE_SNAP), *options)
        brightest.append(pixels(run, "lsst_e_4711_f2_R22_S11_E000.fits.gz").max())
    assert brightest[0] == 100_000
    assert brightest[1] > 200_000


def test_wavefront_halves_have_eight_amplifiers(tiny: Release, tmp_path: Path) -> None:
    run = tiny.phosim(tmp_path, catalog(minsource=0, camconfig=2, **ONE_SNAP), "-s", "R00_S22_C1")
    assert run.code == 0, run.stderr
    amplifiers = {f"lsst_a_4711_f2_R00_S22_C1{number}_E000.fits.gz" for number in range(8)}
    assert run.files() == {"lsst_e_4711_f2_R00_S22_C1_E000.fits.gz", *amplifiers}


def test_an_empty_sensor_makes_nothing_and_says_nothing(tiny: Release, tmp_path: Path) -> None:
    run = tiny.phosim(tmp_path, catalog(star(1, 1.0, 0, 20), **ONE_SNAP), "-s", "R22_S11")
    assert (run.code, run.stderr, run.files(), list(run.work.iterdir())) == (0, "", set(), [])
    assert "Found" not in run.stdout


def test_bad_objects_are_tolerated_with_a_note(tiny: Release, tmp_path: Path) -> None:
    text = catalog(star(1, 0, 0, 20), "object 2 here", "# " + star(3, 0, 0, 20), **ONE_SNAP)
    run = tiny.phosim(tmp_path, text, "-s", "R22_S11", "-e", "0")
    assert (run.code, run.stderr, len(run.files())) == (0, "", 1)
    assert "Found 3 source(s) for chip R22_S11." in run.stdout
    assert "Left out 1 object line(s)" in run.stdout


def test_a_missing_spectrum_is_said_once(tiny: Release, tmp_path: Path) -> None:
    lines = [star(number, 0, 0, 20).replace("../sky/sed_flat.txt", f"a/{number % 2}.gz") for number in range(5)]
    run = tiny.phosim(tmp_path, catalog(*lines, **ONE_SNAP), "-s", "R22_S11", "-e", "0")
    assert (run.code, run.stderr) == (0, "")
    assert run.stdout.count("No SED file for 5 object(s), 2 file(s) in all, such as a/0.gz") == 1


def test_a_failed_raytrace_exits_0_and_leaves_its_pars(tiny: Release, tmp_path: Path) -> None:
    (tmp_path / "commands").write_text("raydensity many\n")
    text = catalog(star(1, 0, 0, 20), **ONE_SNAP)
    run = tiny.phosim(tmp_path / "run", text, "-s", "R22_S11", "-c", str(tmp_path / "commands"))
    assert (run.code, run.files()) == (0, set())
    assert "the value of 'raydensity' is not a number: 'many'" in run.stderr
    assert "Error running" in run.stderr
    left = {path.name for path in run.work.iterdir()}
    assert left == {"raytrace_4711_R22_S11_E000.pars", "e2adc_4711_R22_S11_E000.pars"}


@pytest.mark.parametrize(
    ("text", "options", "code", "message"),
    [
        (catalog(obshistid="007"), [], 1, "obshistid '007'"),
        (catalog(obshistid="3000000002"), [], 1, "obshistid '3000000002'"),
        (catalog(obshistid="abc"), [], 1, "obshistid 'abc'"),
        ("", [], 1, "holds no line"),
        ("filter\n", [], 1, "catalog.txt:1: 'filter' has no value"),
        (catalog(nsnap="two"), [], 1, "'nsnap' is not a number: 'two'"),
        (catalog(), ["-c", "nowhere"], 1, "nowhere does not exist."),
        (catalog(), ["-i", "hsc"], 1, "hsc does not exist."),
        (catalog(), ["-g", "cloud"], 255, "unknown grid option"),
        (catalog(), ["--nonsense"], 2, "usage"),
        (catalog("includeobj nowhere.txt"), ["-s", "R22_S11"], 1, "Cannot open catalog file"),
    ],
)
def test_errors_of_the_visit(
    tiny: Release, tmp_path: Path, text: str, options: list[str], code: int, message: str
) -> None:
    run = tiny.phosim(tmp_path, text, *options)
    assert run.code == code
    assert message in run.stderr
    assert "Traceback" not in run.stderr
    assert run.files() == set()
    assert not list(run.work.glob("*.part"))


def test_version_and_usage(tiny: Release, tmp_path: Path) -> None:
    run = tiny.phosim(tmp_path, catalog(), "--version")
    assert (run.code, run.stdout) == (0, (tiny.root / "bin" / "version").read_text())


def test_screens_can_be_kept(tiny: Release, tmp_path: Path) -> None:
    run = tiny.phosim(tmp_path, catalog(star(1, 1.0, 0, 20)), "-s", "R22_S11", "--keepscreens", "1")
    assert len(run.files()) == 7 * 12 + 2 + 1 + 1
    assert "atmospherescreen_4711_6_mediumy.fits.gz" in run.files()
    with fits.open(run.output / "airglowscreen_4711.fits.gz") as hdus:
        hdus.verify("exception")
