"""Names and metadata as Rucio has them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.conformance.catalog_suite import record
from transformation.catalog.rucio_metadata import Detail, metadata_from, metadata_of
from transformation.catalog.rucio_names import container_of, pfn_of, url_of


@pytest.mark.parametrize(
    ("url", "pfn", "back"),
    [
        ("/store/a", "file://localhost/store/a", "/store/a"),
        ("file:///store//a", "file://localhost/store/a", "/store/a"),
        ("root://door:1094//store/a", "root://door:1094//store/a", "root://door:1094//store/a"),
        ("root://door:1094/store/a", "root://door:1094//store/a", "root://door:1094//store/a"),
        ("root://door:1094//lsst//store/a", "root://door:1094//lsst/store/a", "root://door:1094//lsst/store/a"),
        ("davs://door:443/store//a", "davs://door:443/store/a", "davs://door:443/store/a"),
    ],
)
def test_a_place_and_its_physical_name(url: str, pfn: str, back: str) -> None:
    assert pfn_of(url) == pfn
    assert pfn_of(pfn) == pfn
    assert url_of(pfn) == back


def test_the_container_of_a_dataset() -> None:
    assert container_of("run-00019/v87393588") == "run-00019"


def test_metadata_of_every_name_comes_back() -> None:
    assert metadata_from({"scope": "s", "name": "n", **_custom(metadata_of(record(), Detail.ALL))}) == record().metadata


def _custom(metadata: dict[str, str | int]) -> dict[str, str | int]:
    """What is kept as JSON: a name that is a column of the server's is kept there instead."""
    columns = metadata_of(record(), Detail.COLUMNS)
    return {name: value for name, value in metadata.items() if name not in columns}


def test_columns_take_what_fits() -> None:
    assert metadata_of(record(), Detail.COLUMNS) == {
        "run_number": 87393588,
        "campaign": "tonyj-run-00019",
        "version": "quicksim-1.0",
        "datatype": "amplifier_image",
        "stream_name": "R22_S11",
    }
    odd = replace(record(), metadata={"visit": "87393588b", "panda_id": "777", "panda_task_id": 2**31, "job": "x" * 51})
    assert metadata_of(odd, Detail.COLUMNS) == {"panda_id": 777}
    assert metadata_of(record(), Detail.NONE) == {}
