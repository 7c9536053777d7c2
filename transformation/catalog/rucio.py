"""A catalog in a Rucio server: files that stand on storage already are registered where they are.

Rules of this file, found by running Rucio 41.5.1
1. One call adds files, replicas and their place in the dataset: all or nothing, repeatable, and it notices another size
   or checksum. `add_replicas` alone keeps the old values silently; `UploadClient` cannot be repeated.
2. The physical name is the one we wrote (`pfn`), so the RSE must not be deterministic. What the server then lists is
   compared with what was meant: size, checksum and place.
3. A name has one content for ever: the server lets no client change size or checksum. So a file that was made again
   because it was lost is a conflict here, which a person resolves; SQLite exchanges it (`FileRecord.replaces`).
4. Nothing is repeated here and nothing takes long (`rucio_conversation`).
5. A catalog that refuses is REGISTRATION_PENDING like one that is down: the images are safe, and once a person has
   put things right a replay registers them.

The client lives in this process, not in a child: importing the two parts of it that are needed takes 0.2 s and 13 MB,
after the first unit is done.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import msgspec

from site_configs.schema import Rucio
from transformation.catalog.rucio_conversation import Conversation, reason_of
from transformation.catalog.rucio_metadata import Detail, metadata_from, metadata_of
from transformation.catalog.rucio_names import container_of, pfn_of, url_of
from transformation.model import documents
from transformation.model.failures import Failure
from transformation.ports import CatalogError, FileRecord

if TYPE_CHECKING:
    from transformation.catalog.rucio_client import RucioSession

_FILES_PER_CALL = 500
"""SQLite, which some servers run on, refuses expressions of more than 1000 terms."""
_Answer = TypeVar("_Answer")
_Item = TypeVar("_Item")


class _Held(msgspec.Struct, frozen=True):
    """One line of the server's list of a dataset's files, or of replicas."""

    name: str
    bytes: int
    adler32: str | None = None
    rses: dict[str, list[str]] = {}
    """Physical names by RSE."""

    @property
    def places(self) -> list[str]:
        """Physical names at any of the RSEs that were asked for."""
        return [place for rse in sorted(self.rses) for place in self.rses[rse]]


class RucioCatalog:
    """The catalog of one user's images in the server that a site names. Safe for threads, which take turns.

    `rses` names the storage elements of bases that are not in the one of the settings.
    """

    def __init__(self, settings: Rucio, *, user: str, rses: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._rses = rses or {}
        self._scope = settings.scope.replace("{user}", user)
        self._conversation = Conversation(settings, self.place)
        self._detail = Detail.ALL if settings.json_metadata else Detail.COLUMNS
        self._datasets: set[str] = set()
        """Known to be there, and in their job's container."""

    @property
    def place(self) -> str:
        """See `Catalog.place`."""
        return f"{self._settings.host} (scope {self._scope})"

    def register(self, records: Sequence[FileRecord]) -> None:
        """See `Catalog.register`; of more than 500 records, earlier ones may stand when a later one is refused."""
        for batch in _batches(_unique(records)):
            self._ask(partial(self._register, batch))

    def known(self, dataset: str) -> Sequence[FileRecord]:
        """See `Catalog.known`; without metadata where the server keeps only its own kinds."""
        names = self._ask(partial(self._names, dataset))
        return [record for batch in _batches(names) for record in self._ask(partial(self._known, dataset, batch))]

    # -- one conversation each

    def _register(self, records: Sequence[FileRecord], session: RucioSession) -> None:
        from rucio.common.exception import FileConsistencyMismatch, InvalidMetadata

        fresh = {
            record.dataset: {container_of(record.dataset), *filter(None, [record.collection])}
            for record in records
            if record.dataset not in self._datasets
        }
        self._make_collections(session, fresh)
        while True:
            try:
                session.attach_dids_to_dids(self._attachments(records, fresh), ignore_duplicate=True)
                break
            except InvalidMetadata:
                if self._detail is Detail.NONE:
                    raise
                self._detail = Detail(self._detail - 1)
            except FileConsistencyMismatch as error:
                self._compare(session, records)
                raise CatalogError(Failure.REGISTRATION_CONFLICT, reason_of(error), transient=False) from None
        self._compare(session, records)
        self._datasets |= fresh.keys()

    def _make_collections(self, session: RucioSession, datasets: Mapping[str, Collection[str]]) -> None:
        from rucio.common.exception import DataIdentifierAlreadyExists

        containers = {container for holders in datasets.values() for container in holders}
        dids = [{**self._did(name), "type": "CONTAINER"} for name in sorted(containers)]
        dids += [{**self._did(name), "type": "DATASET"} for name in sorted(datasets)]
        if not dids:
            return
        try:
            session.add_dids(dids)
        except DataIdentifierAlreadyExists:  # of one of them, and then none is made
            for did in dids:
                with suppress(DataIdentifierAlreadyExists):
                    session.add_dids([did])

    def _attachments(
        self, records: Sequence[FileRecord], fresh: Mapping[str, Collection[str]]
    ) -> list[dict[str, object]]:
        """Files into their datasets, with their replicas, and new datasets into their containers."""
        files: dict[tuple[str, str], list[dict[str, object]]] = {}
        for record in records:
            file: dict[str, object] = {
                **self._did(record.name),
                "bytes": record.size_bytes,
                "adler32": record.adler32,
                "pfn": pfn_of(record.url),
                "meta": metadata_of(record, self._detail),
            }
            files.setdefault((record.dataset, self._rse_of(record.url)), []).append(file)
        full: list[dict[str, object]] = [
            {**self._did(name), "rse": rse, "dids": dids} for (name, rse), dids in files.items()
        ]
        held: dict[str, list[dict[str, str]]] = {}
        for name, containers in sorted(fresh.items()):
            for container in sorted(containers):
                held.setdefault(container, []).append(self._did(name))
        full.extend({**self._did(container), "dids": dids} for container, dids in held.items())
        return full

    def _compare(self, session: RucioSession, records: Sequence[FileRecord]) -> None:
        """Hold what the server lists against what was meant. Raises `CatalogError`."""
        held = {one.name: one for one in self._replicas(session, [record.name for record in records])}
        for record in records:
            if (found := held.get(record.name)) is None:
                continue
            registered = f"{found.bytes} bytes and adler32 {found.adler32}"
            meant = f"{record.size_bytes} bytes and adler32 {record.adler32}"
            places = found.places
            if registered == meant and pfn_of(record.url) not in map(pfn_of, places):
                registered, meant = f"place {', '.join(places)}", f"place {record.url}"
            if registered != meant:
                detail = f"{record.name} is registered with {registered}; the file has {meant}"
                raise CatalogError(Failure.REGISTRATION_CONFLICT, detail, transient=False)
        if lacking := [record.name for record in records if record.name not in held]:
            detail = f"{self.place}: it does not list {lacking[0]}, which was registered"
            raise CatalogError(Failure.REGISTRATION_PENDING, detail, transient=True)

    def _names(self, dataset: str, session: RucioSession) -> list[str]:
        """Of the dataset's files, in order."""
        from rucio.common.exception import DataIdentifierNotFound

        try:
            return sorted(
                one.name for one in documents.convert(list(session.list_files(**self._did(dataset))), list[_Held])
            )
        except DataIdentifierNotFound:
            return []

    def _known(self, dataset: str, names: Sequence[str], session: RucioSession) -> list[FileRecord]:
        held = sorted(self._replicas(session, names), key=lambda one: one.name)
        metadata: dict[str, dict[str, str | int]] = {}
        if held and self._detail is Detail.ALL:
            found = session.get_metadata_bulk([self._did(one.name) for one in held], plugin="JSON")
            metadata = {str(one["name"]): metadata_from(one) for one in found}
        return [
            FileRecord(
                name=one.name,
                dataset=dataset,
                url=url_of((one.places or [""])[0]),
                size_bytes=one.bytes,
                adler32=one.adler32 or "",
                metadata=metadata.get(one.name, {}),
            )
            for one in held
        ]

    def _replicas(self, session: RucioSession, names: Sequence[str]) -> list[_Held]:
        rses = "|".join(sorted({self._settings.rse, *self._rses.values()}))
        lines = session.list_replicas([self._did(name) for name in names], rse_expression=rses)
        return documents.convert(list(lines), list[_Held])

    def _rse_of(self, url: str) -> str:
        """The storage element whose base is above that location, the closest one."""
        above = [base for base in self._rses if url.startswith(f"{base}/")]
        return self._rses[max(above, key=len)] if above else self._settings.rse

    def _did(self, name: str) -> dict[str, str]:
        return {"scope": self._scope, "name": name}

    def _ask(self, question: Callable[[RucioSession], _Answer]) -> _Answer:
        try:
            return self._conversation.ask(question)
        except CatalogError:
            self._datasets.clear()
            raise


def _unique(records: Sequence[FileRecord]) -> list[FileRecord]:
    """Each name once. Raises `CatalogError` for one name with two contents."""
    by_name: dict[str, FileRecord] = {}
    for record in records:
        first = by_name.setdefault(record.name, record)
        if (first.size_bytes, first.adler32) != (record.size_bytes, record.adler32):
            detail = (
                f"{record.name} is to be registered with {first.size_bytes} bytes and adler32 {first.adler32}"
                f" and with {record.size_bytes} bytes and adler32 {record.adler32}"
            )
            raise CatalogError(Failure.REGISTRATION_CONFLICT, detail, transient=False)
    return list(by_name.values())


def _batches(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    return (items[start : start + _FILES_PER_CALL] for start in range(0, len(items), _FILES_PER_CALL))
