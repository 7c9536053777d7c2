"""Whether an RSE names files as jobs write them.

An image stays where its job put it. Rucio keeps that place word for word if the RSE is not deterministic; then the RSE
must have a protocol for it, or nobody can be told how to read it. A deterministic RSE computes the place from scope and
name; it has to come out the same, which `lfns2pfns` shows (algorithm `identity` with the user's name as scope does).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from site_configs.schema import Rucio
from transformation.catalog.rucio_conversation import Conversation
from transformation.catalog.rucio_names import pfn_of

if TYPE_CHECKING:
    from transformation.catalog.rucio_client import RucioSession


class RseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an RSE does with the places that it was asked for."""

    kind: str
    """`deterministic` or `not deterministic`."""
    misplaced: tuple[str, ...]
    """Where it would look instead, or which protocols it has; empty if all is well."""


def look_at_rse(settings: Rucio, *, scope: str, name: str, urls: Sequence[str]) -> RseFacts:
    """Log in and ask for the places of one file in each base. Raises `CatalogError`."""
    return Conversation(settings, settings.host).ask(lambda session: _look(session, settings.rse, scope, name, urls))


def _look(session: RucioSession, rse: str, scope: str, name: str, urls: Sequence[str]) -> RseFacts:
    facts = session.get_rse(rse)
    if facts["deterministic"]:
        computed = {url: _computed(session, rse, f"{scope}:{name}", pfn_of(url).partition("://")[0]) for url in urls}
        wrong = [pfn for url, pfn in computed.items() if pfn_of(pfn) != pfn_of(url)]
        return RseFacts(kind="deterministic", misplaced=tuple(wrong))
    prefixes = [_prefix(protocol) for protocol in facts["protocols"]]
    known = all(any(pfn_of(url).startswith(prefix) for prefix in prefixes) for url in urls)
    return RseFacts(kind="not deterministic", misplaced=() if known else tuple(prefixes) or ("no protocol at all",))


def _computed(session: RucioSession, rse: str, did: str, scheme: str) -> str:
    pfns: Mapping[str, str] = session.lfns2pfns(rse, [did], operation="write", scheme=scheme)
    return pfns[did]


def _prefix(protocol: Mapping[str, object]) -> str:
    """What all places begin with that this protocol can be used for."""
    port = f":{protocol['port']}" if protocol["port"] else ""
    prefix = str(protocol["prefix"]).strip("/")
    return pfn_of(f"{protocol['scheme']}://{protocol['hostname']}{port}/{prefix}/" if prefix else "")
