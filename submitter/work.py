"""How a request is cut into PanDA jobs: one visit each, and so many sensors that a job lasts hours, not minutes.

Pure: predictions in, groups of sensors out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from submitter.jobs import Share
from transformation.predict import Range

LONGEST_SELECT = 250
"""Characters. A group is also the name of a pseudo-input in JEDI's tables, which hold 256."""
_WRAPPER_MB = 200


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """What one PanDA job gets, and how long it may last."""

    share: Share
    hands: int
    """Simulator processes at once."""
    least_s: float
    most_s: float


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """Groups of neighbouring sensors of one visit, and how long each will take (seconds: low, mid, high)."""

    sizes: tuple[int, ...]
    walls_s: tuple[Range, ...]


def share_for(*, cores: int, memory_mb: int | None, most_memory_mb: int | None, unit_bytes: int) -> tuple[Share, int]:
    """What a job asks for, and how many units it then makes at once; 0 if its memory is too small for one.

    Asked for are cores and enough memory for a unit on each of them, unless the queue has less.
    """
    unit_mb = math.ceil(unit_bytes / 1e6)
    wanted_mb = memory_mb or cores * unit_mb + _WRAPPER_MB
    given_mb = wanted_mb if most_memory_mb is None else min(wanted_mb, most_memory_mb)
    return Share(cores=cores, memory_mb=given_mb), min(cores, given_mb // max(1, unit_mb))


def cut_visit(visit: str, sensor_cpu_s: Mapping[str, Range], set_up_s: Range, slot: Slot) -> Cut:
    """The groups of a visit's sensors, in the focal plane's order.

    A group lasts at least `least_s` by the middle of the prediction, where the visit has so much; then at most `most_s`
    by its upper end, where sensors are so short. Beyond that a group is cut where its `--select` would be too long.
    """
    sensors, costs = list(sensor_cpu_s), list(sensor_cpu_s.values())
    mid_s, high_s = (sum(cost[at] for cost in costs) / slot.hands for at in (1, 2))
    target_s = math.sqrt(slot.least_s * slot.most_s)
    wanted = max(_pieces(mid_s, target_s - set_up_s[1]), _pieces(high_s, slot.most_s - set_up_s[2]))
    affordable = max(1, int(mid_s / slot.least_s))
    sizes = _balanced([cost[1] for cost in costs], min(wanted, affordable, len(costs)))
    in_raft = Counter(map(raft_of, sensors))
    sizes = [size for run in _with_starts(sizes) for size in _short_enough(visit, sensors, in_raft, *run)]
    walls = [_wall(costs[start : start + size], set_up_s, slot.hands) for start, size in _with_starts(sizes)]
    return Cut(sizes=tuple(sizes), walls_s=tuple(walls))


def selects(visit: str, sensors: Sequence[str], sizes: Sequence[int]) -> Iterator[str]:
    """The `--select` of each group."""
    in_raft = Counter(map(raft_of, sensors))
    return (_select(visit, sensors[start : start + size], in_raft) for start, size in _with_starts(sizes))


def raft_of(sensor: str) -> str:
    """`R22` of `R22_S11`."""
    return sensor.partition("_")[0]


def _select(visit: str, group: Sequence[str], in_raft: Mapping[str, int]) -> str:
    """Rafts of which the group has all that the request wants by their names, other sensors by theirs."""
    rafts: dict[str, list[str]] = {}
    for sensor in group:
        rafts.setdefault(raft_of(sensor), []).append(sensor)
    names = (name for raft, some in rafts.items() for name in ([raft] if len(some) == in_raft[raft] else some))
    return ",".join(f"v{visit}:{name}" for name in names)


def _pieces(length_s: float, most_s: float) -> int:
    return max(1, math.ceil(length_s / most_s)) if most_s > 0 else 1 << 30


def _balanced(costs: Sequence[float], n_groups: int) -> list[int]:
    """Sizes of so many runs of neighbours that cost about the same."""
    whole = sum(costs)
    if n_groups <= 1 or whole <= 0:
        return [len(costs)]
    counts: dict[int, int] = {}
    before = 0.0
    for cost in costs:
        group = min(n_groups - 1, int((before + cost / 2) / whole * n_groups))
        counts[group] = counts.get(group, 0) + 1
        before += cost
    return [counts[group] for group in sorted(counts)]


def _with_starts(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for size in sizes:
        yield start, size
        start += size


def _short_enough(
    visit: str, sensors: Sequence[str], in_raft: Mapping[str, int], start: int, size: int
) -> Iterator[int]:
    """The group, or its halves as often as that is needed, so that names fit."""
    if size == 1 or len(_select(visit, sensors[start : start + size], in_raft)) <= LONGEST_SELECT:
        yield size
        return
    half = size // 2
    yield from _short_enough(visit, sensors, in_raft, start, half)
    yield from _short_enough(visit, sensors, in_raft, start + half, size - half)


def _wall(costs: Sequence[Range], set_up_s: Range, hands: int) -> Range:
    """Seconds from set-up to the last sensor, if they fill all hands evenly; no less than the longest of them."""
    low, mid, high = (
        set_up_s[at] + max(sum(cost[at] for cost in costs) / hands, max((cost[at] for cost in costs), default=0.0))
        for at in range(3)
    )
    return low, mid, high
