"""`iod-publish`: the table of subcommands, and the border where failures become exit codes.

A subcommand is a module with `add_arguments(parser)` and `run(arguments) -> int`; adding one is a row of the table. It
returns 0, or the code of an `Exit`; what it cannot do it raises as `KitError`.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from types import ModuleType
from typing import Dict, List, NoReturn, Optional, Sequence, Tuple

from cvmfs_publish import VERSION, signals
from cvmfs_publish.exits import Exit, KitError, NotReady, plain
from cvmfs_publish.streams import let_go, narrate, open_what_is_closed

SUBCOMMANDS: Dict[str, Tuple[str, str]] = {
    "build": ("cvmfs_publish.commands.build", "make a release from sources, or describe a tree that is built"),
    "check": ("cvmfs_publish.commands.check", "say everything that is wrong with a tree, with the cure of each"),
    "publish": ("cvmfs_publish.commands.publish", "make a release visible to workers"),
    "verify": ("cvmfs_publish.commands.verify", "prove a release over HTTP, or as this machine mounts it"),
    "client": ("cvmfs_publish.commands.client", "what a worker needs: client configuration, warm-up list, check"),
    "current": ("cvmfs_publish.commands.current", "show or switch the recommended version of a simulator"),
    "rollback": ("cvmfs_publish.commands.rollback", "switch back, or go back to a tag"),
    "retire": ("cvmfs_publish.commands.retire", "announce that a version will go, then remove it"),
    "list": ("cvmfs_publish.commands.listing", "what is published, and the release log"),
    "diff": ("cvmfs_publish.commands.diff", "what differs between two releases"),
    "init": ("cvmfs_publish.commands.init", "write a configuration with comments"),
    "exit-codes": ("cvmfs_publish.commands.exit_codes", "every way to end, with its remedy"),
}


class _Parser(argparse.ArgumentParser):
    """Ends with the kit's own code: argparse's 2 means something else to the PanDA pilot."""

    def error(self, message: str) -> NoReturn:
        self.exit(Exit.USAGE.code, f"ERROR: {message}; see `{self.prog} --help`\n")


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run `iod-publish`; the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    open_what_is_closed()
    before = os.umask(0o022)  # what is published must be readable, whoever publishes
    try:
        parsed = build_parser(given).parse_args(given)
        with signals.watched():
            code = int(_module(parsed.command).run(parsed))
            print(end="", flush=True)  # what cannot be written is told here, not when Python ends
            return code
    except SystemExit as end:  # argparse: --help, or an error that it has printed
        return int(end.code or 0)
    except NotReady as error:
        return _complain(*error.problems)
    except KitError as error:
        return _complain(error)
    except BrokenPipeError:  # the reader of our output has left, as `| head` does
        let_go(sys.stdout)
        return Exit.INTERRUPTED.code
    except Exception as error:  # noqa: BLE001 - the border: a bug must end with its own code
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            let_go(sys.stdout)
            return _complain(KitError(Exit.DISK_SHORT, f"{error.filename or 'stdout'}: {error.strerror}"))
        import traceback

        traceback.print_exc()
        print(f"ERROR: {Exit.INTERNAL_ERROR.meaning}; {Exit.INTERNAL_ERROR.cure}", file=sys.stderr)
        return Exit.INTERNAL_ERROR.code
    finally:
        os.umask(before)


def _complain(*errors: KitError) -> int:
    """Say them; the exit code of the first."""
    for error in errors:
        narrate(f"ERROR: {plain(str(error))}")
    return errors[0].exit.code


def build_parser(given: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; only the subcommand that is called is loaded, so that a run that finds nothing to do is fast."""
    parser = _Parser(prog="iod-publish", description="Put simulator releases on CVMFS: build, check, publish, verify.")
    parser.add_argument("--version", action="version", version=f"iod-publish {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    called = given[0] if given and given[0] in SUBCOMMANDS else None
    for name in [called] if called else SUBCOMMANDS:
        meaning = SUBCOMMANDS[name][1]
        sub = commands.add_parser(name, help=meaning, description=meaning[0].upper() + meaning[1:] + ".")
        if name == called:
            _module(name).add_arguments(sub)
    return parser


def all_parsers() -> List[Tuple[str, argparse.ArgumentParser]]:
    """Every subcommand with its complete parser, for the documentation."""
    found: List[Tuple[str, argparse.ArgumentParser]] = []
    for name in SUBCOMMANDS:
        parser = _Parser(prog=f"iod-publish {name}")
        _module(name).add_arguments(parser)
        found.append((name, parser))
    return found


def _module(name: str) -> ModuleType:
    return importlib.import_module(SUBCOMMANDS[name][0])
