"""Whether a generator was fitted on the very rows that it is compared with: its means are then too close to theirs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

FEWEST = 5  # rows of a class on either side, below which it says nothing
ROWS_EACH = 5  # real rows for each direction
SMALLEST = 1e-4  # spread of a direction, relative to the largest: below it stand rounding and constant columns


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
    tr(C^2) on average, which makes the p-value larger. The smaller p-value of both comparisons counts, twice. It is
    done in uncorrelated directions of spread 1, so that many have a say.

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

    Notes
    -----
    Derived here. ``theory.measure_overlap`` (docs/methods/theory.md, eq. 84) is the same argument for two classes coded
    -1 and +1; it leaves out the direction of the classes, along which wrong labels and another mix of classes move the
    mean. Here such rows only lie further away, which makes the p-value larger.
    """
    if min(len(x), len(synth_x)) < FEWEST:
        return Nearness(1.0, 1.0)
    turn = _directions(x.astype(float), y, synth_x, synth_y)
    if not turn.size:  # all rows of a class are the same
        return Nearness(1.0, 1.0)
    one = np.zeros(len(y), dtype=np.int64), np.zeros(len(synth_y), dtype=np.int64)
    found = [_compare(x @ turn, labels, synth_x @ turn, made) for labels, made in (one, (y, synth_y))]
    least = min(found, key=lambda near: near.p_value)
    return Nearness(least.ratio, min(2 * least.p_value, 1.0))


def _directions(x: np.ndarray, y: np.ndarray, synth_x: np.ndarray, synth_y: np.ndarray) -> np.ndarray:
    """Directions (d, k) in which real rows have spread 1 around the mean of their class, uncorrelated.

    Where there are too many for the real rows, those along which the synthetic ones spread most: chosen by the real
    rows themselves, they would be those where these happen to spread more than their law does.
    """
    most, turn = max(len(x) // ROWS_EACH, 1), np.eye(x.shape[1])
    if x.shape[1] > most:
        size, turn = _spread(_around_means(synth_x.astype(float), synth_y))
        turn = turn[:, : min(most, int(np.sum(size > SMALLEST * size[0])))]
    size, axes = _spread(_around_means(x @ turn, y))
    kept = size > SMALLEST * size[0]
    return turn @ (axes[:, kept] / size[kept]) * np.sqrt(len(x))


def _around_means(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rows around the mean of their class."""
    centered = x.copy()
    for label in np.unique(y):
        centered[y == label] -= x[y == label].mean(axis=0)
    return centered


def _spread(centered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Singular values, largest first, and right singular vectors as columns; cheap for many rows."""
    if centered.shape[1] < len(centered):
        square, turn = np.linalg.eigh(centered.T @ centered)
        return np.sqrt(np.maximum(square[::-1], 0)), turn[:, ::-1]
    _, size, turn = np.linalg.svd(centered, full_matrices=False)
    return size, turn.T


def _compare(x: np.ndarray, y: np.ndarray, synth_x: np.ndarray, synth_y: np.ndarray) -> Nearness:
    distance = trace = square = 0.0
    for label in np.unique(synth_y):
        mine, made = x[y == label].astype(float), synth_x[synth_y == label]
        if min(len(mine), len(made)) < FEWEST:
            continue
        small = np.cov(mine.T, ddof=1).reshape(mine.shape[1], -1)
        difference = made.mean(axis=0) - mine.mean(axis=0)
        distance += float(difference @ difference) / (1 / len(mine) + 1 / len(made))
        trace += float(np.trace(small))
        square += float(np.sum(small**2))
    if not trace > 0:
        return Nearness(1.0, 1.0)
    degrees = trace**2 / square
    return Nearness(distance / trace, float(chi2.cdf(distance / trace * degrees, degrees)))
