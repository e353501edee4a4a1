"""Gaussian loops: moments against acceptance numbers and against fresh simulations; first-order laws."""

from __future__ import annotations

import math

import numpy as np
import pytest

from synthsift.drift.laws import drift_law
from synthsift.drift.loops import (
    GaussianLoop,
    first_order_drift,
    limit_gaussian,
    median_log_drift,
    predict_gaussian,
    simulate_gaussian,
)
from synthsift.records import DataError

FRESH = GaussianLoop(50, 0.2)
RANDOM = GaussianLoop(50, 0.2, random_composition=True)
UNBIASED = GaussianLoop(50, 0.2, ddof=1)
FIXED = GaussianLoop(50, 0.2, kind="fixed_real")
ACCUMULATE = GaussianLoop(50, kind="accumulate")


def test_gaussian_loop_acceptance() -> None:
    def at_ten(loop: GaussianLoop) -> tuple[float, float]:
        got = predict_gaussian(loop, 10)
        return float(got.mean[10]), float(got.terms["mean_error"][10])

    # The tables give seven decimals (six for accumulate's limit).
    assert at_ten(FRESH) == pytest.approx((0.9472846, 0.0527154), abs=5.1e-8)
    assert at_ten(RANDOM) == pytest.approx((0.9468573, 0.0531427), abs=5.1e-8)
    assert limit_gaussian(FRESH) == pytest.approx((0.9468085, 0.0531915), abs=5.1e-8)
    assert limit_gaussian(UNBIASED) == pytest.approx((1.0470588, 0.0576471), abs=5.1e-8)
    assert limit_gaussian(FIXED) == pytest.approx((0.8617021, 0.1382979), abs=5.1e-8)
    assert at_ten(ACCUMULATE)[0] == pytest.approx(0.9692676, abs=5.1e-8)
    assert limit_gaussian(ACCUMULATE)[0] == pytest.approx(0.967424, abs=5.1e-7)


@pytest.mark.parametrize("loop", [FRESH, RANDOM, FIXED, ACCUMULATE, GaussianLoop(50)])
def test_maximum_likelihood_keeps_the_second_moment(loop: GaussianLoop) -> None:
    got = predict_gaussian(loop, 30)
    np.testing.assert_allclose(got.mean + got.terms["mean_error"], 1.0, rtol=1e-13)


def test_recursions_equal_their_closed_forms() -> None:
    t, n, a = np.arange(41), 50, 0.2
    for loop, lam in ((FRESH, 0.8 * (0.8 - 1 / n)), (RANDOM, 0.64 * (1 - 1 / n))):
        m_inf = (1 / n) / (1 - lam)
        np.testing.assert_allclose(predict_gaussian(loop, 40).terms["mean_error"], m_inf * (1 - lam**t), rtol=1e-12)
    np.testing.assert_allclose(predict_gaussian(GaussianLoop(n), 40).mean, (1 - 1 / n) ** t, rtol=1e-12)
    product = np.cumprod(np.concatenate(([1.0], 1 - 1 / (n * t[1:] ** 2.0))))
    np.testing.assert_allclose(predict_gaussian(ACCUMULATE, 40).mean, product, rtol=1e-12)
    m = 0.0
    for step in range(10):
        c = (1 - (1 - a) ** step) / (a * n)
        m = a / n + 2 * a * (1 - a) * c + (1 - a) ** 2 * m + (1 - a) * (1 - m) / n
    assert predict_gaussian(FIXED, 10).terms["mean_error"][10] == pytest.approx(m, rel=1e-12)
    scaled = predict_gaussian(GaussianLoop(50, 0.2, variance=3.0), 10)
    np.testing.assert_allclose(scaled.mean, 3 * predict_gaussian(FRESH, 10).mean, rtol=1e-12)


@pytest.mark.parametrize(
    ("loop", "runs", "dim"),
    [
        (GaussianLoop(50), 1500, 1),
        (FRESH, 1500, 1),
        (GaussianLoop(50, 0.5), 1500, 1),
        (FRESH, 600, 2),
        (UNBIASED, 1500, 1),
        (RANDOM, 1500, 1),
        (ACCUMULATE, 1500, 1),
        (FIXED, 3000, 1),
    ],
)
def test_simulated_loops_meet_their_moments(loop: GaussianLoop, runs: int, dim: int) -> None:
    got, expected = simulate_gaussian(loop, 20, num_runs=runs, seeds=11, dim=dim), predict_gaussian(loop, 20)
    for t in (1, 5, 20):
        gap, error = got.mean[t] - expected.mean[t], got.terms["standard_error"][t]
        assert abs(gap) <= 3.5 * error, f"round {t}: {got.mean[t]:.4f} +- {error:.4f}, predicted {expected.mean[t]:.4f}"
        m, m_exact = got.terms["mean_error"][t], expected.terms["mean_error"][t]
        # A squared Gaussian mean has relative spread sqrt 2 per coordinate and run.
        assert abs(m - m_exact) <= 4 * m_exact * math.sqrt(2 / (runs * dim))


def test_unbiased_replacement_still_collapses_in_the_median() -> None:
    loop = GaussianLoop(20, ddof=1)
    np.testing.assert_allclose(predict_gaussian(loop, 30).mean, 1.0, rtol=1e-12)
    assert median_log_drift(20) == pytest.approx(-1 / 19, rel=0.05)
    got = simulate_gaussian(loop, 30, num_runs=4000, seeds=3)
    # log V has variance of about 30 * 2/19; a median of 4000 runs has 1.25 times the error of a mean.
    error = 1.25 * math.sqrt(30 * 2 / 19 / 4000)
    assert abs(math.log(got.terms["median"][30]) - 30 * median_log_drift(20)) <= 4 * error
    assert got.terms["median"][30] == pytest.approx(0.206, rel=0.12)


def test_first_order_acceptance() -> None:
    def all_five(k: int) -> list[float]:
        return [
            first_order_drift("replace", k, 500, num_rounds=20),
            first_order_drift("fresh", k, 500, alpha=0.1),
            first_order_drift("fresh", k, 500, alpha=0.5),
            first_order_drift("fixed_real", k, 500, alpha=0.2),
        ]

    np.testing.assert_allclose(all_five(2), [0.080, 0.02105, 0.00533, 0.02889], atol=5.1e-6)
    np.testing.assert_allclose(all_five(5), [0.200, 0.05262, 0.01333, 0.0722], atol=3.5e-5)
    assert first_order_drift("accumulate", 2, 500, num_rounds=10**5) == pytest.approx(
        math.pi**2 / 6 * 2 / 500, rel=1e-4
    )
    alone, mixed = (first_order_drift(kind, 2, 500, alpha=0.2) for kind in ("fresh_alone", "fresh"))
    assert alone / mixed == pytest.approx(2 - 0.2)
    assert first_order_drift("fresh", 2, 500, alpha=0.2) == pytest.approx(drift_law(0.2, np.full(300, 2 / 500))[-1])


@pytest.mark.parametrize(
    ("loop", "rounds", "expected"),
    [
        (GaussianLoop(500, 0.5), 12, first_order_drift("fresh", 2, 500, alpha=0.5)),
        (GaussianLoop(500, 0.2, kind="fixed_real"), 25, first_order_drift("fixed_real", 2, 500, alpha=0.2)),
        (GaussianLoop(500), 12, first_order_drift("replace", 2, 500, num_rounds=12)),
        (GaussianLoop(500, kind="accumulate"), 12, first_order_drift("accumulate", 2, 500, num_rounds=12)),
    ],
)
def test_first_order_law_against_simulated_divergence(loop: GaussianLoop, rounds: int, expected: float) -> None:
    got = simulate_gaussian(loop, rounds, num_runs=500, seeds=5)
    value, error = got.terms["two_kl"][-1], got.terms["two_kl_error"][-1]
    # 5 % of the value covers what is beyond first order at these sizes.
    assert abs(value - expected) <= 3.5 * error + 0.05 * expected


def test_same_seed_same_numbers() -> None:
    first, again, other = (simulate_gaussian(FRESH, 3, num_runs=20, seeds=s).mean for s in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"num_rows": 50, "alpha": 0.123}, "whole number"),
        ({"num_rows": 1}, "at least 2 rows"),
        ({"num_rows": 50, "alpha": 1.2}, "fresh fraction"),
        ({"num_rows": 50, "alpha": math.nan}, "fresh fraction"),
        ({"num_rows": 50, "kind": "fixed_real"}, "alpha above 0"),
        ({"num_rows": 50, "kind": "accumulate", "ddof": 1}, "ddof = 0"),
    ],
)
def test_impossible_loops_are_refused(settings: dict, match: str) -> None:
    with pytest.raises(DataError, match=match):
        GaussianLoop(**settings)


def test_replacement_has_no_steady_state() -> None:
    with pytest.raises(DataError, match="no steady state"):
        limit_gaussian(GaussianLoop(50))
    with pytest.raises(DataError, match="no steady state"):
        first_order_drift("fresh", 2, 500)
    with pytest.raises(DataError, match="no loop"):
        first_order_drift("other", 2, 500, alpha=0.5)  # type: ignore[arg-type]
