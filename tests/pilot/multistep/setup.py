"""As for `generic`."""

from pilot.user.generic.setup import *  # noqa: F403
