"""What a person reads."""

from __future__ import annotations

import pytest

from transformation.model.report import AttemptReport, FileReport, JobReport, UnitReport, VisitReport
from transformation.narrator import PlainNarrator, final_lines, open_narrator

ID = "v87393588-R22_S11-E000"
FILE = FileReport(name="a", role="electron_image", size=2_500_000, adler32="00000001", url="/store/a")


def report_of(state: str = "planned", unit: str = ID, **changes: object) -> UnitReport:
    return UnitReport(id=unit, visit="87393588", sensor="R22_S11", exposure=0, state=state, **changes)  # type: ignore[arg-type]


def attempt(number: int, outcome: str) -> AttemptReport:
    return AttemptReport(number=number, outcome=outcome, detail="exit status 3")


@pytest.mark.parametrize(
    ("event", "unit", "line"),
    [
        ("started", report_of(), "[3/9] {}: simulating"),
        ("started", report_of(attempts=[attempt(1, "X")]), "[3/9] {}: simulating, attempt 2"),
        ("attempted", report_of(attempts=[attempt(1, "good")]), None),
        (
            "attempted",
            report_of(attempts=[attempt(1, "good"), attempt(2, "SIMULATOR_CRASHED")]),
            "[3/9] {}: attempt 2: SIMULATOR_CRASHED: exit status 3",
        ),
        (
            "committed",
            report_of("committed", made_in_this_run=True, files=[FILE, FILE], wall_s=12.34),
            "[4/9] {}: committed, 2 files, 5.0 MB, 12.3 s",
        ),
        ("committed", report_of("committed", files=[FILE]), None),
        ("empty", report_of("empty", made_in_this_run=True), "[4/9] {}: empty: no source near this sensor"),
        ("empty", report_of("empty"), None),
        (
            "failed",
            report_of("failed", failure="DISK_FULL", detail="full (go)"),
            "[3/9] {}: FAILED DISK_FULL: full (go)",
        ),
        ("registered", report_of("committed"), None),
    ],
)
def test_one_line_an_event(event: str, unit: UnitReport, line: str | None) -> None:
    lines: list[str] = []
    narrator = PlainNarrator(lines.append)
    narrator.expect(9, 3)
    narrator.unit_event(event, unit)
    assert lines == ([] if line is None else [line.format(ID)])


def test_lines_are_plain_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    narrator = open_narrator()
    assert isinstance(narrator, PlainNarrator)
    narrator.say("job [bold]x[/bold]")
    narrator.close()
    assert capsys.readouterr().out == "job [bold]x[/bold]\n"


def job_report(units: list[UnitReport], **changes: object) -> JobReport:
    visit = VisitReport(visit="87393588", dataset="run/v87393588", place="/store/tonyj/run/v87393588", digest="d")
    facts: dict[str, object] = {"visits": [visit], "catalog": "/store/catalog.sqlite", **changes}
    return JobReport(exit_code=0, exit_acronym="OK", exit_msg="OK", units=units, **facts)  # type: ignore[arg-type]


def test_the_summary_is_a_table_and_the_places() -> None:
    made = report_of(
        "committed", made_in_this_run=True, files=[FILE] * 17, wall_s=59.96, cpu_s=3.0, max_rss_bytes=2_170_000_000,
        attempts=[attempt(1, "X"), attempt(2, "good")],
    )  # fmt: skip
    before = report_of("committed", unit="v1-R22_S12-E000", files=[FILE])
    head, *rows = final_lines(job_report([made, before, report_of("failed", unit="v1-R22_S13-E000")]))
    assert head.split() == ["unit", "state", "tries", "wall", "s", "CPU", "s", "peak", "MB", "files", "MB"]
    assert rows[0].split() == [ID, "committed", "2", "60.0", "3.0", "2170", "17", "42.5"]
    assert rows[1].split() == ["v1-R22_S12-E000", "committed", "before", "0", "0.0", "0.0", "0", "1", "2.5"]
    assert rows[2].split()[1] == "failed"
    assert rows[3:] == [
        "images   /store/tonyj/run/v87393588",
        "dataset  run/v87393588  in /store/catalog.sqlite",
    ]


def test_the_summary_fits_a_screen() -> None:
    long = report_of(
        "committed", unit="v2147483647999999999-R00_S22_C1-E329", wall_s=432_000.0, cpu_s=432_000.0, files=[FILE] * 17,
        max_rss_bytes=15_000_000_000,
    )  # fmt: skip
    lines = final_lines(job_report([long]))
    assert all(len(line) <= 110 for line in lines)
    assert long.id in lines[1]
    assert "432000.0" in lines[1]
    assert not any(line.endswith(" ") for line in lines)


def test_a_long_summary_is_cut_and_says_so() -> None:
    lines = final_lines(job_report([report_of(unit=f"v1-R22_S11-E{at:03d}") for at in range(100)], visits=[]))
    assert len(lines) == 1 + 40 + 1
    assert lines[-1] == "... and 60 more units, all in jobReport.json"


def test_nothing_is_registered_without_a_catalog() -> None:
    assert not any(line.startswith("dataset") for line in final_lines(job_report([report_of()], catalog="")))
