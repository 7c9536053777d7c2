"""ELF files: what is read from them, what the check says of them, and how their search path is changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cvmfs_publish.building import elf_edit
from cvmfs_publish.building.elf_edit import set_search_path
from cvmfs_publish.building.workshop import PLACEHOLDER
from cvmfs_publish.checks.check import check
from cvmfs_publish.checks.tree import Demands
from cvmfs_publish.elf import ElfInvalid, read_elf
from cvmfs_publish.platforms import WORKERS, allowed, ceiling_of
from tests.unit.cvmfs_publish.compiling import NEEDS_GCC, compile_library, compile_program, gcc, output_of
from tests.unit.cvmfs_publish.kit import describe, make_release

pytestmark = [pytest.mark.allow_processes, NEEDS_GCC]

RELATIVE = "-Wl,-rpath,$ORIGIN/../lib"
TODAY = Demands(workers=("debian13",))
"""As new as can be: what is compiled here must pass."""


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library."""
    return compile_library(tmp_path_factory.mktemp("library"))


def _findings(tree: Path, demands: Demands = TODAY) -> set[tuple[str, str]]:
    describe(tree)
    return {(finding.rule, finding.path) for finding in check(tree, demands).findings}


def test_a_relocatable_program_passes(tmp_path: Path, answer: Path) -> None:
    tree = make_release(tmp_path)
    (tree / "lib").mkdir()
    shutil.copy(answer, tree / "lib")
    program = compile_program(tree / "bin/ask", answer, RELATIVE)
    assert _findings(tree) == set()
    elf = read_elf(program)
    assert elf.machine == "x86_64"
    assert elf.is_program
    assert "libanswer.so.1" in elf.needed
    assert elf.search_path == "$ORIGIN/../lib"
    assert any(symbol.startswith("GLIBC_") for symbol in elf.versions["libc.so.6"])
    assert read_elf(answer).soname == "libanswer.so.1"
    assert not read_elf(answer).is_program


def test_a_library_that_is_nowhere(tmp_path: Path, answer: Path) -> None:
    tree = make_release(tmp_path)
    compile_program(tree / "bin/ask", answer, RELATIVE)
    assert _findings(tree) == {("elf-needed", "bin/ask")}


def test_a_library_that_is_in_the_wrong_place(tmp_path: Path, answer: Path) -> None:
    tree = make_release(tmp_path)
    (tree / "data/lib").mkdir()
    shutil.copy(answer, tree / "data/lib")
    compile_program(tree / "bin/ask", answer, RELATIVE)
    describe(tree)
    finding = check(tree, TODAY).findings[0]
    assert finding.rule == "elf-needed"
    assert "data/lib/libanswer.so.1" in finding.what


@pytest.mark.parametrize("folder", ["/opt/simulator/lib", "", "$ORIGIN/../../../lib", "lib"])
def test_search_paths_that_lead_elsewhere(folder: str, tmp_path: Path, answer: Path) -> None:
    tree = make_release(tmp_path)
    (tree / "lib").mkdir()
    shutil.copy(answer, tree / "lib")
    compile_program(tree / "bin/ask", answer, f"-Wl,-rpath,$ORIGIN/../lib:{folder}")
    assert ("elf-rpath", "bin/ask") in _findings(tree)


def test_the_search_path_of_a_program_serves_its_libraries_only_as_rpath(tmp_path: Path) -> None:
    tree = make_release(tmp_path)
    inner = compile_library(tree / "lib", "libinner.so.1")
    source = tmp_path / "outer.c"
    source.write_text("int answer(void); int outer(void) { return answer(); }\n")
    gcc("-shared", "-fPIC", "-Wl,-soname,libouter.so.1", "-o", tree / "lib/libouter.so.1", source, inner)
    main = tmp_path / "main.c"
    main.write_text("int outer(void); int main(void) { return outer() != 42; }\n")
    words = (main, tree / "lib/libouter.so.1", f"-Wl,-rpath-link,{tree}/lib", RELATIVE)
    gcc("-o", tree / "bin/ask", *words, "-Wl,--disable-new-dtags")
    assert _findings(tree) == set()
    gcc("-o", tree / "bin/ask", *words, "-Wl,--enable-new-dtags")
    assert _findings(tree) == {("elf-needed", "lib/libouter.so.1")}


def test_symbols_newer_than_on_the_workers(tmp_path: Path, answer: Path) -> None:
    tree = make_release(tmp_path)
    (tree / "lib").mkdir()
    shutil.copy(answer, tree / "lib")
    compile_program(tree / "bin/ask", answer, RELATIVE)
    newest = max(read_elf(tree / "bin/ask").versions["libc.so.6"])
    if allowed(newest, ceiling_of(["el7"])):
        pytest.skip("this machine is as old as the oldest worker")
    assert _findings(tree, Demands(workers=("debian13", "el7"))) == {("elf-symbols", "bin/ask")}


def test_another_loader_and_another_machine(tmp_path: Path, answer: Path) -> None:
    tree = make_release(tmp_path)
    (tree / "lib").mkdir()
    shutil.copy(answer, tree / "lib")
    compile_program(tree / "bin/ask", answer, RELATIVE, "-Wl,--dynamic-linker,/opt/glibc/ld.so")
    assert _findings(tree) == {("elf-loader", "bin/ask")}
    assert ("elf-machine", "bin/ask") in _findings(tree, Demands(workers=("debian13",), machine="aarch64"))


def test_relative_data_is_noted(tmp_path: Path) -> None:
    tree = make_release(tmp_path)
    source = tmp_path / "m.c"
    source.write_text('#include <stdio.h>\nint main(void) { puts("../data/lsst/optics.txt"); return 0; }\n')
    gcc("-o", tree / "bin/ask", source)
    assert _findings(tree) == {("elf-relative-data", "bin/ask")}


@pytest.mark.parametrize("share", [0.002, 0.01, 0.1, 0.5])
def test_a_file_that_is_cut_short(share: float, tmp_path: Path, answer: Path) -> None:
    whole = answer.read_bytes()
    tree = make_release(tmp_path)
    (tree / "lib").mkdir()
    (tree / "lib/libcut.so").write_bytes(whole[: int(len(whole) * share)])
    (tree / "lib/libcut.so").chmod(0o755)
    found = _findings(tree)
    if share < 0.5:  # later parts hold nothing that the loader reads
        assert ("elf-damaged", "lib/libcut.so") in found


def test_damaged_tables_never_end_in_a_traceback(tmp_path: Path, answer: Path) -> None:
    whole = bytearray(answer.read_bytes())
    damaged = tmp_path / "damaged.so"
    for place in range(16, 2048, 7):
        for byte in (0x00, 0xFF, whole[place] ^ 0x41):
            damaged.write_bytes(bytes([*whole[:place], byte, *whole[place + 1 :]]))
            try:
                read_elf(damaged)
            except ElfInvalid:
                continue


# ---------------------------------------------------------------- changing the search path
@pytest.fixture
def without_patchelf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the kit can do by itself."""
    monkeypatch.setattr(elf_edit, "find_patchelf", lambda: None)


@pytest.mark.usefixtures("without_patchelf")
def test_a_program_is_told_in_place(tmp_path: Path, answer: Path) -> None:
    lib = tmp_path / "moved/lib"
    lib.mkdir(parents=True)
    shutil.copy(answer, lib)
    program = compile_program(tmp_path / "moved/bin/ask", answer, f"-Wl,-rpath,{PLACEHOLDER}")
    assert output_of(program) == ""
    assert set_search_path(program, "$ORIGIN/../lib")
    elf = read_elf(program)
    assert (elf.rpath, elf.runpath) == ("$ORIGIN/../lib", None)
    assert output_of(program) == "42"
    assert PLACEHOLDER.encode() not in program.read_bytes()
    assert set_search_path(program, "$ORIGIN/../lib")


@pytest.mark.usefixtures("without_patchelf")
def test_a_program_without_room_is_left_alone(tmp_path: Path, answer: Path) -> None:
    for name, flags in (("none", ()), ("short", ("-Wl,-rpath,/a",))):
        program = compile_program(tmp_path / name, answer, *flags)
        before = program.read_bytes()
        assert not set_search_path(program, "$ORIGIN/../lib")
        assert program.read_bytes() == before


@pytest.mark.usefixtures("without_patchelf")
def test_a_name_that_shares_the_path_is_not_overwritten(tmp_path: Path, answer: Path) -> None:
    """Linkers store a name that ends another one inside it: here the symbol `answer` in the search path."""
    program = compile_program(tmp_path / "ask", answer, "-Wl,-rpath,/a/long/enough/path/to/hold/the/new/one/answer")
    before = program.read_bytes()
    assert before.count(b"answer\0") < 3, "the linker has not shared the name: nothing is tested"
    assert not set_search_path(program, "$ORIGIN/../lib")
    assert program.read_bytes() == before


def test_every_operating_system_has_all_three_ceilings() -> None:
    for ceiling in WORKERS.values():
        assert ceiling.glibc >= (2, 17)
        assert ceiling.glibcxx >= (3, 4, 19)
        assert ceiling.cxxabi >= (1, 3, 7)
    assert allowed("GLIBC_2.34", WORKERS["el9"])
    assert not allowed("GLIBC_2.35", WORKERS["el9"])
    assert allowed("GCC_3.0", WORKERS["el9"]) is None
    assert allowed("GLIBC_PRIVATE", WORKERS["el9"]) is None
