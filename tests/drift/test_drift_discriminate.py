"""Lower bounds stay below the truth and reach most of it; p-values are uniform without drift and small with it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr

from synthsift.drift.closed_forms import chi2_gaussian
from synthsift.drift.discriminate import (
    chi2_lower_bound,
    mean_feature_p_value,
    permutation_p_value,
    tv_lower_bound,
)
from synthsift.drift.measures import mean_feature_distance
from synthsift.records import DataError


def sample(n: int, d: int, mean: float, variance: float, rng: np.random.Generator) -> np.ndarray:
    """N(0, I) but for the first coordinate, N(mean, variance)."""
    rows = rng.standard_normal((n, d))
    rows[:, 0] = mean + math.sqrt(variance) * rows[:, 0]
    return rows


def test_variational_chi2_reaches_most_of_the_truth() -> None:
    rng, truth = np.random.default_rng(0), chi2_gaussian(0.3, 1.2, 0, 1)
    found = [chi2_lower_bound(sample(5000, 1, 0, 1, rng), sample(5000, 1, 0.3, 1.2, rng), rng=rng) for _ in range(12)]
    values = [f.value for f in found]
    # Specification: .1295 with SD .025 for one run; truth .14215.
    assert np.mean(values) == pytest.approx(0.1295, abs=3 * 0.025 / math.sqrt(12))
    assert np.mean(values) <= truth + 3 * np.std(values) / math.sqrt(12)
    assert sum(f.low > truth for f in found) <= 2, "a 95 % lower bound is above the truth in 5 % of runs"
    assert all(f.low > 0 for f in found)


def test_projected_chi2_in_ten_dimensions_is_honest() -> None:
    rng = np.random.default_rng(1)
    values = [
        chi2_lower_bound(sample(2000, 10, 0, 1, rng), sample(2000, 10, 0.3, 1.2, rng), rng=rng).value for _ in range(12)
    ]
    # Specification: .090 with SD .044 for one run of a projected bound; plug-in ratios give .84.
    assert np.mean(values) == pytest.approx(0.09, abs=3 * 0.044 / math.sqrt(12))
    assert np.mean(values) <= 0.14215


def test_infinite_chi2_has_a_finite_bound() -> None:
    rng = np.random.default_rng(2)
    got = chi2_lower_bound(sample(2000, 2, 0, 1, rng), sample(2000, 2, 0, 2.5, rng), rng=rng)
    assert math.isfinite(got.value) and got.low > 0


def test_bounds_are_not_positive_without_drift() -> None:
    rng = np.random.default_rng(3)
    chi2 = [chi2_lower_bound(*rng.standard_normal((2, 400, 3)), rng=rng) for _ in range(60)]
    tv = [tv_lower_bound(*rng.standard_normal((2, 400, 3)), rng=rng) for _ in range(60)]
    for found in (chi2, tv):
        # 5 % of 60 is 3; 8 is three binomial deviations above.
        assert sum(f.low > 0 for f in found) <= 8
    assert np.mean([f.value for f in chi2]) <= 0
    values = [f.value for f in tv]
    assert abs(np.mean(values)) <= 4 * np.std(values) / math.sqrt(60)


@pytest.mark.parametrize("d", [1, 10])
def test_total_variation_bound(d: int) -> None:
    rng, truth = np.random.default_rng(4), 2 * float(ndtr(0.5)) - 1
    found = [tv_lower_bound(sample(1000, d, 0, 1, rng), sample(800, d, 1.0, 1, rng), rng=rng) for _ in range(15)]
    values = [f.value for f in found]
    error = np.std(values) / math.sqrt(15)
    assert truth - 0.05 - 4 * error <= np.mean(values) <= truth + 4 * error
    assert sum(f.low > truth for f in found) <= 2


def test_constant_and_repeated_columns_are_harmless() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((2, 300, 2))
    x, y = (np.concatenate([s, s, np.ones((300, 1))], axis=1) for s in (x, y + 2))
    assert chi2_lower_bound(x, y, rng=rng).low > 0 and tv_lower_bound(x, y, rng=rng).low > 0.3
    same = np.ones((300, 2))
    assert chi2_lower_bound(same, same, rng=rng).value == pytest.approx(0, abs=1e-9)


def test_permutation_p_values_are_uniform_without_drift() -> None:
    rng = np.random.default_rng(6)
    p = np.sort(
        [mean_feature_p_value(*rng.standard_normal((2, 80, 3)), rng=rng, num_permutations=99) for _ in range(200)]
    )
    # Kolmogorov-Smirnov at 0.1 %, plus the 1/100 grid of the p-values.
    assert np.max(np.abs(p - (np.arange(200) + 0.5) / 200)) <= 1.95 / math.sqrt(200) + 0.01


def test_fast_and_general_p_values_agree() -> None:
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal((60, 3)), rng.standard_normal((80, 3)) + 0.15

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.sum((a.mean(0) - b.mean(0)) ** 2))

    fast = mean_feature_p_value(x, y, rng=rng, num_permutations=1999)
    slow = permutation_p_value(distance, x, y, rng=rng, num_permutations=1999)
    assert abs(fast - slow) <= 4 * math.sqrt(2 * slow * (1 - slow) / 1999)
    assert mean_feature_p_value(x, y + 2, rng=rng) == pytest.approx(1 / 200)
    assert mean_feature_distance(x, y + 2, rng=rng).low > 0


def test_bad_input_is_refused() -> None:
    rng = np.random.default_rng(8)
    x = rng.standard_normal((80, 2))
    with pytest.raises(DataError, match="at least 100"):
        chi2_lower_bound(x, x, rng=rng)
    with pytest.raises(DataError, match="at least 100"):
        tv_lower_bound(x, x, rng=rng)
    with pytest.raises(DataError, match="NaN"):
        mean_feature_p_value(x, np.full((80, 2), np.nan), rng=rng)
    with pytest.raises(DataError, match="permutations"):
        mean_feature_p_value(x, x, rng=rng, num_permutations=5)
    with pytest.raises(DataError, match="wide"):
        permutation_p_value(lambda a, b: 0.0, x, x[:, :1], rng=rng)
