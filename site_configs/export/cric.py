"""The site's queues as CRIC gives them to PanDA's server, harvester and pilot (`schedconfig`).

Keys and units: pilot 3.7 `info/queuedata.py` (maxtime in seconds, timefloor in minutes, maxwdir and maxrss in MB;
maxtime 0 = the pilot's own default) and the server's `configurator`.
"""

from __future__ import annotations

import re

from site_configs.export.wanted import Wanted, door_of, log_base, log_rse, named_endpoints
from site_configs.load import SiteInvalid, expand
from site_configs.schema import Queue, Site

_COPYTOOLS = {"file": "mv", "root": "xrdcp", "roots": "xrdcp", "xroot": "xrdcp", "xroots": "xrdcp"}
_OTHER_COPYTOOL = "gfal"
_SECONDS_PER_HOUR = 3600
_ANY_WORKDIR_MB = 1_000_000
"""No limit: the pilot takes 0 literally, and ends every job at its first look (pilot 3.7, `util/monitoring.py`)."""


def queues(wanted: Wanted) -> dict[str, dict[str, object]]:
    """The wanted queues by name. Raises `SiteInvalid`."""
    return {queue.name: queue_data(wanted, queue) for queue in wanted.queues()}


def queue_data(wanted: Wanted, queue: Queue) -> dict[str, object]:
    """One queue. Raises `SiteInvalid`."""
    return {
        **_identity(wanted.site, queue),
        "environ": _environment(wanted),
        **_limits(queue),
        **_transfers(wanted),
    }


def _identity(site: Site, queue: Queue) -> dict[str, object]:
    return {
        "name": queue.name,
        "nickname": queue.name,
        "siteid": queue.name,
        "panda_resource": queue.name,
        "panda_site": site.name,
        "site": site.name,
        "atlas_site": site.name,
        "gstat": site.name,
        "cloud": site.panda.cloud,
        "region": site.panda.cloud,
        "vo_name": "lsst",
        "state": "ACTIVE",
        "status": queue.status,
        "type": "unified",
        "resource_type": "GRID",
        "capability": "score" if queue.cores == 1 else "mcore",
        "workflow": queue.mode,
        "jobseed": "all",
        "cmtconfig": "",
        "container_type": "",
        "container_options": "",
        "is_cvmfs": bool(site.cvmfs.repositories),
        "wnconnectivity": "full",
        "fairsharepolicy": "",
        "releases": None,
        "params": {},
        "objectstores": [],
    }


def _limits(queue: Queue) -> dict[str, object]:
    return {
        "corecount": queue.cores,
        "corepower": 10.0,
        "minrss": queue.min_memory_mb,
        "maxrss": queue.memory_mb or 0,
        "maxtime": round((queue.max_wall_hours or 0) * _SECONDS_PER_HOUR),
        "mintime": 0,
        "timefloor": 0,
        "maxwdir": queue.max_workdir_mb or _ANY_WORKDIR_MB,
        "maxinputsize": -1,
        "maxdiskio": None,
        "transferringlimit": None,
        "pledgedcpu": 0,
        "memkillgrace": 100,
    }


def _transfers(wanted: Wanted) -> dict[str, object]:
    """How the pilot moves its log tarball, the only file that it moves for us."""
    scheme = door_of(log_base(wanted)).scheme
    tool = _COPYTOOLS.get(scheme, _OTHER_COPYTOOL)
    log_storage = log_rse(wanted.site)
    readable = [name for name, one in named_endpoints(wanted.site).items() if "read" in one.use]
    return {
        # Without the flag, `mv` leaves files one folder above the job's, for an ARC-CE to fetch.
        "catchall": "mv_final_destination" if tool == "mv" else "",
        "copytools": {tool: {"setup": ""}},
        "acopytools": {activity: [tool] for activity in ("default", "pr", "pw", "pl")},
        "acopytools_schemas": {"default": [scheme]},
        "astorages": {
            **{activity: [log_storage] for activity in ("pl", "pw", "write_lan", "write_wan")},
            **{activity: [*readable, log_storage] for activity in ("pr", "read_lan", "read_wan")},
        },
        "aprotocols": {},
        "ddm": log_storage,
        "allow_lan": True,
        "allow_wan": True,
        "direct_access_lan": False,
        "direct_access_wan": False,
        "use_pcache": False,
    }


def _environment(wanted: Wanted) -> str:
    """What the pilot wrapper exports for the job: which site this is, and where `lsst-trf.sh` looks.

    The wrapper gives it to a shell. Raises `SiteInvalid`.
    """
    if not re.fullmatch(r"[A-Za-z0-9._/+-]+", wanted.reference):
        raise SiteInvalid(f"{wanted.reference}: call the file by letters, digits, '.', '_', '+' and '-' only")
    runtimes = ":".join(expand(path) for path in wanted.site.cvmfs.runtimes)
    values = {"IOD_SITE": wanted.reference, "IOD_RUNTIMES": runtimes}
    return " ".join(f"{name}={value}" for name, value in values.items() if value)
