"""Simulated reverse paths meet the grid solver and the closed forms; a rotation is invisible."""

from __future__ import annotations

import numpy as np
import pytest

from synthsift.drift.closed_forms import constant_push
from synthsift.drift.grid import ReverseGrid
from synthsift.drift.mixtures import BIMODAL
from synthsift.drift.paths import explained_share, simulate_round
from synthsift.records import DataError


def test_paths_meet_the_grid_solver() -> None:
    grid, num = ReverseGrid(num_points=161, num_steps=100), 12_000
    start = BIMODAL.noised(4.0).sample(num, np.random.default_rng(0))[:, None]

    def error(x: np.ndarray, t: float) -> np.ndarray:
        return 0.3 * np.sin(2 * x) * np.exp(-(x**2) / 12.5)

    def score(x: np.ndarray, t: float) -> np.ndarray:
        return BIMODAL.noised(t).score(x[:, 0])[:, None]

    got, exact = simulate_round(start, score, error, horizon=4.0, num_steps=100, seeds=1), grid.one_round(error)
    # Euler steps of 1/25 add about 1 % to the energies on top of four standard errors.
    assert abs(got.eps2 - exact.eps2) <= 4 * got.eps2_error + 0.01 * exact.eps2
    assert abs(got.epshat2 - exact.epshat2) <= 4 * got.epshat2_error + 0.01 * exact.epshat2
    assert abs(got.mean_weight - 1) <= 4 * got.mean_weight_error
    # The regression is biased low; its sampling error at 12,000 paths is about .014 (.006 at 60,000).
    assert exact.eta - 0.05 <= got.eta <= exact.eta + 0.04
    second = grid.data_masses * exact.ratio @ grid.x**2
    squares = got.learned_ends[:, 0] ** 2
    assert abs(squares.mean() - second) <= 4 * squares.std() / np.sqrt(num) + 0.03


def test_a_constant_push_moves_the_mean_by_its_closed_form() -> None:
    exact, start = constant_push(0.2, 4.0), np.random.default_rng(2).standard_normal((20_000, 1))
    got = simulate_round(start, lambda y, t: -y, lambda y, t: 0.2 + 0 * y, horizon=4.0, num_steps=200, seeds=3)
    shift = got.learned_ends - got.ends
    # Both paths share their noise, so the shift has no sampling error at all, only that of the steps.
    np.testing.assert_allclose(shift, exact.mean, rtol=0.01)
    assert got.eta == pytest.approx(exact.eta, abs=0.03) and got.eps2 == pytest.approx(0.16, rel=1e-12)


def test_a_rotation_is_invisible_whatever_its_size() -> None:
    start = np.random.default_rng(4).standard_normal((10_000, 2))

    def turn(y: np.ndarray, t: float) -> np.ndarray:
        return 0.5 * np.stack([-y[:, 1], y[:, 0]], axis=1)

    got = simulate_round(start, lambda y, t: -y, turn, horizon=4.0, num_steps=100, seeds=5)
    # eps^2 = w^2 E|y|^2 T = 2; Euler steps of 1/25 stretch it by about 2 %.
    assert got.eps2 == pytest.approx(2.0, rel=0.05) and abs(got.eta) < 0.01
    covariance = np.cov(got.learned_ends.T)
    np.testing.assert_allclose(covariance, np.eye(2), atol=4 * np.sqrt(2 / 10_000) + 0.03)


def test_explained_share_knows_all_and_nothing() -> None:
    rng = np.random.default_rng(6)
    ends, noise = rng.standard_normal((4000, 2)), rng.standard_normal(4000)
    assert explained_share(ends, ends[:, 0] * 2 + 1, rng) == pytest.approx(1.0, abs=1e-3)
    assert -0.1 < explained_share(ends, noise, rng) < 0.02
    assert explained_share(ends, np.ones(4000), rng) == 0.0


def test_bad_input_is_refused() -> None:
    with pytest.raises(DataError, match="100 paths"):
        simulate_round(np.zeros((5, 1)), lambda y, t: -y, lambda y, t: y, horizon=4.0, num_steps=5, seeds=0)
    with pytest.raises(DataError, match="horizon"):
        simulate_round(np.zeros((200, 1)), lambda y, t: -y, lambda y, t: y, horizon=0.1, num_steps=5, seeds=0, t0=0.2)
