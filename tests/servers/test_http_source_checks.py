"""What is not taken from a web server: pages, files that are too large or not those that were meant."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests.servers.catalog_server import CatalogServer, bomb
from tests.servers.fetch_client import CONTENT, PINNED, Client
from transformation.model.failures import Failure
from transformation.ports import Expected, SourceError


@pytest.mark.parametrize(
    ("content", "manners"),
    [
        (b"", {"page": True}),
        (CONTENT, {"content_type": "text/html"}),
        (CONTENT, {"content_type": "application/xhtml+xml; charset=utf-8"}),
        (b"\xef\xbb\xbf\n <!DOCTYPE html><p>Log in", {}),
        (b"<HTML><body>no such file", {}),
    ],
)
def test_pages_are_no_catalogs(
    fresh: CatalogServer, client: Client, content: bytes, manners: dict[str, object]
) -> None:
    url = fresh.put("sky.txt", content, **manners)
    error = client.refused(url)
    assert error.failure is Failure.CATALOG_INVALID
    assert "is an HTML page, perhaps the log-in or error page of the web server" in error.detail
    assert client.retries == []
    with pytest.raises(SourceError, match="is an HTML page"):
        client.source.open_head(url, 100)


def test_pins(fresh: CatalogServer, client: Client) -> None:
    url = fresh.put("sky.txt", CONTENT)
    assert client.fetch(url, PINNED) == CONTENT


def test_another_size_is_not_even_fetched(fresh: CatalogServer, client: Client) -> None:
    error = client.refused(fresh.put("sky.txt", CONTENT), Expected(size_bytes=5))
    assert (error.failure, client.retries) == (Failure.CATALOG_CHANGED, [])
    assert error.detail == f"{fresh.url('sky.txt')} has {len(CONTENT):,} bytes, not 5"


def test_bytes_damaged_on_their_way_are_fetched_again(fresh: CatalogServer, client: Client) -> None:
    url = fresh.put("sky.txt", CONTENT[:-1] + b"?")
    client.source._note = lambda retry: (fresh.put("sky.txt", CONTENT), None)[1]  # type: ignore[attr-defined]
    assert client.fetch(url, PINNED) == CONTENT
    fresh.put("sky.txt", CONTENT[:-1] + b"?")
    client.source._note = client.retries.append  # type: ignore[attr-defined]
    (client.folder / "sky.txt").unlink()
    assert client.refused(url, PINNED).failure is Failure.CATALOG_CHANGED


@pytest.mark.parametrize(
    "manners", [{}, {"chunked": True}, {"length": False}], ids=lambda one: "-".join(one) or "plain"
)
def test_more_than_allowed_is_given_up(fresh: CatalogServer, client: Client, manners: dict[str, object]) -> None:
    url = fresh.put("sky.txt", CONTENT, **manners)
    error = client.refused(url, Expected(limit_bytes=len(CONTENT) - 1))
    assert error.failure is Failure.CATALOG_TOO_LARGE
    assert f"bytes or more; {len(CONTENT) - 1:,} are allowed" in error.detail
    assert list(client.folder.iterdir()) == []
    assert client.fetch(url, Expected(limit_bytes=len(CONTENT))) == CONTENT


def test_a_body_without_end_is_given_up(fresh: CatalogServer, client: Client) -> None:
    url = fresh.put("sky.txt", CONTENT, chunked=True, endless=True)
    error = client.refused(url, Expected(limit_bytes=3 * len(CONTENT)))
    assert (error.failure, client.retries) == (Failure.CATALOG_TOO_LARGE, [])


def test_a_bomb_is_small_on_its_way(fresh: CatalogServer, client: Client) -> None:
    packed = bomb(b"obshistid 1\n", b"object 1 2\n", 50_000_000)
    assert client.fetch(fresh.put("bomb.gz", packed)) == packed


# -- the end


def test_closing_ends_a_fetch(fresh: CatalogServer, client: Client) -> None:
    url = fresh.put("sky.txt", CONTENT, hangs=True)
    results: list[SourceError] = []
    thread = threading.Thread(target=lambda: results.append(client.refused(url)))
    thread.start()
    while not fresh.gets:
        assert thread.is_alive()
    client.source.close()
    thread.join(30)
    assert [error.failure for error in results] == [Failure.CATALOG_UNREACHABLE]


def test_a_full_disk(fresh: CatalogServer, client: Client, tmp_path: Path) -> None:
    from tests.unit.samples import file_size_limit

    url = fresh.put("sky.txt", os.urandom(400_000))
    with file_size_limit(100_000):
        error = client.refused(url)
    assert error.failure is Failure.WORKDIR_UNUSABLE
    assert "cannot be written here: File too large" in error.detail
    assert list(client.folder.iterdir()) == []
