"""As for `generic`."""

from pilot.user.generic.memory import *  # noqa: F403
