"""No other monitoring: as for `generic`."""

from pilot.user.generic.monitoring import *  # noqa: F403
