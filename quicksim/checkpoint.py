"""Checkpoints of a raytrace: which part of the work a segment does, and the pair of files that hands it on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from quicksim.drawing import Tally
from quicksim.fits import read_float_image, write_float_image
from quicksim.fits_cards import format_card
from quicksim.pars import StageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quicksim.pars import Settings

    Pixels = NDArray[np.float32]

HALF_BITS = 2.0**20
"""Sums of positions go into 32-bit numbers as a high and a low part."""


@dataclass(frozen=True)
class Checkpoint:
    """Segment `count` of the segments 0 to `total`."""

    count: int
    total: int
    image_name: str

    @classmethod
    def of(cls, settings: Settings, image_name: str) -> Checkpoint:
        """The segment that is asked for; without the keys, the only one."""
        count, total = settings.integer("checkpointcount", 0), settings.integer("checkpointtotal", 0)
        if not 0 <= count <= total:
            raise StageError(f"checkpointcount {count} is not one of 0 to {total}")
        return cls(count, total, image_name)

    @property
    def is_last(self) -> bool:
        """Whether this segment finishes the image."""
        return self.count == self.total

    def does(self, number: int, classes: int) -> bool:
        """Whether source class `number` of so many falls to this segment."""
        return number * (self.total + 1) // classes == self.count

    def _files(self, segment: int) -> tuple[Path, Path]:
        """The tally so far, and the focal plane so far."""
        stem = f"{self.image_name}_ckpt"
        return Path(f"{stem}dt_{segment}.fits.gz"), Path(f"{stem}fp_{segment}.fits.gz")

    def load(self, shape: tuple[int, int], objects: int) -> tuple[Pixels, Tally]:
        """What the segment before this one left; a clean start for the first."""
        if self.count == 0:
            return np.zeros(shape, dtype=np.float32), Tally.empty(objects)
        try:
            tally_image, image = (read_float_image(path) for path in self._files(self.count - 1))
        except OSError as failure:
            raise StageError(f"Error opening the checkpoint of segment {self.count - 1}: {failure}") from None
        if image.pixels.shape != shape or tally_image.pixels.shape != (6, max(objects, 1)):
            raise StageError(f"the checkpoint of segment {self.count - 1} belongs to another image")
        whole = tally_image.pixels.astype(np.float64)
        sums = whole[0::2] * HALF_BITS + whole[1::2]
        return image.pixels, Tally(*(row[:objects] for row in sums))

    def save(self, pixels: Pixels, tally: Tally) -> None:
        """Leave the work so far for the next segment."""
        sums = np.array([tally.electrons, tally.columns, tally.rows])
        high, low = np.divmod(sums, HALF_BITS)
        parts = np.zeros((6, max(sums.shape[1], 1)), dtype=np.float32)
        parts[0::2, : sums.shape[1]] = high
        parts[1::2, : sums.shape[1]] = low
        cards = [format_card("CKPTCNT", self.count), format_card("CKPTTOT", self.total)]
        tally_file, image_file = self._files(self.count)
        write_float_image(tally_file, cards, parts)
        write_float_image(image_file, cards, pixels)
