"""A job, its plan and its share, as unit tests of the submitter start from."""

from __future__ import annotations

import json

from msgspec.structs import replace

from submitter.jobs import Job, Plan, Shape, Share
from submitter.panda.tasks import Place

PLACE = Place(site="local", queue="IMSIM_LOCAL", cloud="US", label="managed", most_wall_s=43_200)


def job(n_visits: int = 1, sensors: tuple[str, ...] = ("R22_S11", "R22_S12"), **changes: object) -> Job:
    """Of visits 700000, 700001, ..., two exposures of each sensor."""
    visits = [f"{700_000 + at}" for at in range(n_visits)]
    shape = Shape(sensors=sensors, exposures=((0, 1),) * len(sensors))
    plan = Plan(shapes=(shape,), visits=tuple((visit, 0) for visit in visits))
    spec = {
        "schema_version": 1,
        "name": "tonyj-stars-00019",
        "user": "tonyj",
        "sensors": "R22_S1[12]",
        "visits": [{"catalogs": [f"https://example.org/{visit}.txt"]} for visit in visits],
    }
    one = Job(
        id=1,
        name="tonyj-stars-00019",
        user="tonyj",
        task="stars",
        backend="panda",
        site="local",
        base="/store",
        spec=json.dumps(spec).encode(),
        digest="0" * 64,
        plan=plan,
        n_units=plan.n_units,
        share=Share(cores=2, memory_mb=5000),
    )
    return replace(one, **changes)  # type: ignore[arg-type]
