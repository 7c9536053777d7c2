"""`python3 pilot_hooks COMMAND`, wherever the folder is and whatever it is called there."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent

if __name__ == "__main__":
    # Run as a folder, Python knows the modules in it but not the package that they belong to.
    sys.path[0] = str(_FOLDER.parent)
    sys.exit(import_module(f"{_FOLDER.name}.core.commands").main())
