"""`python -m cvmfs_publish` is `iod-publish`."""

import sys

from cvmfs_publish.cli import main

sys.exit(main())
