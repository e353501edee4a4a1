"""Means that are too close: calibrated for independent samples, small for a generator that was fitted on the rows."""

from __future__ import annotations

import numpy as np
import pytest

from synthsift.numerics.overlap import Nearness, nearness

Sample = tuple[np.ndarray, np.ndarray]


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
