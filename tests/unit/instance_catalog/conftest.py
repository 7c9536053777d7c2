"""A reader of catalogs given as bytes, and the strategies that make valid ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from transformation.instance_catalog import CatalogInvalid, InstanceCatalog, Limits, read_instance_catalogs

HEADER = b"""\
rightascension 60.49
declination -38.16
azimuth 0
altitude 89
date 1994/7/19/0.3
mjd 49552.3
filter 2
rotskypos 131.2
rottelpos 0
dist2moon 180
moonalt -90
moondec -90
moonphase 10
moonra 180
sunalt -90
seeing 0.67
obshistid 70000001
seed 4242
nsnap 1
vistime 15.0
minsource 1
camconfig 1
telconfig 0
"""
STAR = b"object 1 60.5 -38.1 20 starSED/kurucz/km20_6000.fits_g20_6120.gz 0 0 0 0 0 0 point none none\n"
DEFAULTS = {"obshistid": "9999", "seed": "1000", "filter": "2", "nsnap": "2", "vistime": "33", "minsource": "1"}
DEFAULTS |= {"camconfig": "1", "telconfig": "0", "rightascension": "0", "declination": "0", "rotskypos": "0"}
DEFAULTS |= {"seeing": "0.67", "mjd": "49552.3"}


@dataclass
class Bench:
    """Writes catalogs into a folder and reads them."""

    folder: Path
    header: bytes = HEADER
    star: bytes = STAR

    @property
    def objects_path(self) -> Path:
        return self.folder / "objects.out"

    @property
    def objects(self) -> bytes:
        return self.objects_path.read_bytes()

    def add(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def read(
        self,
        *contents: bytes,
        defaults: dict[str, str] = DEFAULTS,
        limits: Limits | None = None,
        include: Callable[[Path, str], Path] | None = None,
    ) -> InstanceCatalog:
        """Read these catalogs as a.txt, b.txt, ..."""
        names = [f"{chr(ord('a') + i)}.txt" for i in range(len(contents))]
        paths = [self.add(name, content) for name, content in zip(names, contents, strict=True)]
        return read_instance_catalogs(
            paths,
            names=names,
            defaults=defaults,
            objects_out=self.objects_path,
            spool=self.folder,
            limits=limits,
            include=include,
        )

    def fail(self, *contents: bytes, **options: object) -> CatalogInvalid:
        """The failure of reading these catalogs; nothing is left behind."""
        with pytest.raises(CatalogInvalid) as caught:
            self.read(*contents, **options)  # type: ignore[arg-type]
        assert not self.objects_path.exists()
        return caught.value


@pytest.fixture(scope="session")
def shared_data(pytestconfig: pytest.Config) -> Path:
    """The data folder beside the repository."""
    folder = pytestconfig.rootpath.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the data in {folder}")
    return folder


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """One folder for a module: hypothesis refuses a new one for each example."""
    return Bench(tmp_path_factory.mktemp("catalogs"))
