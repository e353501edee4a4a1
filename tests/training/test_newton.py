"""Newton's optimum is the softmax model's, its Hessian the dense one, and leaving one out needs no refit."""

from __future__ import annotations

import numpy as np
import pytest

from reference import leave_one_out_by_refits, logistic_by_sklearn
from synthsift.training import newton

Problem = tuple[np.ndarray, np.ndarray, np.ndarray]


def draw(num_classes: int, n: int = 150, d: int = 4) -> Problem:
    """Inputs with a last column of ones (n, d + 1), labels of a softmax law, weights."""
    rng = np.random.default_rng(10 + num_classes)
    x, slopes = rng.standard_normal((n, d)), rng.standard_normal((d, num_classes))
    y = (x @ slopes + rng.gumbel(size=(n, num_classes))).argmax(axis=1)
    return np.concatenate([x, np.ones((n, 1))], axis=1), y, rng.uniform(0.2, 2, n)


@pytest.mark.parametrize("strength", [4.0**-5, 1 / 16, 1.0, 64.0])
@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_newton_finds_the_softmax_model(num_classes: int, strength: float) -> None:
    z, y, weight = draw(num_classes)
    want = logistic_by_sklearn(z[:, :-1], y, weight, num_classes, strength)(z[:, :-1])
    theta, _ = newton.fit_newton(z, y, weight, num_classes, strength, None)
    # it stops one quadratic step after a decrement of 1e-4 of the loss: what is left is about the square of the last
    # move, (1e-2)^2, and a ridge of 1e-6 on the intercept
    np.testing.assert_allclose(newton.probabilities(z @ theta), want, atol=2e-4)
    warm, _ = newton.fit_newton(z, y, weight, num_classes, strength, theta + 0.1)
    np.testing.assert_allclose(newton.probabilities(z @ warm), want, atol=2e-4)


def test_probabilities_of_extreme_logits() -> None:
    logits = np.array([[1e4, 0.0], [-1e4, -1e4], [0.0, 0.0]])
    assert newton.probabilities(logits).tolist() == [[1, 0, 0], [0, 0, 1], [1 / 3, 1 / 3, 1 / 3]]


def test_the_hessian_is_the_derivative_of_the_gradient() -> None:
    z, y, weight = draw(3, n=40, d=2)
    p, q, strength = 3, 2, 0.7
    onehot, coupling = np.eye(3)[y][:, :q], np.eye(q) - 1 / 3
    ridge = np.array([1 / strength, 1 / strength, newton.INTERCEPT_RIDGE * weight.sum()])

    def gradient(theta: np.ndarray) -> np.ndarray:
        residual = newton.probabilities(z @ theta)[:, :q] - onehot
        return (z.T @ (weight[:, None] * residual) + ridge[:, None] * (theta @ coupling)).T.ravel()

    theta = np.random.default_rng(0).standard_normal((p, q))
    slow = np.empty((p * q, p * q))
    for k in range(p * q):
        step = np.zeros(p * q)
        step[k] = 1e-5
        move = step.reshape(q, p).T
        slow[:, k] = (gradient(theta + move) - gradient(theta - move)) / 2e-5
    single = z.astype(np.float32), weight.astype(np.float32)
    prob = newton.probabilities(z @ theta)[:, :q].astype(np.float32)
    fast = newton._hessian(*single, prob, ridge, coupling)
    np.testing.assert_allclose(fast, slow, atol=40 * 2.0 * 6e-8 * np.abs(z).max() ** 2)  # 40 float32 terms


@pytest.mark.parametrize("strength", [1 / 16, 1.0, 64.0])
@pytest.mark.parametrize("num_classes", [2, 3])
def test_leaving_one_out_agrees_with_refits(num_classes: int, strength: float) -> None:
    z, y, weight = draw(num_classes)
    theta, hessian = newton.fit_newton(z, y, weight, num_classes, strength, None)
    fast = newton.leave_one_out(z, y, weight, theta, hessian, num_classes)
    # the rows that move most decide whether the formula is right
    fitted = newton.probabilities(z @ theta)
    rows = np.argsort(-np.abs(fast - fitted).max(axis=1))[:12]
    slow = leave_one_out_by_refits(z[:, :-1], y, weight, num_classes, strength, rows.tolist())
    moved = np.abs(slow - fitted[rows]).max()
    assert moved > 0.01, "leaving out matters here"
    # One Newton step instead of the way to the new optimum: the error is of second order in the move, measured at
    # 0.01 to 0.06 of it; twice the fit's own 2e-4 comes on top.
    assert np.abs(fast[rows] - slow).max() < 0.1 * moved + 4e-4


def test_a_row_of_weight_zero_is_predicted_as_it_is() -> None:
    z, y, weight = draw(3)
    weight[:5] = 0.0
    theta, hessian = newton.fit_newton(z, y, weight, 3, 1.0, None)
    out = newton.leave_one_out(z, y, weight, theta, hessian, 3)
    np.testing.assert_allclose(out[:5], newton.probabilities(z[:5] @ theta), atol=1e-12)


def test_separable_classes_have_a_finite_optimum() -> None:
    z = np.column_stack([np.linspace(-3, 3, 40), np.ones(40)])
    y = (z[:, 0] > 0).astype(int)
    theta, hessian = newton.fit_newton(z, y, np.ones(40), 2, 4.0**6, None)
    prob = newton.leave_one_out(z, y, np.ones(40), theta, hessian, 2)
    inner = np.abs(z[:, 0]) < 0.1  # without one of these two the boundary moves onto it
    assert np.isfinite(theta).all() and np.all((prob.argmax(axis=1) == y)[~inner])
    np.testing.assert_allclose(prob.sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize(("rows", "seed"), [(60_000, 0), (60_000, 1), (20_000, 2)])
def test_columns_that_depend_on_one_another_are_no_error(rows: int, seed: int) -> None:
    """Sums over many rows round by more than a weak ridge holds, and without it the Hessian is singular."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((rows, 3))
    z[:, 2] = z[:, 0] + z[:, 1]
    y = (z[:, 0] + rng.standard_normal(rows) > 0).astype(int)
    z, ones = np.c_[z, np.ones(rows)], np.ones(rows)
    theta, _ = newton.fit_newton(z, y, ones, 2, 4.0**6, None)
    right, _ = newton.fit_newton(z[:, [0, 1, 3]], y, ones, 2, 4.0**6, None)
    np.testing.assert_allclose(z[:50] @ theta, z[:50, [0, 1, 3]] @ right, atol=1e-3)  # stops at a relative 1e-4
