"""Objects onto pixels.

Rules: faint objects are shot photon by photon; bright points are the PSF over the pixels; bright galaxies are convolved
with it by GalSim. What is drawn as a profile gets Poisson noise afterwards. All electrons are whole.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from quicksim.pars import StageError
from quicksim.sersic import photon_radii

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from quicksim.psf import Psf

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Pixels = NDArray[np.float32]

PHOTONS_AT_ONCE = 500_000
ROWS_AT_ONCE = 256
BRIGHT_POINT_ELECTRONS = 30_000.0
BRIGHT_GALAXY_ELECTRONS = 200_000.0
"""Above these, drawing the profile is cheaper than shooting its photons."""

FAINTEST_WING_ELECTRONS = 0.05
"""A point is drawn out to where a pixel gets less than this."""

STEPS_PER_FWHM = 6.0
"""A profile is sampled at least so finely, and each pixel is the mean of its samples."""

GALAXY_RADII = 12.0
"""Half-light radii out to which a bright galaxy is drawn."""

LARGEST_FFT_PIXELS = 3000
"""A galaxy that needs more is so much wider than the PSF that it is drawn without it."""


@dataclass(frozen=True)
class Batch:
    """Some objects of an image, as columns."""

    members: Integers
    """Their numbers in the tally."""
    x: Floats
    y: Floats
    """Centres in pixels; whole numbers are the middles of pixels."""
    electrons: Floats
    """On average."""
    matrices: Floats
    """One 2 x 2 matrix each, from half-light radii to pixels; zero for a point."""
    sersic_index: Floats

    def take(self, chosen: NDArray[np.bool_] | slice) -> Batch:
        """Some of them."""
        return Batch(*(getattr(self, column.name)[chosen] for column in fields(self)))

    def __len__(self) -> int:
        return len(self.members)

    @property
    def extended(self) -> NDArray[np.bool_]:
        """Which are galaxies."""
        return np.asarray(self.matrices.any(axis=(1, 2)))


@dataclass
class Tally:
    """Per object, what arrived on the chip: electrons, and the sums of their columns and rows."""

    electrons: Floats
    columns: Floats
    rows: Floats

    @classmethod
    def empty(cls, objects: int) -> Tally:
        """Nothing yet."""
        return cls(np.zeros(objects), np.zeros(objects), np.zeros(objects))

    def add_photons(self, members: Integers, columns: Integers, rows: Integers) -> None:
        """Count single electrons."""
        objects = len(self.electrons)
        self.electrons += np.bincount(members, minlength=objects)
        self.columns += np.bincount(members, columns, objects)
        self.rows += np.bincount(members, rows, objects)

    def add_stamp(self, member: int, stamp: Floats, first_column: int, first_row: int) -> None:
        """Count the electrons of a part of the chip."""
        rows, columns = stamp.shape
        self.electrons[member] += stamp.sum()
        self.columns[member] += stamp.sum(axis=0) @ np.arange(first_column, first_column + columns)
        self.rows[member] += stamp.sum(axis=1) @ np.arange(first_row, first_row + rows)


@dataclass(frozen=True)
class Box:
    """A part of the chip, without its right and top ends."""

    left: int
    right: int
    bottom: int
    top: int

    @classmethod
    def around(cls, x: float, y: float, radius: float, shape: tuple[int, ...]) -> Box | None:
        """The pixels within a radius in x and y, cut at the chip's edges; None if there are none."""
        left, right = max(int(x - radius), 0), min(int(x + radius) + 2, shape[1])
        bottom, top = max(int(y - radius), 0), min(int(y + radius) + 2, shape[0])
        return cls(left, right, bottom, top) if left < right and bottom < top else None


@dataclass
class Canvas:
    """An image in the making."""

    pixels: Pixels
    psf: Psf
    tally: Tally

    def draw(self, batch: Batch, random: np.random.Generator) -> None:
        """Draw objects in the way that suits their brightness."""
        bright = batch.electrons > np.where(batch.extended, BRIGHT_GALAXY_ELECTRONS, BRIGHT_POINT_ELECTRONS)
        for shot in _pieces(batch.take(~bright & ~batch.extended)):
            self._shoot_points(shot, random)
        for shot in _pieces(batch.take(~bright & batch.extended)):
            self._shoot_galaxies(shot, random)
        drawn = batch.take(bright)
        for number, extended in enumerate(drawn.extended):
            one = drawn.take(slice(number, number + 1))
            if extended:
                self._draw_galaxy(one, random)
            else:
                self._draw_point(one, random)

    # Photon by photon ------------------------------------------------------------------------------------------------

    def _shoot_points(self, batch: Batch, random: np.random.Generator) -> None:
        owners = np.repeat(np.arange(len(batch)), random.poisson(batch.electrons))
        self._land(batch, owners, *self._seeing(len(owners), random))

    def _shoot_galaxies(self, batch: Batch, random: np.random.Generator) -> None:
        owners = np.repeat(np.arange(len(batch)), random.poisson(batch.electrons))
        radii = photon_radii(batch.sersic_index[owners], random)
        angles = random.uniform(0, 2 * np.pi, len(owners))
        across, along = radii * np.cos(angles), radii * np.sin(angles)
        matrices = batch.matrices[owners]
        dx, dy = self._seeing(len(owners), random)
        dx += matrices[:, 0, 0] * across + matrices[:, 0, 1] * along
        dy += matrices[:, 1, 0] * across + matrices[:, 1, 1] * along
        self._land(batch, owners, dx, dy)

    def _seeing(self, photons: int, random: np.random.Generator) -> tuple[Floats, Floats]:
        """Offsets in pixels that the PSF gives to photons."""
        radii = self.psf.photon_radii(random.random(photons))
        angles = random.uniform(0, 2 * np.pi, photons)
        return radii * np.cos(angles), radii * np.sin(angles)

    def _land(self, batch: Batch, owners: Integers, dx: Floats, dy: Floats) -> None:
        """Count photons in the pixels that they hit."""
        x, y = np.rint(batch.x[owners] + dx), np.rint(batch.y[owners] + dy)
        rows, columns = self.pixels.shape
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        column, row = x[inside].astype(np.int64), y[inside].astype(np.int64)
        np.add.at(self.pixels.reshape(-1), row * columns + column, np.float32(1))
        self.tally.add_photons(batch.members[owners[inside]], column, row)

    # As profiles -----------------------------------------------------------------------------------------------------

    def _draw_point(self, star: Batch, random: np.random.Generator) -> None:
        x, y, electrons = star.x[0], star.y[0], star.electrons[0]
        radius = self.psf.radius_of_brightness(FAINTEST_WING_ELECTRONS / electrons)
        box = Box.around(x, y, radius, self.pixels.shape)
        if box is not None:
            self._expose(star, box, electrons * self._point_profile(box, x, y), random)

    def _point_profile(self, box: Box, x: float, y: float) -> Floats:
        """The part of a point's light in each pixel of a box."""
        finer = max(1, int(np.ceil(STEPS_PER_FWHM / self.psf.fwhm_pixels)))
        step = (np.arange(finer) + 0.5) / finer - 0.5
        dx = (np.arange(box.left, box.right)[:, None] + step).ravel() - x
        dy = (np.arange(box.bottom, box.top)[:, None] + step).ravel() - y
        light = self.psf.brightness(dx**2 + dy[:, None] ** 2)
        return np.asarray(light.reshape(len(dy) // finer, finer, len(dx) // finer, finer).mean(axis=(1, 3)))

    def _draw_galaxy(self, galaxy: Batch, random: np.random.Generator) -> None:
        x, y, matrix = galaxy.x[0], galaxy.y[0], galaxy.matrices[0]
        radius = GALAXY_RADII * float(np.linalg.norm(matrix, 2)) + 5 * self.psf.fwhm_pixels
        box = Box.around(x, y, radius, self.pixels.shape)
        if box is not None:
            self._expose(galaxy, box, _galaxy_profile(galaxy, box, self.psf), random)

    def _expose(self, one: Batch, box: Box, expected: Floats | Pixels, random: np.random.Generator) -> None:
        """Add the light of one object with its noise, some rows at a time: a galaxy may cover the whole chip."""
        for first in range(0, len(expected), ROWS_AT_ONCE):
            stamp = random.poisson(np.maximum(expected[first : first + ROWS_AT_ONCE], 0)).astype(np.float64)
            rows = slice(box.bottom + first, box.bottom + first + len(stamp))
            self.pixels[rows, box.left : box.right] += stamp
            self.tally.add_stamp(int(one.members[0]), stamp, box.left, rows.start)


def _pieces(batch: Batch) -> Iterator[Batch]:
    """A batch in parts of about as many photons as are shot at once."""
    part = (np.cumsum(batch.electrons) // PHOTONS_AT_ONCE).astype(np.int64)
    for number in sorted(set(part.tolist())):
        yield batch.take(part == number)


def _galaxy_profile(galaxy: Batch, box: Box, psf: Psf) -> Pixels:
    """Electrons of a galaxy in each pixel of a box, on average."""
    try:
        import galsim
    except ImportError:
        raise StageError("a bright galaxy needs GalSim, which this Python does not have: pip install galsim") from None

    accuracy = galsim.GSParams(folding_threshold=0.02, maxk_threshold=0.005, kvalue_accuracy=1e-4)
    # GalSim has no Sersic profiles beyond these.
    index = float(np.clip(galaxy.sersic_index[0], 0.3, 6.2))
    profile = galsim.Sersic(index, half_light_radius=1.0, gsparams=accuracy)
    profile = profile.transform(*galaxy.matrices[0].ravel()).withFlux(galaxy.electrons[0])
    seen = galsim.Convolve(profile, galsim.Moffat(psf.beta, fwhm=psf.fwhm_pixels, gsparams=accuracy), gsparams=accuracy)
    # GalSim counts its pixels with both ends.
    image = galsim.ImageF(galsim.BoundsI(box.left, box.right - 1, box.bottom, box.top - 1))
    centre = galsim.PositionD(galaxy.x[0], galaxy.y[0])
    profile.drawImage(image, center=centre, scale=1.0, method="no_pixel")
    # Far from the centre the PSF changes nothing; an FFT that reached there from the centre would take gigabytes.
    x, y, reach = round(galaxy.x[0]), round(galaxy.y[0]), LARGEST_FFT_PIXELS // 2 - 1
    core = image.bounds & galsim.BoundsI(x - reach, x + reach, y - reach, y + reach)
    if core.isDefined() and seen.getGoodImageSize(1.0) <= LARGEST_FFT_PIXELS:
        seen.drawImage(image[core], center=centre, scale=1.0)
    return np.asarray(image.array)
