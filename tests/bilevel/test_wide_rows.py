"""Many columns: what is found by products with the rows equals what decompositions of all products of columns give."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthsift.bilevel import inner, inputs
from synthsift.bilevel.inner import SLACK, LinearLearner
from synthsift.bilevel.inputs import leading_directions
from synthsift.numerics.leading import leading_eigen


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """More than 100 columns count as wide."""
    monkeypatch.setattr(inputs, "NARROW", 100)
    monkeypatch.setattr(inner, "NARROW", 100)
    return monkeypatch


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [30, 600])
def test_leading_directions_are_the_same_up_to_sign(wide: pytest.MonkeyPatch, dtype: type, count: int) -> None:
    x = (np.random.default_rng(0).standard_normal((count, 200)) * np.geomspace(3, 0.1, 200)).astype(dtype)
    found = leading_directions(x, 8)
    wide.setattr(inputs, "NARROW", 200)
    expected = leading_directions(x, 8)
    assert found.shape == expected.shape == (200, 8)
    assert np.allclose(np.abs((found * expected).sum(axis=0)), 1.0, atol=1e-4)
    assert np.allclose(found.T @ found, np.eye(8), atol=1e-12)
    assert np.array_equal(expected, leading_directions(x, 8)) and np.array_equal(found, leading_eigen_of(x))


def leading_eigen_of(x: np.ndarray) -> np.ndarray:
    return leading_eigen(x - x.mean(axis=0), 8)[1]


def test_directions_without_variance_are_still_directions(wide: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    plane = rng.standard_normal((30, 2)) @ rng.standard_normal((2, 200))
    for x in (plane, plane.astype(np.float32), plane[:4], np.zeros((30, 200)), np.ones((1, 200))):
        found = leading_directions(x, 8)
        assert np.allclose(found.T @ found, np.eye(8), atol=1e-9)
        left = x - x.mean(axis=0)
        left = left - left @ found @ found.T
        assert np.abs(left).max() < 1e-5, "two directions hold all there is"


@pytest.mark.parametrize("power", [-140, -83, 0, 66, 120])
def test_directions_do_not_depend_on_the_scale(power: int) -> None:
    """Bit for bit where it is a power of two; in single precision, squares of 1e-25 are 0 and those of 1e20 endless."""
    x = np.random.default_rng(3).integers(-8, 9, (30, 200)).astype(np.float32)
    values, directions = leading_eigen(x, 4)
    found = leading_eigen(np.ldexp(x, power), 4)
    assert np.array_equal(found[0], np.ldexp(values, 2 * power)) and np.array_equal(found[1], directions)


def test_values_are_nearly_the_largest_even_where_all_lie_close_together() -> None:
    """Rows of plain noise have no leading direction: none is found exactly, and none needs to be."""
    x = np.random.default_rng(2).standard_normal((900, 800)).astype(np.float32)
    exact = np.linalg.eigvalsh(x.T.astype(np.float64) @ x)[::-1][:8]
    values, directions = leading_eigen(x, 8)
    assert (values <= exact * (1 + 1e-6)).all() and (values > 0.98 * exact).all()
    assert np.allclose(directions.T @ directions, np.eye(8), atol=1e-12)
    top = leading_eigen(x, 1)[0][0]
    assert exact[0] / SLACK < top <= exact[0] * (1 + 1e-6)


@pytest.mark.parametrize("count", [30, 600])
def test_the_rate_is_safe_and_hardly_smaller(wide: pytest.MonkeyPatch, count: int) -> None:
    x = torch.as_tensor(np.random.default_rng(2).standard_normal((count, 200)), dtype=torch.float32)
    found = LinearLearner.create(x, 3, 0.01).rate
    wide.setattr(inner, "NARROW", 200)
    exact = LinearLearner.create(x, 3, 0.01).rate
    assert exact / SLACK <= found <= exact * (1 + 1e-6)
