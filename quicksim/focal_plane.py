"""The focal plane: devices and amplifiers, read from the release's `focalplanelayout.txt` and `segmentation.txt`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from quicksim.pars import StageError

GROUP_BITS = {"Group0": 1, "Group1": 2, "Group2": 4}
"""`camconfig` is a bit mask: 1 science sensors, 2 wavefront half-chips, 4 guiders."""

EVERY_GROUP = 7


@dataclass(frozen=True)
class Device:
    """One sensor: where its centre is in the focal plane, and its pixels."""

    name: str
    x_um: float
    y_um: float
    pixel_um: float
    columns: int
    rows: int
    kind: str
    frame_s: float
    group: str

    def exposures(self, nsnap: int, vistime_s: float) -> int:
        """How many images of one visit: the snaps of a CCD, the frames of a CMOS guider."""
        return nsnap if self.kind == "CCD" else int(vistime_s / self.frame_s)


@dataclass(frozen=True)
class Amplifier:
    """One read-out chain: its pixels on the sensor (inclusive), its direction, and its electronics on average."""

    name: str
    x_first: int
    x_last: int
    y_first: int
    y_last: int
    serial_read: int
    parallel_read: int
    gain: float
    gain_percent: float
    bias: float
    bias_percent: float
    read_noise: float
    read_noise_percent: float
    dark_current: float
    dark_current_percent: float
    parallel_prescan: int
    serial_overscan: int
    serial_prescan: int
    parallel_overscan: int
    hot_pixel_rate: str
    hot_column_rate: str


def _rows(path: Path) -> list[list[str]]:
    lines = path.read_text(encoding="ascii").splitlines()
    return [line.split() for line in lines if line.strip() and not line.startswith("#")]


def read_layout(instrument: Path) -> dict[str, Device]:
    """The devices of an instrument by name, in the order of the file."""
    devices = {}
    for row in _rows(instrument / "focalplanelayout.txt"):
        x_um, y_um, pixel_um = (float(text) for text in row[1:4])
        columns, rows = int(row[4]), int(row[5])
        devices[row[0]] = Device(row[0], x_um, y_um, pixel_um, columns, rows, row[6], float(row[7]), row[8])
    return devices


def find_device(instrument: Path, name: str) -> Device:
    """The device of that name; an error if the layout has none."""
    try:
        return read_layout(instrument)[name]
    except KeyError:
        raise StageError(f"no chip '{name}' in {instrument / 'focalplanelayout.txt'}") from None


def selected_devices(devices: dict[str, Device], camconfig: int) -> list[Device]:
    """The devices that a `camconfig` bit mask selects; 0 means all."""
    mask = camconfig or EVERY_GROUP
    return [device for device in devices.values() if GROUP_BITS.get(device.group, 0) & mask]


def read_segmentation(instrument: Path) -> dict[str, list[Amplifier]]:
    """The amplifiers of each device, in the order of the file."""
    rows = iter(_rows(instrument / "segmentation.txt"))
    return {device: [_amplifier(next(rows)) for _ in range(int(count))] for device, count, *_ in rows}


def _amplifier(row: list[str]) -> Amplifier:
    electronics = [float(text) for text in row[7:15]]
    return Amplifier(
        name=row[0],
        x_first=int(row[1]),
        x_last=int(row[2]),
        y_first=int(row[3]),
        y_last=int(row[4]),
        serial_read=int(row[5]),
        parallel_read=int(row[6]),
        gain=electronics[0],
        gain_percent=electronics[1],
        bias=electronics[2],
        bias_percent=electronics[3],
        read_noise=electronics[4],
        read_noise_percent=electronics[5],
        dark_current=electronics[6],
        dark_current_percent=electronics[7],
        parallel_prescan=int(row[15]),
        serial_overscan=int(row[16]),
        serial_prescan=int(row[17]),
        parallel_overscan=int(row[18]),
        hot_pixel_rate=row[19],
        hot_column_rate=row[20],
    )
