"""One warm Python process that runs our programs in forks of itself: as real as a process of their own, and quicker.

Each program runs under watch. What it opens to write, makes, moves, removes or starts is held against what the case
allows, by Python's audit events, which are raised whatever way a call is made; and it is ended when it takes too long.

A line of JSON in asks for a case, a line of JSON out answers.
"""

from __future__ import annotations

import base64
import faulthandler
import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

PROGRAMS = {
    "lsst-trf": "transformation.cli",
    "iod": "submitter.cli",
    "iod-site": "site_configs.cli",
    "hooks": "pilot_hooks.core.commands",
}
_WARM = (
    "transformation.plan_command",
    "transformation.register_command",
    "transformation.reconcile_command",
    "transformation.reproduce_command",
    "transformation.simulator.grid_mode",
    "transformation.storage.file",
    "transformation.catalog.sqlite",
    "transformation.catalog.retrying",
    "transformation.sources.file",
    "transformation.sources.routing",
    "submitter.commands.check",
    "submitter.client",
    "site_configs.check",
    "site_configs.show",
    "pilot_hooks.core.postprocess",
    "difflib",
    "tempfile",
    "traceback",
)
"""Loaded before the first fork: what the commands load when they need it."""
_HANG = 124
"""The exit code that stands for one that was ended."""
_CHANGES = {"os.mkdir": 1, "os.rmdir": 1, "os.remove": 1, "os.truncate": 1, "os.chmod": 1, "os.symlink": 2}
_CHANGES |= {"os.rename": 2, "os.link": 2, "shutil.rmtree": 1, "shutil.move": 2}
"""Audit events that change a file system, and how many of their first arguments are paths; of a symbolic link only the
second is looked at."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """Notes what a program does that the case does not allow."""

    def __init__(self, writable: list[str], unreadable: list[str], note: int) -> None:
        self._writable = [os.path.realpath(folder) for folder in writable]
        self._unreadable = [os.path.realpath(folder) for folder in unreadable]
        self._note = note
        sys.addaudithook(self.see)

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit event."""
        if event == "open":
            path, _mode, flags = arguments
            self._look(event, path, writes=bool(flags & _WRITING))
        elif event in _CHANGES:
            for path in arguments[event == "os.symlink" : _CHANGES[event]]:
                self._look(event, path, writes=True)
        elif event == "subprocess.Popen":
            _executable, words, *_ = arguments
            if [str(words[0]), *map(str, words[1:2])] != [sys.executable, "-m"]:
                self._tell(f"{event} {words!r}")
        elif event in {"os.system", "os.exec", "os.posix_spawn", "socket.connect", "socket.getaddrinfo"}:
            self._tell(f"{event} {arguments!r}")

    def _look(self, event: str, path: object, *, writes: bool) -> None:
        if not isinstance(path, str | bytes):
            return  # a descriptor: it was opened before
        name = os.fsdecode(path)
        if "\0" in name:
            return  # the call fails
        real = str(Path(os.path.realpath(Path(name).parent), Path(name).name))
        if event == "open":
            real = os.path.realpath(real)
        if writes and not real.startswith("/dev/") and not _within(real, self._writable):
            self._tell(f"{event} writes {real}")
        if _within(real, self._unreadable):
            self._tell(f"{event} looks at {real}")

    def _tell(self, line: str) -> None:
        os.write(self._note, line.encode("utf-8", "backslashreplace") + b"\n")


def _within(path: str, folders: list[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Run the case in a fork, and wait for it."""
    folder = Path(case["notes"])
    paths = {name: folder / name for name in ("out", "err", "strange")}
    child = os.fork()
    if child == 0:
        _be_the_program(case, paths)
    code = _wait(child, case["limit_s"])
    texts = {name: path.read_bytes().decode("utf-8", "replace") for name, path in paths.items()}
    return {"code": code, **texts}


def _wait(child: int, limit_s: float) -> int:
    end = time.monotonic() + limit_s
    handle = os.pidfd_open(child)
    try:
        import select

        if not select.select([handle], [], [], max(0.0, end - time.monotonic()))[0]:
            os.kill(child, signal.SIGABRT)  # faulthandler shows where it hangs
            os.waitpid(child, 0)
            return _HANG
    finally:
        os.close(handle)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _be_the_program(case: dict[str, Any], paths: dict[str, Path]) -> None:
    os.setsid()
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(paths[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    note = os.open(paths["strange"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    read, write = os.pipe()
    os.dup2(read, 0)
    stdin = base64.b64decode(case["stdin"])
    os.write(write, stdin[:60_000])
    os.close(write)
    faulthandler.enable()
    os.environ.clear()
    os.environ.update(case["env"])
    os.chdir(case["cwd"])
    sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False))  # noqa: SIM115 - for the life of the process
    sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False), encoding="utf-8")  # noqa: SIM115
    unbuffered = open(2, "wb", buffering=0, closefd=False)  # noqa: SIM115
    sys.stderr = io.TextIOWrapper(unbuffered, encoding="utf-8", errors="backslashreplace", write_through=True)
    program = case["program"]
    sys.argv = [program, *case["words"]]
    main: Callable[[], int] = import_module(PROGRAMS[program]).main
    Watch(case["writable"], case["unreadable"], note)
    os._exit(_exit_code(main))


def _exit_code(main: Callable[[], int]) -> int:
    """As Python itself makes it of a program."""
    try:
        code: object = main()
    except SystemExit as error:
        code = error.code
    except BaseException:  # noqa: BLE001 - which is what the tests are looking for
        import traceback

        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code & 0xFF if isinstance(code, int) else 0 if code is None else 1


def serve(questions: TextIO, answers: TextIO) -> None:
    """Answer until the questions end."""
    for name in (*PROGRAMS.values(), *_WARM):
        import_module(name)
    for line in questions:
        answers.write(json.dumps(run(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
