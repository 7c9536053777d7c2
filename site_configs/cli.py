"""`iod-site`: look at, check and export the sites."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from site_configs.load import SiteInvalid, find_site, load_with_gaps

GOOD, USAGE, INVALID = 0, 10, 30
"""Exit codes, those of `lsst-trf` for the same troubles."""


class UsageWrong(Exception):
    """The command line is wrong; `str()` is the sentence for the user."""


class Parser(argparse.ArgumentParser):
    """Ends wrong usage with the code of `lsst-trf`, not with argparse's 2."""

    def error(self, message: str) -> NoReturn:
        """Report wrong usage."""
        raise UsageWrong(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `iod-site`; the exit code."""
    try:
        parsed = build_parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = parsed.command
        return command(parsed)
    except UsageWrong as error:
        return _complain(USAGE, str(error))
    except SiteInvalid as error:
        return _complain(INVALID, str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return GOOD


def build_parser() -> Parser:
    """The parser of all commands."""
    parser = Parser(prog="iod-site", description="Look at, check and export the sites.", allow_abbrev=False)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_export(commands)
    return parser


def _complain(code: int, sentence: str) -> int:
    print(f"ERROR: {sentence}", file=sys.stderr)
    return code


# ---------------------------------------------------------------- export
KINDS = ("cric", "rse", "harvester", "sdf", "pilot")


def _add_export(commands: argparse._SubParsersAction[Parser]) -> None:
    purpose = "write a site in the form of another system"
    parser = commands.add_parser("export", help=purpose, description=purpose, allow_abbrev=False)
    parser.set_defaults(command=_export)
    parser.add_argument("site", metavar="NAME|FILE", help="site name or site file ending in .toml")
    parser.add_argument(
        "--to",
        required=True,
        choices=KINDS,
        help="cric: PanDA queues; rse: storages; harvester: its queue configuration; sdf: its HTCondor submit template;"
        " pilot: the files that let a pilot start without the network",
    )
    parser.add_argument("--out", metavar="DIR", help="write files there (default: to stdout, several as one object)")
    parser.add_argument("--queue", metavar="NAME", help="only this queue (pilot: default the first)")
    parser.add_argument("--base", metavar="LOCATION", help="pilots put log tarballs below this folder or URL instead")
    parser.add_argument("--server", metavar="URL", help="another PanDA server, with its port")
    parser.add_argument("--cache-dir", metavar="DIR", help="where the pilot will find the files (default: --out)")
    parser.add_argument("--update-sleep", type=int, default=120, metavar="S", help="pilot: pause between server updates")


def _export(parsed: argparse.Namespace) -> int:
    from site_configs.export.wanted import Wanted

    path = find_site(parsed.site)
    site, gaps = load_with_gaps(path)
    cache_dir = parsed.cache_dir or parsed.out
    wanted = Wanted(
        site=site,
        queue=parsed.queue,
        base=parsed.base,
        server=parsed.server,
        cache_dir=str(Path(cache_dir).absolute()) if cache_dir else "",
        update_sleep_s=parsed.update_sleep,
    )
    files = _files(parsed.to, wanted)
    for gap in gaps:
        print(f"warning: {path}: {gap}", file=sys.stderr)
    if parsed.out:
        _write(Path(parsed.out), files)
    else:
        (text,) = files.values() if len(files) == 1 else [json.dumps(files, indent=1) + "\n"]
        sys.stdout.write(text)
    return GOOD


def _files(kind: str, wanted: object) -> dict[str, str]:
    """File names and texts."""
    from site_configs.export import cric, harvester, pilot, rse
    from site_configs.export.wanted import Wanted

    assert isinstance(wanted, Wanted)
    match kind:
        case "cric":
            return {"cric_pandaqueues.json": pilot.as_json(cric.queues(wanted))}
        case "rse":
            return {"cric_ddmendpoints.json": pilot.as_json(rse.storages(wanted))}
        case "harvester":
            return {"panda_queueconfig.json": pilot.as_json(harvester.queue_configs(wanted))}
        case "sdf":
            return {"imsim.sdf": harvester.submit_template(wanted)}
        case _:
            return pilot.pilot_files(wanted)


def _write(folder: Path, files: dict[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
            print(folder / name)
    except OSError as error:
        raise SiteInvalid(f"{error.filename}: {error.strerror}") from None
