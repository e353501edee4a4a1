"""Which policy is recommended: the simplest that is not clearly worse, in every draw as if it were alone."""

from __future__ import annotations

import numpy as np
import pytest

from synthsift.numerics import resampling
from synthsift.numerics.choice import LEAVE_REAL, NEAR, Chooser, near_best, recommend
from synthsift.numerics.resampling import bootstrap_counts


def near(loss: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return near_best(loss, counts[None])[0]


def chosen(loss: np.ndarray, counts: np.ndarray) -> int:
    return int(recommend(loss, counts[None])[0])


def gains_like(means: list[float], spread: float, num: int = 100) -> np.ndarray:
    """Gains (n, p) with exactly these means; column k has standard error `spread` / sqrt(n), RealOnly has none."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((num, len(means)))
    noise = np.linalg.qr(noise - noise.mean(axis=0))[0] * np.sqrt(num)  # uncorrelated, mean 0, variance 1
    noise -= noise.mean(axis=0)
    noise[:, 0] = 0
    return np.array(means) + spread * noise


@pytest.mark.parametrize(("gap", "place"), [(0.9 * LEAVE_REAL, 0), (1.1 * LEAVE_REAL, 1)])
def test_real_only_is_left_for_more_than_noise(gap: float, place: int) -> None:
    loss = gains_like([0.0, gap * 0.1], spread=1.0)  # the standard error over 100 rows is .1
    assert chosen(loss, np.ones(100)) == place
    assert chosen(loss, np.full(100, 4)) == 1  # every row four times: half the standard error


def test_the_simplest_policy_that_is_not_clearly_worse_than_the_best() -> None:
    """The difference of two policies has a standard error of .1 * sqrt(2) here."""
    close, clear = 0.65 - 0.95 * NEAR * 0.1 * 2**0.5, 0.65 - 1.05 * NEAR * 0.1 * 2**0.5
    assert chosen(gains_like([0, close, close, 0.65], 1.0), np.ones(100)) == 1
    assert chosen(gains_like([0, clear, close, 0.65], 1.0), np.ones(100)) == 2
    assert near(gains_like([0, clear, close, 0.65], 1.0), np.ones(100)).tolist() == [False, False, True, True]
    assert chosen(gains_like([0, clear, clear, 0.65], 1.0), np.ones(100)) == 3
    assert chosen(gains_like([0, 0.65, clear, close], 1.0), np.ones(100)) == 1


def test_real_only_is_no_simplest_policy() -> None:
    """Once it is left it does not come back, however noisy the others are among themselves."""
    loss = gains_like([0, 0.12, 0.15], 1.0)
    assert chosen(loss, np.ones(100)) == 1


def test_nobody_better_means_real_only() -> None:
    assert chosen(gains_like([0, -0.1, -0.5], 0.2), np.ones(100)) == 0
    assert near(gains_like([0, -0.1, -0.5], 0.2), np.ones(100)).tolist() == [True, False, False]


def test_a_policy_behind_real_only_is_never_recommended() -> None:
    """The simplest that cannot be told from the best may be behind RealOnly, where the best is hardly ahead of it."""
    loss = gains_like([0, -0.02, 0.02, 0.1], 1.0)
    assert near(loss, np.ones(100)).tolist() == [False, False, True, True] and chosen(loss, np.ones(100)) == 2
    assert chosen(np.zeros((20, 3)), np.ones(20)) == 0


def test_counts_stand_for_repeated_rows() -> None:
    loss = gains_like([0, 0.12, 0.15, 0.1], 1.0)
    for counts in bootstrap_counts(100, 20, np.random.default_rng(0)):
        assert chosen(loss, counts) == chosen(np.repeat(loss, counts, axis=0), np.ones(100))


def test_choosing_counts_groups_as_often_as_they_are_independent() -> None:
    """Five copies of each row as one group choose as the single rows do; as rows of their own they are surer."""
    rng = np.random.default_rng(5)
    differ = 0
    for _ in range(200):
        single = np.column_stack([np.zeros(40), rng.normal(0.1, 1.0, (40, 3))])
        copies, group = np.repeat(single, 5, axis=0), np.repeat(np.arange(40), 5).astype(str)
        shuffled = rng.permutation(200)
        counts = rng.multinomial(40, np.full(40, 1 / 40))
        choose = Chooser.of(copies[shuffled], group[shuffled])
        assert choose(np.repeat(counts, 5)[None, shuffled])[0] == chosen(single, counts)
        assert Chooser.of(copies, None)(np.repeat(counts, 5)[None])[0] == chosen(copies, np.repeat(counts, 5))
        differ += chosen(single, counts) != chosen(copies, np.repeat(counts, 5))
    assert differ > 20


def slowly(loss: np.ndarray, counts: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Slow twin: one draw, by the squared distances themselves."""
    total = counts @ size
    mean = counts @ loss / total
    best = int(np.argmax(mean))
    gap = mean[best] - mean
    error = np.sqrt(counts @ (loss[:, [best]] - loss - size[:, None] * gap) ** 2 / total / total)
    if gap[0] <= LEAVE_REAL * error[0]:
        return np.arange(loss.shape[1]) == 0
    return (gap <= NEAR * error) & (mean > 0)


@pytest.mark.parametrize("part", [1, 700, 2**24])
@pytest.mark.parametrize("far", [0.0, 1000.0])
def test_many_draws_at_once_are_as_one_by_one(part: int, far: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """In parts of any size, with groups of several rows, and where all policies are far ahead of RealOnly."""
    monkeypatch.setattr(resampling, "PART", part)
    rng = np.random.default_rng(0)
    differ = set()
    for size in (np.ones(60), rng.integers(1, 9, 60).astype(float)):
        loss = np.column_stack([np.zeros(60), size[:, None] * (far + rng.normal([0.1, 0.2, 0.25, 0.2], 1.0, (60, 4)))])
        counts = bootstrap_counts(60, 300, rng)
        found = near_best(loss, counts, size)
        for count, row in zip(counts, found, strict=True):
            assert np.array_equal(row, slowly(loss, count, size))
        assert np.array_equal(recommend(loss, counts, size), found.argmax(axis=1))
        differ |= {tuple(row) for row in found.tolist()}
    assert len(differ) > 8


def test_of_policies_that_are_the_same_the_simpler_one_is_taken() -> None:
    """Sums over rows differ in their last digit from column to column; that is no difference of policies."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        n, p = int(rng.integers(20, 500)), int(rng.integers(4, 22))
        loss = np.column_stack([np.zeros(n), rng.normal(0.1, 0.3, (n, p - 1))])
        first, second = sorted(rng.choice(np.arange(1, p), 2, replace=False))
        loss[:, first] += 1.0
        loss[:, second] = loss[:, first]
        assert set(recommend(loss, bootstrap_counts(n, 20, rng))) == {first}
