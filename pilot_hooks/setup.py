"""Where the transformation and queue and storage data come from: as for `generic`."""

from pilot.user.generic.setup import *  # noqa: F403
