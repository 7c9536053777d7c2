"""The journal: whole lines, readable after any kill."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.samples import file_size_limit
from transformation.journal import Journal, read_journal, to_json, utc_now

FACTS = st.dictionaries(
    st.sampled_from(["unit", "detail", "wall_s", "n"]),
    st.text(max_size=12) | st.integers(-9, 9) | st.none(),
    max_size=3,
)
EVENTS = st.lists(st.tuples(st.sampled_from(["job_start", "unit_failed", "x"]), FACTS), max_size=5)


def write(path: Path, events: list[tuple[str, dict[str, str | int | None]]], run: str = "r1") -> None:
    journal = Journal(path, run)
    for event, facts in events:
        journal.write(event, **facts)
    journal.close()


def read(path: Path) -> list[tuple[str, dict[str, object]]]:
    """Events without what the journal adds of its own."""
    own = {"t", "run", "event"}
    return [
        (str(event["event"]), {key: value for key, value in event.items() if key not in own})
        for event in read_journal(path)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journals")


def test_each_event_tells_when_and_who(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    before = utc_now()
    write(path, [("job_start", {"name": "run"})], run="abc")
    line = json.loads(path.read_text())
    assert list(line) == ["t", "run", "event", "name"]
    assert (line["run"], line["event"], line["name"]) == ("abc", "job_start", "run")
    assert before <= line["t"] <= utc_now()
    assert len(line["t"]) == len("2026-11-22T13:56:58.469Z")


@given(EVENTS, st.data())
def test_every_prefix_of_the_bytes_is_a_prefix_of_the_events(
    folder: Path, events: list[tuple[str, dict[str, str | int | None]]], data: st.DataObject
) -> None:
    path = folder / "prefix.jsonl"
    path.unlink(missing_ok=True)
    write(path, events)
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    found = read(path)
    assert found == events[: len(found)]
    # Whole lines are never lost; a last line may be whole but for its newline.
    assert len(found) - content[:cut].count(b"\n") in {0, 1}
    # The next run goes on after whatever stands there.
    write(path, [("job_start", {"n": 7})], run="r2")
    assert read(path) == [*found, ("job_start", {"n": 7})]


@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=4))
def test_rubbish_is_passed_over(folder: Path, lines: list[bytes]) -> None:
    path = folder / "rubbish.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    write(path, [("job_end", {})])
    assert read(path)[-1] == ("job_end", {})


@pytest.mark.parametrize(
    "line",
    [b"", b"[]", b"3", b'"event"', b"{}", b'{"t":1}', b'{"event":"\xff"}', b"[" * 100_000, b'{"event":"x"', b"\0"],
)
def test_lines_that_are_no_events(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"event":"a"}\n' + line + b'\n{"event":"b"}\n')
    assert [event["event"] for event in read_journal(path)] == ["a", "b"]


def test_a_half_written_line_is_ended_first(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"event":"a"}\n{"event":"b","uni')
    write(path, [("c", {})])
    assert [event for event, _ in read(path)] == ["a", "c"]
    assert path.read_bytes().startswith(b'{"event":"a"}\n{"event":"b","uni\n{')


def test_opening_adds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    write(path, [("a", {})])
    before = path.read_bytes()
    Journal(path, "r2").close()
    assert path.read_bytes() == before
    write(path, [("b", {})])
    assert b"\n\n" not in path.read_bytes()


def test_a_full_disk_loses_events_but_never_the_job(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, "r1")
    journal.write("before", detail="a")
    with file_size_limit(path.stat().st_size + 20):
        journal.write("cut short", detail="b" * 50)
        journal.write("lost", detail="c")
    journal.write("after", detail="d")
    journal.close()
    assert [event for event, _ in read(path)] == ["before", "after"]


def test_several_threads_write_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, "r1")

    def work(name: str) -> None:
        for n in range(100):
            journal.write("unit_started", unit=name, n=n, detail="x" * 200)

    threads = [threading.Thread(target=work, args=(f"u{at}",)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert path.read_bytes().count(b"\n") == 800
    found = [(event["unit"], event["n"]) for event in read_journal(path)]
    assert len(found) == 800
    for at in range(8):
        assert [n for unit, n in found if unit == f"u{at}"] == list(range(100))


@pytest.mark.parametrize("text", ["caf\xe9", "/x\udcff/y", '"\\\n', "\x00"])
def test_any_text_can_be_written(tmp_path: Path, text: str) -> None:
    """Names that are not UTF-8 reach Python with stand-ins that no encoder takes."""
    path = tmp_path / "journal.jsonl"
    write(path, [("bug", {"detail": text})])
    assert read(path) == [("bug", {"detail": text.replace("\udcff", "?")})]
    assert json.loads(to_json({"a": [text]})) == {"a": [text.replace("\udcff", "?")]}
