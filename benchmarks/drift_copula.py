"""A Gaussian copula for tables: every column's own distribution, and one correlation matrix of normal scores.

Ranks become normal scores; tied values and categories (by frequency) share an interval of ranks, in which each row gets a
random place. That is what common tools do, and it weakens every correlation with a discrete column a little in every
round: a real trainer's real systematic error. Samples take the values of the rows it was fitted on, so a tail that is
not drawn is lost.

References
----------
Patki, Wedge, Veeramachaneni, "The Synthetic Data Vault", DSAA 2016.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from synthsift.records import Table


@dataclass(frozen=True)
class GaussianCopula:
    """A fitted copula.

    Parameters
    ----------
    ranked : Table
        The rows it was fitted on, every column sorted by itself.
    root : ndarray (c, c)
        A square root of the correlation matrix.
    """

    ranked: Table
    root: np.ndarray

    @staticmethod
    def fit(rows: Table, rng: np.random.Generator) -> GaussianCopula:
        """Learn from the rows of a table; missing values are one more value."""
        keys = [sort_key(v, names is not None) for v, names in zip(rows.values, rows.categories, strict=True)]
        n = len(rows)
        scores = np.empty((n, len(keys)))
        for k, key in enumerate(keys):
            place = np.empty(n)
            place[np.lexsort((rng.random(n), key))] = np.arange(n)  # ties in random order
            scores[:, k] = ndtri((place + 0.5) / n)
        values, vectors = np.linalg.eigh(np.atleast_2d(np.corrcoef(scores, rowvar=False)))
        ranked = tuple(v[np.argsort(key, kind="stable")] for v, key in zip(rows.values, keys, strict=True))
        return GaussianCopula(Table(rows.names, ranked, rows.categories), vectors * np.sqrt(np.maximum(values, 0)))

    def sample(self, num_rows: int, rng: np.random.Generator) -> Table:
        """Draw rows."""
        n = len(self.ranked)
        places = ndtr(rng.standard_normal((num_rows, len(self.root))) @ self.root.T)
        index = np.minimum((places * n).astype(np.intp), n - 1)
        columns = tuple(v[index[:, k]] for k, v in enumerate(self.ranked.values))
        return Table(self.ranked.names, columns, self.ranked.categories)


def sort_key(values: np.ndarray, is_category: bool) -> np.ndarray:
    """What a column is sorted by (n,): numbers by size with missing ones last, categories by frequency."""
    if not is_category:
        return np.where(np.isnan(values), np.inf, values)
    codes, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    order = np.empty(len(codes), dtype=np.intp)
    order[np.lexsort((codes, -counts))] = np.arange(len(codes))
    return order[place]
