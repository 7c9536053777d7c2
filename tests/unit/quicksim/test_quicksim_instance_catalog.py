"""Catalog headers are found loosely, as PhoSim finds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quicksim.instance_catalog import InstanceCatalog, header_key
from quicksim.pars import StageError

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path, text: str) -> tuple[InstanceCatalog, list[str]]:
    path.write_text(text)
    objects: list[str] = []
    catalog = InstanceCatalog()
    catalog.read(path, objects.append)
    return catalog, objects


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("Opsim_obshistid 5", "obshistid"),
        ("Unrefracted_RA_deg 5", "pointingra"),
        ("rightascension 5", "pointingra"),
        ("Unrefracted_Dec_deg 5", "pointingdec"),
        ("Unrefracted_Altitude 5", "altitude"),
        ("Unrefracted_Azimuth 5", "azimuth"),
        ("Opsim_rawseeing 5", "constrainseeing"),
        ("SIM_SEED 5", "obsseed"),
        ("seed 5", "obsseed"),
        ("SIM_VISTIME 5", "vistime"),
        ("Opsim_dist2moon 5", "moondist"),
        ("Opsim_rottelpos 5", "spiderangle"),
        ("Slalib_date 1994/7/19/0.2", "monthnum"),
        ("object 1 0 0 20 seed/flat.txt", "obsseed"),
        ("seqnum 0", None),
        ("object 1 0 0 20 flat.txt 0 0 0 0 0 0 star none none", None),
    ],
)
def test_a_name_is_looked_for_anywhere_in_the_line(line: str, key: str | None) -> None:
    assert header_key(line) == key


def test_the_last_value_wins_and_objects_pass_through(tmp_path: Path) -> None:
    catalog, objects = read(tmp_path / "c", "seed 1\nobject 1 a\n# object 2 b\nSIM_SEED 2\nnothing at all\nobject 3 c")
    assert catalog.values == {"obsseed": "2"}
    assert objects == ["object 1 a\n", "# object 2 b\n", "object 3 c\n"]


def test_the_month_and_the_actuators_are_read_in_their_own_way(tmp_path: Path) -> None:
    catalog, _ = read(tmp_path / "c", "Slalib_date 1994/7/19/0.29\nactuator 0.0 1.0 2.0\n")
    assert catalog.values == {"monthnum": "7", "actuator": "0.0 1.0 2.0"}


def test_includes_are_collected(tmp_path: Path) -> None:
    catalog, _ = read(tmp_path / "c", "includeobj a.txt\nincludeobj b.txt.gz\n")
    assert catalog.includes == ["a.txt", "b.txt.gz"]


@pytest.mark.parametrize("text", ["filter\n", "", "nothing known\n", "Slalib_date 1994\n"])
def test_what_phosim_dies_of_is_one_clear_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(StageError, match=str(tmp_path / "c")):
        read(tmp_path / "c", text)
