"""The answer of a check. Values only."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from submitter.credentials import Credential
from submitter.jobs import Plan
from submitter.prepare import Question
from submitter.troubles import Row
from submitter.visit_look import VisitLook
from submitter.work import Cut, selects
from transformation.model.failures import Failed
from transformation.predict import NOTHING, Range

LEVELS = ("error", "warning", "note")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person should know before submitting."""

    level: str
    """`error`: it would not be submitted; `warning`; `note`."""
    name: str
    """Of the row of the exit-code table, or a kind of its own for warnings and notes."""
    message: str
    row: Row | None = None


class CheckReport(msgspec.Struct, kw_only=True):
    """The answer. What is kept of a visit is small, since a campaign has thousands."""

    question: Question
    looks: list[VisitLook] = msgspec.field(default_factory=list)
    """Without predictions."""
    plan: Plan = msgspec.field(default_factory=Plan)
    cuts: list[Cut] = msgspec.field(default_factory=list)
    """Of each visit of the plan; empty where the request goes in one piece."""
    n_files: int = 0
    output_bytes: int = 0
    cpu_s: Range = NOTHING
    wall_s: Range = NOTHING
    memory_bytes: int = 0
    scratch_bytes: int = 0
    basis: str = ""
    """What the prediction rests on, for people."""
    credential: Credential | None = None
    problems: list[Problem] = msgspec.field(default_factory=list)

    @property
    def sensors(self) -> list[str]:
        """Of all visits together, in the focal plane's order."""
        wanted = {name for shape in self.plan.shapes for name in shape.sensors}
        return [sensor.name for sensor in self.question.camera.sensors if sensor.name in wanted]

    @property
    def refused(self) -> Problem | None:
        """The first reason why it would not be submitted."""
        return next((problem for problem in self.problems if problem.level == "error"), None)

    @property
    def n_pieces(self) -> int:
        """PanDA jobs, or starts of `lsst-trf`."""
        return sum(len(cut.sizes) for cut in self.cuts) or 1

    def piece_wall_s(self) -> Range:
        """The shortest and the longest of them, with the middle of the longest."""
        walls = [wall for cut in self.cuts for wall in cut.walls_s] or [self.wall_s]
        longest = max(walls, key=lambda wall: wall[1])
        return min(wall[1] for wall in walls), longest[1], max(wall[2] for wall in walls)

    def selects(self) -> Iterator[str]:
        """The `--select` of each piece."""
        for (visit, shape), cut in zip(self.plan.visits, self.cuts, strict=True):
            yield from selects(visit, self.plan.shapes[shape].sensors, cut.sizes)


def error(row: Row, message: str) -> Problem:
    """Something that keeps the request from being submitted."""
    return Problem(level="error", name=row.name, message=message, row=row)


def warning(failed: Failed) -> Problem:
    """A failure that keeps nobody from submitting."""
    return Problem(level="warning", name=failed.failure.name, message=failed.detail, row=failed.failure)
