"""What the headers of an HTTP answer say of a file, and whether its bytes agree."""

from __future__ import annotations

import base64
import hashlib
import zlib
from pathlib import Path

import pytest
from requests.structures import CaseInsensitiveDict

from transformation.model.failures import Failure
from transformation.ports import Expected, SourceError
from transformation.sources.checks import adler32_in, check_file
from transformation.sources.http_answer import Answer, read_answer

URL = "https://host/sky.txt"
CONTENT = b"obshistid 1\n"


def answer(status: int, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_answer(URL, status, CaseInsensitiveDict(named))


@pytest.mark.parametrize(
    ("status", "headers", "first", "size_bytes", "framed"),
    [
        (200, {"content_length": "12"}, 0, 12, True),
        (200, {}, 0, None, False),
        (200, {"transfer_encoding": "Chunked"}, 0, None, True),
        (200, {"content_length": "many"}, 0, None, False),
        (200, {"content_length": "-1"}, 0, None, False),
        (200, {"content_length": "9" * 40}, 0, None, False),
        (206, {"content_range": "bytes 5-11/12", "content_length": "7"}, 5, 12, True),
        (206, {"content_range": "bytes 5-11/*", "content_length": "7"}, 5, None, True),
    ],
)
def test_what_the_body_is(
    status: int, headers: dict[str, str], first: int, size_bytes: int | None, framed: bool
) -> None:
    found = answer(status, **headers)
    assert (found.first_byte, found.size_bytes, found.is_framed) == (first, size_bytes, framed)
    assert found.is_part is (status == 206)


@pytest.mark.parametrize(
    ("status", "headers"),
    [(206, {}), (206, {"content_range": "bytes */12"}), (206, {"content_range": "lines 1-2/3"}), (204, {}), (226, {})],
)
def test_answers_without_the_file(status: int, headers: dict[str, str]) -> None:
    with pytest.raises(SourceError) as caught:
        answer(status, **headers)
    assert (caught.value.failure, caught.value.transient) == (Failure.CATALOG_UNREACHABLE, False)


@pytest.mark.parametrize(
    ("headers", "version"),
    [
        ({"etag": '"one"', "last_modified": "today"}, '"one"'),
        ({"etag": 'W/"one"', "last_modified": "today"}, "today"),
        ({"etag": "unquoted"}, ""),
        ({}, ""),
    ],
)
def test_only_strong_versions_count(headers: dict[str, str], version: str) -> None:
    assert answer(200, **headers).version == version


ADLER32 = f"{zlib.adler32(CONTENT):08x}"
SHA256 = hashlib.sha256(CONTENT)
RIGHT = [
    {"digest": f"adler32={ADLER32}"},
    {"digest": f"ADLER32={ADLER32.upper().lstrip('0')}, unknown=x"},
    {"digest": f"md5={base64.b64encode(hashlib.md5(CONTENT).digest()).decode()}"},
    {"digest": f"sha-256={SHA256.hexdigest()}"},
    {"repr_digest": f"sha-256=:{base64.b64encode(SHA256.digest()).decode()}:"},
    {"digest": "sha-256=not a digest, md5=AAAA"},
    {"digest": "nonsense"},
]


@pytest.mark.parametrize("headers", RIGHT)
def test_digests_that_agree_or_say_nothing(tmp_path: Path, headers: dict[str, str]) -> None:
    (tmp_path / "sky.txt").write_bytes(CONTENT)
    check_file(URL, tmp_path / "sky.txt", Expected(), answer(200, **headers).digests)


@pytest.mark.parametrize("headers", RIGHT[:5])
def test_digests_that_differ(tmp_path: Path, headers: dict[str, str]) -> None:
    (tmp_path / "sky.txt").write_bytes(CONTENT[::-1])
    with pytest.raises(SourceError, match="was damaged on its way") as caught:
        check_file(URL, tmp_path / "sky.txt", Expected(), answer(200, **headers).digests)
    assert caught.value.transient


def test_the_adler32_among_digests() -> None:
    assert adler32_in(answer(200, digest=f"md5=x, adler32={ADLER32}").digests) == ADLER32
    assert adler32_in({"adler32": "no digits"}) is None
    assert adler32_in({}) is None
