"""The published mixture loop with kernel scores: its energies are KL, its moments a formula, its chi2 out of bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from synthsift.drift.kernels import five_modes
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.studies import reproduce_drift_kernel as kernel
from synthsift.studies.reproduce_drift_kernel import KernelLoop, KernelRound, predict_moment, run_kernels
from synthsift.studies.reproduce_drift_kernel_figures import rebuild_kernels

LOOP = KernelLoop(num_rows=400, num_rounds=2, num_steps=50, num_paths=300, path_steps=60, num_draws=600)


@pytest.fixture(scope="module")
def rounds() -> list[KernelRound]:
    return list(run_kernels(0.5, LOOP, Seeds(3)))


def test_half_the_energy_of_learned_paths_is_the_divergence(rounds: list[KernelRound]) -> None:
    """Eq. 1 is an equality here, as the learned score is the true score of some law."""
    for one in rounds:
        error = math.hypot(one.kl_error, one.epshat2_error / 2)
        assert abs(one.kl - one.epshat2 / 2) <= 4 * error and error < 0.1 * one.kl
        assert one.kl > 1 and 0 < one.eta <= 1


def test_moments_follow_their_formula(rounds: list[KernelRound]) -> None:
    """Two independent ways to blur: a sampler that follows scores, and sums of variances."""
    law = five_modes(kernel.DIM, reach=kernel.REACH, width=kernel.WIDTH)
    real = float(np.mean((law.centers**2).sum(axis=1))) + kernel.DIM * kernel.WIDTH**2
    for one, growth in zip(rounds, predict_moment(0.5, 2, LOOP.t0), strict=True):
        squares = (one.rows**2).sum(axis=1)
        # Training rows are a sample too: their part of the error is as large as that of the rows that are drawn.
        error = math.sqrt(squares.var() * (1 / len(squares) + 2 / LOOP.num_rows)) / real
        assert abs(one.moment / real - 1 - growth) <= 4 * error


def test_kernels_sampled_directly_have_the_same_moments() -> None:
    loop = KernelLoop(num_rows=400, num_rounds=4)
    found = [kernel.draw_moment(0.3, loop, np.random.default_rng(k)) for k in range(60)]
    error = np.std(found, ddof=1) / math.sqrt(60)
    assert abs(np.mean(found) - predict_moment(0.3, 4, loop.t0)[-1]) <= 3 * error < 0.03


def test_without_a_stop_the_formula_is_that_of_the_kernels() -> None:
    spread = np.array([0.36 * (1 - 0.9**n) / 0.1 for n in range(1, 21)])
    assert predict_moment(0.1, 20, 0.0) == pytest.approx(10 * spread / 29.2)
    assert predict_moment(0.1, 20, 0.02)[-1] < predict_moment(0.1, 20, 0.0)[-1]


def test_a_wider_kernel_has_a_larger_error(rounds: list[KernelRound], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "BANDWIDTH", 0.9)
    wide = next(run_kernels(0.5, LOOP, Seeds(3)))
    assert wide.kl > 1.5 * rounds[0].kl and wide.eps2 > 1.5 * rounds[0].eps2


def test_figures_say_what_holds_and_that_chi2_is_infinite() -> None:
    said: list[str] = []
    samples, bounds, heat = rebuild_kernels(Seeds(0), quick=True, rows=100, tell=said.append)
    assert len(said) == 9 and said[-1] == "kernel loop: 9 of 9 rounds of 100 rows"
    assert bounds.columns["fraction"] == [0.1] * 3 + [0.5] * 3 + [0.9] * 3 and "in 9 of 9 rounds" in bounds.note
    assert (
        "infinite to real data and at most 8.4e+04" in bounds.note
        and "100 rows a round (published 100,000)" in samples.note
    )
    share = np.array(heat.columns["share"]).reshape(3, 6)  # rounds 1, 2, 3 of each fraction
    assert share[:, 0] == pytest.approx(1) and share[:, 3:].sum(axis=1) == pytest.approx(1)
    assert share[0, 3] > 0.1 > share[1, 3] > share[2, 3]  # what is left of round 1 in round 3
    with pytest.raises(DataError, match="at least 100 kernels"):
        next(rebuild_kernels(Seeds(0), rows=99))
