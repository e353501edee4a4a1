"""Whether a generator was fitted on the very rows that it is compared with: its means are then too close to theirs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, chi2, norm

from synthsift.numerics.leading import leading_eigen

FEWEST = 5  # rows of a class on either side, below which it says nothing
ROWS_EACH = 5  # real rows for each direction
MOST = 256  # directions; more cost more and tell hardly more
SMALLEST = 1e-4  # spread of a direction, relative to the largest: below it stand rounding and constant columns
RARE = 10  # rows that a column of zeros and ones has ones in: with fewer, its spread and its mean err together
EXACT = 0.01  # standard errors between means that are called equal
AT_ONCE = 64  # columns that are looked at in double precision
BY_CHANCE = 1e-6  # chance of that many equal means where nothing makes them so


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
    equal : int
        Columns whose means are equal, those of classes apart, where these are too many for chance. They are left out of
        the comparison: whoever scales each file by itself, or draws rows to given totals, makes them so.
    """

    ratio: float
    p_value: float
    equal: int = 0


@dataclass(frozen=True)
class Judges:
    """Real rows, prepared for any number of sources; made by `judges`.

    Parameters
    ----------
    x, y : ndarray (n, d), (n,)
        Rows and codes.
    mean, variance : ndarray (d,)
        Of all rows.
    columns : ndarray of bool (d,)
        Which are compared.
    turn : ndarray (d, k)
        Directions in which the rows have spread 1 around their class means, uncorrelated.
    turned : ndarray (n, k)
        The rows in them.
    """

    x: np.ndarray
    y: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    columns: np.ndarray
    turn: np.ndarray
    turned: np.ndarray


def judges(
    x: np.ndarray, y: np.ndarray, synth_x: np.ndarray, synth_y: np.ndarray, without: np.ndarray | None = None
) -> Judges:
    """Prepare real rows (n, d) with codes (n,) for comparisons with any of the synthetic rows (m, d).

    Columns that hardly ever differ from their usual value are left out, as are those of the mask `without` (d,). Where
    there are too many for the real rows, the synthetic ones choose directions: chosen by the real rows, they would be
    those where these happen to spread more than their law does.
    """
    mean, variance = np.zeros((2, x.shape[1]))
    columns = np.zeros(x.shape[1], dtype=bool)
    for first in range(0, x.shape[1], AT_ONCE):
        part = slice(first, first + AT_ONCE)
        block = x[:, part].astype(float)
        centered = _around_means(block, y)
        mean[part], variance[part] = block.mean(axis=0), block.var(axis=0)
        second, fourth = (centered**2).mean(axis=0), (centered**4).mean(axis=0)
        # A column of zeros and ones with k ones has kurtosis n / k.
        columns[part] = (second > 0) & (fourth * RARE <= len(x) * second**2)
    if without is not None:
        columns &= ~without
    place = np.flatnonzero(columns)
    turn = np.eye(x.shape[1])[:, place]
    if len(place) > (most := min(max(len(x) // ROWS_EACH, 1), MOST)):
        turn = turn @ _widest(_around_means(synth_x[:, place], synth_y), most)
    if turn.shape[1]:
        centered = _around_means(x @ turn, y)
        values, axes = np.linalg.eigh(centered.T @ centered)
        kept = values > SMALLEST**2 * max(values[-1], 0)
        turn = turn @ (axes[:, kept] / np.sqrt(values[kept]) * np.sqrt(len(x)))
    return Judges(x, y, mean, variance, columns, turn, x @ turn)


def _widest(centered: np.ndarray, most: int) -> np.ndarray:
    """Directions (d, at most `most`) along which these rows spread most."""
    if centered.shape[1] > 2 * most:
        values, axes = leading_eigen(centered, most)
    else:
        values, axes = np.linalg.eigh(centered.T @ centered)
        values, axes = values[::-1][:most], axes[:, ::-1][:, :most]
    return axes[:, values > SMALLEST**2 * values[0]]


def nearness(real: Judges, synth_x: np.ndarray, synth_y: np.ndarray) -> Nearness:
    """Compare the means of all rows, and those of every class, with what independent sampling allows.

    Given the labels, the mean of the n real rows of a class varies around the law's by C/n; the m rows of a generator
    add at least C/m. So for the differences d_c of the class means, sum_c |d_c|^2 / (1/n_c + 1/m_c) has at least the
    expectation sum tr(C_c), and |sum_c q_c d_c|^2, with q_c the shares of the classes among real rows, at least that of
    tr(V), V = sum_c q_c^2 (1/n_c + 1/m_c) C_c. Both are taken for multiples of chi-squared variables of their variance,
    2 sum tr(C_c^2) and 2 tr(V^2). Covariances are those of the real rows; tr(S^2) is above tr(C^2) on average, which
    makes the p-value larger. The smaller p-value of both counts, twice. It is done in uncorrelated directions of
    spread 1, so that many have a say.

    Parameters
    ----------
    real : Judges
    synth_x, synth_y : ndarray (m, d), (m,)
        Rows of one source, and codes.

    Returns
    -------
    Nearness
        Ratio 1 and p-value 1 where there are too few rows or columns.

    Notes
    -----
    Derived here. ``theory.measure_overlap`` (docs/methods/theory.md, eq. 84) is the same argument for rows of which the
    synthetic ones have no labels; it leaves out the direction of the classes.
    """
    if min(len(real.x), len(synth_x)) < FEWEST:
        return Nearness(1.0, 1.0)
    equal = _equal_means(real, synth_x, synth_y)
    if equal.any():
        real = judges(real.x, real.y, synth_x, synth_y, without=equal)
    if not real.turn.shape[1]:  # no column is left, or all rows of a class are the same
        return Nearness(1.0, 1.0, int(equal.sum()))
    p_value, ratio = min(_compare(real.turned, real.y, synth_x @ real.turn, synth_y))
    return Nearness(ratio, min(2 * p_value, 1.0), int(equal.sum()))


def _equal_means(real: Judges, synth_x: np.ndarray, synth_y: np.ndarray) -> np.ndarray:
    """Mark (d,) columns whose means are equal, but not those of the classes; none where so few may be by chance.

    A generator that repeats rows, or moves them there and back, has the means of the classes, too.
    """
    error = np.sqrt(real.variance * (1 / len(real.x) + 1 / len(synth_x)))
    equal = real.columns & (np.abs(real.mean - synth_x.mean(axis=0, dtype=float)) <= EXACT * error)
    chance = 2 * norm.cdf(EXACT) - 1
    equal &= binom.sf(equal.sum() - 1, real.columns.sum(), chance) < BY_CHANCE
    differ = np.zeros(int(equal.sum()), dtype=bool)
    for label in np.unique(synth_y) if equal.any() else ():
        mine, made = (rows[y == label][:, equal].astype(float) for rows, y in ((real.x, real.y), (synth_x, synth_y)))
        if min(len(mine), len(made)) >= FEWEST:
            error = mine.std(axis=0) * np.sqrt(1 / len(mine) + 1 / len(made))
            differ |= np.abs(mine.mean(axis=0) - made.mean(axis=0)) > EXACT * error
    equal[equal] = differ
    return equal


def _around_means(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rows around the mean of their class."""
    _, place, count = np.unique(y, return_inverse=True, return_counts=True)
    sums = np.add.reduceat(x[np.argsort(place, kind="stable")], np.cumsum(count) - count, axis=0, dtype=float)
    return x - (sums / count[:, None])[place]


def _compare(
    x: np.ndarray, y: np.ndarray, synth_x: np.ndarray, synth_y: np.ndarray
) -> tuple[tuple[float, float], tuple[float, float]]:
    """p-value and ratio of the class means, and of the means over all classes; (1, 1) where nothing can be said."""
    labels = [c for c in np.unique(synth_y).tolist() if np.sum(y == c) > 1]
    total = sum(int(np.sum(y == c)) for c in labels)
    distance = trace = square = 0.0
    together, spread = np.zeros(x.shape[1]), np.zeros((x.shape[1],) * 2)
    for label in labels:
        mine, made = x[y == label], synth_x[synth_y == label]
        small = np.atleast_2d(np.cov(mine.T, ddof=1))
        difference, unit, part = made.mean(axis=0) - mine.mean(axis=0), 1 / len(mine) + 1 / len(made), len(mine) / total
        together += part * difference
        spread += part**2 * unit * small
        if min(len(mine), len(made)) >= FEWEST:
            distance += float(difference @ difference) / unit
            trace += float(np.trace(small))
            square += float(np.sum(small**2))
    whole = _p_value(float(together @ together), float(np.trace(spread)), float(np.sum(spread**2)))
    return _p_value(distance, trace, square), whole


def _p_value(distance: float, trace: float, square: float) -> tuple[float, float]:
    if not trace > 0:
        return 1.0, 1.0
    degrees = trace**2 / square
    return float(chi2.cdf(distance / trace * degrees, degrees)), distance / trace
