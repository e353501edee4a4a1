"""Data sources of the mixing theory, each known by the moments that the square loss sees.

A draw of source k is (x, t, q): features, observed label +-1, and 1 if the verifier keeps it. Its moments are
alpha = E[q], h = E[q t x], S = E[q x x'] and the bulk covariance B of x (S = alpha B + low rank). q and t may depend on
x through a few of its directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from synthsift.records import DataError
from synthsift.theory.mixing_checks import checked_range


@dataclass(frozen=True)
class Source:
    """Moments of one source of rows, in the letters of the theory.

    Parameters
    ----------
    count : float
        Rows drawn, before verification.
    alpha : float
        Fraction kept, E[q].
    h : ndarray (p,)
        E[q t x].
    S : ndarray (p, p)
        E[q x x'], symmetric, not divided by alpha.
    B : ndarray (p, p), optional
        Bulk covariance; S/alpha by default, equal to leading order and the right choice on real data.
    weight : float
        Weight omega of a kept row in the loss.
    """

    count: float
    alpha: float
    h: np.ndarray
    S: np.ndarray
    B: np.ndarray | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        dim = len(self.h)
        for name in ("S", "B"):
            matrix = getattr(self, name)
            if matrix is None:
                continue
            if np.shape(matrix) != (dim, dim):
                raise DataError(f"{name} has shape {np.shape(matrix)} but h has {dim} values; it must be {(dim, dim)}")
            if not np.isfinite(matrix).all() or not np.allclose(matrix, matrix.T, atol=1e-8 * np.abs(matrix).max()):
                raise DataError(f"{name} must be finite and symmetric; average it with its transpose")
        checked_range("num_synth", self.count)
        checked_range("keep_right", self.alpha)
        checked_range("synth_weight", self.weight)
        if not (np.isfinite(self.h).all() and np.isfinite(self.count)):
            raise DataError("h and count must be finite; for infinitely many rows use infinite_data_weights")

    @cached_property
    def bulk(self) -> np.ndarray:
        """The matrix used as B (p, p)."""
        if self.B is not None:
            return self.B
        return self.S / self.alpha if self.alpha > 0 else np.zeros_like(self.S)


@dataclass(frozen=True)
class GaussianSource:
    """Rows of class y = +-1 from N(y mean, covariance), label noise and verification independent of x.

    Parameters
    ----------
    count : int
        Rows drawn, before verification.
    mean : ndarray (p,)
        Mean of class +1.
    covariance : ndarray (p, p)
        Within-class covariance.
    label_noise, keep_right, keep_wrong, weight : float
        eps, phi, rho, omega.
    """

    count: int
    mean: np.ndarray
    covariance: np.ndarray
    label_noise: float = 0.0
    keep_right: float = 1.0
    keep_wrong: float = 1.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        for name in ("label_noise", "keep_right", "keep_wrong"):
            checked_range(name, getattr(self, name))

    @property
    def rates(self) -> tuple[float, float, float]:
        """(eps, phi, rho)."""
        return self.label_noise, self.keep_right, self.keep_wrong

    @property
    def moments(self) -> Source:
        """The moments h = lam mean, S = alpha (covariance + mean mean'), B = covariance."""
        right = self.keep_right * (1.0 - self.label_noise)
        wrong = self.keep_wrong * self.label_noise
        alpha, lam = right + wrong, right - wrong
        second = alpha * (self.covariance + np.outer(self.mean, self.mean))
        return Source(self.count, alpha, lam * self.mean, second, self.covariance, self.weight)


def pilot_source(
    x: np.ndarray, t: np.ndarray, count: float, *, kept: np.ndarray | None = None, weight: float = 1.0
) -> Source:
    """Moments of a source from a batch of its rows x (k, p), labels t (k,) and verdicts `kept` (k,) of bool.

    The prediction is then that of a generator fitted on about k rows, a lower bound: use at least 30 p rows.
    """
    q = np.ones(len(x)) if kept is None else np.asarray(kept, dtype=float)
    if x.ndim != 2 or not (len(x) == len(t) == len(q)) or len(x) == 0:
        raise DataError(f"x has shape {x.shape}, t {len(t)} and kept {len(q)} rows; they must be equal and not 0")
    return Source(count, float(q.mean()), x.T @ (q * t) / len(x), (x.T * q) @ x / len(x), None, weight)
