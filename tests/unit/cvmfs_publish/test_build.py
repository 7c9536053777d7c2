"""Building: recipes, the clean place, bundling, trees that are built already, data releases, tarballs."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from cvmfs_publish.building import elf_edit
from cvmfs_publish.building.patterns import matches
from cvmfs_publish.checks.check import check
from cvmfs_publish.checks.tree import Demands
from cvmfs_publish.elf import read_elf
from cvmfs_publish.manifest import hash_file, read_release
from tests.unit.cvmfs_publish.compiling import LIBRARY, NEEDS_GCC, PROGRAM, compile_library, output_of
from tests.unit.cvmfs_publish.kit import Ended, iod_publish, write_tree

pytestmark = pytest.mark.allow_processes

RECIPE = """
kind = "data"
commands = [
  "gcc -shared -fPIC -g -Wl,-soname,libanswer.so.1 -o libanswer.so.1 answer.c",
  "gcc -g -o {release}/ask ask.c libanswer.so.1",
  ["sh", "-c", "mkdir {release}/bin && mv {release}/ask {release}/bin && echo $GREETING {version} > built.txt"],
]
keep = ["data", "*.txt", "LICENCE"]
drop = ["**/*.tmp"]
smoke_test = ["{release}/bin/ask"]
[environment]
GREETING = "hello"
[bundle]
search = ["{source}"]
[licence]
name = "MIT"
files = ["LICENCE"]
[release]
memory_bytes = 1000
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The sources of a small program."""
    return write_tree(
        tmp_path / "ask-src",
        {
            "ask.c": PROGRAM,
            "answer.c": LIBRARY,
            "data/table.txt": "1\n",
            "data/scratch.tmp": "2\n",
            "LICENCE": "MIT\n",
            "notes.md": "not kept\n",
        },
    )


def _recipe(tmp_path: Path, text: str = RECIPE) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


def _build(tmp_path: Path, *words: object, name: str = "ask", version: str = "1.0") -> Ended:
    where = ("--root", tmp_path / "root", "--workshop", tmp_path / "workshop")
    return iod_publish("build", name, "--version", version, *where, *words)


@NEEDS_GCC
@pytest.mark.parametrize("patchelf", [pytest.param(True, id="patchelf"), pytest.param(False, id="by-itself")])
def test_a_recipe(patchelf: bool, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if patchelf and elf_edit.find_patchelf() is None:
        pytest.skip("needs patchelf")
    if not patchelf:
        monkeypatch.setattr(elf_edit, "find_patchelf", lambda: None)
    built = _build(tmp_path, "--from", source, "--recipe", _recipe(tmp_path))
    assert built.code == 0, built.err
    place = Path(built.out.strip())
    assert place == tmp_path / "root/ask/1.0/ask-1.0"
    release = read_release(place)
    paths = {entry.path: entry for entry in release.files}
    assert sorted(paths) == ["LICENCE", "bin/ask", "built.txt", "data/table.txt", "lib/libanswer.so.1"]
    assert paths["bin/ask"].permissions == 0o755
    assert paths["built.txt"].sha256 == hash_file(place / "built.txt")
    assert (place / "built.txt").read_text() == "hello 1.0\n"
    assert output_of(place / "bin/ask") == "42"
    facts = release.document
    assert (facts["licence"], facts["licence_files"], facts["memory_bytes"]) == ("MIT", ["LICENCE"], 1000)
    assert facts["libraries"] == ["libanswer.so.1"]
    assert facts["build"]["source"] == "tree ask-src"
    assert str(tmp_path) not in json.dumps(facts)
    findings = check(place, Demands(workers=("debian13",))).findings
    assert not [one for one in findings if one.rule.startswith("elf-")]
    assert not (tmp_path / "workshop/ask").exists()


@NEEDS_GCC
def test_equal_input_gives_equal_bytes(source: Path, tmp_path: Path) -> None:
    digests = set()
    for attempt in ("one", "two"):
        words = ("--from", source, "--recipe", _recipe(tmp_path), "--tarball", tmp_path / f"{attempt}.tar.gz")
        assert _build(tmp_path, *words).code == 0
        digests.add(hash_file(tmp_path / f"{attempt}.tar.gz"))
        shutil.rmtree(tmp_path / "root")
        for path in source.rglob("*"):
            path.touch()
    assert len(digests) == 1
    with tarfile.open(tmp_path / "one.tar.gz") as tar:
        members = tar.getmembers()
    assert members[0].name == "ask-1.0"
    assert {(one.uid, one.gid, one.uname, one.gname, one.mtime) for one in members} == {(0, 0, "", "", 946684800)}
    seen: set[str] = {""}
    for member in members:
        assert member.name.rpartition("/")[0] in seen, "a folder must come before what is in it"
        if member.isdir():
            seen.add(member.name)


@NEEDS_GCC
def test_a_program_that_cannot_be_told_is_wrapped(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elf_edit, "find_patchelf", lambda: None)
    library = compile_library(tmp_path / "elsewhere")
    text = f"""
kind = "data"
commands = [["env", "-u", "LD_RUN_PATH", "gcc", "-o", "{{release}}/ask", "ask.c", "{library}"]]
smoke_test = ["{{release}}/ask"]
[bundle]
search = ["{library.parent}"]
"""
    built = _build(tmp_path, "--from", source, "--recipe", _recipe(tmp_path, text))
    assert built.code == 0, built.err
    place = Path(built.out.strip())
    assert read_release(place).document["wrapped"] == ["ask"]
    assert output_of(place / "ask") == "42"
    assert read_elf(place / "libexec/ask").search_path == ""
    moved = place.rename(tmp_path / "moved tree")
    (tmp_path / "bin").mkdir()
    for command in (["./ask"], ["sh", "-c", "PATH=$PWD:$PATH; ask"]):
        assert subprocess.run(command, cwd=moved, capture_output=True, text=True).stdout == "42\n"
    rules = [one.rule for one in check(moved, Demands(workers=("debian13",))).findings]
    assert "elf-needed" not in rules


@NEEDS_GCC
def test_libraries_that_are_nowhere_are_all_named(source: Path, tmp_path: Path) -> None:
    text = """
commands = [
  "gcc -shared -fPIC -Wl,-soname,libgone.so.1 -o libgone.so.1 answer.c",
  "gcc -o {release}/ask ask.c libgone.so.1", "gcc -o {release}/ask2 ask.c libgone.so.1", "rm libgone.so.1",
]
"""
    built = _build(tmp_path, "--from", source, "--recipe", _recipe(tmp_path, text))
    assert built.code == 20
    assert "libgone.so.1" in built.err
    assert "[bundle] search" in built.err


def test_the_place_is_clean(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "1")
    text = (
        'kind = "data"\ncommands = [["sh", "-c", "env | cut -d= -f1 | sort > {release}/env; umask >> {release}/env"]]\n'
    )
    built = _build(tmp_path, "--from", source, "--recipe", _recipe(tmp_path, text))
    assert built.code == 0, built.err
    names = (Path(built.out.strip()) / "env").read_text().split()
    assert "MY_SECRET" not in names
    assert set(names) <= {
        *("HOME", "LC_ALL", "LD_RUN_PATH", "OLDPWD", "PATH", "PWD", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED"),
        *("SHLVL", "SOURCE_DATE_EPOCH", "TMPDIR", "TZ", "_", "0022"),
    }
    assert "0022" in names


def test_a_failing_command_names_its_log(source: Path, tmp_path: Path) -> None:
    text = 'commands = [["sh", "-c", "echo building; echo it broke >&2; exit 3"]]\n'
    built = _build(tmp_path, "--from", source, "--recipe", _recipe(tmp_path, text))
    assert built.code == 20
    log = tmp_path / "workshop/ask/build.log"
    assert str(log) in built.err
    assert "it broke" in built.err
    assert "building\nit broke\nended with 3" in log.read_text().replace("it broke\nbuilding", "building\nit broke")
    assert not (tmp_path / "root").exists()


def test_the_smoke_test_finds_what_is_not_relocatable(source: Path, tmp_path: Path) -> None:
    text = """
commands = [["sh", "-c", "printf '#!/bin/sh\\ncat {source}/LICENCE\\n' > {release}/run; chmod +x {release}/run"]]
smoke_test = ["{release}/run"]
"""
    built = _build(tmp_path, "--from", source, "--recipe", _recipe(tmp_path, text))
    assert built.code == 21
    assert "LICENCE" in built.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("comands = []\n", "unknown key 'comands' (did you mean 'commands'?)"),
        ('kind = "simulater"\n', "did you mean 'simulator'?"),
        ('commands = "make"\n', "commands must be a list of commands"),
        ("commands = [[1]]\n", "neither a text nor a list"),
        ('commands = ["make \'"]\n', "No closing quotation"),
        ('keep = ["/etc/passwd"]\n', "leads outside"),
        ('keep = ["../x"]\n', "leads outside"),
        ('keep = ["nothing-like-this"]\n', "matches nothing"),
        ('[release]\nmissing_sed = "round"\n', "'round' is not one of flat, error"),
        ("[release]\nmemory_bytes = true\n", "memory_bytes must be a whole number"),
        ("[release]\ngrid_mode = 1\n", "grid_mode must be true or false"),
        ('[data]\n"../x" = "seds-1"\n', "must be a path of the release"),
        ('[data]\n"data/SEDs" = "seds"\n', "'seds' is no release name"),
        ("kind = \n", "line 1"),
    ],
)
def test_wrong_recipes(text: str, says: str, source: Path, tmp_path: Path) -> None:
    built = _build(tmp_path, "--from", source, "--recipe", _recipe(tmp_path, text))
    assert built.code == 12
    assert says in built.err
    assert len(built.err.splitlines()) == 1


def test_a_tree_that_is_built_already(source: Path, tmp_path: Path) -> None:
    built = _build(tmp_path, "--from", source, "--prebuilt", "--kind", "data", "--licence", "MIT")
    assert built.code == 0, built.err
    release = read_release(Path(built.out.strip()))
    assert {entry.path for entry in release.files} == {
        *("LICENCE", "answer.c", "ask.c", "data/scratch.tmp", "data/table.txt", "notes.md")
    }
    assert release.document["build"]["prebuilt"] is True


def test_data_releases_and_links_to_them(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    spectra = write_tree(tmp_path / "spectra", {"flat.txt": "300 1\n", "LICENSE": "CC0\n"})
    assert (
        _build(tmp_path, "--from", spectra, "--prebuilt", "--kind", "data", name="toy-seds", version="2014").code == 0
    )
    recipe = _recipe(tmp_path, 'kind = "data"\n[data]\n"data/SEDs" = "toy-seds-2014"\n')
    built = _build(tmp_path, "--from", source, "--recipe", recipe, "--prebuilt")
    assert built.code == 0, built.err
    place = Path(built.out.strip())
    assert (place / "data/SEDs/flat.txt").read_text() == "300 1\n"
    assert read_release(place).requires == (("data/SEDs", "toy-seds-2014"),)
    assert [one for one in check(place, Demands()).findings if one.rule.startswith(("link", "manifest"))] == []
    published = tmp_path / "published"
    refused = iod_publish("publish", place, "--root", published)
    assert refused.code == 42
    assert "toy-seds-2014" in refused.err
    assert iod_publish("publish", root / "toy-seds/2014/toy-seds-2014", "--root", published).code == 0
    assert iod_publish("publish", place, "--root", published).code == 0
    assert (published / "ask/1.0/ask-1.0/data/SEDs/flat.txt").read_text() == "300 1\n"


@pytest.mark.parametrize("kind", ["tar.gz", "tar.xz", "tar"])
def test_a_tarball_as_source(kind: str, source: Path, tmp_path: Path) -> None:
    tarball = tmp_path / f"ask.{kind}"
    with tarfile.open(tarball, {"tar.gz": "w:gz", "tar.xz": "w:xz", "tar": "w"}[kind]) as tar:
        tar.add(source, "ask-src")
    built = _build(tmp_path, "--from", tarball, "--prebuilt", "--kind", "data")
    assert built.code == 0, built.err
    release = read_release(Path(built.out.strip()))
    assert "ask.c" in {entry.path for entry in release.files}
    assert release.document["build"]["source"] == f"tarball ask.{kind} sha256 {hash_file(tarball)}"


def _entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([_entry("../evil")], id="above"),
        pytest.param([_entry("/tmp/evil")], id="absolute"),
        pytest.param([_entry("d", tarfile.SYMTYPE, "/etc"), _entry("d/evil")], id="through-absolute-link"),
        pytest.param([_entry("d/e", tarfile.SYMTYPE, ".."), _entry("d/e/evil")], id="through-link"),
        pytest.param([_entry("d", tarfile.SYMTYPE, "../..")], id="link-above"),
        pytest.param([_entry("h", tarfile.LNKTYPE, "../../etc/passwd")], id="hard-link-above"),
        pytest.param([_entry("p", tarfile.FIFOTYPE)], id="pipe"),
        pytest.param([_entry("c", tarfile.CHRTYPE)], id="device"),
    ],
)
def test_tarballs_that_are_not_believed(entries: list[tarfile.TarInfo], tmp_path: Path) -> None:
    tarball = tmp_path / "evil.tar"
    with tarfile.open(tarball, "w") as tar:
        for entry in entries:
            tar.addfile(entry, io.BytesIO(b""))
    built = _build(tmp_path, "--from", tarball, "--prebuilt", "--kind", "data")
    assert built.code == 13
    assert "leads outside or is a special file" in built.err
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((), 10, "needs --from"),
        (("--from", "nowhere", "--prebuilt"), 13, "neither a folder nor a tarball"),
        (("--from", "."), 10, "needs --recipe"),
        (("--from", ".", "--recipe", "missing.toml"), 12, "missing.toml: No such file"),
    ],
)
def test_wrong_calls(words: tuple[str, ...], code: int, says: str, tmp_path: Path) -> None:
    built = _build(tmp_path, *words)
    assert built.code == code
    assert says in built.err


@pytest.mark.parametrize("version", ["1.0-1", "", "../1", "current", "1 0", ".1"])
def test_versions_that_workers_cannot_find(version: str, source: Path, tmp_path: Path) -> None:
    built = _build(tmp_path, "--from", source, "--prebuilt", version=version)
    assert built.code == 10


def test_an_old_python_is_bundled_where_it_is_needed(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "src", {"phosim.py": 'print "old"\n', "LICENSE": "x\n"})
    plain = _build(tmp_path, "--from", tree, "--prebuilt", name="phosim", version="3.4")
    found = {(one.rule, one.path) for one in check(Path(plain.out.strip()), Demands()).findings}
    assert ("interpreter", "phosim.py") in found
    assert ("release-shape", "bin/raytrace") in found
    recipe = _recipe(tmp_path, f'[bundle]\ninterpreter = "{sys.executable}"\n')
    built = _build(tmp_path, "--from", tree, "--recipe", recipe, "--prebuilt", name="phosim", version="3.5")
    assert built.code == 0, built.err
    place = Path(built.out.strip())
    interpreter = read_release(place).document["interpreter"]
    moved = place.rename(tmp_path / "moved")
    asked = [moved / interpreter, "-c", "import sys, ssl, sqlite3; print(sys.prefix)"]
    ran = subprocess.run(asked, capture_output=True, text=True, env={}, cwd="/")
    assert ran.stdout.strip() == str(moved / "python"), ran.stderr
    rules = {one.rule for one in check(moved, Demands(workers=("debian13",))).findings}
    assert "interpreter" not in rules
    assert not {"elf-needed", "elf-rpath"} & rules


@pytest.mark.parametrize(
    ("path", "pattern", "covered"),
    [
        ("bin/raytrace", "bin", True),
        ("bin/raytrace", "bin/*", True),
        ("bin/a/b", "bin/*", True),
        ("binary", "bin", False),
        ("a/b/c.o", "**/*.o", True),
        ("c.o", "**/*.o", True),
        ("c.oo", "**/*.o", False),
        ("data/x", "d?ta/**", True),
        ("a.b", "a+b", False),
        ("deep/data/x", "data", False),
    ],
)
def test_patterns(path: str, pattern: str, covered: bool) -> None:
    assert matches(path, [pattern]) is covered
