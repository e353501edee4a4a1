"""What a row is worth to a nearest-neighbor classifier: exact for rows of the mixture, by insertion for new ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthsift.numerics.neighbors import ascending, chunks, knn_shapley, related_pairs, squared_distances
from synthsift.records import Mixture
from synthsift.seeds import Seeds

NAMES = ("knn_shapley",)
NEIGHBORS = 10
MAX_JUDGES = 2000  # real rows that value the others; a mean over more changes the third digit at most
MAX_PAIRS = 10**8  # judges times rows
MAX_STORED = 200  # judges that value new rows
EXACT_RANKS, MAX_RANKS = 64, 192  # places that are kept of each judge's order: all near ones, then ever fewer


@dataclass(frozen=True)
class NeighborValue:
    """What stored judges would give for one more row, by its distance and label.

    Parameters
    ----------
    judges, labels : ndarray (m, d), (m,)
        Real rows.
    edges : ndarray (m, r)
        Squared distances, ascending, of the rows at the kept places of each judge's order.
    hit, miss : ndarray (m, r + 1)
        KNN-Shapley value times the number of rows of a new row with the judge's label, or with another one, that
        enters before edge 0, 1, ..., or behind all.
    """

    judges: np.ndarray
    labels: np.ndarray
    edges: np.ndarray
    hit: np.ndarray
    miss: np.ndarray

    @staticmethod
    def fit(x: np.ndarray, mixture: Mixture, seeds: Seeds) -> tuple[Game, np.ndarray]:
        """Value all rows for predicting the real ones; relatives of a judge take no part before it.

        Returns
        -------
        Game, ndarray (n, 1)
            What `NeighborValue` is made of, which takes as long as valuing all rows and is seldom asked for; and the
            exact KNN-Shapley value of every row of the mixture, times their number.
        """
        y, judges = mixture.y, np.flatnonzero(~mixture.is_synth)
        most = min(MAX_JUDGES, max(MAX_STORED, MAX_PAIRS // len(x)))
        if len(judges) > most:
            judges = np.sort(seeds.numpy("judges").choice(judges, most, replace=False))
        related = related_pairs(mixture.family[judges], judges, mixture.family, np.arange(len(y)))
        exact = knn_shapley(x, y, x[judges], y[judges], NEIGHBORS, skip=related) * len(x)
        kept = judges
        if len(judges) > MAX_STORED:
            kept = np.sort(seeds.numpy("stored").choice(judges, MAX_STORED, replace=False))
        return Game(x, y, kept), exact[:, None]

    def describe(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the column (n, 1) of new rows: what each would be worth if it joined."""
        out = np.zeros(len(x))
        for rows in chunks(len(x), len(self.judges)):
            squared = squared_distances(self.judges, x[rows])
            for k, line in enumerate(squared):
                place = np.searchsorted(self.edges[k], line, side="right")
                out[rows] += np.where(y[rows] == self.labels[k], self.hit[k][place], self.miss[k][place])
        return out[:, None] / len(self.judges)


@dataclass(frozen=True)
class Game:
    """Rows (n, d), their labels (n,), and the places of the judges that are kept for new rows."""

    x: np.ndarray
    y: np.ndarray
    kept: np.ndarray

    def state(self) -> NeighborValue:
        """Return what values new rows."""
        return _stored(self.x, self.y, self.kept)


def _stored(x: np.ndarray, y: np.ndarray, kept: np.ndarray) -> NeighborValue:
    """Order all rows before each kept judge, itself left out, and note what a newcomer at each place is worth.

    A row that enters at rank r pushes the others back; with f_l = min(k, l) / (k l) and hits a_l it is worth
    a f_r - sum_{l >= r} a_l (f_l - f_{l+1}), the closed form of the recursion in `knn_shapley`.
    """
    n = len(x) - 1
    rank = np.arange(1, n + 2)
    f = np.minimum(NEIGHBORS, rank) / (NEIGHBORS * rank)
    places = np.arange(n)
    if n > MAX_RANKS:
        far = np.geomspace(EXACT_RANKS, n - 1, MAX_RANKS - EXACT_RANKS).astype(np.int64)
        places = np.unique(np.concatenate([np.arange(EXACT_RANKS), far]))
    entry = np.append(places, n)  # 0-based rank of a newcomer before each kept place, and behind all
    edges, hit, miss = [], [], []
    for rows in chunks(len(kept), n):
        block = squared_distances(x[kept[rows]], x)
        block[np.arange(len(block)), kept[rows]] = np.inf
        order = ascending(block)[:, :n]
        same = y[order] == y[kept[rows]][:, None]
        pushed = np.cumsum((same * (f[:n] - f[1:]))[:, ::-1], axis=1)[:, ::-1]
        loss = np.concatenate([pushed, np.zeros((len(block), 1))], axis=1)[:, entry]
        edges.append(np.take_along_axis(block, order[:, places], axis=1))
        hit.append((n + 1) * (f[entry] - loss))
        miss.append(-(n + 1) * loss)
    parts = [np.concatenate(part).astype(np.float32) for part in (edges, hit, miss)]
    return NeighborValue(x[kept], y[kept], *parts)
