"""The job spec: every key right, every key wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from transformation.model.spec import CatalogItem, InlineCommands, JobSpec, VisitItem, catalog_item, parse_spec
from transformation.model.strict import DocumentInvalid

MINIMAL: dict[str, object] = {
    "schema_version": 1,
    "name": "run-00019",
    "user": "tonyj",
    "sensors": "R22_S11",
    "catalogs": ["sky.txt"],
}


def spec(**changes: object) -> JobSpec:
    """The spec with these changes; a change to None drops the key."""
    document = {key: value for key, value in {**MINIMAL, **changes}.items() if value is not None}
    return parse_spec(json.dumps(document).encode())


def refusal(**changes: object) -> str:
    with pytest.raises(DocumentInvalid) as caught:
        spec(**changes)
    return str(caught.value)


def test_the_defaults() -> None:
    parsed = spec()
    assert (parsed.exposures, parsed.amplifiers, parsed.attempts, parsed.debug) == ("all", True, 3, False)
    assert (parsed.task, parsed.comment, parsed.release, parsed.commands) == (None, None, None, [])
    assert (parsed.output.base, parsed.output.dataset, parsed.limits.max_unit_hours) == (None, None, None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "a.B_c-9"),
        ("user", "t"),
        ("task", "ImsimOnDemand"),
        ("comment", "for Tony's talk, 5 % of it"),
        ("sensors", "R11_S.."),
        ("exposures", "all"),
        ("exposures", [0, 1]),
        ("catalogs", ["a", {"url": "b", "adler32": "00A0b0c1", "size": 0}]),
        ("commands", ["$(PHOSIMDIR)/examples/quickbackground", {"inline": "zenith_v 1000"}]),
        ("release", "phosim-3.4.2"),
        ("amplifiers", False),
        ("attempts", 1),
        ("attempts", 10),
        ("debug", True),
        ("output", {"base": "/store"}),
        ("output", {"base": ["/store", "/other"], "dataset": "mine"}),
        ("limits", {"max_unit_hours": 0.5}),
        ("limits", {"max_unit_hours": 12}),
        ("options", {"checkpoints": 2}),
    ],
)
def test_good_values_arrive(key: str, value: object) -> None:
    parsed = json.loads(_encode(spec(**{key: value})))
    assert _without_nulls(parsed[key]) == value


def _encode(parsed: JobSpec) -> bytes:
    import msgspec

    return msgspec.json.encode(parsed)


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("schema_version", 2, "'schema_version'"),
        ("schema_version", "1", "'schema_version'"),
        ("name", 3, "'name'"),
        ("name", "%u-%t-%n", "'name': only letters, digits"),
        ("name", "a/b", "'name'"),
        ("name", "a\n", "'name'"),
        ("name", "n" * 201, "'name'"),
        ("user", "", "'user'"),
        ("user", "../tonyj", "'user'"),
        ("task", "a b", "'task'"),
        ("comment", "x" * 1001, "'comment'"),
        ("comment", 5, "'comment'"),
        ("sensors", "", "'sensors'"),
        ("sensors", ["R22_S11"], "'sensors'"),
        ("sensors", "x" * 2001, "'sensors'"),
        ("exposures", "some", "'exposures'"),
        ("exposures", [], "'exposures'"),
        ("exposures", [-1], "'exposures[0]'"),
        ("exposures", [0, "1"], "'exposures[1]'"),
        ("exposures", 0, "'exposures'"),
        ("catalogs", "sky.txt", "'catalogs'"),
        ("catalogs", [], "'catalogs'"),
        ("catalogs", [""], "'catalogs[0]'"),
        ("catalogs", [{"size": 3}], "'catalogs[0]'"),
        ("catalogs", [{"url": "a", "size": -1}], "'catalogs[0].size'"),
        ("catalogs", [{"url": "a", "adler32": "123"}], "'catalogs[0].adler32'"),
        ("catalogs", [{"url": "a", "adler32": "1234567\n"}], "'catalogs[0].adler32'"),
        ("catalogs", [{"url": "a", "adler32": "12345678\n"}], "'catalogs[0].adler32'"),
        ("commands", "quickbackground", "'commands'"),
        ("commands", [5], "'commands[0]'"),
        ("commands", [{"inline": 5}], "'commands[0].inline'"),
        ("release", "../phosim", "'release'"),
        ("amplifiers", "yes", "'amplifiers'"),
        ("amplifiers", 1, "'amplifiers'"),
        ("attempts", 0, "'attempts'"),
        ("attempts", 11, "'attempts'"),
        ("attempts", True, "'attempts'"),
        ("debug", "true", "'debug'"),
        ("output", "/store", "'output'"),
        ("output", {"base": ""}, "'output.base'"),
        ("output", {"base": []}, "'output.base'"),
        ("output", {"dataset": "a/b"}, "'output.dataset'"),
        ("limits", {"max_unit_hours": 0}, "'limits.max_unit_hours'"),
        ("limits", {"max_unit_hours": "12"}, "'limits.max_unit_hours'"),
        ("options", [], "'options'"),
    ],
)
def test_bad_values_are_refused_by_name(key: str, value: object, named: str) -> None:
    assert named in refusal(**{key: value})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sensor": "R22_S11"}, "unknown key 'sensor'; did you mean 'sensors'?"),
        ({"Sensors": "R22_S11"}, "unknown key 'Sensors'; did you mean 'sensors'?"),
        ({"catalogues": ["a"]}, "unknown key 'catalogues'; did you mean 'catalogs'?"),
        ({"base": "/store"}, "unknown key 'base'; it exists, but not here"),
        ({"output": {"bse": "/store"}}, "unknown key 'bse' in 'output'; did you mean 'base'?"),
        ({"limits": {"max_unit_hour": 1}}, "unknown key 'max_unit_hour' in 'limits'; did you mean 'max_unit_hours'?"),
        ({"catalogs": [{"url": "a", "sise": 1}]}, "unknown key 'sise' in 'catalogs[0]'; did you mean 'size'?"),
        ({"commands": [{"inlin": ""}]}, "unknown key 'inlin' in 'commands[0]'; did you mean 'inline'?"),
        (
            {"catalogs": None, "visits": [{"catalogs": ["a"], "comands": []}]},
            "unknown key 'comands' in 'visits[0]'; did you mean 'commands'?",
        ),
    ],
)
def test_unknown_keys_get_a_hint(changes: dict[str, object], sentence: str) -> None:
    assert refusal(**changes) == sentence


@pytest.mark.parametrize("key", ["schema_version", "name", "user", "sensors"])
def test_required_keys(key: str) -> None:
    assert refusal(**{key: None}) == f"the key '{key}' is missing"


@pytest.mark.parametrize("changes", [{"catalogs": None}, {"visits": [{"catalogs": ["a"]}]}])
def test_catalogs_or_visits(changes: dict[str, object]) -> None:
    assert refusal(**changes) == "give exactly one of 'catalogs' and 'visits'"


def test_visits_must_not_be_without_catalogs() -> None:
    assert "'visits'" in refusal(catalogs=None, visits=[])
    assert "'visits[1].catalogs'" in refusal(catalogs=None, visits=[{"catalogs": ["a"]}, {"catalogs": []}])


def test_catalogs_are_one_visit_with_the_jobs_commands() -> None:
    assert spec(catalogs=["a", "b"], commands=["c"]).visit_items() == [VisitItem(catalogs=["a", "b"], commands=["c"])]


def test_visits_have_their_own_commands_or_the_jobs() -> None:
    visits = [{"catalogs": ["a"]}, {"catalogs": ["b"], "commands": []}, {"catalogs": ["c"], "commands": ["x"]}]
    items = spec(catalogs=None, visits=visits, commands=["c"]).visit_items()
    assert [item.commands for item in items] == [["c"], [], ["x"]]
    assert [item.catalogs for item in items] == [["a"], ["b"], ["c"]]


def test_toml_says_the_same() -> None:
    toml = b"""\
schema_version = 1
name = "run-00019"
user = "tonyj"
sensors = 'R1\\d_S..'
exposures = [0]
commands = ["c", {inline = "zenith_v 1000"}]

[[visits]]
catalogs = ["a", {url = "b", size = 3}]

[output]
base = "/store"
"""
    parsed = parse_spec(toml)
    assert parsed.sensors == r"R1\d_S.."
    assert parsed.commands == ["c", InlineCommands("zenith_v 1000")]
    assert parsed.visit_items()[0].catalogs == ["a", CatalogItem("b", size=3)]
    assert parsed.output.base == "/store"


def test_a_bare_location_pins_nothing() -> None:
    assert catalog_item("a") == CatalogItem("a", adler32=None, size=None)
    assert catalog_item(CatalogItem("a", size=3)) == CatalogItem("a", size=3)


def test_the_examples_are_valid() -> None:
    examples = [
        path
        for path in (Path(__file__).parents[2] / "examples").rglob("*")
        if path.suffix in {".json", ".toml"} and "sensors" in path.read_text()
    ]
    assert examples
    for path in examples:
        assert parse_spec(path.read_bytes()).schema_version == 1, path
