"""As for `generic`."""

from pilot.user.generic.jobdata import *  # noqa: F403
