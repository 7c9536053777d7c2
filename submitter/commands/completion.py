"""Print what makes the shell complete commands, options and names of jobs: eval "$(iod completion bash)"."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from importlib.util import find_spec

from submitter.client import Client
from submitter.screen import Screen
from submitter.troubles import IodError, Trouble


def add_arguments(parser: ArgumentParser) -> None:
    """See `submitter.cli`."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish", "tcsh"), help="which shell")


def run(client: Client, parsed: Namespace, screen: Screen) -> int:
    """The exit code."""
    del client
    if find_spec("argcomplete") is None:
        raise IodError(Trouble.NOT_POSSIBLE, "completion needs the Python package argcomplete")
    from argcomplete.shell_integration import shellcode

    screen.say(shellcode(["iod"], shell=parsed.shell).rstrip())
    return 0
