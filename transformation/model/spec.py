"""Job spec v1: the request, as JSON or TOML (contract: fixed; see `docs/reference/job-spec.md`)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from transformation.model.strict import SAFE_NAME, DocumentInvalid, decode

Name = Annotated[str, msgspec.Meta(pattern=SAFE_NAME, max_length=200)]
Location = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
Adler32 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-fA-F]{8}$(?!\n)")]


class CatalogItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An instance catalog whose bytes are pinned."""

    url: Location
    """Where it is: a path, relative to the job file, or a location `file:`, `root(s)://`, `http(s)://`, `dav(s)://` or
    `rucio:SCOPE:NAME`."""
    adler32: Adler32 | None = None
    """Checksum that the fetched bytes must have, 8 hex digits."""
    size: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Bytes that it must have."""


class InlineCommands(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Physics commands written in the spec itself."""

    inline: Annotated[str, msgspec.Meta(max_length=1_000_000)]
    """The lines of a physics command file."""


class VisitItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One image of several: its catalogs, and its own commands if they differ."""

    catalogs: Annotated[list[Location | CatalogItem], msgspec.Meta(min_length=1)]
    """Instance catalogs of this image, appended in order."""
    commands: list[Location | InlineCommands] | None = None
    """This visit's physics commands; without it, those of the job."""


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the images go."""

    base: Location | Annotated[list[Location], msgspec.Meta(min_length=1)] | None = None
    """Folder or URL under which the images go, or an ordered list of them: each unit is stored at the first that takes
    it. Without it, the site's, else the work folder."""
    dataset: Name | None = None
    """A collection in the catalog, maybe of many jobs, that the images are put into as well: in Rucio a container that
    holds the job's datasets, which are called `NAME/v<visit>` in any case."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one unit may cost, and how large inputs may be."""

    max_unit_hours: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Wall hours after which a unit's simulator process is stopped; without it, the site's. A unit that is predicted to
    take longer even at best is not begun (UNIT_TOO_LONG); one that probably will is warned of."""
    max_unit_cpu_hours: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """CPU hours after which it is stopped; without it, the site's, else the wall hours."""
    max_unit_scratch_mb: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Work files that a unit may have; without it, the site's."""
    max_catalog_mb: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Most that a catalog, or a file it includes, may have as it is stored, MB of 10^6 bytes; without it, the site's.
    A larger one is refused (CATALOG_TOO_LARGE)."""
    max_unpacked_mb: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """The same for what it unpacks to. Whatever is set here, gzip that unpacks to more than 1.07 GB and to more than
    200 times its size is refused."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rarely needed choices."""

    checkpoints: Annotated[int, msgspec.Meta(ge=0, le=72)] = 0
    """Cut each raytrace into so many segments and one; a later attempt goes on after the last that was finished."""
    seds: Location | None = None
    """Folder of spectra that the job brings along, in addition to the release's; its names must differ from those."""


class JobSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request: which sky, which sensors, which release, whose."""

    schema_version: Literal[1]
    """Of this document; always 1."""
    name: Name
    """Name of the job: its folder at the destination, and the beginning of its dataset names."""
    user: Name
    """Whose job it is: the folder above the job's."""
    sensors: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    """Regular expression over PhoSim sensor names, full match, e.g. `R11_S..`. Devices outside of the catalog's
    `camconfig` (1 science, which is the default, 2 wavefront, 4 guiders, 7 all) only if nothing else matches, or if an
    alternative spells their raft, e.g. `R22_S11|R00_S22_C0`."""
    catalogs: Annotated[list[Location | CatalogItem], msgspec.Meta(min_length=1)] | None = None
    """Instance catalogs of one image, appended in order. Give this or `visits`."""
    visits: Annotated[list[VisitItem], msgspec.Meta(min_length=1)] | None = None
    """Several images, each with its own catalogs and its own obshistid."""
    task: Name | None = None
    """The task that the job belongs to; kept in the report."""
    comment: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    """A note for people; kept in the report."""
    exposures: Literal["all"] | Annotated[list[Annotated[int, msgspec.Meta(ge=0)]], msgspec.Meta(min_length=1)] = "all"
    """Numbers of the snaps wanted, from 0, or all that the catalog asks for."""
    commands: list[Location | InlineCommands] = []
    """Physics commands, merged in order: `$(PHOSIMDIR)/examples/NAME`, locations, or inline text."""
    release: Name | None = None
    """Simulator release, e.g. `quicksim-1.0`; without it, the site's default."""
    amplifiers: bool = True
    """Also make the images of all amplifiers of each sensor (16 for a science sensor)."""
    attempts: Annotated[int, msgspec.Meta(ge=1, le=10)] = 3
    """Tries at each unit, where another try can help."""
    debug: bool = False
    """Keep the work folders of all attempts."""
    output: Output = Output()
    """Where the images go."""
    limits: Limits = Limits()
    """What one unit may cost, and how large inputs may be."""
    options: Options = Options()
    """Rarely needed choices."""

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
