"""Figures of the collapse paper in small: printed values, and simulations that agree with the formula."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from synthsift.seeds import Seeds
from synthsift.studies import reproduce_collapse, reproduce_collapse_tables
from synthsift.studies.reproduction import Rebuilt

SEEDS = Seeds(5)


def check_printed(rebuilt: Rebuilt, share: float, digits: int = 5) -> None:
    """Every printed value within its rounding: `digits` behind the point, or a share of a value printed longer."""
    for check in rebuilt.checks:
        assert check.ours == pytest.approx(check.printed, rel=share, abs=0.6 * 10**-digits), check.what
    lengths = {len(column) for column in rebuilt.columns.values()}
    assert len(lengths) == 1
    assert all(math.isfinite(c.ours) for c in rebuilt.checks)


def test_the_floor_has_its_printed_values_and_simulations_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    floor = reproduce_collapse.rebuild_floor(SEEDS, quick=True)
    check_printed(floor, 1e-6)
    assert len(floor.checks) == 30 and len(floor.simulated) == 9 and floor.disagreeing == []
    rows = [dict(zip(floor.columns, values, strict=True)) for values in zip(*floor.columns.values(), strict=True)]
    ends = {row["curve"]: row["error"] for row in rows if row["fraction"] == 0.5 and row["rows"] == pytest.approx(1e8)}
    # p_2^2 c^2, and what the paper's printed c^2 = (1/d) tr(Sigma Delta) would make of it
    assert ends["predicted"] == pytest.approx(0.25, rel=1e-4) and ends["as printed"] == pytest.approx(0.0025, rel=1e-3)


def test_the_power_law_has_its_printed_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproduce_collapse, "simulate_error", _no_simulation)
    power = reproduce_collapse.rebuild_power(SEEDS, quick=True)
    check_printed(power, 1e-6)


def test_double_descent_has_its_printed_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproduce_collapse, "simulate_error", _no_simulation)
    descent = reproduce_collapse.rebuild_descent(SEEDS, quick=True)
    check_printed(descent, 1e-6, digits=4)
    assert len(descent.checks) == 45


def test_best_widths_in_the_tail_move_down_with_the_mismatch() -> None:
    tails = reproduce_collapse_tables.rebuild_tails(SEEDS, quick=True)
    check_printed(tails, 1e-6, digits=4)
    best = []
    for mismatch in (0.0, 0.1, 0.5):
        part = [c for c in tails.checks if c.what.startswith(f"c2 = {mismatch:g},")]
        best.append(min(part, key=lambda c: c.ours).what.rpartition(" ")[2])
    assert best == ["1000", "300", "300"]


def test_remedies_have_their_printed_errors() -> None:
    remedies = reproduce_collapse_tables.rebuild_remedies()
    check_printed(remedies, 1e-6)
    assert len(remedies.checks) == 25


def test_generations_have_their_printed_errors_and_simulations_agree() -> None:
    generations = reproduce_collapse_tables.rebuild_generations(SEEDS, quick=True)
    check_printed(generations, 1e-6)
    assert len(generations.simulated) == 8 and generations.disagreeing == []


def _no_simulation(*arguments: object, **options: object) -> SimpleNamespace:
    """Stand in where only the formula is looked at."""
    return SimpleNamespace(mean=1.0, terms={"total_se": 1.0})
