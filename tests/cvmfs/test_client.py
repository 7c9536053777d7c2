"""`iod-publish client`: configuration files, the list of files that a unit opens, the state of a mount."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cvmfs_publish.cli import main
from cvmfs_publish.client.condition import condition
from cvmfs_publish.client.opened import Opened

USAGE, MOUNT_BAD = 10, 67
NAME = "sw.example.org"


def config(*more: str) -> list[str]:
    return ["client", "config", "--repository", NAME, "--server", f"http://s1/cvmfs/{NAME}", *more]


def test_configuration_of_a_worker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key").write_text("-----BEGIN PUBLIC KEY-----\n")
    words = config("--proxy", "http://p1:3128|http://p2:3128", "DIRECT", "--public-key", str(tmp_path / "key"))
    assert main([*words, "--json"]) == 0
    files = json.loads(capsys.readouterr().out)
    assert set(files) == {
        "/etc/cvmfs/default.local", f"/etc/cvmfs/config.d/{NAME}.conf", f"/etc/cvmfs/keys/{NAME}.pub"
    }  # fmt: skip
    assert 'CVMFS_HTTP_PROXY="http://p1:3128|http://p2:3128;DIRECT"\n' in files["/etc/cvmfs/default.local"]
    assert 'CVMFS_SERVER_URL="http://s1/cvmfs/@fqrn@"\n' in files[f"/etc/cvmfs/config.d/{NAME}.conf"]
    assert main([*words, "--out", str(tmp_path / "root")]) == 0
    for path, content in files.items():
        assert (tmp_path / "root" / path.lstrip("/")).read_text() == content


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (config("--proxy", 'http://p";reboot'), "is no URL of a proxy"),
        (config("--proxy", "https://p"), "is no URL of a proxy"),
        (config("--quota-mb", "10"), "too small"),
        (config("--cache", "$HOME"), "no folder"),
        (["client", "config", "--repository", "../x", "--server", "http://s"], "no repository name"),
        (["client", "config", "--repository", NAME, "--server", "DIRECT"], "is no URL of a server"),
        (config("--public-key", "/nowhere"), "--public-key /nowhere"),
        (config("--out", "/dev/null/x"), "--out /dev/null/x"),
    ],
)
def test_what_a_shell_must_not_read_is_refused(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == USAGE
    assert says in capsys.readouterr().err


def test_files_that_one_unit_opens(tiny_release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["client", "warm-up", str(tiny_release), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"bin/raytrace", "default_instcat", "phosim.py", "data/lsst/segmentation.txt"} <= set(found["files"])
    listed = {one["path"]: one["size"] for one in json.loads((tiny_release / "release.json").read_text())["files"]}
    assert set(found["files"]) < set(listed)
    assert found["size_bytes"] == sum(listed[path] for path in found["files"])


def test_opened_files_are_seen_and_others_are_not(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("folder/a", "folder/b", "c"):
        (tmp_path / name).write_text(name)
    watch = Opened(tmp_path)
    assert (tmp_path / "folder/a").read_text() == "folder/a"
    assert (tmp_path / "c").read_text() == "c"
    (tmp_path / "folder/b").stat()
    assert watch.end() == ["c", "folder/a"]


def attributes(monkeypatch: pytest.MonkeyPatch, **known: str) -> None:
    monkeypatch.setattr("cvmfs_publish.client.condition.attributes", lambda _: known)


def test_a_fit_mount(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "cvmfs_config"
    program.write_text("#!/bin/sh\necho CVMFS_TIMEOUT=5\necho 'CVMFS_QUOTA_LIMIT=4000    # from default.local'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    attributes(monkeypatch, fqrn=NAME, proxy="http://p:3128", nioerr="0", revision="7", host="http://s1")
    assert [one.verdict for one in condition(tmp_path, 500_000_000)] == ["ok", "ok", "ok"]
    assert [one.what for one in condition(tmp_path, 3_000_000_000) if one.verdict == "bad"] == [
        "the cache may hold 4,000 MB, one unit reads 3,000 MB"
    ]


def test_a_mount_in_trouble(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    attributes(monkeypatch, fqrn=NAME, proxy="DIRECT", nioerr="3", revision="7")
    assert [one.verdict for one in condition(tmp_path, 1)] == ["note", "bad", "ok", "note"]


def test_no_mount(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["client", "check", str(tmp_path)]) == MOUNT_BAD
    assert "is not on a CVMFS mount" in capsys.readouterr().out
