"""`python3 pilot_hooks COMMAND`, wherever the folder is and whatever it is called there.

A Python older than 3.9 must still understand this file: that the hooks cannot run there is no reason to stop a job.
"""

import sys
from importlib import import_module
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent

if __name__ == "__main__" and sys.version_info < (3, 9):
    print(f"{sys.executable} is older than Python 3.9: nothing is done")
    sys.exit(sys.argv[1:2] not in (["preprocess"], ["postprocess"]))
if __name__ == "__main__":
    # Run as a folder, Python knows the modules in it but not the package that they belong to.
    sys.path[0] = str(_FOLDER.parent)
    sys.exit(import_module(f"{_FOLDER.name}.core.commands").main())
