from __future__ import annotations

import numpy as np
import pytest

from synthsift.numerics.intervals import auc_interval, few_rows, share_difference, share_interval


def test_published_values() -> None:
    """Newcombe 1998: 81 of 263 (Wilson), and 56 / 70 - 48 / 80 (method 10)."""
    assert share_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert share_difference(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=1e-4)


@pytest.mark.parametrize(("hits", "low", "high"), [(0, 0.0, 0.2775), (10, 0.7225, 1.0)])
def test_shares_at_the_ends_have_a_width(hits: int, low: float, high: float) -> None:
    assert share_interval(hits, 10) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("p", "q", "n", "m"), [(0.05, 0.05, 100, 60), (0.3, 0.2, 80, 200), (0.98, 0.9, 150, 40)])
def test_coverage_of_differences(p: float, q: float, n: int, m: int) -> None:
    rng = np.random.default_rng(0)
    intervals = [
        share_difference(*pair)
        for pair in zip(rng.binomial(n, p, 2000), [n] * 2000, rng.binomial(m, q, 2000), [m] * 2000, strict=True)
    ]
    inside = np.mean([low <= p - q <= high for low, high in intervals])
    assert 0.935 <= inside <= 0.985


@pytest.mark.parametrize(("shift", "n", "m"), [(0.0, 40, 80), (1.0, 60, 60), (2.5, 200, 100)])
def test_coverage_of_the_auc(shift: float, n: int, m: int) -> None:
    from scipy.stats import norm

    rng, truth, inside = np.random.default_rng(1), norm.cdf(shift / np.sqrt(2)), []
    for _ in range(1000):
        a, b = rng.standard_normal(n) + shift, rng.standard_normal(m)
        low, high = auc_interval(float(np.mean(a[:, None] > b)), n, m)
        inside.append(low <= truth <= high)
    assert 0.925 <= np.mean(inside) <= 0.99


@pytest.mark.parametrize("auc", [0.0, 0.3, 1.0])
def test_an_auc_of_few_rows_is_never_certain(auc: float) -> None:
    low, high = auc_interval(auc, 30, 30)
    assert 0 <= low <= auc <= high <= 1 and high - low > 0.06
    assert auc_interval(1 - auc, 30, 30) == pytest.approx((1 - high, 1 - low))
    wide = auc_interval(auc, 30, 30, inflation=1.3)
    assert wide[1] - wide[0] > high - low


@pytest.mark.parametrize("sizes", [(200, 12), (150, 8, 8), (60, 60)])
def test_coverage_of_a_mean_over_classes_of_few_rows(sizes: tuple[int, ...]) -> None:
    """3000 samples of normal values, noisier in rare classes: 95 % with the factor, too few without it."""
    rng, y = np.random.default_rng(2), np.repeat(np.arange(len(sizes)), sizes)
    noise, inside, plain = np.where(y == 0, 1.0, 3.0), 0, 0
    for _ in range(3000):
        values = 5 * noise * rng.standard_normal(len(y))  # the row that is added to each class is small beside them
        parts = [values[y == k] for k in range(len(sizes))]
        error = np.sqrt(sum(part.var(ddof=1) / len(part) for part in parts)) / len(sizes)
        mean = np.mean([part.mean() for part in parts])
        inside += abs(mean) <= 1.96 * error * few_rows(values, y)
        plain += abs(mean) <= 1.96 * error
    assert inside / 3000 == pytest.approx(0.95, abs=0.015)  # three standard errors, and .3 % of the approximation
    assert plain < inside - (0 if min(sizes) > 50 else 30)


def test_the_spread_over_drawn_rows_is_that_of_class_means() -> None:
    """A class of 8 of 96 rows: draws of all rows together are not too narrow, as those inside a class would be."""
    rng, y = np.random.default_rng(3), np.repeat([0, 1], [88, 8])
    ratios = []
    for _ in range(200):
        values = rng.standard_normal(96)
        counts = rng.multinomial(96, np.full(96, 1 / 96), size=200)
        counts = counts[counts[:, 88:].sum(axis=1) > 0]
        means = [(counts[:, y == k] @ values[y == k]) / counts[:, y == k].sum(axis=1) for k in (0, 1)]
        right = sum(values[y == k].var(ddof=1) / np.count_nonzero(y == k) for k in (0, 1))
        ratios.append(np.var(means[0] + means[1], ddof=1) / right)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("num", [0, 1, 5])
def test_classes_of_one_row_need_no_factor(num: int) -> None:
    assert few_rows(np.zeros(num), np.arange(num)) == 1.0


def test_many_rows_in_every_class_need_no_factor() -> None:
    y = np.arange(6000) % 3
    assert few_rows(np.sin(np.arange(6000.0)), y) == pytest.approx(1.0, abs=2e-3)
    alone = np.append(y, 3)  # a class of one row shows no spread, and is left to the others
    assert few_rows(np.sin(np.arange(6001.0)), alone) == pytest.approx(1.0, abs=2e-3)
