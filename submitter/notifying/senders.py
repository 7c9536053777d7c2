"""Ways to a person: mail, webhook, desktop. Each either delivers or says in one sentence why not.

Secrets are read when they are used and are in no sentence; servers are checked by their certificates.
"""

from __future__ import annotations

import os
import re
import shutil
import smtplib
import ssl
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import urlsplit

import msgspec

from submitter.local.launch import run_in_foreground
from submitter.notifying.notice import Notice
from submitter.notifying.wishes import URL, Mail, NotifySettings, Webhook
from submitter.troubles import IodError
from transformation.catalog.credentials import NoCredential, read_secret

_TIMEOUT_S = 30.0


class NotSent(Exception):
    """It did not arrive; `str()` says why."""


Sender = Callable[[Notice], None]


def senders_of(settings: NotifySettings) -> Mapping[str, Sender]:
    """All ways that are configured, by name. They raise `NotSent`."""
    found: dict[str, Sender] = {}
    if (mail := settings.mail) is not None:
        found["mail"] = lambda notice: send_mail(notice, mail)
    if (webhook := settings.webhook) is not None:
        found["webhook"] = lambda notice: call_webhook(notice, webhook)
    program = _desktop_program() if settings.desktop else None
    if program is not None:
        found["desktop"] = lambda notice: _show_on_desktop(notice, program)
    return found


def send_mail(notice: Notice, mail: Mail) -> None:
    """One mail to all who are named. Raises `NotSent`."""
    message = EmailMessage()
    message["From"] = mail.sender or mail.to[0]
    message["To"] = ", ".join(mail.to)
    message["Subject"] = notice.subject
    message["Date"] = formatdate(localtime=True)
    message["Message-ID"] = make_msgid(domain=(mail.sender or mail.to[0]).rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(notice.text)
    try:
        with _connected(mail) as server:
            if mail.user is not None and mail.password is not None:
                server.login(mail.user, read_secret(mail.password))
            refused = server.send_message(message)
    except NoCredential as error:
        raise NotSent(f"notify.mail.password: {error}") from None
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        raise NotSent(f"{mail.server}: {error.smtp_code} {' '.join(said.split())[:200]}") from None
    except (smtplib.SMTPException, OSError, UnicodeError) as error:
        raise NotSent(f"{mail.server}:{mail.port_number}: {_words(error)}") from None
    if refused:
        raise NotSent(f"{mail.server} takes no mail for {', '.join(refused)}")


def _connected(mail: Mail) -> smtplib.SMTP:
    """A conversation that nobody else reads. Raises `SMTPException`, `OSError`."""
    context = ssl.create_default_context()
    if mail.security == "tls":
        return smtplib.SMTP_SSL(mail.server, mail.port_number, _own_name(), timeout=_TIMEOUT_S, context=context)
    server = smtplib.SMTP(mail.server, mail.port_number, _own_name(), timeout=_TIMEOUT_S)
    if mail.security == "starttls":
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server


def _own_name() -> str:
    """What we call ourselves (RFC 5321, 4.1.1.1). `smtplib` would ask the DNS, which takes long where there is none."""
    name = os.uname().nodename
    return name if "." in name else "[127.0.0.1]"


def call_webhook(notice: Notice, webhook: Webhook) -> None:
    """Post the document. Raises `NotSent`; who redirects gets nothing."""
    import requests

    try:
        url = webhook.url if webhook.url.startswith(("https:", "http:")) else read_secret(webhook.url)
        token = {} if webhook.token is None else {"Authorization": f"Bearer {read_secret(webhook.token)}"}
    except NoCredential as error:
        raise NotSent(f"notify.webhook: {error}") from None
    if re.fullmatch(URL, url) is None:
        raise NotSent("notify.webhook.url: not an https:// URL")
    host = urlsplit(url).hostname
    headers = {"Content-Type": "application/json", **token}
    content = msgspec.json.encode(notice.document)
    try:
        answer = requests.post(url, data=content, headers=headers, timeout=_TIMEOUT_S, allow_redirects=False)
    except requests.RequestException as error:
        # Its words hold the whole URL, which may be a secret.
        raise NotSent(f"{host} cannot be reached ({type(error).__name__})") from None
    if not 200 <= answer.status_code < 300:
        raise NotSent(f"{host} answered {answer.status_code} {answer.reason}")


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _desktop_program() -> str | None:
    has_display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return shutil.which("notify-send") if has_display else None


def _show_on_desktop(notice: Notice, program: str) -> None:
    first = notice.text.partition("\n")[0]
    try:
        status = run_in_foreground([program, "--app-name=iod", "--", notice.subject, first])
    except IodError as error:
        raise NotSent(error.detail) from None
    if status != 0:
        raise NotSent(f"{program} ended with {status}")
