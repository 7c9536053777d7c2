"""Raytrace's table of bands, and how far it shows a unit to be."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from transformation.progress import Meter, Weights, weights_of
from transformation.simulator.band_table import Band, BandTable, Heading

RECORDED = Path(__file__).parents[3] / "shared" / "reference" / "phosim_grid_mode" / "rt.out"
HEADING = "Type                Sources         Photons  (Sat,Rem,Rej,Acc)%  Time (s)       Photons/s\n"


def line(name: str, n_sources: int, photons: int, seconds: float) -> str:
    return (
        f"{name:<18}{n_sources:>9} {photons:>15,}  (  0, 92,  1,  7) {seconds:>10.2f} {round(photons / seconds):>15,}\n"
    )


def read(text: str) -> list[Heading | Band]:
    return list(BandTable().feed(text.encode()))


# -- the table


def test_a_table_is_read_by_its_headings() -> None:
    heading, sky, stars = read(
        HEADING + line("Dark Sky", 1, 3_200_000_000, 64.1) + line("Astrophysical m=19", 7, 1_275_965, 2.27)
    )
    assert heading == Heading(columns=("Sources", "Photons", "(Sat,Rem,Rej,Acc)%", "Time (s)", "Photons/s"))
    assert sky == Band(name="Dark Sky", n_sources=1, photons=3_200_000_000, seconds=64.1)
    assert stars == Band(name="Astrophysical m=19", n_sources=7, photons=1_275_965, seconds=2.27)
    assert (isinstance(sky, Band) and sky.is_of_objects, isinstance(stars, Band) and stars.is_of_objects) == (
        False,
        True,
    )


@pytest.mark.parametrize("name", ["Astrophysical m=19", "Astrophysical m= 9", "Astrophysical m=19.25", "Astro m=-1"])
def test_objects_are_known_by_their_magnitude(name: str) -> None:
    (_, band) = read(HEADING + line(name, 1, 5, 1.0))
    assert isinstance(band, Band)
    assert band.is_of_objects


def test_columns_may_stand_in_another_order() -> None:
    heading = "Type  Photons  Sources  Time (s)  (Sat,Rem)%  Watts\n"
    assert read(f"{heading}Moon Light  1,000  3  0.5  ( 1, 2)  9.5\n")[1] == Band(
        name="Moon Light", n_sources=3, photons=1000, seconds=0.5
    )


@pytest.mark.parametrize(
    "text",
    [
        line("Astrophysical m=19", 1, 5, 1.0),  # before any table
        HEADING.replace("Sources", "Things"),
        HEADING + "-----------------------------------------\n",
        HEADING + "Number of Sources: 2 and so on and on\n",
        HEADING + "Photons: 4.48e+06   Flux: 5.77e-27 ergs/cm2/s\n",
        HEADING + line("Astrophysical m=19", 1, 5, 1.0)[:-1],  # not yet complete
    ],
)
def test_other_lines_are_no_bands(text: str) -> None:
    assert [item for item in read(text) if isinstance(item, Band)] == []


@given(st.binary(max_size=300), st.integers(0, 100))
def test_nothing_printed_can_harm_and_pieces_do_not_matter(noise: bytes, cut: int) -> None:
    text = noise + b"\n" + (HEADING + line("Moon", 1, 5, 1.0) + line("Astrophysical m=3", 2, 7, 2.0)).encode()
    whole, pieces = BandTable(), BandTable()
    expected = list(whole.feed(text))
    assert [*pieces.feed(text[:cut]), *pieces.feed(text[cut:])] == expected
    assert expected[-2:] == read(HEADING + line("Moon", 1, 5, 1.0) + line("Astrophysical m=3", 2, 7, 2.0))[1:]


@pytest.mark.parametrize("n_classes", [73, 242])
def test_any_number_of_classes(n_classes: int) -> None:
    text = HEADING + "".join(line(f"Astrophysical m={40 - number / 4:g}", 1, 5, 0.1) for number in range(n_classes))
    assert len(read(text)) == 1 + n_classes


@pytest.mark.skipif(not RECORDED.is_file(), reason=f"what PhoSim 3.4 printed is not there: {RECORDED}")
def test_what_phosim_itself_printed() -> None:
    assert read(RECORDED.read_text())[1:] == [
        Band(name="Astrophysical m=19", n_sources=1, photons=1_275_965, seconds=2.27),
        Band(name="Astrophysical m=18", n_sources=1, photons=3_208_146, seconds=4.56),
    ]


# -- weights


def objects(magnitudes: Sequence[float]) -> list[str]:
    return ["\n", *(f"object {number} 0.0 0.0 {one} sed 0 0\n" for number, one in enumerate(magnitudes)), "\n"]


def test_an_object_weighs_its_photons() -> None:
    weights = weights_of(objects([18.0, 20.5, 20.5]), has_sky=False, exposure_s=15.0)
    faint = weights.up_to(1)
    assert weights.up_to(2) == pytest.approx(2 * faint)
    assert weights.total - weights.up_to(2) == pytest.approx(10.0 * faint)
    assert weights.up_to(0) == 0.0
    assert weights.up_to(99) == weights.total


def test_the_sky_is_one_weight() -> None:
    with_sky = weights_of(objects([20.0]), has_sky=True, exposure_s=15.0)
    assert with_sky.up_to(0) == with_sky.surface
    assert with_sky.surface > 100 * (with_sky.total - with_sky.surface)
    twice = weights_of(objects([20.0]), has_sky=True, exposure_s=30.0)
    assert twice.total == pytest.approx(2 * with_sky.total)


# -- the meter


def meter(*magnitudes: float, surface: float = 0.0, n_exposures: int = 1) -> Meter:
    weights = weights_of(objects(magnitudes), has_sky=False, exposure_s=15.0)
    weights = replace(weights, surface=surface)
    return Meter(n_exposures=n_exposures, weigh=lambda _: weights)


def shown(one: Meter, number: int = 0) -> float:
    return one.progress(number)[0]


def test_progress_is_weighted_by_photons_not_by_lines() -> None:
    one = meter(*[24.0] * 90, 14.0)
    assert one.progress(0) == (0.0, None)
    one.printed((HEADING + line("Astrophysical m=24", 90, 100, 0.01)).encode())
    assert 0.0 < shown(one) < 0.01
    one.printed(line("Astrophysical m=14", 1, 100, 100.0).encode())
    assert one.progress(0) == (1.0, 0.0)


def test_cpu_time_fills_a_long_class_at_the_speed_of_those_before() -> None:
    one = meter(20.0, 17.5)  # the second is ten times the first
    one.printed((HEADING + line("Astrophysical m=20", 1, 100, 30.0)).encode())
    fraction, left_s = one.progress(0)
    assert (fraction, left_s) == (pytest.approx(1 / 11), pytest.approx(300.0))
    one.used(50.0)
    one.used(200.0)
    fraction, left_s = one.progress(0)
    assert (fraction, left_s) == (pytest.approx(6 / 11), pytest.approx(150.0))
    one.used(10_000.0)
    assert shown(one) == pytest.approx(1 / 11 + 0.9 * 10 / 11), "only a line proves that it is done"


def test_progress_never_falls() -> None:
    one = meter(22.0, 20.0, 17.5)
    one.printed(HEADING.encode())
    one.used(1.0)
    one.used(1000.0)
    before = shown(one)
    assert before > 0.8
    one.printed(line("Astrophysical m=22", 1, 100, 500.0).encode())
    assert shown(one) == before


def test_the_sky_counts_when_the_first_objects_are_done() -> None:
    one = meter(20.0, 20.0, surface=1000.0)
    one.printed((HEADING + line("Dark Sky", 1, 100, 60.0)).encode())
    assert shown(one) == 0.0
    one.printed(line("Astrophysical m=20", 1, 100, 1.0).encode())
    assert shown(one) > 0.99


def test_what_was_done_before_a_checkpoint_counts_and_its_time_does_not() -> None:
    """A run that goes on after a checkpoint prints the classes of its own segments only."""
    whole, resumed = meter(24.0, 22.0, 20.0, 17.5, surface=0.5), meter(24.0, 22.0, 20.0, 17.5, surface=0.5)
    whole.printed((HEADING + line("Dark Sky", 1, 100, 9.0) + line("Astrophysical m=24", 1, 100, 1.0)).encode())
    whole.printed((line("Astrophysical m=22", 1, 100, 2.0) + line("Astrophysical m=20", 1, 100, 10.0)).encode())
    resumed.printed((HEADING + line("Astrophysical m=20", 1, 100, 10.0)).encode())
    assert shown(resumed) == shown(whole)
    assert resumed.progress(0)[1] == pytest.approx(100.0), "ten times the class that took ten seconds"


def test_exposures_of_one_run_come_one_after_the_other() -> None:
    one = meter(20.0, 20.0, n_exposures=2)
    table = (HEADING + line("Astrophysical m=20", 1, 100, 1.0)).encode()
    one.printed(table)
    assert (shown(one, 0), shown(one, 1)) == (pytest.approx(0.5), 0.0)
    one.printed(table)
    assert (shown(one, 0), shown(one, 1)) == (1.0, pytest.approx(0.5))
    one.printed(table)  # one exposure too many changes nothing
    assert shown(one, 0) == 1.0


def test_without_a_catalog_nothing_is_shown() -> None:
    def unknown(_: int) -> Weights:
        raise FileNotFoundError

    one = Meter(n_exposures=1, weigh=unknown)
    one.printed((HEADING + line("Astrophysical m=20", 1, 100, 1.0)).encode())
    one.used(5.0)
    assert shown(one) == 0.0
    assert Weights(surface=0.0, objects=array("d")).total == 0.0
