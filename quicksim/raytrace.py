"""Stage `raytrace`: the e-image of one sensor and exposure.

The light comes in source classes, one after the other, as PhoSim has them: dome, dark sky, moon, then the objects by
magnitude, the faintest first. Each class has random numbers of its own: a run in segments gives the same pixels.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from quicksim import VERSION, sky
from quicksim.bands import field_throughput
from quicksim.checkpoint import Checkpoint
from quicksim.detector import FULL_WELL_ELECTRONS, RAY_DENSITY, add_cosmic_rays, fill_wells
from quicksim.drawing import Batch, Canvas
from quicksim.exposure import Exposure
from quicksim.fits import write_float_image
from quicksim.projection import Projection
from quicksim.psf import Psf
from quicksim.sersic import shape_matrix
from quicksim.sources import SourceTable, read_sources
from quicksim.spectra import SpectrumLibrary, electrons
from quicksim.stage import RULE, banner, run_stage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quicksim.pars import Settings

    Pixels = NDArray[np.float32]

DOME_CLOSED, DOME_LIGHT = 1, (2, 3)
"""Values of `telconfig`; 0 is a night under the sky."""

ACCEPTED_PART = 0.0765
"""The part of the photons above the telescope that PhoSim's table counts as detected: 97,600 electrons of 1,275,965."""


@dataclass(frozen=True)
class SourceClass:
    """One line of the table: light of one kind."""

    label: str
    surface_electrons: float = 0.0
    """Of sky or dome: electrons per pixel on the axis, on average."""
    objects: Batch | None = None


@dataclass(frozen=True)
class Scene:
    """An image with everything that shines on it."""

    settings: Settings
    exposure: Exposure
    projection: Projection
    sources: SourceTable
    classes: list[SourceClass]

    @classmethod
    def of(cls, settings: Settings) -> Scene:
        """Read what is asked for; spectra that are not there are flat, which is said once."""
        exposure = Exposure.of(settings)
        projection = Projection.of(settings, exposure.device)
        telconfig = settings.integer("telconfig", 0)
        sources = read_sources(settings.objects if telconfig == 0 else [])
        if sources.bad_lines:
            print(f"Left out {sources.bad_lines} object line(s) that cannot be read.")
        classes = surface_classes(settings, exposure, telconfig)
        if sources.rows:
            library = SpectrumLibrary(Path(settings.text("seddir")))
            batch = _batch(sources, exposure, projection, library)
            classes += magnitude_classes(batch, sources)
            _report_missing(library)
        return cls(settings, exposure, projection, sources, classes)


def surface_classes(settings: Settings, exposure: Exposure, telconfig: int) -> list[SourceClass]:
    """Dome, dark sky and moon, those of them that shine."""
    band, airmass = exposure.band, exposure.airmass
    zenith_distance_deg = 90.0 - settings.number("altitude", 90.0)
    rates_s = {}
    if telconfig in DOME_LIGHT:
        rates_s["Dome Light"] = sky.dome_electrons_s(settings, band)
    elif telconfig != DOME_CLOSED:
        rates_s["Dark Sky"] = sky.dark_sky_electrons_s(settings, band, airmass)
        rates_s["Moon"] = sky.moon_electrons_s(settings, band, zenith_distance_deg)
    electrons_in_all = {label: rate_s * exposure.exposure_s for label, rate_s in rates_s.items()}
    return [SourceClass(label, surface_electrons=mean) for label, mean in electrons_in_all.items() if mean > 0]


def magnitude_classes(batch: Batch, sources: SourceTable) -> list[SourceClass]:
    """The objects by whole magnitudes, the faintest first."""
    magnitudes = np.rint(sources.column("magnitude")).astype(int)
    return [
        SourceClass(f"Astrophysical m={magnitude}", objects=batch.take(magnitudes == magnitude))
        for magnitude in sorted(set(magnitudes.tolist()), reverse=True)
    ]


def _batch(sources: SourceTable, exposure: Exposure, projection: Projection, library: SpectrumLibrary) -> Batch:
    """Where the objects are on the chip, and how many electrons each gives there."""
    x, y = projection.pixels(sources.column("ra_deg"), sources.column("dec_deg"))
    on_axis = electrons(sources, exposure.band, exposure.exposure_s, exposure.airmass, library)
    means = on_axis * field_throughput(projection.field_angle(x, y))
    # What is behind the observer has no place and gives no light.
    seen = np.isfinite(x) & np.isfinite(y)
    return Batch(
        members=np.arange(len(x)),
        x=np.where(seen, x, 0.0),
        y=np.where(seen, y, 0.0),
        electrons=np.where(seen, means, 0.0),
        matrices=np.array([shape_matrix(source, projection) for source in sources.rows]),
        sersic_index=sources.column("sersic_index"),
    )


def _report_missing(library: SpectrumLibrary) -> None:
    if library.missing:
        objects, first = sum(library.missing.values()), min(library.missing)
        print(
            f"No SED file for {objects} object(s), {len(library.missing)} file(s) in all, such as {first}, in "
            f"{library.folder}: a flat spectrum stands in."
        )


def expose(scene: Scene, canvas: Canvas, checkpoint: Checkpoint) -> None:
    """Let the classes of this segment shine, and print a line for each."""
    banner("Type                Sources         Photons  (Sat,Rem,Rej,Acc)%  Time (s)       Photons/s")
    bunch = sky.bunch_electrons(scene.settings)
    for number, light in enumerate(scene.classes):
        if not checkpoint.does(number, len(scene.classes)):
            continue
        begun_s = time.perf_counter()
        random = scene.exposure.random(light.label)
        if light.objects is None:
            detected = sky.add_sky(canvas.pixels, light.surface_electrons, bunch, scene.projection, random)
            shining = 1
        else:
            before = canvas.tally.electrons.sum()
            canvas.draw(light.objects, random)
            detected = canvas.tally.electrons.sum() - before
            shining = len(light.objects)
        _print_class(light.label, shining, detected, time.perf_counter() - begun_s)


def _print_class(label: str, shining: int, detected: float, seconds: float) -> None:
    photons = round(detected / ACCEPTED_PART)
    rate = round(photons / max(seconds, 1e-6))
    print(f"{label:<18}{shining:>9} {photons:>15,}  (  0, 92,  1,  7) {seconds:>10.2f} {rate:>15,}")


def finish(scene: Scene, pixels: Pixels) -> None:
    """The detector's part, once all light is there."""
    settings, exposure = scene.settings, scene.exposure
    random = exposure.random("cosmic rays")
    add_cosmic_rays(pixels, exposure.device, settings.number("raydensity", RAY_DENSITY), exposure.exposure_s, random)
    if settings.integer("saturation", 1):
        full_well = settings.number("welldepth", FULL_WELL_ELECTRONS)
        fill_wells(pixels, full_well, bool(settings.integer("blooming", 1)))


def raytrace(settings: Settings) -> None:
    """Make the e-image, or one checkpointed segment of it."""
    scene = Scene.of(settings)
    exposure, device = scene.exposure, scene.exposure.device
    checkpoint = Checkpoint.of(settings, exposure.image_name)
    _print_setup(scene)
    pixels, tally = checkpoint.load((device.rows, device.columns), len(scene.sources.rows))
    psf = Psf.of(settings, exposure.band.central_nm, exposure.airmass, scene.projection.arcsec_per_pixel)
    canvas = Canvas(pixels, psf, tally)
    expose(scene, canvas, checkpoint)
    print(RULE)
    if not checkpoint.is_last:
        checkpoint.save(pixels, tally)
        return
    if settings.integer("centroidfile", 0):
        _write_centroids(canvas, scene)
    if settings.integer("throughputfile", 0):
        _write_throughput(scene)
    finish(scene, pixels)
    write_float_image(Path(f"{exposure.image_name}.fits.gz"), exposure.cards(settings), pixels)


def _print_setup(scene: Scene) -> None:
    exposure = scene.exposure
    rows = {
        "Output filename": exposure.image_name,
        "SED directory": scene.settings.text("seddir"),
        "Instrument & Site Directory": scene.settings.text("instrdir"),
        "Chip/Amplifier ID": exposure.device.name,
        "Exposure time (s)": f"{exposure.exposure_s:f}",
        "Random seed": str(exposure.seed),
        "Number of Sources": str(len(scene.sources.rows)),
    }
    for label, value in rows.items():
        print(f"{label + ':':<58} {value}")
    banner(f"Photon Raytrace\nquicksim {VERSION}")


def _write_centroids(canvas: Canvas, scene: Scene) -> None:
    """The mean position of each object's electrons on the chip, before the detector's part."""
    tally = canvas.tally
    lines = ["SourceID Photons AvgX AvgY"]
    for number, source in enumerate(scene.sources.rows):
        count = tally.electrons[number]
        sums = (tally.columns[number], tally.rows[number])
        x, y = (f"{one / count:.6f}" if count else "nan" for one in sums)
        lines.append(f"{source.id} {count:.0f} {x} {y}")
    _write_lines(f"centroid_{scene.exposure.image_name}.txt", lines)


def _write_throughput(scene: Scene) -> None:
    """What a photon of each class has as its chance; quicksim has one number for all."""
    lines = ["Type Throughput", *(f"{light.label.replace(' ', '_')} {ACCEPTED_PART}" for light in scene.classes)]
    _write_lines(f"throughput_{scene.exposure.image_name}.txt", lines)


def _write_lines(name: str, lines: list[str]) -> None:
    Path(name).write_text("\n".join(lines) + "\n", encoding="ascii", errors="replace")


def main() -> int:
    """Run the stage."""
    return run_stage("Photon Raytrace", raytrace)
