"""Counts of classes: whether two samples come from one mix."""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2


def same_mix_p_value(first: np.ndarray, second: np.ndarray) -> float:
    """Return the p-value of Pearson's chi-squared test of homogeneity; low speaks against one mix.

    Parameters
    ----------
    first, second : ndarray (c,) of int
        How many rows of each class two samples hold. Classes without a row in either do not count.

    Returns
    -------
    float
        1 if a single class is left.
    """
    there = first + second > 0
    ratio = np.sqrt(second.sum() / first.sum())
    statistic = np.sum((ratio * first - second / ratio)[there] ** 2 / (first + second)[there])
    return float(chi2.sf(statistic, there.sum() - 1)) if there.sum() > 1 else 1.0
