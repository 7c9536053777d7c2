"""Finding a simulator release, and what a broken one says."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.samples import failure_of, make_release
from transformation.model.failures import Failure, JobError
from transformation.simulator.release import Sidecar, find_release, list_releases, open_release


def refused(call: Callable[[], object]) -> tuple[Failure, str]:
    with pytest.raises(JobError) as caught:
        call()
    return failure_of(caught.value)


@pytest.mark.parametrize(
    "place",
    [
        "phosim-3.4.2",
        "phosim/3.4.2/phosim-3.4.2",
        "lsst/phosim/3.4.2/phosim-3.4.2",
        "lsst/software/x86_64/phosim/3.4.2/phosim-3.4.2",
        "a/b/c/d/phosim/3.4.2/phosim-3.4.2",
    ],
)
def test_a_release_is_found(tmp_path: Path, place: str) -> None:
    make_release(tmp_path / place)
    make_release(tmp_path / "phosim/3.4.1/phosim-3.4.1")
    release = find_release("phosim-3.4.2", [tmp_path / "not there", tmp_path])
    assert release.root == tmp_path / place
    assert release.name == "phosim-3.4.2"


def test_a_release_that_lies_too_deep_is_not_found_but_listed(tmp_path: Path) -> None:
    make_release(tmp_path / "a/b/c/d/e/phosim/3.4.2/phosim-3.4.2")
    assert refused(lambda: find_release("phosim-3.4.2", [tmp_path]))[0] is Failure.RELEASE_UNKNOWN


def test_the_first_root_wins_and_the_direct_child_within_it(tmp_path: Path) -> None:
    for place in ("a/phosim/3.4.2/phosim-3.4.2", "a/phosim-3.4.2", "b/phosim-3.4.2"):
        make_release(tmp_path / place)
    assert find_release("phosim-3.4.2", [tmp_path / "a", tmp_path / "b"]).root == tmp_path / "a/phosim-3.4.2"
    assert find_release("phosim-3.4.2", [tmp_path / "b", tmp_path / "a"]).root == tmp_path / "b/phosim-3.4.2"


def test_a_simulator_may_have_a_dash_in_its_name(tmp_path: Path) -> None:
    make_release(tmp_path / "quicksim-tiny/1.0/quicksim-tiny-1.0")
    assert find_release("quicksim-tiny-1.0", [tmp_path]).name == "quicksim-tiny-1.0"


def test_a_relative_root_gives_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_release(tmp_path / "phosim-3.4.2")
    monkeypatch.chdir(tmp_path)
    assert find_release("phosim-3.4.2", [Path()]).root == tmp_path / "phosim-3.4.2"


def test_an_unknown_release_is_told_what_there_is(tmp_path: Path) -> None:
    make_release(tmp_path / "a/phosim/3.4.2/phosim-3.4.2")
    make_release(tmp_path / "b/quicksim-1.0")
    roots = [tmp_path / "a", tmp_path / "b"]
    assert list_releases(roots) == ["phosim-3.4.2", "quicksim-1.0"]
    assert refused(lambda: find_release("phosim-3.5", roots)) == (
        Failure.RELEASE_UNKNOWN,
        f"release 'phosim-3.5' is not in {roots[0]}, {roots[1]}; there: phosim-3.4.2, quicksim-1.0",
    )


def test_an_empty_area_says_so(tmp_path: Path) -> None:
    assert refused(lambda: find_release("x", [tmp_path]))[1].endswith("there: none")


@pytest.mark.parametrize("roots", [[], ["not there"], ["not there", "file"]])
def test_no_readable_area_is_another_failure(tmp_path: Path, roots: list[str]) -> None:
    (tmp_path / "file").write_text("")
    failure, detail = refused(lambda: find_release("phosim-3.4.2", [tmp_path / root for root in roots]))
    assert failure is Failure.RELEASE_UNREACHABLE
    assert str(tmp_path / roots[0]) in detail if roots else "none configured" in detail


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    make_release(tmp_path / "b/phosim/3.4.2/phosim-3.4.2")
    (tmp_path / "a").mkdir(mode=0)
    try:
        assert find_release("phosim-3.4.2", [tmp_path]).name == "phosim-3.4.2"
    finally:
        (tmp_path / "a").chmod(0o700)


def test_what_a_release_says_of_itself(tmp_path: Path) -> None:
    options = {"threads": True, "checkpoint": False}
    root = make_release(
        tmp_path / "r-1", memory_bytes=5, missing_sed="flat", options=options, instrument="comcam", version="1"
    )
    release = open_release(root)
    assert (release.facts.memory_bytes, release.facts.missing_sed, release.facts.options.threads) == (5, "flat", True)
    assert release.manifest_sha256 == hashlib.sha256((root / "release.json").read_bytes()).hexdigest()
    assert len(release.sensors) == 205
    assert (release.bin, release.default_instcat) == (root / "bin", root / "default_instcat")


@pytest.mark.parametrize(
    ("interpreter", "argv0"),
    [
        (None, sys.executable),
        ("python2.7", "python2.7"),
        ("/usr/bin/python2", "/usr/bin/python2"),
        ("python/bin/python", "ROOT/python/bin/python"),
    ],
)
def test_who_runs_the_driver(tmp_path: Path, interpreter: str | None, argv0: str) -> None:
    root = make_release(tmp_path / "r-1", interpreter=interpreter)
    assert open_release(root).driver_argv == (argv0.replace("ROOT", str(root)), str(root / "phosim.py"))


@pytest.mark.parametrize(
    "missing",
    [
        "phosim.py",
        "default_instcat",
        "bin/trim",
        "bin/raytrace",
        "bin/e2adc",
        "data/lsst/segmentation.txt",
        "data/lsst/focalplanelayout.txt",
        "release.json",
    ],
)
def test_a_release_without_a_file_is_broken(tmp_path: Path, missing: str) -> None:
    root = make_release(tmp_path / "phosim-3.4.2")
    (root / missing).unlink()
    failure, detail = refused(lambda: open_release(root))
    assert failure is Failure.RELEASE_BROKEN
    assert str(root) in detail
    assert missing in detail


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("release.json", b"{", "truncated"),
        ("release.json", b'{"name": "x"}', "simulator"),
        ("release.json", b'{"name": "x", "simulator": "x", "version": 1}', "$.version"),
        ("release.json", b'{"name": "\\u001f", "simulator": "x", "version": "1"}', "$.name"),
        ("release.json", b'{"name": "x", "simulator": "../x", "version": "1"}', "$.simulator"),
        ("release.json", b'{"name": "x", "simulator": "x", "version": "1", "missing_sed": "no"}', "$.missing_sed"),
        ("data/lsst/focalplanelayout.txt", b"R22_S11 Group0\n", "line 1"),
        ("data/lsst/focalplanelayout.txt", b"R22_S11 0 0 10 4000 4072 CCD Group0 zern\n", "line 1"),
        ("data/lsst/focalplanelayout.txt", b"\xff\xfe", "utf-8"),
        ("data/lsst/segmentation.txt", b"R22_S11 16\n", "line 1"),
    ],
)
def test_a_release_with_a_bad_file_is_broken(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    root = make_release(tmp_path / "phosim-3.4.2")
    (root / name).write_bytes(content)
    failure, detail = refused(lambda: find_release("phosim-3.4.2", [tmp_path]))
    assert failure is Failure.RELEASE_BROKEN
    assert str(root) in detail
    assert words in detail


def test_the_search_gives_up_in_a_huge_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformation.simulator.release._MOST_FOLDERS", 20)
    for at in range(30):
        (tmp_path / f"a{at:02d}" / "below").mkdir(parents=True)
    make_release(tmp_path / "a29/below/phosim/9.9/phosim-9.9")
    make_release(tmp_path / "a05/phosim/3.4.2/phosim-3.4.2")
    assert find_release("phosim-3.4.2", [tmp_path]).root == tmp_path / "a05/phosim/3.4.2/phosim-3.4.2"
    assert refused(lambda: find_release("phosim-9.9", [tmp_path]))[0] is Failure.RELEASE_UNKNOWN


def test_data_and_runtimes_are_not_offered(tmp_path: Path) -> None:
    make_release(tmp_path / "phosim-3.4.2")
    for name, kind in (("phosim-seds-2014", "data"), ("imsim-runtime-0.1.0", "runtime")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "release.json").write_text(f'{{"kind": "{kind}"}}')
    assert list_releases([tmp_path]) == ["phosim-3.4.2"]


def test_a_release_is_not_searched_for_others(tmp_path: Path) -> None:
    make_release(tmp_path / "phosim-3.4.2")
    make_release(tmp_path / "phosim-3.4.2/old/phosim-3.4.1")
    assert list_releases([tmp_path]) == ["phosim-3.4.2"]


def test_the_embedded_release_opens(tiny_release: Path) -> None:
    release = find_release("quicksim-tiny-1.0", [tiny_release.parent])
    assert release.root == tiny_release
    assert release.facts.missing_sed == "flat"
    assert 0 < release.facts.memory_bytes < 2_000_000_000


PHOSIM_FACTS = {"simulator": "phosim", "version": "3.4.2", "interpreter": "/opt/python2.7", "instrument": "lsst"}


def bare_tree(folder: Path) -> Path:
    """An installed simulator that nobody has made a release of."""
    make_release(folder)
    (folder / "release.json").unlink()
    return folder


def test_a_sidecar_stands_for_the_release_json_that_an_installed_tree_lacks(tmp_path: Path) -> None:
    tree = bare_tree(tmp_path / "opt/phosim")
    release = find_release("phosim-3.4.2", [], {"phosim-3.4.2": Sidecar(tree=tree, facts=PHOSIM_FACTS)})
    assert (release.root, release.name) == (tree, "phosim-3.4.2")
    assert release.driver_argv == ("/opt/python2.7", str(tree / "phosim.py"))


def test_other_facts_make_another_release(tmp_path: Path) -> None:
    tree = bare_tree(tmp_path / "opt/phosim")
    facts = [PHOSIM_FACTS, dict(reversed(PHOSIM_FACTS.items())), {**PHOSIM_FACTS, "version": "3.4.3"}]
    hashes = [find_release("p", [], {"p": Sidecar(tree=tree, facts=one)}).manifest_sha256 for one in facts]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("tree", "facts", "failure", "words"),
    [
        ("nowhere", PHOSIM_FACTS, Failure.RELEASE_UNREACHABLE, "which the site file names, is not readable"),
        ("opt/phosim", {"simulator": "phosim"}, Failure.RELEASE_BROKEN, "`version`"),
    ],
)
def test_a_sidecar_that_is_wrong(
    tmp_path: Path, tree: str, facts: dict[str, str], failure: Failure, words: str
) -> None:
    bare_tree(tmp_path / "opt/phosim")
    found = refused(lambda: find_release("p", [], {"p": Sidecar(tree=tmp_path / tree, facts=facts)}))
    assert found[0] is failure
    assert words in found[1]


def test_sidecars_are_listed_among_what_there_is(tmp_path: Path) -> None:
    make_release(tmp_path / "phosim-3.4.2")
    sidecars = {"phosim-3.2": Sidecar(tree=tmp_path / "opt/phosim", facts=PHOSIM_FACTS)}
    assert refused(lambda: find_release("x", [tmp_path], sidecars))[1].endswith("there: phosim-3.2, phosim-3.4.2")
