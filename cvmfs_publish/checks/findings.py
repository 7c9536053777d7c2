"""What a check can find: one row a rule, with its severity and its cure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Dict, Tuple


class Severity(Enum):
    """How much a finding matters."""

    ERROR = "error"
    """The release would not work somewhere, or would do harm: it is not published."""
    WARNING = "warning"
    """It should be looked at; `--strict` makes it an error."""
    NOTE = "note"
    """Worth knowing."""


_E, _W, _N = Severity.ERROR, Severity.WARNING, Severity.NOTE

RULES: Dict[str, Tuple[Severity, str]] = {
    "version-exists": (_E, "published releases never change: build it under a new version, such as 1.0_1"),
    "folder-name": (_W, "name the folder as the release, SIMULATOR-VERSION"),
    "name-control": (_E, "rename it: scripts and logs break on control characters"),
    "name-encoding": (_E, "rename it in UTF-8"),
    "name-long": (_E, "shorten it to 255 bytes"),
    "name-cvmfs": (_E, "rename it: names that begin with .cvmfs are CernVM-FS's own; the kit places catalog markers"),
    "name-case": (_E, "rename one: on a file system that folds case they are one file"),
    "name-unicode": (_E, "rename one: they differ only in how accents are encoded"),
    "litter": (_E, "remove it, or `check --fix`"),
    "litter-vcs": (_E, "export the sources without it, e.g. `git archive`"),
    "folder-empty": (_N, "empty folders are not published; put a README in it if it must be there"),
    "mode-unreadable": (_E, "chmod o+r (folders o+rx), or `check --fix`: jobs run as other users"),
    "mode-setid": (_E, "chmod u-s,g-s,-t, or `check --fix`"),
    "mode-writable": (_E, "chmod o-w, or `check --fix`"),
    "mode-not-executable": (_W, "chmod +x if it is to be started"),
    "special-file": (_E, "remove it: only files, folders and symbolic links can be published"),
    "hard-link": (_E, "make it a file of its own, or `check --fix`: CernVM-FS breaks hard links up"),
    "attributes": (_W, "do without them: ACLs, capabilities and other attributes are lost on CernVM-FS"),
    "link-absolute": (_E, "make it relative; `check --fix` does so if it leads into the tree"),
    "link-outside": (_E, "copy what it leads to into the release, or declare it in the recipe under [data]"),
    "link-dangling": (_E, "remove it or correct its target"),
    "link-variant": (_W, "say in the documentation which variable of the client it needs"),
    "elf-damaged": (_E, "build it again: it is cut short or damaged"),
    "elf-machine": (_E, "build it for the workers' machine"),
    "elf-loader": (_E, "build it with the system's loader"),
    "elf-needed": (_E, "bundle the library: `iod-publish build --prebuilt` does it"),
    "elf-rpath": (_E, "use $ORIGIN/../lib: `iod-publish build --prebuilt` sets it"),
    "elf-symbols": (_E, "build on the oldest operating system among the workers, or bundle the library"),
    "elf-relative-data": (_N, "it reads ../data of its working directory: the job must arrange that"),
    "shebang": (_E, "use /usr/bin/env, /bin/sh, or call it through the interpreter of the release"),
    "shebang-python": (_W, "many workers have no `python`: name the interpreter in release.json, or say python3"),
    "build-path": (_E, "make it relative to the release, or build under a neutral path"),
    "build-path-binary": (_W, "harmless if it is debugging text; else build under a neutral path"),
    "foreign-path": (_W, "look whether it is opened: workers do not have this folder"),
    "secret": (_E, "remove it, and replace the secret: it must be taken for known"),
    "file-large": (_E, "split it: files over 1024 MB are refused by CernVM-FS"),
    "catalog-large": (_E, "spread the folder over several: a catalog must stay below 200,000 entries"),
    "catalog-heavy": (_W, "spread the folder over several: clients load a catalog whole"),
    "archive-inside": (_W, "unpack it: CernVM-FS shares and fetches files, not parts of archives"),
    "total-large": (_W, "publish bulk data as its own release; a worker's cache holds about 5 GB"),
    "manifest-missing": (_E, "describe the tree: `iod-publish build NAME --prebuilt --from TREE --version V`"),
    "manifest-invalid": (_E, "build the release again"),
    "manifest-file-missing": (_E, "build the release again: a file of the manifest is not there"),
    "manifest-file-extra": (_E, "remove it, or build the release again: it is not in the manifest"),
    "manifest-file-changed": (_E, "build the release again: the content is not the one of the manifest"),
    "manifest-mode": (_E, "`check --fix` gives it the permissions of the manifest"),
    "manifest-link": (_E, "build the release again: the link is not the one of the manifest"),
    "release-shape": (_W, 'PhoSim and quicksim have it; a tree that is no simulator is of kind = "data"'),
    "interpreter": (_E, "name it in the recipe ([release] interpreter) or bundle it ([bundle] interpreter)"),
    "interpreter-outside": (_W, "make sure that every worker has it, or bundle it"),
    "licence": (_W, "name the licence in the recipe and keep its text in the release"),
}


@dataclass(frozen=True)
class Finding:
    """One thing found, at one place."""

    rule: str
    path: str
    """Relative to the tree; empty for the tree as a whole."""
    what: str
    fixable: bool = False
    """Whether `--fix` mends it."""

    @property
    def severity(self) -> Severity:
        """From the table."""
        return RULES[self.rule][0]

    @property
    def cure(self) -> str:
        """From the table."""
        return RULES[self.rule][1]
