"""`iod-publish verify` on a real repository's bytes: what is proven, and that nothing false passes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cvmfs_publish.cli import main
from cvmfs_publish.manifest import write_release
from cvmfs_publish.repository.http import Route
from cvmfs_publish.repository.reader import Tree, checksum, open_state
from tests.cvmfs.replica import NAME, NOW, LyingProxy, Replica, unpack

UNREACHABLE, SIGNATURE_BAD, NOT_THERE, OBJECTS_BAD, POLICY, WHITELIST, MOUNT_BAD, LATE = 60, 61, 63, 64, 65, 33, 67, 68
MANIFEST, WHITELIST_FILE = ".cvmfspublished", ".cvmfswhitelist"
Verify = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("repository"))


@pytest.fixture
def replica(pristine: Path) -> Iterator[Replica]:
    one = Replica(pristine)
    yield one
    one.close()


@pytest.fixture
def verify(pristine: Path, replica: Replica, capsys: pytest.CaptureFixture[str]) -> Verify:
    def run(*more: str, urls: tuple[str, ...] = ()) -> tuple[int, dict[str, Any]]:
        words = ["verify", "--http", *(urls or (replica.url,)), "--repository", NAME, "--json", "--timeout", "5"]
        key = str(pristine / "test.example.org.pub")
        options = {"--public-key": key, "--now": NOW}
        given = [word for name, value in options.items() if name not in more for word in (name, value)]
        code = main([*words, *given, *more])
        out, err = capsys.readouterr()
        assert (code == 0) == ('"exitAcronym": "OK",\n "remedy": null' in out) or err
        return code, json.loads(out) if out else {"error": err}

    return run


def only(document: dict[str, Any]) -> dict[str, Any]:
    (one,) = document["replicas"]
    return one


def test_the_whole_repository_is_proven(verify: Verify, pristine: Path, replica: Replica) -> None:
    code, document = verify()
    assert code == 0, document
    found = only(document)
    assert (found["revision"], found["revisions_behind"], document["newest_revision"]) == (3, 0, 3)
    readable = (pristine / "extra/tree-rev3.sha256").read_text().splitlines()
    assert found["files"] == len(readable) + 1  # and one that only its owner may read
    assert found["notes"] == ["/lsst/phosim/3.3.3/phosim-3.3.3/data/unreadable.txt has mode 0600: jobs cannot read it"]
    assert 3600 < found["whitelist_days"] < 3700
    # Nothing that is signed is asked for twice.
    assert replica.asked.count(MANIFEST) == 1
    catalogs = [one for one in replica.asked if one.endswith("C")]
    assert len(catalogs) == len(set(catalogs)) == 5


def test_every_file_is_as_it_was_read_through_a_mount(pristine: Path, replica: Replica) -> None:
    route = Route(replica.url)
    key = (pristine / "test.example.org.pub").read_bytes()
    state = open_state(route, NAME, key, datetime(2026, 12, 1, tzinfo=UTC))
    with closing(Tree(route, state.manifest, None)) as tree:
        found = {
            f".{item.path}": checksum(route, item) for item in tree.items("/") if item.is_readable and item.link is None
        }
    lines = (pristine / "extra/tree-rev3.sha256").read_text().splitlines()
    assert found == {path: digest for digest, path in (line.split(None, 1) for line in lines)}
    route.close()


def test_a_tag_and_a_path(verify: Verify) -> None:
    code, document = verify("--tag", "phosim-3.3.2", "--path", "/lsst/phosim/3.3.2")
    assert code == 0
    assert 0 < only(document)["files"] < 72
    code, document = verify("--tag", "phosim-3.3.2", "--path", "lsst/phosim/3.3.3/")
    assert (code, document["exitAcronym"]) == (NOT_THERE, "NOT_THERE")
    assert "/lsst/phosim/3.3.3 is not in revision 2" in only(document)["problem"]
    code, document = verify("--tag", "phosim-9")
    assert code == NOT_THERE
    assert "no tag phosim-9" in only(document)["problem"]


def test_one_file(verify: Verify) -> None:
    code, document = verify("--path", "/lsst/phosim/3.3.3/phosim-3.3.3/data/cosmic/big.bin")
    assert (code, only(document)["files"]) == (0, 1)


def test_a_sample_is_fewer_files_and_always_the_same(verify: Verify, replica: Replica) -> None:
    runs = []
    for _ in range(2):
        replica.asked.clear()
        code, document = verify("--sample", "30")
        assert code == 0
        assert 5 < only(document)["files"] < 40
        runs.append(set(replica.asked))
    assert runs[0] == runs[1]


def flip(position: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


def altered(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(old, new, 1)


def resealed(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Change the text and make its hash fit: only the signature can tell."""

    def run(content: bytes) -> bytes:
        text, _, rest = content.partition(b"--\n")
        text = change(text)
        digest = hashlib.sha1(text).hexdigest().encode()
        return text + b"--\n" + digest + b"\n" + rest.partition(b"\n")[2]

    return run


FORGERIES = {
    "flipped byte": (MANIFEST, flip(5)),
    "altered revision": (MANIFEST, altered(b"\nS3\n", b"\nS4\n")),
    "altered revision, hash made to fit": (MANIFEST, resealed(altered(b"\nS3\n", b"\nS4\n"))),
    "flipped signature": (MANIFEST, flip(-20)),
    "cut short": (MANIFEST, lambda content: content[:60]),
    "an HTML page": (MANIFEST, lambda _: b"<html>blocked</html>"),
    "altered expiry": (WHITELIST_FILE, altered(b"E2036", b"E2046")),
    "altered expiry, hash made to fit": (WHITELIST_FILE, resealed(altered(b"E2036", b"E2046"))),
    "whitelist signature": (WHITELIST_FILE, flip(-20)),
    "no expiry": (WHITELIST_FILE, resealed(altered(b"\nE", b"\nX"))),
}


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("tool", ["cryptography", "openssl"])
def test_what_was_not_signed_is_refused(
    verify: Verify, replica: Replica, monkeypatch: pytest.MonkeyPatch, forgery: str, tool: str
) -> None:
    use(monkeypatch, tool)
    file, change = FORGERIES[forgery]
    replica.change = lambda path, content: change(content) if path == file else content
    code, document = verify()
    assert (code, document["exitAcronym"]) == (SIGNATURE_BAD, "SIGNATURE_BAD"), document
    assert only(document)["files"] == 0


def use(monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    """Check signatures with the library or with the program."""
    if tool == "cryptography":
        pytest.importorskip("cryptography")
        which = shutil.which
        monkeypatch.setattr("shutil.which", lambda name, *rest: None if name == "openssl" else which(name, *rest))
    elif shutil.which("openssl") is None:
        pytest.skip("the program openssl is not installed")


@pytest.mark.parametrize("tool", ["cryptography", "openssl"])
def test_both_tools_accept_what_is_right(verify: Verify, monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    use(monkeypatch, tool)
    assert verify("--path", "/lsst/phosim/3.3.2")[0] == 0


def test_another_key_and_another_name(verify: Verify, tmp_path: Path, pristine: Path) -> None:
    openssl = ["openssl", "genrsa", "-out", str(tmp_path / "private"), "2048"]
    subprocess.run(openssl, check=True, capture_output=True)
    public = ["openssl", "rsa", "-in", str(tmp_path / "private"), "-pubout", "-out", str(tmp_path / "public")]
    subprocess.run(public, check=True, capture_output=True)
    code, document = verify("--public-key", str(tmp_path / "public"))
    assert code == SIGNATURE_BAD
    assert "--public-key" in only(document)["problem"]
    code, document = verify("--repository", "other.example.org")
    assert code == SIGNATURE_BAD
    assert "not of other.example.org" in only(document)["problem"]


def test_a_truncated_certificate(verify: Verify, replica: Replica) -> None:
    replica.change = lambda path, content: content[:-30] if path.endswith("X") else content
    assert verify()[0] == OBJECTS_BAD


def test_a_swapped_object_is_found(verify: Verify, replica: Replica, pristine: Path) -> None:
    objects = [
        path for path in sorted((pristine / "cvmfs" / NAME / "data").glob("*/*")) if path.name[-1] not in "CHXMP"
    ]
    other = objects[0].read_bytes()
    victim = str(objects[1].relative_to(pristine / "cvmfs" / NAME))
    replica.change = lambda path, content: other if path == victim else content
    code, document = verify()
    assert code == OBJECTS_BAD
    assert victim in only(document)["problem"]
    assert "damaged" in only(document)["problem"]


@pytest.mark.parametrize("kind", ["", "P", "C", "H", "M"])
def test_a_missing_object_is_found_although_the_revision_is_the_newest(
    verify: Verify, replica: Replica, pristine: Path, kind: str
) -> None:
    folder = pristine / "cvmfs" / NAME
    assert verify()[0] == 0
    asked = [path for path in replica.asked if path.startswith("data/")]
    victim = next(path for path in reversed(asked) if path[-1] == kind or (not kind and path[-1] not in "CHXMP"))
    assert (folder / victim).is_file()
    replica.gone.add(victim)
    code, document = verify()
    assert (code, only(document)["revision"]) == (OBJECTS_BAD, 3)
    assert f"{victim} is missing" in only(document)["problem"]


def test_a_bomb_does_not_go_off(verify: Verify, replica: Replica, pristine: Path) -> None:
    bomb = zlib.compress(bytes(50_000_000))
    replica.change = lambda path, content: bomb if path.startswith("data/") and path[-1] not in "CHXMP" else content
    code, document = verify()
    assert code == OBJECTS_BAD
    assert "more than the catalog says" in only(document)["problem"] or "damaged" in only(document)["problem"]


def test_a_stale_replica_beside_a_good_one(verify: Verify, replica: Replica, tmp_path: Path) -> None:
    stale = Replica(unpack(tmp_path))
    shutil.copy(stale.root / "extra/cvmfspublished.rev2", stale.root / "cvmfs" / NAME / MANIFEST)
    shutil.copy(stale.root / "extra/stratum1/cvmfs_status.json", stale.root / "cvmfs" / NAME / ".cvmfs_status.json")
    try:
        code, document = verify("--path", "/lsst/phosim/3.3.3", urls=(replica.url, stale.url))
        late, _ = verify(
            "--path", "/lsst/phosim/3.3.3", "--wait", "0.3", "--every", "0.1", urls=(replica.url, stale.url)
        )
    finally:
        stale.close()
    assert (code, late) == (NOT_THERE, LATE)
    good, old = document["replicas"]
    assert (good["exitCode"], good["revisions_behind"]) == (0, 0)
    assert (old["exitCode"], old["revision"], old["revisions_behind"]) == (NOT_THERE, 2, 1)
    assert old["last_snapshot"]


def test_an_old_replica_proves_nothing_of_what_is_new(verify: Verify, replica: Replica, tmp_path: Path) -> None:
    """All it has is sound; only beside the newer one it shows that it lacks something."""
    stale = Replica(unpack(tmp_path))
    shutil.copy(stale.root / "extra/cvmfspublished.rev2", stale.root / "cvmfs" / NAME / MANIFEST)
    try:
        alone, _ = verify(urls=(stale.url,))
        code, document = verify(urls=(stale.url, replica.url))
        same, _ = verify("--path", "/lsst/phosim/3.3.2", urls=(stale.url, replica.url))
    finally:
        stale.close()
    assert (alone, code, same) == (0, NOT_THERE, 0)
    old, good = document["replicas"]
    assert (old["exitAcronym"], good["exitAcronym"]) == ("NOT_THERE", "OK")
    assert "revision 2, with other content than revision 3" in old["problem"]


def test_waiting_ends_when_all_is_there(verify: Verify, replica: Replica) -> None:
    replica.gone.add(MANIFEST)

    threading.Timer(0.5, replica.gone.clear).start()
    code, _ = verify("--wait", "30", "--every", "0.1", "--path", "/lsst/phosim/3.3.2")
    assert code == 0


def test_expiry_of_the_whitelist(verify: Verify, replica: Replica, pristine: Path) -> None:
    month = (pristine / "extra/cvmfswhitelist.30days").read_bytes()
    replica.change = lambda path, content: month if path == WHITELIST_FILE else content
    code, document = verify("--path", "/lsst/phosim/3.3.2")
    assert code == 0
    assert 21 < only(document)["whitelist_days"] < 22
    code, document = verify("--now", "2026-12-23T00:00:00+00:00")
    assert (code, document["exitAcronym"]) == (WHITELIST, "WHITELIST_EXPIRED")
    assert "2026-12-22 08:26 UTC" in only(document)["problem"]


def test_a_proxy_that_lies_and_one_that_does_not(verify: Verify, replica: Replica) -> None:
    honest = LyingProxy()
    liar = LyingProxy(lambda path, body: body[:-1] + b"\0" if path.startswith("data/") and path[-1] == "C" else body)
    replica.age = "47"
    try:
        words = ("--proxy", honest.url, liar.url, "DIRECT", "--path", "/lsst/phosim/3.3.2")
        code, document = verify(*words)
    finally:
        honest.close()
        liar.close()
    assert code == OBJECTS_BAD
    assert [one["exitAcronym"] for one in document["replicas"]] == ["OK", "OBJECTS_BAD", "OK"]
    assert document["replicas"][2]["age_s"] == 47
    assert honest.asked
    assert all(path.startswith("http://127.0.0.1:") for path in honest.asked)


def test_a_server_that_is_away_or_silent(verify: Verify, replica: Replica) -> None:
    gone = LyingProxy()
    gone.close()
    code, document = verify(urls=(f"{gone.url}/cvmfs/{NAME}",))
    assert (code, document["exitAcronym"]) == (UNREACHABLE, "UNREACHABLE")
    replica.pause_s = 3.0
    code, document = verify("--timeout", "0.2")
    assert code == UNREACHABLE
    assert "timed out" in only(document)["problem"]


def test_a_signal_never_looks_like_a_proof(replica: Replica, pristine: Path) -> None:
    """Wherever it strikes: before anything was read, and in the middle of the files."""
    begun = threading.Event()
    for hold in (MANIFEST, "data/"):

        def wait(path: str, content: bytes, hold: str = hold) -> bytes:
            if path.startswith(hold) and path[-1] not in "CHXM":
                begun.set()
                time.sleep(1.0)
            return content

        replica.change = wait
        begun.clear()
        words = ["--repository", NAME, "--public-key", str(pristine / "test.example.org.pub"), "--now", NOW]
        command = [sys.executable, "-m", "cvmfs_publish", "verify", "--http", replica.url, *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            assert begun.wait(60)
            child.terminate()
            out, err = child.communicate()
        assert (child.returncode, out) == (51, "")
        assert err.startswith("ERROR: stopped by SIGTERM")


def test_a_body_that_breaks_off(verify: Verify, replica: Replica) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with suppress(OSError):
                near, _ = listener.accept()
                near.recv(4096)
                near.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf")
                near.close()

        threading.Thread(target=answer, daemon=True).start()
        code, document = verify(urls=(f"http://127.0.0.1:{listener.getsockname()[1]}/cvmfs/{NAME}",))
    assert code == UNREACHABLE
    assert "early" in only(document)["problem"] or "IncompleteRead" in only(document)["problem"]


def test_a_policy_without_sha1_has_its_own_words(
    verify: Verify, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the words that OpenSSL has for it; the program that says them is a stand-in."""
    use(monkeypatch, "openssl")
    program = tmp_path / "openssl"
    real = shutil.which("openssl")
    refusal = "echo '40:error:03000098:digital envelope routines:do_sigver_init:invalid digest' >&2; exit 1"
    program.write_text(f'#!/bin/sh\ncase $* in *sha1*) {refusal};; esac\nexec {real} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    code, document = verify()
    assert (code, document["exitAcronym"]) == (POLICY, "POLICY_REFUSES")
    assert "the crypto policy of this machine refuses SHA1; verify from another machine" in only(document)["problem"]


def test_without_any_tool_nothing_is_believed(verify: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "cryptography")
    monkeypatch.setattr("cvmfs_publish.repository.signatures.find_spec", lambda _: None)
    code, document = verify()
    assert (code, only(document)["exitAcronym"]) == (22, "TOOL_MISSING")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--now", "tomorrow"], "--now 'tomorrow'"),
        (["--sample", "0"], "--sample 0"),
        (["--public-key", "/nowhere"], "--public-key /nowhere"),
        (["--public-key", "/dev/null"], "--public-key /dev/null holds no public key"),
        (["--proxy", "ftp://x"], "'ftp://x'"),
        (["--proxy", "http://user:secret@x"], "is no http URL"),
    ],
)
def test_wrong_options_are_usage_errors(verify: Verify, words: list[str], says: str) -> None:
    code, document = verify(*words)
    assert code == 10
    assert says in document["error"]


@pytest.mark.parametrize("words", [("--timeout", "0"), ("--timeout", "nan"), ("--wait", "inf"), ("--every", "-1")])
def test_times_that_are_none(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--http", "http://x", *words]) == 10
    assert f"argument {words[0]}: " in capsys.readouterr().err


def test_the_table_for_people(pristine: Path, replica: Replica, capsys: pytest.CaptureFixture[str]) -> None:
    key = str(pristine / "test.example.org.pub")
    assert main(["verify", "--http", replica.url, "--repository", NAME, "--public-key", key, "--now", NOW]) == 0
    head, row, note = capsys.readouterr().out.splitlines()
    assert head.split() == ["server", "revision", "behind", "Age", "s", "days", "files", "size", "verdict"]
    assert row.split()[0] == replica.url
    assert row.split()[-1] == "OK"
    assert "mode 0600" in note


# -- as a machine mounts it


def test_a_release_in_a_folder(tiny_release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--mount", str(tiny_release), "--json"]) == 0
    verdicts = [one["verdict"] for one in json.loads(capsys.readouterr().out)["findings"]]
    assert verdicts == ["note", "ok", "ok", "ok"]


def test_every_release_below_a_mount(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"simulator": "toy", "kind": "data", "licence": "CC0-1.0"}
    for version in ("1.0", "1.1"):
        tree = tmp_path / f"lsst/toy/{version}/toy-{version}"
        tree.mkdir(parents=True)
        (tree / "numbers").write_text("1 2 3\n")
        write_release(tree, {**facts, "name": tree.name, "version": version})
    (tree / "numbers").write_text("4 5 6\n")
    assert main(["verify", "--mount", str(tmp_path), "--path", "/lsst"]) == MOUNT_BAD
    said = capsys.readouterr().out
    assert "ok    toy-1.0: 1 files are those of release.json" in said
    assert "bad   toy-1.1: numbers is not what release.json says" in said
    assert main(["verify", "--mount", str(tmp_path / "lsst/toy/1.0")]) == 0


def test_a_release_with_a_changed_file(tiny_release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = shutil.copytree(tiny_release, tmp_path / tiny_release.name)
    (broken / "default_instcat").write_text("changed\n")
    assert main(["verify", "--mount", str(broken), "--no-run"]) == MOUNT_BAD
    assert "default_instcat is not what release.json says" in capsys.readouterr().out


def test_a_release_that_does_not_run(tiny_release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = shutil.copytree(tiny_release, tmp_path / tiny_release.name)
    document = json.loads((broken / "release.json").read_text())
    document["interpreter"] = "/bin/false"
    (broken / "release.json").write_text(json.dumps(document))
    assert main(["verify", "--mount", str(broken)]) == MOUNT_BAD
    assert "simulating one star: exit status 1, no image" in capsys.readouterr().out


def test_nothing_is_mounted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--mount", str(tmp_path / "cvmfs")]) == MOUNT_BAD
    assert "bad" in capsys.readouterr().out


def test_it_runs_from_a_plain_copy_with_the_standard_library_alone(
    tmp_path: Path, replica: Replica, pristine: Path
) -> None:
    copy = shutil.copytree(Path(__file__).parents[2] / "cvmfs_publish", tmp_path / "kit" / "cvmfs_publish")
    key = str(pristine / "test.example.org.pub")
    words = ["verify", "--http", replica.url, "--repository", NAME, "--public-key", key, "--now", NOW]
    start = (
        f"import sys; sys.path.insert(0, {str(copy.parent)!r}); from cvmfs_publish.cli import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", start, *words], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
