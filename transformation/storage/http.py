"""Storage behind HTTP and WebDAV servers: `davs://host[:port]/path`, also `dav`, `https` and `http`.

Rules of this file
1. Whatever is written is written under a hidden name of its own and renamed when the server holds what was sent: it may
   still be about to remove what an earlier try left unfinished, by name.
2. `create` is exclusive where the server was tried out and found to be good for it (`http_exclusive`). Elsewhere it
   looks before it writes, which keeps only the threads of one storage apart: `survey` tells, so that a job goes there
   only if its site says that nobody else writes.
3. What was broken off by the network is gone on with by the next call, and checked as a whole at the end.
4. A writer that was killed leaves `.NAME.<word>.new`, a file or (from `create`) a folder: listings show both as files,
   and `delete` removes both, so that whoever tidies up need not know the difference.
5. Nothing is repeated here: that is a coat around the adapter.
"""

from __future__ import annotations

import errno
import secrets
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from transformation.model.failures import Failure
from transformation.ports import Entry, Missing, Stat, StorageError, Survey, TooLarge
from transformation.storage.http_client import HttpClient, Limits
from transformation.storage.http_content import Content, FileContent
from transformation.storage.http_credentials import bearer_token
from transformation.storage.http_dav import Dav, Held
from transformation.storage.http_errors import CutOff, Refused
from transformation.storage.http_exclusive import Exclusive, is_unfinished
from transformation.storage.http_place import Place, place_of

_TRANSFERS_AT_ONCE = 4
_BLOCK_BYTES = 1 << 18
_PART = 206
LIMITS = Limits()
HURRIED_LIMITS = Limits(connect_s=4.0, silence_s=8.0, checksum_s=8.0, base_s=60.0)
"""Where another destination is left to go to."""
_LOCAL_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_CUT_OFF_BY_A_FULL_DISK = 3
"""So often in a row an upload is broken off, by a server that is well, before its disk is taken to be full."""


class HttpStorage:
    """Files on HTTP servers, for any number of threads.

    `token` gives the bearer token of the moment; `word` gives a new short word at each call, unique among all writers.
    """

    def __init__(
        self,
        *,
        limits: Limits = LIMITS,
        token: Callable[[], str | None] = bearer_token,
        word: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._client = HttpClient(limits=limits, token=token)
        self._dav = Dav(self._client, checksum_s=limits.checksum_s)
        self._exclusive = Exclusive(self._dav, word)
        self._word = word
        self._alone = threading.Lock()
        self._partial: dict[tuple[str, Path], Path] = {}
        self._cut_off: Counter[str] = Counter()
        """How often in a row the writing of a file was broken off, by location."""

    @property
    def parallel(self) -> int:
        """See `Storage.parallel`."""
        return _TRANSFERS_AT_ONCE

    def stat(self, url: str) -> Stat | None:
        """See `Storage.stat`."""
        size_bytes = self._dav.size(place_of(url))
        return None if size_bytes is None else Stat(size_bytes=size_bytes)

    def adler32(self, url: str) -> str:
        """See `Storage.adler32`. What a server that computes no checksums holds is read back through the network."""
        place = place_of(url)
        held = self._dav.held(place)
        if held.adler32 is not None:
            return held.adler32
        checksum = 1
        with self._client.ask("GET", place, answer_bytes=held.size_bytes) as answer:
            for block in answer.blocks():
                checksum = zlib.adler32(block, checksum)
        return f"{checksum:08x}"

    def list(self, url: str) -> Sequence[Entry]:
        """See `Storage.list`."""
        found = self._dav.names(place_of(url))
        files = (one for one in found if not one.is_folder or is_unfinished(one.name))
        return [Entry(name=one.name, size_bytes=one.size_bytes) for one in files]

    def folders(self, url: str) -> Sequence[str]:
        """See `Storage.folders`."""
        found = self._dav.names(place_of(url))
        return [one.name for one in found if one.is_folder and not is_unfinished(one.name)]

    def read(self, url: str, *, limit_bytes: int) -> bytes:
        """See `Storage.read`."""
        content = b""
        with self._client.ask("GET", place_of(url), answer_bytes=limit_bytes) as answer:
            for block in answer.blocks():
                content += block
                if len(content) > limit_bytes:
                    raise TooLarge(place_of(url).shown, limit_bytes=limit_bytes)
        return content

    def get(self, url: str, path: Path) -> None:
        """See `Storage.get`; checked against the server's size, and its checksum where it has one.

        What a passing trouble leaves is kept beside `path`, hidden, for the next call, or until `close`.
        """
        place = place_of(url)
        hidden = self._partial.setdefault((url, path), path.with_name(f".{path.name}.{self._word()}.new"))
        keep = False
        try:
            self._fetch(place, hidden)
            hidden.rename(path)
        except StorageError as error:
            keep = error.failure is Failure.STORAGE_UNREACHABLE and error.transient
            raise
        except OSError as error:
            failure = Failure.DISK_FULL if error.errno in _LOCAL_FULL else Failure.WORKDIR_UNUSABLE
            raise StorageError(failure, f"cannot copy {place.shown} to {path}: {error}", transient=False) from error
        finally:
            if not keep:
                self._partial.pop((url, path), None)
                hidden.unlink(missing_ok=True)

    def put(self, path: Path, url: str) -> None:
        """See `Storage.put`; checked against the server's size, and its checksum where it has one."""
        place = place_of(url)
        try:
            content = FileContent(path)
        except OSError as error:
            detail = f"cannot store {path}: {error.strerror}"
            raise StorageError(Failure.OUTPUT_MISSING, detail, transient=False) from error
        with self._full_disks_noticed(place):
            self._put(place, content)

    def _put(self, place: Place, content: FileContent) -> None:
        hidden = self._hidden(place)
        try:
            self._dav.put(hidden, content)
            held = self._held(hidden)
            if held.size_bytes != len(content) or held.adler32 not in {None, f"{content.adler32:08x}"}:
                sent = f"{len(content)} bytes with adler32 {content.adler32:08x}"
                detail = f"{place.shown}: damaged on its way: {held} there, {sent} sent"
                raise StorageError(Failure.STORAGE_DAMAGED, detail, transient=True)
            self._dav.move(hidden, place, overwrite=True)
        except StorageError as error:
            self._forget(hidden, error)
            if isinstance(error, Missing):
                detail = f"{place.shown}: it vanished while it was being written"
                raise StorageError(Failure.STORAGE_DAMAGED, detail, transient=True) from error
            raise

    def create(self, url: str, content: bytes) -> bool:
        """See `Storage.create`, and rule 2."""
        place = place_of(url)
        with self._full_disks_noticed(place):
            if self._exclusive.works(place.parent):
                return self._exclusive.create(place, Content(content))
            with self._alone:
                return self._create_alone(place, Content(content))

    def rename(self, url: str, new_url: str) -> None:
        """See `Storage.rename`."""
        self._dav.move(place_of(url), place_of(new_url), overwrite=True)

    def delete(self, url: str) -> None:
        """See `Storage.delete`. A folder is let be, but for rule 4: many servers would remove all that is in it."""
        place = place_of(url)
        if self._dav.size(place) is not None:
            self._dav.delete(place)
        elif is_unfinished(place.name):
            self._exclusive.discard(place)

    def survey(self, url: str) -> Survey:
        """See `Storage.survey`; the server is tried out with a few small files.

        Behind one that redirects, files may lie on several servers, of which each is asked alone.
        """
        folder = place_of(url)
        exclusive = self._exclusive.works(folder) and not self._dav.redirects(folder)
        return Survey(free_bytes=self._dav.free_bytes(folder), exclusive=exclusive)

    def close(self) -> None:
        """See `Storage.close`."""
        self._client.close()
        for hidden in self._partial.values():
            hidden.unlink(missing_ok=True)

    # -- what it takes

    @contextmanager
    def _full_disks_noticed(self, place: Place) -> Iterator[None]:
        """XRootD's door (5.5.3) has no word for a full disk: it hangs up on the bytes, and goes on taking empty files.

        A network that is bad does neither reliably, so one such upload proves nothing.
        """
        try:
            yield
        except CutOff as cut:
            self._cut_off[place.url] += 1
            if cut.silent or self._cut_off[place.url] < _CUT_OFF_BY_A_FULL_DISK or not self._takes_names(place):
                raise
            detail = f"{cut.detail}; so {self._cut_off.pop(place.url)} times, while an empty file is taken: it is full"
            raise StorageError(Failure.STORAGE_FULL, detail, transient=False) from cut
        self._cut_off.pop(place.url, None)

    def _takes_names(self, place: Place) -> bool:
        hidden = self._hidden(place)
        try:
            self._dav.put(hidden, Content(b""))
        except StorageError:
            return False
        finally:
            self._forget(hidden)
        return True

    def _held(self, hidden: Place) -> Held:
        """What has been stored, as far as it is known at once: XRootD's checksums fail now and then without any cause,
        for which nothing is sent again. Who stores a file asks again."""
        try:
            return self._dav.held(hidden)
        except (Refused, CutOff):
            return self._dav.held_unchecked(hidden)

    def _create_alone(self, place: Place, content: Content) -> bool:
        if self._dav.size(place) is not None:
            return False
        hidden = self._hidden(place)
        try:
            self._dav.put(hidden, content)
            created = self._dav.move(hidden, place, overwrite=False)
        except StorageError as error:
            self._forget(hidden, error)
            raise
        if not created:
            self._forget(hidden)
        return created

    def _fetch(self, place: Place, hidden: Path) -> None:
        """The whole file, behind what there is of it already where its checksum will tell whether both belong together.

        Raises `StorageError`, and `OSError` for what is wrong on this side.
        """
        held = self._dav.held(place)
        checksum, have_bytes = (1, 0) if held.adler32 is None else _checksum(hidden)
        if have_bytes > held.size_bytes or not have_bytes:
            checksum, have_bytes = 1, 0
            hidden.write_bytes(b"")
        if have_bytes < held.size_bytes:
            checksum, have_bytes = self._receive(place, hidden, checksum, have_bytes, held.size_bytes)
        if have_bytes != held.size_bytes or held.adler32 not in {None, f"{checksum:08x}"}:
            detail = f"{place.shown}: {have_bytes} bytes with adler32 {checksum:08x} came; {held} is there"
            raise StorageError(Failure.STORAGE_DAMAGED, detail, transient=True)

    def _receive(self, place: Place, hidden: Path, checksum: int, have_bytes: int, size_bytes: int) -> tuple[int, int]:
        """Append what is missing; checksum and size of all."""
        # With its end: XRootD's door answers a range without one with nothing.
        headers = {"Range": f"bytes={have_bytes}-{size_bytes - 1}"} if have_bytes else {}
        with (
            self._client.ask("GET", place, headers=headers, answer_bytes=size_bytes) as answer,
            hidden.open("r+b") as file,
        ):
            if answer.status != _PART:
                checksum, have_bytes = 1, 0
            file.truncate(have_bytes)
            file.seek(have_bytes)
            for block in answer.blocks():
                file.write(block)
                checksum, have_bytes = zlib.adler32(block, checksum), have_bytes + len(block)
        return checksum, have_bytes

    def _hidden(self, place: Place) -> Place:
        return place.sibling(f".{place.name.removeprefix('.')}.{self._word()}.new")

    def _forget(self, hidden: Place, error: StorageError | None = None) -> None:
        """Remove it, as far as the server listens; whoever commits the unit removes what is left of it."""
        if not (isinstance(error, CutOff) and error.silent):
            with suppress(StorageError):
                self._dav.delete(hidden)


def _checksum(path: Path) -> tuple[int, int]:
    """adler32 and size of what there is; of nothing if it is not there."""
    checksum, size_bytes = 1, 0
    with suppress(FileNotFoundError), path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            checksum, size_bytes = zlib.adler32(block, checksum), size_bytes + len(block)
    return checksum, size_bytes
