"""As for `generic`."""

from pilot.user.generic.container import *  # noqa: F403
