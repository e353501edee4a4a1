"""Which of several candidates to take when their differences are noisy: the simplest that is not clearly worse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthsift.numerics.resampling import draw_parts, members

# Both in standard errors of the paired difference in log-loss; tuned on real sets and worlds with seeds below 100
# (docs/decisions/0006-simplest-not-clearly-worse.md).
LEAVE_REAL = 0.5  # the best must be better than RealOnly by more, or RealOnly stays the best bet
NEAR = 2.0  # a simpler policy is taken if it is behind the best by no more


def near_best(loss: np.ndarray, counts: np.ndarray, size: np.ndarray | None = None) -> np.ndarray:
    """Return which policies may be recommended (b, p): those that the rows of a draw cannot tell from the best.

    The reference (place 0, RealOnly) is left only if the best policy by log-loss is better by more than `LEAVE_REAL`
    standard errors of the paired difference; else it stands alone. Otherwise all are meant that are ahead of it and
    within `NEAR` standard errors of the best. Policies of the same predictions are exactly as near as each other.

    Parameters
    ----------
    loss : ndarray (n, p)
        Gains in log-loss over RealOnly, simplest policy first, RealOnly at place 0. A row is a real row, or the sum
        over a group: rows of a group are not independent, so the standard error is that of a mean over groups.
    counts : ndarray (b, n)
        How often each counts in each draw.
    size : ndarray (n,), optional
        Real rows in each; one if not given.
    """
    size = np.ones(len(loss)) if size is None else size
    near = np.empty((len(counts), loss.shape[1]), dtype=bool)
    mean = np.empty(near.shape)
    for part in draw_parts(*counts.shape):
        weight = counts[part].astype(np.float64, order="C")
        mean[part] = weight @ loss / (weight @ size)[:, None]
    best = np.argmax(mean, axis=1)
    for one in np.unique(best):
        draws = np.flatnonzero(best == one)
        behind = loss[:, [one]] - loss
        usual = behind.sum(axis=0) / size.sum()
        behind -= size[:, None] * usual  # the moments below are of small numbers, whose differences keep their digits
        for part in draw_parts(len(draws), len(loss)):
            rows = draws[part]
            near[rows] = _near(counts[rows].astype(np.float64, order="C"), behind, size, usual, mean[rows])
    return near


def _near(counts: np.ndarray, behind: np.ndarray, size: np.ndarray, usual: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return `near_best` (b, p) of draws with the same best policy, from how far the others are behind it.

    The sum of (behind - size gap)^2 over rows is that of behind^2 - 2 size gap behind + (size gap)^2.
    """
    total = (counts @ size)[:, None]
    more = counts @ behind / total  # than usual
    gap = usual + more
    spread = counts @ behind**2 - 2 * more * (counts @ (size[:, None] * behind)) + more**2 * (counts @ size**2)[:, None]
    error = np.sqrt(np.maximum(spread, 0.0) / total / total)
    is_real = np.arange(behind.shape[1]) == 0
    stays = gap[:, :1] <= LEAVE_REAL * error[:, :1]
    return np.where(stays, is_real, (gap <= NEAR * error) & (mean > 0))


def recommend(loss: np.ndarray, counts: np.ndarray, size: np.ndarray | None = None) -> np.ndarray:
    """Return the place of the recommended policy in each draw (b,): the simplest of `near_best`.

    Among policies that these rows cannot tell apart, the simpler one has less to lose on rows of another mix.
    """
    return np.argmax(near_best(loss, counts, size), axis=1)


@dataclass(frozen=True)
class Chooser:
    """`recommend` over independent units: rows, or groups of rows where there are any.

    Parameters
    ----------
    loss : ndarray (g, k)
        Sums of row-wise gains over each unit, of the policies that may be chosen.
    first : ndarray (g,)
        A row of each unit; rows of a unit share their bootstrap counts.
    size : ndarray (g,)
    in_race : ndarray of bool (p,)
        Which of all policies may be chosen.
    """

    loss: np.ndarray
    first: np.ndarray
    size: np.ndarray
    in_race: np.ndarray

    @staticmethod
    def of(loss: np.ndarray, group: np.ndarray | None, in_race: np.ndarray | None = None) -> Chooser:
        """Sum row-wise gains (n, p) over groups; all policies may be chosen unless some are in the race no more."""
        in_race = np.ones(loss.shape[1], dtype=bool) if in_race is None else in_race
        loss = loss[:, in_race]
        if group is None:
            return Chooser(loss, np.arange(len(loss)), np.ones(len(loss)), in_race)
        member = members(group)
        _, first, size = np.unique(member, return_index=True, return_counts=True)
        order = np.argsort(member, kind="stable")
        sums = np.add.reduceat(loss[order], np.cumsum(size) - size, axis=0)
        return Chooser(sums, first, size.astype(float), in_race)

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        """Return the place of the recommended policy (b,) when row i counts ``counts[b, i]`` times in draw b."""
        return np.flatnonzero(self.in_race)[recommend(self.loss, counts[:, self.first], self.size)]

    def near(self) -> np.ndarray:
        """Return which policies may be recommended (p,) when every row counts once."""
        near = np.zeros(len(self.in_race), dtype=bool)
        near[self.in_race] = near_best(self.loss, np.ones((1, len(self.first))), self.size)[0]
        return near
