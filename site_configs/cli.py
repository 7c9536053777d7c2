"""`iod-site`: look at, check and export the sites."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from site_configs.load import SITES, SiteInvalid, find_site, known_sites, load_with_gaps
from site_configs.plain_text import escaped, plain_line
from site_configs.schema import Location, PandaServer

GOOD, USAGE, INVALID, FULL, TERMINATED = 0, 10, 30, 42, 44
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
        code = command(parsed)
        print(end="", flush=True)  # what cannot be written is told here, not when Python ends
        return code
    except UsageWrong as error:
        return _complain(USAGE, str(error))
    except SiteInvalid as error:
        return _complain(INVALID, str(error))
    except KeyboardInterrupt:
        return _complain(TERMINATED, "interrupted")
    except BrokenPipeError:
        _let_go_of_our_output()
        return GOOD
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        _let_go_of_our_output()
        return _complain(FULL, f"stdout: {error.strerror}")


def build_parser() -> Parser:
    """The parser of all commands."""
    parser = Parser(prog="iod-site", description="Look at, check and export the sites.", allow_abbrev=False)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, add, command, purpose in (
        ("list", _add_nothing, _list, "list the sites that come with this package"),
        ("show", _add_show, _show, "show the values in force at a site, and where each comes from"),
        ("check", _add_check, _check, "check a site file: all errors at once, with their lines"),
        ("doctor", _add_doctor, _doctor, "look at this machine as a worker of the site: runs `lsst-trf doctor`"),
        ("export", _add_export, _export, "write a site in the form of another system"),
        ("schema", _add_nothing, _schema, "print the JSON Schema of site files, for editors"),
    ):
        one = commands.add_parser(name, help=purpose, description=purpose, allow_abbrev=False)
        one.set_defaults(command=command)
        add(one)
    return parser


def _add_nothing(_parser: argparse.ArgumentParser) -> None:
    pass


def _add_site(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("site", metavar="NAME|FILE", help="site name or site file ending in .toml")


def _json(document: object) -> str:
    return escaped(json.dumps(document, indent=1, ensure_ascii=False)) + "\n"


def _let_go_of_our_output() -> None:
    """What is left in its buffer goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(code: int, sentence: str) -> int:
    print(f"ERROR: {plain_line(sentence)}", file=sys.stderr)
    return code


# ---------------------------------------------------------------- look
def _list(_parsed: argparse.Namespace) -> int:
    for name in known_sites():
        site, gaps = load_with_gaps(find_site(name))
        names = ", ".join([name, *site.aliases])
        print(f"{names:22} {site.description}" + (f" ({len(gaps)} values to be set)" if gaps else ""))
    return GOOD


def _add_show(parser: argparse.ArgumentParser) -> None:
    _add_site(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object with values, origins and to_set")


def _show(parsed: argparse.Namespace) -> int:
    from site_configs.show import as_document, as_text, effective

    path = find_site(parsed.site)
    values = effective(path)
    print(_json(as_document(path, values)) if parsed.json else as_text(values), end="")
    return GOOD


def _schema(_parsed: argparse.Namespace) -> int:
    from site_configs.json_schema import json_schema

    print(_json(json_schema()), end="")
    return GOOD


# ---------------------------------------------------------------- check
def _add_check(parser: argparse.ArgumentParser) -> None:
    _add_site(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object with problems[]")
    parser.add_argument(
        "--online", action="store_true", help="also ask the site's catalog, as `lsst-trf doctor --only catalog` does"
    )


def _check(parsed: argparse.Namespace) -> int:
    from site_configs.check import check_file, has_errors

    path = find_site(parsed.site)
    problems = check_file(path)
    bad = has_errors(problems)
    online = None
    if parsed.online and not bad:
        from site_configs.doctor import diagnosis_of

        online = diagnosis_of(str(path), ["catalog"])
    code = INVALID if bad else online.exit_code if online else GOOD
    if parsed.json:
        document: dict[str, object] = {
            "file": str(path),
            "valid": not bad,
            "problems": msgspec.to_builtins(problems),
        }
        print(_json({**document, **({"online": online.document} if online else {})}), end="")
        return code
    for one in problems:
        print(plain_line(f"{path}:{one.line}: {one}"))
    print(f"{path}: {_summary([one.level for one in problems])}")
    for line in online.lines if online else []:
        print(line)
    return code


def _summary(levels: list[str]) -> str:
    counts = [(levels.count(level), level) for level in ("error", "warning") if level in levels]
    return ", ".join(f"{count} {level}{'s' if count > 1 else ''}" for count, level in counts) or "good"


# ---------------------------------------------------------------- doctor
def _add_doctor(parser: argparse.ArgumentParser) -> None:
    _add_site(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object with checks[]")
    parser.add_argument("--short", action="store_true", help="only what takes no time, in less than ten seconds")
    parser.add_argument("--only", metavar="LIST", help="only these checks, separated by commas")
    parser.add_argument("--workdir", metavar="DIR", help="where a job would work (default: here)")


def _doctor(parsed: argparse.Namespace) -> int:
    from site_configs.doctor import become_doctor

    flags = [f"--{name}" for name in ("json", "short") if getattr(parsed, name)]
    given = [(name, getattr(parsed, name)) for name in ("only", "workdir")]
    become_doctor(parsed.site, [*flags, *(f"--{name}={value}" for name, value in given if value is not None)])


# ---------------------------------------------------------------- export
KINDS = ("cric", "rse", "harvester", "sdf", "pilot")


def _add_export(parser: argparse.ArgumentParser) -> None:
    _add_site(parser)
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
    parser.add_argument(
        "--update-sleep", type=_seconds, default=120, metavar="S", help="pilot: pause between server updates"
    )


def _seconds(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds from 1")
    return int(text)


def _export(parsed: argparse.Namespace) -> int:
    from site_configs.export.wanted import Wanted

    _fits("--base", parsed.base, Location)
    _fits("--server", parsed.server, PandaServer)
    path = find_site(parsed.site)
    site, gaps = load_with_gaps(path)
    cache_dir = parsed.cache_dir or parsed.out
    wanted = Wanted(
        site=site,
        reference=site.name if path.parent == SITES else str(path.absolute()),
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
        (text,) = files.values() if len(files) == 1 else [_json(files)]
        print(text, end="")
    return GOOD


def _fits(option: str, value: str | None, kind: object) -> None:
    """Whether a site file might say it, too. Raises `UsageWrong`."""
    from site_configs.walk import findings

    for finding in findings(value, msgspec.inspect.type_info(kind)) if value is not None else ():
        raise UsageWrong(f"{option} '{value}': {finding.message}")


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
