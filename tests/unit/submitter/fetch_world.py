"""A job whose files stand at a destination, without anybody having simulated them."""

from __future__ import annotations

import json
import random
import time
import zlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from submitter.folders import Folders
from submitter.jobs import Job, Plan, Shape, State
from submitter.state import Store
from tests.unit.submitter.job_samples import job
from transformation.layout import JobPlace
from transformation.model.work import ExpectedFile, MadeFile, Role, Unit
from transformation.outcomes import Committed, Receipt
from transformation.stage_out import commit_unit
from transformation.wiring import storage_for

NAME, USER = "tonyj-stars-00019", "tonyj"


def lay_out(
    base: str, sources: Path, *, visits: tuple[str, ...] = ("4406",), n_sensors: int = 2, n_files: int = 3,
    n_bytes: int = 5000, images: Sequence[Path] = (), user: str = USER,
) -> dict[str, bytes]:  # fmt: skip
    """Commit units of one exposure each; what every file holds, by `v<visit>/<file>`.

    Files hold random bytes; the e-images are `images` as far as there are some.
    """
    contents: dict[str, bytes] = {}
    with closing(storage_for(base)) as storage:
        for visit in visits:
            for number in range(n_sensors):
                unit = _unit(visit, f"R22_S{number // 3}{number % 3}", n_files)
                made = _made(unit, sources, n_bytes, images[number : number + 1])
                contents |= {f"v{visit}/{one.name}": one.path.read_bytes() for one in made}
                outcome = commit_unit(
                    storage,
                    JobPlace(base=base, user=user, job=NAME),
                    unit,
                    made,
                    receipt=Receipt(digest="d" * 64, attempt=1),
                    token="first",
                    clock=time.time,
                    record=lambda _: None,
                )
                assert isinstance(outcome, Committed)
    return contents


def _unit(visit: str, sensor: str, n_files: int) -> Unit:
    names = [f"lsst_e_{visit}_f2_{sensor}_E000.fits.gz"]
    names += [f"lsst_a_{visit}_f2_{sensor}_C{number:02d}_E000.fits.gz" for number in range(n_files - 1)]
    files = (
        ExpectedFile(name=name, role=Role.AMPLIFIER_IMAGE if at else Role.ELECTRON_IMAGE)
        for at, name in enumerate(names)
    )
    return Unit(
        visit=visit, sensor=sensor, exposure=0, filter=2, seed=1, exposure_s=15.0, files=tuple(files), estimated_bytes=1
    )


def _made(unit: Unit, folder: Path, n_bytes: int, image: Sequence[Path]) -> list[MadeFile]:
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for at, expected in enumerate(unit.files):
        content = image[0].read_bytes() if image and not at else random.Random(expected.name).randbytes(n_bytes)
        path = folder / expected.name
        path.write_bytes(content)
        adler32 = f"{zlib.adler32(content):08x}"
        files.append(
            MadeFile(name=expected.name, path=path, role=expected.role, size_bytes=len(content), adler32=adler32)
        )
    return files


def job_at(base: str, visits: tuple[str, ...] = ("4406",), *more_bases: str, **changes: object) -> Job:
    """The job that stands there."""
    one = job(backend="local", state=State.DONE)
    document = json.loads(one.spec) | {"output": {"base": [base, *more_bases]}}
    plan = Plan(shapes=(Shape(sensors=("R22_S00",), exposures=((0,),)),), visits=tuple((visit, 0) for visit in visits))
    return replace(one, base=base, spec=json.dumps(document).encode(), plan=plan, n_units=plan.n_units, **changes)  # type: ignore[arg-type]


def remember(home: Path, one: Job) -> Folders:
    """Put the job into the file of jobs of that home."""
    folders = Folders(home)
    folders.prepare()
    with closing(Store(folders.database)) as store:
        store.add_job(one)
    return folders


def held(folder: Path) -> dict[str, bytes]:
    """All files of a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
