"""A picture of a sensor, a raft or the whole focal plane of a visit, from the electron images of a job.

Only those are fetched, to a folder that is gone afterwards; each is binned as it is read, so that the memory is that of
the picture and of one image.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import msgspec

from submitter.fetching.doors import Doors
from submitter.fetching.manager import Tell, fetch_all
from submitter.fetching.replicas import Replicas
from submitter.jobs import Job
from submitter.listing import RemoteFile, list_files
from submitter.picture import Stretch, draw_mosaic
from submitter.troubles import IodError, Trouble
from transformation.model.work import FILTER_LETTERS, Role

ALL = "all"
_PART = re.compile(r"(v(?P<visit>[A-Za-z0-9_]+)-)?(?P<place>R\d\d(_S\d\d(_C\d)?)?)(-E(?P<exposure>\d{3}))?")
_NARROWEST_PX = 100
_FILTER = re.compile(r"_f(?P<number>[0-5])_")


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be seen, and how."""

    part: str
    """A unit (`v4406-R22_S11-E000`), a sensor (`R22_S11`), a raft (`R22`) or `all`."""
    visit: str | None = None
    """Of a job with several; default: the first that has such images."""
    stretch: Stretch = Stretch.ASINH
    white_sigma: float | None = None
    """What is white, in sky noise; default: the stretch's own."""
    width_px: int = 1600


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that was made."""

    path: Path
    visit: str
    images: Sequence[str]
    """Names of the files that it shows."""
    missing: Sequence[str]
    """Names of those that could not be fetched."""
    notes: Sequence[str] = ()


def view_job(job: Job, look: Look, out: Path | None, *, tell: Tell) -> View:
    """Make the picture and save it as a PNG. Raises `IodError`, `StorageError`, `JobError`."""
    if find_spec("PIL") is None or find_spec("numpy") is None:
        raise IodError(Trouble.NOT_POSSIBLE, "pictures need `pip install 'imsim-on-demand[quicksim]'`")
    wanted = wanted_units(look)
    with closing(Doors()) as doors, tempfile.TemporaryDirectory(prefix="iod-view-") as folder:
        listing = list_files(job, doors, wanted)
        images = [file for file in listing.files if file.role == Role.ELECTRON_IMAGE]
        if not images:
            raise IodError(Trouble.NOTHING_FITS, f"{job.name} has no image of '{look.part}' yet")
        visits = list(dict.fromkeys(file.visit for file in images))
        images = [file for file in images if file.visit == visits[0]]
        results = fetch_all(images, Path(folder), doors, more_urls=Replicas(job).more_urls, tell=tell)
        shown = [one for one in results if one.state != "failed"]
        missing = [one for one in results if one.state == "failed"]
        if not shown:
            raise IodError(Trouble.FETCH_INCOMPLETE, missing[0].problem)
        path = out or Path(f"{job.name}-v{visits[0]}-{_place_of(look.part)}.png")
        _save([one.path for one in shown], caption_of(job, images, look), look, path)
    notes = [*listing.notes]
    if len(visits) > 1:
        notes.append(f"of {len(visits):,} visits this is v{visits[0]}; --visit chooses another")
    names = [one.file.name for one in missing]
    shown_names = [one.file.name for one in shown]
    return View(path=path.absolute(), visit=visits[0], images=shown_names, missing=names, notes=notes)


def wanted_units(look: Look) -> Callable[[str], bool]:
    """Says of a unit's id whether it is to be seen. Raises `IodError` USAGE."""
    visit = None if look.visit is None else look.visit.removeprefix("v")
    if look.part == ALL:
        return lambda unit: visit is None or unit.startswith(f"v{visit}-")
    found = _PART.fullmatch(look.part)
    if found is None:
        detail = f"'{look.part}' is no unit (v4406-R22_S11-E000), sensor (R22_S11), raft (R22) or '{ALL}'"
        raise IodError(Trouble.USAGE, detail)
    if None not in {visit, found["visit"]} and visit != found["visit"]:
        raise IodError(Trouble.USAGE, f"'{look.part}' is not of visit {visit}")
    start = re.escape(visit or found["visit"] or "") or "[A-Za-z0-9_]+"
    exposure = found["exposure"] or r"\d{3}"
    pattern = re.compile(rf"v{start}-{found['place']}(_[SC][0-9_SC]+)?-E{exposure}")
    return lambda unit: pattern.fullmatch(unit) is not None


def caption_of(job: Job, images: Sequence[RemoteFile], look: Look) -> str:
    """Two lines below the picture."""
    sensors, exposures = {file.sensor for file in images}, {file.exposure for file in images}
    band = _FILTER.search(images[0].name)
    words = [
        f"{len(sensors)} sensor{'s' * (len(sensors) != 1)}",
        f"{len(exposures)} exposure{'s' * (len(exposures) != 1)}",
        *([f"filter {FILTER_LETTERS[int(band['number'])]}"] if band else []),
        f"{look.stretch.word} stretch",
        *([job.release] if job.release else []),
    ]
    return f"{job.name}  v{images[0].visit}  {_place_of(look.part)}\n{', '.join(words)}"


def _place_of(part: str) -> str:
    found = _PART.fullmatch(part)
    if found is None:
        return "focal-plane"
    return found["place"] + (f"-E{found['exposure']}" if found["exposure"] else "")


def _save(images: Sequence[Path], caption: str, look: Look, path: Path) -> None:
    try:
        picture = draw_mosaic(
            images,
            caption,
            width_px=max(_NARROWEST_PX, look.width_px),
            stretch=look.stretch,
            white_sigma=look.white_sigma,
        )
    except (ValueError, KeyError, OSError) as error:
        raise IodError(Trouble.NOTHING_FITS, f"the images cannot be drawn: {error}") from None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, format="PNG", optimize=True)
    except OSError as error:
        raise IodError(Trouble.FOLDER_UNUSABLE, f"{path}: {error.strerror}") from None
