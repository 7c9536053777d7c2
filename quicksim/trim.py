"""Stage `trim`: which objects shine on which of a few sensors.

It passes over the whole catalog, so it looks at no more of a line than it must. As in PhoSim, a line that is no proper
object keeps the numbers of the line before, and raytrace makes nothing of it.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import numpy as np

from quicksim.focal_plane import read_layout
from quicksim.pars import Settings, StageError
from quicksim.projection import Projection
from quicksim.sources import HALF_LIGHT_OF_SIGMA, SHAPES, SPATIAL_WORD
from quicksim.stage import run_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MOST_CATALOGS = 20
LINES_AT_ONCE = 100_000

SMALLEST_MARGIN_PIXELS = 30.0
MARGIN_AT_20_PIXELS = 20.0
LARGEST_MARGIN_PIXELS = 4000.0
MARGIN_RADII = 8.0
"""An object counts for a sensor from this far outside of it on: grows with its brightness, as the radius at which its
wings have a certain faintness does, and with its half-light radius."""


@dataclass
class Reader:
    """Turns lines into numbers; remembers the last good ones."""

    ra_deg: float = 0.0
    dec_deg: float = 0.0
    magnitude: float = 99.0
    size_arcsec: float = 0.0
    columns: list[tuple[float, float, float, float]] = field(default_factory=list)

    def read(self, line: str) -> None:
        """Note position, magnitude and half-light radius of one object line."""
        words = line.split()
        try:
            if words[0] != "object":
                raise ValueError(line)
            self.ra_deg, self.dec_deg, self.magnitude = float(words[2]), float(words[3]), float(words[4])
            kind = words[SPATIAL_WORD]
            self.size_arcsec = float(words[SPATIAL_WORD + 1]) * HALF_LIGHT_OF_SIGMA if kind in SHAPES else 0.0
        except (ValueError, IndexError):
            pass
        self.columns.append((self.ra_deg, self.dec_deg, self.magnitude, self.size_arcsec))


def catalog_lines(path: Path) -> Iterator[str]:
    """The object lines of a catalog file, plain or gzip."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with cast("IO[str]", opener(path, "rt", encoding="utf-8", errors="replace")) as lines:
            yield from (line for line in lines if "object" in line)
    except OSError as failure:
        raise StageError(f"Cannot open catalog file {path}: {failure.strerror or failure}") from None


def margins_pixels(magnitudes: Floats, sizes_arcsec: Floats, arcsec_per_pixel: float) -> Floats:
    """How far outside of a sensor each object still counts."""
    glare = MARGIN_AT_20_PIXELS * 10 ** (0.2 * (20 - magnitudes))
    galaxy = MARGIN_RADII * sizes_arcsec / arcsec_per_pixel
    return np.asarray(np.minimum(SMALLEST_MARGIN_PIXELS + glare + galaxy, LARGEST_MARGIN_PIXELS))


def near(columns: Floats, projection: Projection) -> NDArray[np.intp]:
    """Which objects are on a sensor or near enough; `columns` are RA, Dec, magnitude and half-light radius."""
    ra_deg, dec_deg, magnitudes, sizes_arcsec = columns
    x, y = projection.pixels(ra_deg, dec_deg)
    margin = margins_pixels(magnitudes, sizes_arcsec, projection.arcsec_per_pixel)
    inside_x = (x > -margin) & (x < projection.columns + margin)
    inside_y = (y > -margin) & (y < projection.rows + margin)
    return np.nonzero(inside_x & inside_y)[0]


def trim(settings: Settings) -> None:
    """Write the trimmed catalog of each sensor asked for, and print how many objects it has, if any."""
    visit = settings.text("obshistid")
    layout = read_layout(Path(settings.text("instrdir")))
    chips = [name for _, name in sorted(settings.table("chipid").items())]
    catalogs = [Path(name) for _, name in sorted(settings.table("catalog").items())]
    if len(catalogs) > MOST_CATALOGS:
        raise StageError("Cannot split into that many files.")
    unknown = [name for name in chips if name not in layout]
    if unknown:
        raise StageError(f"no chip '{unknown[0]}' in focalplanelayout.txt")
    projections = {name: Projection.of(settings, layout[name]) for name in chips}
    kept: dict[str, list[str]] = {name: [] for name in chips}
    lines = (line for path in catalogs for line in catalog_lines(path))
    reader = Reader()
    while piece := list(islice(lines, LINES_AT_ONCE)):
        reader.columns.clear()
        for line in piece:
            reader.read(line)
        columns = np.array(reader.columns).T
        for name, projection in projections.items():
            kept[name] += [piece[number] for number in near(columns, projection)]
    for name, own in kept.items():
        _write_trimmed(f"trimcatalog_{visit}_{name}.pars", own)
        if own:
            print(f"Found {len(own)} source(s) for chip {name}.")


def _write_trimmed(name: str, lines: list[str]) -> None:
    """Two blank lines, then each object with a blank line behind it."""
    text = "\n\n" + "".join(line.rstrip("\r\n") + "\n\n" for line in lines)
    Path(name).write_text(text, encoding="utf-8")


def main() -> int:
    """Run the stage."""
    return run_stage("Trim Catalog", trim)
