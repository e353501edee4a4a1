"""Blur and truncation loops, whose error is the same every round, and the tilt recursion of chosen coherence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import eval_hermitenorm

from synthsift.drift.laws import drift_law, steady_state
from synthsift.drift.loops_blur import (
    age_weights,
    blur_drift,
    hermite_coefficient,
    predict_blur,
    predict_truncation,
    simulate_blur,
    simulate_truncation,
    truncation_gain,
)
from synthsift.drift.loops_tilt import Quadrature, predict_tilt, simulate_tilt
from synthsift.drift.mixtures import BIMODAL, LOPSIDED
from synthsift.records import DataError

GRID = np.linspace(-5, 5, 101)


def bimodal_quadrature() -> Quadrature:
    masses = BIMODAL.density(GRID)
    return Quadrature(GRID[:, None], masses / masses.sum())


@pytest.mark.parametrize(
    ("dim", "h2", "alpha", "rounds", "expected"),
    [
        (1, 0.02, 0.1, 20, 0.0163535),
        (1, 0.02, 0.5, 20, 0.000802172),
        (2, 0.05, 0.3, 10, 0.0281510),
        (10, 0.01, 0.1, 20, 0.0408152),
    ],
)
def test_blur_acceptance(dim: int, h2: float, alpha: float, rounds: int, expected: float) -> None:
    assert blur_drift(alpha, h2, rounds, dim=dim) == pytest.approx(expected, rel=2e-6)


def test_blur_drift_against_quadrature_and_the_infinite_case() -> None:
    x = np.linspace(-25, 25, 20001)
    weights = age_weights(0.3, 6)
    assert weights.sum() == pytest.approx(1.0)

    def normal(v: float) -> np.ndarray:
        return np.exp(-(x**2) / (2 * v)) / math.sqrt(2 * math.pi * v)

    density = sum(w * normal(1.5 + 0.1 * k) for k, w in enumerate(weights, start=1))
    chi2 = (x[1] - x[0]) * float(np.sum(density * (density / normal(1.5)))) - 1
    assert blur_drift(0.3, 0.1, 6, variance=1.5) == pytest.approx(chi2, rel=1e-9)
    assert math.isfinite(blur_drift(0.3, 0.1, 9)) and blur_drift(0.3, 0.1, 10) == math.inf
    assert math.isfinite(blur_drift(1.0, 0.1, 50)), "with fresh data only nothing is blurred twice"


def test_blur_is_a_coherent_error() -> None:
    alpha, rounds = 0.3, 200
    one = blur_drift(1.0, 1e-4, 1)
    ratio = blur_drift(alpha, 1e-4, rounds) / drift_law(alpha, np.full(rounds, one))[-1]
    assert ratio == pytest.approx((2 - alpha) / alpha, rel=0.01)


def test_published_kernel_density_growth() -> None:
    # Ten dimensions, centers at 0 and (+-4, +-4), sigma = h = 0.6: total second moment 25.6 + 10 Var.
    grown = []
    for alpha in (0.1, 0.5, 0.9):
        var = predict_blur(alpha, 0.36, 20, variance=0.36).terms["variance"]
        grown.append((25.6 + 10 * var[20]) / (25.6 + 10 * var[0]) - 1)
    np.testing.assert_allclose(grown, [1.08, 0.247, 0.138], atol=5e-3)
    assert blur_drift(0.9, 0.36, 1, dim=10, variance=0.36) == math.inf


def test_simulated_blur_meets_its_closed_form() -> None:
    got = simulate_blur(0.3, 0.05, 10, num_rows=40_000, seeds=2, dim=2)
    expected = predict_blur(0.3, 0.05, 10, dim=2)
    for n in (1, 4, 10):
        assert abs(got.mean[n] - expected.mean[n]) <= 4 * got.terms["standard_error"][n]
        gap = got.terms["variance"][n] - expected.terms["variance"][n]
        assert abs(gap) <= 4 * got.terms["variance_error"][n]


@pytest.mark.parametrize(
    ("alpha", "order", "t0", "gain"), [(0.1, 1, 0.02, 0.908676), (0.1, 4, 0.2, 0.168969), (0.5, 2, 0.2, 0.693094)]
)
def test_truncation_gain_acceptance(alpha: float, order: int, t0: float, gain: float) -> None:
    assert truncation_gain(alpha, order, t0) == pytest.approx(gain, rel=1e-6)
    assert predict_truncation(alpha, t0, order, 500).mean[-1] == pytest.approx(gain, rel=1e-6)


@pytest.mark.parametrize(
    ("alpha", "expected"), [(0.1, (0.5310, 0.3288, 0.2283, 0.1709)), (0.5, (0.8262, 0.6931, 0.5883, 0.5041))]
)
def test_truncation_after_twelve_rounds(alpha: float, expected: tuple[float, ...]) -> None:
    for order, share in enumerate(expected, start=1):
        got = predict_truncation(alpha, 0.2, order, 12)
        rho, gain = math.exp(-order * 0.1), truncation_gain(alpha, order, 0.2)
        n = np.arange(13)
        np.testing.assert_allclose(got.mean, gain + (1 - gain) * ((1 - alpha) * rho) ** n, rtol=1e-12)
        assert got.mean[12] == pytest.approx(share, abs=5.1e-5)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_simulated_truncation_meets_its_closed_form(order: int) -> None:
    got = simulate_truncation(LOPSIDED, 0.3, 0.2, order, 8, num_rows=40_000, seeds=4)
    expected = predict_truncation(0.3, 0.2, order, 8)
    for n in (0, 1, 8):
        assert abs(got.mean[n] - expected.mean[n]) <= 4 * got.terms["standard_error"][n]


def test_annealing_the_stopping_time_removes_the_compounding() -> None:
    times = 0.2 / np.arange(1, 201)
    annealed = 1 - predict_truncation(0.5, times, 2, 200).mean[-1]
    assert annealed == pytest.approx(2 * times[-1] / (2 * 0.5), rel=0.03)
    assert annealed < 0.02 * (1 - predict_truncation(0.5, 0.2, 2, 200).mean[-1])


def test_hermite_coefficients_against_samples() -> None:
    x = LOPSIDED.sample(200_000, np.random.default_rng(1))
    for order in range(1, 5):
        values = eval_hermitenorm(order, x)
        error = values.std() / math.sqrt(len(x))
        assert abs(values.mean() - hermite_coefficient(LOPSIDED, order)) <= 4 * error


@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_random_tilts_add_energies(alpha: float) -> None:
    got = simulate_tilt(bimodal_quadrature(), alpha, 0.3, "random", 25, num_runs=400, seeds=7)
    gap = got.mean[-1] - got.terms["discounted"][-1]
    assert abs(gap) <= 3 * got.terms["standard_error"][-1]
    # A wave with a deep trough is used at less than full size; that is rare.
    one = got.terms["one_round"]
    assert np.all(one <= 0.09 * (1 + 1e-9)) and np.mean(one > 0.09 * (1 - 1e-9)) > 0.99
    assert got.terms["identity"] < 1e-12 and got.mean[-1] < got.terms["coherent"][-1]


def test_tilts_that_repeat_add_amplitudes() -> None:
    data = bimodal_quadrature()
    for alpha, tolerance in ((0.3, 0.005), (0.9, 0.005)):
        got = simulate_tilt(data, alpha, 0.3, "same", 60, num_runs=20, seeds=3)
        last = got.terms["innovation"][:, -1].mean() / alpha**2
        assert got.mean[-1] == pytest.approx(last, rel=tolerance)
        # J moves with the drift, by a percent or two here.
        assert got.mean[-1] == pytest.approx(steady_state(alpha, 0.09, 1.0), rel=0.05)


def test_alternating_tilts_reach_the_lower_end() -> None:
    for alpha in (0.1, 0.5):
        got = simulate_tilt(bimodal_quadrature(), alpha, 0.01, "alternate", 80, num_runs=20, seeds=3)
        end = got.terms["innovation"][:, -1].mean() / (2 - alpha) ** 2
        assert got.mean[-1] == pytest.approx(end, rel=3e-3)
        assert got.mean[-1] == pytest.approx(predict_tilt(alpha, 0.01, "alternate", 80).mean[-1], rel=0.01)


def test_small_tilts_follow_the_predicted_law_round_by_round() -> None:
    data = bimodal_quadrature()
    for pattern in ("same", "alternate"):
        got = simulate_tilt(data, 0.3, 1e-3, pattern, 12, num_runs=10, seeds=1)
        expected = predict_tilt(0.3, 1e-3, pattern, 12)
        np.testing.assert_allclose(got.mean[1:], expected.mean[1:], rtol=5e-3)
    assert predict_tilt(0.0, 0.1, "random", 5).terms["steady"] == math.inf
    assert math.isnan(predict_tilt(0.0, 0.1, "alternate", 5).terms["steady"])
    assert predict_tilt(0.3, 0.1, "same", 5).terms["steady"] == pytest.approx(0.01 / 0.09)


def test_without_fresh_data_small_errors_add_up_for_ever() -> None:
    """N J when random, N^2 J when they repeat, J or nothing when they alternate."""
    J, rounds = 1e-6, np.arange(13)
    laws = {"random": rounds * J, "same": rounds**2 * J, "alternate": rounds % 2 * J}
    for pattern, law in laws.items():
        np.testing.assert_allclose(predict_tilt(0.0, 1e-3, pattern, 12).mean, law, rtol=1e-12, atol=1e-20)
        got = simulate_tilt(bimodal_quadrature(), 0.0, 1e-3, pattern, 12, num_runs=100, seeds=1)
        if pattern == "random":
            assert np.all(np.abs(got.mean - law)[2:] <= 4 * got.terms["standard_error"][2:])
        np.testing.assert_allclose(got.mean, law, rtol=0.25 if pattern == "random" else 0.02, atol=1e-3 * J)


def test_bad_input_is_refused() -> None:
    for call, match in (
        (lambda: blur_drift(1.2, 0.1, 3), "fresh fraction"),
        (lambda: blur_drift(0.5, math.nan, 3), "bandwidth"),
        (lambda: truncation_gain(0, 2, 0.1), "no steady state"),
        (lambda: predict_truncation(0.5, [0.1, 0.2], 2, 3), "stopping times"),
        (lambda: simulate_truncation(BIMODAL, 0.5, 0.1, 1, 2, num_rows=10, seeds=0), "Hermite"),
        (lambda: simulate_tilt(bimodal_quadrature(), 1.5, 0.1, "same", 2, num_runs=2, seeds=0), "fresh fraction"),
        (lambda: Quadrature(np.zeros((3, 1)), np.ones(3)), "sum 1"),
        (lambda: Quadrature(np.zeros(3), np.ones(3) / 3), "points"),
    ):
        with pytest.raises(DataError, match=match):
            call()
