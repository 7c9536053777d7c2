"""The site's storage as the pilot and the PanDA server read it: CRIC's `ddmendpoints`, by name.

The pilot writes to the first entry of `arprotocols[activity]`, at `endpoint + path + scope/xx/yy/name` (pilot 3.7,
`api/data.py`, `resolve_protocols` and `resolve_surl`), and only to an endpoint that is deterministic.
"""

from __future__ import annotations

from collections.abc import Mapping

from site_configs.export.wanted import Door, Wanted, door_of, log_base, log_rse, named_endpoints

_WRITING = ("write_lan", "write_wan", "pw", "pl")
_READING = ("read_lan", "read_wan", "pr")


def storages(wanted: Wanted) -> dict[str, object]:
    """All storages of the site by name, the one of the log tarballs first. Raises `SiteInvalid`."""
    site = wanted.site
    logs = _storage(1, log_rse(site), site.name, door_of(log_base(wanted)), (*_WRITING, *_READING))
    found: dict[str, object] = {log_rse(site): logs}
    for number, (name, endpoint) in enumerate(named_endpoints(site).items(), start=2):
        activities = (*(_WRITING if "write" in endpoint.use else ()), *(_READING if "read" in endpoint.use else ()))
        found[name] = _storage(number, name, site.name, door_of(endpoint.url), activities)
    return found


def _storage(number: int, name: str, site: str, door: Door, activities: tuple[str, ...]) -> Mapping[str, object]:
    protocol = {"id": number, "endpoint": door.endpoint, "path": door.path, "flavour": door.scheme.upper()}
    return {
        "id": number,
        "name": name,
        "type": "DISK",
        "token": "",
        "is_deterministic": True,
        "state": "ACTIVE",
        "site": site,
        "arprotocols": {activity: [protocol] for activity in activities},
        "rprotocols": {str(number): protocol},
    }
