"""Release trees that were published badly, and what their drivers leave in the work folder."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from tests.bad_input.mutations import damaged, examples, json_texts, spoilt, spoilt_lines
from tests.bad_input.sandbox import Sandbox
from tests.bad_input.test_fuzz_catalogs import CATALOG, write_job
from tests.unit.samples import make_release
from transformation.simulator.grid_mode import SetUpInvalid, read_graph

FACTS = {
    "name": "quicksim-tiny-1.0", "simulator": "quicksim", "version": "1.0", "interpreter": "bin/python",
    "driver": "phosim.py", "grid_mode": True, "instrument": "lsst", "memory_bytes": 10**9, "missing_sed": "flat",
    "max_objects": 100, "cost_model": "quicksim", "options": {"threads": True, "checkpoint": True},
    "files": [{"path": "phosim.py", "sha256": "0" * 64, "size": 3, "mode": "0755"}],
}  # fmt: skip
LAYOUT = "data/lsst/focalplanelayout.txt"
SEGMENTATION = "data/lsst/segmentation.txt"
ODD_PLACES = ["release.json", LAYOUT, SEGMENTATION, "default_instcat", "phosim.py", "bin/raytrace", "condor", "data"]


def make(sandbox: Sandbox) -> Path:
    """A release with nothing to run in it, in the case's folder."""
    sandbox.clear()
    write_job(sandbox)
    sandbox.put("sky.txt", CATALOG)
    return make_release(sandbox.here / "releases" / "quicksim-tiny-1.0", **FACTS)


def plan(sandbox: Sandbox) -> None:
    sandbox.check("lsst-trf", "plan", "--job", "job.json", env={"IOD_RELEASES": str(sandbox.here / "releases")})


@examples(12)
@given(st.one_of(json_texts(spoilt(FACTS)), damaged(json.dumps(FACTS).encode()), st.binary(max_size=50)))
@example(b"{" * 5000)
@example(b'{"name": "\\ud800"}')
@example(json.dumps({**FACTS, "instrument": "../../../outside"}).encode())
@example(json.dumps({**FACTS, "driver": "../../../outside/secret.txt"}).encode())
@example(json.dumps({**FACTS, "driver": "a\0b"}).encode())
@example(json.dumps({**FACTS, "memory_bytes": -1}).encode())
@example(json.dumps({**FACTS, "max_objects": 10**400}).encode())
def test_any_release_json(sandbox: Sandbox, content: bytes) -> None:
    (make(sandbox) / "release.json").write_bytes(content)
    plan(sandbox)


@examples(10)
@given(st.sampled_from([LAYOUT, SEGMENTATION, "default_instcat", "examples/nobackground"]), st.data())
def test_any_tables(sandbox: Sandbox, name: str, data: st.DataObject) -> None:
    release = make(sandbox)
    path = release / name
    path.parent.mkdir(exist_ok=True)
    if name in {LAYOUT, SEGMENTATION}:
        lines = path.read_text().splitlines()
        at = next(number for number, line in enumerate(lines) if line.startswith("R22_S11"))
        text = "\n".join(lines[at : at + 17]) + "\n"
    else:
        text = "seed 1000\nfilter 2\nnsnap 2\nvistime 33\nminsource 1\ncamconfig 1\n"
    content = data.draw(st.one_of(spoilt_lines(text), damaged(text.encode()), st.binary(max_size=100)))
    path.write_bytes(content)
    plan(sandbox)


@examples(7)
@given(st.sampled_from(ODD_PLACES), st.sampled_from(["gone", "folder", "file", "link", "loop", "unreadable", "empty"]))
def test_any_odd_file(sandbox: Sandbox, name: str, kind: str) -> None:
    place = make(sandbox) / name
    if kind == "unreadable":
        place.chmod(0)
    else:
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
        match kind:
            case "folder":
                place.mkdir()
            case "file":
                place.write_bytes(b"\xff\x00\n")
            case "link":
                place.symlink_to("nowhere")
            case "loop":
                place.symlink_to(place)
            case "empty":
                place.write_bytes(b"")
            case _:
                pass
    plan(sandbox)
    if kind == "unreadable":
        place.chmod(0o755)


DAG = """\
JOB trim_1_0 work/trim_1_0.submit
JOB raytrace_1_R22_S11_E000_0 work/raytrace_1_R22_S11_E000_0.submit
JOB e2adc_1_R22_S11_E000 work/e2adc_1_R22_S11_E000.submit
PARENT trim_1_0 CHILD raytrace_1_R22_S11_E000_0
PARENT raytrace_1_R22_S11_E000_0 CHILD e2adc_1_R22_S11_E000
"""
SUBMIT = "executable = /release/bin/raytrace\ninitialdir = .\ninput = raytrace_1_R22_S11_E000_0.pars\nqueue\n"
PARS = "chipid 0 R22_S11\nobshistid 1\n"


@examples(66)
@given(
    spoilt_lines(DAG, words=["JOB", "PARENT", "CHILD", "trim_1_0", ".."]),
    spoilt_lines(SUBMIT, words=["executable", "input", "=", ".."]),
    st.one_of(spoilt_lines(PARS), st.binary(max_size=40)),
)
def test_any_dag(sandbox: Sandbox, dag: bytes, submit: bytes, pars: bytes) -> None:
    """What the driver left is read within the work folder, or the set-up is said to have failed."""
    sandbox.clear()
    work = sandbox.here / "work"
    for name, content in {
        "dag_1.dag": dag, "trim_1_0.submit": submit, "trim_1_0.pars": pars,
        "raytrace_1_R22_S11_E000_0.submit": submit, "raytrace_1_R22_S11_E000_0.pars": pars,
        "e2adc_1_R22_S11_E000.submit": submit,
    }.items():  # fmt: skip
        sandbox.put(f"work/{name}", content)
    with suppress(SetUpInvalid):
        graph = read_graph(work, "1")
        jobs = [job for unit in graph.units.values() for job in (unit.raytrace, unit.e2adc) if job is not None]
        assert all(job.pars.parent in (work, work.parent) for job in jobs)
