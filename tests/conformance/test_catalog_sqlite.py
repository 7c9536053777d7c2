"""The catalog suite over `SqliteCatalog`, and what only a file of tables has: locks, kills, versions."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.conformance.catalog_suite import DATASET, CatalogSuite, record
from transformation.catalog import sqlite
from transformation.catalog.sqlite import SqliteCatalog
from transformation.model.failures import Failure
from transformation.ports import CatalogError

ROOT = Path(__file__).parents[2]


class TestSqliteCatalog(CatalogSuite):
    @pytest.fixture
    def catalog(self, tmp_path: Path) -> SqliteCatalog:
        return SqliteCatalog(tmp_path / "folder" / "catalog.sqlite")


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_people_can_query_it(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    SqliteCatalog(path, clock=lambda: 0.0).register([record()])
    query = 'SELECT visit, sensor, amplifier, exposure, filter, job, "user", attempt, "release", registered FROM file'
    (row,) = rows(path, query)
    assert row == ("87393588", "R22_S11", "C00", 0, "r", "tonyj-run-00019", "tonyj", 1, "quicksim-1.0", row[-1])
    assert row[-1] == "1970-01-01T00:00:00+00:00"


def test_a_lock_is_waited_for_and_then_reported(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    catalog = SqliteCatalog(path, busy_timeout_s=0.05)
    catalog.register([record(0)])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CatalogError) as caught:
            catalog.register([record(1)])
        assert caught.value.failure is Failure.REGISTRATION_PENDING
        assert caught.value.transient
        assert list(catalog.known(DATASET)) == [record(0)]
    catalog.register([record(1)])
    assert len(catalog.known(DATASET)) == 2


def test_what_is_no_catalog(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(b"not a database " * 100)
    with pytest.raises(CatalogError) as caught:
        SqliteCatalog(path).register([record()])
    assert caught.value.failure is Failure.REGISTRATION_PENDING
    assert not caught.value.transient


@pytest.mark.parametrize("path", ["file/below/catalog.sqlite", "folder"])
def test_where_no_catalog_can_be(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(CatalogError) as caught:
        SqliteCatalog(tmp_path / path).register([record()])
    assert caught.value.failure is Failure.REGISTRATION_PENDING


def test_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    SqliteCatalog(path).register([record(0)])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(CatalogError, match="schema 99"):
        SqliteCatalog(path).register([record(1)])
    assert rows(path, "SELECT count(*) FROM file") == [(1,)]


def test_an_older_schema_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "catalog.sqlite"
    SqliteCatalog(path).register([record(0)])
    step = ("ALTER TABLE file ADD COLUMN site", "UPDATE file SET site = 'here'")
    monkeypatch.setattr(sqlite, "_MIGRATIONS", (*sqlite._MIGRATIONS, step))
    assert len(SqliteCatalog(path).known(DATASET)) == 1
    assert rows(path, "SELECT site FROM file") == [("here",)]
    assert rows(path, "PRAGMA user_version") == [(2,)]


def test_looking_makes_no_catalog(tmp_path: Path) -> None:
    assert list(SqliteCatalog(tmp_path / "catalog.sqlite").known(DATASET)) == []
    assert list(tmp_path.iterdir()) == []


PREPARE = """
import os, signal, sys, time
from pathlib import Path
from tests.conformance.catalog_suite import record
from transformation.catalog.sqlite import SqliteCatalog
path = Path(sys.argv[1])
records = [record(number) for number in range(306)]
"""
AT_ONCE = """
while not path.with_name("go").exists():
    time.sleep(0.001)
for _ in range(5):
    SqliteCatalog(path).register(records)
"""
KILLED = """
insert = SqliteCatalog._insert
def insert_or_die(self, connection, one, registered):
    if one == records[200]:
        os.kill(os.getpid(), signal.SIGKILL)
    return insert(self, connection, one, registered)
SqliteCatalog._insert = insert_or_die
SqliteCatalog(path).register(records)
"""


def run_python(code: str, path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PREPARE + code, path], cwd=ROOT)


def test_two_processes_register_the_same(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    processes = [run_python(AT_ONCE, path) for _ in range(2)]
    (tmp_path / "go").touch()
    assert [process.wait(20) for process in processes] == [0, 0]
    assert rows(path, "SELECT count(*), count(DISTINCT name) FROM file") == [(306, 306)]


def test_a_killed_registration_leaves_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    catalog = SqliteCatalog(path)
    catalog.register([record(0)])
    assert run_python(KILLED, path).wait(20) == -9
    assert list(catalog.known(DATASET)) == [record(0)]
    catalog.register([record(number) for number in range(306)])
    assert rows(path, "SELECT count(*) FROM file") == [(306,)]
