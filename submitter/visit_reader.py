"""Read a visit's catalogs as far as is wanted, and its physics commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from submitter.catalogs import CatalogReader, Opened, text_of
from submitter.visit_look import Depth, VisitLook, Wanted
from transformation.instance_catalog import (
    CatalogFault,
    CatalogInvalid,
    CommandsInvalid,
    InstanceCatalog,
    Limits,
    PhysicsCommands,
    includes,
    read_instance_catalogs,
    read_physics_commands,
)
from transformation.model.failures import Failure, JobError
from transformation.model.spec import InlineCommands, VisitItem, catalog_item

SAMPLE_BYTES = 1 << 19
HEADER_BYTES = 1 << 15
_LARGEST_COMMANDS_BYTES = 1_000_000
_EXAMPLES = "$(PHOSIMDIR)/examples/"

_FAILURE_OF_FAULT = {
    CatalogFault.CONFLICT: Failure.CATALOG_CONFLICT,
    CatalogFault.INCLUDE_REFUSED: Failure.PATH_REFUSED,
    CatalogFault.INCLUDE_MISSING: Failure.CATALOG_MISSING,
    CatalogFault.TOO_LARGE: Failure.CATALOG_TOO_LARGE,
}


class VisitReader:
    """Reads inputs of visits of one request; raises `JobError`."""

    def __init__(self, wanted: Wanted, reader: CatalogReader) -> None:
        self._wanted = wanted
        self._reader = reader
        self._commands: dict[bytes, PhysicsCommands] = {}

    def catalogs(self, look: VisitLook, opened: Sequence[Opened], objects: Path) -> InstanceCatalog:
        """Validate what is to be read; lowers the look's depth to what could be."""
        folder = self._wanted.folder
        paths, urls = [], {}
        for number, one in enumerate(opened):
            path = self._local_copy(look, one, folder / f"catalog-{look.index}-{number}")
            paths.append(path)
            urls[path] = one
        temporary = [path for path in paths if path.parent == folder]

        def include(path: Path, name: str) -> Path:
            one = urls[path]
            if one.path is None:
                return self._reader.fetch_beside(one.url, name, folder)
            return includes.beside(one.path, name)

        try:
            return read_instance_catalogs(
                paths,
                names=[one.url for one in opened],
                defaults=self._wanted.camera.defaults,
                objects_out=objects,
                spool=folder,
                include=include,
                limits=Limits(sizes=self._wanted.sizes),
            )
        except CatalogInvalid as error:
            failure = _FAILURE_OF_FAULT.get(error.kind, Failure.CATALOG_INVALID)
            raise JobError(failure, str(error)) from None
        finally:
            for path in temporary:
                path.unlink(missing_ok=True)

    def _local_copy(self, look: VisitLook, one: Opened, copy: Path) -> Path:
        """Where the part of a catalog that is to be read lies on this machine."""
        if one.path is not None and look.depth is not Depth.HEADER:
            return one.path
        if one.path is None and look.depth is Depth.WHOLE and not one.is_whole:
            self._reader.fetch(catalog_item(one.url), copy)
            return copy
        if one.path is not None:
            if (one.size_bytes or 0) <= HEADER_BYTES:
                return one.path
            with one.path.open("rb") as stream:
                start = text_of(stream.read(HEADER_BYTES))
        else:
            start = one.start
        if look.depth is Depth.WHOLE:
            copy.write_bytes(start)
            return copy
        lines, self_contained = _whole_lines(start, is_all=one.is_whole)
        if not self_contained:
            look.warnings.append(("INCLUDES_NOT_READ", f"{one.url}: the files that it includes were not looked at"))
        copy.write_bytes(lines)
        return copy

    def commands(self, item: VisitItem, look: VisitLook) -> PhysicsCommands:
        key = repr(item.commands).encode()
        if key not in self._commands:
            texts = [text for entry in item.commands or [] if (text := self._command_text(entry, look)) is not None]
            try:
                self._commands[key] = read_physics_commands(texts)
            except CommandsInvalid as error:
                raise JobError(Failure.COMMANDS_INVALID, str(error)) from None
        return self._commands[key]

    def _command_text(self, entry: str | InlineCommands, look: VisitLook) -> tuple[str, str] | None:
        if isinstance(entry, InlineCommands):
            return "inline commands", entry.inline
        if "$" not in entry:
            return entry, self._reader.read_small(entry, _LARGEST_COMMANDS_BYTES).decode("utf-8", "replace")
        name = entry.removeprefix(_EXAMPLES)
        if name == entry or "/" in name or name.startswith("."):
            raise JobError(Failure.COMMANDS_INVALID, f"'commands': in {entry!r} only {_EXAMPLES}NAME is filled in")
        if self._wanted.camera.root is None:
            look.warnings.append(("COMMANDS_NOT_READ", f"{entry} is in the release, which cannot be seen from here"))
            return None
        path = self._wanted.camera.root / "examples" / name
        if not path.is_file():
            offered = ", ".join(sorted(path.name for path in path.parent.glob("*"))) or "none"
            detail = f"'commands': release {self._wanted.camera.name} has no example '{name}'; it has {offered}"
            raise JobError(Failure.COMMANDS_INVALID, detail)
        return entry, path.read_text(encoding="utf-8", errors="replace")


def _whole_lines(start: bytes, *, is_all: bool) -> tuple[bytes, bool]:
    """The whole lines of a beginning, without those that include other files; whether there were none of these."""
    text = start if is_all else start[: start.rfind(b"\n") + 1]
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if not line.lstrip().startswith(b"includeobj")]
    return b"".join(kept), len(kept) == len(lines)
