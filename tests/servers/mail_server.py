"""A mail server on loopback, as much of SMTP (RFC 5321, 3207, 4954) as a client needs, that keeps what it gets."""

from __future__ import annotations

import base64
import email
import email.policy
import socketserver
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who may send."""

    user: str
    password: str


class MailServer:
    """With STARTTLS, or TLS from the first byte (`tls`); plain without a certificate."""

    def __init__(
        self,
        *,
        certificate: tuple[Path, Path] | None = None,
        tls: bool = False,
        account: Account | None = None,
        refuses: bool = False,
    ) -> None:
        self.mails: list[EmailMessage] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.logins: list[str] = []
        """Of those who were let in, and only over TLS."""
        self.account = account
        self.refuses = refuses
        self.tls = tls
        self.context: ssl.SSLContext | None = None
        if certificate is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
        outer = self

        class Handler(_Conversation):
            server_of_ours = outer

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Conversation(socketserver.StreamRequestHandler):
    """One client."""

    server_of_ours: MailServer
    timeout = 30

    def handle(self) -> None:
        self._secure = False
        try:
            if self.server_of_ours.tls:
                self._begin_tls()
            self._say("220 here")
            self._sender, self._receivers = "", list[str]()
            while line := self._line():
                if not self._answer(line):
                    return
        except OSError:  # the client does not trust us, or is gone
            return

    def finish(self) -> None:
        for one in (self.wfile, self.rfile):
            with suppress(OSError):
                one.close()
        if self._secure:
            self.connection.close()

    def _line(self) -> str:
        return self.rfile.readline().decode().rstrip("\r\n")

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())
        self.wfile.flush()

    def _begin_tls(self) -> None:
        assert self.server_of_ours.context is not None
        self.rfile.close()
        self.wfile.close()
        self.connection = self.server_of_ours.context.wrap_socket(self.connection, server_side=True)
        self._secure = True
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")

    def _answer(self, line: str) -> bool:
        """Whether the conversation goes on."""
        ours, word = self.server_of_ours, line.partition(" ")[0].upper()
        if word == "EHLO":
            more = ["250-STARTTLS"] if ours.context and not self._secure else ["250-AUTH PLAIN"] if ours.account else []
            self._say("250-here", *more, "250 8BITMIME")
        elif word == "STARTTLS":
            self._say("220 go on")
            self._begin_tls()
        elif word == "AUTH":
            self._log_in(line)
        elif word == "MAIL":
            self._sender = line.partition("<")[2].partition(">")[0]
            self._say("530 who are you" if ours.account and not ours.logins else "250 yes")
        elif word == "RCPT":
            self._receivers.append(line.partition("<")[2].partition(">")[0])
            self._say("550 nobody of that name" if ours.refuses else "250 yes")
        elif word == "DATA":
            self._take()
        elif word == "QUIT":
            self._say("221 bye")
            return False
        else:
            self._say("250 yes")
        return True

    def _log_in(self, line: str) -> None:
        account = self.server_of_ours.account
        _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
        if account == Account(user=user, password=password) and self._secure:
            self.server_of_ours.logins.append(user)
            self._say("235 yes")
        else:
            self._say("535 authentication failed")

    def _take(self) -> None:
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line[1:] if line.startswith(b"..") else line)
        message = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.server_of_ours.mails.append(message)
        self.server_of_ours.envelopes.append((self._sender, self._receivers))
        self._say("250 taken")
