"""What a run is given, and what follows from it for the processes that it starts."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from site_configs.schema import Site
from transformation.limits import Budget, Limits
from transformation.model.spec import JobSpec
from transformation.process import Processes
from transformation.request import Request
from transformation.resources import Share
from transformation.simulator.release import Release
from transformation.slot import Clocks, Slot, find_slot
from transformation.workdir import WorkDir

_MB = 1_000_000
_SCRATCH_FACTOR = 10
"""A unit may have so many times the scratch that its release says a unit needs, ..."""
_LEAST_SCRATCH_BYTES = 2_000 * _MB
"""... and at least this."""
_RESERVE_OF_DISK = 0.02
_MOST_RESERVE_BYTES = 1_200 * _MB
"""The PanDA pilot ends a job when less than 1 GB is free (pilot 3, error 1098): a little earlier is soon enough."""
_QUEUE_VARIABLES = ("PILOT_RESOURCE_NAME", "PILOT_SITENAME")
"""Where pilot 3 tells which queue it serves."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a run is given."""

    request: Request
    site: Site
    share: Share
    workdir: WorkDir
    processes: Processes
    slot: Slot | None = None
    """When it has to be over."""
    only: tuple[tuple[str, str], ...] = ()
    """`--select`."""

    @property
    def spec(self) -> JobSpec:
        """The job spec."""
        return self.request.spec

    @property
    def most_hours(self) -> float:
        """Wall limit of a simulator process; no unit is begun that will surely take longer."""
        return self.spec.limits.max_unit_hours or self.site.worker.max_unit_hours

    def limits(self, release: Release) -> Limits:
        """Of each simulator process."""
        own, worker = self.spec.limits, self.site.worker
        scratch_mb = own.max_unit_scratch_mb or worker.max_unit_scratch_mb
        usual = max(_LEAST_SCRATCH_BYTES, _SCRATCH_FACTOR * release.facts.unit_scratch_bytes)
        return Limits(
            wall_s=3600.0 * self.most_hours,
            idle_s=3600.0 * worker.max_idle_hours,
            cpu_s=3600.0 * (own.max_unit_cpu_hours or worker.max_unit_cpu_hours or self.most_hours),
            scratch_bytes=usual if scratch_mb is None else scratch_mb * _MB,
            log_bytes=worker.max_log_mb * _MB,
        )

    def budget(self, release: Release, hands: int) -> Budget:
        """Of all of them together."""
        folder = self.workdir.scratch
        return Budget(
            memory_bytes=self.share.memory_bytes,
            part_bytes=self.share.memory_bytes // hands,
            scratch=folder,
            scratch_bytes=scratch_share(self.site),
            reserve_bytes=_reserve(self.site, folder),
            unit_scratch_bytes=release.facts.unit_scratch_bytes,
        )


def scratch_share(site: Site) -> int | None:
    """Scratch that the job may use, by the site file: its own limit, or that of the PanDA queue."""
    queue = _queue_hours_and_mb(site)[1]
    known = [mb for mb in (site.worker.scratch_mb, queue) if mb is not None]
    return min(known) * _MB if known else None


def slot_of(site: Site, deadline_s: float | None) -> Slot | None:
    """The slot of a job that starts now; `deadline_s` is in seconds since 1970."""
    return find_slot(
        deadline_s=deadline_s,
        max_job_hours=site.worker.max_job_hours,
        queue_hours=_queue_hours_and_mb(site)[0],
        environment=os.environ,
        now=read_clocks(),
    )


def read_clocks() -> Clocks:
    """Both clocks."""
    return Clocks(epoch_s=time.time(), boot_s=time.clock_gettime(time.CLOCK_BOOTTIME))


def _queue_hours_and_mb(site: Site) -> tuple[float | None, int | None]:
    """Limits of the PanDA queue that this job came through."""
    names = {os.environ.get(variable) for variable in _QUEUE_VARIABLES}
    found = next((queue for queue in site.panda.queues if queue.name in names), None)
    return (found.max_wall_hours, found.max_workdir_mb) if found else (None, None)


def _reserve(site: Site, folder: Path) -> int:
    if site.worker.reserve_mb is not None:
        return site.worker.reserve_mb * _MB
    disk = os.statvfs(folder)
    return min(_MOST_RESERVE_BYTES, int(_RESERVE_OF_DISK * disk.f_blocks * disk.f_frsize))
