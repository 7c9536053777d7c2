"""No container is put around the payload: as for `generic`."""

from pilot.user.generic.container import *  # noqa: F403
