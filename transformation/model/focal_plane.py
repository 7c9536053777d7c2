"""The focal plane as a release's own tables describe it.

`data/<instrument>/focalplanelayout.txt` has one row a device: name, x and y of its centre (micrometres), pixel size,
pixels in x and y, device words (CCD or CMOS, frame time), `Group0` (science), `Group1` (wavefront) or `Group2`
(guiders).
`segmentation.txt` has, for each device, a row with its number of amplifiers followed by one row an amplifier. Column
positions after the sixth differ between PhoSim 3 and 5, so words are found by what they are, not by where they stand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import msgspec

_GROUPS = ("Group0", "Group1", "Group2")
SCIENCE_GROUP = 0

PIXELS_PER_DEGREE = 17992.0
CUBIC_DISTORTION = 2.1e-4
"""Sky to focal plane, fitted on PhoSim 3.4 output in r and i: residual under 0.7 pixel within a sensor after a constant
shift of up to several pixels."""


class TablesInvalid(ValueError):
    """A focal-plane table is not what PhoSim's looks like."""


class Amplifier(msgspec.Struct, frozen=True, kw_only=True):
    """One read-out channel."""

    name: str
    """`C00` .. `C17`."""
    shape: tuple[int, int]
    """NAXIS1, NAXIS2 of its image, pre- and overscan included."""


class Sensor(msgspec.Struct, frozen=True, kw_only=True):
    """One device of the focal plane."""

    name: str
    x_um: float
    y_um: float
    pixel_um: float
    nx: int
    ny: int
    group: int
    """0 science, 1 wavefront, 2 guider."""
    is_cmos: bool
    frame_s: float
    """Read-out time between snaps of a CCD, or frame time of a CMOS guider, seconds."""
    channels: tuple[str, ...]
    """Rows of the segmentation table, read when they are asked for: a job wants few of the 3,200."""

    @property
    def amplifiers(self) -> tuple[Amplifier, ...]:
        """Its read-out channels. Raises `TablesInvalid`."""
        try:
            return tuple(_amplifier(row.split()) for row in self.channels)
        except (ValueError, IndexError) as error:
            raise TablesInvalid(f"segmentation.txt, channels of {self.name}: {error}") from None

    @property
    def raft(self) -> str:
        """`R22` of `R22_S11`."""
        return self.name.partition("_")[0]


def read_focal_plane(layout: str, segmentation: str) -> tuple[Sensor, ...]:
    """All devices in the table's order (PhoSim trims them in groups of nine in that order).

    Raises `TablesInvalid` naming the line.
    """
    channels = _read_segmentation(segmentation)
    sensors = []
    for number, row in _rows(layout):
        words = row.split()
        group = next((word for word in words if word in _GROUPS), None)
        if group is None:
            continue
        try:
            sensors.append(_sensor(words, int(group[-1]), channels))
        except (ValueError, IndexError) as error:
            raise TablesInvalid(f"focalplanelayout.txt line {number}: {error}") from None
    if not sensors:
        raise TablesInvalid("focalplanelayout.txt names no device")
    return tuple(sensors)


def _sensor(words: Sequence[str], group: int, channels: Mapping[str, tuple[str, ...]]) -> Sensor:
    is_cmos = "CMOS" in words
    kind = words.index("CMOS" if is_cmos else "CCD")
    frame = next((word for word in words[kind + 1 :] if _is_number(word)), None)
    if frame is None or not float(frame) >= 0 or (is_cmos and not float(frame) > 0):
        raise ValueError(f"{words[0]} has no usable read-out or frame time")
    return Sensor(
        name=words[0],
        x_um=float(words[1]),
        y_um=float(words[2]),
        pixel_um=float(words[3]),
        nx=int(words[4]),
        ny=int(words[5]),
        group=group,
        is_cmos=is_cmos,
        frame_s=float(frame),
        channels=channels.get(words[0], ()),
    )


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _read_segmentation(text: str) -> dict[str, tuple[str, ...]]:
    table: dict[str, tuple[str, ...]] = {}
    rows = _rows(text)
    at = 0
    while at < len(rows):
        number, row = rows[at]
        try:
            name, count, *_ = row.split()
            end = at + 1 + int(count)
        except ValueError:
            raise TablesInvalid(f"segmentation.txt line {number}: not a device and its number of channels") from None
        if end > len(rows) or end <= at:
            raise TablesInvalid(f"segmentation.txt line {number}: {name} has fewer channels than it says")
        table[name] = tuple(channel for _, channel in rows[at + 1 : end])
        at = end
    return table


def _amplifier(words: Sequence[str]) -> Amplifier:
    x_first, x_last, y_first, y_last = (int(word) for word in words[1:5])
    parallel_prescan, serial_overscan, serial_prescan, parallel_overscan = (int(word) for word in words[15:19])
    return Amplifier(
        name=words[0].rpartition("_")[2],
        # PhoSim reads a channel out column-wise: rows of the sensor run along NAXIS1.
        shape=(
            abs(y_last - y_first) + 1 + parallel_prescan + parallel_overscan,
            abs(x_last - x_first) + 1 + serial_prescan + serial_overscan,
        ),
    )


def _rows(text: str) -> list[tuple[int, str]]:
    numbered = enumerate((line.strip() for line in text.splitlines()), start=1)
    return [(number, line) for number, line in numbered if line and not line.startswith("#")]


class Pointing(msgspec.Struct, frozen=True, kw_only=True):
    """Where the telescope looks and how the camera is turned, degrees."""

    ra_deg: float
    dec_deg: float
    rotskypos_deg: float


Projector = Callable[[float, float], tuple[float, float] | None]
"""From RA and Dec (degrees) to x and y in the focal plane, in pixels of 10 um from its centre."""


def projector(pointing: Pointing) -> Projector:
    """The projection of one pointing, with what all objects share worked out once; None behind the telescope.

    Good to several pixels: device position errors and the atmosphere shift whole sensors.
    """
    ra0, dec0, turn = (math.radians(deg) for deg in (pointing.ra_deg, pointing.dec_deg, pointing.rotskypos_deg))
    sin_dec0, cos_dec0, sin_turn, cos_turn = math.sin(dec0), math.cos(dec0), math.sin(turn), math.cos(turn)
    sin, cos, a_degree = math.sin, math.cos, math.pi / 180.0

    def place(ra_deg: float, dec_deg: float) -> tuple[float, float] | None:
        ra, dec = ra_deg * a_degree - ra0, dec_deg * a_degree
        sin_dec, cos_dec = sin(dec), cos(dec)
        inward = cos_dec * cos(ra)
        cosine = sin_dec0 * sin_dec + cos_dec0 * inward
        if cosine <= 0.1:  # more than 84 degrees away
            return None
        xi = cos_dec * sin(ra) / (cosine * a_degree)
        eta = (cos_dec0 * sin_dec - sin_dec0 * inward) / (cosine * a_degree)
        stretch = PIXELS_PER_DEGREE * (1.0 + CUBIC_DISTORTION * (xi * xi + eta * eta))
        return stretch * (cos_turn * xi + sin_turn * eta), stretch * (cos_turn * eta - sin_turn * xi)

    return place


def pixel_of(pointing: Pointing, sensor: Sensor, ra_deg: float, dec_deg: float) -> tuple[float, float] | None:
    """Pixel position (x = column, 0-based) of a sky position on a sensor; None behind the telescope."""
    place = projector(pointing)(ra_deg, dec_deg)
    if place is None:
        return None
    x, y = place
    return x - sensor.x_um / 10.0 + sensor.nx / 2, y - sensor.y_um / 10.0 + sensor.ny / 2
