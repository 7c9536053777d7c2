"""Registration beside the work: gathered, repeated when the job ends, and never in the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from tests.unit.commit_world import DIGEST, VISIT
from transformation.layout import JobPlace
from transformation.model.failures import Failure
from transformation.model.manifest import UnitManifest
from transformation.ports import CatalogError, FileRecord
from transformation.register import Registration
from transformation.registrar import Registrar
from transformation.standing import Sealed

PLACE = JobPlace(base="memory:/store", user="tonyj", job="run-00019")


def unit(number: int) -> Sealed:
    manifest = UnitManifest(
        unit=f"v{VISIT}-R22_S{number}-E000", visit=VISIT, sensor=f"R22_S{number}", exposure=0, filter=2, state="empty",
        digest=DIGEST, token="a", attempt=1, written="",
    )  # fmt: skip
    return Sealed(place=PLACE, manifest=manifest, size_bytes=1, adler32="00000001")


class Recorder:
    """A catalog that writes down each call; `answers` says what to raise, call by call, the last for all others."""

    place = "a test's catalog"

    def __init__(self, *answers: CatalogError | None) -> None:
        self.calls: list[int] = []
        self.answers = list(answers)
        self.open = threading.Event()
        self.open.set()
        self.told: list[Registration] = []

    def register(self, records: Sequence[FileRecord]) -> None:
        self.calls.append(len(records))
        assert self.open.wait(20)
        answer = (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]) if self.answers else None
        if answer is not None:
            raise answer

    def known(self, dataset: str) -> Sequence[FileRecord]:
        return []

    def registrar(self, gather_s: float = 0.0) -> Registrar:
        return Registrar(self, gather_s=gather_s, tell=self.told.append)

    def wait_for(self, calls: int) -> None:
        end = time.monotonic() + 10
        while len(self.told) < calls:
            assert time.monotonic() < end
            time.sleep(0.005)


def down() -> CatalogError:
    return CatalogError(Failure.REGISTRATION_PENDING, "no answer", transient=True)


def other() -> CatalogError:
    return CatalogError(Failure.REGISTRATION_CONFLICT, "another file", transient=False)


def test_nothing_to_do() -> None:
    catalog = Recorder()
    assert catalog.registrar().finish(1.0) is None
    assert catalog.calls == []


def test_at_once_where_nothing_is_gained_by_waiting() -> None:
    catalog = Recorder()
    registrar = catalog.registrar(gather_s=0.0)
    registrar.add(unit(0))
    catalog.wait_for(1)
    assert registrar.finish(1.0) is None
    assert catalog.calls == [1]


def test_units_gather_until_the_job_ends() -> None:
    catalog = Recorder()
    registrar = catalog.registrar(gather_s=60.0)
    for number in range(17):
        registrar.add(unit(number))
    time.sleep(0.05)
    assert catalog.calls == []
    assert registrar.finish(1.0) is None
    assert catalog.calls == [17]
    assert [len(told.done) for told in catalog.told] == [17]


def test_a_full_batch_does_not_wait() -> None:
    catalog = Recorder()
    registrar = catalog.registrar(gather_s=60.0)
    for number in range(40):
        registrar.add(unit(number))
    catalog.wait_for(2)
    assert registrar.finish(1.0) is None
    assert catalog.calls == [18, 18, 4]


def test_the_first_waits_no_longer_than_it_should() -> None:
    catalog = Recorder()
    registrar = catalog.registrar(gather_s=0.1)
    registrar.add(unit(0))
    registrar.add(unit(1))
    catalog.wait_for(1)
    assert catalog.calls == [2]


def test_a_hanging_catalog_holds_nobody_up() -> None:
    catalog = Recorder()
    catalog.open.clear()
    registrar = catalog.registrar()
    began_s = time.monotonic()
    for number in range(100):
        registrar.add(unit(number))
    assert time.monotonic() - began_s < 1.0
    failed = registrar.finish(0.2)
    assert time.monotonic() - began_s < 3.0
    assert failed is not None
    assert failed.failure is Failure.REGISTRATION_PENDING
    assert "100 units wait" in failed.detail
    catalog.open.set()
    time.sleep(0.05)
    assert catalog.told == []


def test_a_slow_catalog_is_waited_for_as_long_as_it_moves() -> None:
    class Slow(Recorder):
        def register(self, records: Sequence[FileRecord]) -> None:
            time.sleep(0.15)
            super().register(records)

    catalog = Slow()
    registrar = catalog.registrar()
    for number in range(90):
        registrar.add(unit(number))
    assert registrar.finish(0.5) is None
    assert sum(catalog.calls) == 90


def test_what_failed_is_tried_once_more_at_the_end() -> None:
    catalog = Recorder(down(), None)
    registrar = catalog.registrar()
    registrar.add(unit(0))
    catalog.wait_for(1)
    registrar.add(unit(1))
    time.sleep(0.05)
    assert catalog.calls == [1]
    assert registrar.finish(5.0) is None
    assert catalog.calls == [1, 2]


def test_a_dead_catalog_is_asked_once_at_the_end() -> None:
    catalog = Recorder(down())
    registrar = catalog.registrar(gather_s=60.0)
    for number in range(17):
        registrar.add(unit(number))
    failed = registrar.finish(5.0)
    assert failed is not None
    assert (failed.failure, failed.detail) == (Failure.REGISTRATION_PENDING, "no answer")
    assert catalog.calls == [17]


def test_a_conflict_is_told_and_not_tried_again() -> None:
    catalog = Recorder(other(), None, other(), None)
    registrar = catalog.registrar(gather_s=60.0)
    for number in range(3):
        registrar.add(unit(number))
    failed = registrar.finish(5.0)
    assert failed is not None
    assert failed.failure is Failure.REGISTRATION_CONFLICT
    assert catalog.calls == [3, 1, 1, 1]
    assert [len(told.done) for told in catalog.told] == [2]


def test_a_bug_is_raised_where_it_is_seen() -> None:
    class Broken(Recorder):
        def register(self, records: Sequence[FileRecord]) -> None:
            raise KeyError("a bug")

    registrar = Broken().registrar()
    registrar.add(unit(0))
    with pytest.raises(KeyError, match="a bug"):
        registrar.finish(5.0)
