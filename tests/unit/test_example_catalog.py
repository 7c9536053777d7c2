"""The example catalog: valid, safe to give to PhoSim as it is, and what its script makes."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest

from quicksim.instance_catalog import header_key
from transformation.instance_catalog import read_defaults, read_instance_catalogs

VIRGO = Path(__file__).resolve().parents[2] / "examples/virgo"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module `make_catalog`."""
    found = importlib.util.spec_from_file_location("make_catalog", VIRGO / "make_catalog.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, found.name, module)  # where its dataclasses look for their annotations
    found.loader.exec_module(module)
    return module


def test_the_catalog_is_what_its_script_makes(script: ModuleType) -> None:
    pytest.importorskip("pyongc", reason="OpenNGC comes with pyongc")
    assert list(script.catalog_lines()) == (VIRGO / "virgo.txt").read_text(encoding="ascii").splitlines()


def test_the_catalog_is_valid_without_a_warning(tmp_path: Path, tiny_release: Path) -> None:
    found = read_instance_catalogs(
        [VIRGO / "virgo.txt"],
        defaults=read_defaults(tiny_release / "default_instcat"),
        objects_out=None,
        spool=tmp_path,
    )
    assert found.n_objects > 2000
    assert not found.warnings
    assert (found.obshistid, found.filter) == (4406, 2)


def test_comments_hold_no_word_that_phosim_takes_for_a_header_or_an_object() -> None:
    comments = [line for line in (VIRGO / "virgo.txt").read_text().splitlines() if line.startswith("#")]
    assert comments
    for comment in comments:
        assert header_key(comment) is None, comment
        assert "object" not in comment
        assert "include" not in comment


def test_magnitudes_at_500_nm_lie_between_b_and_v(script: ModuleType) -> None:
    assert script.magnitude_at_500_nm(9.74, 8.86) == pytest.approx(9.265)


@pytest.mark.parametrize("index", [1.0, 2.5, 4.0])
def test_sizes_put_the_isophote_where_openngc_has_it(script: ModuleType, index: float) -> None:
    """GalSim's Sersic profile of that half-light radius has 25 mag at the isophotal radius."""
    import galsim

    radius_arcsec, magnitude = 60.0, 12.2
    share = script.half_light_share(magnitude, math.pi * radius_arcsec**2, index)
    profile = galsim.Sersic(index, half_light_radius=share * radius_arcsec)
    flux_per_arcsec2 = profile.xValue(radius_arcsec, 0)
    brightness = magnitude - 2.5 * math.log10(flux_per_arcsec2)
    assert share < script.LARGEST_SHARE
    assert brightness == pytest.approx(25.0, abs=0.05)


def test_counts_grow_as_published(script: ModuleType) -> None:
    assert script.galaxies_per_arcmin2(25.0) == pytest.approx(46)
    assert script.stars_per_degree2(20.0) == pytest.approx(1440, rel=0.02)
