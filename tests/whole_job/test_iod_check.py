"""`iod check`: what is said of a request, and what of a wrong one."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from submitter.check_report import CheckReport
from submitter.client import Client
from submitter.commands.check import document
from submitter.drafts import Wishes
from submitter.folders import Folders
from submitter.prepare import Options
from submitter.submission import digest_of
from submitter.troubles import IodError
from tests.servers.catalog_server import CatalogServer
from tests.whole_job.bench import Bench
from tests.whole_job.iod import Iod
from tests.whole_job.sky import RAFT, header, one_star, star


@pytest.fixture
def server() -> Iterator[CatalogServer]:
    with closing(CatalogServer()) as one:
        yield one


@pytest.fixture
def client(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("IOD_RELEASES", str(bench.release.parent))
    monkeypatch.chdir(bench.folder)
    with Client(Folders(bench.folder / "home")) as one:
        yield one


def look(client: Client, *catalogs: str, deep: bool = False, **wishes: Any) -> CheckReport:
    wanted = {"sensors": "R22_S..", "release": "quicksim-tiny-1.0", "output": "store", "catalogs": catalogs, **wishes}
    return client.check(client.draft(wishes=Wishes(**wanted)), Options(deep=deep))


def problems(report: CheckReport, level: str) -> dict[str, str]:
    return {one.name: one.message for one in report.problems if one.level == level}


def test_a_request_for_programs_and_for_people(iod: Iod) -> None:
    iod.bench.write("sky.txt", one_star(["R22_S11", "R22_S12"]))
    words = ["check", "--catalog", "sky.txt", "--sensors", "R22_S1.", "--release", iod.bench.release.name]
    found = iod.json(*words, "--output", "store")
    size = (iod.bench.folder / "sky.txt").stat().st_size
    assert [one["size_bytes"] for one in found["catalogs"]] == [size]
    assert found["sensors"] == ["R22_S10", "R22_S11", "R22_S12"]
    assert (found["units"], found["files"]) == (6, 102)
    assert found["empty_sensors"] == ["R22_S10"]
    low, mid, high = found["predicted"]["cpu_hours"]
    assert 0 < low < mid < high < 1
    assert found["predicted"]["memory_bytes"] > 1e8
    assert [(one["level"], one["name"]) for one in found["problems"]] == [("warning", "EMPTY_SENSOR")]
    assert (found["site"], found["site_open"], found["would_submit"]) == ("local", True, True)
    text = iod.run(*words).stdout
    assert f"sky.txt: {size:,} bytes" in text
    assert "your sensor expression matches 3 sensors:" in text
    assert ". . .  . . .  o # #  . . .  . . ." in text or ". # .  . . ." in text
    assert not (iod.bench.folder / "store").exists()


def test_missing_spectra_are_warned_of(client: Client, bench: Bench) -> None:
    bench.write("sky.txt", one_star() + star("R22_S11", 2).replace("sed_flat", "nowhere"))
    report = look(client, "sky.txt", sensors="R22_S11")
    assert "nowhere.txt (1 object" in problems(report, "warning")["SED_MISSING"]
    assert report.refused is None


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (one_star().replace("object 1", "object one"), 20, "sky.txt:24"),
        ("<html>", 20, "HTML"),
        (header(nsnap=0), 20, "nsnap"),
        (one_star(vistime=1), 20, "leaves"),
        (None, 22, "does not exist"),
    ],
    ids=["object", "page", "header", "no time", "missing"],
)
def test_what_is_wrong_with_a_catalog(client: Client, bench: Bench, content: str | None, code: int, words: str) -> None:
    if content is not None:
        bench.write("sky.txt", content)
    report = look(client, "sky.txt")
    assert report.refused is not None
    assert report.refused.row is not None
    assert report.refused.row.code == code
    assert words in report.refused.message


def test_all_that_is_wrong_is_told_at_once(client: Client, bench: Bench) -> None:
    for name, content in (("a", one_star()), ("b", "x"), ("c", one_star()), ("d", one_star(obshistid=9, nsnap=0))):
        bench.write(f"{name}.txt", content)
    report = look(client, catalogs=(), visits=["a.txt,b.txt,c.txt,d.txt,e.txt"])
    messages = [one.message for one in report.problems if one.level == "error"]
    assert len(messages) == 4
    for words in ("b.txt", "visits 1 and 3 are both obshistid 4242", "nsnap", "e.txt does not exist"):
        assert any(words in message for message in messages), words


def test_a_sensor_expression_that_matches_nothing(client: Client, bench: Bench) -> None:
    bench.write("sky.txt", one_star())
    report = look(client, "sky.txt", sensors="R99_S..")
    assert report.refused is not None
    assert report.refused.name == "NO_SENSOR_MATCHES"


def test_the_site_has_to_be_open(client: Client, bench: Bench) -> None:
    bench.write("sky.txt", one_star())
    site = bench.write("far.toml", 'name = "FAR"\n[[panda.queues]]\nname = "FAR_Q"\nstatus = "offline"\n')
    draft = client.draft(wishes=Wishes(catalogs=["sky.txt"], sensors="R22_S11", release="phosim-3.4.2", output="store"))
    report = client.check(draft, Options(site=str(site)))
    assert report.question.backend == "panda"
    assert {"SITE_CLOSED", "CREDENTIAL_MISSING"} <= problems(report, "error").keys()
    assert "RELEASE_NOT_SEEN" in problems(report, "note")
    assert document(report)["site_open"] is False


def test_an_expression_without_end_is_given_up_in_any_thread(client: Client, bench: Bench) -> None:
    bench.write("sky.txt", one_star())
    endless = r"(?:\w|[A-Z0-9_]|[^#]|[^!]|[^?]|[^$]|[^%]|[^&]){1,12}#"
    refused: list[str] = []

    def check() -> None:
        with Client(client.folders) as mine:
            try:
                report = look(mine, "sky.txt", sensors=endless)
            except IodError as error:
                refused.append(error.row.name)
            else:
                refused.append(report.refused.name if report.refused else "")

    thread = threading.Thread(target=check)
    thread.start()
    thread.join()
    check()
    assert refused == ["SENSOR_PATTERN_INVALID", "SENSOR_PATTERN_INVALID"]


# ---------------------------------------------------------------- catalogs on the web
BIG = header() + "".join(star(RAFT[number % 9], number, 20.0) for number in range(1, 20_001))


def test_of_a_long_catalog_only_the_beginning_is_read(client: Client, server: CatalogServer) -> None:
    url = server.put("big.txt", BIG.encode())
    report = look(client, url)
    (visit,) = report.looks
    assert (report.looks[0].catalogs[0].size_bytes, report.refused) == (len(BIG), None)
    assert 15_000 < (visit.n_objects or 0) < 25_000
    assert "first bytes" in report.basis
    assert all("range" in request.headers for request in server.gets)
    low, mid, high = report.cpu_s
    whole = look(client, url, deep=True)
    assert whole.looks[0].n_objects == 20_000
    assert "whole catalogs" in whole.basis
    assert low < whole.cpu_s[1] < high
    assert mid > 0


@pytest.mark.parametrize(
    "manners",
    [{"ranges": False}, {"length": False}, {"chunked": True, "ranges": False}, {"etag": None, "last_modified": False}],
    ids=["no ranges", "no length", "chunked", "no version"],
)
def test_servers_that_cannot_do_everything_are_good_enough(
    client: Client, server: CatalogServer, manners: dict[str, Any]
) -> None:
    report = look(client, server.put("sky.txt", one_star(RAFT).encode(), **manners))
    assert report.refused is None, report.refused
    assert report.looks[0].visit == "4242"
    assert report.plan.n_units == 18


def test_redirects_and_gzip_are_followed(client: Client, server: CatalogServer) -> None:
    goal = server.put("real.txt.gz", gzip.compress(one_star(RAFT).encode(), mtime=0))
    report = look(client, server.put("alias", b"", location=goal, status=302))
    assert report.refused is None, report.refused
    assert report.looks[0].n_objects == 9


@pytest.mark.parametrize(
    ("manners", "code"),
    [
        ({"page": True}, 20),
        ({"status": 404}, 22),
        ({"status": 403}, 22),
        ({"status": 500}, 23),
        ({"dies_after": 5}, 23),
    ],
    ids=["page", "not found", "forbidden", "broken", "dies"],
)
def test_servers_that_have_no_catalog_say_so(
    client: Client, server: CatalogServer, manners: dict[str, Any], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformation.patience.Repeater._wait", lambda _self, _seconds: None)
    report = look(client, server.put("sky.txt", one_star().encode(), **manners))
    assert report.refused is not None
    assert report.refused.row is not None
    assert report.refused.row.code == code, report.refused


def test_an_address_that_nobody_listens_at(
    client: Client, server: CatalogServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformation.patience.Repeater._wait", lambda _self, _seconds: None)
    url = server.url("sky.txt")
    server.close()
    report = look(client, url)
    assert report.refused is not None
    assert report.refused.name == "CATALOG_UNREACHABLE"


def test_secrets_of_addresses_are_not_shown(client: Client, server: CatalogServer) -> None:
    server.put("sky.txt", one_star().encode())
    url = server.url("sky.txt").replace("http://", "http://me:hunter2@") + "?token=hunter3"
    assert "hunter" not in json.dumps(document(look(client, url)))


def test_a_pinned_catalog_has_to_fit(client: Client, bench: Bench) -> None:
    path = bench.write("sky.txt", one_star())
    spec = bench.spec(catalogs=[{"url": str(path), "size": 3}])
    report = client.check(client.draft(spec))
    assert problems(report, "error").keys() == {"CATALOG_CHANGED"}


def test_included_files_are_looked_for_beside_the_catalog(client: Client, server: CatalogServer) -> None:
    text = header() + "includeobj stars.txt\n"
    url = server.put("night/sky.txt", text.encode())
    assert "INCLUDES_NOT_READ" in problems(look(client, url), "warning")
    report = look(client, url, deep=True)
    assert report.refused is not None
    assert report.refused.name == "CATALOG_MISSING"
    server.put("night/stars.txt", star("R22_S11").encode())
    assert look(client, url, deep=True).looks[0].n_objects == 1


def test_the_same_through_a_job_file_and_through_options(client: Client, bench: Bench) -> None:
    bench.write("sky.txt", one_star())
    job = bench.write_spec(name=None, user=None)
    report = client.check(client.draft(str(job)))
    assert report.plan.n_units == 1
    assert report.question.base == str(bench.store)
    both = [str(bench.folder / "first"), str(bench.folder / "second")]
    several = client.check(client.draft(str(bench.write_spec(output={"base": both}))))
    assert several.question.draft.spec.output.base == both
    assert several.question.base == both[0]
    without = client.check(client.draft(str(bench.write_spec(options={"seds": "none"}))))
    assert without.refused is not None
    assert "none is not a folder" in without.refused.message
    with pytest.raises(IodError, match="did you mean 'sensors'"):
        client.draft({"schema_version": 1, "sensor": "R22_S11", "catalogs": ["sky.txt"]})


def test_an_edited_command_file_is_another_request(client: Client, bench: Bench) -> None:
    bench.write("sky.txt", one_star())
    dim = bench.write("dim.txt", "zenith_v 23\n")
    before = digest_of(look(client, "sky.txt", commands=["dim.txt"]))
    assert digest_of(look(client, "sky.txt", commands=["dim.txt"])) == before
    os.utime(dim, (1e9, 1e9))
    assert digest_of(look(client, "sky.txt", commands=["dim.txt"])) != before


def test_of_many_visits_some_are_looked_at(client: Client, bench: Bench) -> None:
    for number in range(40):
        bench.write(f"v{number:02d}.txt", one_star(RAFT, obshistid=5000 + number))
    report = look(client, catalogs=(), visits=["v*.txt"])
    assert (report.plan.n_units, len(report.plan.shapes)) == (40 * 18, 1)
    assert report.basis.endswith("of 24 of 40 visits")
    assert look(client, catalogs=(), visits=["v*.txt"], deep=True).basis == "the whole catalogs"
    assert Path(report.looks[0].catalogs[0].url).name == "v00.txt"
