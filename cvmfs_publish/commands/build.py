"""`iod-publish build`: make a release. The last line of its output is where the release is."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Tuple

from cvmfs_publish.building.build import Order, build_release
from cvmfs_publish.building.place import pack, place_release
from cvmfs_publish.building.quicksim import BUILDERS, build_quicksim
from cvmfs_publish.building.recipe import Recipe, load_recipe, recipe_of_prebuilt
from cvmfs_publish.building.runtime import SIMULATOR as RUNTIME
from cvmfs_publish.building.runtime import RuntimeWishes, build_runtime
from cvmfs_publish.building.workshop import Workshop, open_workshop
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.layout import address, default_workshop
from cvmfs_publish.manifest import Release


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument(
        "name", metavar="NAME", help=f"a simulator or data set of your own, {', '.join(BUILDERS)}, or runtime"
    )
    parser.add_argument(
        "--from", dest="source", metavar="TREE-OR-TARBALL", help="the sources, or what is built already"
    )
    parser.add_argument("--version", metavar="V", help="letters, digits, . and _, e.g. 3.4.2 or 3.4.2_1")
    parser.add_argument("--recipe", metavar="FILE", help="how it is built, as TOML; see docs/how-to/build-a-release.md")
    parser.add_argument("--prebuilt", action="store_true", help="the tree is built: run no commands, only describe it")
    parser.add_argument("--kind", choices=("simulator", "data"), help="without a recipe: what the tree is")
    parser.add_argument("--licence", metavar="NAME", help="without a recipe: the licence, e.g. BSD-3-Clause")
    parser.add_argument(
        "--root", default="releases", metavar="DIR", help="the folder for SIMULATOR/VERSION/RELEASE (default: releases)"
    )
    parser.add_argument(
        "--tarball", nargs="?", const="", metavar="FILE", help="also pack it (default: ROOT/NAME-VERSION.tar.gz)"
    )
    parser.add_argument("--workshop", metavar="DIR", help=f"where to build (default: {default_workshop().parent}/...)")
    runtime = parser.add_argument_group("runtime")
    runtime.add_argument(
        "--python", default=sys.executable, metavar="FILE", help="Python of the environment to publish"
    )
    runtime.add_argument("--install", action="store_true", help="make an environment with everything first, with pip")
    runtime.add_argument("--no-compile", action="store_true", help="without compiled modules: smaller, starts slower")


def run(arguments: argparse.Namespace) -> int:
    """Build, place, pack."""
    root = Path(arguments.root)
    if arguments.name in BUILDERS and arguments.source is None:
        _refuse(arguments, "source", "recipe", "prebuilt", "kind", "licence")
        place, release = _quicksim(arguments, root)
    else:
        with open_workshop(Path(arguments.workshop or default_workshop()), arguments.name) as workshop:
            tree, release = _build(arguments, workshop)
            place = place_release(tree, release, root)
    packed = pack(place, release, arguments.tarball, root)
    if packed:
        print(packed)
    print(place)
    return 0


def _quicksim(arguments: argparse.Namespace, root: Path) -> Tuple[Path, Release]:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KitError(Exit.NOT_READY, f"{error.filename}: {error.strerror}", cure="choose another --root") from None
    with tempfile.TemporaryDirectory(dir=root, prefix=".build-") as scratch:
        tree = Path(scratch).absolute() / "tree"
        release = build_quicksim(arguments.name, tree)
        if arguments.version not in (None, release.version):
            cure = "build that, then describe it anew with --prebuilt --from TREE --version V"
            what = f"{arguments.name} here is version {release.version}, not {arguments.version}"
            raise KitError(Exit.USAGE, what, cure=cure)
        return place_release(tree, release, root), release


def _build(arguments: argparse.Namespace, workshop: Workshop) -> Tuple[Path, Release]:
    if arguments.name in ("runtime", RUNTIME):
        _refuse(arguments, "source", "recipe", "prebuilt", "kind", "licence")
        if arguments.version:
            address(RUNTIME, arguments.version)
        wishes = RuntimeWishes(arguments.python, arguments.version, not arguments.no_compile, arguments.install)
        return build_runtime(workshop, wishes)
    for option in ("source", "version"):
        if getattr(arguments, option) is None:
            name = "--from" if option == "source" else "--version"
            raise KitError(Exit.USAGE, f"build {arguments.name} needs {name}", cure="see `iod-publish build --help`")
    order = Order(
        address=address(arguments.name, arguments.version),
        source=Path(arguments.source).absolute(),
        recipe=_recipe(arguments),
        prebuilt=arguments.prebuilt,
    )
    return build_release(workshop, order)


def _recipe(arguments: argparse.Namespace) -> Recipe:
    if arguments.recipe is not None:
        _refuse(arguments, "kind", "licence")
        return load_recipe(Path(arguments.recipe))
    if not arguments.prebuilt:
        raise KitError(Exit.USAGE, f"build {arguments.name} needs --recipe", cure="or --prebuilt if the tree is built")
    return recipe_of_prebuilt(Path(arguments.source), arguments.kind, arguments.licence)


def _refuse(arguments: argparse.Namespace, *options: str) -> None:
    for option in options:
        if getattr(arguments, option):
            name = "from" if option == "source" else option
            raise KitError(Exit.USAGE, f"--{name} does not go with this build", cure="leave it out")
