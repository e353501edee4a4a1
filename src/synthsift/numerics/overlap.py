"""Whether a generator was fitted on the very rows that it is compared with: its means are then too close to theirs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

FEWEST = 5  # rows of a class on either side, below which it says nothing


@dataclass(frozen=True)
class Nearness:
    """How close two sets of means are, for two independent samples of one law.

    Parameters
    ----------
    ratio : float
        Squared distance over its expectation; about 1 for independent samples, above 1 for another law, near 0 for a
        generator that was fitted on the same rows.
    p_value : float
        Chance of a distance this small for independent samples of one law; of other laws it is smaller still.
    """

    ratio: float
    p_value: float


def nearness(x: np.ndarray, y: np.ndarray, synth_x: np.ndarray, synth_y: np.ndarray) -> Nearness:
    """Compare the means of all rows, and those of every class, with what independent sampling allows.

    The mean of n independent rows varies around the law's by C/n; the m rows of a generator add at least C/m. So the
    sum over classes of |d|^2 / (1/n + 1/m) has at least the expectation sum tr(C_c), and is taken for a multiple of a
    chi-squared variable with its variance, 2 sum tr(C_c^2). Covariances are those of the real rows; tr(S^2) is above
    tr(C^2) on average, which makes the p-value larger. The smaller p-value of both comparisons counts, twice.

    Parameters
    ----------
    x, y : ndarray (n, d), (n,)
        Real rows and their codes.
    synth_x, synth_y : ndarray (m, d), (m,)
        Rows of one source.

    Returns
    -------
    Nearness
        Ratio 1 and p-value 1 where there are too few rows.
    """
    one = np.zeros(len(y), dtype=np.int64), np.zeros(len(synth_y), dtype=np.int64)
    found = [_compare(x, labels, synth_x, made) for labels, made in (one, (y, synth_y))]
    least = min(found, key=lambda near: near.p_value)
    return Nearness(least.ratio, min(2 * least.p_value, 1.0))


def _compare(x: np.ndarray, y: np.ndarray, synth_x: np.ndarray, synth_y: np.ndarray) -> Nearness:
    distance = trace = square = 0.0
    for label in np.unique(synth_y):
        mine, made = x[y == label].astype(float), synth_x[synth_y == label]
        if min(len(mine), len(made)) < FEWEST:
            continue
        centered = mine - mine.mean(axis=0)
        small = centered.T @ centered if centered.shape[1] <= len(centered) else centered @ centered.T
        small /= len(mine) - 1
        difference = made.mean(axis=0) - mine.mean(axis=0)
        distance += float(difference @ difference) / (1 / len(mine) + 1 / len(made))
        trace += float(np.trace(small))
        square += float(np.sum(small**2))
    if not trace > 0:
        return Nearness(1.0, 1.0)
    degrees = trace**2 / square
    return Nearness(distance / trace, float(chi2.cdf(distance / trace * degrees, degrees)))
