"""The files that let a PanDA pilot start with nothing fetched: queue, storage, and its own settings."""

from __future__ import annotations

import json
from pathlib import Path

from site_configs.export.cric import queue_data, queues
from site_configs.export.rse import storages
from site_configs.export.wanted import Wanted

_TEMPLATE = Path(__file__).with_name("pilot.cfg.template")


def pilot_files(wanted: Wanted) -> dict[str, str]:
    """By the names that the pilot looks for in its `cache_dir`, and `pilot.cfg`. Raises `SiteInvalid`."""
    return {
        "queuedata.json": as_json(queue_data(wanted, wanted.queues()[0])),
        "cric_pandaqueues.json": as_json(queues(wanted)),
        "cric_ddmendpoints.json": as_json(storages(wanted)),
        "pilot.cfg": _settings(wanted),
    }


def as_json(document: object) -> str:
    """The text of a JSON file."""
    return json.dumps(document, indent=1) + "\n"


def _settings(wanted: Wanted) -> str:
    rucio = wanted.site.catalog.rucio
    text = _TEMPLATE.read_text(encoding="utf-8")
    for name, value in {
        "SITE": wanted.site.name,
        "SERVER": wanted.panda_server,
        "RUCIO": wanted.panda_server if rucio is None else rucio.host.rstrip("/"),
        "CACHE_DIR": wanted.cache_dir,
        "UPDATE_SLEEP": str(wanted.update_sleep_s),
    }.items():
        text = text.replace(f"@{name}@", value)
    return text
