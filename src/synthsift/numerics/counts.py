"""Counts of classes and of levels: whether two samples come from one mix, and whether one has levels of its own."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import gammaln
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


def new_level_p_value(first: np.ndarray, second: np.ndarray, new: np.ndarray) -> float:
    """Return a bound on the chance of levels that only the second of two samples has, if both follow one law.

    The pooled rows of each class are dealt anew to two samples of the same sizes, as two samples of one law within
    classes might have been; so no rarity of levels has to be guessed. A level falls into the second sample as a whole
    with a known probability p, and levels do so negatively associated. Twice the smaller of two bounds is returned:

    * of W, the rows at such levels: the moment generating function is at most the product over levels, so that
      P(W >= w) <= min over t of exp(-t w) prod(1 - p + p exp(t c)) for levels of c rows;
    * of the least likely level: the sum of p over all levels that are as unlikely.

    Parameters
    ----------
    first, second : ndarray (levels, classes) of int
        How many rows of each level and class two samples hold.
    new : ndarray (levels,) of bool
        Levels without a row in the first sample that are held against it.

    References
    ----------
    Joag-Dev, Proschan 1983, Negative association of random variables, Ann. Statist. 11; Chernoff 1952.
    """
    pooled, into = first + second, second.sum(axis=0)
    total, rows = pooled.sum(axis=0), int(second[new].sum())
    fits = (pooled <= into).all(axis=1) & (pooled.sum(axis=1) > 0)  # the others are never whole in the second sample
    if rows == 0:
        return 1.0
    new, pooled = new[fits], pooled[fits]
    log_p = gammaln(total - pooled + 1) - gammaln(total + 1) + gammaln(into + 1) - gammaln(into - pooled + 1)
    log_p = np.minimum(log_p.sum(axis=1), 0.0)
    with np.errstate(divide="ignore"):
        log_not = np.log(-np.expm1(log_p))
    exponents = np.geomspace(1e-3, 50.0, 60)[:, None]  # any gives a bound
    generated = np.logaddexp(log_not, log_p + exponents * pooled.sum(axis=1)).sum(axis=1)
    together = np.exp(min(0.0, float((generated - exponents[:, 0] * rows).min())))
    # rounding must not part levels that are equally likely
    alone = np.exp(log_p[log_p <= log_p[new].min() + 1e-9]).sum()
    return float(min(1.0, 2 * min(together, alone)))


def best_relabeling(confusion: np.ndarray) -> np.ndarray:
    """Return the class (c,) that each label stands for in the permutation with the most agreements.

    Of equally good ones that which leaves more labels as they are.

    Parameters
    ----------
    confusion : ndarray (c, c) of int
        Rows of each label, by the class that a model says.
    """
    return linear_sum_assignment(confusion + np.eye(len(confusion)) / (2 * len(confusion)), maximize=True)[1]


def other_share_p_value(first: np.ndarray, second: np.ndarray) -> float:
    """Return a bound on the chance that so many more, or fewer, rows of one sample have a mark, if classes do alike.

    The pooled marked rows of each class are dealt anew to two samples of the same sizes. The number W of those in the
    second sample is a sum of hypergeometric ones, whose moment generating functions are at most the binomial ones, so
    that P(W >= w) <= min over t of exp(-t w) prod((1 - p + p exp(t)) ** m) with m marked rows of a class and the
    share p of its rows that is in the second sample. Twice the smaller bound of the two directions is returned.

    Parameters
    ----------
    first, second : ndarray (2, classes) of int
        Rows without and with the mark.

    References
    ----------
    Hoeffding 1963, Probability inequalities for sums of bounded random variables, JASA 58, section 6.
    """
    marked, total = first[1] + second[1], np.sum(first + second, axis=0)
    exponents = np.geomspace(1e-3, 50.0, 60)[:, None]  # any gives a bound

    def bound(sample: np.ndarray) -> float:
        share = sample.sum(axis=0) / np.maximum(total, 1)
        generated = marked * np.log1p(share * np.expm1(exponents))
        return float(np.exp(min(0.0, float((generated.sum(axis=1) - exponents[:, 0] * sample[1].sum()).min()))))

    return min(1.0, 2 * min(bound(first), bound(second)))
