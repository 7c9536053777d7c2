"""The Python packages of an environment: which of them a program needs, and their files.

What is published is what was installed and tested: nothing is downloaded here.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterable, List, Set, Tuple

from cvmfs_publish.building.interpreters import Interpreter
from cvmfs_publish.copying import write_error
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.processes import run

_ASK = """
import json, os
from importlib.metadata import distributions
found = []
for one in distributions():
    direct = json.loads(one.read_text("direct_url.json") or "{}")
    editable = direct.get("dir_info", {}).get("editable")
    found.append({
        "name": one.metadata["Name"],
        "version": one.version,
        "requires": one.requires or [],
        "files": [str(file) for file in one.files or []],
        "home": str(one.locate_file("")),
        "licence": one.metadata.get("License-Expression") or one.metadata.get("License") or "",
        "scripts": {e.name: e.value for e in one.entry_points if e.group == "console_scripts"},
        "checkout": direct.get("url", "").replace("file://", "", 1) if editable else None,
    })
print(json.dumps(found))
"""
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?[^;]*(?:;(.*))?$")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")


@dataclass(frozen=True)
class Package:
    """An installed distribution."""

    name: str
    version: str
    requires: Tuple[str, ...]
    files: Tuple[str, ...]
    """As installed, relative to its home."""
    home: Path
    licence: str
    scripts: Dict[str, str]
    """Programs, and where they start: `lsst-trf`, `transformation.entry:main`."""
    checkout: str | None
    """Where its sources are, if it is installed to be edited."""


def installed(program: str) -> Dict[str, Package]:
    """What is installed for a Python, by normal name; raises `KitError` BUILD_FAILED."""
    finished = run([program, "-c", _ASK])
    if finished.code:
        raise KitError(
            Exit.BUILD_FAILED, f"{program} ended with {finished.code}: {finished.said}", cure="name a Python"
        )
    found: Dict[str, Package] = {}
    for one in json.loads(finished.out):
        package = Package(
            **{**one, "requires": tuple(one["requires"]), "files": tuple(one["files"]), "home": Path(one["home"])}
        )
        found.setdefault(normal(package.name), package)
    return found


def normal(name: str) -> str:
    """A distribution's name as the index spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(wanted: Iterable[str], there: Dict[str, Package]) -> List[Package]:
    """The packages that these requirements (with extras in brackets) need, by name.

    Of an environment's conditions only the extras are looked at: what another platform would need is not installed.
    Raises `KitError` BUILD_FAILED naming what a wanted package itself lacks.
    """
    taken: Dict[str, Set[str]] = {}
    waiting = [(requirement, True) for requirement in wanted]
    while waiting:
        requirement, is_wanted = waiting.pop()
        name, extras, _ = _split(requirement)
        package = there.get(name)
        if package is None:
            if is_wanted:
                cure = f"use --install, or install it into the environment: `pip install '{requirement}'`"
                raise KitError(Exit.BUILD_FAILED, f"the environment has no {requirement}", cure=cure)
            continue
        new = extras - taken[name] if name in taken else extras | {""}
        taken.setdefault(name, set()).update(new)
        for inner in package.requires if new else ():
            _, _, condition = _split(inner)
            chosen = set(_EXTRA.findall(condition))
            if not chosen & new and (chosen or "" not in new):
                continue
            # What a wanted package names without any other condition must be there.
            waiting.append((inner, is_wanted and not _EXTRA.sub("", condition).strip(" ()")))
    return [there[name] for name in sorted(taken)]


def _split(requirement: str) -> Tuple[str, Set[str], str]:
    found = _REQUIREMENT.match(requirement)
    if found is None:
        raise KitError(Exit.BUILD_FAILED, f"'{requirement}' is not a requirement")
    extras = {extra.strip() for extra in (found.group(2) or "").split(",") if extra.strip()}
    return normal(found.group(1)), extras, found.group(3) or ""


def copy_package(package: Package, python: Interpreter, site: Path) -> None:
    """Copy a package's files into a new site-packages; of one that is edited, its sources. Raises `KitError`."""
    try:
        for name in package.files:
            if name.startswith(("..", "/")) or name.endswith((".pyc", ".pth")) or "direct_url.json" in name:
                continue  # programs are made anew; paths of this machine stay here
            if name.endswith("/RECORD") or "__editable__" in name:
                continue
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(package.home / name, site / name)
            (site / name).chmod(0o755 if name.endswith(".so") or ".so." in name else 0o644)
        if package.checkout:
            for folder in _packages_of(Path(package.checkout), python):
                shutil.copytree(
                    Path(package.checkout) / folder,
                    site / folder,
                    ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".*"),
                )
    except shutil.Error as error:
        raise KitError(Exit.BUILD_FAILED, f"{package.name}: {error.args[0][0][2]}") from None
    except OSError as error:
        raise write_error(error) from None


def _packages_of(checkout: Path, python: Interpreter) -> List[str]:
    """The import packages that the project's wheel would hold."""
    ask = (
        "import json, sys, tomllib\n"
        "project = tomllib.load(open(sys.argv[1], 'rb'))\n"
        "print(json.dumps(project['tool']['hatch']['build']['targets']['wheel']['packages']))"
    )
    finished = run([str(python.program), "-W", "ignore", "-c", ask, str(checkout / "pyproject.toml")])
    if finished.code:
        raise KitError(Exit.BUILD_FAILED, f"{checkout}/pyproject.toml: {finished.said}", cure="install it as a wheel")
    return [str(name) for name in json.loads(finished.out)]
