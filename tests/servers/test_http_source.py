"""Fetching over HTTP from a real server that has every fault web servers have."""

from __future__ import annotations

import gzip
import socket

import pytest

from tests.servers.catalog_server import CatalogServer
from tests.servers.fetch_client import ADLER32, ANYTHING, CONTENT, PINNED, Client
from transformation.model.failures import Failure
from transformation.ports import Expected, Retry
from transformation.storage.http_client import Limits

HALF = len(CONTENT) // 2

HEALTHY: list[dict[str, object]] = [
    {},
    {"ranges": False},
    {"chunked": True},
    {"length": False},
    {"etag": None, "last_modified": False},
    {"etag": 'W/"weak"'},
    {"digest": "right"},
    {"content_type": "application/octet-stream"},
]


@pytest.mark.parametrize("manners", HEALTHY, ids=lambda manners: "-".join(manners) or "plain")
def test_servers_of_all_kinds(fresh: CatalogServer, client: Client, manners: dict[str, object]) -> None:
    url = fresh.put("sky.txt", CONTENT, **manners)
    assert client.fetch(url) == CONTENT
    assert client.retries == []
    # HEAD is never needed; where no length is told the file is read a second time.
    assert [request.method for request in fresh.requests] == ["GET"] * (2 if manners == {"length": False} else 1)


@pytest.mark.parametrize("scheme", ["dav", "HTTP"])
def test_other_names_of_the_scheme(fresh: CatalogServer, client: Client, scheme: str) -> None:
    fresh.put("a b+c.txt", CONTENT)
    assert client.fetch(fresh.url("a%20b+c.txt").replace("http", scheme)) == CONTENT
    gone = fresh.url("gone.txt").replace("http", scheme)
    (client.folder / "sky.txt").unlink()
    assert client.refused(gone).detail == f"{gone} does not exist"


@pytest.mark.parametrize("content", [b"", b"x"])
def test_small_files(fresh: CatalogServer, client: Client, content: bytes) -> None:
    assert client.fetch(fresh.put("small", content)) == content
    assert client.source.open_head(fresh.url("small"), 100).start == content


def test_a_packed_file_stays_packed(fresh: CatalogServer, client: Client) -> None:
    packed = gzip.compress(CONTENT)
    assert client.fetch(fresh.put("sky.txt.gz", packed, content_type="application/gzip")) == packed


# -- heads


@pytest.mark.parametrize(
    ("manners", "size_bytes", "ranges", "adler32"),
    [
        ({}, len(CONTENT), True, None),
        ({"ranges": False}, len(CONTENT), False, None),
        ({"chunked": True, "ranges": False}, None, False, None),
        ({"length": False, "ranges": False}, None, False, None),
        ({"digest": "right"}, len(CONTENT), True, ADLER32),
    ],
)
def test_a_head(
    fresh: CatalogServer,
    client: Client,
    manners: dict[str, object],
    size_bytes: int | None,
    ranges: bool,
    adler32: str | None,
) -> None:
    head = client.source.open_head(fresh.put("sky.txt", CONTENT, **manners), 100)
    assert head.start == CONTENT[:100]
    assert (head.size_bytes, head.ranges, head.adler32) == (size_bytes, ranges, adler32)
    assert len(fresh.requests) == 1
    assert client.source.open_head(fresh.url("sky.txt")).start == b""


# -- broken transfers


def ranges_of(server: CatalogServer) -> list[str]:
    return [request.headers.get("range", "") for request in server.gets]


@pytest.mark.parametrize(
    ("manners", "expected", "condition"),
    [
        ({}, ANYTHING, '"one"'),
        ({"etag": None}, ANYTHING, "Sun, 22 Nov 2026 12:00:00 GMT"),
        ({"etag": 'W/"weak"'}, ANYTHING, "Sun, 22 Nov 2026 12:00:00 GMT"),
        ({"etag": None, "last_modified": False}, PINNED, None),
    ],
)
def test_a_broken_transfer_goes_on(
    fresh: CatalogServer, client: Client, manners: dict[str, object], expected: Expected, condition: str | None
) -> None:
    url = fresh.put("sky.txt", CONTENT, dies_after=HALF, times=1, **manners)
    assert client.fetch(url, expected) == CONTENT
    first, again = ranges_of(fresh)
    held_bytes = int(again.removeprefix("bytes=").partition("-")[0])
    assert (first, 0 < held_bytes <= HALF) == ("", True)
    assert fresh.gets[1].headers.get("if-range") == condition
    assert [retry.url for retry in client.retries] == [url]


def test_many_breaks(fresh: CatalogServer, client: Client) -> None:
    url = fresh.put("sky.txt", CONTENT, dies_after=200_000, times=3)
    assert client.fetch(url) == CONTENT
    assert len(fresh.gets) == 4


@pytest.mark.parametrize(
    "manners",
    [{"ranges": False}, {"etag": None, "last_modified": False}, {"chunked": True, "ranges": False}],
    ids="-".join,
)
def test_where_nothing_can_go_on_it_begins_anew(
    fresh: CatalogServer, client: Client, manners: dict[str, object]
) -> None:
    url = fresh.put("sky.txt", CONTENT, dies_after=HALF, times=1, **manners)
    assert client.fetch(url) == CONTENT
    assert len(client.retries) == 1


def test_a_file_that_changes_meanwhile_is_not_patched_together(fresh: CatalogServer, client: Client) -> None:
    url = fresh.put("sky.txt", CONTENT, dies_after=HALF, times=1)
    new = CONTENT[::-1]

    def exchange(retry: Retry) -> None:
        fresh.put("sky.txt", new, etag='"two"')

    client.source._note = exchange  # type: ignore[attr-defined]
    assert client.fetch(url) == new
    assert len(fresh.gets) == 2


def test_a_file_that_becomes_shorter_meanwhile(fresh: CatalogServer, client: Client) -> None:
    url = fresh.put("sky.txt", CONTENT, dies_after=HALF, times=1)
    new = CONTENT[:1000]
    client.source._note = lambda retry: (fresh.put("sky.txt", new), None)[1]  # type: ignore[attr-defined]
    assert client.fetch(url) == new


def test_parts_that_are_shorter_than_asked_for(fresh: CatalogServer, client: Client) -> None:
    content = CONTENT[:100_000]
    url = fresh.put("sky.txt", content, dies_after=99_997, times=1, short_parts=True)
    assert client.fetch(url) == content
    assert "after 99,999 of 100,000 bytes" in client.retries[1].problem


def test_another_part_than_asked_for_is_not_taken(fresh: CatalogServer, client: Client) -> None:
    url = fresh.put("sky.txt", CONTENT, dies_after=HALF, times=1, foreign_part=True)
    assert client.fetch(url) == CONTENT
    assert "another part" in client.retries[1].problem


@pytest.mark.parametrize(
    ("manners", "words"),
    [
        ({"declares": len(CONTENT) + 10}, "shorter than the server said"),
        ({"dies_after": HALF, "ranges": False}, "the connection broke"),
        ({"dies_after": HALF, "chunked": True, "ranges": False}, "the connection broke"),
        ({"status": 503}, "status 503"),
        ({"digest": "adler32=12345678"}, "was damaged on its way: adler32 "),
        ({"digest": "md5=AAAAAAAAAAAAAAAAAAAAAA=="}, "was damaged on its way: md5 "),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_never_gets_better(fresh: CatalogServer, client: Client, manners: dict[str, object], words: str) -> None:
    error = client.refused(fresh.put("sky.txt", CONTENT, **manners))
    assert (error.failure, error.transient) == (Failure.CATALOG_UNREACHABLE, True)
    assert error.detail.startswith(f"{fresh.url('sky.txt')}")
    assert words in error.detail
    assert len(client.retries) == 3


@pytest.mark.parametrize(
    ("fault", "words", "client"),
    [
        ("hangs", "silent", Limits(silence_s=0.3)),
        ("trickles", "too slow", Limits(base_s=0.3, slowest_bytes_per_s=1e6)),
        ("trickles_headers", "too slow", Limits(base_s=0.3, slowest_bytes_per_s=1e6)),
    ],
    indirect=["client"],
    ids=["hangs", "trickles", "trickles_headers"],
)
def test_what_never_ends(fresh: CatalogServer, client: Client, fault: str, words: str) -> None:
    error = client.refused(fresh.put("sky.txt", CONTENT, **{fault: True}))
    assert (error.failure, error.transient) == (Failure.CATALOG_UNREACHABLE, True)
    assert words in error.detail
    assert len(client.retries) == 3


def test_a_body_without_length_that_breaks_off_is_noticed(fresh: CatalogServer, client: Client) -> None:
    url = fresh.put("sky.txt", CONTENT, length=False, dies_after=HALF, times=1)
    assert client.fetch(url) == CONTENT
    assert "two readings of the file differ" in client.retries[0].problem


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 429])
def test_trouble_that_passes(fresh: CatalogServer, client: Client, status: int) -> None:
    assert client.fetch(fresh.put("sky.txt", CONTENT, status=status, times=2)) == CONTENT
    assert [retry.tried for retry in client.retries] == [1, 2]


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (404, Failure.CATALOG_MISSING),
        (410, Failure.CATALOG_MISSING),
        (403, Failure.CATALOG_MISSING),
        (401, Failure.CATALOG_MISSING),
        (204, Failure.CATALOG_UNREACHABLE),
        (300, Failure.CATALOG_MISSING),
    ],
)
def test_answers_that_stay(fresh: CatalogServer, client: Client, status: int, failure: Failure) -> None:
    error = client.refused(fresh.put("sky.txt", CONTENT, status=status))
    assert (error.failure, client.retries) == (failure, [])


def test_nobody_listens(client: Client) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    error = client.refused(f"http://localhost:{port}/sky.txt")
    assert (error.failure, error.detail) == (
        Failure.CATALOG_UNREACHABLE,
        f"http://localhost:{port}/sky.txt: Connection refused",
    )
    assert len(client.retries) == 3


def test_no_such_host(client: Client) -> None:
    assert client.refused("http://nowhere.invalid/sky.txt").failure is Failure.CATALOG_UNREACHABLE
