"""Small instance catalogs: stars in the middle of chosen sensors, for a boresight at 0, 0."""

from __future__ import annotations

from collections.abc import Sequence

VISIT = 4242
_PITCH_DEG = 0.23472
"""Between the middles of neighbouring sensors of a raft."""
RAFT = [f"R22_S{x}{y}" for x in range(3) for y in range(3)]


def place(sensor: str) -> tuple[float, float]:
    """RA and Dec, degrees, of the middle of a sensor of the central raft."""
    x, y = int(sensor[-2]), int(sensor[-1])
    return (x - 1) * _PITCH_DEG % 360.0, (y - 1) * _PITCH_DEG


HEADER = {
    "rightascension": "0",
    "declination": "0",
    "azimuth": "0",
    "altitude": "80",
    "date": "1994/7/19/0.298822999997",
    "mjd": "49552.3",
    "filter": "2",
    "rotskypos": "0",
    "rottelpos": "0",
    "seeing": "0.67",
    "moonra": "180",
    "moondec": "-90",
    "moonalt": "-90",
    "sunalt": "-90",
    "dist2moon": "180",
    "moonphase": "10",
    "obshistid": str(VISIT),
    "seed": "1000",
    "vistime": "33",
    "nsnap": "2",
    "minsource": "1",
    "camconfig": "1",
    "telconfig": "0",
}


def header(**changes: object) -> str:
    """Header lines; a change to None drops the key."""
    values = {**HEADER, **changes}
    return "".join(f"{key} {value}\n" for key, value in values.items() if value is not None)


def star(sensor: str, number: int = 1, magnitude: float = 18.0) -> str:
    """An object line."""
    ra_deg, dec_deg = place(sensor)
    return f"object {number} {ra_deg} {dec_deg} {magnitude} ../sky/sed_flat.txt 0 0 0 0 0 0 star none none\n"


def one_star(sensors: Sequence[str] = ("R22_S11",), **changes: object) -> str:
    """A catalog with one star on each of the sensors."""
    return header(**changes) + "".join(star(sensor, number) for number, sensor in enumerate(sensors, start=1))
