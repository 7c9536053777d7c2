"""Where the files of a request are: bare paths, `file:`, `root://`, `http(s)://`, `dav(s)://` and `rucio:SCOPE:NAME`.

Text in, text out: nothing is looked up. What a location may carry that nobody else should read, a password before the
host or whatever follows `?`, is left out of every text for people by `redacted`.
"""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from transformation.layout import join_url


class Kind(Enum):
    """Who serves a location; each value names its schemes."""

    FILE = ("file",)
    XROOTD = ("root", "roots", "xroot", "xroots")
    HTTP = ("http", "https", "dav", "davs")
    RUCIO = ("rucio",)


REMOTE_SCHEMES = tuple(scheme for kind in (Kind.XROOTD, Kind.HTTP) for scheme in kind.value)
KNOWN = "bare paths, file:///path, " + ", ".join(f"{scheme}://" for scheme in REMOTE_SCHEMES) + ", rucio:SCOPE:NAME"
"""For messages."""

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")
_RUCIO = "rucio:"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_USER_INFO = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)([^/?#]*)@")
_HIDDEN = "***"
_DID = re.compile(r"rucio:(?P<scope>[A-Za-z0-9._-]+):(?P<name>[A-Za-z0-9/][A-Za-z0-9/._+-]*)")
_ODD_IN_A_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_FILE_NAME = 80
_OWN_TEXTS = frozenset({"comment", "inline", "sensors"})


class LocationInvalid(Exception):
    """The text is no location; `str()` says why, without secrets."""


class LocationUnknown(LocationInvalid):
    """Nobody serves such a location."""


def kind_of(location: str) -> Kind:
    """Who serves it. Raises `LocationInvalid`."""
    if _CONTROL.search(location):
        raise LocationInvalid(f"{location!r} holds control characters")
    if location.startswith(_RUCIO):
        if _DID.fullmatch(location) is None:
            raise LocationInvalid(f"{location} is not of the form rucio:SCOPE:NAME")
        return Kind.RUCIO
    match = _SCHEME.match(location)
    if match is None:
        return Kind.FILE
    scheme = match["scheme"].lower()
    for kind in Kind:
        if scheme in kind.value and kind is not Kind.RUCIO:
            return kind
    raise LocationUnknown(f"no adapter for {redacted(location)}; known: {KNOWN}")


def did_of(location: str) -> tuple[str, str]:
    """Scope and name of a `rucio:` location."""
    match = _DID.fullmatch(location)
    assert match is not None
    return match["scope"], match["name"]


def local_path(location: str, folder: Path) -> Path:
    """The path that a bare or `file:` location means on this machine. Raises `LocationInvalid`."""
    scheme, found, rest = location.partition("://")
    if not found:
        return folder / location.removeprefix("file:")
    if scheme.lower() != "file" or not rest.startswith("/"):
        raise LocationUnknown(f"no adapter for {redacted(location)}; known: {KNOWN}")
    return Path(unquote(rest))


def resolve(location: str, base: str) -> str:
    """The same place from anywhere, on this machine an absolute path: relative paths are below `base`, a folder here
    or elsewhere. Raises `LocationInvalid`."""
    if kind_of(location) is not Kind.FILE:
        return location
    relative = location.removeprefix("file:")
    base_is_here = "://" not in base and not base.startswith(_RUCIO)
    if "://" in location or relative.startswith("/") or base_is_here:
        return str(local_path(location, Path(base)).absolute())
    return _below(base, relative)


def folder_of(location: str) -> str:
    """The folder, or the part of a scope, that holds a remote file."""
    if kind_of(location) is Kind.RUCIO:
        scope, name = did_of(location)
        return f"{_RUCIO}{scope}:{name.rpartition('/')[0]}"
    head, question, query = location.partition("?")
    return f"{head.partition('#')[0].rpartition('/')[0]}/{question}{query}"


def beside(location: str, name: str) -> str:
    """The file of that (checked) name in the folder of a remote file; what follows its `?` stays."""
    return _below(folder_of(location), name)


def file_name(location: str) -> str:
    """A name for a local copy: the location's own as far as that is harmless anywhere."""
    last = re.split(r"[/:]", location.partition("?")[0].rstrip("/"))[-1]
    return _ODD_IN_A_FILE_NAME.sub("_", last).lstrip(".")[-_LONGEST_FILE_NAME:] or "file"


def redacted(location: str) -> str:
    """The location for people: without passwords, and without what follows `?`, which may be a credential."""
    if "://" not in location:
        return location
    head, question, _ = location.partition("?")
    return _USER_INFO.sub(rf"\1{_HIDDEN}@", head) + (f"?{_HIDDEN}" if question else "")


def without_user(location: str) -> tuple[str, str | None]:
    """The location without `USER:PASSWORD@`, and that by itself, as it is encoded; None if there is none."""
    match = _USER_INFO.match(location)
    return (location, None) if match is None else (match[1] + location[match.end() :], match[2])


def redacted_deeply(document: Any) -> Any:
    """The same for all locations in a job spec as plain lists and dictionaries; texts of the user's own stay."""
    match document:
        case dict():
            return {key: one if key in _OWN_TEXTS else redacted_deeply(one) for key, one in document.items()}
        case list():
            return [redacted_deeply(one) for one in document]
        case str():
            return redacted(document)
        case _:
            return document


def without_redacted(location: str) -> str:
    """What can still be asked for of a location that went through `redacted`."""
    return location.replace(f"://{_HIDDEN}@", "://", 1).removesuffix(f"?{_HIDDEN}")


def scrubbed(text: str, location: str) -> str:
    """What others say about a location, without its secrets."""
    match = _USER_INFO.match(location)
    _, _, query = location.partition("?") if "://" in location else ("", "", "")
    secrets = [match[2], match[2].partition(":")[2]] if match else []
    secrets += [query, *(value for pair in query.split("&") for value in pair.partition("=")[2:])]
    for secret in sorted({form for one in secrets for form in (one, unquote(one))}, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN) if len(secret) > 3 else text
    return text


def _below(folder: str, name: str) -> str:
    """A file below a remote folder. Raises `LocationInvalid` for a name that leads out of it."""
    if ".." in name.split("/"):
        raise LocationInvalid(f"{name} leads out of {redacted(folder)}; write the whole location")
    relative = name.removeprefix("./")
    if not folder.startswith(_RUCIO):
        return join_url(folder, *relative.split("/"))
    found = f"{folder}{'' if folder.endswith((':', '/')) else '/'}{relative}"
    kind_of(found)
    return found
