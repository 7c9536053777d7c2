"""`python -m transformation` is `lsst-trf`."""

import sys

from transformation.entry import main

sys.exit(main())
