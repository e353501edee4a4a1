"""Trainers that pass on less than all of the drift in their rows, first generations from real rows, kept rows."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from synthsift.drift.forecast import INTERVAL_PAIRS, forecast_drift, measure_innovation
from synthsift.drift.innovation import error_rank, innovation_noise, innovations, mixing_weights
from synthsift.drift.planner import plan_loop
from synthsift.drift.posterior import draw_posterior, simulate_ahead, steady_draws
from synthsift.drift.traces import DriftTrace

WIDTH, J, NOISE = 24, 0.01, 0.001


def make_loop(
    rng: np.random.Generator,
    alpha: np.ndarray,
    seen: int,
    *,
    rho: float,
    share: float,
    learned_real: bool = True,
    accumulate: bool = False,
    noise: float = NOISE,
) -> tuple[DriftTrace, np.ndarray, np.ndarray]:
    """A stream as in the other tests of forecasts, but for rho, its origin, and which rows are kept."""
    bias = rng.standard_normal(WIDTH)
    bias *= math.sqrt(share * J) / np.linalg.norm(bias)

    def add() -> np.ndarray:
        return bias + math.sqrt((1 - share) * J / WIDTH) * rng.standard_normal(WIDTH)

    delta = [add() if learned_real else np.zeros(WIDTH)]
    for a in alpha:
        carried = np.mean(delta, axis=0) if accumulate else delta[-1]
        delta.append(rho * (1 - a) * carried + add())
    truth = np.array(delta)
    shown = truth[:seen] + math.sqrt(noise / WIDTH) * rng.standard_normal((seen, WIDTH))
    shown -= math.sqrt(noise / 4 / WIDTH) * rng.standard_normal(WIDTH)
    names, known = tuple(map(str, range(seen))), alpha[: seen - 1]
    return DriftTrace(names, known, shown, np.full(seen, noise), noise / 4, WIDTH, accumulate=accumulate), truth, bias


def test_mixing_weights_by_hand() -> None:
    alpha = np.array([0.5, 0.2])
    assert mixing_weights(alpha).tolist() == [[0.5, 0, 0], [0, 0.8, 0]]
    assert mixing_weights(alpha, accumulate=True).tolist() == [[0.5, 0, 0], [0.4, 0.4, 0]]


def test_innovations_of_kept_rows_and_their_noise() -> None:
    rng, alpha = np.random.default_rng(0), np.array([0.6, 0.4, 0.3])
    trace, _, bias = make_loop(rng, alpha, 4, rho=1.0, share=1.0, accumulate=True, noise=0.0)
    np.testing.assert_allclose(innovations(trace), np.tile(bias, (3, 1)), atol=1e-12)
    v, ref, n = np.array([1.0, 2.0, 0.5, 1.5]), 0.3, 400_000
    # Many single coordinates instead of one long vector: the products are means over them.
    seen = np.sqrt(v)[:, None] * rng.standard_normal((4, n)) - math.sqrt(ref) * rng.standard_normal(n)
    noisy = replace(trace, delta=seen, noise=v, reference_noise=ref)
    b = innovations(noisy)
    # A product of two normal numbers has a deviation of about its scale, 2 at most here; four standard errors.
    tolerance = 4 * 4 / math.sqrt(n)
    np.testing.assert_allclose(b @ b.T / n, innovation_noise(alpha, v, ref, accumulate=True), atol=tolerance)


@pytest.mark.parametrize("rho", [0.3, 0.7])
def test_trainers_that_pass_on_less_are_forecast(rho: float) -> None:
    rng, hits, errors, old_errors = np.random.default_rng(1), [], [], []
    for r in range(24):
        alpha = np.full(10, 0.1)
        trace, truth, _ = make_loop(rng, alpha, 5, rho=rho, share=(0.5, 0.95)[r % 2])
        end = float(truth[10] @ truth[10])
        got = forecast_drift(trace, 6, seeds=r)
        hits.append(got.low[-1] <= end <= got.high[-1])
        errors.append(abs(got.drift[-1] - end) / end)
        node, rank = np.random.default_rng(r), error_rank(trace, INTERVAL_PAIRS)
        draws = draw_posterior(trace, rank, node, responses=(1.0,), origins=(False,))
        point = np.median(simulate_ahead(draws, alpha[4:], node)[:, -1])
        old_errors.append(abs(point - end) / end)
    # 90 % is promised; three binomial deviations of 24 runs are 18 points.
    assert np.mean(hits) >= 0.72 and np.median(errors) <= 0.25
    # Negative control: with rho = 1 and an origin that says nothing the same loops are forecast far worse.
    assert np.median(old_errors) > 1.5 * np.median(errors)


def test_a_loop_that_keeps_all_rows_is_forecast() -> None:
    rng, hits, errors, confused = np.random.default_rng(2), [], [], []
    for r in range(16):
        share = np.array([(1 + t * (0.0, 0.3)[r % 2]) / (t + 1) for t in range(1, 11)])
        trace, truth, _ = make_loop(rng, share, 5, rho=(1.0, 0.8)[r // 2 % 2], share=0.8, accumulate=True)
        end = float(truth[10] @ truth[10])
        got = forecast_drift(trace, 6, seeds=r, alpha=share[4:])
        hits.append(got.low[-1] <= end <= got.high[-1])
        errors.append(abs(got.drift[-1] - end) / end)
        mistaken = forecast_drift(replace(trace, accumulate=False), 6, seeds=r, alpha=share[4:])
        confused.append(abs(mistaken.drift[-1] - end) / end)
    assert np.mean(hits) >= 0.90 - 0.23 and np.median(errors) <= 0.25  # three deviations of 16
    # Kept rows that are taken for replaced ones look like a small rho, so not every loop is forecast worse.
    assert np.mean(confused) > 1.3 * np.mean(errors)


def test_long_streams_reveal_what_is_passed_on() -> None:
    for rho in (0.4, 1.0):
        trace, _, _ = make_loop(np.random.default_rng(3), np.full(25, 0.1), 26, rho=rho, share=0.3, noise=1e-5)
        draws = draw_posterior(trace, WIDTH, np.random.default_rng(0), num_draws=500)
        assert np.median(draws.response) == pytest.approx(rho, abs=0.11)  # the grid has steps of .1
        assert np.median(draws.J) == pytest.approx(J, rel=0.25)  # its steps are 21 %
        notes = " ".join(forecast_drift(trace, 2, seeds=0).notes)
        assert ("passes on only about 40 %" in notes) == (rho == 0.4) and ("passes on" in notes) == (rho < 1)


@pytest.mark.parametrize("accumulate", [False, True])
def test_steady_drift_is_where_simulations_settle(accumulate: bool) -> None:
    shares = np.full(30, 0.4)
    trace, _, _ = make_loop(np.random.default_rng(4), shares, 12, rho=0.6, share=0.5, accumulate=accumulate)
    draws = draw_posterior(trace, WIDTH, np.random.default_rng(0))
    assert draws.num_kept == (12 if accumulate else 0)
    far = simulate_ahead(draws, np.full(400 if accumulate else 60, 0.4), np.random.default_rng(1))[:, -1]
    # Kept rows forget the start like a power of the number of rounds, so a little of it is left.
    assert far.mean() == pytest.approx(steady_draws(draws, 0.4).mean(), rel=0.06 if accumulate else 0.03)


def test_simulated_draws_follow_the_loop_they_describe() -> None:
    rng = np.random.default_rng(5)
    for accumulate in (False, True):
        shares = np.full(9, 0.3)
        trace, truth, bias = make_loop(rng, shares, 5, rho=0.5, share=1.0, accumulate=accumulate, noise=1e-8)
        draws = draw_posterior(trace, WIDTH, rng, responses=(0.5,), origins=(True,))
        assert np.median((draws.bias**2).sum(axis=1)) == pytest.approx(float(bias @ bias), rel=0.02)
        ahead = simulate_ahead(draws, shares[4:], rng)
        np.testing.assert_allclose(np.median(ahead, axis=0), (truth[5:] ** 2).sum(axis=1), rtol=0.03)


def test_a_first_generation_that_learned_real_rows_bounds_the_plan() -> None:
    # One round alone adds J = .01. A loop that passes little on shows only a fraction of it as an innovation.
    trace, _, _ = make_loop(np.random.default_rng(6), np.full(5, 0.1), 6, rho=0.1, share=1.0, noise=1e-4)
    assert measure_innovation(trace, seeds=0).J < 1.1 * J
    assert plan_loop(trace, 0.5 * J, seeds=0).alpha is None
    assert plan_loop(trace, 2.0 * J, seeds=0).alpha is not None
