"""`lsst-trf doctor` and `iod-site doctor` as programs, on workers that are fit and on workers that are not."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import time
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.whole_job.bench import Bench

IOD_SITE = str(Path(sys.executable).with_name("iod-site"))
Found = dict[str, dict[str, Any]]


def diagnose(bench: Bench, *arguments: str, code: int, **environment: str) -> Found:
    """What the doctor says, by check; several of one name: the worst."""
    done = bench.command(["doctor", "--json", "--workdir", "work", *arguments], environment=environment)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    document = json.loads(done.stdout)
    assert document["exitCode"] == code
    assert (document["verdict"] == "bad") == (code == 37)
    assert done.stderr.startswith("ERROR: WORKER_UNFIT: ") or code == 0 or done.stderr.count("ERROR: WORKER_UNFIT") == 1
    ranks = ["ok", "warn", "bad"]
    return {one["name"]: one for one in sorted(document["checks"], key=lambda one: ranks.index(one["verdict"]))}


def site_file(bench: Bench, text: str) -> str:
    return str(bench.write("example.toml", f'name = "example"\n{text}'))


def release_line(bench: Bench) -> str:
    return f'[releases]\nroots = ["{bench.release.parent}"]\ndefault = "{bench.release.name}"\n'


def test_a_fit_worker(bench: Bench) -> None:
    bench.store.mkdir()
    site = site_file(
        bench, f'{release_line(bench)}[[storage.endpoints]]\nurl = "{bench.store}"\n[catalog]\npath = "cat.sqlite"\n'
    )
    before = sorted(bench.folder.rglob("*"))
    found = diagnose(bench, "--site", site, code=0)
    assert {name for name, one in found.items() if one["verdict"] == "ok"} >= {
        *("site", "python", "disk", "release", "storage", "catalog"),  # the machine may be busy with other tests
    }
    assert found["release"]["facts"]["files_read"] > 10
    assert found["storage"]["facts"]["bytes_written"] > 0
    assert found["machine"]["facts"]["cores"] >= 1
    assert found["disk"]["facts"]["free_bytes"] > 0
    assert sorted(bench.folder.rglob("*")) == before  # nothing is left


def test_for_people_and_through_iod_site(bench: Bench) -> None:
    environment = bench.environment()
    local = subprocess.run(
        [IOD_SITE, "doctor", "local", "--only", "site,python,disk"],
        env=environment,
        cwd=bench.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert local.returncode == 0, local.stderr
    lines = local.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [["ok", "site"], ["ok", "python"], ["ok", "disk"]]
    assert lines[-1].endswith("is fit for site local (3 ok, 0 warn, 0 bad)")
    slac = subprocess.run(
        [IOD_SITE, "doctor", "USDF", "--only", "site", "--short"],
        env=environment,
        cwd=bench.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert slac.returncode == 37
    assert "releases.default" in slac.stdout
    assert slac.stderr.splitlines()[-1].startswith("ERROR: WORKER_UNFIT: ")


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """A folder that not even root can write to."""
    folder.mkdir()
    if os.geteuid() == 0:
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], capture_output=True)
        if mount.returncode:
            pytest.skip("no read-only folder to be had")
        try:
            yield folder
        finally:
            subprocess.run(["umount", str(folder)], check=True)
    else:
        folder.chmod(0o555)
        yield folder


def test_folders_that_cannot_be_written_to(bench: Bench) -> None:
    with read_only(bench.folder / "locked") as locked:
        site = site_file(bench, f'[[storage.endpoints]]\nurl = "{locked}/store"\n[worker]\nscratch = "{locked}"\n')
        found = diagnose(bench, "--site", site, "--only", "disk,storage", code=37)
    assert found["disk"]["found"].startswith(f"cannot write in {locked}")
    assert found["storage"]["facts"]["failure"] == "STORAGE_DENIED"
    assert found["storage"]["found"].startswith("write: ")
    assert found["storage"]["action"]


def test_an_endpoint_that_is_only_read_is_not_written_to(bench: Bench) -> None:
    with read_only(bench.folder / "locked") as locked:
        site = site_file(bench, f'[[storage.endpoints]]\nurl = "{locked}"\nuse = ["read"]\n')
        assert diagnose(bench, "--site", site, "--only", "storage", code=0)["storage"]["verdict"] == "ok"


def test_a_release_that_is_not_there(bench: Bench) -> None:
    found = diagnose(bench, "--only", "release", code=37, IOD_RELEASES=str(bench.folder / "nowhere"))
    assert "no release area is readable" in found["release"]["found"]


def test_a_release_with_a_spoilt_file(bench: Bench) -> None:
    bench.break_stage("raytrace", "exit 1")
    site = site_file(bench, release_line(bench))
    found = diagnose(bench, "--site", site, "--only", "release", code=37, IOD_RELEASES=str(bench.release.parent))
    assert "is not what release.json says" in found["release"]["found"]


def test_a_mount_that_hangs_holds_up_nobody(bench: Bench) -> None:
    bench.break_stage("raytrace", "exit 1")
    table = bench.release / "data/lsst/segmentation.txt"
    table.unlink()
    os.mkfifo(table)  # whoever reads it waits for ever
    site = site_file(bench, release_line(bench))
    environment = {"IOD_RELEASES": str(bench.release.parent)}
    found = diagnose(bench, "--site", site, "--short", "--only", "site,release", code=37, **environment)
    assert found["release"]["found"].startswith("no answer in ")
    assert found["site"]["verdict"] == "ok"


def test_cvmfs_that_is_not_mounted(bench: Bench) -> None:
    (bench.folder / "cvmfs/empty.example.org").mkdir(parents=True)
    repositories = '["empty.example.org", "missing.example.org"]'
    site = site_file(bench, f'[cvmfs]\nmount = "{bench.folder}/cvmfs"\nrepositories = {repositories}\n')
    done = bench.command(["doctor", "--site", site, "--only", "cvmfs"])
    assert done.returncode == 37
    assert "empty folder: not mounted" in done.stdout
    assert "missing.example.org: No such file or directory" in done.stdout


class Server(ThreadingHTTPServer):
    """Has a clock of its own, and publishes a revision of a repository."""

    def __init__(self, ahead_s: float) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.ahead_s = ahead_s

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    def date_time_string(self, timestamp: float | None = None) -> str:
        assert isinstance(self.server, Server)
        return formatdate(time() + self.server.ahead_s, usegmt=True)

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"Cabc\nS43\nT%d\nNx.example.org\n--\nhash\nsignature" % (time() - 7200))

    def log_message(self, *_words: object) -> None:
        pass


@contextmanager
def serving(ahead_s: float = 0.0) -> Iterator[Server]:
    with Server(ahead_s) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("ahead_s", "code", "verdict"), [(0.0, 0, "ok"), (1000.0, 37, "bad")], ids=str)
def test_the_clock_by_a_server(bench: Bench, ahead_s: float, code: int, verdict: str) -> None:
    with serving(ahead_s) as server:
        rucio = f'host = "{server.url}"\naccount = "a"\nusername = "u"\nsecret = "env:NO"\nrse = "R"\n'
        site = site_file(bench, f'[catalog]\nkind = "rucio"\n[catalog.rucio]\n{rucio}')
        found = diagnose(bench, "--site", site, "--only", "clock", code=code)
    assert found["clock"]["verdict"] == verdict
    assert found["clock"]["facts"]["offset_s"] == pytest.approx(-ahead_s, abs=30)


@pytest.mark.parametrize(("revision", "verdict"), [("43", "ok"), ("41", "warn")])
def test_the_revision_of_a_repository(bench: Bench, revision: str, verdict: str) -> None:
    repository = bench.folder / "cvmfs/x.example.org"
    repository.mkdir(parents=True)
    (repository / "new_repository").touch()
    with serving() as server:
        try:
            os.setxattr(repository, "user.revision", revision.encode())
            os.setxattr(repository, "user.host", f"{server.url}/cvmfs/x.example.org".encode())
        except OSError as error:
            if error.errno == errno.ENOTSUP:
                pytest.skip("no extended attributes in this file system")
            raise
        site = site_file(bench, f'[cvmfs]\nmount = "{bench.folder}/cvmfs"\nrepositories = ["x.example.org"]\n')
        found = diagnose(bench, "--site", site, "--only", "cvmfs", code=0)
    assert found["cvmfs"]["verdict"] == verdict
    assert found["cvmfs"]["facts"]["newest_revision"] == 43
    assert found["cvmfs"]["facts"]["newest_age_s"] == pytest.approx(7200, abs=60)


@pytest.mark.parametrize(
    ("credential", "environment", "says"),
    [
        ("x509_proxy", {"X509_USER_PROXY": "/nowhere/proxy"}, "/nowhere/proxy: No such file"),
        ("token", {"BEARER_TOKEN": "e30.eyJleHAiOjF9.e30"}, "good until 1970"),
        ("sss", {"XrdSecSSSKT": "/nowhere/keytab"}, "/nowhere/keytab: No such file"),
    ],
    ids=["proxy", "token", "sss"],
)
def test_credentials_that_are_missing_or_old(
    bench: Bench, credential: str, environment: dict[str, str], says: str
) -> None:
    site = site_file(bench, f'[[storage.endpoints]]\nurl = "/x"\ncredential = "{credential}"\n')
    found = diagnose(bench, "--site", site, "--only", "credential", code=37, **environment)
    assert says in found["credential"]["found"]


@pytest.mark.parametrize(("mode", "code"), [(0o600, 0), (0o644, 37)], ids=["private", "public"])
def test_a_secret_that_others_can_read(bench: Bench, mode: int, code: int) -> None:
    keytab = bench.write("keytab", "0 u:imsim g:users n:key N:1 c:1 e:0 k:00\n")
    keytab.chmod(mode)
    site = site_file(bench, '[[storage.endpoints]]\nurl = "/x"\ncredential = "sss"\n')
    found = diagnose(bench, "--site", site, "--only", "credential", code=code, XrdSecSSSKT=str(keytab))
    assert ("others can read it" in found["credential"]["found"]) == (code != 0)


def certificate(ends: datetime) -> bytes:
    """One that signs itself, of Tony."""
    name, key = x509.Name.from_rfc4514_string("CN=Tony"), ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(ends - timedelta(days=9)).not_valid_after(ends)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(("hours", "code", "verdict"), [(-1, 37, "bad"), (1, 0, "warn")], ids=str)
def test_the_proxy_of_the_catalog(bench: Bench, hours: int, code: int, verdict: str) -> None:
    proxy = bench.write("proxy", certificate(datetime.now(UTC) + timedelta(hours=hours)))
    proxy.chmod(0o600)
    rucio = 'host = "http://127.0.0.1:9"\naccount = "a"\nauth = "x509_proxy"\nrse = "R"\n'
    site = site_file(bench, f'[catalog]\nkind = "rucio"\n[catalog.rucio]\n{rucio}secret = "file:{proxy}"\n')
    found = diagnose(bench, "--site", site, "--only", "credential", code=code)
    assert found["credential"]["verdict"] == verdict
    assert "of Tony, good until" in found["credential"]["found"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--only", "storge"], 10, "did you mean 'storage'?"),
        (["--site", "nowhere"], 30, "unknown site"),
        (["--site", "/nowhere/x.toml"], 30, "No such file"),
    ],
    ids=["check", "site", "file"],
)
def test_bad_words(bench: Bench, arguments: list[str], code: int, says: str) -> None:
    done = bench.command(["doctor", *arguments])
    assert done.returncode == code
    assert says in done.stderr
    assert done.stdout == ""
