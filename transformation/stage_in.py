"""Bring the request's inputs here and read them: catalogs and physics commands of each visit.

Nothing is started before every input of every visit has been found good.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from transformation.inputs import LARGEST_COMMANDS_BYTES, Inputs
from transformation.instance_catalog import (
    CatalogFault,
    CatalogInvalid,
    CommandsInvalid,
    InstanceCatalog,
    Limits,
    PhysicsCommands,
    read_defaults,
    read_instance_catalogs,
    read_physics_commands,
)
from transformation.locations import redacted
from transformation.model.failures import Failure, JobError
from transformation.model.spec import InlineCommands, JobSpec, VisitItem, catalog_item
from transformation.planning import VisitFacts, has_sky
from transformation.sed_tree import checksum_of_seds, link_seds
from transformation.simulator.release import Release
from transformation.workdir import VisitDir

_FAILURE_OF_FAULT = {
    CatalogFault.MALFORMED: Failure.CATALOG_INVALID,
    CatalogFault.CONFLICT: Failure.CATALOG_CONFLICT,
    CatalogFault.INCLUDE_REFUSED: Failure.PATH_REFUSED,
    CatalogFault.INCLUDE_MISSING: Failure.CATALOG_MISSING,
    CatalogFault.UNREADABLE: Failure.CATALOG_INVALID,
    CatalogFault.TOO_LARGE: Failure.CATALOG_TOO_LARGE,
}
_RELEASE_EXAMPLE = re.compile(r"\$\(PHOSIMDIR\)/examples/(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)")


class StagedVisit(msgspec.Struct, frozen=True, kw_only=True):
    """One visit's inputs, read and found good."""

    index: int
    catalog: InstanceCatalog
    commands: PhysicsCommands
    facts: VisitFacts
    digest: str
    """sha256 of `identity`."""
    identity: Mapping[str, object]
    """What decides the pixels: catalogs, commands, seed, release, amplifiers, SEDs of the job's own."""
    sed_library: Path = Path()
    """Folder of all SEDs that objects may name."""

    @property
    def visit(self) -> str:
        """obshistid with extraid, as in all names."""
        return self.facts.visit


def stage_in(
    spec: JobSpec, release: Release, inputs: Inputs, folders: Sequence[VisitDir | None], spool: Path
) -> list[StagedVisit]:
    """Bring and read all visits of the request.

    `folders` holds, for each visit, where the simulator's input is written, or None to check only; `spool` is for
    temporary files. Raises `JobError`.
    """
    defaults = read_defaults(release.default_instcat)
    inputs.bring(spec)
    visits = [
        _stage_visit(item, index, spec, release, inputs, folder, spool, defaults)
        for index, (item, folder) in enumerate(zip(spec.visit_items(), folders, strict=True))
    ]
    inputs.close()
    seen: dict[str, int] = {}
    for staged in visits:
        if staged.visit in seen:
            raise JobError(
                Failure.SPEC_INVALID,
                f"'visits': {seen[staged.visit] + 1} and {staged.index + 1} are both obshistid {staged.visit};"
                " give each image its own",
            )
        seen[staged.visit] = staged.index
    return visits


def _stage_visit(
    item: VisitItem, index: int, spec: JobSpec, release: Release, inputs: Inputs, folder: VisitDir | None, spool: Path,
    defaults: Mapping[str, str],
) -> StagedVisit:  # fmt: skip
    commands = _read_commands(item.commands or [], inputs, release)
    items = [catalog_item(entry) for entry in item.catalogs]
    paths = [inputs.catalog(entry) for entry in items]
    if folder is not None:
        folder.root.mkdir(parents=True, exist_ok=True)
    try:
        catalog = read_instance_catalogs(
            paths,
            names=[redacted(entry.url) for entry in items],
            defaults=defaults,
            objects_out=None if folder is None else folder.objects,
            spool=spool,
            include=inputs.include,
            limits=Limits(sizes=inputs.sizes),
        )
    except CatalogInvalid as error:
        raise JobError(_FAILURE_OF_FAULT[error.kind], str(error)) from None
    identity = _identity(catalog, commands, spec, release)
    library = release.root / "data" / "SEDs"
    if spec.options.seds is not None:
        own = inputs.folder_of_seds(spec.options.seds)
        identity["seds_sha256"] = checksum_of_seds(own)
        if folder is not None:
            link_seds(library, own, folder.seds)
            library = folder.seds
    try:
        facts = _facts(catalog, commands)
    except CommandsInvalid as error:
        raise JobError(Failure.COMMANDS_INVALID, str(error)) from None
    return StagedVisit(
        index=index,
        catalog=catalog,
        commands=commands,
        facts=facts,
        digest=hashlib.sha256(msgspec.json.encode(identity, order="sorted")).hexdigest(),
        identity=identity,
        sed_library=library,
    )


def _read_commands(items: Sequence[str | InlineCommands], inputs: Inputs, release: Release) -> PhysicsCommands:
    texts = [_command_text(item, inputs, release) for item in items]
    try:
        return read_physics_commands(texts)
    except CommandsInvalid as error:
        raise JobError(Failure.COMMANDS_INVALID, str(error)) from None


def _command_text(item: str | InlineCommands, inputs: Inputs, release: Release) -> tuple[str, str]:
    """Name and text of one entry of `commands`."""
    if isinstance(item, InlineCommands):
        return "inline commands", item.inline
    path, name = _command_path(item, inputs, release), redacted(item)
    try:
        if path.is_fifo():  # it would block for ever
            raise JobError(Failure.COMMANDS_INVALID, f"'commands': {name} is a pipe, not a file")
        with path.open("rb") as stream:
            content = stream.read(LARGEST_COMMANDS_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise JobError(Failure.COMMANDS_INVALID, f"'commands': {name}: {reason}") from None
    if len(content) > LARGEST_COMMANDS_BYTES:
        raise JobError(Failure.COMMANDS_INVALID, f"'commands': {name} is larger than {LARGEST_COMMANDS_BYTES:,} bytes")
    return name, content.decode("utf-8", errors="replace")


def _command_path(item: str, inputs: Inputs, release: Release) -> Path:
    if "$" not in item:
        return inputs.commands(item)
    found = _RELEASE_EXAMPLE.fullmatch(item)
    if found is None:
        detail = f"'commands': in {item!r} only $(PHOSIMDIR)/examples/NAME is filled in"
        raise JobError(Failure.COMMANDS_INVALID, detail)
    path = release.root / "examples" / found["name"]
    if not path.is_file():
        offered = ", ".join(sorted(path.name for path in path.parent.glob("*"))) or "none"
        detail = f"'commands': release {release.name} has no example '{found['name']}'; it has {offered}"
        raise JobError(Failure.COMMANDS_INVALID, detail)
    return path


def _facts(catalog: InstanceCatalog, commands: PhysicsCommands) -> VisitFacts:
    return VisitFacts(
        visit=str(commands.observation_id(catalog.obshistid)),
        filter=catalog.filter,
        seed=catalog.seed,
        nsnap=catalog.nsnap,
        vistime_s=catalog.vistime_s,
        has_sky=has_sky(commands.values, catalog.telconfig),
        centroids=commands.centroidfile,
        throughput=commands.throughputfile,
        # Not the release's default: that of PhoSim 5/6 adds 330 exposures of each guider.
        camconfig=int(catalog.given.get("camconfig", "1")),
    )


def _identity(
    catalog: InstanceCatalog, commands: PhysicsCommands, spec: JobSpec, release: Release
) -> dict[str, object]:
    return {
        "catalogs_sha256": list(catalog.sha256),
        "commands_sha256": hashlib.sha256("\n".join(commands.lines).encode()).hexdigest(),
        "seed": catalog.seed,
        "release": release.name,
        "release_sha256": release.manifest_sha256,
        "amplifiers": spec.amplifiers,
    }
