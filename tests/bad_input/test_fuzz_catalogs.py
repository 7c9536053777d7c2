"""Instance catalogs, what they include, and physics command files."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress

from hypothesis import example, given
from hypothesis import strategies as st

from tests.bad_input.mutations import damaged, examples, odd_texts, spoilt_lines
from tests.bad_input.sandbox import SECRET, Sandbox
from tests.unit.instance_catalog.conftest import HEADER, STAR
from transformation.instance_catalog import CommandsInvalid, read_physics_commands

CATALOG = (HEADER + STAR + b"includeobj more.txt\n" + STAR.replace(b"object 1", b"object 2")).decode()
WORDS = [
    "object",
    "includeobj",
    "../outside/secret.txt",
    "point",
    "sersic2d",
    "none",
    "CCM",
    "nsnap",
    "camconfig",
    "-1",
]
COMMANDS = """\
zenith_v 22.0
extraid 007
centroidfile 1
cloudmean 0 0
# a comment
body 10 0 1.0e-3
surfacemap 0 x.fits 1
"""
catalogs = st.one_of(
    spoilt_lines(CATALOG, words=WORDS),
    damaged(CATALOG.encode()),
    damaged(gzip.compress(CATALOG.encode())),
    st.binary(max_size=300),
    st.binary(max_size=300).map(gzip.compress),
)
commands = st.one_of(spoilt_lines(COMMANDS), damaged(COMMANDS.encode()), st.binary(max_size=200))


def write_job(sandbox: Sandbox, **changes: object) -> None:
    spec = {"schema_version": 1, "name": "n", "user": "u", "sensors": "R22_S11", "release": "quicksim-tiny-1.0"}
    sandbox.put("job.json", json.dumps({**spec, "catalogs": ["sky.txt"], **changes}))
    sandbox.put("more.txt", STAR.replace(b"object 1", b"object 3"))


@examples(15)
@given(catalogs)
@example(HEADER + b"includeobj ../outside/secret.txt\n")
@example(HEADER.replace(b"4242", b"9" * 5000))
@example(HEADER.replace(b"nsnap 1", b"nsnap 1e9"))
@example(HEADER.replace(b"nsnap 1", b"nsnap 2147483647") + STAR)
@example(HEADER.replace(b"vistime 15.0", b"vistime 1e300") + STAR)
@example(HEADER.replace(b"camconfig 1", b"camconfig " + b"7" * 5000) + STAR)
@example(HEADER.replace(b"telconfig 0", b"telconfig " + b"7" * 5000) + STAR)
def test_a_plan_of_any_catalog(sandbox: Sandbox, content: bytes) -> None:
    sandbox.clear()
    write_job(sandbox)
    sandbox.put("sky.txt", content)
    answer = sandbox.check("lsst-trf", "plan", "--job", "job.json")
    assert SECRET not in answer.out + answer.err


@examples(10)
@given(commands, catalogs)
def test_a_plan_of_any_commands(sandbox: Sandbox, content: bytes, included: bytes) -> None:
    sandbox.clear()
    write_job(sandbox, commands=["commands.txt", "$(PHOSIMDIR)/examples/nobackground"])
    sandbox.put("sky.txt", CATALOG)
    sandbox.put("more.txt", included)
    sandbox.put("commands.txt", content)
    sandbox.check("lsst-trf", "plan", "--job", "job.json")


@examples(5)
@given(catalogs)
def test_iod_check_of_any_catalog(sandbox: Sandbox, content: bytes) -> None:
    sandbox.clear()
    write_job(sandbox)
    sandbox.put("sky.txt", content)
    answer = sandbox.check("iod", "check", "--deep", "job.json")
    assert SECRET not in answer.out + answer.err


@examples(100)
@given(st.one_of(commands.map(lambda content: content.decode("utf-8", "replace")), odd_texts))
@example("extraid " + "7" * 5000)
@example("centroidfile " + "7" * 5000)
def test_commands_are_read_or_refused(text: str) -> None:
    with suppress(CommandsInvalid):
        found = read_physics_commands([("inline", text)])
        assert len(str(found.observation_id("161899"))) < 100
