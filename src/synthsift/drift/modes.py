"""Where the mass of a sample lies: k-means centers as a fixed list of modes that later samples are counted in.

References
----------
Arthur, Vassilvitskii 2007 (k-means++ seeding); Lloyd 1982.
"""

from __future__ import annotations

import numpy as np

from synthsift.numerics.neighbors import nearest, squared_distances

LLOYD_STEPS = 25
RESTARTS = 8  # of the seeding; one alone often merges two modes, which hides the loss of one of them


def find_modes(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Centers of clusters of `rows` (n, c), largest cluster first: the tightest of several seedings.

    Parameters
    ----------
    rows : ndarray (n, c)
        Points.
    count : int
        Clusters wanted.
    rng : Generator
        Seeding.

    Returns
    -------
    ndarray (q, c)
        Centers of clusters with at least one row; fewer than `count` where rows coincide.
    """
    tries = [_lloyd(rows, _seed(rows, count, rng)) for _ in range(RESTARTS)]
    centers = min(tries, key=lambda c: float(squared_distances(rows, c).min(axis=1).sum()))
    sizes = np.bincount(assign_modes(rows, centers), minlength=len(centers))
    return centers[np.argsort(-sizes, kind="stable")]


def _seed(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Rows far from one another, drawn in proportion to the squared distance to those drawn before."""
    centers = rows[[int(rng.integers(len(rows)))]]
    gaps = squared_distances(rows, centers)[:, 0]
    # A repeated row leaves rounding noise instead of 0, which must not become a center of its own.
    tiny = 1e-12 * float(np.einsum("ij,ij->i", rows, rows).max(initial=0.0))
    while len(centers) < count and float(gaps.max(initial=0.0)) > tiny:
        chance = np.where(gaps > tiny, gaps, 0.0)
        centers = np.concatenate([centers, rows[[int(rng.choice(len(rows), p=chance / chance.sum()))]]])
        gaps = np.minimum(gaps, squared_distances(rows, centers[-1:])[:, 0])
    return centers


def _lloyd(rows: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Centers moved to the means of their rows until they rest; an empty cluster is dropped."""
    for _ in range(LLOYD_STEPS):
        place = assign_modes(rows, centers)
        sizes = np.bincount(place, minlength=len(centers))
        sums = np.zeros_like(centers)
        np.add.at(sums, place, rows)
        moved = sums[sizes > 0] / sizes[sizes > 0, None]
        if len(moved) == len(centers) and np.allclose(moved, centers, rtol=0, atol=1e-9 * float(np.abs(rows).max())):
            break
        centers = moved
    return centers


def assign_modes(rows: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Index of the nearest center of each row (n,)."""
    return nearest(rows, centers, 1)[1][:, 0]
