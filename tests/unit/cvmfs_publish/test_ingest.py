"""The backend `ingest` against the stand-in."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from cvmfs_publish import catalogs
from cvmfs_publish.backends import ingest
from cvmfs_publish.backends.edits import AddRelease
from cvmfs_publish.exits import Exit
from tests.cvmfs.stand_in import StandIn
from tests.unit.cvmfs_publish.kit import FILES, Ended, iod_publish, make_release

pytestmark = pytest.mark.allow_processes


def publish(server: StandIn, tree: Path, *words: object) -> Ended:
    """Publish by ingestion."""
    return iod_publish("publish", tree, "--config", server.config, "--backend", "ingest", *words)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small release with a link."""
    return make_release(tmp_path)


def _tarballs(server: StandIn) -> list[Path]:
    return list(server.home.glob("*.tar*"))


def test_a_tarball_then_a_transaction_that_names_it(server: StandIn, tree: Path) -> None:
    done = publish(server, tree, "--tag", "toy-1.0", "-m", "first", "--json")
    assert done.code == 0, done.err
    ingested, *rest = server.changing_calls()
    assert ingested.startswith(f"ingest -c -t {server.home}/toy-1.0-")
    assert ingested.endswith(".tar -b lsst/toy/1.0 REPO")
    assert rest == ["transaction REPO", "publish -a toy-1.0 -m first REPO"]
    place = server.mount / "lsst/toy/1.0"
    assert (place / "toy-1.0/release.json").read_bytes() == (tree / "release.json").read_bytes()
    assert (place / "toy-1.0/bin/tool").stat().st_mode & 0o777 == 0o755
    assert (place / ".cvmfscatalog").exists()
    assert done.document["revision"] == 3
    assert _tarballs(server) == []
    server.forget_calls()
    assert publish(server, tree).code == 0
    assert server.changing_calls() == []


def test_what_is_ingested_belongs_to_who_will_retire_it(
    server: StandIn, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = set()
    real = ingest.IngestBackend._run_ingest

    def look(self: ingest.IngestBackend, edit: AddRelease) -> None:
        with tarfile.open(self._tarball(edit)) as tar:
            owners.update((member.uid, member.gid) for member in tar)
        real(self, edit)

    monkeypatch.setattr(os, "getgid", lambda: 4711)
    monkeypatch.setattr(ingest.IngestBackend, "_run_ingest", look)
    assert publish(server, tree).code == 0
    assert owners == {(os.getuid(), 4711)}


def test_nested_catalogs_come_with_the_transaction(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogs, "WORTH_ENTRIES", 9)
    spectra = {f"data/SEDs/{number:04}.txt": f"{number}\n" for number in range(10)}
    assert publish(server, make_release(tmp_path, files={**FILES, **spectra})).code == 0
    assert (server.mount / "lsst/toy/1.0/toy-1.0/data/SEDs/.cvmfscatalog").exists()


def test_a_dry_run(server: StandIn, tree: Path) -> None:
    said = publish(server, tree, "--dry-run", "--tag", "toy-1.0")
    assert said.code == 0
    commands = [line for line in said.out.splitlines() if line.startswith("$ ")]
    assert [command.split()[1:3] for command in commands] == [
        ["cvmfs_server", "ingest"],
        ["cvmfs_server", "transaction"],
        ["cvmfs_server", "publish"],
    ]
    assert server.changing_calls() == []
    assert _tarballs(server) == []


def test_a_failing_ingestion_rolls_itself_back(server: StandIn, tree: Path) -> None:
    server.plant("ingest", "yes")
    failed = publish(server, tree)
    assert failed.code == Exit.PUBLISH_FAILED.code
    assert "Impossible to open the archive" in failed.err
    assert len(server.changing_calls()) == 1, "nothing to abort"
    assert _tarballs(server) == []
    assert publish(server, tree).code == 0


def test_an_ingestion_that_stays_open_is_given_up(server: StandIn, tree: Path) -> None:
    server.plant("ingest-stays-open", "yes")
    failed = publish(server, tree)
    assert failed.code == Exit.PUBLISH_FAILED.code
    assert server.changing_calls()[-1] == "abort -f REPO"
    assert not server.facts()["in_transaction"]


def test_somebody_elses_transaction_is_left_alone(server: StandIn, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ingest.write_tarball

    def write_tarball(*words: object) -> None:
        server.change(in_transaction=True)
        real(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(ingest, "write_tarball", write_tarball)
    refused = publish(server, tree)
    assert refused.code == Exit.BUSY.code
    assert server.facts()["in_transaction"]


def test_what_fails_after_the_ingestion_is_finished_by_the_next_run(server: StandIn, tree: Path) -> None:
    server.plant("publish", "the signing failed")
    failed = publish(server, tree, "--tag", "toy-1.0")
    assert failed.code == Exit.PUBLISH_FAILED.code
    assert not server.facts()["in_transaction"]
    assert "toy-1.0" not in server.tags()
    server.forget_calls()
    done = publish(server, tree, "--json")
    assert done.code == 0, done.err
    assert server.changing_calls()[0] == "transaction REPO"
    assert "toy-1.0" in server.tags()
    assert not any(call.startswith("ingest") for call in server.calls())
    assert publish(server, tree).code == 0


@pytest.mark.parametrize("limit", ["_MOST_BYTES", "_LARGEST_FILE_BYTES"])
def test_large_releases_are_refused(limit: str, server: StandIn, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, limit, 10)
    refused = publish(server, tree)
    assert refused.code == Exit.NOT_READY.code
    assert "stratum0" in refused.err
    assert server.changing_calls() == []


def test_other_edits_are_made_in_a_transaction(server: StandIn, tree: Path) -> None:
    publish(server, tree)
    server.forget_calls()
    assert iod_publish("current", "toy", "1.0", "--config", server.config, "--backend", "ingest").code == 0
    assert server.changing_calls() == ["transaction REPO", "publish -m current toy-1.0 REPO"]
