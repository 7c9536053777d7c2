"""Job spec v1: the request, as JSON or TOML (contract: fixed; see `docs/reference/job-spec.md`)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from transformation.model.strict import SAFE_NAME, DocumentInvalid, decode

Name = Annotated[str, msgspec.Meta(pattern=SAFE_NAME, max_length=200)]
Location = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
Adler32 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-fA-F]{8}$")]


class CatalogItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An instance catalog whose bytes are pinned."""

    url: Location
    adler32: Adler32 | None = None
    size: Annotated[int, msgspec.Meta(ge=0)] | None = None


class InlineCommands(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Physics commands written in the spec itself."""

    inline: Annotated[str, msgspec.Meta(max_length=1_000_000)]


class VisitItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One image of several: its catalogs, and its own commands if they differ."""

    catalogs: Annotated[list[Location | CatalogItem], msgspec.Meta(min_length=1)]
    commands: list[Location | InlineCommands] | None = None


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the images go."""

    base: Location | Annotated[list[Location], msgspec.Meta(min_length=1)] | None = None
    dataset: Name | None = None


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one unit may cost."""

    max_unit_hours: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Wall hours after which a unit's simulator process is stopped."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rarely needed choices."""


class JobSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request: which sky, which sensors, which release, whose."""

    schema_version: Literal[1]
    name: Name
    user: Name
    sensors: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    """Regular expression over PhoSim sensor names, full match, e.g. `R11_S..`."""
    catalogs: Annotated[list[Location | CatalogItem], msgspec.Meta(min_length=1)] | None = None
    visits: Annotated[list[VisitItem], msgspec.Meta(min_length=1)] | None = None
    task: Name | None = None
    comment: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    exposures: Literal["all"] | Annotated[list[Annotated[int, msgspec.Meta(ge=0)]], msgspec.Meta(min_length=1)] = "all"
    commands: list[Location | InlineCommands] = []
    release: Name | None = None
    amplifiers: bool = True
    attempts: Annotated[int, msgspec.Meta(ge=1, le=10)] = 3
    debug: bool = False
    output: Output = Output()
    limits: Limits = Limits()
    options: Options = Options()

    def visit_items(self) -> list[VisitItem]:
        """The visits, whichever way they were written; commands filled in."""
        if self.visits is None:
            return [VisitItem(catalogs=self.catalogs or [], commands=self.commands)]
        return [
            VisitItem(catalogs=item.catalogs, commands=self.commands if item.commands is None else item.commands)
            for item in self.visits
        ]


def parse_spec(text: bytes) -> JobSpec:
    """The job spec in `text`; raises `DocumentInvalid` with one sentence that names the key."""
    spec = decode(text, JobSpec)
    if (spec.catalogs is None) == (spec.visits is None):
        raise DocumentInvalid("give exactly one of 'catalogs' and 'visits'")
    return spec


def catalog_item(item: str | CatalogItem) -> CatalogItem:
    """The pinned form of a catalog entry, which may be a bare location."""
    return CatalogItem(url=item) if isinstance(item, str) else item
