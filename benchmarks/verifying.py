"""Full verification of a repository over HTTP, beside fetching its objects with one `curl` each.

Server and clients share this machine; the repository is the real one of the tests.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.cvmfs.replica import NAME, NOW, unpack

_REPEATS = 5


def measure(folder: Path) -> dict[str, float]:
    """Median of several runs, one after the other in turn."""
    root = unpack(folder)
    objects = [path for path in (root / "cvmfs" / NAME / "data").rglob("*") if path.is_file()]
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(root), "0"]
    server = subprocess.Popen(
        [command[0], "-u", *command[1:]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline().split(" port ")[1].split()[0])
        url = f"http://127.0.0.1:{port}/cvmfs/{NAME}"
        verify_s, fetch_s = [], []
        for _ in range(_REPEATS):
            began_s = time.perf_counter()
            subprocess.run([*_verify(url, root)], check=True, capture_output=True)
            verify_s.append(time.perf_counter() - began_s)
            began_s = time.perf_counter()
            for path in objects:
                place = path.relative_to(root / "cvmfs" / NAME)
                subprocess.run(["curl", "-sf", "-o", "/dev/null", f"{url}/{place}"], check=True)
            fetch_s.append(time.perf_counter() - began_s)
    finally:
        server.terminate()
        server.wait()
    return {
        "objects": len(objects),
        "verify_s": statistics.median(verify_s),
        "one_curl_each_s": statistics.median(fetch_s),
        "ratio": statistics.median(verify_s) / statistics.median(fetch_s),
    }


def _verify(url: str, root: Path) -> list[str]:
    key = str(root / "test.example.org.pub")
    words = ["verify", "--http", url, "--repository", NAME, "--public-key", key, "--now", NOW]
    return [str(Path(sys.executable).with_name("iod-publish")), *words]
