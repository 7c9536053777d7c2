"""Documents are decoded by many threads at once."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from transformation.model import documents

ROOT = Path(__file__).parents[2]

CROWD = """
import sys, threading, types
from transformation.model import documents
sys.setswitchinterval(1e-6)
keys = "".join(f"    a{n}: int | None = None\\n    b{n}: list[str] = []\\n" for n in range(12))
def new_kind():
    module = sys.modules["kinds"] = types.ModuleType("kinds")
    source = "import msgspec\\nclass S0(msgspec.Struct):\\n" + keys
    for depth in range(1, 12):
        source += f"class S{depth}(msgspec.Struct):\\n{keys}    z: list[S{depth - 1}] = []\\n"
    exec(source, module.__dict__)
    return module.S11
def decode(kind, barrier):
    barrier.wait()
    documents.decode(b'{"z":[{"z":[{"a1":1,"b3":["x"]}]}],"a5":3,"b1":["x"]}', kind)
for _ in range(40):
    barrier, kind = threading.Barrier(6), new_kind()
    threads = [threading.Thread(target=decode, args=(kind, barrier)) for _ in range(6)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
print("alive")
"""


class Point(msgspec.Struct):
    """A document."""

    x: int


@pytest.mark.allow_processes
def test_threads_that_meet_a_type_for_the_first_time_together() -> None:
    done = subprocess.run([sys.executable, "-c", CROWD], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "alive\n", "")


def test_what_is_not_of_the_type_is_said_as_msgspec_says_it() -> None:
    assert documents.decode(b'{"x": 1}', Point) == documents.convert({"x": 1}, Point) == Point(1)
    with pytest.raises(msgspec.ValidationError, match=re.escape("$.x")):
        documents.decode(b'{"x": "one"}', Point)
    with pytest.raises(msgspec.ValidationError, match=re.escape("$.x")):
        documents.convert({"x": "one"}, Point)


def test_nobody_decodes_into_a_type_elsewhere() -> None:
    typed = re.compile(r"msgspec\.(json\.decode\(.*type=|convert\(|json\.Decoder\((?!list\[float\]))")
    places = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in ("transformation", "submitter")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line in path.read_text().splitlines()
        if typed.search(line) and path.name != "documents.py"
    ]
    assert places == []
