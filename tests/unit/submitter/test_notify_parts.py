"""Telling of jobs that ended: what is said, by which ways, and to whom already."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from submitter.backends import UNIT_STATES, UnitState
from submitter.client import Client
from submitter.commands.watch import service_unit
from submitter.jobs import State
from submitter.notifying.ledger import TURN_S, Ledger
from submitter.notifying.notice import Notice, notice_of
from submitter.notifying.senders import NotSent, call_webhook, send_mail
from submitter.notifying.story import NEWS_S, Teller
from submitter.notifying.wishes import Mail, Webhook
from submitter.settings import load_settings
from submitter.state import Store
from submitter.status import JobStatus
from submitter.troubles import IodError
from tests.servers.credentials import Authority
from tests.servers.mail_server import Account, MailServer
from tests.servers.scripted_http import ScriptedHttp
from tests.unit.submitter.job_samples import job

pytestmark = pytest.mark.allow_processes
PASSWORD = "correct horse battery"
NOTICE = Notice(name="j", subject="[iod] j failed", text="Grüße\n.\n", document={"name": "j", "text": "Grüße"})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A certificate that we trust."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    return authority.server_certificate, authority.server_key


def mail_to(server: MailServer, **changes: object) -> Mail:
    return msgspec.structs.replace(Mail(server="localhost", port=server.port, to=("a@example.org",)), **changes)


def secret_file(folder: Path, mode: int = 0o600) -> str:
    path = folder / "password"
    path.write_text(PASSWORD + "\n")
    path.chmod(mode)
    return f"file:{path}"


# ---------------------------------------------------------------- mail
@pytest.mark.parametrize("tls", [False, True], ids=["starttls", "tls"])
def test_a_mail_over_tls_with_a_password(trusted: tuple[Path, Path], tls: bool, tmp_path: Path) -> None:
    with MailServer(certificate=trusted, tls=tls, account=Account(user="u", password=PASSWORD)) as server:
        wishes = {"security": "tls" if tls else "starttls", "to": ("a@example.org", "b@example.org")}
        send_mail(NOTICE, mail_to(server, **wishes, user="u", password=secret_file(tmp_path), sender="me@example.org"))
    (mail,) = server.mails
    assert server.logins == ["u"]
    assert server.envelopes == [("me@example.org", ["a@example.org", "b@example.org"])]
    assert (mail["Subject"], mail["From"], mail["Auto-Submitted"]) == (
        NOTICE.subject,
        "me@example.org",
        "auto-generated",
    )
    assert mail.get_content().replace("\r\n", "\n") == NOTICE.text


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_no_word_to_a_server_that_nobody_vouches_for(authority: Authority, security: str) -> None:
    pair = authority.server_certificate, authority.server_key
    with (
        MailServer(certificate=pair, tls=security == "tls") as server,
        pytest.raises(NotSent, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        send_mail(NOTICE, mail_to(server, security=security))
    assert server.mails == []


def test_no_word_where_tls_is_not_offered() -> None:
    with MailServer() as server, pytest.raises(NotSent, match="STARTTLS"):
        send_mail(NOTICE, mail_to(server))
    assert server.mails == []


def test_the_dns_is_not_asked_who_we_are(trusted: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getfqdn", lambda *_: pytest.fail("asked"))
    with MailServer(certificate=trusted) as server:
        send_mail(NOTICE, mail_to(server))
    assert len(server.mails) == 1


def test_wrong_password_is_said_and_not_shown(trusted: tuple[Path, Path], tmp_path: Path) -> None:
    with MailServer(certificate=trusted, account=Account(user="u", password="other")) as server:
        with pytest.raises(NotSent, match="535 authentication failed") as caught:
            send_mail(NOTICE, mail_to(server, user="u", password=secret_file(tmp_path)))
        assert PASSWORD not in str(caught.value)


def test_a_password_that_others_can_read_is_not_used(trusted: tuple[Path, Path], tmp_path: Path) -> None:
    with (
        MailServer(certificate=trusted, account=Account(user="u", password=PASSWORD)) as server,
        pytest.raises(NotSent, match="must be 0600"),
    ):
        send_mail(NOTICE, mail_to(server, user="u", password=secret_file(tmp_path, 0o644)))
    assert server.logins == []


def test_a_server_that_takes_nothing_and_one_that_is_away(trusted: tuple[Path, Path]) -> None:
    with (
        MailServer(certificate=trusted, refuses=True) as server,
        pytest.raises(NotSent, match="nobody of that name"),
    ):
        send_mail(NOTICE, mail_to(server))
    with pytest.raises(NotSent, match="refused"):
        send_mail(NOTICE, mail_to(server))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('server = "mail.example.org"\nsecurity = "none"\nto = ["a@b"]', "only for this machine"),
        ('server = "mail.example.org"\nto = []', "length >= 1"),
        ('server = "mail.example.org"\nto = ["a@b\\nBcc: c@d"]', "not of the form"),
        ('server = "mail.example.org"\nto = ["a@b"]\nuser = "u"', "belong together"),
        ('server = "mail.example.org"\nto = ["a@b"]\nuser = "u"\npassword = "hunter2"', "not of the form"),
    ],
    ids=["plain", "nobody", "two-lines", "no-password", "written-out"],
)
def test_wishes_that_are_refused(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"[notify.mail]\n{text}\n")
    with pytest.raises(IodError, match=problem):
        load_settings(path)


# ---------------------------------------------------------------- webhook
def test_a_webhook_gets_json_and_a_token(tmp_path: Path) -> None:
    with ScriptedHttp(lambda asked: asked.say(204)) as server:
        call_webhook(NOTICE, Webhook(url=f"{server.url}/hook", token=secret_file(tmp_path)))
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/hook")
    assert json.loads(request.body) == NOTICE.document
    assert request.headers["authorization"] == f"Bearer {PASSWORD}"
    assert request.headers["content-type"] == "application/json"


def test_a_webhook_is_not_followed_elsewhere_and_keeps_its_address(tmp_path: Path) -> None:
    with ScriptedHttp(lambda asked: asked.say(302, Location="/elsewhere")) as server:
        with pytest.raises(NotSent, match="answered 302") as caught:
            call_webhook(NOTICE, Webhook(url=f"{server.url}/secret-word"))
        assert len(server.requests) == 1
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(NotSent, match="cannot be reached") as away:
            call_webhook(NOTICE, Webhook(url=f"http://127.0.0.1:{taken.getsockname()[1]}/secret-word"))
    assert "secret-word" not in str(caught.value) + str(away.value)


def test_the_address_of_a_webhook_may_be_a_secret_but_not_a_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "http://127.0.0.1.example.org/x")
    with pytest.raises(NotSent, match="not an https"):
        call_webhook(NOTICE, Webhook(url="env:HOOK"))
    with ScriptedHttp(lambda asked: asked.say(200)) as server:
        monkeypatch.setenv("HOOK", f"{server.url}/x")
        call_webhook(NOTICE, Webhook(url="env:HOOK"))
    assert [request.path for request in server.requests] == ["/x"]


# ---------------------------------------------------------------- once
@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "jobs.sqlite")) as one:
        yield one


def status_of(store: Store, name: str) -> JobStatus:
    one = store.job(name)
    units = [
        UnitState(id=unit, state="failed", failure="SIMULATOR_FAILED", reason="no\n light") for unit in one.plan.units()
    ]
    return JobStatus(job=one, parts=[], counts=dict.fromkeys(UNIT_STATES, 0) | {"failed": len(units)}, units=units)


def test_each_end_is_told_once_by_any_number_of_watchers(store: Store, tmp_path: Path) -> None:

    now_s = time.time()
    store.add_job(replace(job(), state=State.FAILED, changed_s=now_s))
    store.add_job(replace(job(), name="old", state=State.DONE, changed_s=now_s - NEWS_S - 60))
    store.add_job(replace(job(), name="runs", state=State.RUNNING, changed_s=now_s))
    heard: list[tuple[str, str]] = []
    ways = {way: lambda notice, way=way: heard.append((way, notice.name)) for way in ("mail", "webhook")}

    def watcher() -> Teller:
        return Teller(store, Client(None).folders, ways, lambda name: status_of(store, name))

    assert [told.channel for told in watcher().tell_news()] == ["mail", "webhook"]
    assert watcher().tell_news() == []
    assert heard == [("mail", job().name), ("webhook", job().name)]
    with store.change() as db:
        db.execute("UPDATE job SET changed_s = ? WHERE name = ?", (now_s + 1, job().name))
    assert len(watcher().tell_news()) == 2, "it was run again, and ended again"


def test_a_way_that_fails_keeps_none_back_and_is_tried_later(store: Store) -> None:
    one = store.add_job(replace(job(), state=State.FAILED))
    now_s = [1000.0]
    ledger = Ledger(store, clock=lambda: now_s[0])
    assert ledger.take_turn(one, "mail")
    assert not ledger.take_turn(one, "mail"), "somebody is about to tell"
    assert ledger.take_turn(one, "webhook")
    assert ledger.take_turn(one, "mail", now=True)
    now_s[0] += TURN_S
    assert ledger.take_turn(one, "mail"), "whoever had the turn has died, or failed"
    ledger.note_told(one, "mail")
    now_s[0] += 10 * TURN_S
    assert not ledger.take_turn(one, "mail", now=True)


# ---------------------------------------------------------------- what is said
def test_a_notice_says_why_and_how_to_go_on(store: Store) -> None:
    store.add_job(replace(job(30), state=State.PARTIAL, message="it rained"))
    notice = notice_of(status_of(store, job().name), "The dossier.")
    assert notice.subject == "[iod] tonyj-stars-00019 is done in part: 0 of 120 units"
    assert "The dossier." in notice.text
    assert "v700000-R22_S11-E000: SIMULATOR_FAILED: no light" in notice.text
    assert "and 100 more" in notice.text
    assert "iod rerun tonyj-stars-00019 --failed" in notice.text
    assert notice.document["commands"] == {
        "rerun": "iod rerun tonyj-stars-00019 --failed",
        "logs": "iod logs tonyj-stars-00019",
    }
    assert "it rained. Of 120 units: 120 failed with SIMULATOR_FAILED." in notice_of(status_of(store, job().name)).text
    json.dumps(notice.document)


def test_the_service_of_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOD_HOME", '/home/a b/"50%"')
    lines = service_unit().splitlines()
    assert 'Environment="IOD_HOME=/home/a b/\\"50%%\\""' in lines
    assert next(line for line in lines if line.startswith("ExecStart=")).endswith('iod" watch --notify')
