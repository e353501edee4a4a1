"""Five ways to build a training set: the formulas against the loops they stand for, and the outlook that shows them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from synthsift.drift.forecast import what_if
from synthsift.drift.laws import drift_law
from synthsift.drift.outlook import DATA_FACTORS, look_ahead
from synthsift.drift.regimes import predict_regimes
from synthsift.drift.traces import DriftTrace
from synthsift.records import DataError


def simulate(
    kind: str, alpha: float, J: float, kappa: float, rounds: int, noise: float, rng: np.random.Generator
) -> float:
    """|delta_t|^2 of one loop of mean features in 12 directions."""
    width = 12
    bias = rng.standard_normal(width)
    bias *= math.sqrt(kappa * J) / np.linalg.norm(bias)
    learned = math.sqrt(noise / alpha / width) * rng.standard_normal(width)
    deltas = [np.zeros(width)]
    for _ in range(rounds):
        error = bias + math.sqrt((1 - kappa) * J / width) * rng.standard_normal(width)
        mix = {
            "replace": deltas[-1],
            "fresh": (1 - alpha) * deltas[-1],
            "fixed real": (1 - alpha) * deltas[-1] + alpha * learned,
            "accumulate": np.mean(deltas, axis=0),
            "fresh, kept": (1 - alpha) * np.mean(deltas, axis=0),
        }[kind]
        deltas.append(mix + error)
    return float(deltas[-1] @ deltas[-1])


@pytest.mark.parametrize("kind", ["replace", "fresh", "fixed real", "accumulate", "fresh, kept"])
@pytest.mark.parametrize("kappa", [0.0, 0.6])
def test_formula_against_the_loop(kind: str, kappa: float) -> None:
    rng = np.random.default_rng(0)
    runs = [simulate(kind, 0.3, 0.01, kappa, 7, 0.004, rng) for _ in range(1500)]
    law = predict_regimes(0.3, 0.01, kappa, 7, 0.004)[kind][-1]
    assert abs(np.mean(runs) - law) <= 4 * np.std(runs) / math.sqrt(1500)


def test_limits() -> None:
    got = predict_regimes(0.0, 0.02, 0.4, 5, 0.001)
    np.testing.assert_allclose(got["fresh"], got["replace"])
    np.testing.assert_allclose(got["fixed real"], got["replace"])
    np.testing.assert_allclose(got["fresh, kept"], got["accumulate"])
    np.testing.assert_allclose(predict_regimes(1.0, 0.02, 0.4, 5, 0.001)["fresh, kept"], 0.02)
    got = predict_regimes(0.3, 1.0, 1.0, 9, 0.0)["fresh, kept"]  # the weights of the docstring, each by itself
    weights = [1.0, *(0.7 / (j + 1) * np.prod([1 - 0.3 / i for i in range(j + 2, 10)]) for j in range(1, 9))]
    assert got[-1] == pytest.approx(sum(weights) ** 2)
    np.testing.assert_allclose(predict_regimes(1.0, 0.02, 0.4, 5, 0.001)["fresh"], 0.02)
    np.testing.assert_allclose(predict_regimes(0.3, 0.02, 0.4, 5, 0.0)["fresh"], drift_law(0.3, [0.02] * 5, 0.4))
    for bad in ((1.2, 0.1, 0.0, 3, 0.1), (0.3, -0.1, 0.0, 3, 0.1), (0.3, 0.1, 2.0, 3, 0.1), (0.3, 0.1, 0.0, 0, 0.1)):
        with pytest.raises(DataError):
            predict_regimes(*bad)


def make_trace(alpha: float) -> DriftTrace:
    rng, delta = np.random.default_rng(1), [np.zeros(24)]
    for _ in range(5):
        delta.append((1 - alpha) * delta[-1] + 0.02 * rng.standard_normal(24) + 0.02)
    names = tuple(map(str, range(6)))
    return DriftTrace(names, np.full(5, alpha), np.array(delta), np.full(6, 1e-4), 1e-4, 24)


def test_outlook_is_one_story() -> None:
    trace = make_trace(0.3)
    got = look_ahead(trace, 6, seeds=0, target=0.05)
    assert got.plan is not None and got.plan.target == 0.05 and len(got.forecast.drift) == 6
    assert list(got.exchange) == sorted({0.1, 0.3, 0.5, 0.7, 0.9, 1.0})
    assert got.exchange[0.3][1.0] == pytest.approx(what_if(trace, seeds=0, alpha=0.3))
    for row in got.exchange.values():
        values = [row[f] for f in DATA_FACTORS]
        assert values == sorted(values, reverse=True)
    columns = [[row[1.0] for row in got.exchange.values()]]
    assert columns[0] == sorted(columns[0], reverse=True)
    assert got.fresh_weight is not None and got.pooled_weight == 0.3 and got.fresh_weight > 0.3
    assert look_ahead(trace, 6, seeds=0).plan is None


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_outlook_at_the_ends(alpha: float) -> None:
    got = look_ahead(make_trace(alpha), 5, seeds=0, target=0.05)
    assert got.fresh_weight is None and math.isinf(got.forecast.steady) == (alpha == 0)
    assert 0.0 not in got.exchange
