"""Many questions to one child process at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from transformation.helper import HelperFailed
from transformation.switchboard import Switchboard

pytestmark = pytest.mark.allow_processes

MODULE = """\
import os, sys, threading, time

def serve(number, words):
    match words:
        case ["crash"]: os._exit(3)
        case ["stop"]: os.kill(os.getpid(), 19); time.sleep(60)
        case ["sleep", seconds]: time.sleep(float(seconds))
        case ["environment", name]: words = [os.environ.get(name, "")]
    with lock:
        print(number, *words, flush=True)

lock = threading.Lock()
for line in sys.stdin:
    number, *words = line.split()
    threading.Thread(target=serve, args=(number, words), daemon=True).start()
os._exit(0)
"""


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Switchboard]:
    (tmp_path / "many_answers.py").write_text(MODULE)
    monkeypatch.setattr("transformation.helper._PACKAGE_PARENT", str(tmp_path))
    one = Switchboard("many_answers", tmp_path / "log", {"GREETING": "hi"})
    yield one
    one.close()


def test_answers_find_their_questions(board: Switchboard) -> None:
    words = [f"sleep 0.{number % 3}{number}".encode() for number in range(10, 40)]
    with ThreadPoolExecutor(len(words)) as pool:
        assert list(pool.map(lambda word: board.ask(word, wall_limit_s=20.0), words)) == words


def test_slow_answers_hold_nobody_up(board: Switchboard) -> None:
    began = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: board.ask(b"sleep 0.3", wall_limit_s=20.0), range(20)))
    assert time.monotonic() - began < 3.0


def test_a_long_answer(board: Switchboard) -> None:
    word = b"x" * 3_000_000
    assert board.ask(word, wall_limit_s=20.0) == word


def test_the_child_has_our_environment_and_more(board: Switchboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X509_USER_PROXY", "/tmp/proxy")
    assert board.ask(b"environment GREETING", wall_limit_s=20.0) == b"hi"
    assert board.ask(b"environment X509_USER_PROXY", wall_limit_s=20.0) == b"/tmp/proxy"


def test_a_crash_fails_all_in_flight_and_the_next_starts_anew(board: Switchboard) -> None:
    board.ask(b"hello", wall_limit_s=20.0)
    first = board.pid
    with ThreadPoolExecutor(1) as pool:
        asleep = pool.submit(board.ask, b"sleep 20", wall_limit_s=30.0)
        with pytest.raises(HelperFailed, match=r"many_answers ended with 3, see .*log"):
            board.ask(b"crash", wall_limit_s=20.0)
        assert isinstance(asleep.exception(5.0), HelperFailed)
    assert board.ask(b"hello", wall_limit_s=20.0) == b"hello"
    assert board.pid != first


@pytest.mark.parametrize("question", [b"sleep 20", b"stop"], ids=["silent", "frozen"])
def test_a_late_answer_ends_the_child(board: Switchboard, question: bytes) -> None:
    board.ask(b"hello", wall_limit_s=20.0)
    first = board.pid
    assert first is not None
    began = time.monotonic()
    with pytest.raises(HelperFailed, match="gave no answer in time"):
        board.ask(question, wall_limit_s=0.2)
    assert time.monotonic() - began < 3.0
    assert not psutil.pid_exists(first)
    assert board.ask(b"hello", wall_limit_s=20.0) == b"hello"


def test_a_child_that_reads_nothing_holds_no_writer(board: Switchboard) -> None:
    board.ask(b"hello", wall_limit_s=20.0)
    assert board.pid is not None
    psutil.Process(board.pid).suspend()
    with pytest.raises(HelperFailed):
        board.ask(b"x" * 1_000_000, wall_limit_s=0.3)


def test_closing_is_for_good(board: Switchboard) -> None:
    board.ask(b"hello", wall_limit_s=20.0)
    pid = board.pid
    assert pid is not None
    timer = threading.Timer(0.2, board.close)
    timer.start()
    with pytest.raises(HelperFailed):
        board.ask(b"sleep 20", wall_limit_s=30.0)
    timer.join()
    assert not psutil.pid_exists(pid)
    assert board.pid is None
    with pytest.raises(HelperFailed, match="closed"):
        board.ask(b"hello", wall_limit_s=20.0)
    board.close()


def test_hanging_up_is_not_for_good(board: Switchboard) -> None:
    board.ask(b"hello", wall_limit_s=20.0)
    first = board.pid
    board.hang_up()
    assert board.pid is None
    assert board.ask(b"hello", wall_limit_s=20.0) == b"hello"
    assert board.pid != first
