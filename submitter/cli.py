"""`iod`: words in, exit code out. One command is one module of `submitter.commands`, imported when it is asked for.

A module has `add_arguments(parser)` and `run(client, parsed, screen) -> int`. A new command is a module and a row here.
"""

from __future__ import annotations

import difflib
import errno
import os
import sys
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

import msgspec

from transformation.arguments import Parser
from transformation.model.failures import Failure, JobError
from transformation.telling import drain, open_closed_streams

if TYPE_CHECKING:
    from submitter.troubles import IodError


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table."""

    name: str
    purpose: str

    def load(self) -> ModuleType:
        """Its module."""
        return import_module(f"submitter.commands.{self.name.replace('-', '_')}")


COMMANDS = (
    Command(name="check", purpose="what a request means, costs and lacks; submits nothing"),
    Command(name="submit", purpose="check a request, ask, and submit it"),
    Command(name="status", purpose="how jobs go: all of them, or the units of one"),
    Command(name="history", purpose="all jobs that were ever submitted, with filters"),
    Command(name="logs", purpose="what a job, or one of its units, printed"),
    Command(name="kill", purpose="end a job; its finished units stay"),
    Command(name="ls", purpose="datasets and files of a job, with size, adler32 and role"),
    Command(name="fetch", purpose="bring the files of a job to a folder here"),
    Command(name="view", purpose="a picture of a sensor, a raft or the whole focal plane"),
    Command(name="notify", purpose="tell of jobs that ended, by mail, webhook or desktop"),
    Command(name="watch", purpose="look after all jobs, again and again; with --notify tell of those that end"),
    Command(name="rerun", purpose="make what is missing of a job, or submit it again with changes"),
    Command(name="sync", purpose="learn of jobs from their destinations and from PanDA"),
    Command(name="login", purpose="get a token for PanDA"),
    Command(name="config", purpose="show, set up or edit the configuration"),
    Command(name="completion", purpose="print what makes the shell complete commands and names"),
    Command(name="exit-codes", purpose="list all exit codes"),
)
_FULL = {errno.ENOSPC, errno.EDQUOT}
_EPILOG = """`iod COMMAND --help` says more. Exit codes: `iod exit-codes`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `iod`; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    open_closed_streams()
    try:
        return _run(words)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(words: list[str]) -> int:
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    command = next((one for one in COMMANDS if words[:1] == [one.name]), None)
    as_json = "--json" in words
    try:
        if command is None:
            return _without_command(words)
        module = command.load()
        parsed = _parser_of(command, module).parse_args(words[1:])
        return _run_command(module, parsed)
    except Exception as error:  # noqa: BLE001 - the border: every trouble becomes a line and a code
        return _complain(error, as_json=as_json)
    except KeyboardInterrupt:
        import signal

        from submitter.troubles import IodError, Trouble

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # one is enough
        return _complain(IodError(Trouble.INTERRUPTED, "interrupted"), as_json=as_json)


def _run_command(module: ModuleType, parsed: Namespace) -> int:
    from submitter.client import Client
    from submitter.screen import Screen

    screen = Screen(as_json=getattr(parsed, "json", False))
    with Client() as client:
        code: int = module.run(client, parsed, screen)
    screen.flush()
    return code


def _without_command(words: Sequence[str]) -> int:
    if words and not words[0].startswith("-"):
        close = difflib.get_close_matches(words[0], [one.name for one in COMMANDS], n=1)
        hint = f"did you mean '{close[0]}'?" if close else "`iod --help` lists the commands"
        raise JobError(Failure.USAGE, f"iod has no command '{words[0]}'; {hint}")
    parser = _top_parser()
    parser.parse_args(words)
    parser.print_help()
    return 0


def _top_parser() -> Parser:
    from transformation import __version__

    width = max(len(one.name) for one in COMMANDS)
    listed = "\n".join(f"  {one.name:<{width}}  {one.purpose}" for one in COMMANDS)
    parser = Parser(
        prog="iod",
        usage="iod COMMAND ...",
        description=f"From an instance catalog to LSST sensor images in a folder.\n\ncommands:\n{listed}",
        epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"iod {__version__}")
    return parser


def _parser_of(command: Command, module: ModuleType) -> Parser:
    parser = Parser(prog=f"iod {command.name}", description=module.__doc__, allow_abbrev=False)
    module.add_arguments(parser)
    return parser


def build_parser() -> Parser:
    """All commands in one parser: for the shell's completion, and for the reference."""
    parser = _top_parser()
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command in COMMANDS:
        module = command.load()
        module.add_arguments(commands.add_parser(command.name, help=command.purpose, description=module.__doc__))
    return parser


def _complete() -> None:
    """Answer the shell and end, if the shell asks."""
    import argcomplete

    argcomplete.autocomplete(build_parser())


# ---------------------------------------------------------------- troubles
def _complain(error: Exception, *, as_json: bool) -> int:
    """One line for a person on stderr, or a document for a program; the exit code."""
    from site_configs.plain_text import plain_line
    from submitter.screen import Screen
    from submitter.troubles import IodError, Trouble

    if isinstance(error, JobError):
        error = IodError(error.failed.failure, error.failed.detail)
    if isinstance(error, IodError) and error.row is Failure.USAGE:
        error = IodError(Trouble.USAGE, error.detail)
    if isinstance(error, BrokenPipeError):
        raise error
    if isinstance(error, OSError) and error.errno in _FULL:
        drain(sys.stdout)
        error = IodError(Failure.DISK_FULL, f"{error.filename or 'stdout'}: {error.strerror}")
    if not isinstance(error, IodError):
        error = _bug(error)
    screen = Screen(as_json=as_json)
    if as_json:
        try:
            screen.emit(_document(error))
            screen.flush()
        except OSError:
            drain(sys.stdout)
    screen.note(f"{screen.style('ERROR:', 'red')} {error.row.name}: {plain_line(str(error))}")
    return error.row.code


def _document(error: IodError) -> dict[str, object]:
    row = error.row
    problem = {"level": "error", "name": row.name, "message": error.detail, "action": row.action}
    return {
        "schema_version": 1,
        "error": {"code": row.code, "name": row.name, "message": error.detail, "action": row.action},
        "problems": [problem],
    }


def _bug(error: Exception) -> IodError:
    """What nobody foresaw: the traceback goes to a file."""
    import traceback

    from submitter.folders import Folders
    from submitter.troubles import IodError, Trouble

    log = Folders().state / "bugs.log"
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with log.open("a") as file:
            traceback.print_exception(error, file=file)
    except OSError:
        return IodError(Trouble.INTERNAL_ERROR, f"{type(error).__name__}: {error} (and {log} cannot be written)")
    return IodError(Trouble.INTERNAL_ERROR, f"{type(error).__name__}: {error} ({log})")
