"""From the command line to a job spec."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.memory_source import MemorySource
from tests.unit.samples import failure_of
from transformation.model.failures import Failure, JobError
from transformation.ports import SourceError
from transformation.request import LARGEST_SPEC_BYTES, Request, load_request, parse_parameters

SPEC = {"schema_version": 1, "name": "run-00019", "user": "tonyj", "sensors": "R22_S11", "catalogs": ["sky.txt"]}
TEXT = json.dumps(SPEC).encode()

FORM = "DP_USER=tonyj|PIPELINE_TASK=ImsimOnDemand|PIPELINE_PROCESSINSTANCE=00019|CATALOG_URL=sky.txt|SENSORS=R22_S11"


def refused(job: str | None = None, params: str | None = None) -> tuple[Failure, str]:
    with pytest.raises(JobError) as caught:
        load_request(job, params)
    return failure_of(caught.value)


def from_form(params: str) -> Request:
    return load_request(None, params)


# -- --job


def test_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a job.json").write_bytes(TEXT)
    for location in (str(tmp_path / "a job.json"), (tmp_path / "a job.json").as_uri()):
        request = load_request(location, None)
        assert (request.spec.name, request.folder, request.execution_number) == ("run-00019", tmp_path, None)
    monkeypatch.chdir(tmp_path)
    assert load_request("a job.json", None).folder == tmp_path


@pytest.mark.parametrize(
    "url",
    [
        "data:;base64," + base64.b64encode(TEXT).decode(),
        "data:application/json;base64," + quote(base64.b64encode(TEXT).decode(), safe=""),
        "data:application/json," + quote(TEXT.decode()),
    ],
)
def test_inline(url: str) -> None:
    request = load_request(url, None)
    assert request.spec.name == "run-00019"
    assert request.folder == Path.cwd()


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TEXT)))
    request = load_request("-", None)
    assert request.spec.name == "run-00019"
    assert request.folder == Path.cwd()


@pytest.mark.parametrize(
    ("location", "failure", "words"),
    [
        ("nowhere/job.json", Failure.SPEC_MISSING, "nowhere/job.json does not exist"),
        (f"{__file__}/job.json", Failure.SPEC_MISSING, "does not exist"),
        ("/", Failure.SPEC_MISSING, "is a folder"),
        ("job\x00.json", Failure.SPEC_INVALID, "holds control characters"),
        ("ftp://example.org/job.json", Failure.SPEC_INVALID, "no adapter for ftp://example.org/job.json"),
        ("https://example.org/job.json", Failure.SPEC_INVALID, "is not on this machine"),
        ("data:;base64", Failure.SPEC_INVALID, "has no comma"),
        ("data:;base64,%%%", Failure.SPEC_INVALID, "not base64"),
        ("data:,{", Failure.SPEC_INVALID, "the inline job spec: not valid JSON"),
        ("data:,{}", Failure.SPEC_INVALID, "the inline job spec: the key 'schema_version' is missing"),
    ],
)
def test_a_bad_location(location: str, failure: Failure, words: str) -> None:
    found, detail = refused(location)
    assert found is failure
    assert words in detail


def test_a_bad_spec_is_named_by_its_place(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text("schema_version = 1\nsensor = 'R22_S11'\n")
    assert refused(str(path)) == (
        Failure.SPEC_INVALID,
        f"{path}: unknown key 'sensor'; did you mean 'sensors'?",
    )


def test_exactly_one_form() -> None:
    assert refused()[0] is Failure.USAGE
    assert refused("-", FORM)[0] is Failure.USAGE


# -- --lsstJobParams


def test_the_2014_form() -> None:
    request = from_form(FORM + "|PIPELINE_EXECUTIONNUMBER=3|PIPELINE_STREAM=00019")
    spec = request.spec
    assert (spec.user, spec.task, spec.name) == ("tonyj", "ImsimOnDemand", "ImsimOnDemand-00019")
    assert (spec.sensors, spec.catalogs) == ("R22_S11", ["sky.txt"])
    assert request.execution_number == 3
    assert request.folder == Path.cwd()


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("SENSORS=R22_S11|R22_S12", {"SENSORS": "R22_S11|R22_S12"}),
        ("SENSORS=R22_S11|R22_S12|USER=a", {"SENSORS": "R22_S11|R22_S12", "USER": "a"}),
        ("USER=a SENSORS=R22_S11|R22_S12", {"USER": "a", "SENSORS": "R22_S11|R22_S12"}),
        ("USER=a\n  TASK=b |NAME=c", {"USER": "a", "TASK": "b", "NAME": "c"}),
        ("|USER=a|", {"USER": "a"}),
        ("COMMENT=for Tony's talk|USER=a", {"COMMENT": "for Tony's talk", "USER": "a"}),
        ("COMMENT=a%20b%7CUSER%3Dc", {"COMMENT": "a b|USER=c"}),
        ("COMMENT=a=b|USER=c=d", {"COMMENT": "a=b", "USER": "c=d"}),
        ("COMMENT=|USER=a", {"COMMENT": "", "USER": "a"}),
        ("COMMENT=R22_S11|r=3", {"COMMENT": "R22_S11|r=3"}),
        ("SENSORS=R22_S11+", {"SENSORS": "R22_S11+"}),
        ("PIPELINE_WHATEVER=x", {"PIPELINE_WHATEVER": "x"}),
    ],
)
def test_pairs(text: str, pairs: dict[str, str]) -> None:
    assert parse_parameters(text) == pairs


KEYS = st.sampled_from(["USER", "NAME", "SENSORS", "COMMENT", "CATALOG_URL", "DP_USER", "PIPELINE_TASK", "JOB_SPEC"])
TEXTS = st.text(st.characters(codec="utf-8"))


@given(st.dictionaries(KEYS, TEXTS, min_size=1), st.sampled_from(["|", " ", "\n", " | ", "||"]))
def test_any_pairs_round_trip(pairs: dict[str, str], separator: str) -> None:
    text = separator.join(f"{key}={quote(value, safe='')}" for key, value in pairs.items())
    assert parse_parameters(text) == pairs


@given(TEXTS)
def test_any_text_is_read_or_refused(text: str) -> None:
    failure = None
    try:
        pairs = parse_parameters(text)
    except JobError as error:
        failure, pairs = error.failed.failure, {}
    assert pairs or failure is Failure.USAGE


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "'' is not of the form KEY=VALUE"),
        ("tonyj", "'tonyj' is not of the form KEY=VALUE"),
        ("user=tonyj", "'user=tonyj' is not of the form KEY=VALUE"),
        ("SENSOR=R22_S11", "unknown key 'SENSOR'; did you mean 'SENSORS'?"),
        ("DPUSER=tonyj", "unknown key 'DPUSER'; did you mean 'DP_USER'?"),
        ("PIPELINETASK=x", "unknown key 'PIPELINETASK'; did you mean 'PIPELINE_TASK'?"),
        ("XYZ=1", "unknown key 'XYZ'"),
        ("USER=\udc80", "'USER=\udc80' is not UTF-8"),
    ],
)
def test_bad_pairs(text: str, sentence: str) -> None:
    assert refused(params=text) == (Failure.USAGE, f"--lsstJobParams: {sentence}")


@pytest.mark.parametrize(
    ("more", "user", "name"),
    [
        ("|PIPELINE_USER=glast", "tonyj", "ImsimOnDemand-00019"),
        ("|USER=fred", "fred", "ImsimOnDemand-00019"),
        ("|NAME=mine", "tonyj", "mine"),
        ("|TASK=other", "tonyj", "ImsimOnDemand-00019"),
    ],
)
def test_who_and_what(more: str, user: str, name: str) -> None:
    spec = from_form(FORM + more).spec
    assert (spec.user, spec.name) == (user, name)


def test_pipeline_user_stands_in() -> None:
    assert from_form(FORM.replace("DP_USER", "PIPELINE_USER")).spec.user == "tonyj"
    assert from_form(FORM.replace("DP_USER=tonyj", "DP_USER=|PIPELINE_USER=glast")).spec.user == "glast"


@pytest.mark.parametrize(
    ("pair", "key", "value"),
    [
        ("SENSORS=R22_S11|R22_S12", "sensors", "R22_S11|R22_S12"),
        ("CATALOGS=a.txt,b.txt c.txt", "catalogs", ["a.txt", "b.txt", "c.txt"]),
        ("COMMANDS=$(PHOSIMDIR)/examples/quickbackground", "commands", ["$(PHOSIMDIR)/examples/quickbackground"]),
        ("EXPOSURES=all", "exposures", "all"),
        ("EXPOSURES=0,1", "exposures", [0, 1]),
        ("AMPLIFIERS=0", "amplifiers", False),
        ("AMPLIFIERS=Yes", "amplifiers", True),
        ("DEBUG=true", "debug", True),
        ("ATTEMPTS=2", "attempts", 2),
        ("RELEASE=phosim-3.4.2", "release", "phosim-3.4.2"),
        ("COMMENT=two words", "comment", "two words"),
    ],
)
def test_values_of_the_spec(pair: str, key: str, value: object) -> None:
    assert getattr(from_form(f"{FORM}|{pair}").spec, key) == value


@pytest.mark.parametrize("key", ["OUTPUT", "OUTPUT_BASE"])
def test_the_base_of_the_output(key: str) -> None:
    assert from_form(f"{FORM}|{key}=/store").spec.output.base == "/store"


@pytest.mark.parametrize(
    ("pair", "key"),
    [
        ("AMPLIFIERS=perhaps", "'amplifiers'"),
        ("ATTEMPTS=many", "'attempts'"),
        ("ATTEMPTS=" + "9" * 5000, "'attempts'"),
        ("EXPOSURES=first", "'exposures[0]'"),
        ("EXPOSURES=" + "9" * 30, "'exposures[0]'"),
        ("NAME=%25u-%25n", "'name'"),
        ("CATALOG_URL=", "'catalogs[0]'"),
        ("USER=../x", "'user'"),
    ],
)
def test_bad_values_of_the_spec(pair: str, key: str) -> None:
    failure, detail = refused(params=f"{FORM}|{pair}")
    assert failure is Failure.SPEC_INVALID
    assert detail.startswith(f"--lsstJobParams: {key}: ")


@pytest.mark.parametrize(
    ("text", "number"), [("3", 3), ("", None), ("x", None), ("-1", None), ("9" * 5000, None), ("007", 7)]
)
def test_the_execution_number(text: str, number: int | None) -> None:
    assert from_form(f"{FORM}|PIPELINE_EXECUTIONNUMBER={text}").execution_number == number


def test_a_spec_by_location(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_bytes(TEXT)
    request = from_form(f"DP_USER=fred|JOB_SPEC={tmp_path}/job.json|PIPELINE_EXECUTIONNUMBER=2")
    assert (request.spec.user, request.folder, request.execution_number) == ("tonyj", tmp_path, 2)
    assert refused(params="JOB_SPEC=nowhere.json")[0] is Failure.SPEC_MISSING


# -- a spec that is elsewhere


def remote(location: str, source: MemorySource) -> Request:
    return load_request(location, None, lambda: source)


@pytest.mark.parametrize(
    ("location", "base"),
    [
        ("https://host/run/job.json?authz=x", "https://host/run/?authz=x"),
        ("root://host//store/job.toml", "root://host//store/"),
        ("rucio:user.tonyj:run/job.json", "rucio:user.tonyj:run"),
    ],
)
def test_a_spec_from_elsewhere(location: str, base: str) -> None:
    source = MemorySource({location: TEXT})
    request = remote(location, source)
    assert (request.spec.name, request.base, request.folder) == ("run-00019", base, Path.cwd())
    assert source.closed == 1
    again = load_request(None, f"JOB_SPEC={location}|PIPELINE_EXECUTIONNUMBER=2", lambda: source)
    assert (again.spec.name, again.base, again.execution_number) == ("run-00019", base, 2)


def test_the_base_of_a_local_spec_is_its_folder(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_bytes(TEXT)
    assert load_request(str(tmp_path / "job.json"), None).base == str(tmp_path)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Failure.CATALOG_MISSING, Failure.SPEC_MISSING),
        (Failure.CATALOG_UNREACHABLE, Failure.SPEC_UNREACHABLE),
        (Failure.CATALOG_TOO_LARGE, Failure.SPEC_INVALID),
        (Failure.CATALOG_INVALID, Failure.SPEC_INVALID),
        (Failure.STORAGE_UNKNOWN, Failure.STORAGE_UNKNOWN),
    ],
)
def test_a_spec_that_cannot_be_fetched(failure: Failure, expected: Failure) -> None:
    source = MemorySource()
    source.failures["https://host/job.json"] = [SourceError(failure, "https://host/job.json: no")]
    with pytest.raises(JobError) as caught:
        remote("https://host/job.json", source)
    assert failure_of(caught.value) == (expected, "--job: https://host/job.json: no")
    assert source.closed == 1


def test_a_spec_may_have_ten_million_bytes(tmp_path: Path) -> None:
    content = TEXT + b" " * (LARGEST_SPEC_BYTES - len(TEXT))
    path, location = tmp_path / "job.json", "https://host/job.json"
    for number in (0, 1):
        path.write_bytes(content + b" " * number)
        source = MemorySource({location: path.read_bytes()})
        for load in (lambda: load_request(str(path), None), lambda: remote(location, source)):  # noqa: B023
            if number == 0:
                assert load().spec.name == "run-00019"
                continue
            with pytest.raises(JobError) as caught:
                load()
            failure, detail = failure_of(caught.value)
            assert failure is Failure.SPEC_INVALID
            assert "10,000,000" in detail


def test_a_bad_spec_from_elsewhere_is_named_without_secrets() -> None:
    location = "https://tonyj:hush@host/job.json?authz=psst"
    with pytest.raises(JobError) as caught:
        remote(location, MemorySource({location: b"{}"}))
    _, detail = failure_of(caught.value)
    assert detail.startswith("https://***@host/job.json?***: the key 'schema_version'")
