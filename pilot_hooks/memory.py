"""The job guards its own memory; the pilot need not: as for `generic`."""

from pilot.user.generic.memory import *  # noqa: F403
