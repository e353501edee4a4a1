"""Intervals of shares, of differences of shares and of the area under the ROC curve, good near 0 and 1 too.

All invert a test of the value instead of adding an error to the estimate, so they stay inside the possible range and
have a width where a sample shows nothing but 0 or 1.

References
----------
Wilson 1927; Newcombe 1998 (differences, method 10); Newcombe 2006 (AUC, method 5).
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm as normal
from scipy.stats import t as student

Z = 1.959964  # of a two-sided level of 95 %


def few_units(units: int) -> float:
    """Return by how much more than 1.96 times a bootstrap spread a 95 % interval takes where few units were drawn.

    A bootstrap of k units is too narrow by sqrt((k - 1) / k), and the spread of k units is not known but estimated, so
    the quantile is that of Student's t with k - 1 degrees of freedom: 9.2 times for 2 units, 2.7 for 3, 1.6 for 5.
    """
    return float(np.sqrt(units / (units - 1)) * student.ppf(0.975, units - 1) / Z)


def few_rows(values: np.ndarray, y: np.ndarray) -> float:
    """Return by how much more than 1.96 times a spread over drawn rows a 95 % interval takes for a mean of class means.

    The squared errors of classes add up, and so many degrees of freedom as Welch and Satterthwaite give belong to
    their sum: few where most of it comes from a class of a dozen rows. What each class has of the error is estimated
    with one row more, half a win and half a loss (Agresti, Min 2005), so that rows that all agree count, too. Rows are
    drawn from all classes together, so a rare class is drawn more or less often, and its spread is not too narrow.

    Parameters
    ----------
    values : ndarray (n,)
        What is averaged, such as differences of hits.
    y : ndarray (n,) of int
        Classes; one of a single row is left out.

    References
    ----------
    Welch 1947, The generalization of Student's problem when several different population variances are involved,
    Biometrika 34; Satterthwaite 1946.
    """
    size = np.bincount(y).astype(np.float64)
    size = size[size > 1]
    if not len(size):
        return 1.0  # no class shows any spread
    apart = [values[y == k] for k in np.flatnonzero(np.bincount(y) > 1)]
    square = np.array([part.var(ddof=1) for part in apart]) + 1.0 / size
    error = square / size
    freedom = error.sum() ** 2 / np.sum(error**2 / (size - 1))
    return float(student.ppf(0.975, freedom) / Z)


def z_of_many(count: int) -> float:
    """Return what stands for `Z` in each of `count` intervals that are to hold together at 95 % (Bonferroni)."""
    return float(normal.isf(0.025 / count))


def share_interval(hits: float, n: float, z: float = Z) -> tuple[float, float]:
    """Return the interval of the share `hits` of `n` (Wilson 1927), of 95 % unless another quantile is given."""
    p = hits / n
    center = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, float(center - half)), min(1.0, float(center + half))


def share_difference(hits: float, n: float, base_hits: float, base_n: float, z: float = Z) -> tuple[float, float]:
    """Return the interval of hits / n - base_hits / base_n (Newcombe 1998, method 10), as `share_interval` does."""
    first, second = hits / n, base_hits / base_n
    (low, high), (base_low, base_high) = share_interval(hits, n, z), share_interval(base_hits, base_n, z)
    down, up = np.hypot(first - low, base_high - second), np.hypot(high - first, second - base_low)
    return float(first - second - down), float(first - second + up)


def auc_interval(auc: float, num_positive: int, num_negative: int, inflation: float = 1.0) -> tuple[float, float]:
    """Return the 95 % interval of an AUC: the values that the estimate does not reject (Newcombe 2006, method 5).

    Parameters
    ----------
    auc : float
        Probability that a positive row scores above a negative one, in [0, 1].
    num_positive, num_negative : int
    inflation : float
        Factor on the standard error, above 1 where scores come from models that share training rows.
    """

    def error(value: float) -> float:
        """Standard error at a true value (Hanley, McNeil 1982, with both sample sizes replaced by their mean)."""
        middle = (num_positive + num_negative) / 2 - 1
        bracket = 1 + middle * ((1 - value) / (2 - value) + value / (1 + value))
        return inflation * float(np.sqrt(value * (1 - value) * bracket / (num_positive * num_negative)))

    # At the ends of [0, 1] the error vanishes, so the search starts a little inside of them.
    low = 0.0 if auc <= 0 else brentq(lambda value: auc - value - Z * error(value), 0.0, min(auc, 1 - 1e-12))
    high = 1.0 if auc >= 1 else brentq(lambda value: value - auc - Z * error(value), max(auc, 1e-12), 1.0)
    return float(low), float(high)
