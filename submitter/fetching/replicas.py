"""Further places of a job's files: what Rucio knows, for jobs of sites that register there."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from importlib.util import find_spec

from site_configs.schema import Rucio
from submitter.jobs import Job
from submitter.listing import RemoteFile
from submitter.records import place_of_job
from transformation.model.failures import JobError
from transformation.ports import CatalogError, KnownFile
from transformation.wiring import open_site


class Replicas:
    """Asks Rucio, and only when a file is nowhere else. For any number of threads."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._settings = _settings_of(job)
        self._turn = threading.Lock()
        self.problem = ""
        """Why Rucio could not be asked; then it is not asked again."""

    def more_urls(self, file: RemoteFile) -> Sequence[str]:
        """Where else that very file stands, Rucio's best place first."""
        with self._turn:
            if self._settings is None or self.problem:
                return ()
            try:
                known = self._known(self._settings, file)
            except CatalogError as error:
                self.problem = f"Rucio cannot be asked now: {error.detail}"
                return ()
        same = (one for one in known if one.size_bytes == file.size_bytes and one.adler32 in {None, file.adler32})
        replicas = sorted((replica for one in same for replica in one.replicas), key=lambda one: one.priority)
        return [replica.url for replica in replicas]

    def _known(self, settings: Rucio, file: RemoteFile) -> list[KnownFile]:
        from transformation.catalog.rucio_replicas import RucioReplicas

        scope = settings.scope.replace("{user}", self._job.user)
        return RucioReplicas(settings).known(scope, place_of_job(self._job).record_name(file.visit, file.name))


def _settings_of(job: Job) -> Rucio | None:
    """None where nobody registers in Rucio, or Rucio's client is not here."""
    try:
        site = open_site(job.site)
    except JobError:
        return None
    usable = site.catalog.kind == "rucio" and find_spec("rucio") is not None
    return site.catalog.rucio if usable else None
