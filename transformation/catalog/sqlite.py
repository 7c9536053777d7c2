"""A catalog of images in one SQLite file: for laptops, tests and sites without Rucio.

Rules of this file
1. One transaction per `register`, begun with the write lock: all records or none, also when killed.
2. A connection per call: safe for threads, and nothing is held open that a network file system could lose.
3. The rollback journal, never WAL: WAL needs shared memory, which network file systems do not give.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from transformation.model.failures import Failure
from transformation.model.manifest import timestamp
from transformation.ports import CatalogError, FileRecord

if TYPE_CHECKING:
    import sqlite3

_COLUMNS = ("visit", "sensor", "amplifier", "exposure", "filter", "job", "user", "attempt", "release")
"""Metadata with a column of its own; anything else is kept as JSON in `more`."""

_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE dataset (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        # Metadata columns have no type, so that SQLite gives back exactly what it was given.
        """CREATE TABLE file (
            id INTEGER PRIMARY KEY,
            dataset INTEGER NOT NULL REFERENCES dataset (id),
            name TEXT NOT NULL UNIQUE,
            url TEXT NOT NULL,
            size_bytes INTEGER NOT NULL,
            adler32 TEXT NOT NULL,
            "visit", "sensor", "amplifier", "exposure", "filter", "job", "user", "attempt", "release",
            more TEXT NOT NULL,
            registered TEXT NOT NULL
        )""",
        "CREATE INDEX file_of_dataset ON file (dataset, name)",
    ),
)
"""What takes a file from schema version n to n + 1; add a step, never change one."""

_QUOTED = ", ".join(f'"{name}"' for name in _COLUMNS)  # some are SQL words
_INSERT = (
    f"INSERT OR IGNORE INTO file (dataset, name, url, size_bytes, adler32, more, registered, {_QUOTED}) "  # noqa: S608
    f"VALUES ((SELECT id FROM dataset WHERE name = ?), ?, ?, ?, ?, ?, ?{', ?' * len(_COLUMNS)})"
)
_KNOWN = (
    f"SELECT file.name, url, size_bytes, adler32, more, {_QUOTED} FROM file "  # noqa: S608
    "JOIN dataset ON dataset.id = file.dataset WHERE dataset.name = ? ORDER BY file.name"
)


class SqliteCatalog:
    """The catalog in the file `path`, which is made when something is registered first.

    `busy_timeout_s` bounds the wait for another writer; `clock` gives seconds since the epoch.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = 10.0, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._clock = clock

    @property
    def place(self) -> str:
        """See `Catalog.place`."""
        return str(self._path)

    def register(self, records: Sequence[FileRecord]) -> None:
        """See `Catalog.register`."""
        registered = timestamp(self._clock())
        with self._transaction("BEGIN IMMEDIATE") as connection:
            for record in records:
                if not self._insert(connection, record, registered):
                    self._compare(connection, record, registered)

    def known(self, dataset: str) -> Sequence[FileRecord]:
        """See `Catalog.known`."""
        if not self._path.exists():
            return []
        with self._transaction("BEGIN") as connection:
            rows = connection.execute(_KNOWN, (dataset,)).fetchall()
        return [_record(dataset, row) for row in rows]

    def _insert(self, connection: sqlite3.Connection, record: FileRecord, registered: str) -> bool:
        connection.execute("INSERT OR IGNORE INTO dataset (name) VALUES (?)", (record.dataset,))
        values = (record.name, record.url, record.size_bytes, record.adler32, _more(record), registered)
        columns = (record.metadata.get(name) for name in _COLUMNS)
        cursor = connection.execute(_INSERT, (record.dataset, *values, *columns))
        return cursor.rowcount == 1

    def _compare(self, connection: sqlite3.Connection, record: FileRecord, registered: str) -> None:
        query = "SELECT size_bytes, adler32 FROM file WHERE name = ?"
        size_bytes, adler32 = connection.execute(query, (record.name,)).fetchone()
        if (size_bytes, adler32) == (record.size_bytes, record.adler32):
            return
        if adler32 not in record.replaces:
            detail = (
                f"{record.name} is registered with {size_bytes} bytes and adler32 {adler32}; "
                f"the file has {record.size_bytes} bytes and adler32 {record.adler32}"
            )
            raise CatalogError(Failure.REGISTRATION_CONFLICT, detail, transient=False)
        connection.execute("DELETE FROM file WHERE name = ?", (record.name,))
        self._insert(connection, record, registered)

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        import sqlite3

        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=self._busy_timeout_s, isolation_level=None)) as connection:
                connection.execute(begin)
                self._migrate(connection)
                yield connection
                connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            # Locked, disk I/O, cannot open: these pass, or an admin makes them pass; the records wait in the manifests.
            # Tables of somebody else's do not.
            foreign = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
            raise self._pending(str(error), transient=not foreign) from error
        except sqlite3.Error as error:
            raise self._pending(str(error), transient=False) from error
        except OSError as error:
            raise self._pending(error.strerror or str(error), transient=True) from error

    def _migrate(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(_MIGRATIONS):
            detail = f"it has schema {version}, this version knows {len(_MIGRATIONS)}"
            raise self._pending(detail, transient=False)
        for number, statements in enumerate(_MIGRATIONS[version:], version + 1):
            for statement in (*statements, f"PRAGMA user_version = {number}"):
                connection.execute(statement)

    def _pending(self, reason: str, *, transient: bool) -> CatalogError:
        return CatalogError(Failure.REGISTRATION_PENDING, f"catalog {self._path}: {reason}", transient=transient)


def _more(record: FileRecord) -> str:
    more = {name: value for name, value in record.metadata.items() if name not in _COLUMNS}
    return msgspec.json.encode(more).decode()


def _record(dataset: str, row: tuple[str, str, int, str, str, *tuple[str | int | None, ...]]) -> FileRecord:
    name, url, size_bytes, adler32, more, *values = row
    columns = {column: value for column, value in zip(_COLUMNS, values, strict=True) if value is not None}
    metadata: dict[str, str | int] = {**columns, **msgspec.json.decode(more)}
    return FileRecord(name=name, dataset=dataset, url=url, size_bytes=size_bytes, adler32=adler32, metadata=metadata)
