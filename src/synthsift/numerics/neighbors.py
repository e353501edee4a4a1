"""Nearest neighbors and the exact KNN-Shapley value, in chunks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

CHUNK_BYTES = 64 * 2**20  # of one block of distances


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return squared Euclidean distances (n, m) between rows of `a` (n, d) and `b` (m, d); never negative."""
    gram = a @ b.T
    gram *= -2
    gram += np.einsum("ij,ij->i", a, a)[:, None]
    gram += np.einsum("ij,ij->i", b, b)[None, :]
    return np.maximum(gram, 0, out=gram)


def _chunks(n: int, m: int) -> Iterator[slice]:
    size = max(1, CHUNK_BYTES // (8 * max(m, 1)))
    for first in range(0, n, size):
        yield slice(first, first + size)


def nearest(queries: np.ndarray, bank: np.ndarray, k: int, *, skip_self: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return distances and places of the `k` nearest bank rows, nearest first.

    Parameters
    ----------
    queries, bank : ndarray (n, d), (m, d)
    k : int
        At most m (m - 1 with `skip_self`); lowered if more.
    skip_self : bool
        Query i and bank row i are the same row, which does not count as its own neighbor.

    Returns
    -------
    distances, places : ndarray (n, k)
        Euclidean distances and indices into `bank`.
    """
    k = max(1, min(k, len(bank) - int(skip_self)))
    distances, places = np.empty((len(queries), k)), np.empty((len(queries), k), dtype=np.int64)
    for rows in _chunks(len(queries), len(bank)):
        block = squared_distances(queries[rows], bank)
        if skip_self:
            block[np.arange(len(block)), np.arange(rows.start, rows.start + len(block))] = np.inf
        near = (
            np.argpartition(block, k - 1, axis=1)[:, :k]
            if k < block.shape[1]
            else np.tile(np.arange(k), (len(block), 1))
        )
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
    skip: np.ndarray | None = None,
) -> np.ndarray:
    """Exact Shapley value of every training row for the k-nearest-neighbor accuracy on the judging rows.

    With rows sorted by distance to one judging row, nearest first, and hits a_j = 1 where the labels agree,

        v_n = a_n / max(n, k) * min(k, n)/k,   v_j = v_{j+1} + (a_j - a_{j+1}) / k * min(k, j) / j

    and the value is the mean over judging rows. Higher is better; the sum over rows is the accuracy.

    Parameters
    ----------
    train_x, train_y : ndarray (n, d), (n,)
    judge_x, judge_y : ndarray (m, d), (m,)
    k : int
    skip : ndarray (m,) of int, optional
        For each judging row, the training row that is the same row (-1 for none); it gets no value from itself.

    Returns
    -------
    ndarray (n,)

    References
    ----------
    Jia et al. 2019, "Efficient task-specific data valuation for nearest neighbor algorithms", theorem 1.
    """
    n = len(train_x)
    total, counted = np.zeros(n), np.full(n, len(judge_x), dtype=np.float64)
    rank = np.arange(1, n)
    factor = np.minimum(k, rank) / (k * rank)
    for rows in _chunks(len(judge_x), n):
        block = squared_distances(judge_x[rows], train_x)
        own = None if skip is None else skip[rows]
        if own is not None:
            mine = np.flatnonzero(own >= 0)
            block[mine, own[mine]] = np.inf  # sorted last, where its own label cannot help it
        order = np.argsort(block, axis=1, kind="stable")
        hits = (train_y[order] == judge_y[rows][:, None]).astype(np.float64)
        if own is not None:
            hits[mine, -1] = hits[mine, -2] if n > 1 else 0.0
        values = np.empty_like(hits)
        values[:, -1] = hits[:, -1] * min(k, n) / (k * n)
        steps = (hits[:, :-1] - hits[:, 1:]) * factor
        values[:, :-1] = values[:, -1:] + np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
        if own is not None:
            values[mine, -1] = 0.0
            np.subtract.at(counted, own[mine], 1.0)
        np.add.at(total, order, values)
    return total / np.maximum(counted, 1.0)
