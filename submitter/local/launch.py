"""The one place of the submitter that starts processes: in the background, in sessions of their own."""

from __future__ import annotations

import atexit
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from submitter.troubles import IodError, Trouble

_PACKAGE_PARENT = str(Path(__file__).resolve().parent.parent.parent)
_SAME_BIRTH_S = 2.0
"""Births are told in ticks since the machine started, and that moment moves when the clock is set."""

_children: list[subprocess.Popen[bytes]] = []
"""Kept so that they can be waited for: a process that nobody waits for stays in the table."""


class Background(msgspec.Struct, frozen=True, kw_only=True):
    """A process, told from a later one with the same number by its birth."""

    pid: int
    born_s: float
    """Seconds since 1970."""

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        import psutil

        reap()
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.born_s) > _SAME_BIRTH_S:
                return False
            return bool(process.status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it alone, if it is still the one."""
        if self.alive:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)


def start_module(module: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str | None]) -> Background:
    """One of our own modules, apart from us: it outlives us, and no signal to our terminal reaches it.

    What it prints is added to `log`, which stands in its working folder. It inherits our environment; what
    `environment` sets to None it does not. Raises `OSError`.
    """
    import psutil

    reap()
    merged = {**os.environ, "PYTHONPATH": _PACKAGE_PARENT, **environment}
    with log.open("ab") as output:
        process = subprocess.Popen(
            (sys.executable, "-P", "-m", module, *arguments),
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={name: value for name, value in merged.items() if value is not None},
        )
    _children.append(process)
    with suppress(psutil.Error):
        return Background(pid=process.pid, born_s=psutil.Process(process.pid).create_time())
    return Background(pid=process.pid, born_s=0.0)


def run_in_foreground(argv: Sequence[str]) -> int:
    """A program that takes over the terminal, such as an editor; its exit status. Raises `IodError`."""
    try:
        return subprocess.run(list(argv), check=False).returncode
    except OSError as error:
        raise IodError(Trouble.NOT_POSSIBLE, f"{argv[0]}: {error.strerror}") from None


def run_editor(path: Path) -> None:
    """Let the user change a file. Raises `IodError`, also if the editor says that nothing is to come of it."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise IodError(Trouble.NOT_POSSIBLE, "neither VISUAL nor EDITOR says which editor to use")
    try:
        words = shlex.split(editor)
    except ValueError as error:
        raise IodError(Trouble.NOT_POSSIBLE, f"the editor {editor}: {error}") from None
    if run_in_foreground([*words, str(path)]) != 0:
        raise IodError(Trouble.NOT_CONFIRMED, f"{editor} ended with an error")


def reap() -> None:
    """Wait for children that are over."""
    for process in list(_children):
        if process.poll() is not None:
            _children.remove(process)


def find_by_argument(argument: str) -> Background | None:
    """A process that was started with that word on its command line, for one whose number was lost."""
    import psutil

    for process in psutil.process_iter(["cmdline", "create_time"]):
        if argument in (process.info["cmdline"] or ()):
            return Background(pid=process.pid, born_s=process.info["create_time"])
    return None


@atexit.register
def _let_go() -> None:
    """We are about to end, and our children are not: nobody waits for them."""
    for process in _children:
        process.returncode = 0
