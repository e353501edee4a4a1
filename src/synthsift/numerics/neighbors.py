"""Nearest neighbors and the exact KNN-Shapley value, in chunks of bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Pairs = tuple[np.ndarray, np.ndarray]

CHUNK_BYTES = 64 * 2**20  # of one block of distances


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return squared Euclidean distances (n, m) between rows of `a` (n, d) and `b` (m, d); never negative."""
    gram = a @ b.T
    gram *= -2
    gram += np.einsum("ij,ij->i", a, a)[:, None]
    gram += np.einsum("ij,ij->i", b, b)[None, :]
    return np.maximum(gram, 0, out=gram)


def chunks(n: int, m: int) -> Iterator[slice]:
    """Cut `n` rows into blocks of which each, with `m` numbers a row, stays within `CHUNK_BYTES`."""
    size = max(1, CHUNK_BYTES // (8 * max(m, 1)))
    for first in range(0, n, size):
        yield slice(first, first + size)


def related_pairs(
    family: np.ndarray, own: np.ndarray, bank_family: np.ndarray, bank_own: np.ndarray
) -> Callable[[Any], Pairs]:
    """Return what finds the pairs (row, bank row) that are the same row or of one family, for some rows at a time.

    All pairs at once may be too many for memory: a large group has the square of its size.

    Parameters
    ----------
    family, own : ndarray (n,) of int
        Family of each row (-1: none) and its number among all rows.
    bank_family, bank_own : ndarray (m,) of int
        The same of the bank.

    Returns
    -------
    callable
        Given rows (a slice, or places in ascending order), returns places among them and in the bank, (p,), (p,),
        each pair once.
    """
    alone = np.where(family < 0, own, -1)  # a row of a family is there as one of its relatives
    relatives, selves = _Index(bank_family), _Index(np.where(bank_family < 0, bank_own, -1))

    def pairs(rows: Any) -> Pairs:
        found = relatives.pairs(family[rows]), selves.pairs(alone[rows])
        return np.concatenate([found[0][0], found[1][0]]), np.concatenate([found[0][1], found[1][1]])

    return pairs


class _Index:
    """Places of equal, non-negative values in a bank."""

    def __init__(self, bank: np.ndarray) -> None:
        self.order = np.argsort(bank, kind="stable")
        self.sorted = bank[self.order]

    def pairs(self, values: np.ndarray) -> Pairs:
        """Return places in `values` and in the bank."""
        first = np.searchsorted(self.sorted, values, side="left")
        count = np.searchsorted(self.sorted, values, side="right") - first
        count[values < 0] = 0
        rows = np.repeat(np.arange(len(values)), count)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
        return rows, self.order[np.repeat(first, count) + within]


def nearest(
    queries: np.ndarray, bank: np.ndarray, k: int, *, skip: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return distances and places of the `k` nearest bank rows, nearest first.

    Parameters
    ----------
    queries, bank : ndarray (n, d), (m, d)
    k : int
        At most m (m - 1 with `skip`); lowered if more.
    skip : ndarray (n,) of int, optional
        For each query the bank row that does not count, such as the query itself or its parent; -1 for none.

    Returns
    -------
    distances, places : ndarray (n, k)
        Euclidean distances and indices into `bank`.
    """
    k = max(1, min(k, len(bank) - int(skip is not None)))
    distances, places = np.empty((len(queries), k)), np.empty((len(queries), k), dtype=np.int64)
    for rows in chunks(len(queries), len(bank)):
        block = squared_distances(queries[rows], bank)
        if skip is not None:
            mine = np.flatnonzero(skip[rows] >= 0)
            block[mine, skip[rows][mine]] = np.inf
        if k == 1:  # a tenth of the time of a partition
            near = block.argmin(axis=1)[:, None]
        elif k < block.shape[1]:
            near = np.argpartition(block, k - 1, axis=1)[:, :k]
        else:
            near = np.tile(np.arange(k), (len(block), 1))
        order = np.argsort(np.take_along_axis(block, near, axis=1), axis=1, kind="stable")
        near = np.take_along_axis(near, order, axis=1)
        places[rows] = near
        distances[rows] = np.sqrt(np.take_along_axis(block, near, axis=1))
    return distances, places


def knn_shapley(
    train_x: np.ndarray,
    train_y: np.ndarray,
    judge_x: np.ndarray,
    judge_y: np.ndarray,
    k: int,
    *,
    skip: Callable[[slice], Pairs] | None = None,
) -> np.ndarray:
    """Exact Shapley value of every training row for the k-nearest-neighbor accuracy on the judging rows.

    With the n rows sorted by distance to one judging row, nearest first, and hits a_j = 1 where the labels agree,

        v_n = a_n min(k, n) / (k n),   v_j = v_{j+1} + (a_j - a_{j+1}) / k * min(k, j) / j

    and the value is the mean over judging rows. Higher is better; the sum over rows is the accuracy.

    Parameters
    ----------
    train_x, train_y : ndarray (n, d), (n,)
    judge_x, judge_y : ndarray (m, d), (m,)
    k : int
    skip : callable, optional
        Given a slice of the judges, returns pairs (place in the slice, training row) that are the same or related, as
        what `related_pairs` returns does: such a row takes no part before that judge, and its value is the mean over
        the other judges.

    Returns
    -------
    ndarray (n,)

    References
    ----------
    Jia et al. 2019, "Efficient task-specific data valuation for nearest neighbor algorithms", theorem 1.
    """
    n = len(train_x)
    total, counted = np.zeros(n), np.full(n, len(judge_x))
    rank = np.arange(1, n)
    factor = np.minimum(k, rank) / (k * rank)
    for rows in chunks(len(judge_x), n):
        block = squared_distances(judge_x[rows], train_x)
        judges, related = (np.zeros(0, dtype=np.int64),) * 2 if skip is None else skip(rows)
        block[judges, related] = np.inf  # sorted behind the rows that take part
        counted -= np.bincount(related, minlength=n)
        num_left = n - np.bincount(judges, minlength=len(block))
        for label, left, order in zip(judge_y[rows], num_left, ascending(block), strict=True):
            if left == 0:  # all rows are relatives of this judge
                continue
            order = order[:left]
            hits = train_y[order] == label
            values = np.empty(left)
            values[-1] = hits[-1] * min(k, left) / (k * left)
            values[:-1] = (hits[:-1].view(np.int8) - hits[1:].view(np.int8)) * factor[: left - 1]
            total[order] += np.cumsum(values[::-1])[::-1]  # a judge meets every row once
    return total / np.maximum(counted, 1)


def ascending(block: np.ndarray) -> np.ndarray:
    """Return the order (b, n) of each row of non-negative `block` (b, n), rounded to single precision.

    Equal values keep their order. The bits of non-negative floats are ordered as the numbers are, so the bits in front
    of the place make one integer, and sorting plain integers is several times faster than sorting places by value.
    """
    keys = block.astype(np.float32).view(np.uint32).astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= np.arange(block.shape[1], dtype=np.uint64)
    keys.sort(axis=1)
    keys &= np.uint64(0xFFFFFFFF)
    return keys.view(np.int64)
