"""Pictures of simulated images: sensors in their places on the focal plane, as the sky shows itself.

Rules of this file
1. Images are read one at a time and binned at once, so a picture of the whole focal plane needs little memory.
2. The focal plane is seen from the back of the camera: its x runs against the sky's handedness. So x grows to the left
   here, and where the camera is not turned, north is up and east is left.
3. numpy, astropy and Pillow are imported when they are needed, and never by importing this module.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from transformation.model.focal_plane import Pointing, Sensor, pixel_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

    Pixels = NDArray[np.float32]

PIXEL_UM = 10.0
RAFT_UM, SENSOR_UM, HALF_UM = 127_000.0, 42_250.0, 10_000.0
"""Distances between the centres of rafts and of sensors, and from a wavefront sensor's centre to that of its halves:
exact for PhoSim 3.4's table."""
PIXELS_PER_ARCMIN = 300

_SENSOR = re.compile(r"R(?P<a>\d)(?P<b>\d)_S(?P<c>\d)(?P<d>\d)(_C(?P<half>\d))?")

SKY_PERCENTILE = 20.0
BLACK_SIGMA, SOFT_SIGMA = 0.8, 3.0
"""The stretch, in sky noise of a picture's pixel above the sky: black, and where linear becomes logarithmic."""

MARGIN_PX = 28
BACKGROUND = (16, 18, 23)
TEXT, FAINT_TEXT, MARK = (236, 236, 230), (160, 164, 172), (255, 205, 120)


class Stretch(Enum):
    """How light follows from what is above the sky; each value is what is white, in sky noise."""

    ASINH = ("asinh", 500.0)
    LOG = ("log", 500.0)
    SQRT = ("sqrt", 100.0)
    LINEAR = ("linear", 30.0)

    def __init__(self, word: str, white_sigma: float) -> None:
        self.word = word
        self.white_sigma = white_sigma

    def light(self, above: Pixels, white_sigma: float) -> Pixels:
        """From 0 for black to 1 for white, and on."""
        import numpy as np

        light: NDArray[np.floating[Any]]
        match self:
            case Stretch.ASINH:
                light = np.arcsinh(above / SOFT_SIGMA) / math.asinh(white_sigma / SOFT_SIGMA)
            case Stretch.LOG:
                light = np.log1p(above) / math.log1p(white_sigma)
            case Stretch.SQRT:
                light = np.sqrt(above) / math.sqrt(white_sigma)
            case Stretch.LINEAR:
                light = above / white_sigma
        return np.asarray(light, dtype=np.float32)


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """A name at a place in the sky."""

    text: str
    ra_deg: float
    dec_deg: float


class _Tile(msgspec.Struct, frozen=True, kw_only=True):
    """One sensor, its exposures averaged and binned, the sky taken off."""

    sensor: Sensor
    pointing: Pointing
    pixels: Pixels


def draw_mosaic(
    images: Sequence[Path],
    caption: str,
    *,
    width_px: int = 1600,
    labels: Sequence[Label] = (),
    stretch: Stretch = Stretch.ASINH,
    white_sigma: float | None = None,
) -> Image:
    """A picture, at most `width_px` wide, of the e-images given; exposures of one sensor are averaged.

    What is `white_sigma` (default: the stretch's own) above the sky, in units of its noise, is white. The caption's
    first line is its title. Labels that fall on no sensor are left out. Raises `ValueError` if there is no image, or
    one whose name is not a sensor's; `OSError` if one cannot be read.
    """
    if not images:
        raise ValueError("no images to make a picture of")
    sensors = {path: _header_sensor(path) for path in images}
    left, right, bottom, top = _frame([sensor for sensor, _ in sensors.values()])
    bin_px = max(1, math.ceil((right - left) / (width_px - 2 * MARGIN_PX)))
    return _Sheet(
        tiles=_tiles(sensors, bin_px),
        left=left,
        right=right,
        bottom=bottom,
        top=top,
        bin_px=bin_px,
        stretch=stretch,
        white_sigma=white_sigma or stretch.white_sigma,
    ).draw(caption, labels)


# ---------------------------------------------------------------- reading
def _header_sensor(path: Path) -> tuple[Sensor, Pointing]:
    """The sensor of an image and where the telescope looked, from its header alone."""
    from astropy.io import fits

    header = fits.getheader(path)
    name = str(header["CHIPID"])
    x_um, y_um = sensor_centre_um(name)
    sensor = Sensor(
        name=name, x_um=x_um, y_um=y_um, pixel_um=PIXEL_UM, nx=header["NAXIS1"], ny=header["NAXIS2"], group=0,
        is_cmos=False, frame_s=0.0, channels=(),
    )  # fmt: skip
    pointing = Pointing(
        ra_deg=header.get("RA_DEG", 0.0), dec_deg=header.get("DEC_DEG", 0.0), rotskypos_deg=header.get("ROTANG", 0.0)
    )
    return sensor, pointing


def sensor_centre_um(name: str) -> tuple[float, float]:
    """Where a sensor's centre is in the focal plane, by its name. Raises `ValueError`."""
    found = _SENSOR.fullmatch(name)
    if found is None:
        raise ValueError(f"'{name}' is not the name of a sensor, such as R22_S11")
    half_um = 0.0 if found["half"] is None else HALF_UM * (2 * int(found["half"]) - 1)
    x_um = RAFT_UM * (int(found["a"]) - 2) + SENSOR_UM * (int(found["c"]) - 1) + half_um
    y_um = RAFT_UM * (int(found["b"]) - 2) + SENSOR_UM * (int(found["d"]) - 1)
    return x_um, y_um


def _frame(sensors: Sequence[Sensor]) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of all sensors, in pixels of the focal plane."""
    return (
        min(sensor.x_um / PIXEL_UM - sensor.nx / 2 for sensor in sensors),
        max(sensor.x_um / PIXEL_UM + sensor.nx / 2 for sensor in sensors),
        min(sensor.y_um / PIXEL_UM - sensor.ny / 2 for sensor in sensors),
        max(sensor.y_um / PIXEL_UM + sensor.ny / 2 for sensor in sensors),
    )


def _tiles(sensors: Mapping[Path, tuple[Sensor, Pointing]], bin_px: int) -> list[_Tile]:
    import numpy as np

    by_name: dict[str, list[Path]] = {}
    for path, (sensor, _) in sensors.items():
        by_name.setdefault(sensor.name, []).append(path)
    tiles = []
    for paths in by_name.values():
        exposures = np.array([_read_binned(path, bin_px) for path in paths])
        pixels = exposures.mean(axis=0) if len(exposures) < 2 else _without_rays(exposures)
        sensor, pointing = sensors[paths[0]]
        tiles.append(_Tile(sensor=sensor, pointing=pointing, pixels=pixels - _sky(pixels)))
    return tiles


def _read_binned(path: Path, bin_px: int) -> Pixels:
    """An image in means of `bin_px` x `bin_px` pixels; what is left over at the right and top ends is dropped."""
    import numpy as np
    from astropy.io import fits
    from isal import igzip

    with igzip.open(path) as stream, fits.open(stream) as images:  # type: ignore[no-untyped-call]
        pixels = np.asarray(images[0].data, dtype=np.float32)
    rows, columns = (length // bin_px for length in pixels.shape)
    whole = pixels[: rows * bin_px, : columns * bin_px]
    binned: Pixels = whole.reshape(rows, bin_px, columns, bin_px).mean(axis=(1, 3))
    return binned


def _without_rays(exposures: Pixels) -> Pixels:
    """The mean of exposures, but the lowest where one stands out far above it: a cosmic ray hits only one of them."""
    import numpy as np

    lowest = exposures.min(axis=0)
    mean: Pixels = exposures.mean(axis=0)
    noise = np.median(mean - lowest)
    return np.where(mean - lowest > 8 * noise + 0.05 * lowest, lowest, mean)


def _sky(pixels: Pixels) -> float:
    """The level of the sky, of which bright galaxies may cover a part."""
    import numpy as np

    return float(np.percentile(pixels, SKY_PERCENTILE))


# ---------------------------------------------------------------- drawing
class _Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """The picture in the making; left, right, bottom and top in pixels of the focal plane."""

    tiles: Sequence[_Tile]
    left: float
    right: float
    bottom: float
    top: float
    bin_px: int
    stretch: Stretch
    white_sigma: float

    def draw(self, caption: str, labels: Sequence[Label]) -> Image:
        """Sensors, labels, caption."""
        from PIL import Image, ImageDraw

        lines = caption.splitlines()
        width = math.ceil((self.right - self.left) / self.bin_px) + 2 * MARGIN_PX
        height = math.ceil((self.top - self.bottom) / self.bin_px) + 2 * MARGIN_PX
        title_px = max(15, width // 52)
        line_px = round(1.45 * title_px)
        sheet = Image.new("RGB", (width, height + line_px * len(lines)), BACKGROUND)
        noise = self._noise()
        for tile in self.tiles:
            self._paste(sheet, tile, noise)
        ink = ImageDraw.Draw(sheet)
        for label in labels:
            self._write_label(ink, label, title_px)
        for number, line in enumerate(lines):
            place = (MARGIN_PX, height - MARGIN_PX // 2 + number * line_px)
            ink.text(place, line, fill=FAINT_TEXT if number else TEXT, font=_font(title_px - 3 * bool(number)))
        self._draw_compass(ink, width, height, title_px)
        return sheet

    def _noise(self) -> float:
        """Scatter of the sky between a picture's pixels, from its darker half."""
        import numpy as np

        return float(np.median([np.sqrt(np.mean(np.minimum(tile.pixels, 0.0) ** 2)) * 2 for tile in self.tiles])) or 1.0

    def _paste(self, sheet: Image, tile: _Tile, noise: float) -> None:
        import numpy as np
        from PIL import Image

        above = np.maximum(tile.pixels / noise - BLACK_SIGMA, 0.0)
        light = self.stretch.light(above, self.white_sigma)
        grey = Image.fromarray((255 * np.minimum(light, 1.0)[::-1, ::-1]).astype(np.uint8))
        x, y = self._place(tile.sensor, tile.sensor.nx, tile.sensor.ny)
        sheet.paste(grey.convert("RGB"), (round(x), round(y)))

    def _place(self, sensor: Sensor, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of a sensor is in the picture."""
        plane_x = sensor.x_um / PIXEL_UM - sensor.nx / 2 + x
        plane_y = sensor.y_um / PIXEL_UM - sensor.ny / 2 + y
        return MARGIN_PX + (self.right - plane_x) / self.bin_px, MARGIN_PX + (self.top - plane_y) / self.bin_px

    def _write_label(self, ink: ImageDraw, label: Label, title_px: int) -> None:
        for tile in self.tiles:
            pixel = pixel_of(tile.pointing, tile.sensor, label.ra_deg, label.dec_deg)
            if pixel is not None and 0 <= pixel[0] < tile.sensor.nx and 0 <= pixel[1] < tile.sensor.ny:
                x, y = self._place(tile.sensor, *pixel)
                below = y + 4.5 * title_px < self._place(tile.sensor, 0, 0)[1]
                place = (x, y + (2.4 if below else -2.4) * title_px)
                ink.text(place, label.text, fill=MARK, font=_font(title_px - 5), anchor="mt" if below else "mb")
                return

    def _draw_compass(self, ink: ImageDraw, width: int, height: int, title_px: int) -> None:
        """North and east, and five arcminutes, at the right of the caption."""
        turn = math.radians(self.tiles[0].pointing.rotskypos_deg)
        sin, cos = math.sin(turn), math.cos(turn)
        arm = 1.1 * title_px
        x, y = width - MARGIN_PX - 1.2 * title_px, height + 0.9 * title_px
        # North is (sin r, cos r) in the focal plane, east (cos r, -sin r); in the picture x and y are turned round.
        for name, dx, dy in (("N", -sin, -cos), ("E", -cos, sin)):
            ink.line((x, y, x + arm * dx, y + arm * dy), fill=FAINT_TEXT, width=2)
            place = (x + 1.55 * arm * dx, y + 1.55 * arm * dy)
            ink.text(place, name, fill=FAINT_TEXT, font=_font(title_px - 6), anchor="mm")
        length, end = 5 * PIXELS_PER_ARCMIN / self.bin_px, x - 3.2 * title_px
        if length < width / 2:
            ink.line((end - length, y, end, y), fill=FAINT_TEXT, width=2)
            ink.text((end - length / 2, y + 4), "5'", fill=FAINT_TEXT, font=_font(title_px - 5), anchor="mt")


def _font(size_px: int) -> FreeTypeFont | ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size=size_px)
