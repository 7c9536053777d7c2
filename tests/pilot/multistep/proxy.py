"""As for `generic`."""

from pilot.user.generic.proxy import *  # noqa: F403
