"""One record for every try to send an image: in the journal at once, in the report with its unit."""

from __future__ import annotations

import threading
import time
from collections import Counter

from transformation.journal import Journal
from transformation.layout import public_url
from transformation.ledger import Ledger
from transformation.model.report import TransferReport
from transformation.model.work import Unit
from transformation.outcomes import Transfer
from transformation.ports import Retry

RETRIED = "retried"
"""Outcome of a try that failed for a passing reason and was repeated at once."""


class TransferLog:
    """Hears of transfers, and of calls that the storage's coat repeats. Safe for threads."""

    def __init__(self, ledger: Ledger, journal: Journal) -> None:
        self._ledger = ledger
        self._journal = journal
        self._lock = threading.Lock()
        self._retries: dict[str, list[tuple[float, Retry]]] = {}
        """Of transfers that are not over, by URL, with the time when they were told."""
        self._numbers: Counter[tuple[str, str]] = Counter()

    def retried(self, retry: Retry) -> None:
        """A call failed for a passing reason and is about to be repeated."""
        if retry.operation == "put":
            with self._lock:
                self._retries.setdefault(retry.url, []).append((time.monotonic(), retry))
        self._journal.write(
            "storage_retry",
            operation=retry.operation,
            url=public_url(retry.url),
            tried=retry.tried,
            wait_s=retry.wait_s,
            problem=retry.problem,
        )

    def sent(self, unit: Unit, transfer: Transfer) -> None:
        """The last try of one image is over, well or not."""
        now = time.monotonic()
        begun = now - transfer.wall_s
        with self._lock:
            retries = self._retries.pop(transfer.url, [])
        for told, retry in retries:
            self._note(unit, transfer, RETRIED, retry.problem, told - begun)
            begun = told + retry.wait_s
        outcome = transfer.failed.failure.name if transfer.failed else "good"
        self._note(unit, transfer, outcome, transfer.problem, now - begun)

    def _note(self, unit: Unit, transfer: Transfer, outcome: str, detail: str, wall_s: float) -> None:
        with self._lock:
            self._numbers[unit.id, transfer.name] += 1
            number = self._numbers[unit.id, transfer.name]
        wall_s = round(max(0.0, wall_s), 3)
        rate = transfer.size_bytes / wall_s if outcome == "good" and wall_s > 0 else 0.0
        report = TransferReport(
            name=transfer.name,
            url=public_url(transfer.url),
            number=number,
            outcome=outcome,
            detail=detail,
            size=transfer.size_bytes,
            wall_s=wall_s,
            bytes_per_s=round(rate, 1),
        )
        self._ledger.transferred(unit, report)
        self._journal.write(
            "transfer",
            url=public_url(transfer.url),
            number=number,
            size_bytes=transfer.size_bytes,
            wall_s=wall_s,
            outcome=outcome,
            problem=detail,
        )
