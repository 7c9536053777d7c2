"""`python -m site_configs` is `iod-site`, for a checkout that is not installed."""

import sys

from site_configs.cli import main

sys.exit(main())
