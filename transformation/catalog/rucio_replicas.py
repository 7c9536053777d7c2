"""Where the copies of a file are that a Rucio server knows, whoever registered it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from site_configs.schema import Rucio
from transformation.catalog.rucio_conversation import Conversation
from transformation.catalog.rucio_names import url_of
from transformation.model import documents
from transformation.ports import KnownFile, Replica

if TYPE_CHECKING:
    from transformation.catalog.rucio_client import RucioSession


class _Place(msgspec.Struct, frozen=True):
    """What the server says of one physical name."""

    rse: str = ""
    priority: int = 0


class _Listed(msgspec.Struct, frozen=True):
    """One line of the server's list of replicas."""

    bytes: int
    adler32: str | None = None
    pfns: dict[str, _Place] = {}


class RucioReplicas:
    """Asks the server that a site names. Safe for threads, which take turns."""

    def __init__(self, settings: Rucio) -> None:
        self._conversation = Conversation(settings, settings.host)

    def known(self, scope: str, name: str) -> list[KnownFile]:
        """The files of that name: one, none if it is unknown, several for a dataset. Raises `CatalogError`."""

        def ask(session: RucioSession) -> list[KnownFile]:
            from rucio.common.exception import DataIdentifierNotFound

            try:
                lines = list(session.list_replicas([{"scope": scope, "name": name}]))
            except DataIdentifierNotFound:
                return []
            return [_known_file(one) for one in documents.convert(lines, list[_Listed])]

        return self._conversation.ask(ask)


def _known_file(listed: _Listed) -> KnownFile:
    return KnownFile(
        size_bytes=listed.bytes,
        adler32=listed.adler32.lower() if listed.adler32 else None,
        replicas=tuple(
            Replica(rse=place.rse, url=url_of(pfn), priority=place.priority) for pfn, place in listed.pfns.items()
        ),
    )
