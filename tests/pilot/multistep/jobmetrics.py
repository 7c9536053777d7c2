"""As for `generic`."""

from pilot.user.generic.jobmetrics import *  # noqa: F403
