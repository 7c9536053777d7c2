"""What is decided about HTTP without asking any server: places, statuses, listings, tokens."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from transformation.model.failures import Failure
from transformation.ports import Missing, StorageError
from transformation.storage.http_credentials import bearer_token, expiry_of
from transformation.storage.http_errors import no_answer, refusal
from transformation.storage.http_listing import ListingInvalid, below, encodes, read_listing
from transformation.storage.http_place import place_of

# -- places


@pytest.mark.parametrize(
    ("location", "url", "literal"),
    [
        ("dav://host/a/b", "http://host/a/b", "/a/b"),
        ("davs://host:1094/a%20b", "https://host:1094/a%20b", "/a b"),
        ("https://host/a b?authz=x", "https://host/a%20b?authz=x", "/a b"),
        ("HTTP://[::1]:80/", "http://[::1]:80/", "/"),
        ("http://host/100%25", "http://host/100%25", "/100%"),
    ],
)
def test_places(location: str, url: str, literal: str) -> None:
    place = place_of(location)
    assert (place.url, place.literal) == (url, literal)
    assert "?" not in place.shown


@pytest.mark.parametrize(
    "location",
    [
        *("http://host", "http:///a", "ftp://host/a", "//host/a", "/a", ""),
        *("https://user:secret@host/a", "https://host/a/../b", "https://host/./a", "https://host/a#b"),
        *("https://host/a\nb", "https://host/a?b c", "https://host:port/a", "https://ho st/a"),
    ],
)
def test_what_is_no_place(location: str) -> None:
    with pytest.raises(StorageError) as caught:
        place_of(location)
    assert caught.value.failure is Failure.STORAGE_UNKNOWN
    assert "secret" not in str(caught.value)


def test_names_become_part_of_a_place_only_as_names() -> None:
    folder = place_of("davs://host/a?authz=x")
    assert folder.child("b/../c?d#e").url == "https://host/a/b%2F..%2Fc%3Fd%23e?authz=x"
    assert folder.child("b").sibling("c").url == folder.child("c").url
    assert folder.child("50% é").name == "50% é"
    assert folder.parent.parent.path == "/"


@pytest.mark.parametrize(
    ("location", "private"),
    [
        ("https://far.example.org/", True),
        ("http://far.example.org/", False),
        ("http://localhost:80/", True),
        ("http://127.0.0.9/", True),
        ("http://[::1]:8080/", True),
        ("http://localhost.example.org/", False),
        ("http://127.0.0.1.example.org/", False),
    ],
)
def test_where_a_token_may_be_shown(location: str, private: bool) -> None:
    assert place_of(location).is_private is private


# -- statuses


@pytest.mark.parametrize(
    ("status", "words", "failure", "transient"),
    [
        (400, "", Failure.STORAGE_DENIED, False),
        (401, "", Failure.STORAGE_DENIED, False),
        (403, "permission denied", Failure.STORAGE_DENIED, False),
        (405, "", Failure.STORAGE_DENIED, False),
        (409, "is a directory", Failure.STORAGE_DENIED, False),
        (413, "", Failure.STORAGE_FULL, False),
        (423, "already opened by 1 writer", Failure.STORAGE_UNREACHABLE, True),
        (429, "", Failure.STORAGE_UNREACHABLE, True),
        (500, "", Failure.STORAGE_UNREACHABLE, True),
        (500, "Unable to create /f; not a directory", Failure.STORAGE_DENIED, False),
        (500, "Unable to write /f; no space left on device", Failure.STORAGE_FULL, False),
        (501, "", Failure.STORAGE_DENIED, False),
        (503, "<html>busy</html>", Failure.STORAGE_UNREACHABLE, True),
        (507, "", Failure.STORAGE_FULL, False),
    ],
)
def test_refusals(status: int, words: str, failure: Failure, transient: bool) -> None:
    error = refusal("https://host/f", status, words, writing=True)
    assert (error.failure, error.transient) == (failure, transient)
    assert not isinstance(error, Missing)
    assert "<html>" not in str(error)


@pytest.mark.parametrize(("status", "words"), [(404, ""), (410, ""), (500, "Unable to open /f; not a directory")])
def test_what_is_not_there(status: int, words: str) -> None:
    assert isinstance(refusal("https://host/f", status, words, writing=False), Missing)
    assert not isinstance(refusal("https://host/f", status, words, writing=True), Missing)


def _alert(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] an alert")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("cause", "failure", "transient"),
    [
        (ConnectionRefusedError(111, "Connection refused"), Failure.STORAGE_UNREACHABLE, True),
        (TimeoutError("timed out"), Failure.STORAGE_UNREACHABLE, True),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), Failure.STORAGE_UNREACHABLE, False),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), Failure.STORAGE_UNREACHABLE, True),
        (ssl.SSLCertVerificationError(1, "unable to get local issuer"), Failure.STORAGE_UNREACHABLE, False),
        (_alert("SSLV3_ALERT_CERTIFICATE_EXPIRED"), Failure.CREDENTIAL_EXPIRED, False),
        (_alert("TLSV13_ALERT_CERTIFICATE_REQUIRED"), Failure.STORAGE_DENIED, False),
        (_alert("TLSV1_ALERT_PROTOCOL_VERSION"), Failure.STORAGE_UNREACHABLE, False),
        (_alert("WRONG_VERSION_NUMBER"), Failure.STORAGE_UNREACHABLE, False),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), Failure.STORAGE_UNREACHABLE, True),
    ],
)
def test_broken_connections(cause: Exception, failure: Failure, transient: bool) -> None:
    try:
        try:
            raise cause
        except OSError as error:
            raise ValueError("pool of https://host/f?authz=secret is exhausted") from error
    except ValueError as wrapped:
        found = no_answer("https://host/f", wrapped)
    assert (found.failure, found.transient) == (failure, transient)
    assert "secret" not in str(found)


# -- listings

_ENTRY = (
    "<D:response><D:href>{href}</D:href><D:propstat><D:prop>{size}<D:resourcetype>{kind}</D:resourcetype></D:prop>"
    "<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
)


def _entry(href: str, size: str = "7", kind: str = "") -> str:
    return _ENTRY.format(href=href, size=f"<D:getcontentlength>{size}</D:getcontentlength>", kind=kind)


def _blocks(text: str) -> Iterator[bytes]:
    content = text.encode()
    return (content[n : n + 50] for n in range(0, len(content), 50))


def _listing(*entries: str) -> str:
    return f'<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">{"".join(entries)}</D:multistatus>'


def test_a_listing() -> None:
    folder = _entry("https://host/a/", kind="<D:collection/>")
    found = below(read_listing(_blocks(_listing(folder, _entry("/a/f"), _entry("/a/b/", kind="<D:collection/>")))))
    assert [(one.name, one.is_folder, one.size_bytes) for one in found] == [("f", False, 7), ("b", True, 0)]


def test_a_file_that_was_asked_for_as_a_folder_holds_nothing() -> None:
    assert below(read_listing(_blocks(_listing(_entry("/a/f"))))) == []


@pytest.mark.parametrize(
    ("names", "encoded"),
    [(["plain"], True), (["a%20b"], None), (["a b", "a%20b"], False), (["100%"], False), (["é"], False)],
)
def test_servers_that_do_not_encode_are_told_by_what_they_send(names: list[str], encoded: bool | None) -> None:
    assert encodes(read_listing(_blocks(_listing(*(_entry(f"/a/{name}") for name in names))))) is encoded


_LAUGHS = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))


@pytest.mark.parametrize(
    "text",
    [
        f'<?xml version="1.0"?><!DOCTYPE D [<!ENTITY l0 "ha">{_LAUGHS}]>' + _listing(_entry("/a/&l9;"))[21:],
        '<?xml version="1.0"?><!DOCTYPE D [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + _listing(_entry("/a/&x;"))[21:],
        '<?xml version="1.0"?><!DOCTYPE D SYSTEM "http://host/dtd">' + _listing(_entry("/a/f"))[21:],
        _listing(_entry("/a/f"))[:-20],
        _listing(),
        _listing(_entry("/a/f", size="many")),
        _listing(_entry("/a/f", size="9" * 30)),
        "<html><body>Please log in</body></html>",
        "",
    ],
    ids=["laughs", "external", "dtd", "cut", "empty", "no-size", "huge-size", "page", "nothing"],
)
def test_what_is_no_listing_is_not_an_empty_one(text: str) -> None:
    with pytest.raises(ListingInvalid):
        read_listing(_blocks(text))


# -- tokens


def test_where_tokens_are_found(tmp_path: Path) -> None:
    name = f"bt_u{os.geteuid()}"
    for folder in ("run", "tmp"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(f"from.{folder}.x\n")
    (tmp_path / "file").write_text("from.file.x\n")
    environment = {
        "BEARER_TOKEN": " from.variable.x ",
        "BEARER_TOKEN_FILE": str(tmp_path / "file"),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
    }
    found = []
    for gone in (None, *environment):
        environment.pop(gone or "", None)
        found.append(bearer_token(dict(environment), folder=tmp_path / "tmp"))
        if not environment:
            break
    assert found == ["from.variable.x", "from.file.x", "from.run.x", "from.tmp.x"]


@pytest.mark.parametrize("text", ["", "a\nb", "a b", "a\r\nX-Evil: 1", "é"])
def test_what_is_no_token_is_not_sent(text: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(text)
    assert bearer_token({"BEARER_TOKEN_FILE": str(tmp_path / "token")}, folder=tmp_path) is None
    assert bearer_token({"BEARER_TOKEN": text.replace("\0", "")}, folder=tmp_path / "none") is None


def test_a_token_that_somebody_else_left_in_tmp_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = os.geteuid()
    (tmp_path / f"bt_u{uid + 1}").write_text("a.b.c")
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    assert bearer_token({}, folder=tmp_path) is None


def _token(claims: object) -> str:
    return "e30." + base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=") + ".c2ln"


@pytest.mark.parametrize(
    ("token", "expiry_s"),
    [
        (_token({"exp": 1700000000}), 1.7e9),
        (_token({"exp": "soon"}), None),
        (_token({}), None),
        (_token([]), None),
        ("opaque", None),
        ("a.b.c", None),
    ],
)
def test_when_a_token_ends(token: str, expiry_s: float | None) -> None:
    assert expiry_of(token) == expiry_s


@pytest.mark.allow_processes
def test_a_job_on_local_files_waits_for_no_http_library() -> None:
    code = (
        "import sys, transformation.run_job, transformation.wiring as wiring; wiring.storage_for('/tmp').close();"
        "sys.exit(bool({'requests', 'urllib3', 'defusedxml'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
