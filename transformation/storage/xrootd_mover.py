"""The child process that holds the XRootD client library: `python -m transformation.storage.xrootd_mover`.

The library's calls can hang for ever (measured: a lost server under `xrate`, any use after a fork), so they live where
they can be killed. Questions come as lines on stdin and are answered by many threads over the library's one
connection per server; when stdin closes the process is gone at once, whatever still hangs.

Rules of this file
1. Every status is looked at: the library raises nothing.
2. Bytes are written under a name that nobody else has, with POSC: what is not closed in order the server removes
   (measured with XRootD 5.5.3 and `ofs.persist auto hold 0`: within 0.2 s). NEW, never DELETE: a second writer with
   DELETE truncates the file under the first, whose close then reports success.
3. Nothing is repeated here.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any

import msgspec
from isal import isal_zlib
from XRootD import client
from XRootD.client.flags import AccessMode, DirListFlags, HostTypes, OpenFlags, QueryCode

from transformation.model import documents
from transformation.storage.xrootd_words import Answer, Listed, Operation, Question, Status

_BLOCK_BYTES = 4 << 20
_HANDS = 64
"""Questions at once; more than eight units of four files each."""
_MODE = AccessMode.UR | AccessMode.UW | AccessMode.GR | AccessMode.OR
"""0644; the library's default for a file that is opened is 0600."""
_POSC_PENDING = 64
"""Flag of a file that its writer has not closed (kXR_poscpend)."""
_SERVER_ANSWERED = 400
_CHECKSUM = re.compile(rb"adler32 +([0-9A-Fa-f]{1,8})[\0\s]*")
_SPACE = re.compile(rb"oss\.(free|used|quota)=(-?\d+)")
_LOCKED, _NO_SPACE, _NOT_FOUND, _NO_CHECKSUM, _FILE_EXISTS = 3003, 3009, 3011, 3012, 3018
_PENDING_S = 10.0
"""How long somebody else's unfinished file is waited for."""
_PENDING_POLL_S = 0.02
_ABANDONED: list[Any] = []
"""Files under way when the server stopped answering: the end of this process makes the server forget them."""


class Refused(Exception):
    """The library or the server said no."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.message)
        self.status = status

    @property
    def server_code(self) -> int:
        """The server's own code, 0 if it did not answer."""
        return self.status.errno if self.status.code == _SERVER_ANSWERED else 0


class LocalFault(Exception):
    """The file on this side could not be read or written."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.errno = error.errno or 0


def _checked(result: tuple[Any, Any]) -> Any:
    status, value = result
    if not status.ok:
        raise Refused(Status(code=status.code, errno=status.errno, message=status.message))
    return value


@cache
def _server(server: str) -> Any:
    return client.FileSystem(server)


def _with(path: str, words: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}{words}"


# -- one function per operation


def _stat(question: Question) -> Answer:
    found = _checked(_server(question.server).stat(question.path))
    return Answer(size_bytes=found.size, flags=found.flags)


def _checksum(question: Question) -> Answer:
    return Answer(adler32=_far_adler32(question.server, question.path))


def _far_adler32(server: str, path: str) -> str:
    found: bytes = _checked(_server(server).query(QueryCode.CHECKSUM, _with(path, "cks.type=adler32")))
    # `adler32 ab199dde\0`, on some servers without leading zeros.
    match = _CHECKSUM.fullmatch(found)
    if match is None:
        raise Refused(Status(code=_SERVER_ANSWERED, errno=_NO_CHECKSUM, message=f"not a checksum: {found[:100]!r}"))
    return match[1].decode().lower().zfill(8)


def _read_back(question: Question) -> Answer:
    checksum = 1
    with _opened(question) as file:
        for block in _blocks(file):
            checksum = isal_zlib.adler32(block, checksum)
    return Answer(adler32=f"{checksum:08x}")


def _list(question: Question) -> Answer:
    found = _checked(_server(question.server).dirlist(question.path, DirListFlags.STAT))
    # A file that went away while the server listed has a name and nothing else.
    listed = (Listed(one.name, one.statinfo.size, one.statinfo.flags) for one in found if one.statinfo is not None)
    return Answer(listed=tuple(listed))


def _read(question: Question) -> Answer:
    size_bytes = _settled_size(question)
    if size_bytes > question.limit_bytes:
        return Answer(size_bytes=size_bytes)
    with _opened(question) as file:
        content: bytes = _checked(file.read(0, question.limit_bytes + 1))
    return Answer(size_bytes=len(content), content=content)


def _start(question: Question) -> Answer:
    _settled_size(question)
    with _opened(question) as file:
        content: bytes = _checked(file.read(0, question.limit_bytes))
    return Answer(content=content)


def _get(question: Question) -> Answer:
    checksum, n_bytes = 1, 0
    with _opened(question) as file, _locally(question.local, "xb") as target:
        for block in _blocks(file, question.expected_bytes):
            target.write(block)
            checksum = isal_zlib.adler32(block, checksum)
            n_bytes += len(block)
    adler32 = f"{checksum:08x}"
    as_expected = (n_bytes, adler32) == (question.expected_bytes, question.expected_adler32)
    differs = "" if as_expected else _difference(question.server, question.path, adler32)
    return Answer(differs=differs, size_bytes=n_bytes, adler32=adler32)


def _put(question: Question) -> Answer:
    checksum, offset = 1, 0
    with _locally(question.local, "rb") as source, _created(question.server, question.new_path) as file:
        size_bytes = os.fstat(source.fileno()).st_size
        # Not more than there is: room for a whole block costs more than its checksum, because the kernel clears it.
        while block := source.read(min(_BLOCK_BYTES, size_bytes - offset)):
            _checked(file.write(block, offset))
            checksum = isal_zlib.adler32(block, checksum)
            offset += len(block)
    differs = _difference(question.server, question.new_path, f"{checksum:08x}")
    server = _server(question.server)
    if differs:
        held_bytes = _checked(server.stat(question.new_path)).size
        _checked(server.rm(question.new_path))
        _check_length(held_bytes, offset)
    else:
        _checked(server.mv(question.new_path, question.path))
    return Answer(differs=differs)


def _create(question: Question) -> Answer:
    while True:
        try:
            with _created(question.server, question.path) as file:
                _checked(file.write(question.content, 0))
                _checked(file.sync())
                _check_length(_checked(file.stat(force=True)).size, len(question.content))
            return Answer()
        except Refused as refused:
            if refused.server_code != _FILE_EXISTS:
                raise
        try:
            _settled_size(question)
            return Answer(exists=True)
        except Refused as refused:
            if refused.server_code != _NOT_FOUND:  # else its writer died, and the server has tidied up
                raise


def _rename(question: Question) -> Answer:
    _checked(_server(question.server).mv(question.path, question.new_path))
    return Answer()


def _delete(question: Question) -> Answer:
    _checked(_server(question.server).rm(question.path))
    return Answer()


def _survey(question: Question) -> Answer:
    server = _server(question.server)
    if _checked(server.protocol()).hostinfo & HostTypes.IS_MANAGER:
        return Answer(redirects=True)  # which would look for the folder on all of its servers, for seconds
    return Answer(free_bytes=_room(server, question.path))


def _room(server: Any, path: str) -> int | None:
    """Free bytes, less what a quota takes, of the lowest folder that is there: of one that is not, the server says
    that it has none (5.5.3)."""
    folder, found, opaque = path.partition("?")
    try:
        while not _is_there(server, folder):
            folder = folder.rpartition("/")[0]
        said = _checked(server.query(QueryCode.SPACE, f"{folder or '/'}{found}{opaque}"))
    except Refused as refused:
        if not refused.server_code:
            raise
        return None  # it may not be asked about the folders above its own
    facts = {name: int(value) for name, value in _SPACE.findall(said)}
    free, used, quota = (facts.get(name) for name in (b"free", b"used", b"quota"))
    if quota is not None and quota >= 0 and used is not None:
        left = max(0, quota - used)
        return left if free is None else min(free, left)
    return free


def _is_there(server: Any, folder: str) -> bool:
    try:
        _checked(server.stat(folder or "/"))
    except Refused as refused:
        if refused.server_code != _NOT_FOUND or not folder:
            raise
        return False
    return True


_OPERATIONS: dict[Operation, Callable[[Question], Answer]] = {
    Operation.STAT: _stat,
    Operation.CHECKSUM: _checksum,
    Operation.READ_BACK: _read_back,
    Operation.LIST: _list,
    Operation.READ: _read,
    Operation.START: _start,
    Operation.GET: _get,
    Operation.PUT: _put,
    Operation.CREATE: _create,
    Operation.RENAME: _rename,
    Operation.DELETE: _delete,
    Operation.SURVEY: _survey,
}


# -- files there


@contextmanager
def _opened(question: Question) -> Iterator[Any]:
    file = client.File()
    _checked(file.open(question.server + "/" + question.path, OpenFlags.READ))
    try:
        yield file
    finally:
        file.close()


@contextmanager
def _created(server: str, path: str) -> Iterator[Any]:
    """A new file that stands there, whole, when the block ends in order; else the server forgets it."""
    file = client.File()
    _checked(file.open(server + "/" + path, OpenFlags.NEW | OpenFlags.POSC | OpenFlags.MAKEPATH, _MODE))
    try:
        yield file
    except BaseException as error:
        if isinstance(error, Refused) and not error.server_code:
            # Closing it, which its destructor does too, may keep half a file, and its name may be another's already.
            _ABANDONED.append(file)
        else:
            _server(server).rm(path)  # before the close, which would keep what is there
            file.close()
        raise
    _checked(file.close())


def _check_length(held_bytes: int, sent_bytes: int) -> None:
    """A write that fills the disk is cut short and reported as success, and so is the close (5.5.3): look."""
    if held_bytes != sent_bytes:
        message = f"the server kept {held_bytes} of {sent_bytes} bytes"
        raise Refused(Status(code=_SERVER_ANSWERED, errno=_NO_SPACE, message=message))


def _blocks(file: Any, n_bytes: int = 0) -> Iterator[bytes]:
    """What the file holds; of one whose size is known no end is looked for."""
    offset = 0
    while block := _checked(file.read(offset, min(_BLOCK_BYTES, n_bytes - offset) if n_bytes else _BLOCK_BYTES)):
        yield block
        offset += len(block)
        if offset == n_bytes:
            return


def _settled_size(question: Question) -> int:
    """Size of a file once its writer has closed it. Opening one before that would block for a minute and more."""
    end = time.monotonic() + _PENDING_S
    while True:
        found = _checked(_server(question.server).stat(question.path))
        if not found.flags & _POSC_PENDING:
            size_bytes: int = found.size
            return size_bytes
        if time.monotonic() > end:
            raise Refused(Status(code=_SERVER_ANSWERED, errno=_LOCKED, message="somebody has been writing it for long"))
        time.sleep(_PENDING_POLL_S)


def _difference(server: str, path: str, adler32: str) -> str:
    """Both checksums in words if they differ; nothing where the server cannot tell: then the caller has to ask."""
    try:
        held = _far_adler32(server, path)
    except Refused as refused:
        if refused.server_code in {0, _NOT_FOUND}:
            raise
        return ""  # it computes none, or its program failed, which happens now and then without any cause (3012)
    return "" if held == adler32 else f"adler32 {held} there, {adler32} here"


# -- files here


@contextmanager
def _locally(path: str, mode: str) -> Iterator[IO[bytes]]:
    try:
        with Path(path).open(mode) as file:
            yield file
    except OSError as error:
        raise LocalFault(error) from error


# -- questions and answers


def answer(question: Question) -> Answer:
    """Do what is asked."""
    try:
        return _OPERATIONS[question.operation](question)
    except Refused as refused:
        return Answer(status=refused.status)
    except LocalFault as fault:
        return Answer(local_errno=fault.errno)


def main() -> None:
    """Answer until stdin closes. A bug ends the process with its traceback in the log."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the library prints is no answer
    sending = threading.Lock()

    def serve(number: bytes, text: bytes) -> None:
        said = msgspec.json.encode(answer(documents.decode(text, Question)))
        with sending:
            answers.write(b"%s %s\n" % (number, said))
            answers.flush()

    hands = ThreadPoolExecutor(_HANDS)
    for line in sys.stdin.buffer:
        number, _, text = line.rstrip(b"\n").partition(b" ")
        hands.submit(serve, number, text).add_done_callback(_end_at_a_bug)
    os._exit(0)


def _end_at_a_bug(served: Future[None]) -> None:
    error = served.exception()
    if error is not None:
        traceback.print_exception(error)
        sys.stderr.flush()
        os._exit(70)


if __name__ == "__main__":
    main()
