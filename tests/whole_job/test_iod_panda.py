"""Requests through the real panda-client to a stand-in server, and what its pilots make of them."""

from __future__ import annotations

from pathlib import Path

from tests.panda_stub.pilot import run_task
from tests.panda_stub.server import PandaStub
from tests.whole_job.iod import Iod


def test_a_request_becomes_a_task_that_makes_its_images(iod: Iod, panda: PandaStub, tmp_path: Path) -> None:
    iod.use_panda(panda)
    iod.bench.spec()
    job = iod.submit("--sensors", "R22_S1[12]", "--backend", "panda")
    (task,) = panda.server.tasks.values()
    assert task.params["nFiles"] == len(task.params["pfnList"]) == 1
    assert run_task(panda.server, task.id, tmp_path / "pilots", iod.environment) == "done"
    status = iod.json("status", job["name"])
    assert status["state"] == "done"
