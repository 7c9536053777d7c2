"""`python -m transformation` is `lsst-trf`."""

import sys

from transformation.cli import main

sys.exit(main())
