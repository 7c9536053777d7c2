"""Proxies: as for `generic`."""

from pilot.user.generic.proxy import *  # noqa: F403
