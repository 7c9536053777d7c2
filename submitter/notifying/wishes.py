"""The part of the configuration that says who hears of jobs that ended."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_REFERENCE = r"(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)"
Secret = Annotated[str, msgspec.Meta(pattern=rf"^{_REFERENCE}\Z")]
"""Where a secret is, never the secret: `env:NAME`, or `file:PATH` that only its owner can read."""
Address = Annotated[str, msgspec.Meta(pattern=r"^[^\s@<>,;\"]+@[^\s@<>,;\"]+\Z")]
Host = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.:-]+\Z")]
URL = r"https://\S+|http://(127\.0\.0\.1|localhost)(:\d+)?(/\S*)?"
"""TLS everywhere but on this machine itself."""
SecretUrl = Annotated[str, msgspec.Meta(pattern=rf"^({URL}|{_REFERENCE})\Z")]
"""Who knows the URL of a webhook can use it, so it may stand elsewhere, as any secret."""


class Mail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[notify.mail]`: a server that takes mail for us."""

    server: Host
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    """Empty = 587, with `tls` 465, with `none` 25."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """`none` only to this machine itself."""
    user: str | None = None
    password: Secret | None = None
    sender: Address | None = None
    """Empty = the first of `to`."""
    to: Annotated[tuple[Address, ...], msgspec.Meta(min_length=1)]

    def __post_init__(self) -> None:
        if self.security == "none" and self.server not in _LOOPBACK:
            raise ValueError("security 'none' is only for this machine itself")
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password belong together")

    @property
    def port_number(self) -> int:
        """The one in force."""
        return self.port or _PORTS[self.security]


class Webhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[notify.webhook]`: an address that takes JSON."""

    url: SecretUrl
    token: Secret | None = None
    """Sent as a bearer token."""


class NotifySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[notify]`."""

    desktop: bool = True
    """Also on the desktop, where there is one."""
    mail: Mail | None = None
    webhook: Webhook | None = None
