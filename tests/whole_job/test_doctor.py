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
    """What the doctor says, by check; several of one name by their subjects, too."""
    done = bench.command(["doctor", "--json", "--workdir", "work", *arguments], environment=environment)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    document = json.loads(done.stdout)
    assert document["exitCode"] == code
    assert (document["verdict"] == "bad") == (code == 37)
    assert done.stderr.startswith("ERROR: WORKER_UNFIT: ") or code == 0 or done.stderr.count("ERROR: WORKER_UNFIT") == 1
    return {name: one for one in document["checks"] for name in (one["name"], f"{one['name']} {one['subject']}")}


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
        # Without the machine, which may be busy with other tests, and its clock.
        *("site", "python", "disk", "cvmfs", "release", "credential", "storage", "catalog"),
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
        endpoints = f'[[storage.endpoints]]\nurl = "{locked}/store"\n'
        endpoints += f'[[storage.endpoints]]\nurl = "{locked}"\nuse = ["read"]\n'
        site = site_file(bench, f'{endpoints}[worker]\nscratch = "{locked}"\n')
        found = diagnose(bench, "--site", site, "--only", "disk,storage", code=37)
    assert found[f"disk {locked}"]["found"].startswith(f"cannot write in {locked}")
    written_to = found[f"storage {locked}/store"]
    assert written_to["facts"]["failure"] == "STORAGE_DENIED"
    assert written_to["found"].startswith("write: ")
    assert written_to["action"]
    assert found[f"storage {locked}"]["verdict"] == "ok"  # it is only read from


def test_a_file_system_that_is_not_mounted(bench: Bench) -> None:
    absent = bench.folder / "lustre"
    site = site_file(bench, f'[[storage.endpoints]]\nurl = "{absent}"\n')
    found = diagnose(bench, "--site", site, "--only", "storage", code=0)
    assert found["storage"]["verdict"] == "warn"
    assert "not there" in found["storage"]["found"]
    assert not absent.exists(), "nothing is left"


def test_a_release_that_is_not_there_and_one_with_a_spoilt_file(bench: Bench) -> None:
    bench.break_stage("raytrace", "exit 1")
    site = site_file(bench, f'{release_line(bench)}offered = ["phosim-9.9"]\n')
    found = diagnose(bench, "--site", site, "--only", "release", code=37, IOD_RELEASES=str(bench.release.parent))
    assert "is not what release.json says" in found[f"release {bench.release.name}"]["found"]
    assert "phosim-9.9" in found["release phosim-9.9"]["found"]
    assert found["release phosim-9.9"]["verdict"] == "bad"


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


REVISIONS = {"new.example.org": ("43", "ok"), "old.example.org": ("41", "warn")}


def test_repositories_and_their_revisions(bench: Bench) -> None:
    (bench.folder / "cvmfs/empty.example.org").mkdir(parents=True)
    with serving() as server:
        for name, (revision, _) in REVISIONS.items():
            repository = bench.folder / "cvmfs" / name
            repository.mkdir()
            (repository / "new_repository").touch()
            try:
                os.setxattr(repository, "user.revision", revision.encode())
                os.setxattr(repository, "user.host", f"{server.url}/cvmfs/{name}".encode())
            except OSError as error:
                if error.errno == errno.ENOTSUP:
                    pytest.skip("no extended attributes in this file system")
                raise
        names = json.dumps([*REVISIONS, "empty.example.org", "missing.example.org"])
        site = site_file(bench, f'[cvmfs]\nmount = "{bench.folder}/cvmfs"\nrepositories = {names}\n')
        found = diagnose(bench, "--site", site, "--only", "cvmfs", code=37)
    for name, (_, verdict) in REVISIONS.items():
        one = found[f"cvmfs {name}"]
        assert one["verdict"] == verdict
        assert one["facts"]["newest_revision"] == 43
        assert one["facts"]["newest_age_s"] == pytest.approx(7200, abs=60)
    assert "empty folder: not mounted" in found["cvmfs empty.example.org"]["found"]
    assert "missing.example.org: No such file or directory" in found["cvmfs missing.example.org"]["found"]


def test_credentials_that_are_missing_or_old(bench: Bench) -> None:
    environment = {
        "X509_USER_PROXY": "/nowhere/proxy",
        "BEARER_TOKEN": "e30.eyJleHAiOjF9.e30",
        "XrdSecSSSKT": "/nowhere/keytab",
    }
    kinds = ("x509_proxy", "token", "sss")
    doors = "".join(f'[[storage.endpoints]]\nurl = "/x"\ncredential = "{kind}"\n' for kind in kinds)
    found = diagnose(bench, "--site", site_file(bench, doors), "--only", "credential", code=37, **environment)
    assert [found[f"credential {kind}"]["verdict"] for kind in kinds] == ["bad"] * 3
    assert "/nowhere/proxy: No such file" in found["credential x509_proxy"]["found"]
    assert "good until 1970" in found["credential token"]["found"]
    assert "/nowhere/keytab: No such file" in found["credential sss"]["found"]


def test_a_secret_that_others_can_read(bench: Bench) -> None:
    keytab = bench.write("keytab", "0 u:imsim g:users n:key N:1 c:1 e:0 k:00\n")
    keytab.chmod(0o644)
    site = site_file(bench, '[[storage.endpoints]]\nurl = "/x"\ncredential = "sss"\n')
    found = diagnose(bench, "--site", site, "--only", "credential", code=37, XrdSecSSSKT=str(keytab))
    assert "others can read it" in found["credential"]["found"]


def certificate(ends: datetime, lasts: timedelta = timedelta(days=9)) -> bytes:
    """One that signs itself, of Tony."""
    name, key = x509.Name.from_rfc4514_string("CN=Tony"), ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(ends - lasts).not_valid_after(ends)
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


def test_credentials_of_a_worker_whose_clock_is_late(bench: Bench) -> None:
    """And a token agent that has written nothing."""
    proxy = bench.write("proxy", certificate(datetime.now(UTC) + timedelta(hours=9), lasts=timedelta(hours=7)))
    proxy.chmod(0o600)
    doors = "".join(f'[[storage.endpoints]]\nurl = "/x"\ncredential = "{kind}"\n' for kind in ("x509_proxy", "token"))
    environment = {"X509_USER_PROXY": str(proxy), "BEARER_TOKEN_FILE": str(bench.write("token", "\n"))}
    found = diagnose(bench, "--site", site_file(bench, doors), "--only", "credential", code=37, **environment)
    assert "but not before" in found["credential x509_proxy"]["found"]
    assert "clock" in found["credential x509_proxy"]["action"]
    assert found["credential token"]["found"].endswith(": it is empty")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--only", "storge"], 10, "did you mean 'storage'?"),
        (["--site", "nowhere"], 30, "unknown site"),
    ],
    ids=["check", "site"],
)
def test_bad_words(bench: Bench, arguments: list[str], code: int, says: str) -> None:
    done = bench.command(["doctor", *arguments])
    assert done.returncode == code
    assert says in done.stderr
    assert done.stdout == ""


def test_a_folder_that_is_gone(bench: Bench) -> None:
    gone = bench.folder / "gone"
    gone.mkdir()
    code = "import os, sys; os.rmdir(os.getcwd()); os.execv(sys.argv[1], sys.argv[1:])"
    words = [sys.executable, "-c", code, IOD_SITE, "doctor", "local", "--only", "disk"]
    done = subprocess.run(words, cwd=gone, env=bench.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 40
    assert done.stderr.startswith("ERROR: WORKDIR_UNUSABLE: --workdir .: ")


def test_a_wrong_site_file_for_programs(bench: Bench) -> None:
    done = bench.command(["doctor", "--json", "--site", site_file(bench, '[worker]\ncores = "four"\n')])
    assert done.returncode == 30
    assert done.stderr.startswith("ERROR: SITE_INVALID: ")
    document = json.loads(done.stdout)
    assert (document["verdict"], document["exitCode"]) == ("bad", 30)
    assert "example.toml:3: 'worker.cores': expected a whole number" in document["checks"][0]["found"]
