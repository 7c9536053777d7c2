"""Repeated ids: exact, whatever has to be spilled."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from transformation.instance_catalog import ids as ids_module
from transformation.instance_catalog.ids import IdSpool


def summarised(folder, ids, run_ids, portion):
    with IdSpool(folder, run_ids) as spool:
        for start in range(0, len(ids), portion):
            spool.extend(ids[start : start + portion])
        return spool.summary()


@settings(deadline=None)
@given(
    numbers=st.lists(st.one_of(st.integers(0, 40), st.integers(-(2**60), 2**60), st.floats(-5, 5)), max_size=200),
    run_ids=st.integers(1, 50),
    portion=st.integers(1, 30),
)
def test_counts_are_those_of_a_naive_count(tmp_path_factory, numbers, run_ids, portion):
    values = [float(number) for number in numbers]
    found = summarised(tmp_path_factory.getbasetemp(), [repr(v).encode() for v in values], run_ids, portion)
    assert found.repeats == len(values) - len(set(values))
    assert found.fractions == sum(value != int(value) for value in values)
    if found.repeats:
        assert values.count(found.repeat_example) > 1
    else:
        assert found.repeat_example is None
    if found.fractions:
        assert found.fraction_example in values


def test_long_runs_are_merged_in_chunks(tmp_path):
    draw = random.Random(7)
    numbers = [draw.randrange(4000) for _ in range(5000)] + [5] * 1000
    draw.shuffle(numbers)
    found = summarised(tmp_path, [b"%d" % number for number in numbers], run_ids=700, portion=100)
    assert found.repeats == len(numbers) - len(set(numbers))
    assert list(tmp_path.iterdir()) == []


def test_no_portion_of_the_merge_grows_with_the_number_of_ids(tmp_path):
    draw = random.Random(7)
    with IdSpool(tmp_path, run_ids=1000) as spool:
        for _ in range(50):
            spool.extend([b"%d" % draw.getrandbits(40) for _ in range(1000)])
        portions = [len(portion) for portion in spool._in_order()]
    assert sum(portions) == 50_000
    assert max(portions) <= 1000


def test_equal_ids_written_differently_are_one(tmp_path):
    found = summarised(tmp_path, [b"5", b"5.0", b"+5", b"0.5e1", b"9007199254740993", b"9007199254740992"], 2, 1)
    assert found.repeats == 4
    assert found.fractions == 0


def test_nothing_is_written_for_a_small_catalog(tmp_path):
    with IdSpool(tmp_path / "absent") as spool:
        spool.extend([b"1", b"1"])
        assert spool.summary().repeats == 1


@given(
    st.lists(st.one_of(st.floats(allow_nan=False, allow_infinity=False).map(repr), st.integers().map(str)), max_size=5)
)
def test_numbers_mean_the_same_however_they_are_read(texts):
    ids = [text.encode() for text in texts if abs(float(text)) < 1e300]
    assert ids_module._as_floats(ids) == [float(text) for text in ids]
    odd = [*ids, b"007", b"+.5", b"1."]
    assert ids_module._as_floats(odd) == [float(text) for text in odd]
