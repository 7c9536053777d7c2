"""What simulator programs call things: their files, and sensors in what they print."""

from __future__ import annotations

import re
from pathlib import Path

from transformation.model.work import ExpectedFile

_FOUND = re.compile(r"^Found (\d+) source\(s\) for chip (\S+?)\.?$", re.MULTILINE)


def sources_found(trim_output: str) -> dict[str, int]:
    """Sources a sensor, from what trim printed; sensors without any are not named there."""
    return {chip: int(count) for count, chip in _FOUND.findall(trim_output)}


def trimmed_catalog(work: Path, visit: str, sensor: str) -> Path:
    """The sensor's part of the catalog, written by trim."""
    return work / f"trimcatalog_{visit}_{sensor}.pars"


def find_output(folder: Path, file: ExpectedFile, filter_number: int) -> Path | None:
    """Where an attempt left an expected file; PhoSim 3.4-47 names files in its work folder without `_f<filter>`."""
    for name in (file.name, re.sub(rf"_f{filter_number}(?=_)", "", file.name, count=1)):
        if (folder / name).is_file():
            return folder / name
    return None
