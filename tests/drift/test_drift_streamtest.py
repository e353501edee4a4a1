"""The test of one generation is exact, whatever the features; the promise of a stream is a union bound."""

from __future__ import annotations

import math

import numpy as np
import pytest
from drift_samples import mixture

from synthsift.drift.modes import assign_modes, find_modes
from synthsift.drift.space import BANDWIDTHS, FEATURES, learn_space
from synthsift.drift.streamtest import block_p_value, sequential_p_value, stream_level
from synthsift.records import DataError
from synthsift.seeds import Seeds


def slow_statistic(real: list[np.ndarray], synth: list[np.ndarray]) -> float:
    """-log of the smallest chi-squared tail over blocks, one block at a time."""
    from scipy.stats import chi2

    tails, n, m = [], len(real[0]), len(synth[0])
    for x, y in zip(real, synth, strict=True):
        pool = np.concatenate([x, y]).astype(float)
        cov = np.cov(pool, rowvar=False)
        mean = np.trace(cov) * (1 / n + 1 / m)
        rank = max(1.0, np.trace(cov) ** 2 / np.sum(cov**2))
        gap = float(np.sum((x.mean(axis=0) - y.mean(axis=0)) ** 2))
        tails.append(chi2.sf(rank * gap / mean, rank))
    return -math.log(max(min(tails), 1e-300))


def slow_p_value(real: list[np.ndarray], synth: list[np.ndarray], rng: np.random.Generator, draws: int) -> float:
    """The same test by relabelling rows one at a time, without stopping early."""
    seen, n = slow_statistic(real, synth), len(real[0])
    pool = [np.concatenate(pair) for pair in zip(real, synth, strict=True)]
    larger = 0
    for _ in range(draws):
        order = rng.permutation(len(pool[0]))
        larger += slow_statistic([p[order[:n]] for p in pool], [p[order[n:]] for p in pool]) >= seen
    return (1 + larger) / (draws + 1)


@pytest.mark.parametrize("sizes", [(60, 90), (90, 60), (70, 70)])
def test_p_value_against_its_slow_twin(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    n, m = sizes
    real = [rng.standard_normal((n, 3)), rng.exponential(size=(n, 2))]
    synth = [rng.standard_normal((m, 3)) + 0.2, rng.exponential(size=(m, 2))]
    fast = [block_p_value(real, synth, rng=rng, level=0.0025) for _ in range(6)]
    slow = slow_p_value(real, synth, rng, 400)
    # Stopping after 20 exceedances leaves a relative error of 1/sqrt(20) in each, 1/sqrt(120) in their mean.
    spread = slow * math.sqrt(1 / 120 + (1 - slow) / (400 * slow))
    assert abs(np.mean(fast) - slow) <= 4 * spread


def test_null_p_values_are_valid_at_every_level_even_with_heavy_tails_and_ties() -> None:
    rng, values = np.random.default_rng(1), []
    for _ in range(300):
        real = [rng.standard_t(2, (50, 2)), rng.integers(0, 2, (50, 1))]
        synth = [rng.standard_t(2, (70, 2)), rng.integers(0, 2, (70, 1))]
        values.append(block_p_value(real, synth, rng=rng, level=0.0025))
    for u in (0.02, 0.05, 0.2, 0.5):
        # Exact tests: at most three binomial deviations above u.
        assert np.mean(np.array(values) <= u) <= u + 3 * math.sqrt(u * (1 - u) / 300)
    assert np.mean(values) == pytest.approx(0.5, abs=0.1)


def test_sequential_p_value_stops_at_the_draw_it_says() -> None:
    values = iter(np.tile([0.0, 2.0], 500))
    assert sequential_p_value(lambda k: np.array([next(values) for _ in range(k)]), 1.0, 999, enough=20) == 20 / 40
    assert sequential_p_value(np.zeros, 1.0, 999) == 1 / 1000
    assert sequential_p_value(np.ones, 1.0, 999, enough=20) == 1.0


def test_sequential_p_value_is_valid_by_simulation() -> None:
    rng = np.random.default_rng(2)
    got = np.array([sequential_p_value(rng.random, float(rng.random()), 399, enough=10) for _ in range(4000)])
    for u in (0.0025, 0.01, 0.05, 0.3):
        assert np.mean(got <= u) <= u + 3.5 * math.sqrt(u * (1 - u) / 4000)


def test_level_is_the_rate_shared_by_the_horizon() -> None:
    assert stream_level(20, 0.05) == pytest.approx(0.0025)
    for horizon, rate in ((0, 0.05), (20, 0.0), (20, 1.0), (20, math.nan)):
        with pytest.raises(DataError, match="false-alarm rate"):
            stream_level(horizon, rate)
    with pytest.raises(DataError, match="relabellings"):
        stream_level(10**6, 0.05)


def test_half_of_a_mode_that_is_lost_is_found_and_equal_samples_are_not() -> None:
    rng = np.random.default_rng(3)
    space = learn_space(mixture(rng, 600)[0], Seeds(0))
    real = space.blocks(mixture(rng, 1500)[0])
    assert block_p_value(real, space.blocks(mixture(rng, 1500, 0.5)[0]), rng=rng, level=0.0025) <= 0.0025
    assert block_p_value(real, space.blocks(mixture(rng, 1500)[0]), rng=rng, level=0.0025) > 0.0025


def test_constant_features_say_nothing() -> None:
    rng = np.random.default_rng(4)
    assert block_p_value([np.ones((60, 2))], [np.ones((60, 2))], rng=rng, level=0.0025) == 1.0


def test_space_is_whitened_bounded_and_fixed() -> None:
    rng = np.random.default_rng(5)
    rows = mixture(rng, 900)[0]
    space = learn_space(rows, Seeds(0))
    again = learn_space(rows, Seeds(0))
    np.testing.assert_array_equal(space.fourier.frequencies, again.fourier.frequencies)
    np.testing.assert_allclose(np.cov(space.compact(rows), rowvar=False, ddof=0), np.eye(6), atol=1e-6)
    blocks = space.blocks(rows)
    assert len(blocks) == len(BANDWIDTHS) + 1 and blocks[0].shape == (900, FEATURES)
    assert max(float((b**2).sum(axis=1).max()) for b in blocks[:-1]) <= 2 / len(BANDWIDTHS) + 1e-9
    assert space.mode_share.sum() == pytest.approx(1.0) and np.all(np.diff(space.mode_share) <= 1e-12)


def test_features_do_not_depend_on_the_precision_of_the_rows() -> None:
    rng = np.random.default_rng(7)
    rows = rng.binomial(3, 0.3, (500, 4)) / 3  # many rows lie as far from two modes but for rounding
    space = learn_space(rows, Seeds(0))
    for single, double in zip(space.blocks(rows.astype(np.float32)), space.blocks(rows), strict=True):
        np.testing.assert_array_equal(single, double)


def test_modes_are_the_planted_ones_and_repeated_rows_are_no_trouble() -> None:
    rng = np.random.default_rng(6)
    rows, labels = mixture(rng, 800)
    place = assign_modes(rows, find_modes(rows.astype(float), 5, rng))
    for label in np.unique(labels):
        # Centers are 2.5 x sqrt(12) = 8.7 deviations apart in the mean: hardly a row lies nearer to another one.
        assert np.bincount(place[labels == label]).max() >= 0.9 * np.sum(labels == label)
    assert len(find_modes(np.repeat([[0.0, 1.0], [2.0, 2.0]], 40, axis=0), 6, rng)) == 2
    assert len(find_modes(np.ones((50, 3)), 4, rng)) == 1
