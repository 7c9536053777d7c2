"""A release as one machine mounts it: what CVMFS says of the mount, the files, the libraries, and a run of one star."""

from __future__ import annotations

import gzip
import os
import sys
import tempfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

from cvmfs_publish.elf import MAGIC
from cvmfs_publish.exits import KitError
from cvmfs_publish.layout import MANIFEST
from cvmfs_publish.manifest import Release, hash_file, read_release
from cvmfs_publish.processes import run

_ATTRIBUTES = ("fqrn", "revision", "root_hash", "tag", "host", "proxy", "nioerr", "ncleanup24", "timeout", "version")
"""Extended attributes of a CVMFS mount (CernVM-FS 2.12)."""
_MOST_FINDINGS = 20
_DEEPEST = 6
"""Folders between a repository's root and a release: BASE (up to four) / SIMULATOR / VERSION."""
_STAR = "examples/star"
_NO_BACKGROUND = "examples/nobackground"
_SENSOR = "R22_S11"


@dataclass(frozen=True)
class Finding:
    """One verdict."""

    verdict: str
    """`ok`, `note` or `bad`."""
    what: str
    cure: str = ""


@dataclass
class Examination:
    """All of them."""

    attributes: Dict[str, str] = field(default_factory=dict)
    findings: List[Finding] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """True if nothing is bad."""
        return not any(one.verdict == "bad" for one in self.findings)


def examine(place: Path, *, simulate: bool) -> Examination:
    """Look at a mounted release, or at all below a folder; nothing is written there."""
    found = Examination(attributes=attributes(place))
    if not found.attributes:
        found.findings.append(Finding("note", f"{place} is not on a CVMFS mount"))
    folders = list(_releases_below(place, _DEEPEST)) or [place]
    for folder in folders:
        findings = _examine_release(folder, simulate=simulate)
        if len(folders) > 1:
            findings = [Finding(one.verdict, f"{folder.name}: {one.what}", one.cure) for one in findings]
        found.findings += findings
    return found


def _releases_below(place: Path, levels: int) -> Iterator[Path]:
    """Folders with a manifest, outermost first; what is below them belongs to them."""
    try:
        if (place / MANIFEST).is_file():
            yield place
            return
        folders = sorted(Path(entry) for entry in os.scandir(place) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return  # what cannot be looked into holds no release for jobs
    for folder in folders if levels else ():
        yield from _releases_below(folder, levels - 1)


def _examine_release(place: Path, *, simulate: bool) -> List[Finding]:
    try:
        release = read_release(place)
    except KitError as error:
        return [Finding("bad", error.what, "check that the repository is mounted; see `iod-publish list`")]
    findings = _files(place, release) + _libraries(place, release)
    if simulate and release.kind == "simulator" and not any(one.verdict == "bad" for one in findings):
        findings.append(simulate_one_star(place, release))
    return findings


def attributes(place: Path) -> Dict[str, str]:
    """What the CVMFS mount that holds a folder says of itself; empty if it is none."""
    return dict(_attributes(place))


def _attributes(place: Path) -> Iterator[Tuple[str, str]]:
    for name in _ATTRIBUTES:
        try:
            yield name, os.getxattr(place, f"user.{name}").decode(errors="replace")
        except OSError:
            continue


def _files(place: Path, release: Release) -> List[Finding]:
    bad: List[Finding] = []
    cure = "the client's cache or the replica is damaged: `cvmfs_talk -i REPOSITORY cache instance`, `cvmfs_fsck`"
    for entry in release.files:
        try:
            if hash_file(place / entry.path) != entry.sha256:
                bad.append(Finding("bad", f"{entry.path} is not what {MANIFEST} says", cure))
        except OSError as error:
            bad.append(Finding("bad", f"{entry.path}: {error.strerror}", cure))
    if not bad:
        return [Finding("ok", f"{len(release.files)} files are those of {MANIFEST}")]
    return _shortened(bad)


def _libraries(place: Path, release: Release) -> List[Finding]:
    """Whether the loader finds all that programs need."""
    programs = [entry.path for entry in release.files if entry.permissions & 0o111 and _is_elf(place / entry.path)]
    bad: List[Finding] = []
    for program in programs:
        said = run(["ldd", str(place / program)]).out
        for line in said.splitlines():
            if "not found" in line:
                cure = "install it on the workers, or bundle it in the release"
                bad.append(Finding("bad", f"{program} needs {line.split()[0]}, which is not here", cure))
    return _shortened(bad) or [Finding("ok", f"{len(programs)} programs find their libraries")]


def _shortened(bad: List[Finding]) -> List[Finding]:
    more = len(bad) - _MOST_FINDINGS
    return bad[:_MOST_FINDINGS] + ([Finding("bad", f"{more} more of this kind")] if more > 0 else [])


def _is_elf(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def simulate_one_star(place: Path, release: Release) -> Finding:
    """One sensor with one star, without sky and amplifiers: about a CPU-minute with PhoSim 3.4."""
    if not (place / _STAR).is_file():
        return Finding("note", f"there is no {_STAR} to run")
    with tempfile.TemporaryDirectory(prefix="iod-publish-") as folder:
        work, output = Path(folder) / "work", Path(folder) / "output"
        work.mkdir()
        output.mkdir()
        command = [*_driver(place, release), str(place / _STAR), "-s", _SENSOR, "-e", "0"]
        command += ["-i", str(release.document.get("instrument", "lsst")), "-w", str(work), "-o", str(output)]
        if (place / _NO_BACKGROUND).is_file():
            command += ["-c", str(place / _NO_BACKGROUND)]
        done = run(command, folder=folder, environment={**os.environ, "QUICKSIM_PYTHON": sys.executable})
        problem = _problem(output)
    if problem is None:
        return Finding("ok", f"one star was simulated on {_SENSOR}")
    cure = f"run it by hand: {' '.join(command[:3])} ..."
    return Finding("bad", f"simulating one star: exit status {done.code}, {problem}: {done.said}", cure)


def _driver(place: Path, release: Release) -> List[str]:
    named = release.document.get("interpreter")
    interpreter = sys.executable if named is None else str(named)
    if named is not None and "/" in interpreter and not interpreter.startswith("/"):
        interpreter = str(place / interpreter)
    return [interpreter, str(place / str(release.document.get("driver", "phosim.py")))]


def _problem(output: Path) -> Optional[str]:
    images = sorted(output.glob("*_e_*.fits.gz"))
    damaged = [image.name for image in images if not _is_whole(image)]
    return f"{damaged[0]} is damaged" if damaged else None if images else "no image"


def _is_whole(image: Path) -> bool:
    try:
        with gzip.open(image) as stream:
            while stream.read(1 << 20):
                pass
    except (OSError, EOFError, zlib.error):
        return False
    return True
