"""As for `generic`."""

from pilot.user.generic.utilities import *  # noqa: F403
