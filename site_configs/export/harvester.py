"""Harvester's side of a site: its queue configuration, and the HTCondor submit template that it fills in.

Harvester refuses a queue without the seven plug-in blocks (`queue_config_mapper.py`, `mandatory_attrs`). It fills in
`{name}` in the template with Python's `str.format` (`htcondor_submitter.py`).
"""

from __future__ import annotations

from site_configs.export.wanted import Wanted
from site_configs.load import SiteInvalid
from site_configs.schema import Queue, Site

_SECONDS_PER_HOUR = 3600
_LONGEST_WALL_HOURS = 336
"""When PanDA knows no limit of the queue: two weeks, as PanDA's own examples have it."""
_PULL_RATIO_PERCENT, _PULL_AT_LEAST = 50, 1

_ENVIRONMENT = (
    "PANDA_JSID=harvester-{harvesterID}",
    "HARVESTER_ID={harvesterID}",
    "HARVESTER_WORKER_ID={workerID}",
    "GTAG={gtag}",
)
_LOST = (
    "(JobStatus == 2 && (CurrentTime - EnteredCurrentStatus) > 604800)",
    "(JobStatus == 5 && (CurrentTime - EnteredCurrentStatus) > 3600)",
)
"""A pilot that has run for a week, and one that was held for an hour: it will not start any more."""


def queue_configs(wanted: Wanted) -> dict[str, object]:
    """`panda_queueconfig.json`: the wanted queues by name. Raises `SiteInvalid`."""
    return {queue.name: _queue_config(wanted.site, queue) for queue in wanted.queues()}


def submit_template(wanted: Wanted) -> str:
    """The submit description of one pilot. Raises `SiteInvalid` if the site's queues need different ones."""
    modes = {queue.mode for queue in wanted.queues()}
    if len(modes) > 1:
        raise SiteInvalid(f"site {wanted.site.name} has queues of both modes: choose one with --queue NAME")
    site, (mode,) = wanted.site, modes
    return "".join(f"{line}\n" if line else "\n" for line in _template_lines(site, wanted.panda_server, mode))


def _queue_config(site: Site, queue: Queue) -> dict[str, object]:
    pulls = queue.mode == "pull"
    most = site.panda.harvester.max_workers
    return {
        "queueStatus": "offline" if queue.status == "offline" else "online",
        "prodSourceLabel": site.panda.label,
        "mapType": "NoJob" if pulls else "OneToOne",
        "truePilot": True,
        "runMode": "self",
        "prefetchEvents": False,
        "maxSubmissionAttempts": 3,
        "maxWorkers": most,
        "maxNewWorkersPerCycle": max(1, most // 10),
        "nQueueLimitWorkerRatio": _PULL_RATIO_PERCENT,
        "nQueueLimitWorkerMin": _PULL_AT_LEAST,
        "nQueueLimitWorkerMax": max(1, most // 2),
        **({} if pulls else {"nQueueLimitJob": most, "nQueueLimitJobMin": 1, "nQueueLimitJobMax": most}),
        "walltimeLimit": round((queue.max_wall_hours or _LONGEST_WALL_HOURS) * _SECONDS_PER_HOUR),
        **_plug_ins(site, pulls=pulls),
    }


def _plug_ins(site: Site, *, pulls: bool) -> dict[str, object]:
    settings = site.panda.harvester
    return {
        "preparator": _plug_in("DummyPreparator", "harvesterpreparator.dummy_preparator"),
        "submitter": {
            **_plug_in("HTCondorSubmitter", "harvestersubmitter.htcondor_submitter"),
            "useSpool": False,
            "useAtlasGridCE": False,
            "useAtlasAGIS": False,
            "templateFile": settings.template,
            "executableFile": settings.wrapper,
            "logDir": settings.log_dir,
            "logBaseURL": settings.log_url,
            "nProcesses": 4,
        },
        "workerMaker": {
            **_plug_in("SimpleWorkerMaker", "harvesterworkermaker.simple_worker_maker"),
            "jobAttributesToUse": ["nCore"] if pulls else ["nCore", "minRamCount"],
        },
        "messenger": {
            **_plug_in("SharedFileMessenger", "harvestermessenger.shared_file_messenger"),
            "jobSpecFileFormat": "cgi",
            "accessPoint": f"{settings.work_dir}/${{harvesterID}}/${{_workerID_3.2}}/${{_workerID_1.0}}/${{workerID}}",
        },
        "stager": _plug_in("DummyStager", "harvesterstager.dummy_stager"),
        "monitor": {**_plug_in("HTCondorMonitor", "harvestermonitor.htcondor_monitor"), "cancelUnknown": False},
        "sweeper": _plug_in("HTCondorSweeper", "harvestersweeper.htcondor_sweeper"),
    }


def _plug_in(name: str, module: str) -> dict[str, object]:
    return {"name": name, "module": f"pandaharvester.{module}"}


def _template_lines(site: Site, server: str, mode: str) -> list[str]:
    """`{name}` is harvester's, `$(name)` is HTCondor's."""
    address, _, port = server.rpartition(":")
    arguments = (
        "-s {computingSite} -r {computingSite} -q {pandaQueueName} -j {prodSourceLabel} -i {pilotType}"
        f" --pythonversion 3 -w generic --pilot-user {site.panda.pilot_user} --url {address} -p {port} -d -t"
        f" --harvester-submit-mode {mode.upper()} --allow-same-user=False --job-type={{jobType}}"
        " {pilotResourceTypeOption} {pilotUrlOption}"
    )
    return [
        f"# One pilot at {site.name}, for harvester to fill in; written by `iod-site export {site.name} --to sdf`.",
        f"executable = {site.panda.harvester.wrapper}",
        f"arguments = {arguments}",
        "initialdir = {accessPoint}",
        *(["transfer_input_files = {accessPoint}/pandaJobData.out"] if mode == "push" else []),
        "transfer_executable = True",
        "should_transfer_files = YES",
        "when_to_transfer_output = ON_EXIT",
        "",
        "log = {logDir}/{logSubdir}/grid.$(Cluster).$(Process).log",
        "output = {logDir}/{logSubdir}/grid.$(Cluster).$(Process).out",
        "error = {logDir}/{logSubdir}/grid.$(Cluster).$(Process).err",
        f'environment = "{" ".join(_ENVIRONMENT)}"',
        "",
        *_where(site),
        "",
        '+harvesterID = "{harvesterID}"',
        '+harvesterWorkerID = "{workerID}"',
        '+sdfPath = "{sdfPath}"',
        f"periodic_remove = {' || '.join(_LOST)}",
        "",
        "queue 1",
    ]


def _where(site: Site) -> list[str]:
    """Behind a computing element, or in the pool that harvester itself is in."""
    settings = site.panda.harvester
    size = ["{nCoreTotal}", "{requestRam}", "{requestDisk}"]
    if settings.ce is None:
        names = ["request_cpus", "request_memory", "request_disk"]
        return ["universe = vanilla", *(f"{name} = {value}" for name, value in zip(names, size, strict=True))]
    host = settings.ce.partition(":")[0]
    return [
        "universe = grid",
        f"grid_resource = condor {host} {settings.ce}",
        "use_x509userproxy = true",
        "x509userproxy = {x509UserProxy}",
        "+xcount = {nCoreTotal}",
        "+maxMemory = {requestRam}",
        "+maxWallTime = {requestWalltimeMinute}",
        *([f'+remote_queue = "{settings.ce_queue}"'] if settings.ce_queue else []),
    ]
