"""What every catalog adapter has to do. A new adapter's tests are a subclass with a `catalog` fixture."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from transformation.model.failures import Failure
from transformation.ports import Catalog, CatalogError, FileRecord

DATASET = "tonyj-run-00019/v87393588"


def record(number: int = 0, dataset: str = DATASET, adler32: str = "0a1b2c3d", size_bytes: int = 53_000) -> FileRecord:
    name = f"lsst_a_87393588_f2_R22_S11_C{number:02d}_E000.fits.gz"
    return FileRecord(
        name=f"{dataset}/{name}",
        dataset=dataset,
        url=f"/store/tonyj/{dataset}/{name}",
        size_bytes=size_bytes,
        adler32=adler32,
        metadata={
            "visit": "87393588",
            "sensor": "R22_S11",
            "amplifier": f"C{number:02d}",
            "exposure": 0,
            "filter": "r",
            "job": "tonyj-run-00019",
            "user": "tonyj",
            "attempt": 1,
            "release": "quicksim-1.0",
            "role": "amplifier_image",
            "panda_id": 6_000_000_001,
        },
    )


class CatalogSuite:
    """Fixture to give: `catalog`, an empty catalog."""

    keeps_metadata = True
    """False for a catalog that gives back less metadata than it was given."""
    exchanges_lost_versions = True
    """False for a catalog in which a name has one content for ever."""

    def known(self, catalog: Catalog, dataset: str = DATASET) -> list[FileRecord]:
        """What the catalog knows, as far as it is asked to know it."""
        found = list(catalog.known(dataset))
        return found if self.keeps_metadata else [replace(one, metadata=record().metadata) for one in found]

    def same(self, records: Sequence[FileRecord]) -> list[FileRecord]:
        """What is expected of it then."""
        return [one if self.keeps_metadata else replace(one, metadata=record().metadata) for one in records]

    def test_an_unknown_dataset_is_empty(self, catalog: Catalog) -> None:
        assert self.known(catalog) == []
        catalog.register([record()])
        assert self.known(catalog, "another/v1") == []

    def test_what_is_registered_is_known_by_name(self, catalog: Catalog) -> None:
        records = [record(number) for number in range(17)]
        catalog.register(records[::-1])
        assert self.known(catalog) == self.same(records)

    def test_nothing_to_register(self, catalog: Catalog) -> None:
        catalog.register([])
        assert self.known(catalog) == []

    def test_datasets_are_apart(self, catalog: Catalog) -> None:
        first, second = record(0), record(0, dataset="other/v1")
        catalog.register([first, second])
        assert self.known(catalog) == self.same([first])
        assert self.known(catalog, "other/v1") == self.same([second])

    def test_repeating_is_harmless(self, catalog: Catalog) -> None:
        catalog.register([record(0), record(1)])
        catalog.register([record(1), record(2), record(2)])
        assert self.known(catalog) == self.same([record(0), record(1), record(2)])

    @pytest.mark.parametrize("other", [record(1, adler32="ffffffff"), record(1, size_bytes=1)], ids=["adler32", "size"])
    def test_a_conflict_names_both_and_registers_nothing(self, catalog: Catalog, other: FileRecord) -> None:
        catalog.register([record(1)])
        with pytest.raises(CatalogError) as caught:
            catalog.register([record(0), other, record(2)])
        assert caught.value.failure is Failure.REGISTRATION_CONFLICT
        assert not caught.value.transient
        for text in (other.name, other.adler32, str(other.size_bytes), record().adler32, str(record().size_bytes)):
            assert text in caught.value.detail
        assert self.known(catalog) == self.same([record(1)])

    def test_a_lost_version_is_exchanged_and_no_other(self, catalog: Catalog) -> None:
        catalog.register([record(adler32="00000001")])
        third = replace(record(adler32="00000003"), replaces=("00000002",))
        with pytest.raises(CatalogError):
            catalog.register([third])
        second = replace(record(adler32="00000002", size_bytes=7), replaces=("00000000", "00000001"))
        if not self.exchanges_lost_versions:
            with pytest.raises(CatalogError, match=r"00000001.*00000002") as caught:
                catalog.register([second])
            assert caught.value.failure is Failure.REGISTRATION_CONFLICT
            return
        for _ in range(2):
            catalog.register([second])
            assert self.known(catalog) == self.same([replace(second, replaces=())])
        catalog.register([third])
        assert self.known(catalog) == self.same([replace(third, replaces=())])

    def test_many_at_once(self, catalog: Catalog) -> None:
        batches = [[record(number), record(number + 1)] for number in range(8)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(catalog.register, batches))
        assert self.known(catalog) == self.same([record(number) for number in range(9)])

    def test_its_place_is_named(self, catalog: Catalog) -> None:
        assert catalog.place
