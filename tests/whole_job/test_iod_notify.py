"""A job fails, and somebody hears of it: once, with the reason and what to do."""

from __future__ import annotations

import json

from tests.servers.mail_server import MailServer
from tests.servers.scripted_http import ScriptedHttp
from tests.whole_job.iod import Iod, until


def test_who_watches_is_told_once_by_every_way(iod: Iod) -> None:
    with MailServer() as mail, ScriptedHttp(lambda asked: asked.say(200)) as hook:
        iod.configure(
            f'[local]\nattempts = 1\n[notify.webhook]\nurl = "{hook.url}/x"\n[notify.mail]\nserver = "localhost"\n'
            f'port = {mail.port}\nsecurity = "none"\nto = ["tony@example.org"]\n'
        )
        iod.bench.break_stage("atmosphere", "echo no >&2; exit 1")
        watchers = [iod.start("watch", "--notify", "--every", "1") for _ in range(2)]
        name = iod.submit()["name"]
        assert iod.wait(name)["state"] == "failed"
        until(lambda: len(mail.mails) > 0 and len(hook.requests) > 0, "mail and webhook")
        assert iod.json("watch", "--notify", "--once")["told"] == []
        assert iod.run("notify", name).stdout == "everybody knows already\n"
        said = ""
        for watcher in watchers:
            watcher.terminate()
            stdout, stderr = watcher.communicate()
            said += stdout.decode() + stderr.decode()
        assert [one["Subject"] for one in mail.mails] == [f"[iod] {name} failed: 0 of 1 units"]
        assert said.count(f"{name}: told by mail") <= 1
        text = mail.mails[0].get_content()
        assert f"iod rerun {name} --failed" in text
        assert "Nothing of it is stored." in text, "the dossier of the report"
        (request,) = hook.requests
        assert json.loads(request.body)["name"] == name
        assert json.loads(request.body)["state"] == "failed"
    lost = iod.json("notify", "--test", code=108)["told"]
    assert [(one["channel"], one["sent"]) for one in lost] == [("mail", False), ("webhook", False)]


def test_nobody_is_named(iod: Iod) -> None:
    refused = iod.json("notify", code=121)
    assert "[notify.mail]" in refused["error"]["message"]
    assert iod.json("watch", "--once")["told"] == []
    unit = iod.run("watch", "--print-service").stdout
    assert f'Environment="IOD_HOME={iod.home}"' in unit
