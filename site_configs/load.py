"""Find a site's file, lay it over the defaults, decode it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from site_configs.schema import Site

SITES = Path(__file__).parent / "sites"


class SiteInvalid(Exception):
    """The site is unknown or its file is wrong; `str()` is the sentence for the user."""


def known_sites() -> list[str]:
    """Names of the sites that come with this package."""
    return sorted(path.stem for path in SITES.glob("*.toml") if path.stem != "defaults")


def load_site(name_or_file: str) -> Site:
    """The site of that name, or from that TOML file, over the defaults. Raises `SiteInvalid`."""
    path = Path(name_or_file)
    if not name_or_file.endswith(".toml"):
        path = SITES / f"{name_or_file}.toml"
        if name_or_file not in known_sites():
            raise SiteInvalid(f"unknown site '{name_or_file}': name one of {', '.join(known_sites())}, or a .toml file")
    merged = _over(_read(SITES / "defaults.toml"), _read(path))
    try:
        return msgspec.convert(merged, Site)
    except msgspec.ValidationError as error:
        raise SiteInvalid(f"{path}: {error}") from None


def expand(text: str) -> str:
    """The text with `~`, environment variables and `$PACKAGE` (the folder that holds this package) filled in."""
    package = str(Path(__file__).resolve().parent.parent)
    return os.path.expandvars(os.path.expanduser(text.replace("$PACKAGE", package)))  # noqa: PTH111


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SiteInvalid(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SiteInvalid(f"{path}: {error}") from None


def _over(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    merged = dict(below)
    for key, value in above.items():
        beneath = merged.get(key)
        if isinstance(value, dict) and isinstance(beneath, dict):
            merged[key] = _over(beneath, value)
        else:
            merged[key] = value
    return merged
