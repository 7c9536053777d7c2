"""Show the configuration, set it up in a dialogue, or edit it."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from site_configs.load import known_sites
from submitter.client import Client
from submitter.folders import images_at_home, write_private
from submitter.local.launch import run_editor
from submitter.screen import Screen
from submitter.settings import Settings, load_settings
from submitter.troubles import IodError, Trouble
from transformation.model.strict import DocumentInvalid, decode


def add_arguments(parser: ArgumentParser) -> None:
    """See `submitter.cli`."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--init", action="store_true", help="ask for the most important things, and write the file")
    how.add_argument("--edit", action="store_true", help="open the file in $EDITOR, and check it")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(client: Client, parsed: Namespace, screen: Screen) -> int:
    """The exit code."""
    path = client.folders.settings
    if parsed.edit:
        _edit(path)
    elif parsed.init or (screen.can_ask and not path.exists()):
        _ask(path, screen)
    settings = load_settings(path)
    if screen.as_json:
        screen.emit({"schema_version": 1, "path": str(path), "settings": msgspec.to_builtins(settings)})
    screen.say(f"# {path}" + ("" if path.exists() else " (not there: all defaults)"))
    screen.say(*to_toml(msgspec.to_builtins(settings)))
    return 0


def _ask(path: Path, screen: Screen) -> None:
    """The dialogue of the first run: Enter takes what is in brackets."""
    if not screen.can_ask:
        raise IodError(Trouble.NOT_CONFIRMED, "nobody is there to answer; use --edit, or write the file")
    old = load_settings(path)
    screen.say(f"This writes {path}. Enter takes what stands in brackets.")
    answers = {
        "user": _question(screen, "Your name in paths and catalogs", old.user_name),
        "site": _question(screen, f"Site ({', '.join(known_sites())}, or a .toml file)", old.site),
        "output": _question(screen, "Folder or URL for images", old.output or str(images_at_home())),
    }
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in answers.items())
    _check(text.encode(), path)
    document = msgspec.to_builtins(old)
    kept = {key: value for key, value in document.items() if value is not None} | answers
    write_private(path, ("\n".join(to_toml(kept)) + "\n").encode())


def _question(screen: Screen, text: str, default: str) -> str:
    return screen.ask(f"{text} [{default}]: ").strip() or default


def _edit(path: Path) -> None:
    if not path.exists():
        write_private(path, b"# See docs/reference/iod.md for all keys.\n")
    run_editor(path)


def _check(content: bytes, path: Path) -> None:
    try:
        decode(content, Settings)
    except DocumentInvalid as error:
        raise IodError(Trouble.CONFIG_INVALID, f"{path}: {error}") from None


def to_toml(document: Mapping[str, object]) -> Iterator[str]:
    """Plain values first, then tables; what is nothing is left out. JSON's texts and numbers are TOML's."""
    for key, value in document.items():
        if value is not None and not isinstance(value, dict):
            yield f"{key} = {json.dumps(value)}"
    for key, value in document.items():
        if isinstance(value, dict):
            yield from ("", f"[{key}]", *to_toml(value))
