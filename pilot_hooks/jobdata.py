"""Job parameters are passed on as they are: as for `generic`."""

from pilot.user.generic.jobdata import *  # noqa: F403
