"""As for `generic`."""

from pilot.user.generic.diagnose import *  # noqa: F403
