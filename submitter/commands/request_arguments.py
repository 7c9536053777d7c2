"""Options that describe a request: the same for `check` and `submit`."""

from __future__ import annotations

import argparse

from submitter.drafts import Wishes
from submitter.prepare import Options
from submitter.settings import BACKENDS, BackendName
from submitter.troubles import IodError, Trouble


def add_request_arguments(parser: argparse.ArgumentParser) -> None:
    """A job file, options instead of it or on top of it, and where it is to run."""
    parser.add_argument(
        "job", nargs="?", metavar="JOB", help="job file (JSON or TOML), '-' for stdin, or data:;base64,..."
    )
    _add_what(parser.add_argument_group("the request: these win over the job file"))
    _add_where(parser.add_argument_group("where and how it runs"))
    parser.add_argument("--deep", action="store_true", help="read all catalogs to their ends")


def _add_what(what: argparse._ArgumentGroup) -> None:
    what.add_argument("--catalog", action="append", default=[], metavar="LOCATION", help="again for more of one visit")
    what.add_argument(
        "--visits",
        action="append",
        default=[],
        metavar="LIST",
        help="catalogs of one visit each: a,b,... or 'dir/*.txt'",
    )
    what.add_argument("--sensors", metavar="REGEX", help="sensor expression, e.g. 'R11_S..'")
    what.add_argument("--commands", action="append", default=[], metavar="LOCATION", help="physics commands")
    what.add_argument("--release", metavar="NAME", help="simulator release, e.g. quicksim-1.0")
    what.add_argument("--exposures", metavar="LIST", help="'all', or numbers such as 0,1")
    what.add_argument(
        "--no-amplifiers", dest="amplifiers", action="store_false", default=None, help="sensor images only"
    )
    what.add_argument("--name", metavar="PATTERN", help="%%u user, %%t task, %%n number (default: %%u-%%t-%%n)")
    what.add_argument("--user", metavar="NAME")
    what.add_argument("--task", metavar="NAME")
    what.add_argument("--comment", metavar="TEXT")
    what.add_argument("--debug", action="store_true", default=None, help="keep the work folders")
    what.add_argument("--output", metavar="BASE", help="folder or URL under which the images go")


def _add_where(where: argparse._ArgumentGroup) -> None:
    where.add_argument("--site", metavar="NAME|FILE", help="default: local")
    where.add_argument("--backend", choices=BACKENDS, metavar="NAME", help=f"one of {', '.join(BACKENDS)}")
    where.add_argument(
        "--classic", action="store_true", help="classic PanDA jobs, as in 2014; with or without --backend"
    )
    where.add_argument("--queue", metavar="NAME", help="PanDA queue of the site")
    where.add_argument("--cores", type=positive, metavar="N", help="of one job")
    where.add_argument("--memory-mb", type=positive, metavar="N", help="of one job")


def wishes_of(parsed: argparse.Namespace) -> Wishes:
    """What they say of the request. Raises `IodError` if that is nothing."""
    if parsed.job is None and not (parsed.sensors and (parsed.catalog or parsed.visits)):
        raise IodError(Trouble.USAGE, "name a JOB file, or give --sensors with --catalog or --visits")
    if parsed.catalog and parsed.visits:
        raise IodError(Trouble.USAGE, "give --catalog for one visit, or --visits for several, not both")
    return Wishes(
        catalogs=parsed.catalog,
        visits=parsed.visits,
        sensors=parsed.sensors,
        commands=parsed.commands,
        release=parsed.release,
        name=parsed.name,
        user=parsed.user,
        task=parsed.task,
        comment=parsed.comment,
        exposures=parsed.exposures,
        output=parsed.output,
        debug=parsed.debug,
        amplifiers=parsed.amplifiers,
    )


def options_of(parsed: argparse.Namespace) -> Options:
    """What they say of where it runs."""
    return Options(
        site=parsed.site,
        backend=_backend(parsed),
        queue=parsed.queue,
        cores=parsed.cores,
        memory_mb=parsed.memory_mb,
        deep=parsed.deep,
    )


_MOST_DIGITS = 18
"""Python refuses to read numbers of thousands of digits."""


def _backend(parsed: argparse.Namespace) -> BackendName | None:
    if parsed.classic and parsed.backend == "local":
        raise IodError(Trouble.USAGE, "--classic is for PanDA, and --backend says local")
    backend: BackendName | None = "panda-classic" if parsed.classic else parsed.backend
    return backend


def positive(text: str) -> int:
    """A positive whole number, for argparse."""
    if not text.isdecimal() or len(text) > _MOST_DIGITS or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive whole number")
    return int(text)
