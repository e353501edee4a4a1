"""Tests whether generations differ from real data, at a false-alarm rate that holds for the whole stream.

One generation: the rows of reference and generation are relabelled at random. The statistic is the most surprising of
the squared gaps of several feature blocks, each judged by the chi-squared law with its mean and rank; it depends on the
labels only through the gaps and is otherwise symmetric in the pooled rows, so its p-value is exact when reference and
generation are independent draws of one law, however rough the chi-squared laws are.
Relabelling stops after 20 exceedances (Besag, Clifford 1991), which keeps the p-value valid and makes a quiet
generation cheap.

The stream: generation i alarms when p_i <= rate/horizon (Bonferroni). All generations are held against one reference,
so their p-values depend on each other in a way nobody knows: given that the first p-value was small (the reference
happens to be odd), the next tends to be small too. Products of e-values and alpha investing need p-values that are
valid *given the past*, which is false here; the union bound needs nothing but each p-value's own validity:
P(any alarm in `horizon` generations without drift) <= sum_i P(p_i <= rate/horizon) <= rate.

References
----------
Besag, Clifford 1991 (sequential Monte Carlo p-values); Phipson, Smyth 2010; Gretton et al. 2012 (MMD).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from scipy.special import gammaincc

from synthsift.records import DataError

ENOUGH = 20  # exceedances after which a p-value is precise enough
LEAST_DRAWS = 1999
LEAST_LEVEL = 1e-5
BATCH = 50


def stream_level(horizon: int, rate: float) -> float:
    """Level of each generation's test so that `horizon` of them give a false alarm with probability `rate` at most.

    Raises
    ------
    DataError
        If the horizon is below 1, the rate not in (0, 1), or the level so small that no test could reach it in time.
    """
    if horizon < 1 or not 0 < rate < 1:
        raise DataError(
            f"horizon = {horizon} and false-alarm rate = {rate}: give at least 1 generation and a rate between 0 and 1"
        )
    if rate / horizon < LEAST_LEVEL:
        raise DataError(
            f"a false-alarm rate of {rate:g} over {horizon:,} generations leaves each test a level of "
            f"{rate / horizon:.1g}; below {LEAST_LEVEL:g} it would need more than {4 / LEAST_LEVEL:,.0f} relabellings. "
            f"Shorten the horizon or raise the rate"
        )
    return rate / horizon


def sequential_p_value(
    draw: Callable[[int], np.ndarray], seen: float, most: int, enough: int = ENOUGH, batch: int = BATCH
) -> float:
    """P-value from statistics under the null that are drawn until `enough` of them reach `seen`.

    enough/l when the last of them is draw l, else (1 + exceedances)/(most + 1): P(p <= u) <= u for every u.

    Parameters
    ----------
    draw : callable (count) -> ndarray (count,)
        New statistics under the null.
    seen : float
        The statistic of the data; ties count as exceedances.
    most : int
        Draws at most.
    enough, batch : int
        When to stop, and how many are drawn at a time.

    Returns
    -------
    float
        In (0, 1].
    """
    done = hits = 0
    while done < most:
        count = min(batch, most - done)
        reached = np.cumsum(draw(count) >= seen)
        if hits + int(reached[-1]) >= enough:
            return enough / (done + 1 + int(np.argmax(reached >= enough - hits)))
        hits, done = hits + int(reached[-1]), done + count
    return (1 + hits) / (most + 1)


def block_p_value(
    real: Sequence[np.ndarray], synth: Sequence[np.ndarray], *, rng: np.random.Generator, level: float
) -> float:
    """P-value of the most surprising squared gap over blocks of features, by relabelling the rows.

    Parameters
    ----------
    real, synth : sequence of ndarray (n, k_j), (m, k_j)
        The same blocks of features of both samples, from a map that neither of them had a part in.
    rng : Generator
        Relabellings.
    level : float
        Level it will be compared with; sets how small the p-value can become.

    Returns
    -------
    float
        Exact for exchangeable rows.
    """
    n, m = len(real[0]), len(synth[0])
    widths = np.cumsum([0, *(block.shape[1] for block in real)])
    pool = np.concatenate([np.concatenate(real, axis=1), np.concatenate(synth, axis=1)]).astype(np.float32)
    pool -= pool.mean(axis=0, dtype=np.float64).astype(np.float32)
    # Under relabelling |gap|^2 has this mean exactly, and about the shape of a chi2 with `rank` degrees of freedom.
    mean, rank = _null_moments(pool, widths, n, m)

    def statistic(sums: np.ndarray) -> np.ndarray:
        squares = (sums.astype(np.float64) * (1 / n + 1 / m)) ** 2
        energies = np.add.reduceat(squares, widths[:-1], axis=1)  # (draws, blocks)
        tail = gammaincc(rank / 2, rank / 2 * energies / mean)
        return -np.log(np.maximum(tail.min(axis=1), 1e-300))

    few = min(n, m)  # the pooled rows sum to 0, so either group's sum gives the gap
    labels = np.zeros(n + m, np.float32)
    labels[:few] = 1.0

    def draw(count: int) -> np.ndarray:
        return statistic(rng.permuted(np.tile(labels, (count, 1)), axis=1) @ pool)

    own = pool[:n] if n <= m else pool[n:]
    seen = float(statistic(np.ones((1, few), np.float32) @ own)[0])
    most = max(LEAST_DRAWS, math.ceil(4 / level) - 1)
    # Sums in another order differ by rounding; equal statistics must count as ties.
    return sequential_p_value(draw, seen - 1e-4 * max(1.0, abs(seen)), most)


def _null_moments(pool: np.ndarray, widths: np.ndarray, n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean of |gap|^2 under relabelling and effective rank of every block (b,)."""
    means, ranks = [], []
    for first, last in pairwise(widths.tolist()):
        gram = (pool[:, first:last].T @ pool[:, first:last]).astype(np.float64)
        total = float(np.trace(gram))
        means.append(max(total / (n + m - 1) * (1 / n + 1 / m), 1e-300))
        ranks.append(max(1.0, total**2 / max(float(np.sum(gram**2)), 1e-300)))
    return np.array(means), np.array(ranks)
