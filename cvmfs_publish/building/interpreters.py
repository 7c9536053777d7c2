"""Copy a Python so that it starts from any folder: it finds its library beside its program."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterable, List, Tuple

from cvmfs_publish.copying import write_error
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.processes import run
from cvmfs_publish.trees import walk

_LEFT_OUT = ("test", "tests", "idlelib", "idle_test", "turtledemo", "tkinter", "ensurepip", "lib2to3", "site-packages")
_LEFT_OUT_TOO = ("dist-packages", "__pycache__", "config-*", "_tkinter*", "_test*", "xxlimited*", "*.pyc", "*.pyo")

_ASK = """
import json, os, sys
try:
    import sysconfig
    library = sysconfig.get_path("stdlib")
except ImportError:
    library = os.path.dirname(os.__file__)
print(json.dumps({
    "program": os.path.realpath(sys.executable),
    "version": list(sys.version_info[:3]),
    "library": library,
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python on this machine."""

    program: Path
    version: Tuple[int, ...]
    library: Path
    """Its standard library."""

    @property
    def name(self) -> str:
        """`python3.11`."""
        return f"python{self.version[0]}.{self.version[1]}"


def ask_interpreter(program: str) -> Interpreter:
    """What a Python says of itself; raises `KitError` BUILD_FAILED."""
    finished = run([program, "-E", "-s", "-c", _ASK])
    if finished.code:
        raise KitError(
            Exit.BUILD_FAILED, f"{program} ended with {finished.code}: {finished.said}", cure="name a Python"
        )
    facts = json.loads(finished.out)
    return Interpreter(Path(facts["program"]), tuple(facts["version"]), Path(facts["library"]))


def copy_interpreter(found: Interpreter, prefix: Path) -> Path:
    """Copy program and library below a prefix; the program there. Raises `KitError`.

    Tests, the package installer and windows are left out; so is what is installed beside it.
    """
    program = prefix / "bin" / found.name
    try:
        program.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found.program, program)
        program.chmod(0o755)
        for link in {"python", f"python{found.version[0]}"}:
            (program.parent / link).symlink_to(found.name)
        library = prefix / "lib" / found.name
        shutil.copytree(found.library, library, symlinks=False, ignore=_ignore(found.library))
        for entry in walk(library):
            if entry.is_file:
                # Some Pythons install modules as programs, with a first line that names the place of their own.
                (library / entry.path).chmod(0o755 if entry.name.endswith(".so") else 0o644)
        (library / "site-packages").mkdir()
    except shutil.Error as error:
        raise KitError(Exit.BUILD_FAILED, f"{found.library}: {error.args[0][0][2]}") from None
    except OSError as error:
        raise write_error(error) from None
    return program


def _ignore(library: Path) -> Callable[[Any, List[str]], Iterable[str]]:
    top = shutil.ignore_patterns(*_LEFT_OUT, *_LEFT_OUT_TOO)
    below = shutil.ignore_patterns(*_LEFT_OUT_TOO, "tests", "idle_test")

    def ignore(folder: Any, names: List[str]) -> Iterable[str]:
        return (top if Path(folder) == library else below)(folder, names)

    return ignore
