"""Look after all jobs, again and again: renew what is known, submit again what PanDA would not, tell of those that end.

It is ended with Ctrl-C; as a service of the user it needs nobody: see --print-service.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from submitter.client import Client
from submitter.commands.notify import document, show
from submitter.jobs import State
from submitter.screen import Screen
from submitter.troubles import IodError, Trouble

_LOOK_S, _LEAST_LOOK_S = 60.0, 1.0
_KEPT = ("IOD_HOME", "IOD_RELEASES", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "X509_USER_PROXY", "X509_CERT_DIR")
"""Variables that a service has to know as well."""


def add_arguments(parser: ArgumentParser) -> None:
    """See `submitter.cli`."""
    parser.add_argument("--notify", action="store_true", help="tell of each job that ends, as [notify] says")
    every = f"seconds between two looks (default: {_LOOK_S:.0f})"
    parser.add_argument("--every", type=_parse_every, default=_LOOK_S, metavar="SECONDS", help=every)
    parser.add_argument("--once", action="store_true", help="look once, for who has a cron")
    parser.add_argument("--print-service", action="store_true", help="print a systemd user unit, and where it belongs")
    parser.add_argument("--json", action="store_true", help="one JSON document; only with --once")


def run(client: Client, parsed: Namespace, screen: Screen) -> int:
    """The exit code."""
    if parsed.print_service:
        screen.say(service_unit())
        return 0
    if parsed.json and not parsed.once:
        raise IodError(Trouble.USAGE, "--json is for --once: a watch without end is no document")
    if parsed.notify and not client.channels:
        screen.note("note: nobody is to be told: there is no [notify.mail] or [notify.webhook] in the configuration")
    states: dict[str, str] = {}
    while True:
        states = _look(client, parsed, screen, states)
        if parsed.once:
            return 0
        screen.flush()
        time.sleep(parsed.every)


def _look(client: Client, parsed: Namespace, screen: Screen, before: dict[str, str]) -> dict[str, str]:
    """Once; the states of jobs that are told from those of the look before."""
    notes: list[str] = []
    done: list[str] = []
    try:
        done = client.tend()
    except IodError as error:
        if error.row is Trouble.STATE_UNUSABLE:
            raise
        notes.append(str(error))
    notes += client.refresh()
    told = client.notify() if parsed.notify else []
    states = {line.name: line.state for line in client.jobs()}
    ended = [name for name, state in states.items() if State(state).over and before.get(name, state) != state]
    if screen.as_json:
        screen.emit({"schema_version": 1, "done": done, "told": [document(one) for one in told], "notes": notes})
    screen.say(*done, *(f"{name} is {states[name]}" for name in ended))
    show(told, screen)
    for note in notes:
        screen.note(f"note: {note}")
    return states


def service_unit() -> str:
    """A unit of systemd that watches as long as the user is logged in (or lingers)."""
    command = shutil.which("iod") or str(Path(sys.executable).with_name("iod"))
    variables = [f"Environment={_quoted(f'{name}={os.environ[name]}')}" for name in _KEPT if name in os.environ]
    lines = [
        "# Belongs in ~/.config/systemd/user/iod-watch.service; then",
        "#   systemctl --user enable --now iod-watch",
        "#   loginctl enable-linger    (so that it also runs while you are logged out)",
        "[Unit]",
        "Description=ImSim On Demand: look after jobs and tell of those that end",
        "",
        "[Service]",
        f"ExecStart={_quoted(str(Path(command).absolute()))} watch --notify",
        *variables,
        "Restart=on-failure",
        "RestartSec=30",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """One word of a unit file."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _parse_every(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not _LEAST_LOOK_S <= value <= 86_400.0:
        raise ArgumentTypeError(f"'{text}' is not a number of seconds from {_LEAST_LOOK_S:.0f} to 86400")
    return value
