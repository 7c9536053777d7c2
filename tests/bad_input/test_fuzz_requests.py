"""Job specs and the words of a command line, spoilt in every way: one clear line and a code, nothing else happens."""

from __future__ import annotations

import base64
from contextlib import suppress
from urllib.parse import quote

from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.bad_input.mutations import as_toml, damaged, examples, json_texts, odd_texts, spoilt
from tests.bad_input.sandbox import Sandbox
from tests.unit.instance_catalog.conftest import HEADER, STAR
from transformation.model.failures import JobError
from transformation.model.spec import JobSpec, parse_spec
from transformation.model.strict import DocumentInvalid
from transformation.planning import parse_select
from transformation.request import parse_parameters

SPEC = {
    "schema_version": 1,
    "name": "tonyj-ImsimOnDemand-00019",
    "user": "tonyj",
    "task": "ImsimOnDemand",
    "comment": "a note",
    "sensors": "R22_S1[12]",
    "catalogs": ["sky.txt", {"url": "sky.txt", "adler32": "01234567", "size": 10}],
    "exposures": [0],
    "commands": ["$(PHOSIMDIR)/examples/nobackground", {"inline": "zenith_v 22\n"}, "commands.txt"],
    "release": "quicksim-tiny-1.0",
    "amplifiers": True,
    "attempts": 3,
    "debug": False,
    "output": {"base": ["out", "out2"], "dataset": "mine"},
    "limits": {"max_unit_hours": 1.5, "max_unit_scratch_mb": 100, "max_catalog_mb": 5.0},
    "options": {"checkpoints": 0, "seds": "seds"},
}
SHORT = {key: SPEC[key] for key in ("schema_version", "name", "user", "release", "sensors")} | {"catalogs": ["sky.txt"]}
VISITS = {**SHORT, "visits": [{"catalogs": ["sky.txt"], "commands": [{"inline": "zenith_v 1"}]}]}
del VISITS["catalogs"]
specs = st.one_of(spoilt(SPEC), spoilt(SHORT), spoilt(VISITS))
spec_bytes = st.one_of(
    json_texts(specs),
    specs.filter(lambda spec: isinstance(spec, dict)).map(lambda spec: as_toml(spec).encode("utf-8", "surrogatepass")),
    damaged(as_toml(SHORT).encode()),
    st.binary(max_size=200),
)
PARAMETERS = (
    "DP_USER=tonyj|PIPELINE_TASK=ImsimOnDemand|PIPELINE_PROCESSINSTANCE=00019|PIPELINE_EXECUTIONNUMBER=2"
    "|PIPELINE_STREAM=7|CATALOG_URL=sky.txt|SENSORS=R22_S11|R22_S12|RELEASE=quicksim-tiny-1.0|EXPOSURES=0"
    "|COMMANDS=$(PHOSIMDIR)/examples/nobackground|ATTEMPTS=2|DEBUG=no|AMPLIFIERS=yes|OUTPUT_BASE=out"
)


def _no_network(text: str) -> None:
    """Hosts that do not answer are asked for long, which is another test's business."""
    assume("://" not in text or not any(f"{scheme}://" in text for scheme in ("http", "root", "dav")))


def furnish(sandbox: Sandbox) -> None:
    sandbox.clear()
    sandbox.put("sky.txt", HEADER + STAR)
    sandbox.put("commands.txt", "zenith_v 22\n")


@examples(100)
@given(spec_bytes)
@example(b'{"schema_version": 1, "name": "\\ud800"}')
@example(b"\xef\xbb\xbf{}")
@example(b"{" * 100_000)
@example(b"x = " + b"[" * 100_000)
@example(b"x = 1" + b"0" * 5000)
@example(b'{"attempts": 1' + b"0" * 5000 + b"}")
def test_specs_are_read_or_refused(text: bytes) -> None:
    with suppress(DocumentInvalid):
        assert isinstance(parse_spec(text), JobSpec)


@examples(100)
@given(st.one_of(damaged(PARAMETERS.encode()).map(lambda text: text.decode("utf-8", "surrogateescape")), odd_texts))
def test_parameters_are_read_or_refused(text: str) -> None:
    with suppress(JobError):
        assert all(isinstance(value, str) for value in parse_parameters(text).values())


@examples(33)
@given(st.one_of(damaged(b"v161899:R22_S11,v161900:R22").map(lambda text: text.decode("latin-1")), odd_texts))
def test_selections_are_read_or_refused(text: str) -> None:
    with suppress(JobError):
        assert parse_select(text)


@examples(15)
@given(spec_bytes)
def test_a_plan_of_any_spec(sandbox: Sandbox, text: bytes) -> None:
    furnish(sandbox)
    _no_network(text.decode("utf-8", "replace"))
    sandbox.put("job.json", text)
    sandbox.check("lsst-trf", "plan", "--job", "job.json", reads=True)


@examples(5)
@given(spec_bytes)
def test_a_plan_of_any_inline_spec(sandbox: Sandbox, text: bytes) -> None:
    furnish(sandbox)
    _no_network(text.decode("utf-8", "replace"))
    sandbox.check("lsst-trf", "plan", "--json", "--job", "data:;base64," + base64.b64encode(text).decode(), reads=True)


@examples(5)
@given(spec_bytes)
def test_a_run_of_any_spec(sandbox: Sandbox, text: bytes) -> None:
    """The release is nowhere: no simulator is started, whatever the spec became."""
    furnish(sandbox)
    _no_network(text.decode("utf-8", "replace"))
    sandbox.put("job.json", text)
    empty = sandbox.here / "empty"
    empty.mkdir()
    answer = sandbox.check(
        "lsst-trf", "run", "--job", "job.json", "--workdir", "work", reads=True, env={"IOD_RELEASES": str(empty)}
    )
    assert answer.code
    assert (sandbox.here / "work/jobReport.json").exists()


@examples(7)
@given(
    st.one_of(
        damaged(PARAMETERS.encode()).map(lambda text: text.decode("utf-8", "surrogateescape")),
        st.tuples(st.sampled_from(PARAMETERS.split("|")), odd_texts).map(
            lambda pair: PARAMETERS.replace(pair[0], pair[0].partition("=")[0] + "=" + quote(pair[1], errors="replace"))
        ),
    )
)
def test_a_plan_of_any_parameters(sandbox: Sandbox, text: str) -> None:
    furnish(sandbox)
    _no_network(text)
    assume("\0" not in text)  # no argument can hold one
    sandbox.check("lsst-trf", "plan", f"--lsstJobParams={text}", reads=True)


@examples(6)
@given(
    st.lists(
        st.one_of(
            odd_texts.filter(lambda word: len(word) < 1000),
            st.sampled_from(
                ["run", "plan", "register", "reconcile", "--job", "job.json", "--site", "local", "--select", "--cores",
                 "--memory-mb", "--deadline", "--workdir", "--json", "exit-codes", "reproduce", "--lsstJobParams"]
            ),
        ),
        max_size=6,
    )
)  # fmt: skip
@example(["run", "--job", "job.json", "--deadline", "nan"])
@example(["run", "--job", "job.json", "--deadline", "1e999"])
@example(["run", "--job", "job.json", "--deadline", "0001-01-01T00:00:00+23:59"])
@example(["run", "--job", "job.json", "--cores", "1" * 5000])
@example(["run", "--job", "job.json", "--cores", "²"])
@example(["run", "--job", "job.json", "--workdir", "a\nb"])
@example(["plan", "--job", "job.json", "--site", "../x.toml"])
def test_any_words(sandbox: Sandbox, words: list[str]) -> None:
    furnish(sandbox)
    _no_network(" ".join(words))
    assume("doctor" not in words and not any("\0" in word for word in words))
    sandbox.put("job.json", b'{"schema_version": 2}')
    sandbox.check("lsst-trf", *words, reads=True)


@examples(6)
@given(spec_bytes)
def test_iod_check_of_any_spec(sandbox: Sandbox, text: bytes) -> None:
    furnish(sandbox)
    _no_network(text.decode("utf-8", "replace"))
    sandbox.put("job.json", text)
    sandbox.check("iod", "check", "job.json", reads=True)
