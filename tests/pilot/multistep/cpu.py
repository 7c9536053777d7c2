"""As for `generic`."""

from pilot.user.generic.cpu import *  # noqa: F403
