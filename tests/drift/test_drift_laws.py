"""Laws of many rounds: acceptance numbers, double-loop twins, exact cases and refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from synthsift.drift.guarantees import (
    drift_ceiling,
    kl_ceiling,
    one_round_band,
    one_round_tv,
    pair_floor,
    published_floor,
    sharp_floor,
    steady_bounds,
    steady_tv,
    step_bounds,
    tv_guarantee,
)
from synthsift.drift.laws import (
    alternating_state,
    coherence,
    coherence_penalty,
    contributions,
    drift_law,
    feature_drift,
    memory_rounds,
    next_delta,
    next_drift,
    refresh_factor,
    smallest_fresh_fraction,
    steady_state,
)
from synthsift.drift.weighting import best_fresh_weight, weighted_variance
from synthsift.records import DataError

ALPHAS = (0.1, 0.3, 0.5, 0.9)


def slow_law(alphas: np.ndarray, J: np.ndarray, kappa: float, D0: float) -> np.ndarray:
    """Eq. 10 written out with products over rounds."""
    out = []
    for N in range(1, len(J) + 1):
        decay = [math.prod(1 - alphas[m] for m in range(i + 1, N)) for i in range(N)]
        start = math.prod(1 - a for a in alphas[:N])
        Q = start**2 * D0 + sum(d**2 * j for d, j in zip(decay, J[:N], strict=True))
        S = start * math.sqrt(D0) + sum(d * math.sqrt(j) for d, j in zip(decay, J[:N], strict=True))
        out.append((1 - kappa) * Q + kappa * S**2)
    return np.array(out)


@pytest.mark.parametrize(
    ("kappa", "D0", "expected"),
    [
        (0, 0, [0.04, 0.0596, 0.069204, 0.073910, 0.076216]),
        (1, 0, [0.04, 0.1156, 0.191844, 0.256644, 0.307603]),
        (0, 0.5, [0.285, 0.17965, 0.128028, 0.102734, 0.090340]),
    ],
)
def test_drift_law_acceptance(kappa: float, D0: float, expected: list[float]) -> None:
    # The table has six decimals, so half a unit of the last is the tolerance.
    np.testing.assert_allclose(drift_law(0.3, [0.04] * 5, kappa, D0), expected, atol=5.1e-7)


def test_drift_law_equals_the_sums_it_stands_for() -> None:
    rng = np.random.default_rng(1)
    alphas, J = rng.random(7), rng.random(7)
    for kappa, D0 in [(0.0, 0.0), (0.4, 0.3), (1.0, 2.0)]:
        np.testing.assert_allclose(drift_law(alphas, J, kappa, D0), slow_law(alphas, J, kappa, D0), rtol=1e-12)


@pytest.mark.parametrize(
    ("kappa", "expected"),
    [
        (0.0, (0.052632, 0.019608, 0.013333, 0.010101)),
        (0.5, (0.526316, 0.065359, 0.026667, 0.011223)),
        (1.0, (1.0, 0.111111, 0.04, 0.012346)),
    ],
)
def test_steady_state_acceptance(kappa: float, expected: tuple[float, ...]) -> None:
    np.testing.assert_allclose([steady_state(a, 0.01, kappa) for a in ALPHAS], expected, atol=5.1e-7)
    for a in ALPHAS:
        assert drift_law(a, np.full(2000, 0.01), kappa)[-1] == pytest.approx(steady_state(a, 0.01, kappa), rel=1e-9)


@pytest.mark.parametrize(("kappa", "alpha"), [(0, 0.105573), (0.25, 0.271158), (0.5, 0.347938), (1, 0.447214)])
def test_smallest_fresh_fraction_acceptance(kappa: float, alpha: float) -> None:
    found = smallest_fresh_fraction(0.05, 0.01, kappa)
    assert found.is_possible and found.alpha == pytest.approx(alpha, abs=5.1e-7)
    assert steady_state(found.alpha, 0.01, kappa) == pytest.approx(0.05, rel=1e-9)


def test_a_target_below_one_round_is_named_impossible() -> None:
    found = smallest_fresh_fraction(0.005, 0.01)
    assert not found.is_possible and found.alpha is None and "impossible, because" in found.reason
    assert smallest_fresh_fraction(0.01, 0.01).alpha == 1.0
    assert smallest_fresh_fraction(0.01, 0.0).alpha == 0.0


def test_coherent_random_and_alternating_states_are_ordered() -> None:
    for a in ALPHAS:
        assert steady_state(a, 1, 1) / steady_state(a, 1, 0) == pytest.approx(coherence_penalty(a))
        assert alternating_state(a, 1) <= steady_state(a, 1, 0) <= steady_state(a, 1, 1)
    np.testing.assert_allclose([coherence_penalty(a) for a in (0.1, 0.5, 0.9)], [19, 3, 1.2222222], rtol=1e-6)
    assert memory_rounds(0.1) == pytest.approx(10) and memory_rounds(0) == math.inf


def test_contributions_sum_to_the_discounted_sum() -> None:
    rng = np.random.default_rng(2)
    alphas, J = rng.random(6), rng.random(6)
    parts = contributions(alphas, J)
    np.testing.assert_allclose(parts.sum(axis=1), drift_law(alphas, J), rtol=1e-12)
    assert np.all(np.triu(parts, 1) == 0)


def test_recursion_and_feature_law_on_vectors() -> None:
    # With D = |u|^2, J = |v|^2 and X = u.v the recursion is the square of a sum; exact to rounding.
    rng = np.random.default_rng(3)
    u, v = rng.standard_normal((2, 5))
    got = next_drift(u @ u, u @ v, v @ v, 0.3)
    assert got == pytest.approx(np.sum(next_delta(u, v, 0.3) ** 2), rel=1e-12)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_feature_drift_equals_its_geometric_sums(alpha: float) -> None:
    n = np.arange(1, 9)
    a_n = (1 - (1 - alpha) ** n) / alpha
    b_n = (1 - (1 - alpha) ** (2 * n)) / (alpha * (2 - alpha))
    np.testing.assert_allclose(feature_drift(alpha, 0.3, 0.7, 8), 0.3 * a_n**2 + 0.7 * b_n, rtol=1e-12)
    assert coherence(0.3, 0.7) == pytest.approx(0.3) and coherence(0.0, 0.0) == 0.0


def test_feature_drift_is_the_mean_of_simulated_loops() -> None:
    rng = np.random.default_rng(4)
    alphas, bias = np.array([0.2, 0.5, 0.1, 0.9, 0.3]), np.array([0.3, 0.0, -0.2])
    delta, runs = np.zeros((20000, 3)), []
    for a in alphas:
        delta = next_delta(delta, bias + 0.4 * rng.standard_normal(delta.shape), a)
        runs.append((delta**2).sum(axis=1))
    mean, error = np.mean(runs, axis=1), np.std(runs, axis=1) / math.sqrt(20000)
    expected = feature_drift(alphas, float(bias @ bias), 3 * 0.16)
    assert np.all(np.abs(mean - expected) <= 4 * error), (mean, expected, error)


def test_floors_and_guarantees() -> None:
    assert published_floor(0.5, 0.5, 0.01) == pytest.approx(1.25e-4, rel=1e-12)
    sharper = [sharp_floor(a, 0.01) / published_floor(a, 1, 0.01) for a in (0.1, 0.5, 0.9)]
    np.testing.assert_allclose(sharper, [8.02, 8.89, 13.36], rtol=1e-3)
    assert tv_guarantee(0.3, np.full(400, 0.2))[-1] == pytest.approx(steady_tv(0.3, 0.2), rel=1e-9)
    assert tv_guarantee(0.5, [0.1], tv0=0.4)[0] == pytest.approx(0.2 + 0.05)
    assert one_round_tv(0.04) == pytest.approx(0.1) and one_round_tv(0.04, 0.01) == pytest.approx(0.05)
    assert kl_ceiling(0.04) == pytest.approx(0.02) and one_round_band(0.5, 0.04) == pytest.approx((0.005, 0.16))
    assert pair_floor(0.5, 0.04) == pytest.approx(0.01)
    assert steady_bounds(0.5, 0.01, 0.02) == pytest.approx((0.01 / 2.25, 0.08))


def test_bounds_hold_for_any_vectors() -> None:
    rng = np.random.default_rng(5)
    for _ in range(200):
        alpha, u = rng.random(), rng.standard_normal(4)
        steps = rng.standard_normal((6, 4)) * rng.random((6, 1))
        start, now = float(u @ u), u
        for v in steps:
            low, high = step_bounds(now @ now, v @ v, alpha)
            now = next_delta(now, v, alpha)
            assert low * (1 - 1e-12) - 1e-15 <= now @ now <= high * (1 + 1e-12)
        assert now @ now <= drift_ceiling(alpha, (steps**2).sum(axis=1), start)[-1] * (1 + 1e-12)


@pytest.mark.parametrize(("c", "w"), [(0.25, 0.82843), (1, 0.61803), (4, 0.39039), (9, 0.28238)])
def test_best_fresh_weight(c: float, w: float) -> None:
    best = best_fresh_weight(c)
    assert best == pytest.approx(w, abs=5.1e-6)
    assert best == pytest.approx((math.sqrt(1 + 4 * c) - 1) / (2 * c), rel=1e-12)
    assert weighted_variance(best, c) == pytest.approx(best, rel=1e-12)
    grid = np.linspace(0.01, 1, 500)
    assert min(weighted_variance(g, c) for g in grid) >= best * (1 - 1e-12)


def test_weighted_variance_is_that_of_a_simulated_mean() -> None:
    rng, w, c, n, mean = np.random.default_rng(6), 0.5, 2.0, 10, np.zeros(40000)
    for _ in range(25):
        fresh = rng.standard_normal(40000) / math.sqrt(n)
        mean = w * fresh + (1 - w) * (mean + rng.standard_normal(40000) / math.sqrt(c * n))
    got, error = mean.var(), mean.var() * math.sqrt(2 / 40000)
    assert abs(got - weighted_variance(w, c) / n) <= 4 * error


def test_refresh_factors() -> None:
    assert refresh_factor("chi2", 0.3).factor == pytest.approx(0.49) and refresh_factor("tv", 0.3).is_exact
    assert not refresh_factor("kl", 0.3).is_exact
    with pytest.raises(DataError, match="no refresh law"):
        refresh_factor("frechet", 0.3)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, math.nan, 30])
def test_fractions_outside_the_range_are_refused(alpha: float) -> None:
    for call in (
        lambda: drift_law(alpha, [0.1]),
        lambda: steady_state(alpha, 0.1),
        lambda: tv_guarantee(alpha, [0.1]),
        lambda: refresh_factor("chi2", alpha),
        lambda: memory_rounds(alpha),
    ):
        with pytest.raises(DataError, match="fresh fraction"):
            call()


def test_no_fresh_data_has_no_steady_state() -> None:
    for call in (
        lambda: steady_state(0, 0.1),
        lambda: steady_tv(0, 0.1),
        lambda: coherence_penalty(0),
        lambda: steady_bounds(0, 0.1, 0.2),
    ):
        with pytest.raises(DataError, match="alpha = 0 has no steady state"):
            call()
    np.testing.assert_allclose(drift_law(0, [0.1] * 4), [0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(drift_law(0, [0.1] * 4, 1.0), [0.1, 0.4, 0.9, 1.6])


def test_bad_energies_lengths_and_targets_are_refused() -> None:
    with pytest.raises(DataError, match="innovation J"):
        drift_law(0.5, [0.1, math.nan])
    with pytest.raises(DataError, match="innovation J"):
        steady_state(0.5, -1)
    with pytest.raises(DataError, match="kappa"):
        steady_state(0.5, 0.1, 1.5)
    with pytest.raises(DataError, match="one per round"):
        drift_law([0.1, 0.2, 0.3], [0.1, 0.2])
    with pytest.raises(DataError, match="target"):
        smallest_fresh_fraction(math.nan, 0.1)
    with pytest.raises(DataError, match="observability"):
        published_floor(0.5, 1.5, 0.1)
    with pytest.raises(DataError, match="synthetic rows per fresh row"):
        best_fresh_weight(0)
    with pytest.raises(DataError, match="total variation"):
        tv_guarantee(0.5, [0.1], tv0=2)
    with pytest.raises(DataError, match="swap"):
        steady_bounds(0.5, 0.2, 0.1)
