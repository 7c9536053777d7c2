"""The seams: what the stages ask of storage, of the image catalog and of a simulator release.

Every adapter passes the conformance suite of its port (`tests/conformance/`). Adapters classify what they meet and
never repeat anything: repetition is a coat around them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import msgspec

from transformation.model.failures import Failure


class Stat(msgspec.Struct, frozen=True, kw_only=True):
    """What a storage knows of one file."""

    size_bytes: int


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One file in a listed folder."""

    name: str
    size_bytes: int


class StorageError(Exception):
    """A storage could not do what was asked.

    `transient` says whether the same call may succeed a little later; `failure` is the row for the report.
    """

    def __init__(self, failure: Failure, detail: str, *, transient: bool) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail
        self.transient = transient


class Missing(StorageError):
    """The file is not there (and the storage is sure of it)."""

    def __init__(self, url: str) -> None:
        super().__init__(Failure.OUTPUT_MISSING, f"{url} does not exist", transient=False)


class TooLarge(StorageError):
    """The file is there, but larger than the reader is willing to hold."""

    def __init__(self, url: str, *, limit_bytes: int) -> None:
        detail = f"{url} is larger than {limit_bytes} bytes"
        super().__init__(Failure.STORAGE_DAMAGED, detail, transient=False)


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What a storage says of a folder before a job writes into it."""

    free_bytes: int | None
    """Room for new files; None where nobody can say."""
    exclusive: bool
    """Whether `create` there lets exactly one of several callers succeed, and a listing shows every file."""


class Storage(Protocol):
    """Files at URLs of one scheme. Folders appear when a file is written into them."""

    @property
    def parallel(self) -> int:
        """How many transfers at once make one unit's upload faster; 1 where more would not."""

    def stat(self, url: str) -> Stat | None:
        """Size of the file; None if it is surely not there."""

    def adler32(self, url: str) -> str:
        """Checksum as the far end has it, eight lower-case hex digits. Raises `Missing`."""

    def list(self, url: str) -> Sequence[Entry]:
        """Files (not folders) directly in the folder; empty if the folder is not there."""

    def folders(self, url: str) -> Sequence[str]:
        """Names of the folders directly in the folder; empty if the folder is not there."""

    def read(self, url: str, *, limit_bytes: int) -> bytes:
        """The whole of a small file. Raises `Missing`, or `TooLarge` past the limit."""

    def get(self, url: str, path: Path) -> None:
        """Copy the file to a local path that does not exist yet. Raises `Missing`."""

    def put(self, path: Path, url: str) -> None:
        """Copy a local file to a name that nobody else uses; a failed copy leaves nothing that looks whole."""

    def create(self, url: str, content: bytes) -> bool:
        """Create the file with this content, all or nothing, unless it exists: True for exactly one caller."""

    def rename(self, url: str, new_url: str) -> None:
        """Give the file a new name in the same storage, replacing what is there. Raises `Missing`."""

    def delete(self, url: str) -> None:
        """Remove the file; no harm if it is not there."""

    def survey(self, url: str) -> Survey:
        """What is known of a folder, which need not be there yet."""

    def close(self) -> None:
        """End what serves this storage, processes included; calls under way fail. Repeating it is harmless."""


class Measured(NamedTuple):
    """Of one file: what was read of it."""

    size_bytes: int
    adler32: str
    """Eight lower-case hex digits."""


@runtime_checkable
class MeasuringStorage(Protocol):
    """A storage that measures what arrives while it copies, so that nobody has to read the copy once more."""

    def get_measured(self, url: str, path: Path, expected: Measured) -> Measured | None:
        """As `get`: what arrived, which is `expected` if all is well. None: nobody has measured. Raises `Missing`."""


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """A storage call that failed for a passing reason and is about to be repeated."""

    operation: str
    url: str
    tried: int
    """How often it was tried so far."""
    wait_s: float
    problem: str


class SourceError(Exception):
    """An input could not be fetched; see `StorageError` for the fields.

    `failure` is a row of the instance catalogs, whatever the input is for, or one of the worker's disk. The detail
    names the location without its secrets.
    """

    def __init__(self, failure: Failure, detail: str, *, transient: bool = False) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail
        self.transient = transient


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What can be learned of an input without fetching all of it."""

    size_bytes: int | None
    """None where nobody tells."""
    ranges: bool
    """Whether a part can be asked for, so that a broken transfer goes on where it stopped."""
    start: bytes
    """The first bytes, as many as were asked for if there are so many."""
    adler32: str | None = None
    """Where the other side tells it unasked for."""


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What an input must be to be taken."""

    size_bytes: int | None = None
    adler32: str | None = None
    """Eight lower-case hex digits."""
    limit_bytes: int = 1 << 62
    """Nothing larger is fetched."""

    @property
    def is_pinned(self) -> bool:
        """Whether size and checksum are both known."""
        return self.size_bytes is not None and self.adler32 is not None


class Landing(msgspec.Struct, kw_only=True):
    """A place on this disk for one input. What a try that failed has left there, the next one may go on with."""

    path: Path
    """There, whole and checked, once a fetch was successful."""
    version: str = ""
    """Of the bytes in `partial`, by which the other side knows whether they are still those of the file."""

    @property
    def partial(self) -> Path:
        """The bytes so far."""
        return self.path.with_name(f".{self.path.name}.part")


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of a file that a catalog knows."""

    rse: str
    """Its storage element."""
    url: str
    priority: int = 0
    """The catalog's own order, the best first."""


class KnownFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a catalog knows, by whatever hand it was registered."""

    size_bytes: int
    adler32: str | None
    replicas: tuple[Replica, ...]


class Source(Protocol):
    """Where inputs are read from: one adapter for each kind of location. Safe for threads.

    All raise `SourceError`: CATALOG_MISSING (not there, or not for us), CATALOG_UNREACHABLE, CATALOG_CHANGED (not as
    expected), CATALOG_TOO_LARGE, CATALOG_INVALID (an error page instead), STORAGE_UNKNOWN, DISK_FULL, WORKDIR_UNUSABLE.
    """

    def open_head(self, location: str, n_bytes: int = 0) -> Head:
        """Look whether the file can be had, and read its first bytes: a matter of one or two requests."""

    def fetch(self, location: str, landing: Landing, expected: Expected) -> None:
        """Bring the whole file to the landing, in bounded time; what is not as expected is not taken."""

    def close(self) -> None:
        """End what serves this source; fetches under way fail. Repeating it is harmless."""


class FileRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One file as the catalog knows it: an image, or the manifest of a unit."""

    name: str
    """`JOBNAME/v<visit>/<file>`: bare PhoSim names repeat between jobs."""
    dataset: str
    """`JOBNAME/v<visit>`, one per visit."""
    url: str
    size_bytes: int
    adler32: str
    metadata: dict[str, str | int] = msgspec.field(default_factory=dict)
    """visit, sensor, amplifier, exposure, filter, job, user, attempt, release, role; PanDA's ids."""
    replaces: tuple[str, ...] = ()
    """adler32 of lost versions that this one was made again for: a catalog may exchange those, and no others."""
    collection: str | None = None
    """`output.dataset`: what the user calls the collection, maybe of many jobs, that the dataset belongs to as well."""


class CatalogError(Exception):
    """The catalog could not register or answer; see `StorageError` for the fields."""

    def __init__(self, failure: Failure, detail: str, *, transient: bool) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail
        self.transient = transient


class Catalog(Protocol):
    """Where images are registered so that others find them."""

    def register(self, records: Sequence[FileRecord]) -> None:
        """Register all, or none and raise. Repeating the same records is harmless.

        Raises `CatalogError` with REGISTRATION_CONFLICT if a name is known with another size or checksum.
        """

    def known(self, dataset: str) -> Sequence[FileRecord]:
        """All files of a dataset, ordered by name; empty for an unknown dataset."""

    @property
    def place(self) -> str:
        """Where this catalog is, for the report."""
