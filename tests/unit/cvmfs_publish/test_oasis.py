"""The backend `oasis`: stage, then ask for the update."""

from __future__ import annotations

from pathlib import Path

import pytest

from cvmfs_publish.exits import Exit
from tests.unit.cvmfs_publish.kit import Ended, iod_publish, make_release

pytestmark = pytest.mark.allow_processes


class Login:
    """A login host, with a script in the place of `osg-oasis-update`."""

    def __init__(self, folder: Path) -> None:
        self.stage = folder / "stage"
        self.stage.mkdir()
        self.log = folder / "updates"
        self.config = folder / "kit.toml"
        self.script = folder / "osg-oasis-update"
        self.config.write_text(
            f'backend = "oasis"\nstate = "{folder}/state"\n'
            f'[oasis]\nstage = "{self.stage}"\nupdate = ["{self.script}", "--quiet"]\n'
        )
        self.answer(0)

    def answer(self, code: int) -> None:
        """Let the update end so."""
        self.script.write_text(f"#!/bin/sh\necho asked $* >> {self.log}\necho queued\nexit {code}\n")
        self.script.chmod(0o755)

    def publish(self, tree: Path, *words: object) -> Ended:
        """Publish from here."""
        return iod_publish("publish", tree, "--config", self.config, *words)

    def updates(self) -> int:
        """How often the update was asked for."""
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


@pytest.fixture
def login(tmp_path: Path) -> Login:
    """A login host."""
    return Login(tmp_path)


def test_stage_then_update(login: Login, tmp_path: Path) -> None:
    tree = make_release(tmp_path)
    done = login.publish(tree, "--json")
    assert done.code == 0, done.err
    assert (login.stage / "toy/1.0/toy-1.0/release.json").exists()
    assert not list(login.stage.rglob(".cvmfscatalog")), "the central update leaves them out"
    assert done.document["tag"] is None
    assert login.updates() == 1
    assert login.publish(tree).code == 0
    assert login.updates() == 1


def test_an_update_that_was_not_asked_for_is_asked_for_again(login: Login, tmp_path: Path) -> None:
    tree = make_release(tmp_path)
    login.answer(9)
    failed = login.publish(tree)
    assert failed.code == Exit.NOT_UPDATED.code
    assert "queued" in failed.err
    login.answer(0)
    done = login.publish(tree)
    assert done.code == 0, done.err
    assert login.updates() == 2
    assert login.publish(tree).code == 0
    assert login.updates() == 2


def test_a_dry_run_names_the_line_to_ask_osg_for(login: Login, tmp_path: Path) -> None:
    said = login.publish(make_release(tmp_path), "--dry-run")
    assert said.code == 0
    assert ".cvmfsdirtab: /<VO>/toy/*" in said.out
    assert f"$ {login.script} --quiet" in said.out
    assert list(login.stage.iterdir()) == []


def test_away_from_the_login_host(login: Login, tmp_path: Path) -> None:
    login.stage.rmdir()
    assert login.publish(make_release(tmp_path)).code == Exit.REPOSITORY_UNKNOWN.code


def test_no_tags_to_go_back_to(login: Login) -> None:
    assert iod_publish("rollback", "--tag", "x", "--config", login.config).code == Exit.NOT_PUBLISHED.code
