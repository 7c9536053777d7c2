"""`.cvmfspublished` and `.cvmfswhitelist`: text, two dashes, the hash of that text, and a signature over the hash."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Dict, NamedTuple, Optional, Tuple

from cvmfs_publish.exits import Exit, KitError
from cvmfs_publish.repository.hashes import ObjectHash, parse_hash

_FINGERPRINT = re.compile(r"((?:[0-9A-F]{2}:){19}[0-9A-F]{2})(?:\s|\Z)")


class Signed(NamedTuple):
    """The parts of a signed file whose hash was found right; the signature is still to be checked."""

    text: str
    hash_text: bytes
    """What the signature is over: the hash as hex digits."""
    signature: bytes


def split_signed(content: bytes, what: str) -> Signed:
    """Take the file apart and check its hash. Raises `KitError` SIGNATURE_BAD."""
    text, dashes, rest = content.partition(b"--\n")
    hash_line, newline, signature = rest.partition(b"\n")
    if not (dashes and newline and signature):
        raise KitError(Exit.SIGNATURE_BAD, f"{what} is cut short or no signed file")
    named = parse_hash(hash_line.decode("ascii", errors="replace"), what)
    hasher = named.hasher()
    hasher.update(text)
    if hasher.hexdigest() != named.digest:
        raise KitError(Exit.SIGNATURE_BAD, f"{what} was changed: its hash does not fit its text")
    return Signed(text.decode("utf-8", errors="replace"), hash_line, signature)


class Manifest(NamedTuple):
    """What `.cvmfspublished` says."""

    name: str
    root: ObjectHash
    root_size_bytes: int
    revision: int
    certificate: ObjectHash
    history: Optional[ObjectHash]
    """Of the tags; None if there are none."""
    metainfo: Optional[ObjectHash]
    """Of what the repository's admins say of it; None if they do not."""
    published: datetime
    ttl_s: int


def parse_manifest(text: str, what: str) -> Manifest:
    """From the signed text. Raises `KitError` SIGNATURE_BAD."""
    values: Dict[str, str] = {line[:1]: line[1:] for line in text.splitlines() if line}
    try:
        return Manifest(
            name=values["N"],
            root=parse_hash(values["C"], what),
            root_size_bytes=int(values.get("B", 0)),
            revision=int(values["S"]),
            certificate=parse_hash(values["X"], what),
            history=parse_hash(values["H"], what) if "H" in values else None,
            metainfo=parse_hash(values["M"], what) if "M" in values else None,
            published=datetime.fromtimestamp(int(values.get("T", 0)), timezone.utc),
            ttl_s=int(values.get("D", 0)),
        )
    except (KeyError, ValueError, OverflowError) as error:
        raise KitError(Exit.SIGNATURE_BAD, f"{what} lacks a field or has a wrong one ({error})") from None


class Whitelist(NamedTuple):
    """Which certificates may sign the repository, and until when."""

    name: str
    expires: datetime
    fingerprints: Tuple[str, ...]
    """sha1 of certificates, `AA:BB:...`."""

    def days_left(self, now: datetime) -> float:
        """Negative once it has expired."""
        return (self.expires - now).total_seconds() / 86_400


def _time(digits: str) -> datetime:
    """Of `YYYYMMDDhhmmss`, in UTC; raises ValueError."""
    if not (len(digits) == 14 and digits.isascii() and digits.isdigit()):
        raise ValueError(digits)
    year, rest = int(digits[:4]), [int(digits[at : at + 2]) for at in range(4, 14, 2)]
    return datetime(year, rest[0], rest[1], rest[2], rest[3], rest[4], tzinfo=timezone.utc)


def parse_whitelist(text: str, what: str) -> Whitelist:
    """From the signed text. Raises `KitError` SIGNATURE_BAD."""
    lines = text.splitlines()
    try:
        expiry = next(line[1:] for line in lines if line.startswith("E"))
        expires = _time(expiry)
        name = next(line[1:] for line in lines if line.startswith("N"))
    except (StopIteration, ValueError):
        raise KitError(Exit.SIGNATURE_BAD, f"{what} has no name or no date of expiry") from None
    found = (_FINGERPRINT.match(line) for line in lines)
    return Whitelist(name, expires, tuple(one[1] for one in found if one))
