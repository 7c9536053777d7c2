"""Whether this machine's clock is right: certificates and tokens are believed or not by it.

A server that the site names is asked for its time, over TLS; without one the kernel is asked whether NTP keeps its
clock (adjtimex(2)).
"""

from __future__ import annotations

import ctypes
import time

from transformation.doctor.reading import Case, Reading, bad, ok, warn

_SLIGHT_S, _GROSS_S = 5.0, 300.0
"""What is worth a look, and what certificates, tokens and Kerberos do not forgive."""
_TIMEX_BYTES = 208
_STATUS_OFFSET = 40 if ctypes.sizeof(ctypes.c_long) == 8 else 20
_NOT_SYNCHRONISED = 0x0040
"""`struct timex` and STA_UNSYNC, linux/timex.h."""
_TIMEOUT_S = 5.0


def look(case: Case) -> Reading:
    """Compare with the site's server if there is one, else ask the kernel."""
    for url in () if case.short else servers(case):
        try:
            off_s = _offset_s(url)
        except (OSError, ValueError) as error:
            case.note(f"{url}: {error}")
            continue
        found = f"{abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} {url}"
        if abs(off_s) > _GROSS_S:
            return bad(found, "set the clock, and keep it with NTP (chronyd)", offset_s=round(off_s, 1))
        if abs(off_s) > _SLIGHT_S:
            return warn(found, "keep the clock with NTP (chronyd)", offset_s=round(off_s, 1))
        return ok(found, offset_s=round(off_s, 1))
    synchronised = kept_by_ntp()
    if synchronised is None:
        return warn("nobody here can say whether the clock is right", "run NTP (chronyd)")
    if not synchronised:
        return warn("the kernel does not know its clock to be kept by NTP", "run NTP (chronyd)", synchronised=False)
    return ok("kept by NTP, says the kernel", synchronised=True)


def servers(case: Case) -> list[str]:
    """HTTP servers of the site, in whose word for the time we trust."""
    rucio = case.site.catalog.rucio if case.site.catalog.kind == "rucio" else None
    doors = [one.url for one in case.site.storage.endpoints if one.url.startswith(("https:", "davs:"))]
    urls = [*([f"{rucio.host.rstrip('/')}/ping"] if rucio else []), *(f"https{one[one.index(':') :]}" for one in doors)]
    return [url for url in urls if "set-by-site" not in url]


def kept_by_ntp() -> bool | None:
    """What the kernel says; None if it does not."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        if ctypes.CDLL(None).adjtimex(timex) < 0:
            return None
    except (OSError, AttributeError):
        return None
    status = ctypes.c_int.from_buffer(timex, _STATUS_OFFSET).value
    return not status & _NOT_SYNCHRONISED


def _offset_s(url: str) -> float:
    """Our clock minus the server's, good to a second. Raises `OSError`, `ValueError`."""
    import urllib.request
    from email.utils import parsedate_to_datetime
    from http.client import HTTPException
    from urllib.error import HTTPError

    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - http and https only, from the site file
    sent_s = time.time()
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            date = answer.headers["Date"]
    except HTTPError as error:  # an answer all the same
        date = error.headers["Date"]
        error.close()
    except HTTPException as error:
        raise ValueError(f"no HTTP: {error}") from None
    if not date:
        raise ValueError("the answer has no date")
    return (sent_s + time.time()) / 2 - parsedate_to_datetime(date).timestamp() - 0.5
