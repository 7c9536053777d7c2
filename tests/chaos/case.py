"""One case: draw faults, try as PanDA would, and look from outside at what came of it."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field

from tests.chaos.checks import Findings, check_attempt, check_end
from tests.chaos.faults import FAULTS, Fault, Steps
from tests.chaos.services import Services
from tests.chaos.world import World

_TRIES = 3
"""PanDA's."""
_CALM_TRIES = 4
"""With all faults off, one is enough; more only to see how far from it we are."""
_BOUND_S = 150.0
"""For one attempt of a few seconds, in which a silent server is waited for, on a busy machine."""
_TERM_BOUND_S = 15.0
"""From a signal to the end on a busy machine; how long it takes on a quiet one is measured elsewhere."""
_TYPICAL_S = 4.0
"""Faults strike within this time."""


@dataclass(slots=True, kw_only=True)
class Result:
    """What became of a case."""

    seed: int
    faults: tuple[str, ...]
    kinds: tuple[str, ...]
    struck: bool = False
    """Whether a fault met a running attempt."""
    findings: Findings = field(default_factory=Findings)
    wall_s: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether anything at all is wrong."""
        return bool(self.findings.lost or self.findings.wrong or self.findings.unbounded)


def run_case(seed: int, services: Services) -> Result:
    """Run the case of that seed."""
    began_s = time.monotonic()
    draw = random.Random(seed)
    faults = _draw_faults(seed, draw, services)
    needs = frozenset().union(*(fault.needs for fault in faults))
    world = World(
        services,
        draw,
        root="root" in needs or (draw.random() < 0.4 and "root" not in services.lacking),
        rucio="rucio" in needs or ("sqlite" not in needs and draw.random() < 0.1 and "rucio" not in services.lacking),
        remote_catalog="remote catalog" in needs or draw.random() < 0.1,
    )
    result = Result(
        seed=seed, faults=tuple(fault.name for fault in faults), kinds=tuple(fault.kind for fault in faults)
    )
    with closing(_Ending(world)):
        n_bad = draw.choice([1, 1, 1, 2, 3])
        for number in range(_TRIES + _CALM_TRIES):
            active = faults if number < n_bad else ()
            if _attempt(world, active, result) and not active:
                break
        check_end(world, result.findings)
    result.wall_s = time.monotonic() - began_s
    return result


@dataclass(slots=True)
class _Ending:
    world: World

    def close(self) -> None:
        self.world.end()


def _draw_faults(seed: int, draw: random.Random, services: Services) -> tuple[Fault, ...]:
    """One or two; the first goes through all that can be had here with the seed."""
    possible = tuple(fault for fault in FAULTS if not fault.needs & services.lacking)
    first = possible[seed % len(possible)]
    if draw.random() < 0.5:
        return (first,)
    fitting = [one for one in possible if one is not first and not _exclude(one, first)]
    second = draw.choice(fitting)
    # A stage has one switch.
    return (first,) if first.stage and first.stage == second.stage else (first, second)


def _exclude(one: Fault, other: Fault) -> bool:
    """Two that would stand in each other's way, or need a job of another kind."""
    pair = one.needs | other.needs
    same_place = one.kind.split()[0] == other.kind.split()[0] and one.kind.split()[0] in {"storage", "catalog", "CVMFS"}
    same_switch = "simulator" in one.kind + " " + other.kind or "image" in one.kind or "exit-0" in one.kind
    both_simulator = same_switch and not (one.needs | other.needs) and one.codes & other.codes
    return {"rucio", "sqlite"} <= pair or same_place or bool(both_simulator) or one.kind == other.kind


def _attempt(world: World, faults: Sequence[Fault], result: Result) -> bool:
    """One attempt with these faults; True if the job is done."""
    committed = set(world.manifests())
    n_starts = len(world.starts())
    world.attempts = []
    steps = [fault.run(world) for fault in faults]
    for step in steps:
        next(step)
    world.start()
    bound_s = _BOUND_S
    struck = set()
    moments = sorted((world.draw.uniform(0.0, _TYPICAL_S), number) for number in range(len(steps)))
    for moment_s, number in moments:
        first = world.attempts[0]
        if first.wait(first.began_s + moment_s):
            continue
        struck.add(number)
        next(steps[number])
        if faults[number].kind.startswith("wrapper"):
            bound_s = time.monotonic() - first.began_s + _TERM_BOUND_S
    for attempt in world.attempts:
        if not attempt.wait(attempt.began_s + bound_s):
            result.findings.unbounded.append(f"an attempt goes on after {bound_s:.0f} s")
            attempt.process.kill()
            attempt.process.wait()
    result.struck |= bool(struck)
    _mend(steps, struck)
    killed = any(fault.ends_wrapper for fault in faults)
    for attempt in world.attempts:
        check_attempt(world, attempt, faults, result.findings, killed=killed, n_starts=n_starts, committed=committed)
    return world.attempts[0].exit_code == 0


def _mend(steps: Sequence[Steps], struck: set[int]) -> None:
    """Take the faults away."""
    for number, step in enumerate(steps):
        if number in struck:
            next(step, None)
        else:
            step.close()
