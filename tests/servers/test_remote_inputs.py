"""Whole jobs whose catalogs, commands and specs are elsewhere."""

from __future__ import annotations

import json
import resource
import signal
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.catalog_server import CatalogServer, bomb, catalog_server
from tests.servers.rucio_server import ACCOUNT, IDENTITY, PASSWORD, RSE, RucioServer
from tests.servers.xrootd_server import XRootDServer
from tests.whole_job.aftermath import Outcome
from tests.whole_job.bench import Bench, Spec
from tests.whole_job.sky import header, one_star, star
from transformation.same_pixels import first_difference

FILES = {
    "sky.txt": (header() + "includeobj stars/one.txt\n").encode(),
    "stars/one.txt": star("R22_S11").encode(),
    "dim.txt": b"zenith_v 1000.0\n",
}
RUCIO_SITE = f"""
name = "with-rucio"
[catalog]
kind = "sqlite"
[catalog.rucio]
host = "{{host}}"
account = "{ACCOUNT}"
username = "{IDENTITY}"
secret = "env:RUCIO_JOB_PASSWORD"
rse = "{RSE}"
"""


@pytest.fixture
def web() -> Iterator[CatalogServer]:
    with catalog_server() as one:
        yield one


def fetched(outcome: Outcome) -> list[tuple[str, bool]]:
    """What the journal says was fetched, and whether it came from the cache."""
    events = [event for event in outcome.journal if event["event"] == "input_fetched"]
    return [(event["location"], event["cached"]) for event in events]


def check_nothing_was_started(bench: Bench, outcome: Outcome, code: int, *words: str) -> None:
    assert outcome.exit_code == code, outcome.stderr
    (line,) = outcome.stderr.splitlines()
    for one in words:
        assert one in line
    assert outcome.processes_started == 0
    assert not bench.store.exists()
    assert not list(outcome.workdir.rglob("*.out"))


def check_no_secrets(outcome: Outcome, *secrets: str) -> None:
    """Neither on the screen nor in any file that stays."""
    texts = [path.read_text() for path in outcome.workdir.rglob("*") if path.is_file()]
    for text in (outcome.stdout, outcome.stderr, *texts):
        assert not [secret for secret in secrets if secret in text]


class Place:
    """One kind of place that has the files of a request."""

    def __init__(self, base: str, site: str = "local") -> None:
        self.base = base
        self.site = site

    def spec(self, bench: Bench, **changes: object) -> Spec:
        return bench.spec(catalogs=[f"{self.base}sky.txt"], commands=[f"{self.base}dim.txt"], **changes)


@pytest.fixture
def places(
    bench: Bench, web: CatalogServer, plain_xrootd: XRootDServer, rucio_server: RucioServer, rucio_user: str,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Place]:  # fmt: skip
    monkeypatch.setenv("RUCIO_JOB_PASSWORD", PASSWORD)
    store = plain_xrootd.store / rucio_user
    for name, content in FILES.items():
        for folder in (bench.folder / "request", store):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        web.put(f"run/{name}", content)
        checksum = {"bytes": len(content), "adler32": f"{zlib.adler32(content):08x}"}
        file = {"scope": f"user.{rucio_user}", "name": f"run/{name}", "pfn": f"file://localhost{store / name}"}
        rucio_server.admin.add_replicas(RSE, [{**file, **checksum}])
    site = bench.write("site.toml", RUCIO_SITE.format(host=rucio_server.url))
    return {
        "file": Place(f"{bench.folder}/request/"),
        "http": Place(web.url("run/")),
        "root": Place(f"{plain_xrootd.root_url}/{rucio_user}/"),
        "rucio": Place(f"rucio:user.{rucio_user}:run/", str(site)),
    }


def test_the_same_request_from_anywhere_makes_the_same(bench: Bench, places: dict[str, Place]) -> None:
    made = {}
    for kind, place in places.items():
        store = bench.folder / f"store-{kind}"
        spec = place.spec(bench, output={"base": str(store)})
        outcome = bench.run_job(spec, "--site", place.site, workdir=kind, store=store)
        assert outcome.exit_code == 0, outcome.stderr
        assert sorted(location for location, _ in fetched(outcome)) == (
            [] if kind == "file" else sorted(f"{place.base}{name}" for name in FILES)
        )
        (visit,) = outcome.report["visits"]
        (unit,) = outcome.report["units"]
        assert len(unit["files"]) == 1
        made[kind] = visit["digest"], Path(unit["files"][0]["url"])
    digest, image = made["file"]
    assert [(kind, digest) for kind in places] == [(kind, found) for kind, (found, _) in made.items()]
    assert {first_difference(image, other) for _, other in made.values()} == {None}


def test_a_spec_from_the_web_names_what_is_beside_it(bench: Bench, web: CatalogServer) -> None:
    for name, content in FILES.items():
        web.put(f"run/{name}", content)
    spec = bench.spec(catalogs=["sky.txt"], commands=["dim.txt"])
    url = web.put("run/job.json", json.dumps(spec).encode()) + "?authz=psst"
    outcome = bench.run_job(request=["--job", url])
    assert outcome.exit_code == 0, outcome.stderr
    assert all("authz=psst" in one.path for one in web.requests)
    assert outcome.report["spec_folder"] == f"{web.url('run/')}?***"
    check_no_secrets(outcome, "psst")
    planned = bench.command(["plan", "--json", f"--lsstJobParams=JOB_SPEC={url}"])
    assert [unit["id"] for unit in json.loads(planned.stdout)["units"]] == ["v4242-R22_S11-E000"], planned.stderr


def test_a_spec_on_an_xrootd_server(bench: Bench, plain_xrootd: XRootDServer) -> None:
    folder = plain_xrootd.store / "spec-and-sky"
    folder.mkdir()
    (folder / "sky.txt").write_text(one_star())
    (folder / "job.json").write_text(json.dumps(bench.spec()))
    planned = bench.command(["plan", "--json", "--job", f"{plain_xrootd.root_url}/spec-and-sky/job.json"])
    assert [unit["id"] for unit in json.loads(planned.stdout)["units"]] == ["v4242-R22_S11-E000"], planned.stderr


@pytest.mark.parametrize(
    ("manners", "code", "words"),
    [
        ({"status": 403}, 12, "status 403"),
        ({"page": True}, 11, "is an HTML page"),
        ({"location": "job.json"}, 13, "redirected more than"),
    ],
    ids=["403", "page", "loop"],
)
def test_a_spec_that_cannot_be_had(
    bench: Bench, web: CatalogServer, manners: dict[str, object], code: int, words: str
) -> None:
    url = web.put("job.json", b"{}", **manners)
    check_nothing_was_started(bench, bench.run_job(request=["--job", url]), code, url, words)


def test_a_spec_that_is_too_large(bench: Bench, web: CatalogServer) -> None:
    url = web.put("job.json", b" " * 10_000_001)
    outcome = bench.run_job(request=["--job", url])
    check_nothing_was_started(bench, outcome, 11, url, "10,000,000 are allowed")


@pytest.mark.parametrize(
    ("manners", "code", "words"),
    [
        ({"status": 404}, 22, "does not exist; check its location"),
        ({"page": True}, 20, "is an HTML page"),
        ({"location": "file:///etc/passwd"}, 22, "a place that is refused"),
        ({"location": "bad.txt"}, 23, "redirected more than"),
    ],
    ids=["404", "page", "redirect", "loop"],
)
def test_a_catalog_that_cannot_be_had(
    bench: Bench, web: CatalogServer, manners: dict[str, object], code: int, words: str
) -> None:
    good = web.put("good.txt", one_star().encode())
    bad = web.put("bad.txt", one_star().encode(), **manners).replace("//", "//tonyj:hush@") + "?authz=psst"
    outcome = bench.run_job(bench.spec(catalogs=[good, bad]))
    shown = bad.replace("tonyj:hush", "***").replace("authz=psst", "***")
    check_nothing_was_started(bench, outcome, code, f"'catalogs': {shown}", words)
    check_no_secrets(outcome, "hush", "psst")


def test_a_bomb(bench: Bench, web: CatalogServer) -> None:
    url = web.put("sky.txt.gz", bomb(header().encode(), star("R22_S11").encode(), 60_000_000))
    spec = bench.spec(catalogs=[url], limits={"max_unpacked_mb": 20})
    outcome = bench.run_job(spec)
    check_nothing_was_started(bench, outcome, 26, url, "unpacks to more than the 20,000,000 bytes that are allowed")
    # Linux hands the peak of whoever starts a process on to it.
    own_bytes = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert outcome.report["resource"]["wrapper_max_rss_bytes"] < max(own_bytes, 50e6) + 50e6
    spec = bench.spec(catalogs=[url], limits={"max_catalog_mb": 0.1})
    outcome = bench.run_job(spec, workdir="packed")
    check_nothing_was_started(bench, outcome, 26, url, "100,000 are allowed")


def test_a_signal_while_a_server_says_nothing(bench: Bench, web: CatalogServer) -> None:
    job = bench.start_job(bench.spec(catalogs=[web.put("sky.txt", b"", hangs=True)]))
    while not web.requests:
        assert job.process.poll() is None
        time.sleep(0.01)
    job.send(signal.SIGTERM)
    outcome = job.end()  # waiting for the server, again and again, would take longer than it allows
    assert (outcome.exit_code, outcome.report["exitAcronym"]) == (44, "TERMINATED")


def test_a_node_fetches_a_catalog_once(bench: Bench, web: CatalogServer) -> None:
    cache = bench.folder / "cache"
    site = bench.write("site.toml", f'name = "cached"\n[worker]\ncache = "{cache}"\n')
    content = one_star().encode()
    pins = {"size": len(content), "adler32": f"{zlib.adler32(content):08X}"}
    url = web.put("sky.txt", content, status=503, times=1) + "?authz=psst"
    shown = url.replace("authz=psst", "***")

    def run(workdir: str) -> tuple[Outcome, list[str]]:
        outcome = bench.run_job(bench.spec(catalogs=[{"url": url, **pins}]), "--site", str(site), workdir=workdir)
        assert outcome.exit_code == 0, outcome.stderr
        check_no_secrets(outcome, "psst")
        return outcome, [event["event"] for event in outcome.journal]

    first, events = run("one")
    assert (fetched(first), events.count("input_retry")) == ([(shown, False)], 1)
    second, events = run("two")
    assert (fetched(second), "cache_skipped" in events) == ([(shown, True)], False)
    assert len(web.requests) == 2
    (entry,) = cache.iterdir()
    entry.unlink()
    cache.rmdir()
    cache.write_text("a file in the way")
    third, events = run("three")
    assert (fetched(third), "cache_skipped" in events) == ([(shown, False)], True)
