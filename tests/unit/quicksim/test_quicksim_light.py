"""How much light there is and where it goes: bands, spectra, sky, PSF, objects, detector."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from quicksim import drawing
from quicksim.bands import BANDS, field_throughput
from quicksim.detector import add_cosmic_rays, fill_wells
from quicksim.drawing import Batch, Canvas, Tally
from quicksim.focal_plane import Device
from quicksim.pars import Settings
from quicksim.projection import Projection
from quicksim.psf import Psf
from quicksim.sersic import photon_radii, shape_matrix
from quicksim.sky import add_sky, bunch_electrons, dark_sky_electrons_s, moon_electrons_s
from quicksim.sources import parse_source, read_sources
from quicksim.spectra import SpectrumLibrary, electrons
from quicksim.tables import flat_sed

if TYPE_CHECKING:
    from pathlib import Path

R_BAND = BANDS[2]
CENTRAL = Projection(0.0, 0.0, 0.0, 0.0, 0.0, 10.0, 400, 408)
QUICK = Settings(["backalpha 0.0", "backbeta 4.0", "backgamma 10.0"])


def object_line(
    magnitude: float = 20, sed: str = "flat.txt", redshift: float = 0, shape: str = "star none none"
) -> str:
    return f"object 7 0.0 0.0 {magnitude} {sed} {redshift} 0 0 0 0 0 {shape}"


def expected_electrons(folder: Path, line: str, band: int = 2) -> float:
    return float(electrons(read_sources([line]), BANDS[band], 15.0, 1.0, SpectrumLibrary(folder))[0])


# Spectra and zero points ---


@pytest.mark.parametrize(("band", "count"), [(2, 39_100), (3, 34_800)])
def test_zero_points_are_phosims(tmp_path: Path, band: int, count: float) -> None:
    (tmp_path / "flat.txt").write_text(flat_sed())
    assert expected_electrons(tmp_path, object_line(), band) == pytest.approx(count, rel=0.01)


def test_a_missing_spectrum_is_flat_and_counted(tmp_path: Path) -> None:
    library = SpectrumLibrary(tmp_path)
    counts = electrons(read_sources([object_line(sed="no.gz"), object_line(sed="no.gz")]), R_BAND, 15.0, 1.0, library)
    assert counts == pytest.approx([39_100, 39_100])
    assert library.missing == {"no.gz": 2}


def test_a_red_spectrum_is_brighter_in_red_bands(tmp_path: Path) -> None:
    # Flux per frequency grows linearly with wavelength, so per nm it falls with it.
    (tmp_path / "red.txt").write_text("\n".join(f"{nm} {500 / nm:.6f}" for nm in range(300, 1200)))
    ratio = expected_electrons(tmp_path, object_line(sed="red.txt")) / 39_100
    assert ratio == pytest.approx(R_BAND.central_nm / 500, rel=0.02)


def test_redshift_moves_a_spectrum(tmp_path: Path) -> None:
    """All light is between 300 and 320 nm: at z = 1 that is 600 to 640 nm, in r and not at 500 nm."""
    (tmp_path / "line.txt").write_text("200 1\n299 1\n300 50\n320 50\n321 1\n900 1")
    near, far = (expected_electrons(tmp_path, object_line(sed="line.txt", redshift=z)) for z in (0.0, 1.0))
    assert far > 5 * near


def test_dust_dims(tmp_path: Path) -> None:
    clear, dusty = (
        expected_electrons(tmp_path, object_line(shape=shape))
        for shape in ("point none none", "point none CCM 1.0 3.1")
    )
    assert dusty / clear == pytest.approx(10 ** (-0.4 * 0.87), rel=0.03)


def test_light_fades_towards_the_edge() -> None:
    throughput = field_throughput(np.array([0.0, 1.0, 1.75, 2.0]))
    assert throughput[0] == 1
    assert (np.diff(throughput) < 0).all()


# Sky ---


def sky_image(mean: float, bunch: float, seed: int = 1) -> np.ndarray:
    pixels = np.zeros((408, 400), np.float32)
    add_sky(pixels, mean, bunch, CENTRAL, np.random.default_rng(seed))
    return pixels


def test_quickbackground_is_as_bright_and_as_rough_as_phosims() -> None:
    mean = 15.0 * dark_sky_electrons_s(Settings(["zenith_v 21.9"]), R_BAND, airmass=1.0)
    pixels = sky_image(mean, bunch_electrons(QUICK))
    median = np.median(pixels)
    assert median == pytest.approx(304, rel=0.05)
    assert 1.48 * np.median(abs(pixels - median)) == pytest.approx(160, rel=0.1)


@pytest.mark.parametrize("mean", [3.0, 320.0])
def test_the_usual_sky_is_poisson(mean: float) -> None:
    pixels = sky_image(mean, bunch_electrons(Settings([])))
    assert pixels.mean() == pytest.approx(mean, rel=0.01)
    assert pixels.var() == pytest.approx(mean, rel=0.02)
    assert (pixels == np.rint(pixels)).all()
    assert (pixels >= 0).all()


def test_zenith_v_1000_is_no_sky_even_under_the_moon() -> None:
    settings = Settings(["zenith_v 1000.0", "moonalt 60", "moondist 40", "phaseang 100"])
    assert dark_sky_electrons_s(settings, R_BAND, 1.0) == 0
    assert moon_electrons_s(settings, R_BAND, 0.0) == 0


def test_a_magnitude_less_is_two_and_a_half_times_the_sky() -> None:
    bright, dark = (dark_sky_electrons_s(Settings([f"zenith_v {v}"]), R_BAND, 1.0) for v in (20.9, 21.9))
    assert bright / dark == pytest.approx(10**0.4)


def test_moonlight_follows_the_moon() -> None:
    def moonlight(altitude: float, distance: float, lit: float, band: int = 2) -> float:
        settings = Settings([f"moonalt {altitude}", f"moondist {distance}", f"phaseang {lit}"])
        return moon_electrons_s(settings, BANDS[band], 10.0)

    assert moonlight(-5, 90, 100) == 0
    assert moonlight(40, 90, 100) > moonlight(40, 90, 50) > moonlight(40, 90, 5) > 0
    assert moonlight(40, 30, 100) > moonlight(40, 90, 100)
    dark_ratio = [moonlight(40, 90, 100, band) / BANDS[band].sky_electrons_s for band in range(6)]
    assert dark_ratio == sorted(dark_ratio, reverse=True)


# PSF ---


def test_photons_follow_the_profile() -> None:
    psf = Psf(fwhm_pixels=3.4, beta=3.0)
    radii = psf.photon_radii(np.random.default_rng(1).random(400_000))
    inside = [(radii < radius).mean() for radius in (1.7, 3.4, 10.0)]
    steps = np.linspace(0, 10, 20_001)
    light = np.cumsum(2 * np.pi * steps * psf.brightness(steps**2)) * steps[1]
    assert inside == pytest.approx(np.interp([1.7, 3.4, 10.0], steps, light), abs=0.003)
    assert psf.brightness(np.array([1.7**2])) == pytest.approx(psf.brightness(np.array([0.0])) / 2)


def test_the_psf_follows_seeing_band_and_airmass() -> None:
    def width(*lines: str, nm: float = 500, airmass: float = 1.0) -> float:
        return Psf.of(Settings(lines), nm, airmass, 0.2).fwhm_pixels

    seeing = "totalseeing 0.67"
    assert 0.9 * 3.35 < width(seeing, nm=622) < 3.45
    assert width("totalseeing 1.34") > 1.9 * width(seeing)
    assert width(seeing, airmass=1.5) > width(seeing) > width(seeing, nm=900)
    assert width(seeing, "toypsf 0.5", "cleareverything") == pytest.approx(2.5)
    assert width(seeing, "cleareverything") < 0.5


# Objects ---


def batch(
    count: float, matrix: list[list[float]], index: float = 1.0, at: tuple[float, float] = (200.3, 180.7)
) -> Batch:
    return Batch(*(np.array([value]) for value in (0, at[0], at[1], count, matrix, index)))


def drawn(one: Batch, psf: Psf, shape: tuple[int, int] = (400, 400)) -> np.ndarray:
    canvas = Canvas(np.zeros(shape, np.float32), psf, Tally.empty(1))
    canvas.draw(one, np.random.default_rng(5))
    assert canvas.tally.electrons[0] == canvas.pixels.sum()
    if canvas.pixels.any():
        columns = (canvas.pixels.sum(axis=0) * np.arange(shape[1])).sum()
        assert canvas.tally.columns[0] == pytest.approx(columns)
    return canvas.pixels


def moments(pixels: np.ndarray) -> list[float]:
    """Total, centre and second moments."""
    image = pixels.astype(np.float64)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    total = image.sum()
    cx, cy = (image * x).sum() / total, (image * y).sum() / total
    seconds = [(x - cx) ** 2, (y - cy) ** 2, (x - cx) * (y - cy)]
    return [total, cx, cy, *((image * second).sum() / total for second in seconds)]


POINT = [[0.0, 0.0], [0.0, 0.0]]
GALAXY = [[8.0, -2.0], [3.0, 4.0]]
NARROW = Psf(fwhm_pixels=3.2, beta=20.0)


@pytest.mark.parametrize("matrix", [POINT, GALAXY])
def test_shot_and_drawn_objects_look_alike(matrix: list[list[float]], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for threshold in (0.0, 1e9):
        monkeypatch.setattr(drawing, "BRIGHT_POINT_ELECTRONS", threshold)
        monkeypatch.setattr(drawing, "BRIGHT_GALAXY_ELECTRONS", threshold)
        seen.append(moments(drawn(batch(1e6, matrix), NARROW)))
    assert seen[0] == pytest.approx(seen[1], rel=0.03, abs=0.1)
    assert seen[0][:3] == pytest.approx([1e6, 200.3, 180.7], rel=0.005)


@pytest.mark.parametrize("count", [1e3, 1e6])
@pytest.mark.parametrize("matrix", [POINT, GALAXY])
def test_only_what_hits_the_chip_counts(count: float, matrix: list[list[float]]) -> None:
    half = drawn(batch(count, matrix, at=(-0.5, 200.0)), NARROW).sum()
    assert half == pytest.approx(count / 2, rel=0.1)
    assert drawn(batch(count, matrix, at=(-2000.0, 200.0)), NARROW).sum() == 0


def test_a_huge_galaxy_is_drawn_without_the_psf_but_with_its_light() -> None:
    wide = [[0.0, -60.0], [60.0, 0.0]]
    assert drawn(batch(1e7, wide, index=4.0), Psf(0.8, 3.0), (900, 900)).sum() == pytest.approx(0.9e7, rel=0.1)


def test_a_narrow_psf_keeps_its_light() -> None:
    assert drawn(batch(1e6, POINT), Psf(0.25, 100.0)).sum() == pytest.approx(1e6, rel=0.01)


@pytest.mark.parametrize("index", [0.5, 1.0, 4.0])
def test_half_of_the_photons_are_within_the_half_light_radius(index: float) -> None:
    radii = photon_radii(np.full(100_000, index), np.random.default_rng(3))
    assert (radii < 1).mean() == pytest.approx(0.5, abs=0.006)


def test_position_angles_go_from_north_to_east() -> None:
    source = parse_source(object_line(shape="sersic2d 2.0 1.0 30.0 1.0 none none"))
    long_axis = shape_matrix(source, CENTRAL)[:, 0]
    size = 2.0 / CENTRAL.arcsec_per_pixel
    assert long_axis == pytest.approx([size * np.sin(np.radians(30)), size * np.cos(np.radians(30))])
    turned = shape_matrix(source, replace(CENTRAL, rotation_deg=30.0))[:, 0]
    assert turned == pytest.approx([size * np.sin(np.radians(60)), size * np.cos(np.radians(60))])


def test_shear_stretches() -> None:
    source = parse_source("object 7 0 0 20 flat.txt 0 0.1 0 0 0 0 gauss 1.0 none none")
    (xx, xy), (yx, yy) = shape_matrix(source, CENTRAL)
    assert abs(xy) > abs(yx) or abs(xx) > abs(yy)
    assert sorted(np.linalg.svd(np.array([[xx, xy], [yx, yy]]))[1]) == pytest.approx(
        [1.17741 / 0.2001 / 1.1, 1.17741 / 0.2001 / 0.9], rel=0.01
    )


@pytest.mark.parametrize(
    ("shape", "axes", "dust"),
    [
        ("point none none", (0, 0), (0, 0)),
        ("star none CCM 0.3 3.1", (0, 0), (0, 0.3)),
        ("gauss 2.0 calzetti 0.1 4.0 ccm 0.2 3.1", (2.35482, 2.35482), (0.1, 0.2)),
        ("sersic2d 1.5 1.0 40 4 CCM 0.1 3.1 none", (1.5, 1.0), (0.1, 0)),
        ("sersic 1.5 1.0 0.8 40 20 4 none none", (1.5, 1.0), (0, 0)),
        ("movingpoint 0.1 0.2 none CCM 0.3 3.1", (0, 0), (0, 0.3)),
        ("pinhole 1 2 3 4 none none", (0, 0), (0, 0)),
        ("stamp.fits 0.2 10 none none", (0, 0), (0, 0)),
    ],
)
def test_spatial_models(shape: str, axes: tuple[float, float], dust: tuple[float, float]) -> None:
    source = parse_source(object_line(shape=shape))
    assert (source.major_arcsec, source.minor_arcsec) == pytest.approx(axes)
    assert (source.dust_at_source, source.dust_on_earth) == dust


def test_bad_object_lines_are_left_out_and_counted() -> None:
    bad = ["object 1 0 0\n", object_line().replace("20", "nan", 1), object_line(shape="sersic2d 1 1 none none")]
    table = read_sources([*bad, object_line()])
    assert (len(table.rows), table.bad_lines) == (1, 3)


# Detector ---


def test_excess_charge_blooms_along_its_column() -> None:
    pixels = np.zeros((101, 5), np.float32)
    pixels[50, 2] = 10_500
    fill_wells(pixels, 1000.0, blooming=True)
    assert pixels.max() == 1000
    assert pixels.sum() == 10_500
    assert not pixels[:, [0, 1, 3, 4]].any()
    filled = np.nonzero(pixels[:, 2])[0]
    assert (filled.min(), filled.max()) == (45, 55)


def test_charge_that_reaches_the_edge_is_lost() -> None:
    pixels = np.full((4, 2), 5000, np.float32)
    fill_wells(pixels, 1000.0, blooming=True)
    assert (pixels == 1000).all()


def test_without_blooming_the_excess_is_lost() -> None:
    pixels = np.zeros((11, 3), np.float32)
    pixels[5, 1] = 5000
    fill_wells(pixels, 1000.0, blooming=False)
    assert pixels.sum() == 1000


def test_cosmic_rays_come_at_their_density() -> None:
    device = Device("any", 0, 0, 10.0, 400, 408, "CCD", 3.0, "Group0")
    pixels = np.zeros((408, 400), np.float32)
    add_cosmic_rays(pixels, device, 0.0, 15.0, np.random.default_rng(1))
    assert not pixels.any()
    add_cosmic_rays(pixels, device, 600.0, 15.0, np.random.default_rng(1))
    # About 98 tracks of at least 8,000 electrons each.
    assert 98 * 6_000 < pixels.sum() < 98 * 30_000
    assert (pixels == np.rint(pixels)).all()
