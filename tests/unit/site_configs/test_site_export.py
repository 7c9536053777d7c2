"""Sites in the forms of other systems: valid by schema, and complete for who reads them."""

from __future__ import annotations

import configparser
import json
import string
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from site_configs import cli
from site_configs.check import check_file
from site_configs.cli import KINDS
from site_configs.export.wanted import door_of
from site_configs.load import SITES as FOLDER
from tests.unit.site_configs.site_files import SITES, write_site

SCHEMAS = FOLDER.parent / "schemas"
FILLED_BY_HARVESTER = {
    *("accessPoint", "computingSite", "gtag", "harvesterID", "jobType", "logDir", "logSubdir", "nCoreTotal"),
    *("pandaQueueName", "pilotResourceTypeOption", "pilotType", "pilotUrlOption", "prodSourceLabel", "requestDisk"),
    *("requestRam", "requestWalltimeMinute", "sdfPath", "workerID", "x509UserProxy"),
}
"""Placeholders of harvester's `htcondor_submitter.py`."""


def exported(capsys: pytest.CaptureFixture[str], site: str | Path, kind: str, *options: str) -> str:
    assert cli.main(["export", str(site), "--to", kind, *options]) == 0
    return capsys.readouterr().out


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(found)
    return found


@pytest.mark.parametrize("site", SITES)
def test_every_kind_of_every_site_is_valid(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    queues = json.loads(exported(capsys, site, "cric"))
    jsonschema.validate(queues, schema("cric_pandaqueues"))
    storages = json.loads(exported(capsys, site, "rse"))
    jsonschema.validate(storages, schema("cric_ddmendpoints"))
    jsonschema.validate(json.loads(exported(capsys, site, "harvester")), schema("panda_queueconfig"))
    named = {name for queue in queues.values() for names in queue["astorages"].values() for name in names}
    assert named <= set(storages)
    assert set(queues) == set(json.loads(exported(capsys, site, "harvester")))

    files = json.loads(exported(capsys, site, "pilot"))
    assert set(files) == {"queuedata.json", "cric_pandaqueues.json", "cric_ddmendpoints.json", "pilot.cfg"}
    assert json.loads(files["cric_pandaqueues.json"]) == queues
    assert json.loads(files["queuedata.json"]) == next(iter(queues.values()))
    assert json.loads(files["cric_ddmendpoints.json"]) == storages
    assert "@" not in files["pilot.cfg"]
    configparser.ConfigParser().read_string(files["pilot.cfg"])


@pytest.mark.parametrize("site", SITES)
def test_harvester_can_fill_in_the_submit_template(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    template = exported(capsys, site, "sdf")
    fields = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    assert {"pandaQueueName", "harvesterID", "workerID", "gtag", "logDir", "accessPoint"} <= fields
    assert fields <= FILLED_BY_HARVESTER
    filled = template.format(**dict.fromkeys(fields, "x"))
    assert filled.count("HARVESTER_WORKER_ID=x") == 1
    assert "$(Cluster)" in filled
    assert filled.endswith("queue 1\n")


def test_what_a_site_says_reaches_panda(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_site(
        tmp_path,
        '[cvmfs]\nrepositories = ["sw.example.org"]\nruntimes = ["/cvmfs/sw.example.org/a", "/b"]\n'
        '[[storage.endpoints]]\nurl = "root://door:1094//store/x/"\nrse = "DISK"\n'
        '[[storage.endpoints]]\nurl = "https://door:8443/store/x"\nuse = ["read"]\nrse = "DISK"\n'
        '[[storage.endpoints]]\nurl = "/lustre/x"\nuse = ["read"]\nrse = "LUSTRE"\n'
        '[panda]\nserver = "https://panda.example.org:25443"\ncloud = "EU"\n'
        '[panda.harvester]\nce = "ce.example.org:9619"\nce_queue = "grid"\n'
        '[[panda.queues]]\nname = "BIG"\nmode = "push"\ncores = 8\nmin_memory_mb = 4001\nmemory_mb = 16000\n'
        'max_wall_hours = 1.5\nmax_workdir_mb = 20000\nstatus = "test"\n',
    )
    queue = json.loads(exported(capsys, path, "cric"))["BIG"]
    assert (queue["corecount"], queue["minrss"], queue["maxrss"], queue["capability"]) == (8, 4001, 16000, "mcore")
    assert (queue["maxtime"], queue["maxwdir"], queue["status"], queue["cloud"]) == (5400, 20000, "test", "EU")
    assert queue["environ"] == f"IOD_SITE={path} IOD_RUNTIMES=/cvmfs/sw.example.org/a:/b"
    assert queue["acopytools"]["pl"] == ["xrdcp"]
    assert queue["acopytools_schemas"] == {"default": ["root"]}
    assert queue["astorages"]["pr"] == ["DISK", "LUSTRE", "example_LOGS"]
    assert queue["is_cvmfs"]

    storages = json.loads(exported(capsys, path, "rse"))
    (protocol,) = storages["example_LOGS"]["arprotocols"]["pl"]
    assert protocol["endpoint"] + protocol["path"] == "root://door:1094//store/x/"
    assert set(storages["LUSTRE"]["arprotocols"]) == {"pr", "read_lan", "read_wan"}
    assert "pw" in storages["DISK"]["arprotocols"]

    config = json.loads(exported(capsys, path, "harvester"))["BIG"]
    assert (config["mapType"], config["walltimeLimit"]) == ("OneToOne", 5400)
    template = exported(capsys, path, "sdf")
    assert "grid_resource = condor ce.example.org ce.example.org:9619\n" in template
    assert '+remote_queue = "grid"\n' in template
    assert "--url https://panda.example.org -p 25443 " in template
    assert "--harvester-submit-mode PUSH" in template
    assert "transfer_input_files = {accessPoint}/pandaJobData.out\n" in template


def test_files_in_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new/cache"
    text = exported(capsys, "local", "pilot", "--out", str(out), "--server", "http://127.0.0.1:9", "--base", "/logs")
    assert text.split() == [str(out / name) for name in json.loads(exported(capsys, "local", "pilot"))]
    settings = configparser.ConfigParser()
    settings.read(out / "pilot.cfg")
    assert settings["Information"]["cache_dir"] == str(out)
    assert settings["Pilot"]["pandaserver"] == "http://127.0.0.1:9"
    storage = json.loads((out / "cric_ddmendpoints.json").read_text())["local_LOGS"]
    assert storage["arprotocols"]["pl"][0]["path"] == "/logs/"


def test_one_queue_of_several(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(json.loads(exported(capsys, "SLAC", "cric", "--queue", "SLAC_Rubin_8G"))) == {"SLAC_Rubin_8G"}
    files = json.loads(exported(capsys, "SLAC", "pilot", "--queue", "SLAC_Rubin_16G"))
    assert json.loads(files["queuedata.json"])["maxrss"] == 16000


def test_gaps_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", "SLAC", "--to", "cric"]) == 0
    assert "warning: " in capsys.readouterr().err


def test_a_template_for_both_modes_there_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = 'log_base = "/x"\n[[panda.queues]]\nname = "A"\n[[panda.queues]]\nname = "B"\nmode = "push"\n'
    path = write_site(tmp_path, f"[panda]\n{text}")
    assert cli.main(["export", str(path), "--to", "sdf"]) == 30
    assert "--queue" in capsys.readouterr().err
    assert "PUSH" in exported(capsys, path, "sdf", "--queue", "B")


@pytest.mark.parametrize("kind", KINDS)
def test_a_site_without_queues(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_site(tmp_path, "")
    assert cli.main(["export", str(path), "--to", kind]) == 30
    assert capsys.readouterr().err.startswith("ERROR: site example has no ")


@pytest.mark.parametrize(
    ("location", "endpoint", "path"),
    [
        ("/a/b", "file://localhost", "/a/b/"),
        ("file:///a/b", "file://localhost", "/a/b/"),
        ("file://localhost/a", "file://localhost", "/a/"),
        ("root://h:1094//a/b", "root://h:1094/", "/a/b/"),
        ("roots://h//a", "roots://h/", "/a/"),
        ("davs://h:2880/pnfs/a/", "davs://h:2880", "/pnfs/a/"),
    ],
)
def test_locations_as_the_pilot_cuts_them(location: str, endpoint: str, path: str) -> None:
    door = door_of(location)
    assert (door.endpoint, door.path) == (endpoint, path)


@pytest.mark.parametrize(
    "line", ['wrapper = "a b"', 'ce = "x\';reboot"', 'log_dir = "/a{b}"', 'ce_queue = "a\\"b"'], ids=str
)
def test_nothing_slips_into_a_submit_file(line: str, tmp_path: Path) -> None:
    path = write_site(tmp_path, f"[panda.harvester]\n{line}\n")
    assert cli.main(["check", str(path)]) == 30


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--server", "https://panda.example.org"], "expected https://HOST:PORT"),
        (["--server", "https://panda.example.org:1 -x"], "expected https://HOST:PORT"),
        (["--base", "logs"], "expected folder or URL"),
        (["--update-sleep", "0"], "is no number of seconds"),
    ],
    ids=lambda value: value[1] if isinstance(value, list) else None,
)
def test_options_that_no_site_file_could_say(options: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", "local", "--to", "pilot", *options]) == 10
    assert says in capsys.readouterr().err


def test_what_would_fail_only_later(tmp_path: Path) -> None:
    text = '[storage]\nbases = ["/a", "b"]\n[panda]\nserver = "https://panda.example.org"\n'
    text += '[[panda.queues]]\nname = "Q"\nmax_wall_hours = inf\n[worker]\nscratch = "work"\ncache_mb = inf\n'
    found = [(one.line, one.key) for one in check_file(write_site(tmp_path, text))]
    assert found == [
        (3, "storage.bases[1]"),
        (5, "panda.server"),
        (8, "panda.queues[0].max_wall_hours"),
        (10, "worker.scratch"),
        (11, "worker.cache_mb"),
    ]


def test_a_place_that_only_workers_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_site(tmp_path, '[panda]\nlog_base = "$IOD_NOT_SET/x"\n[[panda.queues]]\nname = "Q"\n')
    assert cli.main(["export", str(path), "--to", "rse"]) == 30
    assert "$IOD_NOT_SET/x: a variable in it is not set here" in capsys.readouterr().err


def test_a_file_whose_name_a_shell_would_read_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_site(tmp_path, '[panda]\nlog_base = "/x"\n[[panda.queues]]\nname = "Q"\n').rename(
        tmp_path / "a;b.toml"
    )
    assert cli.main(["export", str(path), "--to", "cric"]) == 30
    assert "call the file" in capsys.readouterr().err
