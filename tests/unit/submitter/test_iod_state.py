"""The file of jobs: kept whole by any number of users at once."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from submitter.jobs import Part, Standing, State, state_of
from submitter.local.claims import claim_part, note_process
from submitter.migrations import MIGRATIONS
from submitter.state import Store
from submitter.troubles import IodError, Trouble
from tests.unit.submitter.job_samples import job

LOCAL = {"backend": "local"}


def test_a_job_comes_back_as_it_was(tmp_path: Path) -> None:
    written = replace(job(3), key="k", comment="für später", environment={"IOD_RELEASES": "/r"}, cpu_s=(1.0, 2.0, 3.0))
    with closing(Store(tmp_path / "jobs.sqlite")) as store:
        added = store.add_job(written, [Part(job_id=0, number=1, selects=("v1:R22", "v1:R23"), remote_id=7)])
        assert store.job(written.name) == replace(written, id=added.id)
        assert store.find_job(key="k") == store.find_job(id=added.id) == store.job(written.name)
        (part,) = store.parts(added.id)
        assert (part.job_id, part.selects, part.remote_id) == (added.id, ("v1:R22", "v1:R23"), 7)
    assert (tmp_path / "jobs.sqlite").stat().st_mode & 0o777 == 0o600


def test_an_unknown_job_is_named_with_what_was_meant(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "jobs.sqlite")) as store:
        store.add_job(job())
        with pytest.raises(IodError, match="did you mean 'tonyj-stars-00019'") as caught:
            store.job("tonyj-stars-0019")
    assert caught.value.row is Trouble.JOB_UNKNOWN


@pytest.mark.parametrize("field", ["name", "key"])
def test_names_and_keys_are_taken_once(tmp_path: Path, field: str) -> None:
    first = replace(job(), key="k")
    second = replace(job(), name="other", key="other")
    with closing(Store(tmp_path / "jobs.sqlite")) as store:
        store.add_job(first)
        with pytest.raises(IodError, match="UNIQUE"):
            store.add_job(replace(second, **{field: getattr(first, field)}))
        assert store.names() == [first.name]


def test_a_waiting_part_is_claimed_by_one_of_many(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    with closing(Store(path)) as store:
        store.add_job(job(**LOCAL), [Part(job_id=0, number=number) for number in range(1, 6)])
    claimed: list[int] = []

    def claim() -> None:
        with closing(Store(path)) as mine:
            while part := claim_part(mine, 100.0):
                claimed.append(part.number)

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == [1, 2, 3, 4, 5]


def test_a_part_waits_until_its_time(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "jobs.sqlite")) as store:
        store.add_job(job(**LOCAL), [Part(job_id=0, number=1, not_before_s=100.0)])
        assert claim_part(store, 99.0) is None
        part = claim_part(store, 101.0)
        assert part is not None
        assert (part.state, part.attempt) == (State.RUNNING, 1)


def test_a_killed_part_is_not_brought_back_by_its_runner(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "jobs.sqlite")) as store:
        one = store.add_job(job(**LOCAL), [Part(job_id=0, number=1)])
        part = claim_part(store, 1.0)
        assert part is not None
        store.ask_to_kill(one.id)
        assert note_process(store, part, 4242, 1.0, "here") is False
        store.end_killed_parts(one.id)
        assert store.settle_part(replace(part, state=State.DONE)) is False
        assert store.job(one.name).state is State.KILLED


def test_a_replaced_part_counts_no_more(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "jobs.sqlite")) as store:
        one = store.add_job(job(**LOCAL), [Part(job_id=0, number=1, state=State.FAILED)])
        store.replace_parts(one.id, [Part(job_id=0, number=0)])
        assert store.job(one.name).state is State.WAITING
        assert [(part.number, part.replaced) for part in store.parts(one.id)] == [(1, True), (2, False)]


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
def test_files_of_every_version_are_brought_up_to_date(tmp_path: Path, version: int) -> None:
    path = tmp_path / "jobs.sqlite"
    with closing(sqlite3.connect(path)) as old:
        for script in MIGRATIONS[:version]:
            old.executescript(script)
        old.execute(f"PRAGMA user_version = {version}")
    with closing(Store(path)) as store:
        store.add_job(job())
    with closing(sqlite3.connect(path)) as new:
        assert new.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


def test_many_may_be_first(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    troubles: list[Exception] = []

    def open_it() -> None:
        try:
            Store(path).close()
        except IodError as error:
            troubles.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []


def test_a_newer_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    Store(path).close()
    with closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(IodError, match="newer iod") as caught:
        Store(path)
    assert caught.value.row is Trouble.STATE_UNUSABLE


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough for a header", b"SQLite format 3\0" + b"\xff" * 200]
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(content * 20)
    with pytest.raises(IodError, match=r"jobs\.sqlite") as caught:
        Store(path)
    assert caught.value.row is Trouble.STATE_UNUSABLE


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], State.WAITING),
        ([State.WAITING, State.WAITING], State.WAITING),
        ([State.WAITING, State.DONE], State.RUNNING),
        ([State.RUNNING, State.FAILED], State.RUNNING),
        ([State.DONE, State.DONE], State.DONE),
        ([State.DONE, State.FAILED], State.PARTIAL),
        ([State.PARTIAL, State.FAILED], State.PARTIAL),
        ([State.FAILED, State.FAILED], State.FAILED),
        ([State.DONE, State.KILLED], State.KILLED),
    ],
)
def test_a_job_is_what_its_parts_are(parts: list[State], expected: State) -> None:
    assert state_of([Standing(state) for state in parts])[0] is expected


def test_a_failed_part_with_finished_units_is_partly_done() -> None:
    assert state_of([Standing(State.FAILED, "why", n_done=3)]) == (State.PARTIAL, "why")
