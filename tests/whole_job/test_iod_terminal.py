"""`iod` at a terminal and in a pipe: questions, colours, interruptions, completion."""

from __future__ import annotations

import os
import subprocess
import tomllib

from tests.whole_job.iod import COMMAND, Iod
from tests.whole_job.terminal_session import TerminalSession

ESCAPE = "\x1b["


def session(iod: Iod, *words: str) -> TerminalSession:
    return TerminalSession([COMMAND, *words], iod.bench.folder, iod.environment)


def request(iod: Iod) -> list[str]:
    iod.bench.spec()
    return ["--catalog", "sky.txt", "--sensors", "R22_S11", "--release", iod.bench.release.name, "--output", "store"]


def test_submitting_shows_the_page_and_asks(iod: Iod) -> None:
    with session(iod, "submit", *request(iod)) as terminal:
        terminal.expect("your sensor expression matches 1 sensor:")
        terminal.expect("predicted")
        terminal.expect("Submit 2 units? [y/N]")
        terminal.type("n\n")
        assert terminal.end() == 101
        assert ESCAPE in terminal.text
    assert iod.json("status")["jobs"] == []
    assert not (iod.bench.folder / "store").exists()


def test_the_same_request_again_is_a_question(iod: Iod) -> None:
    name = iod.json("submit", *request(iod))["name"]
    with session(iod, "submit", *request(iod)) as terminal:
        terminal.expect(f"{name} asked for the same on")
        terminal.expect("Submit it once more? [y/N]")
        terminal.type("y\n")
        terminal.expect("-00002 is submitted")
        assert terminal.end() == 0
    with session(iod, "kill", name) as terminal:
        terminal.expect(f"End {name}")
        terminal.type("\n")
        assert terminal.end() == 101


def test_where_nobody_can_answer_a_yes_is_needed(iod: Iod) -> None:
    done = iod.run("submit", *request(iod), code=101)
    assert "give --yes" in done.stderr
    assert ESCAPE not in done.stdout + done.stderr
    assert "is submitted" in iod.run("submit", *request(iod), "--yes").stdout


def test_no_color_and_interrupt(iod: Iod) -> None:
    iod.variables["NO_COLOR"] = "1"
    with session(iod, "submit", *request(iod)) as terminal:
        terminal.expect("[y/N]")
        assert ESCAPE not in terminal.text
        terminal.interrupt("INTERRUPTED")
        assert terminal.end() == 130


def test_watching_ends_with_the_job(iod: Iod) -> None:
    name = iod.json("submit", *request(iod), "--exposures", "0", "--no-amplifiers")["name"]
    with session(iod, "status", name, "--watch") as terminal:
        terminal.expect(f"{name}: done, 100% of 1 unit (1 done)")
        assert terminal.end() == 0


def test_the_first_configuration_is_a_dialogue(iod: Iod) -> None:
    with session(iod, "config") as terminal:
        terminal.expect("Your name in paths and catalogs [")
        terminal.type("tonyj\n")
        terminal.expect("Site (")
        terminal.type("\n")
        terminal.expect("Folder or URL for images [")
        terminal.type("root://store.example.org//lsst\n")
        assert terminal.end() == 0
    path = iod.home / "config.toml"
    assert tomllib.loads(path.read_text())["output"] == "root://store.example.org//lsst"
    assert path.stat().st_mode & 0o777 == 0o600
    settings = iod.json("config")["settings"]
    assert (settings["user"], settings["site"]) == ("tonyj", "local")


def test_a_configuration_that_is_wrong_is_named(iod: Iod) -> None:
    iod.configure('[panda]\nserver = "http://example.org"\n')
    assert "'panda.server': not https://" in iod.run("config", code=121).stderr
    iod.configure("[local]\njobs_at_one = 1\n")
    assert "did you mean 'jobs_at_once'" in iod.run("config", code=121).stderr


def test_editing_a_request_makes_a_new_job(iod: Iod) -> None:
    name = iod.json("submit", *request(iod), "--exposures", "0", "--no-amplifiers")["name"]
    iod.variables["EDITOR"] = """sed -i 's/"exposures": \\[0\\]/"exposures": [1]/; s/ 0$/ 1/'"""
    again = iod.json("rerun", name, "--edit")
    assert again["name"].endswith("-00002")
    assert iod.wait(again["name"])["units"][0]["id"] == "v4242-R22_S11-E001"
    iod.variables["EDITOR"] = "true"
    assert "nothing was changed" in iod.run("rerun", name, "--edit", code=101).stderr
    iod.variables["EDITOR"] = "sed -i 1d"
    refused = iod.run("rerun", name, "--edit", code=11).stderr
    kept = iod.home / f"{name}.edited.json"
    assert f"what you wrote is in {kept}" in refused
    assert kept.read_text().startswith(' "schema_version": 1')
    iod.variables["EDITOR"] = "vi '"
    assert iod.json("rerun", name, "--edit", code=104)["error"]["name"] == "NOT_POSSIBLE"


def test_the_shell_completes(iod: Iod) -> None:
    name = iod.submit("--user", "tonyj")["name"]
    for line, expected in (("iod sta", "status"), ("iod submit --idem", "--idempotency-key"), ("iod kill t", name)):
        answer = iod.home / "answer"
        variables = {
            "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9",
            "_ARGCOMPLETE_STDOUT_FILENAME": str(answer), "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        }  # fmt: skip
        subprocess.run([COMMAND], env={**iod.environment, **variables}, check=False, capture_output=True, timeout=60)
        assert expected in answer.read_text().split("\n"), line
    assert "complete -o nospace" in iod.run("completion", "bash").stdout


def test_a_closed_pipe_is_no_trouble(iod: Iod) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [COMMAND, "exit-codes"], env=iod.environment, stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
