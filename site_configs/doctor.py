"""`lsst-trf doctor`, which knows storage, catalogs and releases, run as a program: nothing here imports it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from site_configs.load import SiteInvalid

_PACKAGE_PARENT = str(Path(__file__).resolve().parent.parent)


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What the doctor found."""

    exit_code: int
    document: dict[str, object]
    """As `lsst-trf doctor --json` prints it."""

    @property
    def lines(self) -> list[str]:
        """For people, one a check."""
        checks = self.document["checks"]
        assert isinstance(checks, list)
        return [f"{one['verdict']:5} {one['name']}: {one['found']}" for one in checks]


def become_doctor(site: str, options: Sequence[str]) -> NoReturn:
    """Run it on this machine in the place of this program: output, signals and exit code are its own."""
    sys.stdout.flush()
    os.execve(sys.executable, _command(site, options), _environment())  # noqa: S606 - our own module


def diagnosis_of(site: str, only: Sequence[str]) -> Diagnosis:
    """What it finds in those checks. Raises `SiteInvalid` if it finds no words."""
    options = ["--json", "--only", ",".join(only)]
    done = subprocess.run(_command(site, options), env=_environment(), stdout=subprocess.PIPE, check=False)
    try:
        return Diagnosis(exit_code=done.returncode, document=json.loads(done.stdout))
    except ValueError:
        raise SiteInvalid(f"{site}: lsst-trf doctor ended with status {done.returncode}") from None


def _command(site: str, options: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "transformation", "doctor", "--site", site, *options]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": _PACKAGE_PARENT}
