"""`lsst-trf doctor`: which checks there are, and their answers for people and programs."""

from __future__ import annotations

import difflib
import json
import socket
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from site_configs.gaps import Gap
from site_configs.load import SiteInvalid, find_site, load_with_gaps
from site_configs.schema import Site
from transformation.doctor import catalog, clock, credential, cvmfs, disk, here, release, storage
from transformation.doctor.examine import examine
from transformation.doctor.reading import Case, Check, Checked, Reading, Verdict
from transformation.model.failures import Failed, Failure, JobError

_LIMIT_S, _NETWORK_LIMIT_S = 15.0, 40.0
_SHORT_LIMIT_S = 5.0
NAMES = (
    "site", "python", "machine", "disk", "clock", "cvmfs", "release", "credential", "storage", "catalog",
)  # fmt: skip
_LONGEST_FOUND = 100
_NOT_IN_SHORT = frozenset({"catalog"})
"""Images of a job whose catalog is down are safe, and registered later: no reason to send the job away."""


def doctor(parsed: Namespace) -> int:
    """Run the command; the exit code.

    Raises `JobError` SITE_INVALID, USAGE, WORKDIR_UNUSABLE, WORKER_UNFIT, TERMINATED.
    """
    only = _wanted(parsed.only)
    try:
        site, file, gaps = _site(parsed.site)
    except JobError as error:
        if parsed.json:
            _print_document(parsed.site, "", [_no_site(error.failed)], error.failed)
        raise
    workdir = _workdir(parsed.workdir)
    checks = [one for one in all_checks(site, workdir, short=parsed.short) if one.name in only]

    def case_of(check: Check, note: Callable[[str], None]) -> Case:
        return Case(
            site=site,
            file=file,
            gaps=tuple(gaps),
            subject=check.subject,
            workdir=workdir,
            short=parsed.short,
            note=note,
        )

    try:
        checked = examine(checks, case_of)
    except KeyboardInterrupt:
        raise JobError(Failure.TERMINATED, "the doctor was interrupted") from None
    worst = _worst(checked)
    failed = None if worst is not Verdict.BAD else _failed(site, checked)
    if parsed.json:
        _print_document(site.name, str(file), checked, failed)
    else:
        for line in _lines(site, checked, worst):
            print(line)
    sys.stdout.flush()
    if failed is not None:
        raise JobError(failed.failure, failed.detail)
    return 0


def all_checks(site: Site, workdir: Path, *, short: bool) -> list[Check]:
    """Everything that can be looked at for that site, in order."""
    several: dict[str, Sequence[str]] = {
        "disk": disk.folders(site, workdir),
        "cvmfs": site.cvmfs.repositories,
        "release": release.names(site.releases.default, site.releases.offered),
        "credential": credential.kinds(site),
        "storage": storage.locations(site, workdir),
    }
    looks: dict[str, Callable[[Case], Reading]] = {
        "site": here.look_at_site_file,
        "python": here.look_at_python,
        "machine": here.look_at_machine,
        "disk": disk.look,
        "clock": clock.look,
        "cvmfs": cvmfs.look,
        "release": release.look,
        "credential": credential.look,
        "storage": storage.look,
        "catalog": catalog.look,
    }
    network = {"storage", "catalog"}
    return [
        Check(
            name=name,
            subject=subject,
            look=looks[name],
            limit_s=_SHORT_LIMIT_S if short else _NETWORK_LIMIT_S if name in network else _LIMIT_S,
        )
        for name in NAMES
        if not (short and name in _NOT_IN_SHORT)
        for subject in several.get(name) or [""]
    ]


def _wanted(text: str | None) -> frozenset[str]:
    """The names in `--only`. Raises `JobError` USAGE."""
    if text is None:
        return frozenset(NAMES)
    names = text.split(",")
    for name in names:
        if name not in NAMES:
            close = difflib.get_close_matches(name, NAMES, n=1)
            meant = f"did you mean '{close[0]}'?" if close else f"name some of {', '.join(NAMES)}"
            raise JobError(Failure.USAGE, f"--only: no check is called '{name}'; {meant}")
    return frozenset(names)


def _site(name: str) -> tuple[Site, Path, list[Gap]]:
    try:
        file = find_site(name)
        site, gaps = load_with_gaps(file)
    except SiteInvalid as error:
        raise JobError(Failure.SITE_INVALID, f"--site: {error}") from None
    return site, file, gaps


def _workdir(name: str) -> Path:
    try:
        return Path(name).absolute()
    except FileNotFoundError as error:
        detail = f"--workdir {name}: the folder that this is run in is gone: {error.strerror}"
        raise JobError(Failure.WORKDIR_UNUSABLE, detail) from None


def _failed(site: Site, checked: Sequence[Checked]) -> Failed:
    wrong = [one for one in checked if one.verdict is Verdict.BAD]
    names = ", ".join(dict.fromkeys(one.name for one in wrong))
    return Failed(
        failure=Failure.WORKER_UNFIT,
        detail=f"{socket.gethostname()} is not fit for site {site.name}: {names}: {wrong[0].found[:_LONGEST_FOUND]}",
    )


def _no_site(failed: Failed) -> Checked:
    """Where there is no site to look for, that is all there is to say."""
    action = "correct the file: `iod-site check` lists what is wrong in it; `iod-site list` names the sites"
    return Checked(
        name="site", subject="", verdict=Verdict.BAD, found=failed.detail, action=action, wall_s=0.0, facts={}
    )


def _print_document(site: str, file: str, checked: Sequence[Checked], failed: Failed | None) -> None:
    document = {
        "schema_version": 1,
        "site": site,
        "file": file,
        "host": socket.gethostname(),
        "verdict": _worst(checked),
        "exitCode": 0 if failed is None else failed.failure.code,
        "checks": [msgspec.to_builtins(one) for one in checked],
    }
    print(json.dumps(document, indent=1))


def _worst(checked: Sequence[Checked]) -> Verdict:
    return max((one.verdict for one in checked), key=list(Verdict).index, default=Verdict.OK)


def _lines(site: Site, checked: Sequence[Checked], worst: Verdict) -> list[str]:
    lines = []
    for one in checked:
        lines.append(f"{one.verdict:4}  {one.name:10}  {one.found}")
        if one.action:
            lines.append(f"{'':16}  -> {one.action}")
    counts = ", ".join(f"{sum(one.verdict is verdict for one in checked)} {verdict}" for verdict in Verdict)
    fit = "not fit" if worst is Verdict.BAD else "fit"
    return [*lines, f"{socket.gethostname()} is {fit} for site {site.name} ({counts})"]
