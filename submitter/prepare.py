"""Where and how a request would run: site, backend, destination, release and the size of a job. Looks at no catalog."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import msgspec
from msgspec.structs import replace

from site_configs.load import expand
from site_configs.schema import Queue, Site
from submitter.camera import Camera, open_camera
from submitter.drafts import Draft
from submitter.folders import images_at_home
from submitter.jobs import Share
from submitter.settings import BackendName, Settings
from submitter.troubles import IodError, Trouble
from submitter.work import Slot, share_for
from transformation.helper import Helper, HelperFailed
from transformation.locations import Kind, kind_of, local_path
from transformation.model import documents
from transformation.model.failures import Failure, JobError
from transformation.resources import Cgroup, affinity_cores, decide_share, read_cgroup, units_at_once
from transformation.wiring import open_site

_SECONDS_PER_HOUR = 3600.0
_PATTERN_S = 30.0
"""For an expression and the start of the process that tries it."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a request is to run, as far as somebody said so."""

    site: str | None = None
    backend: BackendName | None = None
    queue: str | None = None
    cores: int | None = None
    memory_mb: int | None = None
    deep: bool = False
    """Read all catalogs to their ends."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A request and the place where it would run: what a check is asked about."""

    draft: Draft
    site: Site
    site_name: str
    """As the user wrote it: a name, or the absolute path of a file."""
    backend: BackendName
    queue: Queue | None
    base: str
    """Output base; of several the first, which also keeps what the submitter writes. The spec has all."""
    camera: Camera
    share: Share
    """Of one start of `lsst-trf`."""
    hands: int
    """Units at once in it; 0 if its memory is too small for one."""
    slot: Slot | None
    """How long one may last; None where the request goes in one piece."""
    deep: bool = False


def prepare(draft: Draft, options: Options, settings: Settings) -> Question:
    """Decide all that follows from request, options and configuration. Raises `JobError`, `IodError`."""
    if threading.current_thread() is not threading.main_thread():
        _try_pattern(draft.spec.sensors)
    name = options.site or settings.site
    site_name = str(Path(name).absolute()) if name.endswith(".toml") else name
    site = open_site(site_name)
    backend = _backend(options, settings, site)
    camera = open_camera(draft.spec.release, site, runs_here=backend == "local")
    bases = _bases(draft, settings, site)
    output = msgspec.structs.replace(draft.spec.output, base=bases[0] if len(bases) == 1 else bases)
    spec = msgspec.structs.replace(draft.spec, output=output, release=camera.name)
    here = backend == "local"
    queue = None if here else _queue(options, site)
    share, hands = _local_share(options, settings, site, camera) if here else _panda_share(options, queue, camera)
    return Question(
        draft=replace(draft, spec=spec),
        site=site,
        site_name=site_name,
        backend=backend,
        queue=queue,
        base=bases[0],
        camera=camera,
        share=share,
        hands=hands,
        slot=None if here else _slot(settings, queue, share, hands),
        deep=options.deep,
    )


def _try_pattern(pattern: str) -> None:
    """Raise `JobError` for a sensor expression that does not end; see `pattern_child`."""
    helper = Helper("submitter.pattern_child", Path(os.devnull))
    try:
        trouble = documents.decode(helper.ask(msgspec.json.encode(pattern), timeout_s=_PATTERN_S), str)
    except HelperFailed:
        trouble = f"'sensors': {pattern!r} takes too long to match; simplify it"
    finally:
        helper.close()
    if trouble:
        raise JobError(Failure.SENSOR_PATTERN_INVALID, trouble)


def _backend(options: Options, settings: Settings, site: Site) -> BackendName:
    if options.backend is not None:
        return options.backend
    if site.name == "local" or not site.panda.queues:
        return "local"
    return settings.backend or "panda"


def _bases(draft: Draft, settings: Settings, site: Site) -> list[str]:
    """Output bases: the spec's, the user's, the site's, or a folder at home."""
    wanted = draft.spec.output.base
    if wanted is not None:
        bases = [wanted] if isinstance(wanted, str) else wanted
    elif settings.output is not None:
        bases = [expand(settings.output)]
    else:
        bases = [expand(one) for one in site.storage.bases] or [str(images_at_home())]
    here = Path.cwd()
    return list(
        dict.fromkeys(str(local_path(one, here).resolve()) if kind_of(one) is Kind.FILE else one for one in bases)
    )


def _queue(options: Options, site: Site) -> Queue | None:
    """The queue that is asked for, else the first that takes jobs, else any."""
    queues = site.panda.queues
    if options.queue is None:
        return next((one for one in queues if one.status != "offline"), queues[0] if queues else None)
    for queue in queues:
        if queue.name == options.queue:
            return queue
    known = ", ".join(queue.name for queue in queues) or "none"
    raise IodError(Trouble.SITE_CLOSED, f"site {site.name} has no queue '{options.queue}'; it has {known}")


def _local_share(options: Options, settings: Settings, site: Site, camera: Camera) -> tuple[Share, int]:
    """Jobs that run side by side here share the cores, and each gets its part of the memory."""
    local = settings.local
    machine = decide_share(
        asked_cores=options.cores or local.cores,
        asked_memory_mb=options.memory_mb or local.memory_mb,
        cgroup=Cgroup() if options.memory_mb else read_cgroup(),
        site_cores=site.worker.cores,
        site_memory_mb=site.worker.memory_mb,
        affinity_cores=affinity_cores(),
    )
    share = Share(cores=options.cores or local.cores, memory_mb=options.memory_mb or local.memory_mb)
    return share, units_at_once(machine, unit_memory_bytes=camera.needs.memory_bytes)


def _panda_share(options: Options, queue: Queue | None, camera: Camera) -> tuple[Share, int]:
    return share_for(
        cores=options.cores or (queue.cores if queue else 1),
        memory_mb=options.memory_mb,
        most_memory_mb=queue.memory_mb if queue else None,
        unit_bytes=camera.needs.memory_bytes,
    )


def _slot(settings: Settings, queue: Queue | None, share: Share, hands: int) -> Slot:
    least_h, most_h = settings.panda.least_job_hours, settings.panda.most_job_hours
    if queue is not None and queue.max_wall_hours is not None:
        most_h = min(most_h, queue.max_wall_hours)
    return Slot(
        share=share,
        hands=max(1, hands),
        least_s=min(least_h, most_h) * _SECONDS_PER_HOUR,
        most_s=most_h * _SECONDS_PER_HOUR,
    )
