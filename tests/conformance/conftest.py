"""Real servers, as `tests/servers` has them."""

from tests.servers.conftest import plain_xrootd, start_xrootd, xrootd_software

__all__ = ["plain_xrootd", "start_xrootd", "xrootd_software"]
