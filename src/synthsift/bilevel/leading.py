"""The leading directions of wide rows, without the square matrix of their columns and its cubic decomposition."""

from __future__ import annotations

import numpy as np

MORE = 8  # columns of a block beyond those asked for, so that the last of these is soon told from what follows
MAX_BLOCKS = 16
TOLERANCE = (
    1e-5  # of what is left of a direction, as a share of the largest value; rows in single precision allow no better
)
DEPENDENT = 1e-10  # share of the largest column of a block below which what another adds is rounding


def leading_eigen(x: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest eigenvalues of ``x.T @ x`` and their directions, by block Krylov iteration.

    Some hundred products with `x`, from a fixed start. Where eigenvalues lie close together, the directions found are
    any that have nearly as much.

    Parameters
    ----------
    x : ndarray (n, d)
    count : int
        At most d.

    Returns
    -------
    values : ndarray (count,)
        Largest first; never above the exact ones, but for rounding.
    directions : ndarray (d, count)
        Orthonormal.

    References
    ----------
    Musco and Musco 2015, Randomized block Krylov methods for stronger and faster approximate singular value
    decomposition, NeurIPS (the error does not hang on gaps between the eigenvalues).
    """
    block = np.random.default_rng(0).standard_normal((x.shape[1], min(count + MORE, x.shape[1])))
    basis, images = np.zeros((x.shape[1], 0)), np.zeros((x.shape[1], 0))
    values, directions = np.zeros(count), np.zeros((x.shape[1], count))
    for _ in range(MAX_BLOCKS):
        block = _beside(basis, block)
        if not block.shape[1]:  # nothing new: the values are exact
            break
        image = (x.T @ (x @ block.astype(x.dtype))).astype(np.float64)
        basis, images = np.hstack([basis, block]), np.hstack([images, image])
        inside = basis.T @ images
        found, turn = np.linalg.eigh((inside + inside.T) / 2)
        values, turn = found[::-1][:count], turn[:, ::-1][:, :count]
        directions = basis @ turn
        missed = np.linalg.norm(images @ turn - directions * values, axis=0).max()
        if missed <= TOLERANCE * values[0]:
            break
        block = image
    return values, directions


def _beside(basis: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Return orthonormal columns (d, at most b) of what a block (d, b) has beside an orthonormal basis."""
    largest = np.linalg.norm(block, axis=0).max()
    block, corner = np.linalg.qr(block - basis @ (basis.T @ block))
    block = block[:, np.abs(np.diag(corner)) > DEPENDENT * largest]
    return np.linalg.qr(block - basis @ (basis.T @ block))[0]  # the second time rids it of rounding
