"""`python -m transformation.predict_fit REPORT...`: rates of a cost model from what finished units really took.

Reads job reports, takes the units that were made at their first attempt, and finds the rates (none below zero) with the
smallest relative errors. Prints them as they stand in `cost_models.py`, with the errors that remain.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ROUNDS = 30
_SMALL_ERROR = 0.01
_MOST_SWEEPS = 5_000


def read_units(paths: Sequence[Path]) -> tuple[list[dict[str, float]], list[float], list[float]]:
    """Terms, measured and predicted CPU-seconds (on the reference core) of all units that can teach something."""
    terms, measured_s, predicted_s = [], [], []
    for path in paths:
        report: dict[str, Any] = json.loads(path.read_text())
        speed = (report["predicted"] or {}).get("core_speed", 1.0)
        for unit in report["units"]:
            whole = unit["state"] == "committed" and unit["made_in_this_run"] and len(unit["attempts"]) == 1
            if whole and unit["predicted"] and unit["cpu_s"] > 0:
                terms.append(unit["predicted"]["terms"])
                measured_s.append(unit["cpu_s"] * speed)
                predicted_s.append(unit["predicted"]["cpu_s"][1] * speed)
    return terms, measured_s, predicted_s


def fit(terms: Sequence[dict[str, float]], measured_s: Sequence[float]) -> dict[str, float]:
    """The rates without negative ones whose sums have the smallest relative errors, each error counting once.

    Least squares, again and again with less weight for what errs much: a unit that a busy machine slowed down, or an
    object that fell beside the chip, must not bend the rates of all.
    """
    names = sorted({name for one in terms for name in one})
    counted = np.array([[one.get(name, 0.0) for name in names] for one in terms])
    relative: Floats = counted / np.array(measured_s)[:, None]
    weights = np.ones(len(measured_s))
    rates = np.zeros(len(names))
    for _ in range(_ROUNDS):
        rates = _least_squares(relative * weights[:, None], weights)
        weights = np.sqrt(1.0 / np.maximum(np.abs(relative @ rates - 1.0), _SMALL_ERROR))
    return {name: float(rate) for name, rate in zip(names, rates, strict=True) if rate > 0}


def _least_squares(columns: Floats, wanted: Floats) -> Floats:
    """Coefficients of the columns, none below zero: coordinate descent."""
    scale = np.linalg.norm(columns, axis=0)
    columns = columns / scale
    found = np.zeros(columns.shape[1])
    residual = wanted.copy()
    for _ in range(_MOST_SWEEPS):
        before = found.copy()
        for at, column in enumerate(columns.T):
            better = max(0.0, found[at] + float(column @ residual))
            residual -= (better - found[at]) * column
            found[at] = better
        if np.abs(found - before).max() < 1e-9:
            break
    return np.asarray(found / scale)


def errors(predicted_s: Sequence[float], measured_s: Sequence[float]) -> str:
    """Median and largest relative error."""
    relative = np.abs(np.array(predicted_s) / np.array(measured_s) - 1.0)
    return f"median error {np.median(relative):.1%}, largest {relative.max():.1%}"


def main(words: Sequence[str]) -> int:
    """Fit the reports of these names; the exit code."""
    terms, measured_s, predicted_s = read_units([Path(word) for word in words])
    if not terms:
        print("no finished unit with a prediction in these reports", file=sys.stderr)
        return 10
    rates = fit(terms, measured_s)
    refitted_s = [sum(rates.get(name, 0.0) * value for name, value in one.items()) for one in terms]
    ratio = float(np.median(np.array(predicted_s) / np.array(measured_s)))
    print(f"{len(terms)} units: {errors(predicted_s, measured_s)}; median of predicted over measured {ratio:.2f}")
    print(f"with these rates: {errors(refitted_s, measured_s)}")
    for name, rate in rates.items():
        print(f"        {name}={rate:.3g},")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
