"""The receipts that stand beside the images: one manifest per committed or empty unit, one record per final failure,
and, where a job has several destinations, a claim per unit at those where it is not committed.

Rules of this file
1. What is read here may have been written by a dying process, a newer version or a stranger: reading never raises, it
   answers with a sentence that says what is wrong.
2. Newer versions only add fields: unknown ones are ignored, known ones never change their meaning.
3. A name that passes is one plain file name, so that nothing written here can point out of its folder.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

import msgspec

from transformation.model import documents
from transformation.model.failures import Failed, Failure
from transformation.model.work import Role

SCHEMA_VERSION = 1
LIMIT_BYTES = 1 << 20
"""No receipt comes near this size (17 files take 5 kB); what is larger is not one."""

FileName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*\Z", max_length=160)]
TemporaryName = Annotated[str, msgspec.Meta(pattern=r"^\.[A-Za-z0-9_.+-]+\Z", max_length=250)]
Word = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]+\Z", max_length=100)]
Token = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]+\Z", max_length=60)]
Adler32 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{8}\Z")]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
# Catalogs hold these in signed 64-bit columns.
Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
SizeBytes = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
FilterNumber = Annotated[int, msgspec.Meta(ge=0, le=5)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]

_Receipt = TypeVar("_Receipt")
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<token>[A-Za-z0-9_-]+)\.part(\.[A-Za-z0-9_-]+\.new)?")


class ManifestFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a committed unit."""

    name: FileName
    role: Role
    amplifier: str | None = None
    size_bytes: SizeBytes
    adler32: Adler32
    temporary: TemporaryName
    """The name it was uploaded under; while that exists, the rename to `name` is still to be done."""
    replaces: tuple[Adler32, ...] = ()
    """Checksums of earlier committed versions of this file that were lost."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What the simulation of the unit cost."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    max_rss_bytes: SizeBytes = 0


class UnitManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What stands at the destination for one unit, and which request it answers."""

    schema_version: Annotated[int, msgspec.Meta(ge=1)] = SCHEMA_VERSION
    unit: Word
    visit: Word
    sensor: Word
    exposure: Count
    filter: FilterNumber
    state: Literal["committed", "empty"]
    digest: Sha256
    """Of the request that the files answer."""
    request: dict[str, object] = {}
    """What the digest was made from, for a person who asks why two digests differ."""
    token: Token
    """Unique to the attempt that made the files."""
    attempt: Count
    written: str
    """When, UTC, ISO 8601."""
    replaces: tuple[Adler32, ...] = ()
    """Checksums of earlier manifests of this unit that lost a file."""
    files: tuple[ManifestFile, ...] = ()
    metadata: dict[str, str | Integer] = {}
    """job, user, release, PanDA ids."""
    notes: tuple[str, ...] = ()
    measured: Measured = Measured()


class FailureRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A failure of a unit that no further try can change while the request stays the same."""

    schema_version: Annotated[int, msgspec.Meta(ge=1)] = SCHEMA_VERSION
    unit: Word
    digest: Sha256
    failure: str
    """Name of the row in the failure table."""
    detail: str
    attempt: Count
    written: str

    @property
    def failed(self) -> Failed | None:
        """The failure as a value; None if the row is not in this version's table."""
        if self.failure not in Failure.__members__:
            return None
        return Failed(failure=Failure[self.failure], detail=self.detail)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """At which destination of several a unit is committed: who writes it first decides for everybody."""

    schema_version: Annotated[int, msgspec.Meta(ge=1)] = SCHEMA_VERSION
    unit: Word
    destination: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    """Address of its base."""
    token: Token
    """Of the attempt that wrote it."""
    written: str


def encode(receipt: UnitManifest | FailureRecord | Claim) -> bytes:
    """The bytes that stand at the destination: JSON for people and programs."""
    return msgspec.json.format(msgspec.json.encode(receipt), indent=1) + b"\n"


def parse_manifest(content: bytes, *, unit: str) -> UnitManifest | str:
    """The manifest of `unit`, or one sentence that says why this is none."""
    manifest = _parse(content, UnitManifest)
    if isinstance(manifest, str):
        return manifest
    if manifest.unit != unit:
        return f"it belongs to unit {manifest.unit}"
    if not unit.startswith(f"v{manifest.visit}-"):
        return f"it belongs to visit {manifest.visit}"
    if (manifest.state == "committed") != bool(manifest.files):
        return f"it is {manifest.state} with {len(manifest.files)} files"
    if len({file.name for file in manifest.files}) < len(manifest.files):
        return "it names a file twice"
    for file in manifest.files:
        if file.temporary != temporary_name(file.name, manifest.token):
            return f"{file.temporary} is not a temporary of {file.name}"
    return manifest


def parse_failure(content: bytes, *, unit: str) -> FailureRecord | str:
    """The failure record of `unit`, or one sentence that says why this is none."""
    record = _parse(content, FailureRecord)
    if isinstance(record, FailureRecord) and record.unit != unit:
        return f"it belongs to unit {record.unit}"
    return record


def parse_claim(content: bytes, *, unit: str) -> Claim | str:
    """The claim of `unit`, or one sentence that says why this is none."""
    claim = _parse(content, Claim)
    if isinstance(claim, Claim) and claim.unit != unit:
        return f"it belongs to unit {claim.unit}"
    return claim


def temporary_name(name: str, token: str) -> str:
    """What a file is called at the destination until it may be seen: hidden, unique to the attempt."""
    return f".{name}.{token}.part"


def temporary_owner(name: str) -> str | None:
    """The final name that this hidden name is a temporary of; None if it is none.

    Also true of `<temporary>.<letters>.new`, which is what adapters leave when they are killed while they write one.
    """
    match = _TEMPORARY.fullmatch(name)
    return match["name"] if match else None


def timestamp(time_s: float) -> str:
    """Seconds since the epoch as UTC text."""
    return datetime.fromtimestamp(time_s, tz=UTC).isoformat(timespec="seconds")


def _parse(content: bytes, kind: type[_Receipt]) -> _Receipt | str:
    if len(content) > LIMIT_BYTES:
        return f"it is larger than {LIMIT_BYTES} bytes"
    try:
        return documents.decode(content, kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return str(error)
    except RecursionError:  # msgspec, on brackets nested a thousand deep
        return "it is nested too deeply"
