"""Weighted multinomial logistic regression.

L-BFGS on the softmax loss; the result is the one scikit-learn's ``LogisticRegression`` finds, which is the twin in the
tests. Which regularization strength to take is a matter of `synthsift.training.choosing`.

    minimize over (W, b)   sum_i w_i * loss(y_i, x_i W + b) + ||W||^2 / (2 C)

The intercept b is not penalized. Rows of weight 0 have no influence, a row of weight k counts as k rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

TOLERANCE = 1e-4  # on the largest gradient entry per unit of total weight; predictions then move by < 2e-3


@dataclass(frozen=True)
class LinearModel:
    """A fitted softmax model.

    Parameters
    ----------
    coef : ndarray (d, c)
        Slopes.
    intercept : ndarray (c,)
        Offsets; -inf for a class that had no training row.
    strength : float
        The C it was fitted with (larger = weaker regularization).
    """

    coef: np.ndarray
    intercept: np.ndarray
    strength: float

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return class probabilities (n, c) of rows `x` (n, d)."""
        return softmax(x @ self.coef + self.intercept)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities (n, c) of logits (n, c); rows sum to 1."""
    turned = np.ascontiguousarray(logits.T)  # sums over a long last axis are faster
    turned -= turned.max(axis=0)
    np.exp(turned, out=turned)
    turned /= turned.sum(axis=0)
    return turned.T


def fit_logistic(
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    num_classes: int,
    strength: float,
    start: LinearModel | None = None,
    tolerance: float = TOLERANCE,
) -> LinearModel:
    """Fit one model.

    Parameters
    ----------
    x : ndarray (n, d)
    y : ndarray (n,) of int
        Codes below `num_classes`.
    weight : ndarray (n,)
        Positive weights.
    num_classes : int
    strength : float
        C of the formula above; larger means weaker regularization.
    start : LinearModel, optional
        Where to begin.
    tolerance : float
        On the largest gradient entry per unit of total weight, and 1e-4 of it on the relative fall of the loss.

    Returns
    -------
    LinearModel
    """
    present = np.unique(y)
    d, c = x.shape[1], len(present)
    if c == 1:
        intercept = np.where(np.arange(num_classes) == present[0], 0.0, -np.inf)
        return LinearModel(np.zeros((d, num_classes)), intercept, strength)
    codes = np.searchsorted(present, y)
    rows = np.arange(len(y))
    total = float(weight.sum())
    w = (weight / total).astype(x.dtype)
    penalty = 1.0 / (strength * total)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        # Classes come first in memory: sums over a short last axis would cost more than the matrix products.
        theta = flat.reshape(c, d + 1)
        logits = theta[:, :d].astype(x.dtype) @ x.T  # (c, n)
        logits += theta[:, d:].astype(x.dtype)
        logits -= logits.max(axis=0)
        own = logits[codes, rows]
        residual = np.exp(logits, out=logits)
        norm = residual.sum(axis=0)
        value = float(w @ (np.log(norm) - own))
        residual *= w / norm
        residual[codes, rows] -= w
        gradient = np.empty_like(theta)
        gradient[:, :d] = residual @ x + penalty * theta[:, :d]
        gradient[:, d] = residual.sum(axis=1)
        return value + 0.5 * penalty * float(np.sum(theta[:, :d] ** 2)), gradient.ravel()

    theta = np.zeros((c, d + 1))
    if start is not None and np.isfinite(start.intercept[present]).all():
        theta[:, :d], theta[:, d] = start.coef[:, present].T, start.intercept[present]
    found = minimize(
        loss,
        theta.ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 300, "gtol": tolerance, "ftol": 1e-4 * tolerance},
    )
    theta = found.x.reshape(c, d + 1)
    coef, intercept = np.zeros((d, num_classes)), np.full(num_classes, -np.inf)
    coef[:, present], intercept[present] = theta[:, :d].T, theta[:, d] - theta[:, d].mean()
    return LinearModel(coef, intercept, strength)
