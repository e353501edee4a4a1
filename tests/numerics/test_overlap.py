"""Means that are too close: calibrated for independent samples, small for a generator that was fitted on the rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from synthsift.numerics.overlap import EXACT, Nearness, judges
from synthsift.numerics.overlap import nearness as near

Sample = tuple[np.ndarray, np.ndarray]


def nearness(x: np.ndarray, y: np.ndarray, synth_x: np.ndarray, synth_y: np.ndarray) -> Nearness:
    """Of one source alone."""
    return near(judges(x, y, synth_x, synth_y), synth_x, synth_y)


def draw(num: int, rng: np.random.Generator, shape: np.ndarray, centers: np.ndarray, *, heavy: bool = False) -> Sample:
    y = rng.integers(len(centers), size=num)
    z = rng.standard_t(4, (num, len(shape))) if heavy else rng.standard_normal((num, len(shape)))
    return centers[y] + z @ shape, y


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("wide", [False, True])
def test_independent_samples_are_seldom_near(heavy: bool, wide: bool) -> None:
    rng, p_values = np.random.default_rng(int(heavy)), []
    trials = 120 if wide else 500
    for _ in range(trials):
        dim, num_classes = int(rng.integers(100, 120)) if wide else int(rng.integers(2, 30)), int(rng.integers(2, 5))
        shape = rng.standard_normal((dim, dim)) * np.geomspace(1, rng.uniform(0.02, 1), dim)
        centers = rng.standard_normal((num_classes, dim)) @ shape * 0.5
        real = draw(int(rng.integers(40, 400)), rng, shape, centers, heavy=heavy)
        made = draw(int(rng.integers(40, 2000)), rng, shape, centers, heavy=heavy)
        p_values.append(nearness(*real, *made).p_value)
    for level in (0.1, 0.01):  # at most the level, up to three standard errors
        assert np.mean(np.array(p_values) < level) <= level + 3 * np.sqrt(level / trials), level


@pytest.mark.parametrize("kind", ["normal", "bootstrap", "interpolated"])
def test_a_generator_that_learned_the_rows_is_near(kind: str) -> None:
    rng = np.random.default_rng(0)
    shape, centers = np.eye(10), rng.standard_normal((3, 10))
    x, y = draw(200, rng, shape, centers)
    made = rng.integers(3, size=1000)
    of_class = [np.flatnonzero(y == k) for k in range(3)]
    pairs = np.stack([rng.choice(of_class[k], 2) for k in made])
    rows = {
        "normal": np.stack(
            [rng.multivariate_normal(x[of_class[k]].mean(axis=0), np.cov(x[of_class[k]].T)) for k in made]
        ),
        "bootstrap": x[pairs[:, 0]] + 0.3 * rng.standard_normal((1000, 10)),
        "interpolated": x[pairs[:, 0]] + rng.random((1000, 1)) * (x[pairs[:, 1]] - x[pairs[:, 0]]),
    }[kind]
    assert nearness(x, y, rows, made).p_value < 1e-3
    fresh, labels = draw(200, rng, shape, centers)  # to rows it has not seen, the same generator is as far as any
    assert nearness(fresh, labels, rows, made).p_value > 0.01


def test_too_few_rows_say_nothing() -> None:
    x, y = np.random.default_rng(0).standard_normal((40, 3)), np.arange(40) % 2
    assert nearness(x, y, x[:4], y[:4]) == Nearness(1.0, 1.0)
    assert nearness(np.ones((40, 3)), y, np.ones((40, 3)), y) == Nearness(1.0, 1.0), "constant columns"
    assert nearness(x, y, x[:0], y[:0]) == Nearness(1.0, 1.0)


@pytest.mark.parametrize(
    ("classes", "each", "made_each", "dim", "apart"),
    [(50, 10, 50, 64, 2.0), (100, 10, 20, 128, 1.0), (10, 50, 100, 64, 9.0)],
)
def test_classes_of_fixed_sizes_are_not_near(classes: int, each: int, made_each: int, dim: int, apart: float) -> None:
    """Where so many rows of each class are drawn, what tells classes apart adds nothing to the error of the mean."""
    p_values, rng = [], np.random.default_rng(0)
    for _ in range(30):
        centers = np.sqrt(apart) * rng.standard_normal((classes, dim))
        y, z = np.repeat(np.arange(classes), each), np.repeat(np.arange(classes), made_each)
        x, made = (centers[labels] + rng.standard_normal((len(labels), dim)) for labels in (y, z))
        p_values.append(nearness(x, y, made, z).p_value)
    assert np.mean(np.array(p_values) < 0.1) <= 0.1 + 3 * np.sqrt(0.1 / 30)


def test_a_class_of_one_made_row_does_not_widen_what_is_expected() -> None:
    """Each class by its own covariance: pooled, the narrow class of one row would let any distance look small."""
    p_values, rng = [], np.random.default_rng(0)
    scale = np.array([0.01, 1.0])
    for _ in range(100):
        y, z = np.repeat([0, 1], 100), np.repeat([0, 1], [1, 400])
        x, made = (scale[labels][:, None] * rng.standard_normal((len(labels), 20)) for labels in (y, z))
        p_values.append(nearness(x, y, made, z).p_value)
    assert np.mean(np.array(p_values) < 0.1) <= 0.1 + 3 * np.sqrt(0.1 / 100)


@pytest.mark.parametrize("expected", [1, 3, 10])
def test_rare_columns_are_not_near(expected: int) -> None:
    """A column with a one or two in it is scaled by the very count that its mean consists of."""
    p_values, rng = [], np.random.default_rng(expected)
    for _ in range(15):
        x, made = (np.hstack([rng.random((1000, 200)) < expected / 1000, rng.standard_normal((1000, 8))]) for _ in "ab")
        p_values.append(nearness(x, rng.integers(2, size=1000), made, rng.integers(2, size=1000)).p_value)
    assert np.mean(np.array(p_values) < 0.1) <= 0.1 + 3 * np.sqrt(0.1 / 15)


def test_files_scaled_each_by_itself_are_told_and_not_near() -> None:
    rng = np.random.default_rng(0)
    x, made = rng.standard_normal((120, 20)), rng.standard_normal((3000, 20))
    y, z = rng.integers(2, size=120), rng.integers(2, size=3000)
    scaled = [np.round((rows - rows.mean(axis=0)) / rows.std(axis=0), 4) for rows in (x, made)]
    assert nearness(scaled[0], y, scaled[1], z) == Nearness(1.0, 1.0, 20)
    assert nearness(x, y, made, z).equal == 0
    assert round(1 / (2 * norm.cdf(EXACT) - 1)) == 125, "docs/findings.md names how often it happens to a column"
    some = [np.hstack([rows, old[:, :8] + 3]) for rows, old in zip(scaled, (x, made), strict=True)]
    found = nearness(some[0], y, some[1], z)  # the other columns are judged, and equal means are counted once
    assert found.equal == 20 and found.p_value > 0.01
    learned = np.hstack([scaled[1], 3 + x[rng.integers(120, size=3000), :8] + 0.3 * rng.standard_normal((3000, 8))])
    assert nearness(some[0], y, learned, z).p_value < 1e-3


def test_rows_moved_there_and_back_are_near_although_their_means_are_equal() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((120, 20)), rng.integers(3, size=120)
    step = 0.5 * rng.standard_normal((120, 20))
    found = nearness(x, y, np.concatenate([x + step, x - step]), np.concatenate([y, y]))
    assert found.equal == 0 and found.p_value < 1e-3


def test_many_sources_are_compared_with_rows_that_were_prepared_once() -> None:
    """Directions come from all sources then; what is near stays near, and what is not does not become so."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((200, 100)), rng.integers(3, size=200)  # more columns than 200 rows can judge
    own = x[rng.integers(200, size=900)] + 0.5 * rng.standard_normal((900, 100))
    other = 0.3 * rng.standard_normal(100) + rng.standard_normal((900, 100))
    z = rng.integers(3, size=900)
    real = judges(x, y, np.concatenate([own, other]), np.concatenate([z, z]))
    assert near(real, own, z).p_value < 1e-3 < 0.5 < near(real, other, z).p_value
