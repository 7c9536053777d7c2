"""As for `generic`."""

from pilot.user.generic.monitoring import *  # noqa: F403
