"""`python3 -m cvmfs_publish`, or `python3 cvmfs_publish` on a plain copy of the folder, is `iod-publish`."""

import sys
from pathlib import Path

if not __package__:  # the folder was named, so Python put it on the path and not the one above it
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from cvmfs_publish.cli import main

sys.exit(main())
