"""Predicted CPU time over the measured one, on quicksim jobs of different depth.

The prediction is made by the run itself before it starts its first process, and stands in its report beside the truth.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.job import HEADER, QUICKSIM, run_job

SENSOR = "R22_S11"
_SPREAD_DEG = 0.22
"""The side of a sensor on the sky."""
_SKIES = {
    "no sky": "zenith_v 1000.0\nraydensity 0.0\n",
    "quick sky": "backalpha 0.0\nbackbeta 4.0\nbackgamma 10.0\n",
    "sky": "raydensity 0.6\n",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One visit of the benchmark."""

    n_objects: int
    galaxies: float
    """Their part of the objects."""
    sky: str
    exposure_s: int
    brightest: float = 17.0
    """Magnitude at which the objects begin; there are 2.5 times as many with each magnitude, as in the sky."""


FIELDS = (
    Field(n_objects=100, galaxies=0.0, sky="no sky", exposure_s=15),
    Field(n_objects=100, galaxies=0.7, sky="quick sky", exposure_s=30),
    Field(n_objects=1_000, galaxies=0.7, sky="no sky", exposure_s=15),
    Field(n_objects=1_000, galaxies=0.0, sky="quick sky", exposure_s=15),
    Field(n_objects=1_000, galaxies=1.0, sky="sky", exposure_s=30),
    Field(n_objects=5_000, galaxies=0.0, sky="sky", exposure_s=15),
    Field(n_objects=5_000, galaxies=0.7, sky="quick sky", exposure_s=30),
    Field(n_objects=5_000, galaxies=1.0, sky="no sky", exposure_s=15),
)


def write_field(path: Path, field: Field, *, visit: int) -> Path:
    """A catalog of stars and galaxies over one sensor."""
    draw = random.Random(visit)
    with path.open("w") as catalog:
        catalog.write(HEADER.format(visit=visit, nsnap=1, vistime=field.exposure_s))
        for number in range(field.n_objects):
            dec = -38.0 + _SPREAD_DEG * (draw.random() - 0.5)
            ra = 60.0 + _SPREAD_DEG * (draw.random() - 0.5) / 0.788
            magnitude = max(26.0 - draw.expovariate(0.92), field.brightest)
            shape = "star"
            if draw.random() < field.galaxies:
                size = draw.uniform(0.2, 1.0) * 1.3 ** (22.0 - min(magnitude, 22.0))
                shape = f"sersic2d {size:.3f} {size * draw.uniform(0.4, 1):.3f} {draw.uniform(0, 180):.1f}"
                shape += f" {draw.choice((1, 4))}"
            place = f"{ra:.7f} {dec:.7f} {magnitude:.4f}"
            catalog.write(f"object {number} {place} ../sky/sed_flat.txt 0 0 0 0 0 0 {shape} none none\n")
    return path


def write_request(folder: Path, fields: tuple[Field, ...], release: str, *, first_visit: int, sensors: str) -> Path:
    """A job with one visit for each field."""
    visits = [
        {
            "catalogs": [str(write_field(folder / f"field-{number}.txt", field, visit=first_visit + number))],
            "commands": [{"inline": _SKIES[field.sky]}],
        }
        for number, field in enumerate(fields)
    ]
    spec = {
        "schema_version": 1,
        "name": "prediction",
        "user": "bench",
        "visits": visits,
        "sensors": sensors,
        "release": release,
        "output": {"base": str(folder / "store")},
    }
    path = folder / "job.json"
    path.write_text(json.dumps(spec))
    return path


def measure(folder: Path) -> dict[str, float]:
    """Median and largest relative error of the predicted CPU time (mid), and how many units lie in the range."""
    folder.mkdir(parents=True)
    spec = write_request(folder, FIELDS, QUICKSIM.name, first_visit=3001, sensors=SENSOR)
    run = run_job(spec, folder / "work", QUICKSIM.parent)
    assert run.exit_code == 0, run.report
    errors, inside = [], 0
    units = run.report["units"]
    assert isinstance(units, list)
    for unit in units:
        low_s, mid_s, high_s = unit["predicted"]["cpu_s"]
        errors.append(abs(mid_s / unit["cpu_s"] - 1.0))
        inside += low_s <= unit["cpu_s"] <= high_s
    return {
        "n_units": len(errors),
        "median_error": statistics.median(errors),
        "worst_error": max(errors),
        "inside_range": inside / len(errors),
    }


if __name__ == "__main__":
    print(measure(Path(sys.argv[1])))
