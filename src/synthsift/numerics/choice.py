"""Which of several candidates to take when their differences are noisy: the simplest that is not clearly worse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthsift.numerics.resampling import members

# Both in standard errors of the paired difference in log-loss; tuned on real sets and worlds with seeds below 100
# (docs/decisions/0006-simplest-not-clearly-worse.md).
LEAVE_REAL = 0.5  # the best must be better than RealOnly by more, or RealOnly stays the best bet
NEAR = 2.0  # a simpler policy is taken if it is behind the best by no more


def near_best(loss: np.ndarray, counts: np.ndarray, size: np.ndarray | None = None) -> np.ndarray:
    """Return which policies may be recommended (p,): those that these rows cannot tell from the best.

    The reference (place 0, RealOnly) is left only if the best policy by log-loss is better by more than `LEAVE_REAL`
    standard errors of the paired difference; else it stands alone. Otherwise all are meant that are ahead of it and
    within `NEAR` standard errors of the best.

    Parameters
    ----------
    loss : ndarray (n, p)
        Gains in log-loss over RealOnly, simplest policy first, RealOnly at place 0. A row is a real row, or the sum
        over a group: rows of a group are not independent, so the standard error is that of a mean over groups.
    counts : ndarray (n,)
        How often each counts.
    size : ndarray (n,), optional
        Real rows in each; one if not given.
    """
    size = np.ones(len(loss)) if size is None else size
    total = counts @ size
    mean = counts @ loss / total
    best = int(np.argmax(mean))
    gap = mean[best] - mean
    error = np.sqrt(counts @ (loss[:, [best]] - loss - size[:, None] * gap) ** 2 / total / total)
    is_real = np.arange(loss.shape[1]) == 0
    return is_real if gap[0] <= LEAVE_REAL * error[0] else (gap <= NEAR * error) & (mean > 0)


def recommend(loss: np.ndarray, counts: np.ndarray, size: np.ndarray | None = None) -> int:
    """Return the place of the recommended policy: the simplest of `near_best`.

    Among policies that these rows cannot tell apart, the simpler one has less to lose on rows of another mix.
    """
    return int(np.argmax(near_best(loss, counts, size)))


@dataclass(frozen=True)
class Chooser:
    """`recommend` over independent units: rows, or groups of rows where there are any.

    Parameters
    ----------
    loss : ndarray (g, p)
        Sums of row-wise gains over each unit.
    first : ndarray (g,)
        A row of each unit; rows of a unit share their bootstrap counts.
    size : ndarray (g,)
    """

    loss: np.ndarray
    first: np.ndarray
    size: np.ndarray

    @staticmethod
    def of(loss: np.ndarray, group: np.ndarray | None) -> Chooser:
        """Sum row-wise gains (n, p) over groups."""
        if group is None:
            return Chooser(loss, np.arange(len(loss)), np.ones(len(loss)))
        member = members(group)
        _, first, size = np.unique(member, return_index=True, return_counts=True)
        order = np.argsort(member, kind="stable")
        return Chooser(np.add.reduceat(loss[order], np.cumsum(size) - size, axis=0), first, size.astype(float))

    def __call__(self, counts: np.ndarray) -> int:
        """Return the place of the recommended policy when row i counts ``counts[i]`` times (n,)."""
        return recommend(self.loss, counts[self.first], self.size)

    def near(self) -> np.ndarray:
        """Return which policies may be recommended (p,) when every row counts once."""
        return near_best(self.loss, np.ones(len(self.first)), self.size)
