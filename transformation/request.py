"""From the command line to a job spec: a location, standard input, inline data, or the 2014 parameter string."""

from __future__ import annotations

import base64
import binascii
import difflib
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes

import msgspec
from msgspec.structs import replace

from transformation.locations import Kind, LocationInvalid, folder_of, kind_of, local_path, redacted
from transformation.model.failures import Failure, JobError
from transformation.model.spec import JobSpec, parse_spec
from transformation.model.strict import DocumentInvalid
from transformation.ports import Expected, Landing, Source, SourceError

LARGEST_SPEC_BYTES = 10_000_000
_FAILURE_OF_SOURCE = {
    Failure.CATALOG_MISSING: Failure.SPEC_MISSING,
    Failure.CATALOG_UNREACHABLE: Failure.SPEC_UNREACHABLE,
    Failure.CATALOG_CHANGED: Failure.SPEC_UNREACHABLE,
    Failure.CATALOG_TOO_LARGE: Failure.SPEC_INVALID,
    Failure.CATALOG_INVALID: Failure.SPEC_INVALID,
}

OpenSource = Callable[[], Source]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A job spec, and what only the command line knows."""

    spec: JobSpec
    folder: Path
    """A folder of this machine: the spec's own, or for a spec that is no file here the current one."""
    remote_folder: str = ""
    """Where a spec that was fetched from elsewhere lies there."""
    execution_number: int | None = None
    """PIPELINE_EXECUTIONNUMBER: which attempt of the job this is, if somebody counts."""

    @property
    def base(self) -> str:
        """What the relative locations of inputs are relative to: the folder that the spec came from."""
        return self.remote_folder or str(self.folder.absolute())


def load_request(job: str | None, job_params: str | None, open_source: OpenSource | None = None) -> Request:
    """The request of `--job` or `--lsstJobParams`, whichever is given; `open_source` serves specs that are elsewhere.

    Raises `JobError`.
    """
    if (job is None) == (job_params is None):
        raise JobError(Failure.USAGE, "give exactly one of --job and --lsstJobParams")
    if job is not None:
        return _from_location(job, open_source)
    assert job_params is not None
    return _from_parameters(parse_parameters(job_params), open_source)


def _from_location(location: str, open_source: OpenSource | None) -> Request:
    text, folder = _read(location, open_source)
    shown = "the inline job spec" if location.startswith("data:") else redacted(location)
    if len(text) > LARGEST_SPEC_BYTES:
        raise JobError(Failure.SPEC_INVALID, f"{shown} is larger than {LARGEST_SPEC_BYTES:,} bytes")
    try:
        spec = parse_spec(text)
    except DocumentInvalid as error:
        raise JobError(Failure.SPEC_INVALID, f"{shown}: {error}") from None
    if isinstance(folder, str):
        return Request(spec=spec, folder=Path.cwd(), remote_folder=folder)
    return Request(spec=spec, folder=folder)


def _read(location: str, open_source: OpenSource | None) -> tuple[bytes, Path | str]:
    """The spec, or one byte more than it may have, and the folder that it is in, here or elsewhere."""
    if location == "-":
        return sys.stdin.buffer.read(LARGEST_SPEC_BYTES + 1), Path.cwd()
    if location.startswith("data:"):
        return _read_data_url(location), Path.cwd()
    try:
        if kind_of(location) is not Kind.FILE:
            return _fetched(location, open_source), folder_of(location)
        return _read_file(local_path(location, Path()))
    except LocationInvalid as error:
        raise JobError(Failure.SPEC_INVALID, f"--job: {error}") from None


def _fetched(location: str, open_source: OpenSource | None) -> bytes:
    if open_source is None:
        raise JobError(Failure.SPEC_INVALID, f"--job: {redacted(location)} is not on this machine")
    source = open_source()
    try:
        with tempfile.TemporaryDirectory(prefix="lsst-trf-spec-") as folder:
            landing = Landing(path=Path(folder) / "spec")
            source.fetch(location, landing, Expected(limit_bytes=LARGEST_SPEC_BYTES))
            return landing.path.read_bytes()
    except SourceError as error:
        failure = _FAILURE_OF_SOURCE.get(error.failure, error.failure)
        raise JobError(failure, f"--job: {error.detail}") from None
    finally:
        source.close()


def _read_file(path: Path) -> tuple[bytes, Path]:
    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST_SPEC_BYTES + 1), path.absolute().parent
    except (FileNotFoundError, NotADirectoryError):
        raise JobError(Failure.SPEC_MISSING, f"--job: {path} does not exist") from None
    except IsADirectoryError:
        raise JobError(Failure.SPEC_MISSING, f"--job: {path} is a folder, not a job spec") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise JobError(Failure.SPEC_UNREACHABLE, f"--job: {path}: {reason}") from None


def _read_data_url(url: str) -> bytes:
    """The content of a `data:` URL (RFC 2397)."""
    header, comma, body = url.partition(",")
    if not comma:
        raise JobError(Failure.SPEC_INVALID, "--job: the data: URL has no comma")
    if not header.endswith(";base64"):
        return unquote_to_bytes(body)
    try:
        return base64.b64decode(unquote(body), validate=True)
    except binascii.Error as error:
        raise JobError(Failure.SPEC_INVALID, f"--job: the data: URL is not base64: {error}") from None


_SEPARATOR = re.compile(r"[|\s]+(?=[A-Z_]+=)")
"""Between pairs; a bar inside a sensor expression is followed by no key, so it stays."""

_PIPELINE_KEYS = frozenset({"DP_USER", "JOB_SPEC"})
_SPEC_KEYS = {
    "NAME": "name",
    "USER": "user",
    "TASK": "task",
    "COMMENT": "comment",
    "SENSORS": "sensors",
    "RELEASE": "release",
    "CATALOG_URL": "catalogs",
    "CATALOGS": "catalogs",
    "COMMANDS": "commands",
    "EXPOSURES": "exposures",
    "AMPLIFIERS": "amplifiers",
    "ATTEMPTS": "attempts",
    "DEBUG": "debug",
    "OUTPUT": "output",
    "OUTPUT_BASE": "output",
}


def parse_parameters(text: str) -> dict[str, str]:
    """The pairs of the 2014 form `KEY=VALUE|KEY=VALUE`; values are percent-decoded. Raises `JobError` USAGE."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise JobError(Failure.USAGE, f"--lsstJobParams: '{text}' is not UTF-8") from None
    pairs: dict[str, str] = {}
    for pair in _SEPARATOR.split(text.strip().strip("|")):
        key, equals, value = pair.partition("=")
        if not equals or not re.fullmatch(r"[A-Z_]+", key):
            raise JobError(Failure.USAGE, f"--lsstJobParams: '{pair}' is not of the form KEY=VALUE")
        if key not in _SPEC_KEYS and key not in _PIPELINE_KEYS and not key.startswith("PIPELINE_"):
            close = difflib.get_close_matches(key, [*_SPEC_KEYS, *_PIPELINE_KEYS, "PIPELINE_TASK"], n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise JobError(Failure.USAGE, f"--lsstJobParams: unknown key '{key}'{hint}")
        pairs[key] = unquote(value)
    return pairs


def _from_parameters(pairs: Mapping[str, str], open_source: OpenSource | None) -> Request:
    number = pairs.get("PIPELINE_EXECUTIONNUMBER")
    execution_number = _number(number) if number is not None else None
    if isinstance(execution_number, str):
        execution_number = None
    if "JOB_SPEC" in pairs:
        return replace(_from_location(pairs["JOB_SPEC"], open_source), execution_number=execution_number)
    try:
        spec = parse_spec(msgspec.json.encode(_document(pairs)))
    except DocumentInvalid as error:
        raise JobError(Failure.SPEC_INVALID, f"--lsstJobParams: {error}") from None
    return Request(spec=spec, folder=Path.cwd(), execution_number=execution_number)


def _document(pairs: Mapping[str, str]) -> dict[str, object]:
    """The spec as the pairs give it; what they leave out comes from the pipeline's own keys."""
    user = pairs.get("DP_USER") or pairs.get("PIPELINE_USER")
    task = pairs.get("PIPELINE_TASK")
    instance = pairs.get("PIPELINE_PROCESSINSTANCE")
    document: dict[str, object] = {"schema_version": 1}
    if user:
        document["user"] = user
    if task:
        document["task"] = task
        if instance:
            document["name"] = f"{task}-{instance}"
    for key, value in pairs.items():
        if (name := _SPEC_KEYS.get(key)) is not None:
            document[name] = _value(name, value)
    return document


def _value(name: str, text: str) -> object:
    """The spec's value of a pair: lists at blanks and commas, words for truth, whole numbers."""
    match name:
        case "catalogs" | "commands":
            return re.split(r"[,\s]+", text.strip())
        case "exposures":
            return text if text == "all" else [_number(word) for word in re.split(r"[,\s]+", text.strip())]
        case "amplifiers" | "debug":
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(
                text.lower(), text
            )
        case "attempts":
            return _number(text)
        case "output":
            return {"base": text}
        case _:
            return text


def _number(text: str) -> int | str:
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else text


_MOST_DIGITS = 18
"""Python refuses to read numbers of thousands of digits."""
