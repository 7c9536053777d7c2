"""Storage on a mounted file system: bare absolute paths and `file:` URLs.

Rules of this file
1. Whatever is written is written under a hidden name in the same folder, flushed, and only then given its name: a
   process killed at any instant leaves nothing under the name that was asked for.
2. `create` is `link`, which is exclusive on local disks, NFS, Lustre and CephFS alike. A file system without links gets
   O_EXCL instead: still one winner, but a kill can leave a half-written file, which readers have to expect anyway.
3. Images are copied, never linked: the scratch file may be changed or truncated by a process that has it open.
4. Each write is flushed to disk (fsync) before it gets its name. It costs 0.04 s for the 53 MB of a unit, and without
   it a power cut can leave a manifest that vouches for files of the right name and no content.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISDIR, S_ISFIFO
from urllib.parse import unquote

from transformation.model.failures import Failure
from transformation.ports import Entry, Missing, Stat, StorageError, Survey, TooLarge

_BLOCK_BYTES = 1 << 20
_FILE_MODE = 0o644
_FOLDER_MODE = 0o755
_CREATE_ROUNDS = 5

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),  # not a path for a file
}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class FileStorage:
    """Files of a mounted file system. `token` gives a new short word at each call, unique among all writers."""

    def __init__(self, *, token: Callable[[], str] = lambda: secrets.token_hex(8)) -> None:
        self._token = token

    @property
    def parallel(self) -> int:
        """See `Storage.parallel`."""
        return 1

    def stat(self, url: str) -> Stat | None:
        """See `Storage.stat`; a folder is no file."""
        with suppress(Missing), _reading(url):
            return Stat(size_bytes=_file(url).stat().st_size)
        return None

    def adler32(self, url: str) -> str:
        """See `Storage.adler32`: the file is read back."""
        checksum = 1
        with _reading(url), _file(url).open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                checksum = zlib.adler32(block, checksum)
        return f"{checksum:08x}"

    def list(self, url: str) -> Sequence[Entry]:
        """See `Storage.list`."""
        entries = []
        for item in _scan(url):
            with suppress(Missing), _reading(url):  # it may be renamed while we look
                if item.is_file():
                    entries.append(Entry(name=item.name, size_bytes=item.stat().st_size))
        return entries

    def folders(self, url: str) -> Sequence[str]:
        """See `Storage.folders`."""
        return [item.name for item in _scan(url) if item.is_dir()]

    def read(self, url: str, *, limit_bytes: int) -> bytes:
        """See `Storage.read`."""
        with _reading(url), _file(url).open("rb") as file:
            content = file.read(limit_bytes + 1)
        if len(content) > limit_bytes:
            raise TooLarge(url, limit_bytes=limit_bytes)
        return content

    def get(self, url: str, path: Path) -> None:
        """See `Storage.get`."""
        with _reading(url):
            source = _file(url)
            source.open("rb").close()
        try:
            self._copy(source, path)
        except OSError as error:
            failure = Failure.DISK_FULL if error.errno in _FULL else Failure.WORKDIR_UNUSABLE
            raise StorageError(failure, f"cannot copy {url} to {path}: {error}", transient=False) from error

    def put(self, path: Path, url: str) -> None:
        """See `Storage.put`."""
        try:
            path.open("rb").close()
        except OSError as error:
            detail = f"cannot store {path}: {error.strerror}"
            raise StorageError(Failure.OUTPUT_MISSING, detail, transient=False) from error
        target = local_path(url)
        with _writing(url):
            _make_folder(target.parent)
            self._copy(path, target)

    def create(self, url: str, content: bytes) -> bool:
        """See `Storage.create`."""
        target = local_path(url)
        with _writing(url):
            _make_folder(target.parent)
            for _ in range(_CREATE_ROUNDS):
                # Whoever commits a unit removes hidden names that a dead writer may have left, and may meet ours.
                with suppress(FileNotFoundError):
                    return self._create(target, content)
        detail = f"{url}: somebody keeps removing the file that is being written"
        raise StorageError(Failure.STORAGE_DAMAGED, detail, transient=True)

    def rename(self, url: str, new_url: str) -> None:
        """See `Storage.rename`."""
        with _reading(url):
            local_path(url).replace(local_path(new_url))

    def delete(self, url: str) -> None:
        """See `Storage.delete`."""
        with suppress(Missing), _reading(url):
            local_path(url).unlink()

    def survey(self, url: str) -> Survey:
        """See `Storage.survey`: the file system of the lowest folder that is there."""
        path = local_path(url)
        while not path.is_dir() and path != path.parent:
            path = path.parent
        with _reading(url):
            found = os.statvfs(path)
        return Survey(free_bytes=found.f_bavail * found.f_frsize, exclusive=True)

    def close(self) -> None:
        """See `Storage.close`: nothing to end."""

    def _create(self, target: Path, content: bytes) -> bool:
        hidden = self._hidden(target)
        try:
            _write_new(hidden, content)
            return _link(hidden, target, content)
        finally:
            hidden.unlink(missing_ok=True)

    def _copy(self, source: Path, target: Path) -> None:
        hidden = self._hidden(target)
        try:
            # The mode is given when the file is made; `copyfile` then lets the kernel move the bytes (sendfile).
            os.close(os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE))
            shutil.copyfile(source, hidden)
            _flush(hidden)
            hidden.replace(target)
        except BaseException:
            hidden.unlink(missing_ok=True)
            raise

    def _hidden(self, target: Path) -> Path:
        return target.with_name(f".{target.name.removeprefix('.')}.{self._token()}.new")


def local_path(url: str) -> Path:
    """The path that a bare absolute path or a `file:` URL of this host names; any other raises `StorageError`."""
    path = url
    if url.startswith("file:"):
        path = unquote(url.removeprefix("file:"))
        if path.startswith("//"):
            host, _, rest = path[2:].partition("/")
            path = f"/{rest}" if host in {"", "localhost"} else url
    if not path.startswith("/") or "\0" in path:
        detail = f"{url!r} is not an absolute path or a file: URL of this machine"
        raise StorageError(Failure.STORAGE_UNKNOWN, detail, transient=False)
    return Path(path)


def _file(url: str) -> Path:
    """The path of what can be read from its beginning to its end: no folder, nor a pipe, which would make us wait."""
    path = local_path(url)
    mode = path.stat().st_mode
    if S_ISDIR(mode) or S_ISFIFO(mode):
        raise Missing(url)
    return path


def _scan(url: str) -> list[os.DirEntry[str]]:
    with suppress(Missing), _reading(url), os.scandir(local_path(url)) as items:
        return list(items)
    return []


def _make_folder(path: Path) -> None:
    path.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)


def _write_new(path: Path, content: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE), "wb") as file:  # noqa: PTH123
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _link(hidden: Path, target: Path, content: bytes) -> bool:
    try:
        os.link(hidden, target)
    except FileExistsError:
        # open(2): over NFS a link that succeeded can be answered with EEXIST; two names tell that it is ours.
        return hidden.stat().st_nlink == 2
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _create_in_place(target, content)
    return True


def _create_in_place(target: Path, content: bytes) -> bool:
    try:
        _write_new(target, content)
    except FileExistsError:
        return False
    except OSError:
        target.unlink(missing_ok=True)
        raise
    return True


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _reading(url: str) -> Iterator[None]:
    """What the operating system says, as the port promises it; a name that is not there is `Missing`."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise Missing(url) from error
    except OSError as error:
        raise _storage_error(url, error) from error


@contextmanager
def _writing(url: str) -> Iterator[None]:
    """The same for a name that is being made; the folder or our hidden file may be taken away meanwhile."""
    try:
        yield
    except FileNotFoundError as error:
        detail = f"{url}: the file vanished while it was being written"
        raise StorageError(Failure.STORAGE_DAMAGED, detail, transient=True) from error
    except OSError as error:
        raise _storage_error(url, error) from error


def _storage_error(url: str, error: OSError) -> StorageError:
    detail = f"{url}: {error.strerror or error}"
    if error.errno in _FULL:
        return StorageError(Failure.STORAGE_FULL, detail, transient=False)
    if error.errno in _DENIED:
        return StorageError(Failure.STORAGE_DENIED, detail, transient=False)
    return StorageError(Failure.STORAGE_UNREACHABLE, detail, transient=True)
