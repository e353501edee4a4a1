"""Distances between samples: slow twins, null expectations, coverage; planted, silent and refused cases."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from synthsift.drift.closed_forms import frechet_gaussian, frechet_null
from synthsift.drift.measures import (
    energy_distance,
    fourier_features,
    frechet_distance,
    mean_feature_distance,
    median_bandwidth,
    mmd2,
    sliced_wasserstein,
    thinned,
    wasserstein_1d,
)
from synthsift.drift.neighborhoods import nearest_neighbor_accuracy, neighborhood_scores
from synthsift.drift.traces import Measured
from synthsift.records import DataError

LINEAR_TIME: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], Measured]] = {
    "mean features": lambda x, y, rng: mean_feature_distance(x, y, rng=rng, num_draws=0),
    "mmd2": lambda x, y, rng: mmd2(x, y, 1.5),
    "energy": lambda x, y, rng: energy_distance(x, y),
    "frechet": lambda x, y, rng: frechet_distance(x, y),
    "sliced": lambda x, y, rng: sliced_wasserstein(x, y, rng=rng, num_directions=20),
}


def pair(n: int, m: int, d: int, shift: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    y = rng.standard_normal((m, d))
    y[:, 0] += shift
    return rng.standard_normal((n, d)), y


def slow_two_sample(kernel: Callable[[float], float], x: np.ndarray, y: np.ndarray) -> float:
    """Mean over distinct pairs within x and within y minus twice the mean across, by loops."""
    within = [
        np.mean([kernel(float(np.linalg.norm(a - b))) for i, a in enumerate(s) for j, b in enumerate(s) if i != j])
        for s in (x, y)
    ]
    across = np.mean([kernel(float(np.linalg.norm(a - b))) for a in x for b in y])
    return float(within[0] + within[1] - 2 * across)


def test_quadratic_measures_against_double_loops() -> None:
    x, y = pair(50, 60, 3, 0.5, np.random.default_rng(0))
    x, y = x + 1000, y + 1000  # far from the origin, where careless distances lose digits
    expected = slow_two_sample(lambda r: math.exp(-(r**2) / (2 * 1.3**2)), x, y)
    assert mmd2(x, y, 1.3).value == pytest.approx(expected, rel=1e-9)
    assert energy_distance(x, y).value == pytest.approx(slow_two_sample(lambda r: -r, x, y), rel=1e-6)


def test_mean_feature_distance_is_mmd_with_the_linear_kernel() -> None:
    x, y = pair(50, 60, 3, 0.5, np.random.default_rng(1))
    products = [(s @ s.T).sum() - np.sum(s**2) for s in (x, y)]
    slow = products[0] / (50 * 49) + products[1] / (60 * 59) - 2 * (x @ y.T).mean()
    assert mean_feature_distance(x, y, rng=np.random.default_rng(0), num_draws=0).value == pytest.approx(slow, rel=1e-9)


@pytest.mark.parametrize("name", LINEAR_TIME)
def test_no_drift_gives_zero_in_the_mean(name: str) -> None:
    rng = np.random.default_rng(2)
    values = [LINEAR_TIME[name](*pair(300, 200, 3, 0.0, rng), rng).value for _ in range(80)]
    error = np.std(values) / math.sqrt(len(values))
    assert abs(np.mean(values)) <= 4 * error, f"{np.mean(values):.5f} +- {error:.5f}"


@pytest.mark.parametrize("name", LINEAR_TIME)
def test_planted_drift_is_seen_and_grows(name: str) -> None:
    rng = np.random.default_rng(3)
    small, large = (LINEAR_TIME[name](*pair(500, 500, 3, s, rng), rng).value for s in (0.5, 1.5))
    assert 0 < small < large


def test_values_under_drift_are_those_of_the_laws() -> None:
    rng = np.random.default_rng(4)
    pairs = [pair(400, 300, 4, 0.6, rng) for _ in range(60)]
    for got, exact in (
        ([mean_feature_distance(*p, rng=rng, num_draws=0).value for p in pairs], 0.36),
        # Gaussian kernel, width s, N(0,I) against N(mu,I): 2 (s^2/(s^2+2))^{d/2} (1 - exp(-mu^2/(2(s^2+2)))).
        ([mmd2(*p, 2.0).value for p in pairs], 2 * (4 / 6) ** 2 * (1 - math.exp(-0.36 / 12))),
    ):
        error = np.std(got) / math.sqrt(len(got))
        assert abs(np.mean(got) - exact) <= 4 * error, f"{np.mean(got):.4f} +- {error:.4f}, exact {exact:.4f}"


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_bootstrap_interval_covers(shift: float) -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(200):
        got = mean_feature_distance(*pair(200, 200, 5, shift, rng), rng=rng, num_draws=100)
        hits += got.low <= shift**2 <= got.high
    # 95 % is promised; 3 standard deviations of 200 trials are 4.6 points. Near zero it is wide on purpose.
    assert hits / 200 >= 0.95 - 0.046


def test_frechet_null_bias_against_simulation() -> None:
    rng = np.random.default_rng(6)
    raw = [frechet_distance(*pair(500, 500, 10, 0.0, rng)).raw for _ in range(60)]
    error = np.std(raw) / math.sqrt(60)
    assert frechet_null(np.eye(10), 500, 500) == pytest.approx(0.15, rel=1e-12)
    x, y = pair(500, 500, 10, 0.0, rng)
    slow = frechet_gaussian(y.mean(0), np.cov(y.T), x.mean(0), np.cov(x.T))
    assert frechet_distance(x, y).raw == pytest.approx(slow, rel=1e-9)
    assert abs(np.mean(raw) - 0.15) <= 4 * error, f"{np.mean(raw):.4f} +- {error:.4f}"


def test_fourier_features_estimate_the_gaussian_kernel() -> None:
    rng = np.random.default_rng(7)
    x, y = pair(2000, 2000, 3, 1.0, rng)
    exact = 2 * (4 / 6) ** 1.5 * (1 - math.exp(-1 / 12))
    features = [fourier_features(3, 400, 2.0, rng) for _ in range(10)]
    values = [mean_feature_distance(f(x), f(y), rng=rng, num_draws=0).value for f in features]
    assert np.mean(values) == pytest.approx(exact, abs=4 * np.std(values) / math.sqrt(10) + 0.01)
    assert np.abs(features[0](x)).max() <= math.sqrt(2 / 400)
    assert median_bandwidth(x, rng) == pytest.approx(
        math.sqrt(2 * 2.366), rel=0.05
    )  # chi2 with 3 degrees: median 2.366
    assert median_bandwidth(np.ones((5, 2)), rng) == 1.0


@pytest.mark.parametrize(("n", "m"), [(40, 40), (40, 60), (30, 7)])
def test_wasserstein_against_repeated_rows(n: int, m: int) -> None:
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal((n, 2)), 1 + rng.standard_normal((m, 2))
    common = math.lcm(n, m)
    long_x, long_y = (np.sort(np.repeat(s, common // len(s), axis=0), axis=0) for s in (x, y))
    for power in (1, 2):
        slow = (np.abs(long_x - long_y) ** power).mean(axis=0)
        np.testing.assert_allclose(wasserstein_1d(x, y, power), slow, rtol=1e-9)


def test_wasserstein_null_in_one_dimension() -> None:
    rng = np.random.default_rng(9)
    values = wasserstein_1d(rng.standard_normal((500, 1000)), rng.standard_normal((500, 1000)))
    assert abs(values.mean() - 0.0123) <= 4 * values.std() / math.sqrt(1000) + 5e-5


def slow_neighborhoods(x: np.ndarray, y: np.ndarray, k: int) -> tuple[float, float, float, float]:
    """Precision, recall, density, coverage by their definitions."""
    reach = [[sorted(np.linalg.norm(a - b) for b in s)[k] for a in s] for s in (x, y)]
    inside = np.array([[np.linalg.norm(a - b) <= r for b in y] for a, r in zip(x, reach[0], strict=True)])
    reached = np.array([[np.linalg.norm(a - b) <= r for b, r in zip(y, reach[1], strict=True)] for a in x])
    return inside.any(0).mean(), reached.any(1).mean(), inside.sum() / (k * len(y)), inside.any(1).mean()


def test_neighborhood_scores_against_double_loops() -> None:
    x, y = pair(55, 60, 2, 0.8, np.random.default_rng(10))
    got = neighborhood_scores(x, y, rng=np.random.default_rng(0), k=3, num_null=0)
    expected = slow_neighborhoods(x, y, 3)
    assert [got[name].value for name in ("precision", "recall", "density", "coverage")] == pytest.approx(expected)
    assert math.isnan(got["precision"].null)


def test_neighborhood_nulls() -> None:
    rng = np.random.default_rng(11)
    runs = [neighborhood_scores(*pair(200, 400, 8, 0.0, rng), rng=rng, k=3) for _ in range(40)]
    for name in ("precision", "recall", "density", "coverage"):
        gaps = [run[name].value - run[name].null for run in runs]
        assert abs(np.mean(gaps)) <= 4 * np.std(gaps) / math.sqrt(40), name
    assert runs[0]["coverage"].null == pytest.approx(0.9637, abs=5e-5)
    accuracy = [nearest_neighbor_accuracy(*pair(200, 400, 8, 0.0, rng)) for _ in range(40)]
    values = [a.value for a in accuracy]
    assert abs(np.mean(values) - accuracy[0].null) <= 4 * np.std(values) / math.sqrt(40)
    assert accuracy[0].null == pytest.approx(0.5548, abs=1e-4)


def test_a_lost_mode_shows_in_recall_and_coverage_only() -> None:
    rng = np.random.default_rng(12)
    x = rng.standard_normal((600, 2)) + np.where(rng.random(600) < 0.3, 8.0, 0.0)[:, None]
    y = rng.standard_normal((600, 2))
    got = neighborhood_scores(x, y, rng=rng)
    assert got["recall"].value < 0.8 and got["coverage"].value < 0.8 and got["precision"].value > 0.95
    copied = nearest_neighbor_accuracy(x, x + 1e-9)
    assert copied.value < 0.1 < copied.null, "copies are each other's nearest neighbors"
    assert nearest_neighbor_accuracy(x, y + 50).value == 1.0


def test_thinned_keeps_small_samples_and_order() -> None:
    rows = np.arange(20.0)[:, None]
    assert thinned(rows, np.random.default_rng(0)) is rows
    some = thinned(rows, np.random.default_rng(0), 5)[:, 0]
    assert len(some) == 5 and np.all(np.diff(some) > 0)


BAD = {
    "too few rows": (np.zeros((10, 2)), np.zeros((80, 2)), "at least 50"),
    "different widths": (np.zeros((80, 2)), np.zeros((80, 3)), "wide"),
    "nan": (np.zeros((80, 2)), np.full((80, 2), np.nan), "NaN"),
    "images": (np.zeros((80, 2, 2)), np.zeros((80, 2, 2)), "rows of features"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_samples_are_refused(case: str) -> None:
    x, y, match = BAD[case]
    rng = np.random.default_rng(0)
    calls = [*LINEAR_TIME.values(), lambda x, y, rng: nearest_neighbor_accuracy(x, y)]
    calls.append(lambda x, y, rng: neighborhood_scores(x, y, rng=rng)["recall"])
    for call in calls:
        with pytest.raises(DataError, match=match):
            call(x, y, rng)


def test_other_bad_settings_are_refused() -> None:
    rng = np.random.default_rng(0)
    x, y = pair(60, 60, 80, 0.0, rng)
    with pytest.raises(DataError, match="more rows than"):
        frechet_distance(x, y)
    with pytest.raises(DataError, match="bandwidth"):
        mmd2(x, y, 0.0)
    with pytest.raises(DataError, match="bandwidth"):
        fourier_features(2, 5, -1.0, rng)
