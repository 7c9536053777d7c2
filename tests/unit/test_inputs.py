"""The files of a request that are elsewhere: each fetched once, all before any is read, and one failure speaks."""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.memory_source import MemorySource, inputs_of
from tests.unit.samples import failure_of
from tests.unit.test_stage_in import STAR, Desk
from transformation.input_cache import InputCache
from transformation.inputs import Inputs
from transformation.instance_catalog import SizeLimits
from transformation.instance_catalog.problems import LineInvalid
from transformation.model.failures import Failure, JobError
from transformation.model.spec import CatalogItem, parse_spec
from transformation.ports import SourceError

WEB = "https://host/run/sky.txt"
CATALOG = f"obshistid 4242\n{STAR}".encode()


class Bench:
    """Inputs over a source in memory, below `https://host/run/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = MemorySource({WEB: CATALOG})
        self.events: list[dict[str, object]] = []
        self.sizes = SizeLimits()
        self.cache: InputCache | None = None
        self.base = "https://host/run/"

    def note(self, event: str, **facts: object) -> None:
        self.events.append({"event": event, **facts})

    def brought(self, catalogs: Sequence[object] = ("sky.txt",), **changes: object) -> Inputs:
        inputs = inputs_of(
            self.folder / "fetched", base=self.base, source=self.source, sizes=self.sizes, cache=self.cache,
            note=self.note,
        )  # fmt: skip
        import json

        spec = {"schema_version": 1, "name": "n", "user": "u", "sensors": "R22_S11", "catalogs": catalogs, **changes}
        inputs.bring(parse_spec(json.dumps(spec).encode()))
        return inputs

    def refused(self, catalogs: Sequence[object] = ("sky.txt",), **changes: object) -> tuple[Failure, str]:
        with pytest.raises(JobError) as caught:
            self.brought(catalogs, **changes)
        return failure_of(caught.value)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_relative_catalog_is_beside_the_spec_wherever_that_was(bench: Bench) -> None:
    inputs = bench.brought()
    assert inputs.catalog(CatalogItem(url="sky.txt")).read_bytes() == CATALOG
    assert bench.source.fetched == [WEB]
    (event,) = bench.events
    assert (event["event"], event["location"], event["size_bytes"], event["cached"]) == (
        "input_fetched", WEB, len(CATALOG), False,
    )  # fmt: skip


def test_each_file_is_fetched_once_and_the_source_is_closed(bench: Bench) -> None:
    pinned = {"url": WEB, "size": len(CATALOG)}
    visits = [{"catalogs": ["sky.txt", WEB], "commands": [WEB]}, {"catalogs": [WEB, pinned]}]
    bench.brought(catalogs=None, visits=visits)  # type: ignore[arg-type]
    # As a catalog, as a pinned one, and as commands, which may not be as large.
    assert bench.source.fetched == [WEB] * 3
    assert bench.source.closed == 1


def test_nothing_is_opened_where_everything_is_here(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.stage(commands=["$(PHOSIMDIR)/examples/nobackground"])[0].visit == "4242"


def test_copies_are_gone_once_they_are_read(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.source = MemorySource({WEB: CATALOG, "https://host/c": b"zenith_v 1000\n"})
    (remote,) = desk.stage(catalogs=[WEB], commands=["https://host/c"])
    assert list(desk.spool.iterdir()) == []
    (local,) = desk.stage(commands=[{"inline": "zenith_v 1000"}])
    assert remote.digest == local.digest, "the same request from elsewhere"


# -- includes


def test_includes_come_from_the_folder_of_their_catalog(bench: Bench) -> None:
    bench.source.files |= {
        WEB: gzip.compress(b"obshistid 1\nincludeobj stars.txt # near\n  includeobj sub/more.txt.gz\n" + CATALOG),
        "https://host/run/stars.txt": b"stars",
        "https://host/run/sub/more.txt.gz": b"more",
    }
    inputs = bench.brought()
    catalog = inputs.catalog(CatalogItem(url="sky.txt"))
    assert inputs.include(catalog, "stars.txt").read_bytes() == b"stars"
    assert inputs.include(catalog, "sub/more.txt.gz").read_bytes() == b"more"


@pytest.mark.parametrize(
    ("location", "included"),
    [
        ("root://host//store/a/sky.txt?authz=x", "root://host//store/a/stars.txt?authz=x"),
        ("davs://host:2880/a/sky.txt#part", "davs://host:2880/a/stars.txt"),
        ("rucio:user.tonyj:skies/sky.txt", "rucio:user.tonyj:skies/stars.txt"),
        ("rucio:user.tonyj:sky.txt", "rucio:user.tonyj:stars.txt"),
    ],
)
def test_where_an_include_is(bench: Bench, location: str, included: str) -> None:
    bench.source.files = {location: b"includeobj stars.txt\n", included: b"stars"}
    inputs = bench.brought([location])
    assert inputs.include(inputs.catalog(CatalogItem(url=location)), "stars.txt").read_bytes() == b"stars"


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "https://evil/x", "..", "a/../../b", "%2e%2e/secret", "file:/etc/passwd", "-x"]
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    desk = Desk(tmp_path)
    desk.source = MemorySource({WEB: f"obshistid 1\nincludeobj {name}\n{STAR}".encode()})
    assert desk.refused(catalogs=[WEB])[0] is Failure.PATH_REFUSED
    assert desk.source.fetched == [WEB]


def test_a_missing_include_is_named_with_its_line(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.source = MemorySource({WEB: b"obshistid 1\n\nincludeobj gone.txt\n"})
    failure, detail = desk.refused(catalogs=[WEB])
    assert failure is Failure.CATALOG_MISSING
    assert detail.startswith(f"{WEB}:3: includeobj 'gone.txt' does not exist")


def test_an_include_that_cannot_be_had_now_ends_the_job(bench: Bench) -> None:
    bench.source.files[WEB] = b"includeobj stars.txt\n"
    down = SourceError(Failure.CATALOG_UNREACHABLE, "https://host/run/stars.txt: no answer")
    bench.source.failures["https://host/run/stars.txt"] = [down]
    assert bench.refused() == (Failure.CATALOG_UNREACHABLE, "'catalogs': https://host/run/stars.txt: no answer")


def test_a_local_catalog_includes_what_is_here(bench: Bench, tmp_path: Path) -> None:
    bench.base = str(tmp_path)
    (tmp_path / "sky.txt").write_text("includeobj stars.txt\n")
    inputs = bench.brought(["sky.txt", WEB])
    with pytest.raises(LineInvalid, match="does not exist"):
        inputs.include(tmp_path / "sky.txt", "stars.txt")
    (tmp_path / "stars.txt").write_text(STAR)
    assert inputs.include(tmp_path / "sky.txt", "stars.txt") == tmp_path / "stars.txt"


# -- failures


@pytest.mark.parametrize(
    ("key", "failure", "expected"),
    [
        ("catalogs", Failure.CATALOG_MISSING, Failure.CATALOG_MISSING),
        ("catalogs", Failure.CATALOG_INVALID, Failure.CATALOG_INVALID),
        ("catalogs", Failure.DISK_FULL, Failure.DISK_FULL),
        ("commands", Failure.CATALOG_MISSING, Failure.COMMANDS_INVALID),
        ("commands", Failure.CATALOG_TOO_LARGE, Failure.COMMANDS_INVALID),
        ("commands", Failure.CATALOG_UNREACHABLE, Failure.CATALOG_UNREACHABLE),
    ],
)
def test_which_failure_it_is(bench: Bench, key: str, failure: Failure, expected: Failure) -> None:
    bench.source.failures["https://host/bad"] = [SourceError(failure, "https://host/bad: it is bad")]
    request: dict[str, object] = {"catalogs": ["sky.txt"], key: ["https://host/bad"]}
    assert bench.refused(**request) == (expected, f"'{key}': https://host/bad: it is bad")  # type: ignore[arg-type]


def test_the_first_failure_ends_the_others(bench: Bench) -> None:
    locations = [f"https://host/{number}" for number in range(20)]
    bench.source.files = dict.fromkeys(locations, CATALOG)
    bench.source.failures[locations[0]] = [SourceError(Failure.CATALOG_MISSING, "0 is gone")]
    failed = threading.Event()
    bench.source.before = lambda location: None if location == locations[0] else assert_waits(failed)
    assert bench.refused(locations) == (Failure.CATALOG_MISSING, "'catalogs': 0 is gone")
    failed.set()
    assert len(bench.source.fetched) <= 4
    assert bench.source.closed == 1


def assert_waits(event: threading.Event) -> None:
    assert event.wait(60)


def test_a_few_at_a_time(bench: Bench) -> None:
    locations = [f"https://host/{number}" for number in range(9)]
    bench.source.files = dict.fromkeys(locations, CATALOG)
    meeting = threading.Barrier(3)
    bench.source.before = lambda location: (meeting.wait(60), None)[1]
    bench.brought(locations)
    assert sorted(bench.source.fetched) == locations


def test_a_bug_is_no_failure_of_the_request(bench: Bench) -> None:
    def stumble(location: str) -> None:
        raise ZeroDivisionError

    bench.source.before = stumble
    with pytest.raises(ZeroDivisionError):
        bench.brought()


def test_secrets_are_shown_nowhere(bench: Bench) -> None:
    location = "https://tonyj:hush@host/sky.txt?authz=Bearer%20psst"
    bench.source.files = {location: CATALOG}
    bench.brought([location])
    bench.source.files = {}
    said = f"{bench.events} {bench.refused([location])}"
    assert "https://***@host/sky.txt?***" in said
    assert not [secret for secret in ("hush", "psst", "tonyj") if secret in said]


# -- limits and pins


def test_pins_and_limits_go_to_the_source(bench: Bench) -> None:
    adler32 = f"{zlib.adler32(CATALOG):08X}"
    bench.brought([{"url": WEB, "size": len(CATALOG), "adler32": adler32}])
    assert bench.refused([{"url": WEB, "size": 5}])[0] is Failure.CATALOG_CHANGED
    assert bench.refused([{"url": WEB, "adler32": "00000001"}])[0] is Failure.CATALOG_CHANGED
    bench.sizes = SizeLimits(file_bytes=len(CATALOG) - 1)
    failure, detail = bench.refused()
    assert failure is Failure.CATALOG_TOO_LARGE
    assert detail == f"'catalogs': {WEB} has {len(CATALOG)} bytes or more; {len(CATALOG) - 1} are allowed"


def test_a_local_catalog_has_the_same_limit(bench: Bench, tmp_path: Path) -> None:
    bench.base, bench.sizes = str(tmp_path), SizeLimits(file_bytes=len(CATALOG) - 1)
    (tmp_path / "sky.txt").write_bytes(CATALOG)
    inputs = bench.brought()
    with pytest.raises(JobError, match=f"has {len(CATALOG)} bytes; {len(CATALOG) - 1} are allowed"):
        inputs.catalog(CatalogItem(url="sky.txt"))


def test_a_bomb_is_refused_while_it_is_read(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    bomb = gzip.compress(CATALOG + STAR.encode() * 300_000)
    desk.source = MemorySource({WEB: bomb})
    desk.sizes = SizeLimits(unpacked_bytes=1_000_000)
    failure, detail = desk.refused(catalogs=[WEB])
    assert failure is Failure.CATALOG_TOO_LARGE
    assert detail == f"{WEB}:0: it unpacks to more than the 1,000,000 bytes that are allowed; split it"
    assert not desk.visit_folder.objects.exists()


# -- the node's cache


def test_a_pinned_file_is_fetched_once_for_all_jobs(bench: Bench, tmp_path: Path) -> None:
    bench.cache = InputCache(tmp_path / "cache", limit_bytes=10**6)
    pinned = {"url": WEB, "size": len(CATALOG), "adler32": f"{zlib.adler32(CATALOG):08x}"}
    for _ in range(2):
        inputs = bench.brought([pinned])
        assert inputs.catalog(CatalogItem(**pinned)).read_bytes() == CATALOG  # type: ignore[arg-type]
    assert bench.source.fetched == [WEB]
    assert [event["cached"] for event in bench.events] == [False, True]


def test_what_is_not_pinned_is_fetched_each_time(bench: Bench, tmp_path: Path) -> None:
    bench.cache = InputCache(tmp_path / "cache", limit_bytes=10**6)
    for _ in range(2):
        bench.brought([WEB])
    assert len(bench.source.fetched) == 2
    assert not (tmp_path / "cache").exists()
