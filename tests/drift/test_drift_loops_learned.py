"""Scores learned from rows on the grid: the fit against its loss, a closed form of its error, the bounds, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from synthsift.drift.grid import ReverseGrid
from synthsift.drift.guarantees import pair_floor, step_bounds
from synthsift.drift.laws import next_drift
from synthsift.drift.loops_grid import solve_recursion
from synthsift.drift.loops_learned import ScoreLearner, fit_score, learn_recursion
from synthsift.drift.mixtures import Mixture1D
from synthsift.records import DataError

NORMAL = ReverseGrid(data=Mixture1D((1.0,), (0.0,), (1.0,)), half_width=5.0, num_points=81, num_steps=80)
QUICK = ReverseGrid(half_width=4.5, num_points=91, num_steps=240)


def test_the_fit_is_where_the_implicit_loss_is_least() -> None:
    rng = np.random.default_rng(0)
    x = np.linspace(-3, 3, 61)
    values, slopes = ScoreLearner().functions(x, rng)
    shares = rng.random(61) / 30
    w = fit_score(values, slopes, shares, 1e-3)

    def loss(weights: np.ndarray) -> float:
        s, ds = values @ weights, slopes @ weights
        return float(shares @ (s**2 + 2 * ds) + 1e-3 * weights @ weights)

    for direction in rng.standard_normal((20, len(w))):
        assert loss(w) < min(loss(w + 1e-2 * direction), loss(w - 1e-2 * direction))


def test_slopes_are_those_of_the_values() -> None:
    x, h = np.linspace(-3, 3, 13), 1e-5
    at = [ScoreLearner().functions(x + shift, np.random.default_rng(1)) for shift in (-h, 0.0, h)]
    np.testing.assert_allclose(at[1][1], (at[2][0] - at[0][0]) / (2 * h), atol=1e-8)


def test_a_line_learns_the_normal_score_with_the_textbook_error() -> None:
    # s = -(x - m)/v with the mean and variance of n rows: E|s + x|^2 = (1 + 2)/n to first order, over T = 4.
    learner = ScoreLearner(num_waves=0, ridge=1e-9, num_levels=80, fade=(4.0, 5.0))
    runs = [learn_recursion(1.0, 4000, seeds=s, learner=learner, num_rounds=4, grid=NORMAL) for s in range(3)]
    scaled = np.concatenate([got.eps2 for got in runs]) * 4000 / 12
    error = scaled.std(ddof=1) / np.sqrt(len(scaled))
    assert abs(scaled.mean() - 1) < 4 * error + 0.01, (scaled.mean(), error)  # .01: second order, window, grid


@pytest.mark.parametrize(("alpha", "affine", "shared"), [(0.1, True, False), (0.5, False, True)])
def test_identities_and_bounds_hold_in_every_learned_round(alpha: float, affine: bool, shared: bool) -> None:
    learner = ScoreLearner(8 if affine else 10, affine, shares_noise=shared)
    got = learn_recursion(alpha, 4000, seeds=1, learner=learner, num_rounds=4, grid=QUICK)
    before = np.concatenate(([0.0], got.drift[:-1]))
    np.testing.assert_allclose(got.drift, next_drift(before, got.cross, got.innovation, alpha), rtol=0, atol=1e-12)
    low, high = step_bounds(before, got.innovation, alpha)
    assert np.all(got.drift >= low - 1e-12) and np.all(got.drift <= high + 1e-12)
    assert np.all(got.drift + (1 - alpha) ** 2 * before >= pair_floor(alpha, got.one_round) - 1e-12)
    assert np.all(got.kl <= got.epshat2 / 2) and np.all(got.tv <= got.tv_ceiling)
    assert got.drift[-1] > got.discounted[-1], "few functions leave an error that repeats"


def test_more_rows_leave_the_error_that_repeats() -> None:
    few, many = (learn_recursion(0.9, rows, seeds=3, num_rounds=1, grid=QUICK) for rows in (1000, 64_000))
    assert many.eps2.mean() < 0.5 * few.eps2.mean(), "the part that rows decide shrinks"
    assert many.eps2.mean() > few.eps2.mean() / 64, "the part that the functions decide stays"
    assert many.eta.mean() > few.eta.mean(), "and it is the part that reaches the samples"


def test_a_seed_repeats_a_recursion_and_another_does_not() -> None:
    first, again, other = (learn_recursion(0.5, 500, seeds=s, num_rounds=1, grid=NORMAL).eps2[0] for s in (5, 5, 6))
    assert first == again != other


def test_impossible_learners_are_refused() -> None:
    for wrong in ({"num_waves": 0, "is_affine": False}, {"num_levels": 0}):
        with pytest.raises(DataError, match="at least one function"):
            ScoreLearner(**wrong)
    with pytest.raises(DataError, match="fade"):
        ScoreLearner(fade=(4.0, 3.0))
    with pytest.raises(DataError, match="at least 50 rows"):
        learn_recursion(0.5, 20, seeds=0)
    with pytest.raises(DataError, match="fresh fraction"):
        learn_recursion(-1, 200, seeds=0)
    with pytest.raises(DataError, match="no score error"):
        solve_recursion(QUICK, 0.5, [])


def test_a_mix_that_the_grid_cannot_hold_is_refused() -> None:
    path = np.ones((QUICK.num_steps + 1, QUICK.num_points))
    path[3, 5] = -1e-9
    with pytest.raises(DataError, match="no density on the grid"):
        QUICK.mix_scores(path)
