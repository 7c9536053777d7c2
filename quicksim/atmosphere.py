"""Stage `atmosphere`: the air of a visit. Standard library only.

quicksim has no turbulence: what counts is the total seeing and the brightness of the dark sky. The layers and their
screens are there because a PhoSim release has them; a screen of quicksim is one pixel, the layer's seeing.
"""

from __future__ import annotations

import random
import struct
from pathlib import Path

from quicksim.fits_cards import BLOCK_BYTES, header_block, structure_cards
from quicksim.gz import write_gz
from quicksim.pars import Settings, StageError
from quicksim.stage import run_stage

HEIGHTS_KM = (16.0, 8.0, 4.0, 2.0, 1.0, 0.5, 0.02)
CLOUD_LAYERS = (1, 2)
SCREEN_KINDS = (
    *("coarsep", "coarsex", "coarsey", "fineh", "finep", "largep"),
    *("largex", "largey", "mediumh", "mediump", "mediumx", "mediumy"),
)

DARK_ZENITH_V = 21.9
"""V magnitude of a square arcsecond of moonless sky; PhoSim 3.4 writes 21.899 for its star example."""

TYPICAL_SEEING = 0.67
"""Arcseconds, the median of Cerro Pachon at 500 nm; stands in where seeing -1 asks for a draw."""


def screen_files(visit: str) -> list[str]:
    """The names of all screens of a visit."""
    layers = [f"atmospherescreen_{visit}_{n}_{kind}.fits.gz" for n in range(len(HEIGHTS_KM)) for kind in SCREEN_KINDS]
    return [*(f"cloudscreen_{visit}_{n}.fits.gz" for n in CLOUD_LAYERS), f"airglowscreen_{visit}.fits.gz", *layers]


def make_atmosphere(settings: Settings) -> None:
    """Draw the visit's air from its seed; writes atmosphere_OBS.pars and the screens."""
    visit = settings.text("obshistid")
    draw = random.Random(f"atmosphere {settings.integer('obsseed')}")  # noqa: S311 - physics, not secrets
    total = settings.number("constrainseeing", 0.0)
    if total < 0:
        total = TYPICAL_SEEING * draw.lognormvariate(0.0, 0.2)
    if total > 10:
        raise StageError(f"a seeing of {total:g} arcseconds is not one to observe in")
    seeings = _layer_seeings(total, draw)
    lines = [
        f"natmospherefile {len(HEIGHTS_KM)}",
        f"totalseeing {total:f}",
        *(f"{key} {draw.gauss(1.0, spread):f}" for key, spread in AIR),
    ]
    for layer, height_km in enumerate(HEIGHTS_KM):
        lines += ["", *_layer_lines(layer, height_km, seeings[layer], draw)]
    lines += ["", *(f"atmospherefile {layer} atmospherescreen_{visit}_{layer}" for layer in range(len(HEIGHTS_KM)))]
    lines += [f"cloudfile {layer} cloudscreen_{visit}_{layer}" for layer in CLOUD_LAYERS]
    lines += [f"zenith_v {draw.gauss(DARK_ZENITH_V, 0.01):.3f}"]
    Path(f"atmosphere_{visit}.pars").write_text("\n".join(lines) + "\n", encoding="ascii")
    _write_screens(visit, seeings)


AIR = (("reldensity", 0.01), ("relo2", 0.01), ("relh2o", 0.1), ("relo3", 0.05))
"""What of the air varies from night to night, relative to its mean, and by how much."""


def _layer_seeings(total: float, draw: random.Random) -> list[float]:
    """Arcseconds of each layer; the ground layer is the strongest. Seeings add as powers of 5/3."""
    weights = [draw.uniform(0.5, 1.5) * (6.0 if height_km < 0.1 else 1.0) for height_km in HEIGHTS_KM]
    return [total * (weight / sum(weights)) ** 0.6 for weight in weights]


def _layer_lines(layer: int, height_km: float, seeing: float, draw: random.Random) -> list[str]:
    lines = [
        f"height {layer} {height_km:f}",
        f"wind {layer} {draw.uniform(5, 40):f}",
        f"winddir {layer} {draw.uniform(0, 360):f}",
        f"outerscale {layer} {draw.uniform(10, 30):f}",
        f"seeing {layer} {seeing:f}",
        f"densityfluc {layer} 0.026458",
    ]
    if layer in CLOUD_LAYERS:
        lines += ["", f"cloudmean {layer} 0.000000", "", f"cloudvary {layer} 0.000000"]
    return lines


def _write_screens(visit: str, seeings: list[float]) -> None:
    for name in screen_files(visit):
        layer = name[len(f"atmospherescreen_{visit}_")] if name.startswith("atmospherescreen") else ""
        pixel = struct.pack(">f", seeings[int(layer)] if layer else 0.0)
        write_gz(Path(name), [header_block(structure_cards(-32, (1, 1))), pixel.ljust(BLOCK_BYTES, b"\0")])


def main() -> int:
    """Run the stage."""
    return run_stage("Atmosphere Creator", make_atmosphere)
