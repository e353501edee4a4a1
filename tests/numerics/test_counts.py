from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from synthsift.numerics.counts import new_level_p_value, same_mix_p_value


def test_equals_the_test_of_a_two_by_c_table() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        counts = rng.integers(1, 50, size=(2, 6))
        expected = chi2_contingency(counts, correction=False).pvalue
        assert same_mix_p_value(*counts) == pytest.approx(expected, rel=1e-6)


def test_one_mix_is_rejected_as_often_as_the_level_says() -> None:
    rng = np.random.default_rng(0)
    values = [same_mix_p_value(*(rng.multinomial(n, [0.1] * 10) for n in (300, 1500))) for _ in range(1000)]
    assert np.mean(np.array(values) < 0.01) < 0.02  # 1 % and three standard errors of 1,000 draws


def test_classes_without_rows_do_not_count() -> None:
    first, second = np.array([5, 0, 20]), np.array([30, 0, 30])
    assert same_mix_p_value(first, second) == same_mix_p_value(first[[0, 2]], second[[0, 2]])
    assert same_mix_p_value(np.array([5, 0]), np.array([7, 0])) == 1.0


def deals(first: np.ndarray, second: np.ndarray, draws: int) -> list[np.ndarray]:
    """Slow twin: which levels (levels,) the first sample lacks when rows are dealt anew within classes."""
    rng, found = np.random.default_rng(0), []
    for _ in range(draws):
        one = np.zeros(len(first), dtype=int)
        for k in range(first.shape[1]):
            pool = np.repeat(np.arange(len(first)), (first + second)[:, k])
            one += np.bincount(rng.permutation(pool)[: first[:, k].sum()], minlength=len(first))
        found.append((one == 0) & ((first + second).sum(axis=1) > 0))
    return found


@pytest.mark.parametrize("sizes", [(60, 80), (40, 200), (150, 30)])
def test_levels_of_one_sample_are_as_likely_as_rows_dealt_anew_make_them(sizes: tuple[int, int]) -> None:
    """The bound holds at every level, and is not idle: half of the deals have a value of their own below 1."""
    rng = np.random.default_rng(1)
    share = rng.dirichlet(np.full(30, 0.3), size=2).T
    first, second = (np.stack([rng.multinomial(n, share[:, k]) for k in (0, 1)], axis=1) for n in sizes)
    pooled, found = first + second, []
    for new in deals(first, second, 2000):
        kept = first.copy()  # only the sizes of both samples and the new levels count, the rest may be anything
        kept[new] = 0
        kept[np.flatnonzero(~new)[0]] += first.sum(axis=0) - kept.sum(axis=0)
        found.append(new_level_p_value(kept, pooled - kept, new))
    found = np.array(found)
    for level in (0.5, 0.2, 0.05, 0.01):
        assert np.mean(found <= level) <= level + 3 * np.sqrt(level * (1 - level) / 2000)
    assert np.quantile(found, 0.02) < 0.6


def test_a_single_new_level_has_the_chance_of_its_rows() -> None:
    """100 + 100 rows of one old level, and 12 rows of a new one in the second sample: C(200, 100) / C(212, 100)."""
    first, second, new = np.array([[100], [0]]), np.array([[100], [12]]), np.array([False, True])
    chance = np.prod([(112 - k) / (212 - k) for k in range(12)])
    assert new_level_p_value(first, second, new) == pytest.approx(2 * chance, rel=1e-3)
    assert new_level_p_value(first, second, np.zeros(2, dtype=bool)) == 1.0


def test_one_frequent_new_level_is_not_lost_among_rare_ones() -> None:
    rare = np.repeat([[1, 0], [0, 1]], 40, axis=0)
    first = np.concatenate([[[60], [0]], rare[:, :1]])
    second = np.concatenate([[[60], [40]], rare[:, 1:]])
    new = (first == 0)[:, 0]
    assert new_level_p_value(first, second, new) < 1e-9
    new[1] = False
    assert new_level_p_value(first, second, new) > 0.1


def test_rows_that_are_all_different_prove_nothing() -> None:
    first, second = np.repeat([[1], [0]], 50, axis=0), np.repeat([[0], [1]], 50, axis=0)
    assert new_level_p_value(first, second, first[:, 0] == 0) == pytest.approx(1.0)


def test_a_class_of_few_rows_may_have_levels_of_its_own() -> None:
    """Levels of class 1 are new in the second sample, which holds 300 rows of it; the first holds 2."""
    first, second = np.array([[200, 0], [0, 2], [0, 0]]), np.array([[100, 0], [0, 200], [0, 100]])
    new = np.array([False, False, True])
    assert new_level_p_value(first, second, new) > 0.1
    assert new_level_p_value(first.sum(axis=1)[:, None], second.sum(axis=1)[:, None], new) < 1e-6
