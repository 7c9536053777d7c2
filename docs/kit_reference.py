# noqa: INP001 - beside the script that uses it
"""The reference page of `iod-publish`, from its parsers, its table of exits and its table of rules."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from cvmfs_publish import cli
from cvmfs_publish.checks.findings import RULES
from cvmfs_publish.exits import Exit
from cvmfs_publish.platforms import WORKERS, dotted

_INTRODUCTION = """# iod-publish

Puts simulator releases, their data and this project's runtime on CVMFS. It needs nothing but Python 3.9 or newer, and
runs from a plain copy of the folder `cvmfs_publish/`: `python3 cvmfs_publish COMMAND`. Results go to stdout, what
happens meanwhile to stderr. How to: [publish on CVMFS](../how-to/publish-on-cvmfs.md),
[build a release](../how-to/build-a-release.md). The configuration is explained in the file that `iod-publish init`
writes; what a simulator's `release.json` says to workers is in [release](release.md).
"""

_RELEASE_JSON = """## What the kit adds to release.json

| key | meaning |
| --- | --- |
| `kind` | `simulator` (the default), `data` or `runtime` |
| `files` | every file: `path`, `size`, `sha256`, `mode`; sorted by path |
| `links` | every symbolic link: `path`, `target` |
| `requires` | links to other releases: `path`, and the `release` that must be published beside this one |
| `licence`, `licence_files` | the licence's name, and the files with its text |
| `build` | the machine (`os`, `machine`, `libc`, `compiler`), the `source` and its git revision, recipe and commands |
| `libraries` | bundled libraries |
| `wrapped` | programs that a script starts, because they cannot be told where their libraries are |
| `platform`, `packages` | of the runtime: what it asks of a worker, the operating systems that covers, what is inside |

The digest of a release is the sha256 of its `release.json`. Catalog markers (`.cvmfscatalog`) are placed by publishing
and are in no manifest.

## The release log

`releases.jsonl` in the state folder, a line for each change: `time`, `who`, `host`, `action` (`publish`, `current`,
`rollback`, `rollback-tag`, `deprecate`, `retire`), `release`, `digest`, `backend`, `repository`, `path`, `revision`,
`root_hash`, `tag`, `before` (what was current), `message`, `kit`. `iod-publish list --log` prints it.
"""


def page() -> str:
    """The page, without the note at its top."""
    parts = [_INTRODUCTION, *_commands(), _exits(), _rules(), _workers(), _RELEASE_JSON]
    return "\n".join(parts)


@contextmanager
def _columns(width: int) -> Iterator[None]:
    """argparse wraps to the terminal of whoever runs it."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(width)
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def _commands() -> Iterator[str]:
    with _columns(102):
        for name, parser in cli.all_parsers():
            text = parser.format_help()
            meaning = cli.SUBCOMMANDS[name][1]
            yield f"## iod-publish {name}\n\n{meaning[0].upper()}{meaning[1:]}.\n\n```text\n{text}```\n"


def _exits() -> str:
    rows = (f"| {one.code} | {one.name} | {one.remedy.value} | {one.meaning} | {one.cure} |\n" for one in Exit)
    return f"""## Exit codes

0 is done. The remedy says what can still help, as for `lsst-trf`: the same command again (HERE), later or from another
machine (ELSEWHERE), more disk or a higher limit (MORE_RESOURCES), or only a person who changes something (NEVER).

| code | name | remedy | meaning | what to do |
| --- | --- | --- | --- | --- |
{"".join(rows)}"""


def _rules() -> str:
    rows = (f"| `{rule}` | {severity.value} | {_cell(cure)} |\n" for rule, (severity, cure) in RULES.items())
    return f"""## What the check finds

`waive` under `[check]` in the configuration takes a rule out.

| rule | severity | cure |
| --- | --- | --- |
{"".join(rows)}"""


def _workers() -> str:
    rows = (
        f"| {name} | {dotted(has.glibc)} | {dotted(has.glibcxx)} | {dotted(has.cxxabi)} |\n"
        for name, has in WORKERS.items()
    )
    return f"""## Operating systems of workers

The newest symbol versions that a program may ask for.

| `workers` | GLIBC | GLIBCXX | CXXABI |
| --- | --- | --- | --- |
{"".join(rows)}"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
