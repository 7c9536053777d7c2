"""`iod-publish verify --http` of releases: what is served is held against their own `release.json`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cvmfs_publish.cli import main
from cvmfs_publish.manifest import write_release
from tests.cvmfs.made import Made, make_repository
from tests.cvmfs.replica import Replica

PLACE = "lsst/toy/1.0"
FACTS = {"name": "toy-1.0", "simulator": "toy", "version": "1.0", "kind": "data", "licence": "CC0-1.0"}


def verified(tmp_path: Path, capsys: pytest.CaptureFixture[str], mutate: Callable[[Path], None]) -> dict[str, Any]:
    """The JSON of a verification of a release that was changed after its manifest was written."""
    tree = tmp_path / "tree" / PLACE / "toy-1.0"
    (tree / "data").mkdir(parents=True)
    (tree / "data/numbers").write_text("1 2 3\n")
    (tree / "empty").touch()
    (tree / "link").symlink_to("data/numbers")
    write_release(tree, FACTS)
    (tmp_path / "tree" / PLACE / ".cvmfscatalog").touch()
    mutate(tree)
    made: Made = make_repository(tmp_path / "web", tmp_path / "tree", PLACE)
    replica = Replica(made.root)
    try:
        code = main(["verify", *made.options(replica.url.partition("/cvmfs/")[0]), "--path", f"/{PLACE}", "--json"])
    finally:
        replica.close()
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["exitCode"] == code
    return document


def test_a_whole_release_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = verified(tmp_path, capsys, lambda tree: None)
    (replica,) = document["replicas"]
    assert (document["exitAcronym"], replica["releases"]) == ("OK", ["toy-1.0"])
    assert replica["files"] == 4  # with release.json and the catalog's marker


def _grow(tree: Path) -> None:
    (tree / "data/numbers").write_text("1 2 4\n")


def _lead_elsewhere(tree: Path) -> None:
    (tree / "link").unlink()
    (tree / "link").symlink_to("empty")


MUTATIONS: dict[str, tuple[Callable[[Path], None], str]] = {
    "changed file": (_grow, "data/numbers is not what release.json says"),
    "missing file": (lambda tree: (tree / "empty").unlink(), "toy-1.0: empty of release.json is not published"),
    "file too many": (lambda tree: (tree / "more").touch(), "more is not in release.json"),
    "other link": (_lead_elsewhere, "link leads to empty: release.json does not say so"),
    "no manifest": (lambda tree: (tree / "release.json").write_text("{}"), "release.json: not a manifest"),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_release_that_is_not_as_its_manifest_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mutation: str
) -> None:
    mutate, says = MUTATIONS[mutation]
    document = verified(tmp_path, capsys, mutate)
    assert document["exitAcronym"] == "CONTENT_DIFFERS"
    assert says in document["replicas"][0]["problem"]
