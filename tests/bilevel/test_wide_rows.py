"""Thousands of columns and few rows: what is computed from the products of rows equals what those of columns give."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthsift.bilevel import inner, inputs
from synthsift.bilevel.inner import LinearLearner
from synthsift.bilevel.inputs import leading_directions


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing counts as wide until the test says so."""
    monkeypatch.setattr(inputs, "WIDE", 10**9)
    monkeypatch.setattr(inner, "WIDE", 10**9)
    return monkeypatch


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_leading_directions_are_the_same_up_to_sign(slow: pytest.MonkeyPatch, dtype: type) -> None:
    x = (np.random.default_rng(0).standard_normal((30, 200)) * np.linspace(3, 0.1, 200)).astype(dtype)
    expected = leading_directions(x, 8)
    slow.setattr(inputs, "WIDE", 100)
    found = leading_directions(x, 8)
    tolerance = 1e-3 if dtype is np.float32 else 1e-9  # of products in single precision
    assert found.shape == expected.shape == (200, 8)
    assert np.allclose(np.abs((found * expected).sum(axis=0)), 1.0, atol=tolerance)
    assert np.allclose(found.T @ found, np.eye(8), atol=tolerance)


def test_directions_without_variance_are_still_directions(slow: pytest.MonkeyPatch) -> None:
    """Of rows in a plane only two directions have variance; the others come the long way, and are orthonormal."""
    slow.setattr(inputs, "WIDE", 100)
    rng = np.random.default_rng(1)
    found = leading_directions(rng.standard_normal((30, 2)) @ rng.standard_normal((2, 200)), 8)
    assert np.allclose(found.T @ found, np.eye(8), atol=1e-9)
    few = leading_directions(rng.standard_normal((4, 200)), 8)
    assert np.allclose(few.T @ few, np.eye(8), atol=1e-9)


def test_the_safe_rate_is_the_same(slow: pytest.MonkeyPatch) -> None:
    x = torch.as_tensor(np.random.default_rng(2).standard_normal((30, 200)), dtype=torch.float32)
    expected = LinearLearner.create(x, 3, 0.01).rate
    slow.setattr(inner, "WIDE", 100)
    assert LinearLearner.create(x, 3, 0.01).rate == pytest.approx(expected, rel=1e-5)
