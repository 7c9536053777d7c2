"""Secrets of every kind are planted, and then looked for in all that a job prints, writes and starts."""

from __future__ import annotations

import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.catalog_server import CatalogServer, catalog_server
from tests.servers.credentials import Authority, user_certificate
from tests.servers.webdav_server import WebDavServer
from tests.whole_job.aftermath import Outcome
from tests.whole_job.bench import Bench
from tests.whole_job.sky import one_star

SECRETS = {
    "password of a catalog": "hush-hush-catalog",
    "token of a catalog": "psst-catalog-4711",
    "token of the spectra": "psst-commands-4712",
    "token of the output": "psst-output-4713",
    "bearer token": "eyJhbGciOiJub25lIn0.planted-bearer.c2ln",
    "bearer token in a file": "eyJhbGciOiJub25lIn0.planted-file.c2ln",
    "password of the catalog service": "planted-rucio-password",
    "key of a cloud": "planted-cloud-key",
}
SITE = """\
name = "planted"
[catalog]
kind = "sqlite"
path = "{folder}/images.sqlite"
[catalog.rucio]
host = "https://rucio.invalid"
account = "imsim"
username = "imsim-user"
auth = "userpass"
secret = "env:RUCIO_JOB_PASSWORD"
scope = "user.imsim"
rse = "X"
[[storage.endpoints]]
url = "{store}"
single_writer = true
"""


@contextmanager
def spying() -> Iterator[set[str]]:
    """Command lines of all processes of this machine that hold a secret while the block runs."""
    seen: set[str] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    words = path.read_bytes().decode("utf-8", "replace")
                except OSError:
                    continue
                seen.update(words for secret in SECRETS.values() if secret in words)

    spy = threading.Thread(target=look, daemon=True)
    spy.start()
    try:
        yield seen
    finally:
        stop.set()
        spy.join()


@pytest.fixture
def web() -> Iterator[CatalogServer]:
    with catalog_server() as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WebDavServer]:
    (tmp_path / "webdav").mkdir()
    server = WebDavServer(tmp_path / "webdav")
    yield server
    server.close()


def plant(folder: Path) -> dict[str, str]:
    """Secrets in the environment, and in the files that it names; the proxy is a real one, or nobody would read it."""
    keys, proxy, token = folder / "keys", folder / "x509up", folder / "token"
    keys.mkdir()
    proxy.write_text(user_certificate(Authority(keys), keys, days=1))
    token.write_text(SECRETS["bearer token in a file"])
    proxy.chmod(0o600)
    token.chmod(0o600)
    return {
        "BEARER_TOKEN": SECRETS["bearer token"],
        "BEARER_TOKEN_FILE": str(token),
        "X509_USER_PROXY": str(proxy),
        "RUCIO_JOB_PASSWORD": SECRETS["password of the catalog service"],
        "AWS_SECRET_ACCESS_KEY": SECRETS["key of a cloud"],
    }


def found_in(outcome: Outcome, *more: Path) -> list[tuple[str, str]]:
    """Which secret is where: on the screen, in a file of the work folder, in what stands at the destination."""
    texts = {"stdout": outcome.stdout.encode(), "stderr": outcome.stderr.encode()}
    for folder in (outcome.workdir, *more):
        for path in [folder, *folder.rglob("*")]:
            if path.is_file():
                texts[str(path)] = path.read_bytes()
            if path.name.endswith(".tar.gz"):
                with tarfile.open(path) as bundle:
                    for member in bundle:
                        content = bundle.extractfile(member) if member.isfile() else None
                        texts[f"{path}/{member.name}"] = content.read() if content else b""
    assert [where for where in texts if "raytrace" in where]
    return [
        (what, where)
        for where, text in texts.items()
        for what, one in {**SECRETS, "key": "PRIVATE KEY"}.items()
        if one.encode() in text
    ]


def in_secret(url: str, token: str) -> str:
    return f"{url.replace('//', '//tonyj:' + SECRETS['password of a catalog'] + '@', 1)}?authz={token}"


@pytest.mark.parametrize("goes_well", [True, False], ids=["done", "failed"])
def test_no_secret_is_seen_anywhere(
    bench: Bench, tmp_path: Path, web: CatalogServer, store: WebDavServer, goes_well: bool
) -> None:
    """A job with debug bundles that is done; and one whose simulator fails, which has much more to tell."""
    sky = web.put("sky.txt", one_star().encode())
    commands = web.put("commands.txt", b"zenith_v 22\n")
    bench.break_stage("raytrace", "env >&2; sleep 0.3; " + ("real" if goes_well else "echo broken >&2; exit 3"))
    (tmp_path / "site.toml").write_text(SITE.format(folder=tmp_path, store=store.url))
    spec = bench.spec(
        catalogs=[in_secret(sky, SECRETS["token of a catalog"])],
        commands=[in_secret(commands, SECRETS["token of the spectra"])],
        output={"base": f"{store.url}?authz={SECRETS['token of the output']}"},
        debug=True,
        attempts=1,
    )
    with spying() as seen:
        words = ["--job", str(bench.write("job.json", json.dumps(spec))), "--site", str(tmp_path / "site.toml")]
        done = bench.command(["run", *words, "--workdir", str(tmp_path / "work")], environment=plant(tmp_path))
    outcome = Outcome(
        exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr, workdir=tmp_path / "work", store=store.store
    )
    assert (outcome.exit_code == 0) is goes_well, outcome.stderr
    assert bench.starts()
    assert list(store.store.rglob(".debug/*.tar.gz"))
    assert not seen
    assert found_in(outcome, store.store, tmp_path / "images.sqlite") == []
