"""Where the process begins: signals are noted from the first moment on, and only then the rest is loaded.

Loading takes a fifth of a second, in which a pilot may already want the job to end: that is no reason to leave without
a report. What imports this module must load nothing else.
"""

from __future__ import annotations

import signal

_NOTED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> int:
    """`lsst-trf`; the exit code."""
    early: list[int] = []
    for one in _NOTED:
        if signal.getsignal(one) is not signal.SIG_IGN:  # `nohup` has said what it wants
            signal.signal(one, lambda number, _frame: early.append(number))
    signal.signal(signal.SIGUSR1, lambda _number, _frame: None)
    from transformation.cli import main as run

    return run(early=early)
