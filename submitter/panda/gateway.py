"""Questions to a PanDA server, and its troubles as ours."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import IO, Any, Protocol
from urllib.parse import urlsplit

import msgspec

from site_configs.schema import Site
from submitter.credentials import token_folder, uses_tokens
from submitter.folders import Folders
from submitter.panda.child import LOGIN
from submitter.settings import PandaSettings
from submitter.troubles import IodError, Trouble
from transformation.family import release
from transformation.helper import start_module

CHILD = "submitter.panda.child"
_LOGIN_S = 1_200.0
"""The server gives up earlier."""
_STARTING_S = 60.0
_GLANCE_S = 20.0
_BLOCK_BYTES = 1 << 20
_ROWS = {
    "login": Trouble.CREDENTIAL_MISSING,
    "denied": Trouble.PANDA_DENIED,
    "refused": Trouble.PANDA_REFUSED,
    "unreachable": Trouble.PANDA_UNREACHABLE,
    "garbled": Trouble.PANDA_GARBLED,
}


class _Process(Protocol):
    """The child."""

    pid: int
    stdin: IO[bytes] | None
    stdout: IO[bytes] | None

    def kill(self) -> None: ...

    def wait(self) -> int: ...


def server_of(site: Site, settings: PandaSettings) -> str:
    """The PanDA server for a site's jobs. Raises `IodError` for one that would be spoken to without TLS."""
    if settings.server is not None:
        return settings.server
    named = os.environ.get("PANDA_URL_SSL")
    if not named:
        return site.panda.server
    parts = urlsplit(named)
    if parts.scheme != "https" and parts.hostname not in {"127.0.0.1", "localhost"}:
        raise IodError(Trouble.CONFIG_INVALID, f"PANDA_URL_SSL is {named}: only https leaves this machine")
    return f"{parts.scheme}://{parts.netloc}"


class Gateway:
    """One server; to be closed. The child process is started at the first question."""

    def __init__(self, server: str, settings: PandaSettings, folders: Folders) -> None:
        self.server = server
        self._settings = settings
        self._folders = folders
        self._process: _Process | None = None
        self._started = False
        self._unread = b""
        """What the child has said beyond the line that was read last."""

    def ask(self, call: str, **arguments: object) -> Any:
        """What the client's function of that name returns beside its status 0. Raises `IodError`."""
        return self._output(call, self._ask(call, arguments, self._settings.timeout_s, lambda _line: None))

    def _output(self, call: str, answer: dict[str, Any]) -> Any:
        status, output = answer["status"], answer["output"]
        if status != 0:
            raise IodError(Trouble.PANDA_REFUSED, f"{self.server} refused {call}" + (f": {output}" if output else ""))
        return output

    def glance(self, call: str, **arguments: object) -> Any:
        """The same with less patience: for questions that somebody waits for who may be offline."""
        patience_s = min(self._settings.timeout_s, _GLANCE_S)
        return self._output(call, self._ask(call, arguments, patience_s, lambda _line: None))

    def log_in(self, tell: Callable[[str], None]) -> None:
        """Get a token: `tell` hears where the user has to sign in. Raises `IodError`."""
        answer = self._ask(LOGIN, {}, _LOGIN_S, tell)
        if not answer.get("output"):
            raise IodError(Trouble.PANDA_DENIED, f"{self.server} gave no token")

    def close(self) -> None:
        """End the child."""
        if (process := self._process) is not None:
            self._process, self._unread = None, b""
            process.kill()
            process.wait()
            release(process.pid)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

    def _ask(
        self, call: str, arguments: dict[str, Any], timeout_s: float, tell: Callable[[str], None]
    ) -> dict[str, Any]:
        process = self._ensure()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(msgspec.json.encode({"call": call, "arguments": arguments}) + b"\n")
            process.stdin.flush()
            answer = self._read(process.stdout, timeout_s + (0.0 if self._started else _STARTING_S), tell)
        except (BrokenPipeError, EOFError):
            self.close()
            detail = f"the PanDA client ended without an answer to {call}, see {self._log}"
            raise IodError(Trouble.PANDA_GARBLED, detail) from None
        except TimeoutError:
            self.close()
            detail = f"{self.server} gave no answer to {call} in {timeout_s:.0f} s"
            raise IodError(Trouble.PANDA_UNREACHABLE, detail) from None
        self._started = True
        if "trouble" in answer:
            row = _ROWS[answer["trouble"]]
            raise IodError(row, f"{self.server}, {call}: {answer['detail']}")
        return answer

    def _read(self, stream: IO[bytes], timeout_s: float, tell: Callable[[str], None]) -> dict[str, Any]:
        """The last line of an answer. Raises `TimeoutError`, `EOFError`."""
        end = time.monotonic() + timeout_s
        while True:
            document: dict[str, Any] = msgspec.json.decode(self._line(stream, end))
            if "say" not in document:
                return document
            tell(str(document["say"]))

    def _line(self, stream: IO[bytes], end: float) -> bytes:
        """The next line. Read by hand: what a buffer holds already, `select` does not see."""
        while b"\n" not in self._unread:
            if not select.select([stream], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError
            block = os.read(stream.fileno(), _BLOCK_BYTES)
            if not block:
                raise EOFError
            self._unread += block
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _ensure(self) -> _Process:
        if self._process is None:
            if find_spec("pandaclient") is None:
                raise IodError(Trouble.PANDA_MISSING, "the package panda-client is not installed")
            token_folder(self._folders).mkdir(mode=0o700, parents=True, exist_ok=True)
            self._process = start_module(CHILD, self._log, self._environment())
        return self._process

    @property
    def _log(self) -> Any:
        return self._folders.state / "panda-client.log"

    def _environment(self) -> dict[str, str]:
        """What the client reads of its surroundings. Secrets are in files that it is told of."""
        settings = self._settings
        address = f"{self.server.rstrip('/')}/server/panda"
        environment = {
            "PANDA_URL": address,
            "PANDA_URL_SSL": address,
            "PANDACACHE_URL": address,
            # Else it resolves a name at CERN while it is imported.
            "PANDA_BEHIND_REAL_LB": "1",
            "PANDA_CONFIG_ROOT": str(token_folder(self._folders)),
            "PANDA_AUTH": "oidc" if uses_tokens(settings) else "voms",
            "PANDA_AUTH_VO": settings.auth_vo or os.environ.get("PANDA_AUTH_VO") or "Rubin",
        }
        if settings.token_file is not None:
            from site_configs.load import expand

            environment["OIDC_AUTH_TOKEN_FILE"] = expand(settings.token_file)
        return environment
