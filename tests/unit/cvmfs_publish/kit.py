"""Small releases, and the kit's command run in this process."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from cvmfs_publish.cli import main
from cvmfs_publish.manifest import Release, write_release


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its output as JSON."""
        return json.loads(self.out)


def iod_publish(*words: object) -> Ended:
    """Run `iod-publish` with these words."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(word) for word in words])
    return Ended(code=code, out=out.getvalue(), err=err.getvalue())


FILES: dict[str, str] = {
    "README": "A release for tests.\n",
    "LICENSE": "BSD-3-Clause\n",
    "bin/tool": "#!/bin/sh\necho tool\n",
    "data/table.txt": "1 2 3\n",
    "data/SEDs/flat.txt": "300 1\n1200 1\n",
}


def write_tree(folder: Path, files: Mapping[str, str | bytes] = FILES) -> Path:
    """The files, those in bin/ executable, whatever the umask."""
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        target.chmod(0o755 if path.startswith("bin/") else 0o644)
    for inside, _, _ in os.walk(folder):
        Path(inside).chmod(0o755)
    return folder


def describe(tree: Path, simulator: str = "toy", version: str = "1.0", **facts: object) -> Release:
    """Write the manifest of a data release."""
    return write_release(
        tree,
        {
            "name": f"{simulator}-{version}",
            "simulator": simulator,
            "version": version,
            "kind": "data",
            "licence": "BSD-3-Clause",
            **facts,
        },
    )


def make_release(
    parent: Path,
    simulator: str = "toy",
    version: str = "1.0",
    *,
    files: Mapping[str, str | bytes] = FILES,
    **facts: object,
) -> Path:
    """A release in `parent/SIMULATOR-VERSION`."""
    tree = write_tree(parent / f"{simulator}-{version}", {**files, "VERSION": f"{version}\n"})
    describe(tree, simulator, version, **facts)
    return tree
