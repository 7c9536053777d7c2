"""A simulator's way to the worker: built, checked, published twice, switched, run from both, rolled back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.whole_job.bench import Bench

COMMAND = str(Path(sys.executable).with_name("iod-publish"))


class Kit:
    """`iod-publish` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "cvmfs/sw.local"

    def run(self, *words: object, code: int = 0) -> str:
        """A command that ends so; its output."""
        done = subprocess.run(
            [COMMAND, *map(str, words)],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "XDG_STATE_HOME": str(self.folder), "HOME": str(self.folder)},
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    def publish(self, tree: Path) -> None:
        """Check it, then publish it."""
        self.run("check", tree, "--workers", "el9")
        self.run("publish", tree, "--root", self.root, "--base", "lsst")

    def switch(self, command: str, *words: str) -> str:
        """Switch; what is current then."""
        self.run(command, "quicksim-tiny", *words, "--root", self.root, "--base", "lsst")
        link = self.root / "lsst/quicksim-tiny/current"
        return str(link.readlink())


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    """Two versions of quicksim, published."""
    kit = Kit(tmp_path_factory.mktemp("publishing"))
    first = Path(kit.run("build", "quicksim-tiny", "--root", "built", "--tarball").splitlines()[-1])
    patched = kit.folder / "patched"
    subprocess.run(["cp", "-a", kit.folder / first, patched], check=True)
    (patched / "examples/README").write_text("Examples of 1.1.\n")
    words = ("--from", patched, "--prebuilt", "--version", "1.1", "--root", "built")
    second = Path(kit.run("build", "quicksim-tiny", *words, "--workshop", "shop").strip())
    for tree in (first, second):
        kit.publish(kit.folder / tree)
    return kit


@pytest.mark.long
def test_a_job_runs_from_each_version(kit: Kit, bench: Bench) -> None:
    rows = json.loads(kit.run("list", "--json", "--root", kit.root, "--base", "lsst"))
    digests = {row["release"]: row["digest"] for row in rows}
    assert set(digests) == {"quicksim-tiny-1.0", "quicksim-tiny-1.1"}
    for name, digest in digests.items():
        spec = bench.spec(release=name, name=f"from-{name[-3:].replace('.', '-')}")
        outcome = bench.run_job(spec, environment={"IOD_RELEASES": str(kit.root)}, workdir=f"work-{name}")
        assert outcome.exit_code == 0, outcome.stderr
        assert [unit["state"] for unit in outcome.report["units"]] == ["committed"]
        assert digest in json.dumps(outcome.report), "the report names the release that was published"
    changed = json.loads(
        kit.run("diff", "quicksim-tiny-1.0", "quicksim-tiny-1.1", "--root", kit.root, "--base", "lsst", "--json")
    )
    assert (changed["added"], changed["removed"], changed["changed"]) == ([], [], ["examples/README"])


def test_switching_and_rolling_back(kit: Kit, bench: Bench) -> None:
    assert kit.switch("current", "1.0") == "1.0"
    assert kit.switch("current", "1.1") == "1.1"
    assert kit.switch("rollback") == "1.0"
    # Jobs pin a version: the switch is no release, and both versions are there as before.
    outcome = bench.run_job(bench.spec(release="quicksim-tiny-current"), environment={"IOD_RELEASES": str(kit.root)})
    assert outcome.exit_code == 31
    assert "there: quicksim-tiny-1.0, quicksim-tiny-1.1" in outcome.report["exitMsg"]


def test_a_build_is_the_same_twice(kit: Kit) -> None:
    again = kit.run("build", "quicksim-tiny", "--root", "again", "--tarball").splitlines()[0]
    assert (kit.folder / again).read_bytes() == (kit.folder / "built/quicksim-tiny-1.0.tar.gz").read_bytes()
