"""The fit finds the rates again that reports were made with."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from transformation import predict_fit

RATES = {"images": 2.0, "million_electrons": 0.5, "thousand_objects": 0.1}


def report(path: Path, *, core_speed: float = 1.0, outlier: bool = False) -> Path:
    """Of 60 units whose CPU time is what the rates say."""
    draw = random.Random(7)
    units: list[dict[str, Any]] = []
    for number in range(60):
        terms = {"images": 1.0, "million_electrons": draw.uniform(0, 20), "thousand_objects": draw.uniform(0, 9)}
        cpu_s = sum(RATES[name] * value for name, value in terms.items()) / core_speed
        predicted = {"cpu_s": [0.0, 2 * cpu_s, 0.0], "terms": terms}
        odd = 1 / 3 if outlier and number % 10 == 0 else 1.0
        unit = {"state": "committed", "made_in_this_run": True, "attempts": [{}], "cpu_s": cpu_s * odd}
        units.append({**unit, "predicted": predicted})
    empty = {"state": "empty", "made_in_this_run": True, "attempts": [], "cpu_s": 0.0, "predicted": None}
    retried = {**units[0], "attempts": [{}, {}], "cpu_s": 1e6}
    path.write_text(json.dumps({"predicted": {"core_speed": core_speed}, "units": [*units, empty, retried]}))
    return path


@pytest.mark.parametrize("outlier", [False, True], ids=["clean", "every tenth takes a third"])
def test_fit_finds_the_rates(tmp_path: Path, outlier: bool) -> None:
    terms, measured_s, _ = predict_fit.read_units([report(tmp_path / "one.json", outlier=outlier)])
    assert len(terms) == 60
    assert predict_fit.fit(terms, measured_s) == pytest.approx(RATES, rel=0.15)


def test_rates_are_those_of_the_reference_core(tmp_path: Path) -> None:
    terms, measured_s, _ = predict_fit.read_units([report(tmp_path / "one.json", core_speed=2.0)])
    assert predict_fit.fit(terms, measured_s) == pytest.approx(RATES, rel=0.01)


def test_no_rate_is_below_zero() -> None:
    terms = [{"images": 1.0, "mpixels": float(number)} for number in range(10)]
    rates = predict_fit.fit(terms, [20.0 - number for number in range(10)])
    assert rates == {"images": pytest.approx(15.0, rel=0.2)}


def test_command_prints_rates_and_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict_fit.main([str(report(tmp_path / "one.json")), str(report(tmp_path / "two.json"))]) == 0
    printed = capsys.readouterr().out
    assert "120 units: median error 100.0%, largest 100.0%; median of predicted over measured 2.00" in printed
    assert "images=2," in printed


def test_reports_that_teach_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.json").write_text(json.dumps({"predicted": None, "units": []}))
    assert predict_fit.main([str(tmp_path / "empty.json")]) == 10
    assert "no finished unit" in capsys.readouterr().err
