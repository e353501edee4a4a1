"""Mixtures of round Gaussians in any dimension, noised in closed form; a point without width is a sample.

A training mix of known data and of a finite set of generated rows is such a mixture, alpha p_data + (1-alpha) (points),
so the score that a model trained on it should have is exact at every time t > 0 although its origin is a network.

References
----------
Khelifa, Turner, Venkataramanan, arXiv:2602.16601v2 (the variance-preserving forward process and its scores).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synthsift.drift.arguments import check_alpha, check_nonnegative
from synthsift.records import DataError

CELLS = 4_000_000  # rows times centers held at once, in single precision


@dataclass(frozen=True)
class Kernels:
    """A mixture of Gaussians N(center, variance I).

    Parameters
    ----------
    weights : ndarray (c,)
        Shares, sum 1.
    centers : ndarray (c, d)
        Means.
    variances : ndarray (c,)
        Of every coordinate; 0 for a point.
    """

    weights: np.ndarray
    centers: np.ndarray
    variances: np.ndarray

    def __post_init__(self) -> None:
        if self.centers.ndim != 2 or len(self.centers) == 0 or self.centers.shape[1] == 0:
            raise DataError(f"the centers have shape {self.centers.shape}; rows (c, d), at least one, are needed")
        if self.weights.shape != (len(self.centers),) or self.variances.shape != (len(self.centers),):
            raise DataError("a mixture needs as many weights and variances as centers")
        if not all(np.isfinite(a).all() for a in (self.weights, self.centers, self.variances)):
            raise DataError("a weight, center or variance of the mixture is not finite; drop such rows first")
        if self.weights.min() < 0 or abs(self.weights.sum() - 1) > 1e-9 or self.variances.min() < 0:
            raise DataError("mixture weights must be non-negative with sum 1, and no variance may be negative")

    @property
    def dim(self) -> int:
        """Number of coordinates d."""
        return int(self.centers.shape[1])

    def noised(self, t: float) -> Kernels:
        """Law of X_t when X_0 has this law."""
        keep = math.exp(-float(check_nonnegative("the time t", t)))
        return Kernels(self.weights, math.sqrt(keep) * self.centers, keep * self.variances + 1 - keep)

    def blurred(self, variance: float) -> Kernels:
        """Law after adding N(0, variance I)."""
        return Kernels(self.weights, self.centers, self.variances + variance)

    def first(self, num_coordinates: int) -> Kernels:
        """Law of the first coordinates."""
        return Kernels(self.weights, self.centers[:, :num_coordinates], self.variances)

    def blended(self, other: Kernels, share: float) -> Kernels:
        """The mix share self + (1-share) other; a part without weight is left out."""
        share = float(check_alpha(share))
        if share in (0.0, 1.0):
            return self if share else other
        parts = (np.concatenate(pair) for pair in ((self.centers, other.centers), (self.variances, other.variances)))
        return Kernels(np.concatenate([share * self.weights, (1 - share) * other.weights]), *parts)

    def evaluate(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log density (n,) and score (n, d) at rows (n, d), both in double precision from single-precision sums.

        Raises
        ------
        DataError
            If a component is a point: its density exists only after `noised` or `blurred`.
        """
        if self.variances.min() <= 0:
            raise DataError("a mixture with points has no density; noise it first")
        # Coordinates relative to the mean of all centers keep the expanded squares small.
        origin = self.centers.mean(axis=0)
        centers, half = (self.centers - origin).astype(np.float32), (-0.5 / self.variances).astype(np.float32)
        with np.errstate(divide="ignore"):
            offset = np.log(self.weights) - self.dim / 2 * np.log(2 * np.pi * self.variances)
        offset = (offset + half * (centers**2).sum(axis=1)).astype(np.float32)
        slopes = (centers * (-2 * half)[:, None]).T  # (d, c)
        pulled = np.concatenate([centers * (-2 * half)[:, None], (-2 * half)[:, None], np.ones((len(half), 1))], axis=1)
        pulled = pulled.astype(np.float32)
        logs, scores = np.empty(len(rows)), np.empty(rows.shape)
        size = max(1, CELLS // len(centers))
        same = bool(np.ptp(half) == 0)
        for start in range(0, len(rows), size):
            x = (rows[start : start + size] - origin).astype(np.float32)
            square = (x**2).sum(axis=1, keepdims=True)
            exponent = x @ slopes
            exponent += offset
            if not same:
                exponent += square * half
            top = exponent.max(axis=1, keepdims=True)
            exponent -= top
            np.exp(exponent, out=exponent)
            sums = exponent @ pulled  # (rows, d + 2): precision-weighted centers, precisions, density
            total = sums[:, -1:]
            logs[start : start + size] = (np.log(total) + top + (half[0] * square if same else 0))[:, 0]
            scores[start : start + size] = (sums[:, :-2] - x * sums[:, -2:-1]) / total
        return logs, scores

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Gradient of the log density at rows (n, d)."""
        return self.evaluate(rows)[1]

    def sample(self, num_rows: int, rng: np.random.Generator) -> np.ndarray:
        """Draw rows (num_rows, d)."""
        which = rng.choice(len(self.weights), size=num_rows, p=self.weights)
        noise = rng.standard_normal((num_rows, self.dim))
        return self.centers[which] + np.sqrt(self.variances[which])[:, None] * noise


def points(rows: np.ndarray) -> Kernels:
    """The empirical law of rows (n, d)."""
    if rows.ndim != 2 or len(rows) == 0:
        raise DataError(f"the rows have shape {rows.shape}; (n, d) with at least one row is needed")
    return Kernels(np.full(len(rows), 1 / len(rows)), np.asarray(rows, dtype=np.float64), np.zeros(len(rows)))


def five_modes(dim: int = 2, *, reach: float = 1.5, width: float = 0.45) -> Kernels:
    """Five equal modes, one at the origin and four at (+-reach, +-reach) in the first two coordinates.

    The shape is that of the published experiment (ten dimensions, reach 4, width 0.6); the defaults are it at a scale
    where the variance-preserving process starts near N(0, I).

    Parameters
    ----------
    dim : int
        d, at least 2.
    reach, width : float
        Place of the outer modes and standard deviation of every mode.

    Returns
    -------
    Kernels
        The law.
    """
    if dim < 2 or not reach > 0 or not width > 0:
        raise DataError(
            f"dim = {dim}, reach = {reach}, width = {width}: at least 2 dimensions and positive sizes needed"
        )
    centers = np.zeros((5, dim))
    centers[1:, :2] = reach * np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)])
    return Kernels(np.full(5, 0.2), centers, np.full(5, width**2))
