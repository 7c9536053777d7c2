"""Modules in child processes that answer a line with a line."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.process_world import alive
from transformation.helper import Helper, HelperFailed

pytestmark = pytest.mark.allow_processes


HELPER = """\
import os, sys, time
print("started", os.getpid(), file=sys.stderr, flush=True)
for line in sys.stdin:
    match line.split():
        case ["crash"]: os._exit(3)
        case ["sleep", seconds]: time.sleep(float(seconds))
        case ["half"]: print("half", end="", flush=True); os._exit(0)
    print("you said " + line.strip(), flush=True)
"""


class Bench:
    """A helper made of the module above."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "helper.log"
        self.helper = Helper("echo_helper", self.log)

    def pids(self) -> list[int]:
        return [int(line.split()[1]) for line in self.log.read_text().splitlines() if line.startswith("started")]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    (tmp_path / "echo_helper.py").write_text(HELPER)
    monkeypatch.setattr("transformation.helper._PACKAGE_PARENT", str(tmp_path))
    one = Bench(tmp_path)
    yield one
    one.helper.close()


def test_a_helper_answers_from_one_process(bench: Bench) -> None:
    bench.helper.warm_up()
    for word in (b"one", b"two"):
        assert bench.helper.ask(word, timeout_s=10.0) == b"you said " + word + b"\n"
    assert len(bench.pids()) == 1


@pytest.mark.parametrize("question", [b"crash", b"half"])
def test_a_helper_that_dies_is_started_again(bench: Bench, question: bytes) -> None:
    with pytest.raises(HelperFailed, match=r"echo_helper ended with .*helper\.log"):
        bench.helper.ask(question, timeout_s=10.0)
    assert bench.helper.ask(b"hello", timeout_s=10.0) == b"you said hello\n"
    assert len(bench.pids()) == 2


def test_a_silent_helper_is_ended(bench: Bench) -> None:
    bench.helper.ask(b"hello", timeout_s=10.0)
    began = time.monotonic()
    with pytest.raises(HelperFailed, match="gave no answer in 0 s"):
        bench.helper.ask(b"sleep 30", timeout_s=0.2)
    assert time.monotonic() - began < 2.0
    assert not alive(bench.pids()[0])
    assert bench.helper.ask(b"hello", timeout_s=10.0) == b"you said hello\n"


def test_closing_interrupts_a_question(bench: Bench) -> None:
    bench.helper.warm_up()
    bench.helper.ask(b"hello", timeout_s=10.0)
    timer = threading.Timer(0.2, bench.helper.close)
    timer.start()
    with pytest.raises(HelperFailed):
        bench.helper.ask(b"sleep 30", timeout_s=20.0)
    timer.join()
    assert not alive(bench.pids()[0])


def test_closing_twice_is_harmless(bench: Bench) -> None:
    bench.helper.close()
    bench.helper.ask(b"hello", timeout_s=10.0)
    bench.helper.close()
    bench.helper.close()
    assert not alive(bench.pids()[0])


def test_the_real_helper_answers(tmp_path: Path) -> None:
    helper = Helper("transformation.fits_facts", tmp_path / "log")
    try:
        answer = helper.ask(b'{"path":"/nowhere","is_image":true}', timeout_s=30.0)
    finally:
        helper.close()
    assert b"cannot be read: No such file" in answer
