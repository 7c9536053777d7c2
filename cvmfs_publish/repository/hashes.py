"""Names of objects: the hash of the bytes as they are stored."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Callable, Dict, NamedTuple

from cvmfs_publish.exits import Exit, KitError

_DIGEST_BYTES = 20
ALGORITHMS = ("sha1", "rmd160", "shake128")
"""In the order in which bits 8 to 10 of a catalog entry's flags count them (CernVM-FS 2.12)."""
_TEXT = re.compile(r"([0-9a-f]{40})(?:-(rmd160|shake128))?")


class _Shake128:
    """shake128 cut to 20 bytes, with the methods of the others."""

    def __init__(self) -> None:
        self._inner = hashlib.shake_128()

    def update(self, data: bytes) -> None:
        self._inner.update(data)

    def hexdigest(self) -> str:
        return self._inner.hexdigest(_DIGEST_BYTES)


_HASHERS: Dict[str, Callable[[], Any]] = {
    "sha1": hashlib.sha1,
    "rmd160": lambda: hashlib.new("ripemd160"),
    "shake128": _Shake128,
}


class ObjectHash(NamedTuple):
    """A hash and how it was made."""

    digest: str
    """40 hex digits."""
    algorithm: str = "sha1"

    @property
    def path(self) -> str:
        """Below the repository's URL, without the suffix that tells what it is."""
        ending = "" if self.algorithm == "sha1" else f"-{self.algorithm}"
        return f"data/{self.digest[:2]}/{self.digest[2:]}{ending}"

    def hasher(self) -> Any:
        """An object with `update` and `hexdigest`. Raises `KitError` POLICY_REFUSES."""
        try:
            return _HASHERS[self.algorithm]()
        except ValueError:
            raise refused(self.algorithm) from None


def refused(algorithm: str) -> KitError:
    """What to raise where the system does not let a hash be used."""
    return KitError(Exit.POLICY_REFUSES, f"the crypto policy of this machine refuses {algorithm.upper()}")


def parse_hash(text: str, what: str) -> ObjectHash:
    """A hash as manifests and catalogs write it. Raises `KitError` SIGNATURE_BAD."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise KitError(Exit.SIGNATURE_BAD, f"{what} names no object: '{text[:60]}'")
    return ObjectHash(found[1], found[2] or "sha1")
