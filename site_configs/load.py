"""Find a site's file, lay it over the defaults, decode it."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from site_configs.gaps import Gap, fill_gaps, find_gaps, shown
from site_configs.lines import line_numbers, line_of
from site_configs.schema import Site

SITES = Path(__file__).parent / "sites"
DEFAULTS = SITES / "defaults.toml"


class SiteInvalid(Exception):
    """The site is unknown or its file is wrong; `str()` is the sentence for the user."""


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a site."""

    path: Path
    text: str
    document: dict[str, object]


def known_sites() -> list[str]:
    """Names of the sites that come with this package."""
    return sorted(path.stem for path in SITES.glob("*.toml") if path != DEFAULTS)


def load_site(name_or_file: str) -> Site:
    """The site of that name, or from that TOML file, over the defaults.

    Raises `SiteInvalid`, also if the file leaves values to be set by the site.
    """
    path = find_site(name_or_file)
    site, gaps = load_with_gaps(path)
    if gaps:
        keys = ", ".join(f"'{shown(gap.path)}'" for gap in gaps)
        raise SiteInvalid(f"{path} leaves to the site: {keys}; `iod-site check` says what belongs there")
    return site


def load_with_gaps(path: Path) -> tuple[Site, list[Gap]]:
    """The site with stand-ins for what it leaves to be set, and those gaps. Raises `SiteInvalid`."""
    merged = merge(read_layer(DEFAULTS).document, read_layer(path).document)
    gaps = list(find_gaps(merged))
    if gaps:
        filled = fill_gaps(merged, msgspec.inspect.type_info(Site))
        assert isinstance(filled, dict)
        merged = filled
    try:
        return _complete(msgspec.convert(merged, Site)), gaps
    except msgspec.ValidationError as error:
        raise SiteInvalid(_first_wrong(path, merged) or f"{path}: {error}") from None


def _first_wrong(path: Path, document: dict[str, object]) -> str:
    """The first of the errors that `iod-site check` lists, with its line; how many there are more."""
    from site_configs.walk import findings

    lines = line_numbers(read_layer(path).text)
    found = sorted(
        (line_of(one.path, lines), shown(one.path), one.message)
        for one in findings(document, msgspec.inspect.type_info(Site))
    )
    for line, key, message in found[:1]:
        more = f"; and {len(found) - 1} more: `iod-site check {path}` lists all" if found[1:] else ""
        return f"{path}:{line}: " + (f"'{key}': " if key else "") + message + more
    return ""


def find_site(name_or_file: str) -> Path:
    """The file of a site: a path that ends in `.toml`, or the name or alias of one that comes with this package.

    Raises `SiteInvalid`.
    """
    if name_or_file.endswith(".toml"):
        return Path(name_or_file)
    names = known_sites()
    if name_or_file in names:
        return SITES / f"{name_or_file}.toml"
    aliases = {alias: name for name in names for alias in _aliases(name)}
    if name_or_file in aliases:
        return SITES / f"{aliases[name_or_file]}.toml"
    close = difflib.get_close_matches(name_or_file, [*names, *aliases], n=1)
    meant = f", did you mean '{close[0]}'?" if close else ":"
    raise SiteInvalid(f"unknown site '{name_or_file}'{meant} name one of {', '.join(names)}, or a .toml file")


def read_layer(path: Path) -> Layer:
    """One file, parsed. Raises `SiteInvalid`."""
    try:
        text = path.read_text(encoding="utf-8")
        return Layer(path=path, text=text, document=tomllib.loads(text))
    except OSError as error:
        raise SiteInvalid(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SiteInvalid(f"{path}: no UTF-8 text: byte {error.start} is 0x{error.object[error.start]:02x}") from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is no TOMLDecodeError
        raise SiteInvalid(f"{path}: {error}") from None


def merge(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    """Tables key by key, everything else as `above` has it."""
    merged = dict(below)
    for key, value in above.items():
        beneath = merged.get(key)
        merged[key] = merge(beneath, value) if isinstance(value, dict) and isinstance(beneath, dict) else value
    return merged


def expand(text: str) -> str:
    """The text with `~`, environment variables and `$PACKAGE` (the folder that holds this package) filled in."""
    package = str(Path(__file__).resolve().parent.parent)
    return os.path.expandvars(os.path.expanduser(text.replace("$PACKAGE", package)))  # noqa: PTH111


def _aliases(name: str) -> list[str]:
    aliases = read_layer(SITES / f"{name}.toml").document.get("aliases")
    return [alias for alias in aliases if isinstance(alias, str)] if isinstance(aliases, list) else []


def _complete(site: Site) -> Site:
    """`storage.bases` from the endpoints, where the file leaves it to them."""
    if site.storage.bases:
        return site
    bases = [one.url for one in site.storage.endpoints if "write" in one.use]
    return msgspec.structs.replace(site, storage=msgspec.structs.replace(site.storage, bases=bases))
