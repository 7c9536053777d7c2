"""The looping rule: which files prove that a job goes on."""

from __future__ import annotations

import pytest

from pilot_hooks.core.liveness import signs_of_life

WORKDIR = "/pilot/PanDA_Pilot-1"


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("progress.json", True),
        ("journal.jsonl", True),
        ("scratch/visit-0/units/v1-R22_S11-E000/attempt-1/work/raytrace.log", True),
        ("scratch/inputs/catalog.txt", True),
        ("logs/v1-R22_S11-E000/attempt-1/raytrace.out", True),
        ("", False),
        ("payload.stdout", False),
        ("memory_monitor_summary.json", False),
        ("pilotlog.txt", False),
        ("preprocess_stdout.txt", False),
        (".lock", False),
        ("tonyj/journal.jsonl", False),
    ],
)
def test_which_files_count(name: str, counts: bool) -> None:
    path = f"{WORKDIR}/{name}".rstrip("/")
    assert signs_of_life(WORKDIR, [path]) == ([path] if counts else [])


def test_other_folders_and_empty_lines_do_not(  # `find` of the pilot leaves an empty last line
) -> None:
    assert signs_of_life(WORKDIR, ["", "/pilot/other/progress.json", "progress.json"]) == []
