"""What is kept of a unit in segments, and what of it is taken up again."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.unit.samples import unit
from transformation.checkpoints import Checkpoints
from transformation.layout import JobPlace, unit_of
from transformation.model.failures import Failed, Failure
from transformation.storage.memory import MemoryStorage

PLACE = JobPlace(base="memory:/store", user="tonyj", job="run-1")
UNITS = PLACE.units_folder(unit().visit)


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


def checkpoints(storage: MemoryStorage, told: list[str] | None = None, **changes: object) -> Checkpoints:
    def tell(event: str, segment: int, problem: str) -> None:
        (told if told is not None else []).append(f"{event} {segment} {problem}".strip())

    facts = {"unit": unit(), "digest": "a" * 64, "last": 3, "token": "run1-1", **changes}
    return Checkpoints(storage=storage, place=PLACE, tell=tell, **facts)  # type: ignore[arg-type]


def leave_pair(folder: Path, segment: int, text: bytes = b"focal plane") -> None:
    folder.mkdir(exist_ok=True)
    for kind in ("dt", "fp"):
        (folder / f"lsst_e_1_R22_S11_E000_ckpt{kind}_{segment}.fits.gz").write_bytes(
            gzip.compress(text + kind.encode())
        )


def fetch(tmp_path: Path, name: str, one: Checkpoints) -> tuple[int, dict[str, bytes]]:
    folder = tmp_path / name
    folder.mkdir()
    return one.fetch(folder), {path.name: gzip.decompress(path.read_bytes()) for path in folder.iterdir()}


def stored(storage: MemoryStorage) -> list[str]:
    return [entry.name for entry in storage.list(UNITS)]


def test_a_pair_comes_back_as_it_was(tmp_path: Path, storage: MemoryStorage) -> None:
    leave_pair(tmp_path / "work", 0)
    told: list[str] = []
    assert checkpoints(storage, told).keep(tmp_path / "work", 0) is None
    assert fetch(tmp_path, "elsewhere", checkpoints(storage, told, token="run2-1")) == (
        1,
        {
            "lsst_e_1_R22_S11_E000_ckptdt_0.fits.gz": b"focal planedt",
            "lsst_e_1_R22_S11_E000_ckptfp_0.fits.gz": b"focal planefp",
        },
    )
    assert told == ["checkpoint_kept 0", "checkpoint_used 0"]
    assert all(name.startswith(".") and unit_of(name) == unit().id for name in stored(storage))


def test_the_newest_is_used_and_older_ones_are_forgotten(tmp_path: Path, storage: MemoryStorage) -> None:
    for segment in range(3):
        leave_pair(tmp_path / "work", segment)
        checkpoints(storage).keep(tmp_path / "work", segment)
    assert fetch(tmp_path, "elsewhere", checkpoints(storage))[0] == 3
    assert len(stored(storage)) == 3


@pytest.mark.parametrize("changes", [{"digest": "b" * 64}, {"last": 4}, {"unit": unit("R22_S12")}, {"last": 0}])
def test_a_pair_of_something_else_is_not_used(
    tmp_path: Path, storage: MemoryStorage, changes: dict[str, object]
) -> None:
    leave_pair(tmp_path / "work", 0)
    checkpoints(storage).keep(tmp_path / "work", 0)
    assert fetch(tmp_path, "elsewhere", checkpoints(storage, **changes)) == (0, {})


@pytest.mark.parametrize("kind", ["dt", "fp", "json"])
def test_half_a_pair_is_none(tmp_path: Path, storage: MemoryStorage, kind: str) -> None:
    leave_pair(tmp_path / "work", 0)
    checkpoints(storage).keep(tmp_path / "work", 0)
    storage.delete(PLACE.receipt_url(unit().visit, f".{unit().id}.ckpt-0.run1-1.{kind}"))
    assert fetch(tmp_path, "elsewhere", checkpoints(storage)) == (0, {})


@pytest.mark.parametrize("content", [b"", b"not what was sent"])
def test_spoiled_bytes_are_not_used(tmp_path: Path, storage: MemoryStorage, content: bytes) -> None:
    leave_pair(tmp_path / "work", 0)
    checkpoints(storage).keep(tmp_path / "work", 0)
    url = PLACE.receipt_url(unit().visit, f".{unit().id}.ckpt-0.run1-1.fp")
    storage.delete(url)
    storage.create(url, content)
    told: list[str] = []
    assert fetch(tmp_path, "elsewhere", checkpoints(storage, told)) == (0, {})
    assert "other bytes" in told[0]


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 5000, b"\xff"])
def test_a_record_that_is_none_is_passed_over(tmp_path: Path, storage: MemoryStorage, content: bytes) -> None:
    storage.create(PLACE.receipt_url(unit().visit, f".{unit().id}.ckpt-2.x.json"), content)
    assert fetch(tmp_path, "elsewhere", checkpoints(storage)) == (0, {})


def test_a_segment_that_left_no_pair_has_failed(tmp_path: Path, storage: MemoryStorage) -> None:
    leave_pair(tmp_path / "work", 0)
    failed = checkpoints(storage).keep(tmp_path / "work", 1)
    assert isinstance(failed, Failed)
    assert failed.failure is Failure.OUTPUT_MISSING


def test_a_pair_cut_short_by_a_full_disk_has_failed(tmp_path: Path, storage: MemoryStorage) -> None:
    leave_pair(tmp_path / "work", 0)
    path = tmp_path / "work" / "lsst_e_1_R22_S11_E000_ckptfp_0.fits.gz"
    path.write_bytes(path.read_bytes()[:-9])
    failed = checkpoints(storage).keep(tmp_path / "work", 0)
    assert isinstance(failed, Failed)
    assert failed.failure is Failure.OUTPUT_DAMAGED
    assert stored(storage) == []
