"""All checks of a tree at once, and what they found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from cvmfs_publish.catalogs import Catalog, plan_catalogs
from cvmfs_publish.checks.contents import Contents, read_contents
from cvmfs_publish.checks.elves import check_elves, read_elves
from cvmfs_publish.checks.findings import Finding, Severity
from cvmfs_publish.checks.links import check_links
from cvmfs_publish.checks.manifest import check_manifest, check_shape
from cvmfs_publish.checks.names import check_names
from cvmfs_publish.checks.permissions import check_permissions
from cvmfs_publish.checks.sizes import check_sizes
from cvmfs_publish.checks.tree import Demands, Tree, read_tree

_ORDER = [Severity.ERROR, Severity.WARNING, Severity.NOTE]


@dataclass(frozen=True)
class Verdict:
    """What a check found."""

    tree: Tree
    catalogs: Tuple[Catalog, ...]
    findings: Tuple[Finding, ...]
    """Errors first, then by rule and path."""
    contents: Optional[Contents]

    def count(self, severity: Severity) -> int:
        """How many findings of one severity."""
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def passed(self) -> bool:
        """No error."""
        return not self.count(Severity.ERROR)


def check(root: Path, demands: Demands) -> Verdict:
    """Read the whole tree and say everything that is wrong with it; raises `KitError` if it cannot be read at all."""
    tree = read_tree(root, demands)
    contents = read_contents(tree)
    elves, findings = read_elves(tree, contents.heads)
    findings += contents.findings
    findings += check_elves(tree, elves)
    return _verdict(tree, findings, contents)


def check_outside(root: Path, demands: Demands) -> Verdict:
    """The same without opening the files: for a release whose contents were checked before."""
    return _verdict(read_tree(root, demands), [], None)


def _verdict(tree: Tree, findings: List[Finding], contents: Optional[Contents]) -> Verdict:
    catalogs = plan_catalogs(tree.entries)
    findings += check_names(tree)
    findings += check_permissions(tree)
    findings += check_links(tree)
    findings += check_sizes(tree, catalogs)
    findings += check_manifest(tree, contents.sha256 if contents else None)
    findings += check_shape(tree)
    counted = {finding for finding in findings if finding.rule not in tree.demands.waived}
    ranked = sorted(counted, key=lambda one: (_ORDER.index(one.severity), one.rule, one.path, one.what))
    return Verdict(tree, catalogs, tuple(ranked), contents)


def verdict_document(verdict: Verdict) -> Dict[str, Any]:
    """The verdict as `check --json` prints it."""
    release = verdict.tree.release
    return {
        "tree": str(verdict.tree.root),
        "release": release.name if release else None,
        "digest": release.digest if release else None,
        "passed": verdict.passed,
        "errors": verdict.count(Severity.ERROR),
        "warnings": verdict.count(Severity.WARNING),
        "notes": verdict.count(Severity.NOTE),
        "files": len(verdict.tree.files),
        "entries": len(verdict.tree.entries),
        "size_bytes": sum(entry.status.st_size for entry in verdict.tree.files),
        "catalogs": [{"folder": one.folder, "entries": one.entries} for one in verdict.catalogs],
        "findings": [
            {
                "rule": finding.rule,
                "severity": finding.severity.value,
                "path": finding.path,
                "what": finding.what,
                "cure": finding.cure,
                "fixable": finding.fixable,
            }
            for finding in verdict.findings
        ],
    }
