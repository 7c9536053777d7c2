"""The backend that a configuration names."""

from __future__ import annotations

from typing import Callable

from cvmfs_publish.backends.directory import DirectoryBackend
from cvmfs_publish.backends.ingest import IngestBackend
from cvmfs_publish.backends.oasis import OasisBackend
from cvmfs_publish.backends.seam import Backend
from cvmfs_publish.backends.transaction import GatewayBackend, TransactionBackend
from cvmfs_publish.config import Config
from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.state import StateFolder

_OF_A_REPOSITORY = {"stratum0": TransactionBackend, "ingest": IngestBackend, "gateway": GatewayBackend}


def backend_of(config: Config, state: StateFolder, narrate: Callable[[str], None]) -> Backend:
    """The backend; raises `KitError` if the configuration lacks what it needs."""
    if config.backend == "directory":
        return DirectoryBackend(config.mount)
    if config.backend == "oasis":
        return OasisBackend(config, state, narrate)
    if not config.repository:
        what = f"the backend '{config.backend}' has no repository"
        raise KitError(Exit.USAGE, what, cure="give --repository, or set `repository` in the configuration")
    return _OF_A_REPOSITORY[config.backend](config, state, narrate)
