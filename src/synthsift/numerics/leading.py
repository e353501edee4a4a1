"""The leading directions of wide rows, without the square matrix of their columns and its cubic decomposition."""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

TOLERANCE = 1e-6  # relative, of the values; rows in single precision allow no better
LEAST_BASIS = 40  # vectors that Lanczos works with at least, so that values close together take few restarts


def leading_eigen(x: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest eigenvalues of ``x.T @ x`` and their directions, by Lanczos iteration from a fixed start.

    Parameters
    ----------
    x : ndarray (n, d)
    count : int
        Less than d.

    Returns
    -------
    values : ndarray (count,)
        Largest first.
    directions : ndarray (d, count)
        Orthonormal.

    References
    ----------
    Lehoucq, Sorensen, Yang 1998, *ARPACK users' guide*, as `scipy.sparse.linalg.eigsh` calls it.
    """
    d = x.shape[1]
    if not x.any():  # no start has anything in common with the rows
        return np.zeros(count), np.eye(d)[:, :count]
    scale = np.ldexp(x.dtype.type(1), np.frexp(np.abs(x).max())[1] - 1)  # squares of tiny rows vanish; a power of two
    x = x / scale  # rounds nothing

    def product(vector: np.ndarray) -> np.ndarray:
        return (x.T @ (x @ vector.astype(x.dtype))).astype(np.float64)

    square = LinearOperator((d, d), matvec=product, dtype=np.float64)
    start, basis = np.random.default_rng(0).standard_normal(d), min(d, max(2 * count + 1, LEAST_BASIS))
    values, directions = eigsh(square, k=count, v0=start, ncv=basis, tol=TOLERANCE)
    order = np.argsort(-values)
    return values[order] * float(scale) ** 2, directions[:, order]
