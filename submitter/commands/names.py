"""Names of jobs on the command line."""

from __future__ import annotations

import argparse


def complete_names(action: argparse.Action) -> argparse.Action:
    """Let the shell offer the names of jobs for this argument."""
    action.completer = _names  # type: ignore[attr-defined]  # where argcomplete looks for it
    return action


def _names(prefix: str, **_rest: object) -> list[str]:
    from submitter.client import Client
    from submitter.troubles import IodError

    try:
        with Client() as client:
            return [name for name in client.store.names() if name.startswith(prefix)]
    except IodError:
        return []
