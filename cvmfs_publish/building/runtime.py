"""`iod-publish build runtime`: this project with its Python and everything it imports, in a folder that starts from
any mount point. Why so: docs/decisions/0018-a-runtime-with-its-own-python.md.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from cvmfs_publish.building.bundle import Bundled, bundle_libraries
from cvmfs_publish.building.facts import machine_facts
from cvmfs_publish.building.interpreters import ask_interpreter, copy_interpreter
from cvmfs_publish.building.packages import Package, closure, copy_package, installed, normal
from cvmfs_publish.building.recipe import Bundle
from cvmfs_publish.building.workshop import Workshop
from cvmfs_publish.elf import ElfInvalid, is_elf, read_elf
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.manifest import Release, write_release
from cvmfs_publish.platforms import GLIBC_LIBRARIES, WORKER_LIBRARIES, WORKERS, Version, dotted, version_of
from cvmfs_publish.trees import walk

SIMULATOR = "imsim-runtime"
"""The name that `lsst-trf.sh` looks for."""
PROJECT = "imsim-on-demand"
WANTED = (f"{PROJECT}[rucio,xrootd]", "requests", "astropy", "psutil")
_BOOTSTRAP = "transformation/lsst-trf.sh"

LAUNCHER = """\
#!/bin/sh
# Start {name} with the Python of this runtime, wherever it is mounted. The path is made plain first: `current` may be
# switched while a job runs.
case $0 in
*/*) here=${{0%/*}} ;;
*) here=$(command -v -- "$0") && here=${{here%/*}} ;;
esac
here=$(CDPATH='' cd -P -- "$here" && pwd -P) || exit 1
# What a job inherits must not choose our modules, nor may we write beside them.
unset PYTHONHOME PYTHONPATH PYTHONSTARTUP
PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1
export PYTHONNOUSERSITE PYTHONDONTWRITEBYTECODE
exec "$here/{python}" -P -c 'import sys; from {module} import {function}; sys.exit({function}())' "$@"
"""


@dataclass(frozen=True)
class RuntimeWishes:
    """What the admin chooses."""

    python: str
    """A Python >= 3.11 of the environment that holds the packages."""
    version: Optional[str]
    """None: that of the project."""
    compiled: bool
    """Whether modules are compiled: without, the folder is half as big and starts slower."""
    install: bool = False
    """Whether an environment with everything is made first, with pip from the package index."""
    wanted: Tuple[str, ...] = WANTED


def build_runtime(workshop: Workshop, wishes: RuntimeWishes) -> Tuple[Path, Release]:
    """Build it in the workshop; the tree and its release. Raises `KitError`."""
    interpreter = ask_interpreter(wishes.python)
    if interpreter.version < (3, 11):
        what = f"{wishes.python} is Python {dotted(interpreter.version)}, the runtime needs 3.11 or newer"
        raise KitError(Exit.BUILD_FAILED, what, cure="name another with --python")
    python = _install(workshop, wishes) if wishes.install else wishes.python
    packages = closure(wishes.wanted, installed(python))
    project = next((one for one in packages if normal(one.name) == PROJECT), packages[0])
    version = wishes.version or project.version
    tree = workshop.release / f"{SIMULATOR}-{version}"
    program = copy_interpreter(interpreter, tree)
    site = tree / "lib" / interpreter.name / "site-packages"
    for package in packages:
        copy_package(package, interpreter, site)
    bundled = bundle_libraries(tree, Bundle(), dict(os.environ), wrap=False)
    _write_launchers(tree, interpreter.name, project)
    _copy_bootstrap(site, tree)
    if wishes.compiled:
        _compile(workshop, tree, program)
    _smoke_test(workshop, tree)
    release = write_release(tree, _facts(tree, version, packages, bundled))
    return tree, release


def _install(workshop: Workshop, wishes: RuntimeWishes) -> str:
    """A new environment with the project that this kit belongs to; its Python. Raises `KitError` BUILD_FAILED."""
    checkout = Path(__file__).resolve().parents[2]
    project = str(checkout) if (checkout / "pyproject.toml").is_file() else PROJECT
    python = str(workshop.folder / "environment/bin/python")
    # Where the index is, how it is reached, and a compiler's settings are the admin's own.
    environment = dict(os.environ)
    requirements = [wanted.replace(PROJECT, project, 1) for wanted in wishes.wanted]
    for command in (
        [wishes.python, "-m", "venv", str(workshop.folder / "environment")],
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements],
    ):
        workshop.run(command, workshop.folder, environment, Exit.BUILD_FAILED)
    return python


def _write_launchers(tree: Path, python: str, project: Package) -> None:
    for name, start in sorted(project.scripts.items()):
        module, _, function = start.partition(":")
        launcher = tree / "bin" / name
        text = LAUNCHER.format(name=name, python=python, module=module, function=function)
        launcher.write_text(text, encoding="utf-8")
        launcher.chmod(0o755)


def _copy_bootstrap(site: Path, tree: Path) -> None:
    """`lsst-trf.sh`, which PanDA downloads from wherever it is published."""
    source = site / _BOOTSTRAP
    if source.is_file():
        shutil.copyfile(source, tree / source.name)
        (tree / source.name).chmod(0o755)


def _compile(workshop: Workshop, tree: Path, program: Path) -> None:
    """Compile all modules by content, not by time: a copy is not compiled again, and equal input gives equal bytes."""
    command = [str(program), "-s", "-m", "compileall", "-q", "-j", "0", "-s", str(tree), "-x", "/lib2to3/|bad_coding"]
    command += ["--invalidation-mode", "unchecked-hash", str(tree / "lib" / program.name)]
    workshop.run(command, workshop.folder, workshop.environment({}), Exit.BUILD_FAILED)


def _smoke_test(workshop: Workshop, tree: Path) -> None:
    """It starts from another place, with nothing around it."""
    elsewhere = workshop.folder / "elsewhere" / tree.name
    elsewhere.parent.mkdir()
    tree.rename(elsewhere)
    try:
        for name in sorted(path.name for path in (elsewhere / "bin").iterdir() if not path.name.startswith("python")):
            command = [str(elsewhere / "bin" / name), "--help"]
            workshop.run(command, workshop.folder / "home", {"LC_ALL": "C"}, Exit.SMOKE_FAILED)
    finally:
        elsewhere.rename(tree)


def _facts(tree: Path, version: str, packages: List[Package], bundled: Bundled) -> Dict[str, Any]:
    glibc, glibcxx, cxxabi, machine = _needs(tree)
    covers = [
        name for name, has in WORKERS.items() if has.glibc >= glibc and has.glibcxx >= glibcxx and has.cxxabi >= cxxabi
    ]
    return {
        "name": f"{SIMULATOR}-{version}",
        "simulator": SIMULATOR,
        "version": version,
        "kind": "runtime",
        "platform": {
            "tag": f"{machine}-glibc{dotted(glibc)}",
            "machine": machine,
            "glibc": dotted(glibc),
            "glibcxx": dotted(glibcxx),
            "covers": covers,
        },
        "build": machine_facts(),
        "packages": [{"name": one.name, "version": one.version, "licence": one.licence[:80]} for one in packages],
        "libraries": sorted(bundled.libraries),
        "licence": "BSD-3-Clause",
    }


def _needs(tree: Path) -> Tuple[Version, Version, Version, str]:
    """The newest symbol versions that the files ask of the worker, and the machine."""
    newest: Dict[str, Version] = {"GLIBC": (2, 17), "GLIBCXX": (3, 4), "CXXABI": (1, 3)}
    machine = os.uname().machine
    for entry in walk(tree):
        if not entry.is_file or entry.status.st_size < 64:
            continue
        with (tree / entry.path).open("rb") as file:
            if not is_elf(file.read(4)):
                continue
        try:
            elf = read_elf(tree / entry.path)
        except ElfInvalid as error:
            raise KitError(Exit.BUILD_FAILED, f"{entry.path} is a damaged ELF file: {error}") from None
        for library, symbols in elf.versions.items():
            for symbol in symbols if library in GLIBC_LIBRARIES | WORKER_LIBRARIES else ():
                family, _, digits = symbol.partition("_")
                newest[family] = max(newest.get(family, ()), version_of(digits) or ())
    return newest["GLIBC"], newest["GLIBCXX"], newest["CXXABI"], machine
