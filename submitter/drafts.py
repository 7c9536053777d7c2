"""From a job file or options to a job spec that means the same anywhere: defaults filled in, locations absolute.

What only the submission settles stays open: the number in the name, and copies of catalogs.
"""

from __future__ import annotations

import base64
import binascii
import glob
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes

import msgspec

from submitter.naming import NamePattern
from submitter.settings import Settings
from transformation.locations import Kind, LocationInvalid, kind_of, resolve
from transformation.model.failures import Failure, JobError
from transformation.model.spec import CatalogItem, InlineCommands, JobSpec, VisitItem
from transformation.model.strict import DocumentInvalid, convert

_LARGEST_BYTES = 10_000_000
_DATA, _STDIN = "data:", "-"
Document = dict[str, object]


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says beside, or instead of, a job file; None = nothing."""

    catalogs: Sequence[str] = ()
    visits: Sequence[str] = ()
    """Catalogs of one visit each: locations, or patterns of local files."""
    sensors: str | None = None
    commands: Sequence[str] = ()
    release: str | None = None
    name: str | None = None
    user: str | None = None
    task: str | None = None
    comment: str | None = None
    exposures: str | None = None
    output: str | None = None
    debug: bool | None = None
    amplifiers: bool | None = None


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A request that may be checked and submitted."""

    spec: JobSpec
    """All locations absolute; the name may still be a stand-in."""
    pattern: NamePattern
    described: str = ""
    """Where it came from, for messages."""
    extra: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def visits(self) -> list[VisitItem]:
        """Its visits."""
        return self.spec.visit_items()


def make_draft(job: str | None, wishes: Wishes, settings: Settings) -> Draft:
    """The request of a job file (path, `-`, `data:` URL) and of options, which win. Raises `JobError`."""
    document: Document = {"schema_version": 1}
    folder = Path.cwd()
    if job is not None:
        document, folder = _read(job)
    what = "the options" if job is None else "the inline job spec" if job.startswith(_DATA) else job
    _apply(document, wishes)
    document.setdefault("user", settings.user_name)
    document.setdefault("task", settings.task)
    pattern = NamePattern.of(document, settings.name)
    document["name"] = pattern.stand_in
    try:
        spec = convert(document, JobSpec)
        if (spec.catalogs is None) == (spec.visits is None):
            raise DocumentInvalid("give exactly one of 'catalogs' and 'visits'")
        return Draft(spec=_absolute(spec, folder), pattern=pattern, described=what)
    except DocumentInvalid as error:
        raise JobError(Failure.SPEC_INVALID, f"{what}: {error}") from None
    except LocationInvalid as error:
        raise JobError(Failure.STORAGE_UNKNOWN, f"{what}: {error}") from None


def make_draft_of(document: Document, wishes: Wishes, settings: Settings) -> Draft:
    """The same from a spec as an object; relative locations are relative to the current folder."""
    text = base64.b64encode(msgspec.json.encode(document)).decode()
    return make_draft(f"{_DATA};base64,{text}", wishes, settings)


# ---------------------------------------------------------------- reading
def _read(job: str) -> tuple[Document, Path]:
    text, folder = _read_text(job)
    try:
        document = msgspec.json.decode(text) if text.lstrip()[:1] == b"{" else tomllib.loads(text.decode("utf-8"))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        shown = "the inline job spec" if job.startswith(_DATA) else job
        raise JobError(Failure.SPEC_INVALID, f"{shown}: neither a JSON object nor valid TOML: {error}") from None
    return document, folder


def _read_text(job: str) -> tuple[bytes, Path]:
    if job == _STDIN:
        return sys.stdin.buffer.read(_LARGEST_BYTES), Path.cwd()
    if job.startswith(_DATA):
        return _read_data(job), Path.cwd()
    scheme, found, rest = job.partition("://")
    if found and scheme != "file":
        raise JobError(Failure.SPEC_INVALID, f"{job}: a job file is on this machine, '-' or data:;base64,...")
    path = Path(unquote(rest)) if found else Path(job)
    try:
        with path.open("rb") as stream:
            return stream.read(_LARGEST_BYTES), path.absolute().parent
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise JobError(Failure.SPEC_MISSING, f"{job}: {reason}") from None


def _read_data(url: str) -> bytes:
    header, comma, body = url.partition(",")
    if not comma:
        raise JobError(Failure.SPEC_INVALID, "the data: URL has no comma")
    try:
        return base64.b64decode(unquote(body), validate=True) if ";base64" in header else unquote_to_bytes(body)
    except binascii.Error as error:
        raise JobError(Failure.SPEC_INVALID, f"the data: URL is not base64: {error}") from None


# ---------------------------------------------------------------- options over the file
def _apply(document: Document, wishes: Wishes) -> None:
    for key in ("sensors", "release", "name", "user", "task", "comment", "debug", "amplifiers"):
        if (value := getattr(wishes, key)) is not None:
            document[key] = value
    cwd = Path.cwd()
    if wishes.catalogs:
        document.pop("visits", None)
        document["catalogs"] = [_from_here(item, cwd) for item in wishes.catalogs]
    if wishes.visits:
        document.pop("catalogs", None)
        document["visits"] = [{"catalogs": [item]} for item in _all_visits(wishes.visits, cwd)]
    if wishes.commands:
        document["commands"] = [_from_here(item, cwd) for item in wishes.commands]
    if wishes.exposures is not None:
        document["exposures"] = _exposures(wishes.exposures)
    if wishes.output is not None:
        output = document.get("output")
        document["output"] = {**(output if isinstance(output, dict) else {}), "base": _from_here(wishes.output, cwd)}


def _from_here(item: str, cwd: Path) -> str:
    """What is typed is relative to where it is typed, not to the job file."""
    if "$" in item or "://" in item or item.startswith(("/", "rucio:", "file:")):
        return item
    return str(cwd / item)


def _all_visits(items: Sequence[str], cwd: Path) -> list[str]:
    """Locations and patterns, written as several options or with commas, in order; patterns sorted."""
    found: list[str] = []
    for item in (part for text in items for part in text.split(",") if part):
        if "://" in item or not glob.has_magic(item):
            found.append(_from_here(item, cwd))
            continue
        matches = sorted(glob.glob(item, root_dir=cwd))  # noqa: PTH207 - the pattern may be absolute
        if not matches:
            raise JobError(Failure.CATALOG_MISSING, f"--visits: no file matches '{item}'")
        found += [str(cwd / match) for match in matches]
    return found


def _exposures(text: str) -> object:
    if text == "all":
        return text
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise JobError(Failure.USAGE, f"--exposures: '{text}' is neither 'all' nor numbers such as 0,1") from None


# ---------------------------------------------------------------- the same anywhere
def _absolute(spec: JobSpec, folder: Path) -> JobSpec:
    """The spec with all its locations absolute. Raises `LocationInvalid`."""
    options = spec.options
    if options.seds is not None:
        options = msgspec.structs.replace(options, seds=resolve(options.seds, str(folder)))
    return msgspec.structs.replace(
        spec,
        catalogs=None if spec.catalogs is None else _catalogs(spec.catalogs, folder),
        visits=None if spec.visits is None else [_visit(item, folder) for item in spec.visits],
        commands=_commands(spec.commands, folder),
        options=options,
        output=msgspec.structs.replace(spec.output, base=_bases(spec.output.base, folder)),
    )


def _visit(item: VisitItem, folder: Path) -> VisitItem:
    commands = None if item.commands is None else _commands(item.commands, folder)
    return VisitItem(catalogs=_catalogs(item.catalogs, folder), commands=commands)


def _catalogs(items: Sequence[str | CatalogItem], folder: Path) -> list[str | CatalogItem]:
    return [
        resolve(item, str(folder))
        if isinstance(item, str)
        else msgspec.structs.replace(item, url=resolve(item.url, str(folder)))
        for item in items
    ]


def _commands(items: Sequence[str | InlineCommands], folder: Path) -> list[str | InlineCommands]:
    return [item if isinstance(item, InlineCommands) or "$" in item else resolve(item, str(folder)) for item in items]


def _bases(base: str | list[str] | None, folder: Path) -> str | list[str] | None:
    if base is None:
        return None
    if isinstance(base, list):
        return [resolve(one, str(folder)) for one in base]
    return resolve(base, str(folder))


def is_local(location: str) -> bool:
    """Whether it is a file of this machine."""
    return kind_of(location) is Kind.FILE
