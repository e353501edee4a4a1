"""Lower bounds of chi2 and total variation from functions fitted on other rows, and permutation p-values.

A function that is fitted on one part of the data and evaluated on another can only miss signal, never invent it. So
these bounds stay honest in any dimension, where plug-in ratios (E r^2 - 1) are far too large.

References
----------
Nguyen, Wainwright, Jordan 2010 (variational bounds); Lopez-Paz, Oquab 2017 (classifier tests);
Phipson, Smyth 2010 (permutation p-values are never 0).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from synthsift.drift.measures import CHUNK_ENTRIES, check_pair
from synthsift.drift.ratios import Samples, fit_ratio, fit_score, project_scores
from synthsift.drift.traces import Measured
from synthsift.records import DataError

SE_INFLATION = 1.3  # folds share training rows, so their CLT error is up to that much too small, by simulation


def _folds(pair: Samples, num_folds: int, rng: np.random.Generator) -> list[tuple[Samples, Samples]]:
    """For each fold the other rows and the held-out rows of both samples, in random order."""
    shuffled = [rows[rng.permutation(len(rows))] for rows in pair]
    marks = [np.arange(len(rows)) % num_folds for rows in pair]
    parts = []
    for fold in range(num_folds):
        train = tuple(rows[mark != fold] for rows, mark in zip(shuffled, marks, strict=True))
        held = tuple(rows[mark == fold] for rows, mark in zip(shuffled, marks, strict=True))
        parts.append(((train[0], train[1]), (held[0], held[1])))
    return parts


def chi2_lower_bound(
    real: ArrayLike, synth: ArrayLike, *, rng: np.random.Generator, num_folds: int = 3, level: float = 0.95
) -> Measured:
    """Cross-fitted lower bound of chi2(synth||real): 2 E_synth f - E_real f^2 - 1 with f fitted on other rows.

    Parameters
    ----------
    real, synth : array_like (n, k), (m, k)
        Feature rows. With k > 1 they are projected on a quadratic discriminant first, which can only lose signal.
    rng : Generator
        Folds.
    num_folds : int
        Folds.
    level : float
        One-sided confidence of `low`.

    Returns
    -------
    Measured
        Null 0 or a little below; `low` is a confidence bound that chi2 exceeds. Lower is better. True chi2 may be
        infinite: this bound is not.

    Raises
    ------
    DataError
        If there are fewer than 100 rows in a sample, widths differ, or an entry is not finite.
    """
    pair = check_pair(real, synth, least=100)
    on_real, on_synth = [], []
    for train, held in _folds(pair, num_folds, rng):
        if pair[0].shape[1] == 1:
            scored, held_scores = (train[0][:, 0], train[1][:, 0]), (held[0][:, 0], held[1][:, 0])
        else:
            scored, held_scores = project_scores(train, held, rng)
        ratio = fit_ratio(scored[0], scored[1], rng)
        on_real.append(ratio(held_scores[0]))
        on_synth.append(ratio(held_scores[1]))
    square, linear = np.concatenate(on_real) ** 2, np.concatenate(on_synth)
    value = float(2 * linear.mean() - square.mean() - 1)
    error = SE_INFLATION * float(np.sqrt(4 * linear.var(ddof=1) / len(linear) + square.var(ddof=1) / len(square)))
    return Measured(value, 0.0, value - float(ndtri(level)) * error, raw=value, num_rows=(len(square), len(linear)))


def tv_lower_bound(
    real: ArrayLike, synth: ArrayLike, *, rng: np.random.Generator, num_folds: int = 3, level: float = 0.95
) -> Measured:
    """Lower bound of the total variation: how much better than chance a linear classifier tells held-out rows apart.

    P_synth(score > c) - P_real(score > c) with score and c from other rows; no classifier exceeds the total variation.

    Parameters
    ----------
    real, synth : array_like (n, k), (m, k)
        Feature rows.
    rng : Generator
        Folds.
    num_folds : int
        Folds.
    level : float
        One-sided confidence of `low`.

    Returns
    -------
    Measured
        Null 0; `low` is a confidence bound that the total variation exceeds. Lower is better.
    """
    pair = check_pair(real, synth, least=100)
    said_real, said_synth = [], []
    for train, held in _folds(pair, num_folds, rng):
        score = fit_score(train[0], train[1], quadratic=False)
        cut = _best_cut(score(train[0]), score(train[1]))
        said_real.append(score(held[0]) > cut)
        said_synth.append(score(held[1]) > cut)
    wrong, right = np.concatenate(said_real).astype(float), np.concatenate(said_synth).astype(float)
    value = float(right.mean() - wrong.mean())
    error = SE_INFLATION * float(np.sqrt(right.var(ddof=1) / len(right) + wrong.var(ddof=1) / len(wrong)))
    return Measured(value, 0.0, value - float(ndtri(level)) * error, raw=value, num_rows=(len(wrong), len(right)))


def _best_cut(real: np.ndarray, synth: np.ndarray) -> float:
    """Cut that best separates the training scores."""
    values = np.sort(np.concatenate([real, synth]))
    above = [1 - np.searchsorted(np.sort(s), values, side="right") / len(s) for s in (real, synth)]
    return float(values[int(np.argmax(above[1] - above[0]))])


def permutation_p_value(
    statistic: Callable[[np.ndarray, np.ndarray], float],
    real: ArrayLike,
    synth: ArrayLike,
    *,
    rng: np.random.Generator,
    num_permutations: int = 199,
) -> float:
    """Probability, under random relabelling of the rows, of a statistic at least as large as the one seen.

    Parameters
    ----------
    statistic : callable (real (n, k), synth (m, k)) -> float
        Larger means more different.
    real, synth : array_like (n, k), (m, k)
        Feature rows.
    rng : Generator
        Relabellings.
    num_permutations : int
        The smallest possible p-value is 1/(num_permutations + 1).

    Returns
    -------
    float
        p-value; exact for exchangeable rows, whatever the sample sizes.
    """
    _need_permutations(num_permutations)
    x, y = check_pair(real, synth)
    seen, pool = statistic(x, y), np.concatenate([x, y])
    larger = 0
    for _ in range(num_permutations):
        order = rng.permutation(len(pool))
        larger += statistic(pool[order[: len(x)]], pool[order[len(x) :]]) >= seen
    return (1 + larger) / (num_permutations + 1)


def mean_feature_p_value(
    real: ArrayLike, synth: ArrayLike, *, rng: np.random.Generator, num_permutations: int = 199
) -> float:
    """`permutation_p_value` of the mean-feature distance, all relabellings in a few matrix products."""
    _need_permutations(num_permutations)
    x, y = check_pair(real, synth)
    pool = np.concatenate([x, y])
    pool = pool - pool.mean(axis=0)
    seen = float(np.sum((y.mean(axis=0) - x.mean(axis=0)) ** 2))
    size, larger = max(1, CHUNK_ENTRIES // len(pool)), 0
    for first in range(0, num_permutations, size):
        picks = np.zeros((min(size, num_permutations - first), len(pool)))
        picks[:, : len(x)] = 1.0
        sums = rng.permuted(picks, axis=1) @ pool
        # The pooled rows sum to 0, so the difference of means is a multiple of the first group's sum.
        gaps = sums * (1 / len(x) + 1 / len(y))
        larger += int(((gaps**2).sum(axis=1) >= seen * (1 - 1e-12)).sum())
    return (1 + larger) / (num_permutations + 1)


def _need_permutations(num_permutations: int) -> None:
    """Refuse a test that cannot say anything."""
    if num_permutations < 19:
        raise DataError(f"{num_permutations} permutations were asked for; at least 19 are needed to reach 5 %")
