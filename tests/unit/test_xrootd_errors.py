"""What the codes of the XRootD client are taken for."""

from __future__ import annotations

import errno

import pytest

from transformation.model.failures import Failure
from transformation.ports import Missing, StorageError
from transformation.storage.xrootd import XRootDStorage, _place, _shown
from transformation.storage.xrootd_errors import local_error, storage_error
from transformation.storage.xrootd_words import Status

URL = "root://host//store/f"


def met(code: int, number: int = 0, message: str = "", *, writing: bool = False) -> StorageError:
    text = f"[ERROR] Server responded with an error: [{number}] {message}\n" if number else f"[ERROR] {message}"
    return storage_error(URL, Status(code=code, errno=number, message=text), writing=writing)


@pytest.mark.parametrize(
    ("code", "number", "failure", "transient"),
    [
        (11, 0, Failure.STORAGE_UNREACHABLE, True),
        (101, 0, Failure.STORAGE_UNREACHABLE, False),
        (102, 0, Failure.STORAGE_UNREACHABLE, True),
        (103, 0, Failure.STORAGE_UNREACHABLE, True),
        (108, 0, Failure.STORAGE_UNREACHABLE, True),
        (110, 0, Failure.STORAGE_UNREACHABLE, False),
        (204, 0, Failure.STORAGE_DENIED, False),
        (206, 0, Failure.STORAGE_UNREACHABLE, True),
        (400, 3003, Failure.STORAGE_UNREACHABLE, True),
        (400, 3005, Failure.STORAGE_UNREACHABLE, True),
        (400, 3007, Failure.STORAGE_UNREACHABLE, True),
        (400, 3009, Failure.STORAGE_FULL, False),
        (400, 3010, Failure.STORAGE_DENIED, False),
        (400, 3012, Failure.STORAGE_UNREACHABLE, True),
        (400, 3013, Failure.STORAGE_DENIED, False),
        (400, 3019, Failure.STORAGE_DAMAGED, True),
        (400, 3021, Failure.STORAGE_FULL, False),
        (400, 3024, Failure.STORAGE_UNREACHABLE, True),
        (400, 9999, Failure.STORAGE_UNREACHABLE, True),
    ],
)
@pytest.mark.parametrize("writing", [True, False])
def test_codes(code: int, number: int, failure: Failure, transient: bool, writing: bool) -> None:
    error = met(code, number, "some words", writing=writing)
    assert not isinstance(error, Missing)
    assert (error.failure, error.transient) == (failure, transient)
    assert "some words" in error.detail
    assert "[ERROR]" not in error.detail
    assert "\n" not in error.detail


@pytest.mark.parametrize(
    ("number", "message"),
    [(3011, "no such file or directory"), (3016, "is a directory"), (3005, "Unable to locate /f/g; not a directory")],
)
def test_what_is_not_there(number: int, message: str) -> None:
    assert isinstance(met(400, number, message), Missing)
    error = met(400, number, message, writing=True)
    assert not isinstance(error, Missing)
    assert error.transient == (number == 3011)


def test_servers_that_are_away_do_not_make_a_file_missing() -> None:
    error = met(400, 3011, "No servers are available to read the file.")
    assert not isinstance(error, Missing)
    assert (error.failure, error.transient) == (Failure.STORAGE_UNREACHABLE, True)


def test_trouble_on_this_side() -> None:
    assert local_error(errno.ENOSPC, "full", reading=False).failure is Failure.DISK_FULL
    assert local_error(errno.EACCES, "closed", reading=False).failure is Failure.WORKDIR_UNUSABLE
    assert local_error(errno.ENOENT, "gone", reading=True).failure is Failure.OUTPUT_MISSING


@pytest.mark.parametrize(
    "url",
    ["root://host/relative", "root:///store/f", "root://host", "https://host//f", "root://host//a\0b", "/store/f"],
)
def test_other_locations_are_refused_before_anything_starts(url: str) -> None:
    storage = XRootDStorage()
    with pytest.raises(StorageError) as caught:
        storage.stat(url)
    assert caught.value.failure is Failure.STORAGE_UNKNOWN
    assert storage.mover_pid is None


def test_what_people_read_names_no_credential() -> None:
    assert _shown(_place("roots://tonyj:s3cret@host:1094//store/f?authz=t0ken")) == "roots://host:1094//store/f"
