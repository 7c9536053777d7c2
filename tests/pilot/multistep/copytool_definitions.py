"""As for `generic`."""

from pilot.user.generic.copytool_definitions import *  # noqa: F403
