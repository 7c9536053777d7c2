"""Payload command, pre- and postprocess, metadata and clean-up. Whatever is not here is as for `generic`."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from pilot.user.generic import common as generic
from pilot.user.generic.common import *  # noqa: F403 - this pilot's own version of all the rest
from pilot.util.constants import UTILITY_AFTER_PAYLOAD_FINISHED2, UTILITY_BEFORE_PAYLOAD

from .core import packing
from .core.files import REPORT, TRANSFORMATION, read_document
from .core.journal import read_story
from .core.parameters import value_of, words_of
from .core.report import ensure_report
from .core.tidy import tidy


def get_payload_command(job: Any, *more: Any) -> str:
    """The generic command, plus what the pilot knows of the job's share and the job cannot find out."""
    command = str(generic.get_payload_command(job, *more))
    return (
        f"{command} {' '.join(_share(job))}".rstrip() if job.transformation.endswith(f"/{TRANSFORMATION}") else command
    )


def _share(job: Any) -> List[str]:
    given = words_of(job.jobparams)
    cores = getattr(job, "corecount", 0)
    wall_s = getattr(job, "maxwalltime", 0) or getattr(job.infosys.queuedata, "maxtime", 0)
    words = []
    if isinstance(cores, int) and cores > 0 and value_of(given, "--cores") is None:
        words += ["--cores", str(cores)]
    if isinstance(wall_s, int) and wall_s > 0 and value_of(given, "--deadline") is None:
        words += ["--deadline", str(int(time.time()) + wall_s)]
    return words


def get_utility_commands(order: Any = None, job: Any = None, *_more: Any, **_named: Any) -> Optional[Dict[str, object]]:
    """Our two commands around every payload, with or without `multiStepExec` in the task."""
    if job is None or not job.transformation.endswith(f"/{TRANSFORMATION}"):
        return None
    if order == UTILITY_BEFORE_PAYLOAD:
        packing.begin(Path(job.workdir))
        return _command("preprocess", *_site(job.jobparams), ignore_failure=False)
    if order == UTILITY_AFTER_PAYLOAD_FINISHED2:
        return _command("postprocess", ignore_failure=True)
    return None


def _command(name: str, *arguments: str, ignore_failure: bool) -> Dict[str, object]:
    hooks = str(Path(__file__).resolve().parent)
    return {
        "command": shlex.join([sys.executable, hooks]),
        "args": shlex.join([name, *arguments]),
        "label": name,
        "ignore_failure": ignore_failure,
    }


def _site(parameters: str) -> List[str]:
    """`--site NAME` of the payload's own arguments."""
    site = value_of(words_of(parameters), "--site")
    return ["--site", site] if site else []


def get_metadata(workdir: str) -> Optional[str]:
    """The job report, complete in every case; the pilot sends it as the job's metadata."""
    folder = Path(workdir)
    if folder.is_dir():
        ensure_report(folder)
    return generic.get_metadata(workdir)  # type: ignore[no-any-return]


def remove_redundant_files(workdir: str, *_more: Any, **_named: Any) -> None:
    """Last look before the pilot packs the work folder: also where the postprocess was cut off."""
    folder = Path(workdir)
    packing.wait_for_end(folder)
    ensure_report(folder)
    tidy(folder, read_document(folder / REPORT), read_story(folder))
