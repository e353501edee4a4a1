"""How wide a generation is beside real data in its widest direction: from twice the variance on, chi2 is infinite.

For Gaussians chi2(N(., S1) || N(., S0)) is finite exactly when S1 stays below 2 S0 in every direction. The widest
direction of noisy samples looks too wide, so it is found on one half of the rows and measured on the other.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh
from scipy.special import ndtri

from synthsift.drift.traces import Measured

NEAR = 1.6  # of the variance of real data; chi2 is infinite from 2 on


def spread_ratios(
    real: np.ndarray, synth: np.ndarray, rng: np.random.Generator, level: float = 0.95
) -> tuple[Measured, Measured]:
    """Variance of the generation over that of real data, in its widest and in its narrowest direction.

    Parameters
    ----------
    real, synth : ndarray (n, c), (m, c)
        Principal coordinates.
    rng : Generator
        Halves.
    level : float
        Coverage of the intervals (normal, for the logarithm).

    Returns
    -------
    widest, narrowest : Measured
        Null 1. Each is the ratio in one direction found on other rows: the true extreme is at least as extreme.
    """
    halves = []
    for rows in (real, synth):
        order = rng.permutation(len(rows))
        halves.append((rows[order[::2]], rows[order[1::2]]))
    covariances = [np.atleast_2d(np.cov(half[0], rowvar=False)) for half in halves]
    base = covariances[0] + 1e-6 * np.trace(covariances[0]) / len(covariances[0]) * np.eye(len(covariances[0]))
    directions = eigh(covariances[1], base)[1]
    z = float(ndtri((1 + level) / 2))
    found = []
    for direction in (directions[:, -1], directions[:, 0]):
        x, y = halves[0][1] @ direction, halves[1][1] @ direction
        variances = float(x.var(ddof=1)), float(y.var(ddof=1))
        if min(variances) <= 0:
            found.append(Measured(0.0 if variances[1] <= 0 else np.inf, 1.0, num_rows=(len(real), len(synth))))
            continue
        error = np.sqrt(sum(_log_variance_error(v) for v in (x, y)))
        ratio = variances[1] / variances[0]
        found.append(
            Measured(
                ratio, 1.0, float(ratio * np.exp(-z * error)), float(ratio * np.exp(z * error)), ratio, (len(x), len(y))
            )
        )
    return found[0], found[1]


def _log_variance_error(values: np.ndarray) -> float:
    """Squared standard error of the logarithm of a sample variance, (kurtosis - 1)/n."""
    centered = values - values.mean()
    return float(np.mean(centered**4) / np.mean(centered**2) ** 2 - 1) / len(values)
