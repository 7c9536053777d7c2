"""Names with `%u`, `%t` and `%n`."""

from __future__ import annotations

import pytest

from submitter.naming import NamePattern, instance_of
from transformation.model.failures import Failure, JobError

DEFAULT = "%u-%t-%n"


def pattern(name: object = None) -> NamePattern:
    document: dict[str, object] = {"user": "tonyj", "task": "ImsimOnDemand"}
    if name is not None:
        document["name"] = name
    return NamePattern.of(document, DEFAULT)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, "tonyj-ImsimOnDemand-00019"),
        ("deep.%n.%u", "deep.00019.tonyj"),
        ("just-this", "just-this"),
        ("%t", "ImsimOnDemand"),
    ],
)
def test_words_are_filled_in(name: str | None, expected: str) -> None:
    assert pattern(name).name(19) == expected


@pytest.mark.parametrize("name", ["%x-%n", "100%", "%n-%n", 7])
def test_other_patterns_are_refused(name: object) -> None:
    with pytest.raises(JobError) as caught:
        pattern(name)
    assert caught.value.failed.failure is Failure.SPEC_INVALID


def test_numbers_are_found_again_in_names_of_the_same_form() -> None:
    names = ["tonyj-ImsimOnDemand-00007", "tonyj-ImsimOnDemand-123456", "tonyj-other-00099", "x"]
    assert pattern().numbers(names) == [7, 123456]
    assert pattern("just-this").numbers(["just-this"]) == []


def test_a_user_called_like_a_pattern_is_not_filled_in_again() -> None:
    assert NamePattern.of({"user": "%t", "task": "stars", "name": "%u"}, DEFAULT).name(1) == "%t"


@pytest.mark.parametrize(("name", "number"), [("tonyj-stars-00019", 19), ("v2-tonyj-7b", 7)])
def test_the_process_instance_is_the_last_number(name: str, number: int) -> None:
    assert instance_of(name) == number


def test_a_name_without_a_number_has_an_instance_of_its_own() -> None:
    assert instance_of("deep-field") == instance_of("deep-field") != instance_of("deep-fields")
    assert 0 < instance_of("deep-field") < 100_000_000
