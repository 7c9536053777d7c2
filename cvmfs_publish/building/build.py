"""Build a release from an admin's sources and recipe, or describe a tree that is built already.

In order: bring the sources into the workshop, run the recipe's commands, keep what it says, link other releases in,
bundle interpreter and libraries, make everything readable, start it from another place, write `release.json`.
"""

from __future__ import annotations

import os
import posixpath
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Tuple

from cvmfs_publish.building.bundle import Bundled, bundle_libraries
from cvmfs_publish.building.facts import compiler, machine_facts, source_revision
from cvmfs_publish.building.interpreters import ask_interpreter, copy_interpreter
from cvmfs_publish.building.patterns import matches
from cvmfs_publish.building.recipe import Recipe, filled_environment, filled_in
from cvmfs_publish.building.sources import bring_source, remove_everything_but
from cvmfs_publish.building.workshop import Workshop
from cvmfs_publish.checks.names import is_hashed_pyc
from cvmfs_publish.copying import write_error
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.layout import MANIFEST, Address, split_name
from cvmfs_publish.manifest import Release, write_release
from cvmfs_publish.trees import Entry, walk

_INTERPRETER_FOLDER = "python"
_LITTER = (".git", ".svn", ".hg", ".bzr", "CVS", "**/.git", "**/.svn", "**/CVS", "**/*~")
"""Never part of a release, whatever the recipe keeps."""


@dataclass(frozen=True)
class Order:
    """What is to be built."""

    address: Address
    source: Path
    recipe: Recipe
    prebuilt: bool


def build_release(workshop: Workshop, order: Order) -> Tuple[Path, Release]:
    """Build in the workshop; the tree and its release. Raises `KitError`."""
    origin = bring_source(order.source, workshop.source)
    revision = source_revision(workshop.source)
    values = {
        "source": str(workshop.source),
        "release": str(workshop.release),
        "version": order.address.version,
        "jobs": str(os.cpu_count() or 1),
    }
    environment = workshop.environment(filled_environment(order.recipe, values))
    workshop.release.mkdir()
    for command in () if order.prebuilt else order.recipe.commands:
        workshop.run(filled_in(command, values), workshop.source, environment, Exit.BUILD_FAILED)
    try:
        tree = _collect(workshop, order)
        bundled = _complete(tree, order, environment, values)
    except OSError as error:
        raise write_error(error) from None
    _smoke_test(workshop, order, tree, environment, values)
    facts = _facts(order, origin, revision, bundled)
    return tree, write_release(tree, facts)


# ---------------------------------------------------------------- what is kept
def _collect(workshop: Workshop, order: Order) -> Path:
    """What the commands installed, and what the recipe keeps of the sources, as one tree with the release's name."""
    keep = order.recipe.keep
    installed = bool(os.listdir(workshop.release))  # noqa: PTH208 - only whether there are any
    if not keep and not installed:
        keep = ("**",)
    kept = _kept(workshop.source, keep, order)
    if keep and not kept:
        cure = "correct the patterns, which are relative to the sources"
        raise KitError(Exit.RECIPE_INVALID, f"keep = {list(keep)} matches nothing that was built", cure=cure)
    for entry in kept:
        target = workshop.release / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        (workshop.source / entry.path).replace(target)
    remove_everything_but(workshop.release, _kept(workshop.release, ("**",), order))
    tree = workshop.folder / "tree" / order.address.name
    tree.parent.mkdir()
    workshop.release.rename(tree)
    return tree


def _kept(tree: Path, keep: Tuple[str, ...], order: Order) -> List[Entry]:
    """The files and links that the patterns keep."""
    drop = (*order.recipe.drop, *_LITTER)
    return [
        entry
        for entry in walk(tree)
        if not entry.is_folder
        and matches(entry.path, keep)
        and not matches(entry.path, drop)
        and entry.path != MANIFEST
        and not (entry.name.endswith((".pyc", ".pyo")) and not is_hashed_pyc(tree / entry.path))
    ]


# ---------------------------------------------------------------- what is added
def _complete(tree: Path, order: Order, environment: Dict[str, str], values: Dict[str, str]) -> Bundled:
    for path, release in sorted(order.recipe.data.items()):
        _link_data(tree, order.address, path, release)
    interpreter = order.recipe.bundle.interpreter
    if interpreter:
        copy_interpreter(ask_interpreter(interpreter), tree / _INTERPRETER_FOLDER)
    bundle = replace(order.recipe.bundle, search=tuple(filled_in(order.recipe.bundle.search, values)))
    bundled = bundle_libraries(tree, bundle, environment)
    for entry in walk(tree):
        if not entry.is_link:
            wanted = 0o755 if entry.is_folder or entry.permissions & 0o111 else 0o644
            (tree / entry.path).chmod(wanted)
    tree.chmod(0o755)
    return bundled


def data_target(address: Address, path: str, release: str) -> str:
    """Where a link at `path` of a release leads to reach another release of the same base."""
    here = posixpath.dirname(f"{address.release_folder}/{path}")
    return posixpath.relpath(split_name(release, address.base).release_folder, here)


def _link_data(tree: Path, address: Address, path: str, release: str) -> None:
    link = tree / path
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)  # what the sources brought there is replaced by the release
    link.unlink(missing_ok=True)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(data_target(address, path, release))


# ---------------------------------------------------------------- proof
def _smoke_test(
    workshop: Workshop, order: Order, tree: Path, environment: Dict[str, str], values: Dict[str, str]
) -> None:
    """Start it from another place, with the sources gone: what it still needs of them shows here."""
    if not order.recipe.smoke_test:
        return
    elsewhere = workshop.folder / "elsewhere" / tree.name
    elsewhere.parent.mkdir()
    hidden = workshop.source.with_name("gone")
    workshop.source.rename(hidden)
    tree.rename(elsewhere)
    (workshop.folder / "trial").mkdir()
    try:
        for command in order.recipe.smoke_test:
            words = filled_in(command, {**values, "release": str(elsewhere)})
            workshop.run(words, workshop.folder / "trial", environment, Exit.SMOKE_FAILED)
    finally:
        elsewhere.rename(tree)
        hidden.rename(workshop.source)


# ---------------------------------------------------------------- release.json
def _build_facts(order: Order) -> Dict[str, Any]:
    facts = {**machine_facts(), "recipe_sha256": order.recipe.sha256, "prebuilt": order.prebuilt}
    if order.prebuilt:
        return facts
    return {**facts, "compiler": compiler(), "commands": [list(command) for command in order.recipe.commands]}


def _facts(order: Order, origin: str, revision: str | None, bundled: Bundled) -> Dict[str, Any]:
    recipe = order.recipe
    facts: Dict[str, Any] = {
        **recipe.facts,
        "name": order.address.name,
        "simulator": order.address.simulator,
        "version": order.address.version,
        "kind": recipe.kind,
        "licence": recipe.licence,
        "build": {**_build_facts(order), "source": origin, "source_revision": revision},
    }
    if recipe.bundle.interpreter:
        version = ask_interpreter(recipe.bundle.interpreter).name
        facts.setdefault("interpreter", f"{_INTERPRETER_FOLDER}/bin/{version}")
    optional: Tuple[Tuple[str, List[Any]], ...] = (
        ("licence_files", list(recipe.licence_files)),
        ("libraries", sorted(bundled.libraries)),
        ("wrapped", sorted(bundled.wrapped)),
        ("requires", [{"path": path, "release": name} for path, name in sorted(recipe.data.items())]),
    )
    facts.update({key: value for key, value in optional if value})
    return facts
