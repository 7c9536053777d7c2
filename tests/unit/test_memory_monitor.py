"""The job's memory, as prmon would sum it up."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from transformation.memory_monitor import MemoryMonitor

_EATER = "block = bytearray(60_000_000); block[::4096] = b'x' * len(block[::4096]); print('x', flush=True); input()"


def test_before_any_look_all_is_zero() -> None:
    summary = MemoryMonitor().summary(0)
    assert {key: value for key, value in summary["Max"].items() if key != "wtime"} == dict.fromkeys(
        ("nprocs", "pss", "vmem", "rss", "swap", "rchar", "wchar", "read_bytes", "write_bytes"), 0
    )
    assert set(summary["Avg"].values()) == {0}


def test_this_process_is_seen() -> None:
    monitor = MemoryMonitor()
    monitor.look()
    most = monitor.summary(0)["Max"]
    assert most["nprocs"] >= 1
    assert 10_000 < most["rss"] < most["vmem"]
    assert 0 < most["pss"] <= most["rss"]
    assert most["rchar"] > 0


def test_a_peak_between_two_looks_is_not_lost() -> None:
    monitor = MemoryMonitor()
    monitor.look()
    assert monitor.summary(7 * 2**40)["Max"]["rss"] == 7 * 2**30


@pytest.mark.allow_processes
def test_descendants_count_and_the_average_is_one() -> None:
    monitor = MemoryMonitor()
    monitor.look()
    alone = monitor.summary(0)["Max"]["rss"]
    # A child of a child: `sh` stays because more follows.
    command = ["sh", "-c", '"$0" -c "$1"; true', sys.executable, _EATER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        monitor.look()
        summary = monitor.summary(0)
        child.communicate(b"\n")
    assert summary["Max"]["rss"] - alone > 55_000
    assert summary["Max"]["nprocs"] >= 3
    assert alone < summary["Avg"]["rss"] < summary["Max"]["rss"]


def test_a_tick_looks_only_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monitor = MemoryMonitor()
    looks: list[float] = []
    monkeypatch.setattr(monitor, "look", lambda: looks.append(now))
    for step_s in (0.0, 1.0, 29.0, 31.0, 32.0, 62.0):
        monkeypatch.setattr(time, "monotonic", lambda step_s=step_s: now + 1.0 + step_s)
        monitor.tick()
    assert len(looks) == 3
