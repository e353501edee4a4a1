"""Newton's method for small softmax models, with leave-one-out predictions in closed form.

Where (d + 1)(c - 1) parameters are few, the Hessian is cheap and pays twice: four or five steps reach the optimum, and
one more solve says what the model would predict for each row had it not trained on that row. Choosing the
regularization strength by these approximate leave-one-out predictions (ALO) needs one fit a strength instead of one a
fold: Beirami, Razaviyayn, Shahrampour, Tarokh 2017; Rad and Maleki 2020 (arXiv 1801.10243).

Parametrization. The last class is the reference with logit 0; V = W - W_ref 1' has c - 1 columns. At the optimum the
penalty ||W||^2 equals tr(V' V K) with K = I - 11'/c, so the model is the one of `logistic`.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

MAX_STEPS = 40
BLOCK = 4096  # rows whose curvature is summed in single precision
INTERCEPT_RIDGE = 1e-6  # times the total weight: keeps the Hessian positive definite when a class is separable
LAST_STEP = 1e-4  # Newton decrement, relative to the loss, after which one more step is the last


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Return class probabilities (n, c) from reference logits (n, c - 1); the last column is the reference class."""
    full = np.zeros((logits.shape[1] + 1, len(logits)))  # classes first: sums over a short last axis are slow
    full[:-1] = logits.T
    full -= full.max(axis=0)
    np.exp(full, out=full)
    full /= full.sum(axis=0)
    return full.T


def fit_newton(
    z: np.ndarray, codes: np.ndarray, weight: np.ndarray, num_classes: int, strength: float, start: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Minimize the penalized weighted softmax loss.

    Parameters
    ----------
    z : ndarray (n, d + 1)
        Inputs with a last column of ones, which is not penalized.
    codes : ndarray (n,)
        Class codes; every class occurs.
    weight : ndarray (n,)
    num_classes : int
        c, at least 2.
    strength : float
        C; larger means weaker regularization.
    start : ndarray (d + 1, c - 1), optional

    Returns
    -------
    theta : ndarray (d + 1, c - 1)
    hessian : ndarray ((d + 1)(c - 1), (d + 1)(c - 1))
        At the step before theta; parameter (j, a) has index a (d + 1) + j.
    """
    p, q = z.shape[1], num_classes - 1
    theta = np.zeros((p, q)) if start is None else start
    onehot = np.eye(num_classes)[codes][:, :q]
    coupling = np.eye(q) - 1.0 / num_classes  # K
    ridge = np.full(p, 1.0 / strength)
    ridge[-1] = INTERCEPT_RIDGE * weight.sum()

    def value(at: np.ndarray) -> float:
        logits = at.T @ z.T  # (c - 1, n)
        top = np.maximum(logits.max(axis=0), 0.0)
        norm = np.log(np.exp(-top) + np.exp(logits - top).sum(axis=0)) + top
        fit = norm - np.einsum("in,ni->n", logits, onehot)
        return float(weight @ fit + 0.5 * np.sum(ridge[:, None] * at * (at @ coupling)))

    single = z.astype(np.float32)
    current = value(theta)
    for _ in range(MAX_STEPS):
        prob = probabilities(z @ theta)[:, :q]
        gradient = z.T @ (weight[:, None] * (prob - onehot)) + ridge[:, None] * (theta @ coupling)
        hessian = _hessian(single, weight.astype(np.float32), prob.astype(np.float32), ridge, coupling)
        try:
            factor = cho_factor(hessian, check_finite=False)
        except LinAlgError:  # columns that depend on one another, and a ridge below the rounding of the sums
            hessian = _hessian(z, weight, prob, ridge, coupling)
            factor = cho_factor(hessian, check_finite=False)
        step = cho_solve(factor, gradient.T.ravel(), check_finite=False).reshape(q, p).T
        decrement = float(np.sum(step * gradient))
        if decrement <= LAST_STEP * abs(current):  # the next decrement would be about its square
            theta = theta - step
            break
        size = 1.0
        while (proposal := value(theta - size * step)) > current - 0.1 * size * decrement and size > 1e-4:
            size *= 0.5
        theta, current = theta - size * step, proposal
    return theta, hessian


def _hessian(
    z: np.ndarray, weight: np.ndarray, prob: np.ndarray, ridge: np.ndarray, coupling: np.ndarray
) -> np.ndarray:
    """Second derivative of the penalized loss, block (a, b) = z' diag(w p_a (d_ab - p_b)) z + K_ab ridge.

    Given single precision, a block of rows at a time is summed in it: the Hessian only directs the steps, the gradient
    decides where they end.
    """
    p, q = z.shape[1], prob.shape[1]
    blocks = [slice(k, k + BLOCK) for k in range(0, len(z), BLOCK)]
    hessian = np.empty((q, p, q, p))
    for a in range(q):
        for b in range(a, q):
            curve = weight * prob[:, a] * ((a == b) - prob[:, b])
            block = np.zeros((p, p))
            for rows in blocks:
                block += z[rows].T @ (curve[rows, None] * z[rows])
            block[np.diag_indices(p)] += coupling[a, b] * ridge
            hessian[a, :, b, :] = block
            hessian[b, :, a, :] = block
    return hessian.reshape(q * p, q * p)


def leave_one_out(
    z: np.ndarray, codes: np.ndarray, weight: np.ndarray, theta: np.ndarray, hessian: np.ndarray, num_classes: int
) -> np.ndarray:
    """Predict each given row as if it had not been trained on.

    With S_i = (z_i' x I) H^-1 (z_i x I), curvature A_i = diag(p_i) - p_i p_i' and residual r_i = p_i - y_i, one Newton
    step after removing row i moves its logits by  w_i S_i (I - w_i A_i S_i)^-1 r_i.

    Parameters
    ----------
    z, codes, weight : ndarray (m, d + 1), (m,), (m,)
        The rows to predict, all of which were in the fit.
    theta, hessian : ndarray
        From `fit_newton`.
    num_classes : int

    Returns
    -------
    ndarray (m, c)
        Probabilities.
    """
    p, q = z.shape[1], num_classes - 1
    inverse = cho_solve(cho_factor(hessian, check_finite=False), np.eye(p * q), check_finite=False).reshape(q, p, q, p)
    spread = np.empty((len(z), q, q))  # S_i
    for a in range(q):
        for b in range(q):
            spread[:, a, b] = np.einsum("ij,ij->i", z @ inverse[a, :, b, :], z)
    logits = z @ theta
    prob = probabilities(logits)[:, :q]
    residual = prob - np.eye(num_classes)[codes][:, :q]
    curvature = prob[:, :, None] * (np.eye(q) - prob[:, None, :])
    w = weight[:, None, None]
    system = np.eye(q) - w * curvature @ spread
    moved = weight[:, None] * (spread @ np.linalg.solve(system, residual[:, :, None]))[:, :, 0]
    return probabilities(logits + moved)
