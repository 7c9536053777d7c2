"""Work folder and logs of an attempt in one archive, for a person: what `debug` jobs leave beside their images.

    v<visit>/.debug/<unit>-<token>.tar.gz

Large files are left out, and named in `LEFT_OUT.txt`: what explains a failure is small.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

MOST_BYTES = 100_000_000
"""Of all files of an archive together, before they are packed: an attempt of PhoSim with a full sky has 90 MB."""
_LEFT_OUT = "LEFT_OUT.txt"


def pack(folders: Sequence[Path], archive: Path, *, most_bytes: int = MOST_BYTES) -> Path:
    """The archive of these folders, each under its own name; the smallest files first, as many as fit.

    Links are kept as links, and nothing that is not a file or a link is touched. Raises `OSError`.
    """
    room, left_out = most_bytes, []
    with tarfile.open(archive, "w:gz", compresslevel=1) as packed:
        for size_bytes, path, name in sorted(_files(folders)):
            if size_bytes > room:
                left_out.append(f"{size_bytes:>15,}  {name}\n")
                continue
            room -= size_bytes
            packed.add(path, arcname=name, recursive=False)
        if left_out:
            text = "".join(left_out).encode(errors="replace")
            entry = tarfile.TarInfo(_LEFT_OUT)
            entry.size = len(text)
            packed.addfile(entry, io.BytesIO(text))
    return archive


def _files(folders: Sequence[Path]) -> Iterator[tuple[int, Path, str]]:
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_symlink() or path.is_file():
                yield path.lstat().st_size, path, f"{folder.parent.parent.name}/{path.relative_to(folder)}"
