"""What the pilot packs for us, and what it must not read in our words."""

from __future__ import annotations

import base64
import re
import shlex
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformation.cli import complain
from transformation.model.failures import Failed, Failure, JobError
from transformation.pilot_words import decode_parameters, without_alarm


def packed(text: str) -> str:
    """As panda-server does it."""
    return base64.b64encode(text.encode()).decode()


# The pilot's own conditions: panda-pilot 3.7, `resolve_transform_error` and `extract_stderr_error`.
ALARMS = [
    "Not mounting requested bind point",
    "No more available loop devices",
    "Failed to mount image",
    "error: while mounting",
    "Operation not permitted",
    "Failed to create user namespace",
    "Singularity is not installed",
    "Apptainer is not installed",
    "cannot create directory",
    "General payload setup verification error",
    "command not found",
]


@pytest.mark.parametrize("alarm", ALARMS)
def test_no_phrase_of_a_broken_container_is_left(alarm: str) -> None:
    text = f"WORKDIR_UNUSABLE: /x: {alarm}: twice: {alarm}; check it"
    assert alarm not in without_alarm(text)
    assert without_alarm(text).replace("_", " ") == text.replace("_", " ")


def test_other_words_stay_as_they_are() -> None:
    assert without_alarm("not permitted, operation not Permitted") == "not permitted, operation not Permitted"


@given(st.lists(st.text(), max_size=5))
def test_packed_words_come_out_as_a_shell_would_split_them(words: list[str]) -> None:
    text = shlex.join(["--job=x", *words])
    assert decode_parameters(["run", packed(text), "--cores", "2"]) == ["run", "--job=x", *words, "--cores", "2"]


def test_nothing_in_packed_words_is_expanded() -> None:
    text = ' --lsstJobParams="DP_USER=$(id)|SENSORS=R22_S11|`id`;$HOME" --site  BNL'
    expected = ["run", "--lsstJobParams=DP_USER=$(id)|SENSORS=R22_S11|`id`;$HOME", "--site", "BNL"]
    assert decode_parameters(["run", packed(text)]) == expected


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["run"],
        ["run", "--job", packed("--job=x")],
        ["register", packed("--job=x")],
        ["run", "no base64!"],
        ["run", packed("words without an option")],
        ["run", base64.b64encode(b"\xff\xfe--job").decode()],
        ["run", ""],
    ],
    ids=["none", "bare", "option-first", "other-command", "no-base64", "no-option", "no-text", "empty"],
)
def test_other_command_lines_are_left_alone(words: list[str]) -> None:
    assert decode_parameters(words) == words


def test_a_torn_text_is_wrong_usage() -> None:
    with pytest.raises(JobError, match="not whole") as caught:
        decode_parameters(["run", packed('--job="x')])
    assert caught.value.failed.failure is Failure.USAGE


@pytest.mark.allow_processes
def test_what_libraries_log_stays_off_stderr() -> None:
    code = "from transformation.cli import main; main(['exit-codes']); import logging"
    code += "; logging.getLogger('urllib3').warning('[Errno 1] Operation not permitted')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_last_line_alarms_nobody_and_is_the_one_that_the_pilot_finds(capsys: pytest.CaptureFixture[str]) -> None:
    detail = "ERROR : the simulator said\n/x: Operation not permitted"
    assert complain(Failed(failure=Failure.WORKDIR_UNUSABLE, detail=detail)) == Failure.WORKDIR_UNUSABLE.code
    stderr = capsys.readouterr().err
    assert not [alarm for alarm in ALARMS if alarm in stderr]
    # panda-pilot 3.7, `extract_stderr_error`: the first of these is what PanDA shows.
    assert re.findall(r"ERROR\s*:\s*(.*)", stderr)[0].startswith("WORKDIR_UNUSABLE: ")
