"""What PanDA is sent: tasks and classic jobs, as pure values."""

from __future__ import annotations

import base64
import json
import shlex
from typing import Any

import pytest

from submitter.panda.classic import job_fields
from submitter.panda.tasks import LONGEST_SPEC, TaskDraft, draft_tasks, task_name, task_params
from submitter.settings import PandaSettings
from tests.unit.submitter.job_samples import PLACE, job
from transformation.arguments import build_parser
from transformation.request import parse_parameters

SETTINGS = PandaSettings()
SHELL_WORDS = frozenset("`;&|<>()*?[]#~\n\\!{}'")
"""Within double quotes only `$`, backtick, backslash and quotes mean something; the others are refused all the same."""


def params(select: str = "v700000:R22", **changes: object) -> dict[str, Any]:
    one = job(**changes)
    return task_params(one, TaskDraft(selects=(select,), spec=one.spec), 1, PLACE, SETTINGS)


def spec_in(value: str) -> dict[str, Any]:
    """The job spec that travels in a command line."""
    (word,) = (word for word in shlex.split(value) if "data:;base64," in word)
    found: dict[str, Any] = json.loads(base64.b64decode(word.partition("data:;base64,")[2]))
    return found


def test_a_task_has_the_fields_that_ran_on_a_real_server() -> None:
    task = params()
    assert task["taskName"] == "imsim.19.stars.tonyj.tonyj-stars-00019.001"
    expected = {
        "uniqueTaskName": True, "noInput": True, "nFilesPerJob": 1, "nFiles": 1, "pfnList": ["v700000:R22"],
        "maxAttempt": 3, "maxFailure": 3, "coreCount": 2, "ramCount": 2500, "ramUnit": "MBPerCoreFixed",
        "maxWalltime": 43_200, "site": "IMSIM_LOCAL", "cloud": "US", "vo": "wlcg", "processingType": "imsim",
        "reqID": 19, "skipScout": True,
    }  # fmt: skip
    assert {key: task[key] for key in expected} == expected
    assert task["log"]["param_type"] == "log"
    assert task["log"]["token"] == task["log"]["destination"] == "local"
    assert task["log"]["value"].endswith(".${SN}.log.tgz")
    json.dumps(task)


def test_the_command_line_of_a_task_is_one_that_lsst_trf_takes() -> None:
    (parameter,) = params()["jobParameters"]
    assert parameter["type"] == "constant"
    words = shlex.split(parameter["value"].replace("${IN/L}", "v700000:R22_S11,v700000:R23"))
    parsed = build_parser().parse_args(["run", *words])
    assert (parsed.site, parsed.select) == ("local", "v700000:R22_S11,v700000:R23")
    assert (parsed.cores, parsed.memory_mb) == (2, 5000)
    assert spec_in(parameter["value"])["name"] == "tonyj-stars-00019"


def test_nothing_in_a_command_line_means_something_to_a_shell() -> None:
    spec = json.dumps({"sensors": "R22_S1[12]|`id`;$(id)", "comment": "a\"b'c"}).encode()
    (parameter,) = params(spec=spec)["jobParameters"]
    text = parameter["value"].replace("${IN/L}", "")
    # `;` stands in `data:;base64,`, within quotes.
    assert not SHELL_WORDS & set(text.replace("data:;base64,", ""))
    assert "$" not in text
    assert text.count('"') == 6


@pytest.mark.parametrize("n_visits", [1, 3, 600])
def test_tasks_hold_each_piece_once_with_the_visits_that_they_need(n_visits: int) -> None:
    one = job(n_visits)
    wanted = [f"v{visit}:R22_S{place}" for visit, _ in one.plan.visits for place in ("11", "12")]
    drafts = list(draft_tasks(one, wanted, most_inputs=500))
    assert [select for draft in drafts for select in draft.selects] == wanted
    for draft in drafts:
        assert len(draft.selects) <= 500
        assert len(draft.spec) <= LONGEST_SPEC
        catalogs = {item["catalogs"][0] for item in json.loads(draft.spec)["visits"]}
        visits = {select.partition(":")[0][1:] for select in draft.selects}
        assert catalogs == {f"https://example.org/{visit}.txt" for visit in visits}


def test_long_specs_make_more_tasks() -> None:
    one = job(10)
    document = json.loads(one.spec)
    for item in document["visits"]:
        item["commands"] = [{"inline": "# " + "x" * 20_000}]
    drafts = list(draft_tasks(job(10, spec=json.dumps(document).encode()), [f"v{v}:R22" for v, _ in one.plan.visits]))
    assert [len(draft.selects) for draft in drafts] == [2, 2, 2, 2, 2]


def test_a_request_of_one_image_goes_whole_into_every_task() -> None:
    spec = json.dumps({"name": "n", "catalogs": ["root://h//c"]}).encode()
    drafts = list(draft_tasks(job(spec=spec), ["v1:R22_S11", "v1:R22_S12"], most_inputs=1))
    assert [draft.spec for draft in drafts] == [spec, spec]


def test_task_names_are_short_and_differ() -> None:
    long = job(name="x" * 200, task="t" * 80)
    names = {task_name(long, number) for number in range(1, 4)} | {task_name(job(), 1)}
    assert len(names) == 4
    assert max(map(len, names)) <= 120


# ---------------------------------------------------------------- classic jobs
def fields(execution: int = 1) -> dict[str, Any]:
    one = job()
    return job_fields(one, one.spec, "v700000:R22", 7, execution, PLACE, SETTINGS)


def test_a_classic_job_follows_the_rules_of_lsst_submit() -> None:
    expected = {
        "jobDefinitionID": 7,
        "jobName": "job.19.stars.2.tonyj.7",
        "transformation": SETTINGS.transformation,
        "destinationDBlock": "panda.lsst.user.19.stars.tonyj",
        "destinationSE": "local",
        "currentPriority": 1000,
        "prodSourceLabel": "panda",
        "prodUserName": "tonyj",
        "taskID": 19,
        "attemptNr": 2,
        "processingType": "stars",
        "computingSite": "IMSIM_LOCAL",
        "VO": "lsst",
    }
    found = fields(execution=2)
    assert {key: found[key] for key in expected} == expected
    (log,) = found["files"]
    assert (log["type"], log["lfn"], log["scope"]) == ("log", "job.19.stars.2.tonyj.7.job.log.tgz", "panda")


def test_its_parameters_are_those_of_2014_and_lsst_trf_reads_them() -> None:
    text = fields()["jobParameters"]
    assert text.startswith(' --lsstJobParams="DP_USER=tonyj|PIPELINE_USER=tonyj|PIPELINE_TASK=stars|')
    parsed = build_parser().parse_args(["run", *shlex.split(text)])
    pairs = parse_parameters(parsed.job_params)
    assert (pairs["PIPELINE_PROCESSINSTANCE"], pairs["PIPELINE_EXECUTIONNUMBER"], pairs["PIPELINE_STREAM"]) == (
        "19",
        "1",
        "7",
    )
    assert json.loads(base64.b64decode(pairs["JOB_SPEC"].partition(",")[2]))["user"] == "tonyj"
    assert parsed.select == "v700000:R22"


def test_the_real_client_s_job_spec_takes_all_fields() -> None:
    from pandaclient import JobSpec, MiscUtils

    one = JobSpec.JobSpec()
    for name, value in fields().items():
        if name != "files":
            setattr(one, name, value)
    (back,) = MiscUtils.load_jobs_json(MiscUtils.dump_jobs_json([one]))
    assert (back.jobName, back.coreCount, back.minRamCount) == ("job.19.stars.1.tonyj.7", 2, 5000)
