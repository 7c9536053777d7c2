"""All processes of a session together: each simulator process leads one, and whatever it starts belongs to it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection
from contextlib import suppress

_GROUP_GONE_S = 5.0
"""How long to wait for a killed session to disappear before going on without it."""


def end_session(session: int) -> None:
    """Kill whatever is left of a session whose leader is over, and wait until it is gone."""
    end = time.monotonic() + _GROUP_GONE_S
    while (members := _session_members(session)) and time.monotonic() < end:
        for member in members:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(member, signal.SIGKILL)
        time.sleep(0.01)


def signal_group(group: int, number: int) -> None:
    """Send a signal to a process group; no harm if it is gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _session_members(session: int) -> list[int]:
    """Living processes of a session, also those that left its process group; zombies do not count."""
    import psutil  # not needed before the first process ends

    members = []
    for pid in psutil.pids():
        with suppress(psutil.Error, ProcessLookupError, PermissionError):
            if os.getsid(pid) == session and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                members.append(pid)
    return members


def cpu_of_sessions(sessions: Collection[int]) -> dict[int, float]:
    """CPU seconds by session: of its living members, and of the children that they have waited for."""
    import psutil  # not needed before the first look

    used_s: dict[int, float] = {}
    for pid in psutil.pids() if sessions else ():
        with suppress(psutil.Error, ProcessLookupError, PermissionError):
            session = os.getsid(pid)
            if session in sessions:
                times = psutil.Process(pid).cpu_times()
                own_s = times.user + times.system + times.children_user + times.children_system
                used_s[session] = used_s.get(session, 0.0) + own_s
    return used_s
