"""Registering the images of a raft in Rucio: one call for all of them over one call each, and how many requests.

A real Rucio server on loopback (SQLite, one worker) behind a proxy that counts. Needs the test extras.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time
from pathlib import Path

from msgspec.structs import replace

from tests.servers.faulty_proxy import FaultyProxy
from tests.servers.rucio_fixtures import settings_of
from tests.servers.rucio_server import PASSWORD, RucioServer
from transformation.catalog.rucio import RucioCatalog
from transformation.ports import FileRecord

_N_FILES = 306
"""9 sensors in 2 exposures: an electron image and 16 amplifiers each."""
_N_ONE_BY_ONE = 34
"""As many are timed one by one; the others would take as long each."""
_ROUNDS = 3


def measure(folder: Path) -> dict[str, float]:
    """Seconds and requests for 306 files in one call, and over what they would take one by one."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["RUCIO_TEST_PASSWORD"] = PASSWORD
    server = RucioServer()
    try:
        server.build()
        server.start()
        server.set_up()
        proxy = FaultyProxy(server.url)
        try:
            return _measure(server, proxy)
        finally:
            proxy.close()
    finally:
        server.remove()
        shutil.rmtree(folder, ignore_errors=True)


def _measure(server: RucioServer, proxy: FaultyProxy) -> dict[str, float]:
    settings = settings_of(server, host=proxy.url, timeout_s=120.0)
    batch_s, single_s, requests = [], [], []
    for round_ in range(_ROUNDS + 1):
        batch, single = f"batch{round_}", f"single{round_}"
        for user in (batch, single):
            server.add_scope(f"user.{user}")
        one_by_one = RucioCatalog(settings, user=single)
        began_s = time.perf_counter()
        for record in _records(single)[:_N_ONE_BY_ONE]:
            one_by_one.register([record])
        single_s.append((time.perf_counter() - began_s) * _N_FILES / _N_ONE_BY_ONE)
        proxy.requests.clear()
        began_s = time.perf_counter()
        RucioCatalog(settings, user=batch).register(_records(batch))
        batch_s.append(time.perf_counter() - began_s)
        requests.append(len(proxy.requests))
    ratios = [batch / single for batch, single in zip(batch_s[1:], single_s[1:], strict=True)]  # the first warms up
    return {
        "files": _N_FILES,
        "batch_s": statistics.median(batch_s[1:]),
        "one_by_one_s": statistics.median(single_s[1:]),
        "batch_over_one_by_one": statistics.median(ratios),
        "requests": max(requests),
    }


def _records(user: str) -> list[FileRecord]:
    first = FileRecord(
        name="",
        dataset="run-00019/v87393588",
        url="",
        size_bytes=800_000,
        adler32="0a1b2c3d",
        metadata={"visit": "87393588", "sensor": "R22_S11", "job": "run-00019", "release": "quicksim-1.0"},
    )
    names = [f"run-00019/v87393588/lsst_a_87393588_{number:03d}.fits.gz" for number in range(_N_FILES)]
    return [replace(first, name=name, url=f"/store/{user}/{name}") for name in names]


if __name__ == "__main__":
    print(measure(Path(sys.argv[1])))
