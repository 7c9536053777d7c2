"""WebDAV as servers really speak it: one method, one request or the few that it takes.

How XRootD's HTTP door (5.5.3) differs from RFC 4918 and 9110 was found by asking it, and is coped with here:
- PUT and MOVE overwrite whatever `If-None-Match: *` or `Overwrite: F` says; MKCOL succeeds twice; LOCK is unknown;
- HEAD calls a folder a file of 4096 bytes, so PROPFIND is asked;
- names in answers to PROPFIND, and the `Destination` of a MOVE, are taken as they are, not decoded;
- `Digest` is right only in an answer to a HEAD with `Want-Digest`: any other answer may show that of another file;
- a range without an end is answered with nothing, one that ends behind the file with less than it promises;
- a full disk breaks the connection;
- one in thousands of questions for a checksum, on a busy machine, is never answered, or by hanging up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import unquote

from msgspec.structs import replace

from transformation.model.failures import Failure
from transformation.ports import Missing, StorageError
from transformation.storage.http_client import HttpClient
from transformation.storage.http_content import Content
from transformation.storage.http_errors import CutOff, Refused
from transformation.storage.http_listing import (
    QUESTION,
    Found,
    ListingInvalid,
    below,
    encodes,
    plain_name,
    read_listing,
)
from transformation.storage.http_place import Place

_PARENT_MISSING = frozenset({404, 409})
_PRECONDITION_FAILED = 412
_ADLER32 = re.compile(r"(?:^|[,\s])adler32=([0-9A-Fa-f]{1,8})(?:$|[,\s])", re.IGNORECASE)
_SIZE = re.compile(r"[0-9]{1,18}")
_LITERAL_SERVER = "xrootd"


class Held(NamedTuple):
    """What a server says of a file."""

    size_bytes: int
    adler32: str | None
    """Eight lower-case hex digits; None where it computes none."""

    def __str__(self) -> str:
        return f"{self.size_bytes} bytes with adler32 {self.adler32 or 'untold'}"


class Dav:
    """Methods of WebDAV over a client. Raises `StorageError`; see each for `Missing`."""

    def __init__(self, client: HttpClient, *, checksum_s: float) -> None:
        self._client = client
        self._checksum_s = checksum_s
        self._literal: dict[str, bool] = {}
        """Servers by authority: whether they take a `Destination` as it is."""
        self._without_checksums: set[str] = set()
        self._redirecting: set[str] = set()

    def look(self, place: Place) -> Found:
        """The file or folder itself. Raises `Missing`."""
        try:
            return self._propfind(place, depth=0)[0]
        except Refused as refused:
            if not refused.is_unknown_method:
                raise
        with self._client.ask("HEAD", place) as answer:  # a web server without WebDAV
            return Found(name=place.name, depth=0, is_folder=False, size_bytes=_length(place, answer.headers))

    def size(self, place: Place) -> int | None:
        """Of the file; None if there is none of that name."""
        with suppress(Missing):
            found = self.look(place)
            return None if found.is_folder else found.size_bytes
        return None

    def held(self, place: Place) -> Held:
        """Size and checksum as the server has them. Raises `Missing`."""
        if place.authority in self._without_checksums:
            return self.held_unchecked(place)
        try:
            wanted = {"Want-Digest": "adler32"}
            with self._client.ask("HEAD", place, headers=wanted, silence_s=self._checksum_s) as answer:
                match = _ADLER32.search(answer.headers.get("Digest", ""))
                adler32 = match[1].lower().zfill(8) if match else None
                return Held(_length(place, answer.headers), adler32)
        except Refused as refused:
            if not refused.is_unknown_method:
                raise
        self._without_checksums.add(place.authority)
        return self.held_unchecked(place)

    def held_unchecked(self, place: Place) -> Held:
        """Its size alone. Raises `Missing`."""
        with self._client.ask("HEAD", place) as answer:
            return Held(_length(place, answer.headers), None)

    def redirects(self, place: Place) -> bool:
        """Whether that server was seen to send files to others."""
        return place.authority in self._redirecting

    def names(self, folder: Place) -> list[Found]:
        """What is in the folder, with names as they are; nothing if it is not there."""
        try:
            found = below(self._propfind(folder, depth=1))
        except Missing:
            return []
        encoded = encodes(found)
        if encoded is None:
            encoded = self._encodes(folder, next(one.name for one in found if "%" in one.name))
        try:
            return [replace(one, name=plain_name(unquote(one.name) if encoded else one.name)) for one in found]
        except ListingInvalid as invalid:
            raise _nonsense(folder, invalid) from None

    def free_bytes(self, folder: Place) -> int | None:
        """Room in the lowest folder of that path that is there; None where the server does not tell."""
        while True:
            try:
                return self.look(folder).free_bytes
            except Missing:
                if folder.path == "/":
                    return None
            except Refused:
                return None  # it may not be asked about the folders above its own
            folder = folder.parent

    def put(self, place: Place, content: Content) -> None:
        """Write the file, over whatever is there; its folders are made if they have to be."""
        try:
            self._put(place, content)
        except Refused as refused:
            if refused.status not in _PARENT_MISSING or not self._make_folders(place.parent):
                raise
            self._put(place, content)

    def move(self, place: Place, target: Place, *, overwrite: bool) -> bool:
        """Rename a file or folder on its server. Raises `Missing`.

        False if the server says that something is in the way and must not be overwritten. Not every server looks.
        """
        headers = {"Destination": self._destination(target), "Overwrite": "T" if overwrite else "F"}
        try:
            with self._client.ask("MOVE", place, headers=headers):
                return True
        except Refused as refused:
            if refused.status == _PRECONDITION_FAILED:
                return False
            if refused.status not in _PARENT_MISSING or not self._make_folders(target.parent):
                raise
        with self._client.ask("MOVE", place, headers=headers):
            return True

    def delete(self, place: Place) -> bool:
        """Remove a file or an empty folder; False if there was none. Many servers remove full folders, too."""
        try:
            with self._client.ask("DELETE", place):
                return True
        except Missing:
            return False

    # -- what it takes

    def _propfind(self, place: Place, *, depth: int) -> list[Found]:
        headers = {"Depth": str(depth), "Content-Type": "application/xml"}
        try:
            with self._client.ask("PROPFIND", place, headers=headers, content=Content(QUESTION)) as answer:
                self._learn(place, answer.headers.get("Server"))
                return read_listing(answer.blocks())
        except ListingInvalid as invalid:
            raise _nonsense(place, invalid) from None

    def _put(self, place: Place, content: Content) -> None:
        with self._client.ask("PUT", place, content=content, writing=True) as answer:
            self._learn(place, answer.headers.get("Server"))
            if answer.is_from_elsewhere:
                self._redirecting.add(place.authority)

    def _make_folders(self, folder: Place) -> bool:
        """Make the folder and those above it; False if it was there."""
        missing: list[Place] = []
        while folder.path != "/" and not self._is_there(folder):
            missing.append(folder)
            folder = folder.parent
        for one in reversed(missing):
            try:
                with self._client.ask("MKCOL", one, writing=True):
                    pass
            except Refused:
                if not self._is_there(one):  # else somebody was faster
                    raise
        return bool(missing)

    def _is_there(self, folder: Place) -> bool:
        with suppress(Missing):
            return self.look(folder).is_folder
        return False

    def _destination(self, target: Place) -> str | bytes:
        if target.literal == target.path or not self._is_literal(target):
            return f"{target.scheme}://{target.authority}{target.path}"
        return f"{target.scheme}://{target.authority}{target.literal}".encode()

    def _is_literal(self, place: Place) -> bool:
        if place.authority not in self._literal:
            self._is_there(place.parent)
        return self._literal.get(place.authority, False)

    def _learn(self, place: Place, server: str | None) -> None:
        self._literal[place.authority] = (server or "").lower().startswith(_LITERAL_SERVER)

    def _encodes(self, folder: Place, name: str) -> bool:
        """Whether a listed name with `%` is encoded: no file has it as it is."""
        with suppress(Missing):
            self.look(folder.child(name))
            return False
        return True


def _length(place: Place, headers: Mapping[str, str]) -> int:
    length = headers.get("Content-Length", "")
    if not _SIZE.fullmatch(length):
        raise CutOff(f"{place.shown}: the server does not tell its size", transient=False)
    return int(length)


def _nonsense(place: Place, invalid: ListingInvalid) -> StorageError:
    """Nothing may be concluded from such an answer, least of all that a file is missing."""
    return StorageError(Failure.STORAGE_UNREACHABLE, f"{place.shown}: {invalid}", transient=True)
