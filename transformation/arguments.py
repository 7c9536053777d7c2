"""The command line of `lsst-trf` (contract: fixed)."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from math import isfinite
from typing import NoReturn

from transformation import __version__
from transformation.model.failures import Failure, JobError


class Parser(argparse.ArgumentParser):
    """Ends wrong usage with our own code: argparse's is 2, which PanDA's pilot takes for a failed set-up."""

    def error(self, message: str) -> NoReturn:
        """Report wrong usage."""
        raise JobError(Failure.USAGE, message)


def build_parser() -> Parser:
    """The parser of all commands."""
    parser = Parser(
        prog="lsst-trf",
        description="Simulate LSST sensor images from instance catalogs, and store and register them.",
        epilog="Exit codes: `lsst-trf exit-codes`.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"lsst-trf {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, add_arguments, purpose in (
        ("run", _add_run, "run a job; running it again does only what is missing"),
        ("plan", _add_plan, "show what a job would make; runs nothing"),
        ("register", _add_register, "put committed images into the catalog"),
        ("reconcile", _add_reconcile, "compare storage, catalog and manifests; changes nothing"),
        ("reproduce", _add_reproduce, "make a unit again from a job report, and compare it with what is stored"),
        ("doctor", _add_doctor, "look whether this machine is fit to be a worker of the site"),
        ("exit-codes", _add_exit_codes, "list all exit codes"),
    ):
        add_arguments(commands.add_parser(name, help=purpose, description=purpose, allow_abbrev=False))
    return parser


def _add_request(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the request (one of the two)")
    group.add_argument("--job", metavar="LOCATION", help="job spec: a file, a URL, '-' for stdin, or data:;base64,...")
    group.add_argument(
        "--lsstJobParams",
        dest="job_params",
        metavar="KEY=VALUE|...",
        help="the 2014 form: DP_USER, PIPELINE_TASK, PIPELINE_PROCESSINSTANCE, ... and JOB_SPEC or the spec's keys",
    )
    parser.add_argument(
        "--site",
        default=os.environ.get("IOD_SITE") or "local",
        metavar="NAME|FILE",
        help="site name or site file ending in .toml (default: $IOD_SITE, which a site's PanDA queue sets, else local)",
    )
    parser.add_argument(
        "--select", metavar="LIST", help="only this part of the request, e.g. v161899:R22_S11,v161900:R22"
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    _add_request(parser)
    parser.add_argument("--workdir", default=".", metavar="DIR", help="work folder, made if missing (default: here)")
    parser.add_argument("--cores", type=_positive, metavar="N", help="use at most N cores")
    parser.add_argument("--memory-mb", type=_positive, metavar="N", help="use at most N MB of memory")
    parser.add_argument(
        "--deadline",
        type=parse_deadline,
        metavar="TIME",
        help="end in order before this time (ISO 8601, or seconds since 1970)",
    )


def _add_plan(parser: argparse.ArgumentParser) -> None:
    _add_request(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object with units[]")


def _add_register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("location", metavar="LOCATION", help="BASE/USER/JOBNAME or one of its visit folders")
    parser.add_argument("--site", default="local", metavar="NAME|FILE", help="whose catalog (default: local)")


def _add_reconcile(parser: argparse.ArgumentParser) -> None:
    _add_register(parser)
    parser.add_argument("--checksums", action="store_true", help="ask the storage for every file's checksum, too")
    parser.add_argument("--json", action="store_true", help="one JSON object with counts and findings[]")


def _add_reproduce(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("report", metavar="REPORT", help="the jobReport.json of a job")
    parser.add_argument("--unit", metavar="ID", help="which unit (default: the first that is committed)")
    parser.add_argument("--workdir", metavar="DIR", help="keep everything in this folder (default: keep nothing)")


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--site",
        default=os.environ.get("IOD_SITE") or "local",
        metavar="NAME|FILE",
        help="site name or site file ending in .toml (default: $IOD_SITE, which a site's PanDA queue sets, else local)",
    )
    parser.add_argument("--workdir", default=".", metavar="DIR", help="where a job would work (default: here)")
    parser.add_argument("--json", action="store_true", help="one JSON object with checks[]")
    parser.add_argument("--short", action="store_true", help="only what takes no time, in less than ten seconds")
    parser.add_argument(
        "--only",
        metavar="LIST",
        help="only these, separated by commas: site, python, machine, disk, clock, cvmfs, release, credential,"
        " storage, catalog",
    )


def _add_exit_codes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")


_MOST_DIGITS = 18
"""Python refuses to read numbers of thousands of digits."""


def _positive(text: str) -> int:
    if not text.isdecimal() or len(text) > _MOST_DIGITS or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive whole number")
    return int(text)


def parse_deadline(text: str) -> float:
    """Seconds since the epoch of an ISO 8601 time (UTC unless it says otherwise) or of such a number itself."""
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        if not isfinite(seconds):
            raise argparse.ArgumentTypeError(f"'{text}' is no time")
        return seconds
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is neither ISO 8601 nor seconds since 1970") from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
