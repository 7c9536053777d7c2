"""Tiny programs and libraries, compiled for the tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

NEEDS_GCC = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc to compile tiny ELF files")

LIBRARY = "int answer(void) { return 42; }\n"
PROGRAM = '#include <stdio.h>\nint answer(void);\nint main(void) { printf("%d\\n", answer()); return 0; }\n'


def gcc(*words: object, environment: dict[str, str] | None = None) -> None:
    """Compile; fails the test if that fails."""
    done = subprocess.run(["gcc", *map(str, words)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def compile_library(folder: Path, name: str = "libanswer.so.1") -> Path:
    """A shared library with its name inside."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / f"{name}.c"
    source.write_text(LIBRARY)
    gcc("-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", folder / name, source)
    source.unlink()
    return folder / name


def compile_program(target: Path, library: Path, *flags: str) -> Path:
    """A program that needs the library."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source = target.with_suffix(".c")
    source.write_text(PROGRAM)
    gcc("-o", target, source, library, *flags)
    source.unlink()
    target.chmod(0o755)
    return target


def output_of(program: Path) -> str:
    """What the program prints, in an empty environment."""
    return subprocess.run([str(program)], capture_output=True, text=True, env={}, cwd="/").stdout.strip()
