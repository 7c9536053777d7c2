"""`iod`: from an instance catalog to images in a folder. `Client` is the same for programs; it prints nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from submitter.client import Client
    from submitter.troubles import IodError, Trouble

__all__ = ["Client", "IodError", "Trouble"]


def __getattr__(name: str) -> object:
    """Import late: `iod --help` has no use for the rest."""
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("submitter.client" if name == "Client" else "submitter.troubles"), name)
