"""Sets up the stand-in for `cvmfs_server` that lies beside this file, and plants faults in it.

It stands in for a program that no package registry has; what it says is held against the recorded calls of the real one
in `transcript.txt`.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """A repository on a make-believe Stratum 0."""

    home: Path
    repository: str

    @property
    def mount(self) -> Path:
        """What is published, and writable in a transaction."""
        return self.home / "mount"

    @property
    def config(self) -> Path:
        """A configuration of the kit for it."""
        return self.home / "iod-publish.toml"

    @property
    def environment(self) -> dict[str, str]:
        """What has to be set for the kit to find it."""
        path = [str(HERE), str(Path(sys.executable).parent), os.environ["PATH"]]
        return {
            "PATH": os.pathsep.join(path),
            "STANDIN_CVMFS": str(self.home),
            "XDG_STATE_HOME": str(self.home / "state"),
        }

    def facts(self) -> dict[str, Any]:
        """The state of the repository."""
        found: dict[str, Any] = json.loads((self.home / "state.json").read_text())
        return found

    def change(self, **facts: Any) -> None:
        """Another state."""
        (self.home / "state.json").write_text(json.dumps({**self.facts(), **facts}))

    def plant(self, step: str, fault: str) -> None:
        """Let that step go wrong, once."""
        self.change(faults={**self.facts()["faults"], step: fault})

    def calls(self) -> list[str]:
        """The calls so far, without the name of the repository."""
        log = self.home / "calls"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [" ".join(words).replace(self.repository, "REPO") for words in lines]

    def changing_calls(self) -> list[str]:
        """Those that do not only look."""
        return [
            call for call in self.calls() if call.split()[0] not in ("list", "info") and not call.startswith("tag -l")
        ]

    def tags(self) -> list[str]:
        """Names of all tags, oldest first."""
        return [row[0] for row in self.facts()["tags"]]

    def forget_calls(self) -> None:
        """Begin counting anew."""
        (self.home / "calls").unlink(missing_ok=True)


def create(home: Path, backend: str = "stratum0") -> StandIn:
    """A repository with one empty revision, owned by whoever runs the test."""
    # The name is in the command lines that the kit looks at: two tests must not share it.
    repository = f"r{abs(hash(str(home))) % 10**12}.example.org"
    made = StandIn(home=home, repository=repository)
    for folder in (made.mount, home / "revisions" / "1", home / "spool", home / "store", home / "state"):
        folder.mkdir(parents=True)
    owner = getpass.getuser()
    facts = {
        "name": repository,
        "owner": owner,
        "revision": 1,
        "in_transaction": False,
        "unhealthy": False,
        "whitelist_days": 29,
        "tags": [["generic-2026-11-22T08:26:22Z", "0" * 40, 1, 1795335982, ""]],
        "faults": {},
        "lease": "",
    }
    (home / "state.json").write_text(json.dumps(facts))
    settings = home / "server.conf"
    settings.write_text(f"CVMFS_USER={owner}\nCVMFS_UPSTREAM_STORAGE=local,{home}/store/data/txn,{home}/store\n")
    made.config.write_text(
        f"""backend = "{backend}"
repository = "{repository}"
base = "lsst"
scratch = "{home}"
[server]
mount = "{made.mount}"
settings = "{settings}"
spool = "{home}/spool"
"""
    )
    return made
