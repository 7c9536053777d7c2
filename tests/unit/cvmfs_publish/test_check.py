"""Every bad case that the check knows, planted in a good tree: it is found, with a cure, and mended if it can be."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cvmfs_publish.checks.check import check
from cvmfs_publish.checks.findings import RULES
from cvmfs_publish.checks.names import name_findings
from cvmfs_publish.checks.tree import Demands
from cvmfs_publish.manifest import read_release
from tests.unit.cvmfs_publish.kit import describe, iod_publish, make_release, write_tree

DEMANDS = Demands(machine="x86_64", build_paths=("/build/phosim",), largest_file_bytes=1_000_000)
pytestmark = pytest.mark.allow_processes  # sockets as special files


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Something wrong, and what the check is to say."""

    rule: str
    path: str
    spoil: Callable[[Path], object]
    again: bool = True
    """Whether the manifest is written after it, so that this is all that is wrong."""
    fixable: bool = False


def _write(path: str, content: str | bytes = "x\n", mode: int = 0o644) -> Callable[[Path], None]:
    def spoil(tree: Path) -> None:
        target = tree / path
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        target.chmod(mode)

    return spoil


def _link(path: str, target: str) -> Callable[[Path], None]:
    return lambda tree: (tree / path).symlink_to(target)


def _own_path(tree: Path) -> None:
    _write("bin/setup.sh", f"#!/bin/sh\nexport HERE={tree}/data\n", 0o755)(tree)


def _absolute_link(tree: Path) -> None:
    (tree / "data/copy.txt").symlink_to(tree.resolve() / "data/table.txt")


def _hard_link(tree: Path) -> None:
    os.link(tree / "data/table.txt", tree / "data/twin.txt")


def _socket(tree: Path) -> None:
    here = Path.cwd()
    os.chdir(tree)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
    os.chdir(here)


def _big(tree: Path) -> None:
    with (tree / "data/big.bin").open("wb") as file:
        file.truncate(1_000_001)
    (tree / "data/big.bin").chmod(0o644)


def _chmod(path: str, mode: int) -> Callable[[Path], None]:
    return lambda tree: (tree / path).chmod(mode)


def _attribute(tree: Path) -> None:
    try:
        os.setxattr(tree / "README", "user.colour", b"red")
    except OSError:
        pytest.skip("this file system has no extended attributes")


KEY = "-----BEGIN RSA PRIVATE" + " KEY-----\n"

CASES = {
    "control": Case(rule="name-control", path="data/a\nb", spoil=_write("data/a\nb")),
    "cvmfs name": Case(rule="name-cvmfs", path=".cvmfsdirtab", spoil=_write(".cvmfsdirtab")),
    "own marker": Case(
        rule="name-cvmfs", path="data/.cvmfscatalog", spoil=_write("data/.cvmfscatalog", ""), fixable=True
    ),
    "capitals": Case(rule="name-case", path="readme", spoil=_write("readme")),
    "accents": Case(
        rule="name-unicode",
        path="data/\u00e9",
        spoil=lambda tree: (_write("data/e\u0301")(tree), _write("data/\u00e9")(tree)),
    ),
    "git": Case(rule="litter-vcs", path=".git", spoil=_write(".git/config")),
    "editor": Case(rule="litter", path="data/table.txt~", spoil=_write("data/table.txt~"), fixable=True),
    "object file": Case(rule="litter", path="bin/tool.o", spoil=_write("bin/tool.o"), fixable=True),
    "compiled by time": Case(
        rule="litter", path="data/m.pyc", spoil=_write("data/m.pyc", b"\xa7\r\r\n" + bytes(12)), fixable=True
    ),
    "core dump": Case(
        rule="litter",
        path="core.42",
        spoil=_write("core.42", b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x04\x00" + bytes(64)),
        fixable=True,
    ),
    "of a run": Case(rule="litter", path="work/screen.fits", spoil=_write("work/screen.fits")),
    "empty folder": Case(rule="folder-empty", path="output", spoil=lambda tree: (tree / "output").mkdir()),
    "unreadable": Case(rule="mode-unreadable", path="README", spoil=_chmod("README", 0o600), fixable=True),
    "closed folder": Case(rule="mode-unreadable", path="data", spoil=_chmod("data", 0o700), fixable=True),
    "set-id": Case(rule="mode-setid", path="bin/tool", spoil=_chmod("bin/tool", 0o4755), fixable=True, again=False),
    "for all to write": Case(rule="mode-writable", path="README", spoil=_chmod("README", 0o666), fixable=True),
    "pipe": Case(rule="special-file", path="pipe", spoil=lambda tree: os.mkfifo(tree / "pipe")),
    "socket": Case(rule="special-file", path="socket", spoil=_socket),
    "hard link": Case(rule="hard-link", path="data/twin.txt", spoil=_hard_link, fixable=True),
    "attribute": Case(rule="attributes", path="README", spoil=_attribute),
    "absolute link": Case(rule="link-absolute", path="data/copy.txt", spoil=_absolute_link, fixable=True),
    "absolute link outside": Case(rule="link-absolute", path="data/os", spoil=_link("data/os", "/etc/os-release")),
    "leaving link": Case(rule="link-outside", path="data/up", spoil=_link("data/up", "../../other")),
    "dangling link": Case(rule="link-dangling", path="data/lost", spoil=_link("data/lost", "nothing")),
    "circle": Case(rule="link-dangling", path="data/a", spoil=_link("data/a", "a")),
    "variant link": Case(rule="link-variant", path="current", spoil=_link("current", "$(PHOSIM:-/x)")),
    "foreign interpreter": Case(
        rule="shebang", path="bin/run", spoil=_write("bin/run", "#!/opt/conda/bin/python\n", 0o755)
    ),
    "carriage return": Case(rule="shebang", path="bin/run", spoil=_write("bin/run", "#!/bin/sh\r\nls\r\n", 0o755)),
    "python 2": Case(rule="shebang-python", path="bin/run", spoil=_write("bin/run", "#!/usr/bin/env python\n", 0o755)),
    "cannot be started": Case(
        rule="mode-not-executable", path="bin/run", spoil=_write("bin/run", "#!/bin/sh\n", 0o644)
    ),
    "staging path": Case(rule="build-path", path="bin/setup.sh", spoil=_own_path),
    "listed build path": Case(
        rule="build-path", path="data/make.log", spoil=_write("data/make.log", "cd /build/phosim/source\n")
    ),
    "home in a script": Case(
        rule="build-path", path="bin/run", spoil=_write("bin/run", "#!/bin/sh\n. /home/builder/env.sh\n", 0o755)
    ),
    "home in a text": Case(rule="foreign-path", path="NOTES", spoil=_write("NOTES", "see /home/builder/notes\n")),
    "build path in a binary": Case(
        rule="build-path-binary", path="data/m.bin", spoil=_write("data/m.bin", b"\0\1/build/phosim/x.c\0" * 9)
    ),
    "private key": Case(rule="secret", path="data/key.pem", spoil=_write("data/key.pem", KEY)),
    "token": Case(rule="secret", path="NOTES", spoil=_write("NOTES", "ghp_" + "a1B2" * 9 + "\n")),
    "proxy": Case(rule="secret", path="data/x509up_u1000", spoil=_write("data/x509up_u1000")),
    "large": Case(rule="file-large", path="data/big.bin", spoil=_big, again=False),
    "archive": Case(
        rule="archive-inside", path="data/all.zip", spoil=_write("data/all.zip", b"PK\x03\x04" + bytes(30))
    ),
    "lost file": Case(
        rule="manifest-file-missing", path="README", spoil=lambda tree: (tree / "README").unlink(), again=False
    ),
    "extra file": Case(rule="manifest-file-extra", path="NEWS", spoil=_write("NEWS"), again=False),
    "other content": Case(
        rule="manifest-file-changed", path="data/table.txt", spoil=_write("data/table.txt", "1 2 4\n"), again=False
    ),
    "other size": Case(
        rule="manifest-file-changed", path="data/table.txt", spoil=_write("data/table.txt", "1\n"), again=False
    ),
    "other mode": Case(
        rule="manifest-mode", path="bin/tool", spoil=_chmod("bin/tool", 0o644), again=False, fixable=True
    ),
    "other link": Case(rule="manifest-link", path="data/new", spoil=_link("data/new", "table.txt"), again=False),
    "no manifest": Case(
        rule="manifest-missing", path="release.json", spoil=lambda tree: (tree / "release.json").unlink(), again=False
    ),
    "broken manifest": Case(
        rule="manifest-invalid", path="release.json", spoil=_write("release.json", "{}"), again=False
    ),
}


def _spoiled(case: Case, parent: Path) -> Path:
    tree = make_release(parent)
    case.spoil(tree)
    if case.again:
        describe(tree)
    return tree


def test_a_good_tree_passes(tmp_path: Path) -> None:
    verdict = check(make_release(tmp_path), DEMANDS)
    assert verdict.findings == ()
    assert verdict.passed


@pytest.mark.parametrize("name", CASES)
def test_is_found(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    verdict = check(_spoiled(case, tmp_path), DEMANDS)
    found = [(finding.rule, finding.path) for finding in verdict.findings]
    assert (case.rule, case.path) in found
    if case.again:
        others = {rule for rule, _ in found} - {case.rule}
        assert not others, f"more than was spoiled: {verdict.findings}"
    assert all(finding.cure for finding in verdict.findings)
    assert [one.fixable for one in verdict.findings if (one.rule, one.path) == (case.rule, case.path)] == [case.fixable]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.fixable])
def test_is_mended(name: str, tmp_path: Path) -> None:
    tree = _spoiled(CASES[name], tmp_path)
    mended = iod_publish("check", tree, "--fix", "--json")
    assert mended.code == 0, mended.out
    assert mended.document["findings"] == []
    assert mended.document["fixed"]


def test_mending_keeps_contents(tmp_path: Path) -> None:
    tree = make_release(tmp_path)
    before = {entry.path: entry.sha256 for entry in read_release(tree).files}
    for case in CASES.values():
        if case.fixable and case.again:
            case.spoil(tree)
    describe(tree)
    assert iod_publish("check", tree, "--fix").code == 0
    after = {entry.path: entry.sha256 for entry in read_release(tree).files}
    assert {path: after[path] for path in before} == before


def test_all_findings_come_at_once(tmp_path: Path) -> None:
    tree = make_release(tmp_path)
    spoiled = ["control", "git", "unreadable", "pipe", "dangling link", "private key", "hard link"]
    for name in spoiled:
        CASES[name].spoil(tree)
    describe(tree)
    found = iod_publish("check", tree, "--json")
    assert found.code == 23
    assert {CASES[name].rule for name in spoiled} <= {finding["rule"] for finding in found.document["findings"]}
    assert found.document["errors"] == len([one for one in found.document["findings"] if one["severity"] == "error"])


def test_names_are_printed_safely(tmp_path: Path) -> None:
    tree = make_release(tmp_path)
    (tree / "data/a\x1b[31mred\nline").write_text("x")
    describe(tree)
    said = iod_publish("check", tree)
    assert said.code == 23
    assert "\x1b" not in said.out
    assert "data/a\\x1b[31mred\\nline" in said.out


def test_targets_of_links_are_printed_safely(tmp_path: Path) -> None:
    tree = make_release(tmp_path)
    (tree / "data/lost").symlink_to("a\x1b[31m")
    describe(tree)
    said = iod_publish("check", tree)
    assert "\x1b" not in said.out
    assert "leads to a\\x1b[31m" in said.out


def test_strict_counts_warnings(tmp_path: Path) -> None:
    tree = make_release(tmp_path)
    CASES["home in a text"].spoil(tree)
    describe(tree)
    assert iod_publish("check", tree).code == 0
    assert iod_publish("check", tree, "--strict").code == 23


def test_waived_rules_do_not_count(tmp_path: Path) -> None:
    tree = make_release(tmp_path)
    CASES["capitals"].spoil(tree)
    describe(tree)
    config = tmp_path / "kit.toml"
    config.write_text('[check]\nwaive = ["name-case"]\n')
    assert iod_publish("check", tree).code == 23
    assert iod_publish("check", tree, "--config", config).code == 0


def test_a_taken_version_is_said_before_publishing(tmp_path: Path) -> None:
    old = make_release(tmp_path / "old")
    root = tmp_path / "root"
    assert iod_publish("publish", old, "--root", root).code == 0
    assert iod_publish("check", old, "--root", root).code == 0
    other = make_release(tmp_path / "new", files={"README": "another\n", "LICENSE": "x\n"})
    said = iod_publish("check", other, "--root", root, "--json")
    assert said.code == 23
    assert [finding["rule"] for finding in said.document["findings"]] == ["version-exists"]


def test_a_hashed_pyc_is_no_litter(tmp_path: Path) -> None:
    tree = make_release(tmp_path)
    (tree / "data/m.pyc").write_bytes(b"\xa7\r\r\n\x01" + bytes(11))
    (tree / "data/m.pyc").chmod(0o644)
    describe(tree)
    assert check(tree, DEMANDS).findings == ()


@pytest.mark.parametrize(
    ("path", "rule"), [("d/" + "n" * 256, "name-long"), ("d/\udcff", "name-encoding"), ("d/\x7f", "name-control")]
)
def test_names_that_file_systems_forbid(path: str, rule: str) -> None:
    assert [finding.rule for finding in name_findings(path)] == [rule]


def test_a_name_that_is_no_utf8_is_found_and_not_described(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "toy-1.0")
    Path(os.fsdecode(bytes(tree / "data") + b"/caf\xe9")).write_text("x")
    said = iod_publish("check", tree, "--json")
    assert "name-encoding" in [finding["rule"] for finding in json.loads(said.out)["findings"]]
    assert iod_publish("build", "toy", "--from", tree, "--version", "1.0", "--prebuilt", "--kind", "data").code == 13


def test_every_rule_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/iod-publish.md").read_text()
    missing = [rule for rule in RULES if f"| `{rule}` |" not in page]
    assert missing == []
