"""The tables of a release's `data/lsst` folder, made from the regularities of the LSST focal plane as PhoSim sees it.

Source of every number: read off the tables and the output of PhoSim 3.4 (see `docs/`).
"""

from __future__ import annotations

from dataclasses import dataclass

RAFT_PITCH_UM = 127_000
SENSOR_PITCH_UM = 42_250
PIXEL_UM = 10
AMPLIFIERS_PER_COLUMN = 8

# The half-chip C0 of a wavefront sensor carries the amplifiers C00-C07, C1 carries C10-C17.
WAVEFRONT_SENSORS = ("R00_S22", "R04_S20", "R40_S02", "R44_S00")
GUIDERS = ("R00_S12", "R00_S21", "R04_S10", "R04_S21", "R40_S01", "R40_S12", "R44_S01", "R44_S10")
CORNERS = ("00", "04", "40", "44")

NOT_PERTURBED = "0.0 0.0 0.0 0.0 0.0 0.0 zern" + " 0.0" * 12
"""Euler angles and shifts of a device, and its surface: quicksim's devices are flat and where they should be."""

ELECTRONICS = "1.7 3 1000 2 7 3 0.02 0 1 6 4 0 1.2e-07 1.2e-07"
"""Gain (electrons per ADU), bias (ADU), read noise (electrons), dark current (electrons per second), each with its
spread in percent; the widths of parallel prescan, serial overscan, serial prescan and parallel overscan (pixels); the
chance of a pixel to be hot, and to head a hot column."""

CROSSTALK = " ".join(["0.0"] * 16)


@dataclass(frozen=True)
class SensorSize:
    """Pixels of a science sensor."""

    columns: int
    rows: int


FULL = SensorSize(columns=4000, rows=4072)
TINY = SensorSize(columns=400, rows=408)
"""A tenth as long each way, for tests: the same centres, so there are gaps between the sensors."""


def centre_um(name: str) -> tuple[int, int]:
    """Where the centre of sensor `RabScd` is: x from a and c, y from b and d."""
    raft_x, raft_y, sensor_x, sensor_y = (int(name[place]) for place in (1, 2, 5, 6))
    return (
        RAFT_PITCH_UM * (raft_x - 2) + SENSOR_PITCH_UM * (sensor_x - 1),
        RAFT_PITCH_UM * (raft_y - 2) + SENSOR_PITCH_UM * (sensor_y - 1),
    )


def science_sensors() -> list[str]:
    """The 189 science sensors, raft by raft."""
    rafts = [f"{x}{y}" for x in range(5) for y in range(5) if f"{x}{y}" not in CORNERS]
    return [f"R{raft}_S{x}{y}" for raft in rafts for x in range(3) for y in range(3)]


def focal_plane_layout(size: SensorSize) -> str:
    """The text of `focalplanelayout.txt`: science sensors, wavefront half-chips, guiders."""
    lines = ["# name x_um y_um pixel_um columns rows type readout_s group angles_and_shifts zern coefficients"]
    lines += [
        _layout_row(name, centre_um(name), size.columns, size.rows, "CCD 3.0 Group0") for name in science_sensors()
    ]
    for name in WAVEFRONT_SENSORS:
        x_um, y_um = centre_um(name)
        half_width_um = size.columns * PIXEL_UM // 4
        for half, shift_um in (("C0", -half_width_um), ("C1", half_width_um)):
            centre = (x_um + shift_um, y_um)
            lines.append(_layout_row(f"{name}_{half}", centre, size.columns // 2, size.rows, "CCD 3.0 Group1"))
    lines += [_layout_row(name, centre_um(name), size.columns, size.rows, "CMOS 0.1 Group2") for name in GUIDERS]
    return "\n".join(lines) + "\n"


def _layout_row(name: str, centre: tuple[int, int], columns: int, rows: int, kind: str) -> str:
    return f"{name} {centre[0]} {centre[1]} {PIXEL_UM} {columns} {rows} {kind} {NOT_PERTURBED}"


def segmentation(size: SensorSize) -> str:
    """The text of `segmentation.txt`: each device with its number of amplifiers and pixels, then its amplifiers."""
    lines = ["# device amplifiers columns rows; then a line for each of its amplifiers"]
    half = size.columns // 2
    for name in [*science_sensors(), *GUIDERS]:
        lines.append(f"{name} {2 * AMPLIFIERS_PER_COLUMN} {size.columns} {size.rows}")
        lines += _amplifier_rows(f"{name}_C0", 0, half, size.rows)
        lines += _amplifier_rows(f"{name}_C1", half, half, size.rows)
    for name in WAVEFRONT_SENSORS:
        for digit in "01":
            lines.append(f"{name}_C{digit} {AMPLIFIERS_PER_COLUMN} {half} {size.rows}")
            lines += _amplifier_rows(f"{name}_C{digit}", 0, half, size.rows)
    return "\n".join(lines) + "\n"


def _amplifier_rows(stem: str, x_first: int, columns: int, sensor_rows: int) -> list[str]:
    rows = sensor_rows // AMPLIFIERS_PER_COLUMN
    parallel_read = -1 if stem.endswith("C0") else 1
    return [
        f"{stem}{number} {x_first} {x_first + columns - 1} {rows * number} {rows * number + rows - 1}"
        f" 1 {parallel_read} {ELECTRONICS} {CROSSTALK}"
        for number in range(AMPLIFIERS_PER_COLUMN)
    ]


CENTRAL_WAVELENGTHS = """\
# filter central_wavelength_um plate_scale_um_per_degree
0 0.360 180000.0
1 0.477 180000.0
2 0.622 180000.0
3 0.754 180000.0
4 0.870 180000.0
5 1.015 180000.0
"""

LOCATION = """\
groundlevel 2660.0
latitude -30.66
longitude 0.0
xtellocation 0.0
ytellocation 0.0
"""


def flat_sed() -> str:
    """A spectrum of the same AB magnitude at every wavelength: nanometres, and flux per nanometre (any unit)."""
    lines = [f"{wavelength_nm} {(500 / wavelength_nm) ** 2:.6f}" for wavelength_nm in range(300, 1201, 10)]
    return "# wavelength_nm flux_per_nm\n" + "\n".join(lines) + "\n"
