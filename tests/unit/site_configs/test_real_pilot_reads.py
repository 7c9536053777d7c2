"""The real pilot's own classes read what `iod-site export` writes. Nothing of the pilot runs but these."""

from __future__ import annotations

import configparser
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from site_configs import cli
from tests.pilot.source import NoPilot, pilot_source
from tests.unit.site_configs.site_files import SITES

pytestmark = pytest.mark.allow_processes

READ = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pilot.info.configinfo import PilotConfigProvider
from pilot.info.extinfo import ExtInfoProvider
from pilot.info.infoservice import InfoService
from pilot.util.config import config
found = {}
for folder, queue in zip(sys.argv[2::2], sys.argv[3::2]):
    config.Information.cache_dir = folder
    service = InfoService()
    service.init(queue, confinfo=PilotConfigProvider(), extinfo=ExtInfoProvider(cache_time=0))
    storages = {name: vars(one) for name, one in service.resolve_storage_data().items()}
    found[queue] = {"queue": vars(service.queuedata), "storages": storages}
json.dump(found, sys.stdout, default=str)
"""


@pytest.fixture(scope="module")
def source() -> Path:
    try:
        return pilot_source()
    except NoPilot as error:
        pytest.skip(str(error))


def read(source: Path, folders: dict[str, Path], user: str) -> dict[str, Any]:
    """What the pilot's information service makes of them, by queue; it may not need the network."""
    words = [word for queue, folder in folders.items() for word in (str(folder), queue)]
    first = next(iter(folders.values()))
    done = subprocess.run(
        [sys.executable, "-c", READ, str(source), *words],
        env={
            **os.environ,
            "PILOT_USER": user,
            "HARVESTER_PILOT_CONFIG": str(first / "pilot.cfg"),
            "https_proxy": "http://127.0.0.1:9",
            "http_proxy": "http://127.0.0.1:9",
        },
        cwd=first,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("user", ["generic", "rubin"])
def test_queues_and_storages_of_every_site(source: Path, tmp_path: Path, user: str) -> None:
    folders: dict[str, Path] = {}
    for site in SITES:
        assert cli.main(["export", site, "--to", "pilot", "--out", str(tmp_path / site)]) == 0
        queue = json.loads((tmp_path / site / "queuedata.json").read_text())["nickname"]
        folders[queue] = tmp_path / site
    found = read(source, folders, user)
    assert len(found) == len(SITES)
    for queue, folder in folders.items():
        wrote = json.loads((folder / "queuedata.json").read_text())
        data, storages = found[queue]["queue"], found[queue]["storages"]
        assert (data["name"], data["resource"], data["site"]) == (queue, queue, wrote["site"])
        for key in ("maxrss", "maxtime", "maxwdir", "corecount", "copytools", "acopytools", "astorages", "catchall"):
            assert data[key] == wrote[key], key
        assert storages.keys() == json.loads((folder / "cric_ddmendpoints.json").read_text()).keys()
        (protocol,) = storages[data["astorages"]["pl"][0]]["arprotocols"]["pl"]
        assert protocol["endpoint"].startswith(tuple(data["acopytools_schemas"]["default"]))
        assert all(one["is_deterministic"] for one in storages.values())


def test_pilot_cfg_has_every_setting_that_the_pilot_knows(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", "local", "--to", "pilot"]) == 0
    ours, theirs = configparser.ConfigParser(), configparser.ConfigParser()
    ours.read_string(json.loads(capsys.readouterr().out)["pilot.cfg"])
    theirs.read(source / "pilot/util/default.cfg")
    assert {name: set(theirs[name]) for name in theirs} == {name: set(ours[name]) for name in ours}
    assert not [value for section in ours.values() for value in section.values() if "cern.ch" in value]
