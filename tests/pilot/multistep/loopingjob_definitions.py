"""As for `generic`."""

from pilot.user.generic.loopingjob_definitions import *  # noqa: F403
