"""Do synthetic rows lie where real rows lie, and is every real neighborhood reached? Scores from nearest neighbors.

Precision and density ask whether synthetic rows fall into real neighborhoods, recall and coverage whether real rows are
reached. Higher is better for the four; the 1-NN accuracy is best near its null. All cost n x m distances: thin larger
samples to 10,000 rows first (`measures.thinned`).

References
----------
Kynkaanniemi et al. 2019 (precision, recall); Naeem et al., ICML 2020 (density, coverage); Lopez-Paz, Oquab 2017 (1-NN).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from synthsift.drift.closed_forms import coverage_null, nearest_neighbor_null
from synthsift.drift.measures import CHUNK_ENTRIES, check_pair
from synthsift.drift.traces import Measured
from synthsift.numerics.neighbors import nearest, squared_distances

SCORES = ("precision", "recall", "density", "coverage")


def neighborhood_scores(
    real: ArrayLike, synth: ArrayLike, *, rng: np.random.Generator, k: int = 5, num_null: int = 1
) -> dict[str, Measured]:
    """Precision, recall, density and coverage with what they would be without drift.

    Parameters
    ----------
    real, synth : array_like (n, d), (m, d)
        Feature rows.
    rng : Generator
        Relabellings for the null of precision and recall, which has no closed form.
    k : int
        Neighbors that make a neighborhood.
    num_null : int
        Relabellings; 0 leaves those two nulls NaN. Each costs as much as the scores.

    Returns
    -------
    dict of str to Measured
        Higher is better; density has null 1 and no upper bound (outlying real rows inflate it), coverage the null
        1 - prod_{j<=k} (n-j)/(n+m-j).

    Raises
    ------
    DataError
        If a sample is too small for `k`, widths differ, or an entry is not finite.
    """
    x, y = check_pair(real, synth, least=max(50, k + 1))
    center = x.mean(axis=0)
    x, y = x - center, y - center
    scores = _scores(x, y, k)
    pool = np.concatenate([x, y])
    shuffled = []
    for _ in range(num_null):
        order = rng.permutation(len(pool))
        shuffled.append(_scores(pool[order[: len(x)]], pool[order[len(x) :]], k)[:2])
    nulls = [*(np.mean(shuffled, axis=0) if shuffled else (np.nan, np.nan)), 1.0, coverage_null(len(x), len(y), k)]
    return {
        name: Measured(float(value), float(null), raw=float(value), num_rows=(len(x), len(y)))
        for name, value, null in zip(SCORES, scores, nulls, strict=True)
    }


def _scores(x: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    """Precision, recall, density, coverage of synthetic y against real x."""
    reach_x = nearest(x, x, k, skip=np.arange(len(x)))[0][:, -1] ** 2
    reach_y = nearest(y, y, k, skip=np.arange(len(y)))[0][:, -1] ** 2
    hits, reached, covered = np.zeros(len(y)), 0, 0
    size = max(1, CHUNK_ENTRIES // len(y))
    for first in range(0, len(x), size):
        block = squared_distances(x[first : first + size], y)
        inside = block <= reach_x[first : first + size, None]
        hits += inside.sum(axis=0)
        covered += int(inside.any(axis=1).sum())
        reached += int((block <= reach_y).any(axis=1).sum())
    return np.array([(hits > 0).mean(), reached / len(x), hits.mean() / k, covered / len(x)])


def nearest_neighbor_accuracy(real: ArrayLike, synth: ArrayLike) -> Measured:
    """Share of rows whose nearest other row is of their own kind; above its null means told apart, below means copied.

    Parameters
    ----------
    real, synth : array_like (n, d), (m, d)
        Feature rows; use equal sizes, or the larger sample decides.

    Returns
    -------
    Measured
        Null (n(n-1)+m(m-1))/((n+m)(n+m-1)), a little below 1/2 for equal sizes. Lower is better down to the null.
    """
    x, y = check_pair(real, synth)
    pool = np.concatenate([x, y]) - x.mean(axis=0)
    is_synth = np.arange(len(pool)) >= len(x)
    closest = nearest(pool, pool, 1, skip=np.arange(len(pool)))[1][:, 0]
    value = float((is_synth[closest] == is_synth).mean())
    return Measured(value, nearest_neighbor_null(len(x), len(y)), raw=value, num_rows=(len(x), len(y)))
