"""A picture of a sensor, a raft or the whole focal plane, made from the images of a job. Opens it, or saves it."""

from __future__ import annotations

import math
import os
import shutil
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from submitter.client import Client
from submitter.commands.names import complete_names
from submitter.fetching.display import display_on
from submitter.local.launch import run_in_foreground
from submitter.picture import Stretch
from submitter.screen import Screen, count
from submitter.viewing import ALL, Look

_STRETCHES = {stretch.word: stretch for stretch in Stretch}


def add_arguments(parser: ArgumentParser) -> None:
    """See `submitter.cli`."""
    complete_names(parser.add_argument("name", metavar="NAME", help="the job"))
    part = f"a unit (v4406-R22_S11-E000), a sensor (R22_S11), a raft (R22) or '{ALL}'"
    parser.add_argument("part", metavar="UNIT", help=f"{part}; exposures are averaged")
    parser.add_argument("--visit", metavar="VISIT", help="of a job with several (default: the first)")
    stretch = "from faint to bright: asinh (default), log, sqrt or linear"
    parser.add_argument("--stretch", choices=list(_STRETCHES), default="asinh", help=stretch)
    parser.add_argument("--white", type=_parse_positive, metavar="SIGMA", help="what is white, in noise of the sky")
    parser.add_argument("--width", type=int, default=1600, metavar="PX", help="of the picture, at most (default: 1600)")
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="save it there, and open nothing")
    parser.add_argument("--json", action="store_true", help="one JSON document; nothing is opened")


def run(client: Client, parsed: Namespace, screen: Screen) -> int:
    """The exit code."""
    look = Look(
        part=parsed.part,
        visit=parsed.visit,
        stretch=_STRETCHES[parsed.stretch],
        white_sigma=parsed.white,
        width_px=parsed.width,
    )
    with display_on(screen) as display:
        view = client.view(parsed.name, look, parsed.out, tell=display.show)
    for note in (*view.notes, *(f"{name} could not be fetched" for name in view.missing)):
        screen.note(f"note: {note}")
    if screen.as_json:
        document = {
            "schema_version": 1,
            "name": parsed.name,
            "path": str(view.path),
            "visit": view.visit,
            "images": list(view.images),
            "missing": list(view.missing),
            "notes": list(view.notes),
        }
        screen.emit(document)
        return 0
    screen.say(f"{view.path} ({count(len(view.images), 'image')})")
    opener = _opener()
    if parsed.out is None and screen.is_terminal and opener is not None:
        run_in_foreground([opener, str(view.path)])
    return 0


def _opener() -> str | None:
    """The program that shows a file, where there is a display to show it on."""
    if sys.platform == "darwin":
        return shutil.which("open")
    has_display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return shutil.which("xdg-open") if has_display else None


def _parse_positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not math.isfinite(value) or value <= 0.0:
        raise ArgumentTypeError(f"'{text}' is not a number above 0")
    return value
