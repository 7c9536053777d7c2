"""Datasets and files of a job, with size, adler32 and role."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from submitter.client import Client
from submitter.commands.names import complete_names
from submitter.listing import Listing
from submitter.screen import Screen, count, size


def add_arguments(parser: ArgumentParser) -> None:
    """See `submitter.cli`."""
    complete_names(parser.add_argument("name", metavar="NAME", help="the job"))
    pattern = "names such as '*E000*', or a part of them such as R22_S11"
    parser.add_argument("pattern", nargs="?", metavar="PATTERN", help=pattern)
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(client: Client, parsed: Namespace, screen: Screen) -> int:
    """The exit code."""
    listing = client.files(parsed.name, parsed.pattern)
    if screen.as_json:
        screen.emit(document(listing))
    else:
        _show(listing, screen)
    for note in listing.notes:
        screen.note(f"note: {note}")
    return 0


def _show(listing: Listing, screen: Screen) -> None:
    if not listing.files:
        screen.say(f"{listing.job.name} has no files")
        return
    for dataset in listing.datasets:
        facts = f"{count(dataset.n_files, 'file')}, {size(dataset.size_bytes)}"
        screen.say(f"{screen.style(dataset.name, 'bold')}: {facts}")
        rows = [
            (file.name, f"{file.size_bytes:,}", file.adler32, file.role)
            for file in listing.files
            if file.visit == dataset.visit
        ]
        screen.table(("file", "bytes", "adler32", "role"), rows, right=frozenset({1}))


def document(listing: Listing) -> dict[str, object]:
    """As `--json` gives it; see `docs/reference/iod.md`."""
    names = {dataset.visit: dataset.name for dataset in listing.datasets}
    return {
        "schema_version": 1,
        "name": listing.job.name,
        "size_bytes": listing.size_bytes,
        "datasets": [
            {"name": one.name, "visit": one.visit, "n_files": one.n_files, "size_bytes": one.size_bytes}
            for one in listing.datasets
        ],
        "files": [
            {
                "name": file.name,
                "dataset": names[file.visit],
                "visit": file.visit,
                "unit": file.unit,
                "sensor": file.sensor,
                "exposure": file.exposure,
                "role": file.role,
                "amplifier": file.amplifier,
                "size_bytes": file.size_bytes,
                "adler32": file.adler32,
                "url": file.urls[0],
            }
            for file in listing.files
        ],
        "notes": list(listing.notes),
    }
