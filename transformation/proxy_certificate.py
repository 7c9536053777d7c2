"""X509 proxies: until when they are good, and whose they are (RFC 3820)."""

from __future__ import annotations

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier

_PROXY_INFORMATION = ObjectIdentifier("1.3.6.1.5.5.7.1.14")
_OLD_PROXIES = frozenset({"proxy", "limited proxy"})
"""Common names by which proxies were known before RFC 3820."""


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """What a proxy says of itself."""

    expires_s: float
    """Seconds since the epoch at which the first certificate of its chain ends."""
    begins_s: float
    """When the last of them begins."""
    identity: str
    """DN of the person, as `/DC=org/CN=Tony Johnson`."""
    common_name: str


def read_proxy(pem: bytes) -> Proxy | str:
    """The proxy in a file, or one sentence that says why there is none."""
    try:
        chain = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        return f"it holds no certificate ({error})"
    expires_s = min(certificate.not_valid_after_utc.timestamp() for certificate in chain)
    own = [certificate for certificate in chain if not _is_proxy(certificate)]
    # A file without the person's own certificate still names them: as the issuer of the first proxy.
    name = own[0].subject if own else chain[-1].issuer
    common_names = [_text(one.value) for one in name.get_attributes_for_oid(NameOID.COMMON_NAME)]
    parts = (f"/{one.rfc4514_attribute_name}={_text(one.value)}" for one in name)
    return Proxy(
        expires_s=expires_s,
        begins_s=max(certificate.not_valid_before_utc.timestamp() for certificate in chain),
        identity="".join(parts),
        common_name=common_names[-1] if common_names else "",
    )


def _is_proxy(certificate: x509.Certificate) -> bool:
    if any(extension.oid == _PROXY_INFORMATION for extension in certificate.extensions):
        return True
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return bool(names) and _text(names[-1].value) in _OLD_PROXIES


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
