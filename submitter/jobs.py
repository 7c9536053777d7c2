"""What `iod` remembers: jobs, and the parts in which they were handed to whoever runs them. Values only."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from submitter.settings import BackendName

KEPT_ENVIRONMENT = ("IOD_RELEASES",)
"""Variables that decide what a job is, remembered with it."""


class State(StrEnum):
    """Of a job or of a part."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    PARTIAL = "partial"
    """Some units are done, and nobody works on the others."""
    FAILED = "failed"
    KILLED = "killed"

    @property
    def over(self) -> bool:
        """Whether nobody works on it any more."""
        return self not in {State.WAITING, State.RUNNING}

    @property
    def unfinished(self) -> bool:
        """Whether it is over with something missing."""
        return self.over and self is not State.DONE


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Sensors and exposures that visits of a job have in common."""

    sensors: tuple[str, ...]
    exposures: tuple[tuple[int, ...], ...]
    """Of each sensor."""

    @property
    def n_units(self) -> int:
        """Of one visit."""
        return sum(len(numbers) for numbers in self.exposures)

    def units(self, visit: str) -> list[str]:
        """Ids of a visit's units."""
        return [
            f"v{visit}-{sensor}-E{number:03d}"
            for sensor, numbers in zip(self.sensors, self.exposures, strict=True)
            for number in numbers
        ]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All units of a job, kept small: a campaign has hundreds of thousands."""

    shapes: tuple[Shape, ...] = ()
    visits: tuple[tuple[str, int], ...] = ()
    """Each visit and the place of its shape."""

    @property
    def n_units(self) -> int:
        """Of all visits."""
        return sum(self.shapes[shape].n_units for _, shape in self.visits)

    def units(self) -> list[str]:
        """Ids of all units."""
        return [unit for visit, shape in self.visits for unit in self.shapes[shape].units(visit)]


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one start of `lsst-trf` may use; None = it finds out by itself."""

    cores: int | None = None
    memory_mb: int | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One request that was submitted."""

    id: int = 0
    """In this file alone."""
    name: str
    user: str
    task: str
    comment: str = ""
    release: str = ""
    backend: BackendName
    site: str
    """Name or file."""
    queue: str = ""
    """Of PanDA; empty = the site's first."""
    base: str
    """Output base; the images are below `base/user/name`."""
    spec: bytes
    """The job spec as it travels: JSON, every location absolute."""
    digest: str
    """Of what was asked for, without name, comment and place: equal digests, equal requests."""
    key: str | None = None
    """The user's idempotency key."""
    state: State = State.WAITING
    message: str = ""
    """Why, in one sentence."""
    submitted_s: float = 0.0
    """Seconds since 1970, as the next."""
    changed_s: float = 0.0
    plan: Plan = msgspec.field(default_factory=Plan)
    share: Share = msgspec.field(default_factory=Share)
    n_units: int = 0
    n_files: int = 0
    cpu_s: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """As predicted: low, mid, high."""
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    """What `lsst-trf` has to know of the environment in which the job was submitted."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What was handed over in one piece: a start of `lsst-trf` here, a PanDA task, or a classic PanDA job."""

    id: int = 0
    job_id: int
    number: int
    """Within the job, from 1; a rerun adds parts."""
    selects: tuple[str, ...] = ()
    """The values of `--select`, one for each PanDA job of a task; empty = the whole request."""
    state: State = State.WAITING
    attempt: int = 0
    """How often it was started."""
    remote_id: int | None = None
    """jediTaskID, or PandaID of a classic job."""
    pid: int | None = None
    """Of `lsst-trf`, while it runs here."""
    pid_born_s: float | None = None
    """When that process began: another with its number is a stranger."""
    begun_s: float | None = None
    ended_s: float | None = None
    not_before_s: float = 0.0
    """A part that has to be tried again waits until then."""
    exit_code: int | None = None
    message: str = ""
    where: str = ""
    """Host or site."""
    kill_asked: bool = False
    n_done: int = 0
    """Units committed or empty, when last seen."""
    n_failed: int = 0
    replaced: bool = False
    """A rerun has taken over; it no longer counts."""


class Standing(NamedTuple):
    """Of a part, what decides about its job."""

    state: State
    message: str = ""
    n_done: int = 0


def state_of(parts: Sequence[Standing]) -> tuple[State, str]:
    """A job's state from its parts, and the sentence that goes with it."""
    states = {part.state for part in parts}
    message = next((part.message for part in parts if part.message and part.state is not State.DONE), "")
    if not states or states == {State.WAITING}:
        return State.WAITING, message
    if not all(state.over for state in states):
        return State.RUNNING, message if State.FAILED in states else ""
    if states == {State.DONE}:
        return State.DONE, ""
    if State.KILLED in states:
        return State.KILLED, message
    some_done = State.DONE in states or State.PARTIAL in states or any(part.n_done for part in parts)
    return (State.PARTIAL if some_done else State.FAILED), message
