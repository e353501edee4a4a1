"""Where a row lies: among the real rows, among the synthetic ones, and in its own class, in the encoder's space.

Inputs 5-14 of Du, Zhao, Li 2026 (arXiv 2606.00571) with distances beside them, as functions of the row: everything is
measured against stored banks of real and of synthetic rows, stored class centers, and a stored reference distribution.
Rows of the mixture are described as if they were new: neither they nor their family count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from synthsift.numerics.neighbors import Pairs, chunks, related_pairs
from synthsift.records import Mixture
from synthsift.represent.dynamics import largest
from synthsift.seeds import Seeds

MAX_REAL, MAX_SYNTH = 2000, 1000  # rows of the banks; larger sets are thinned out evenly over the classes
NEIGHBORS = 10  # real rows asked for their labels
MIXED_NEIGHBORS = 5  # rows of both kinds asked for their labels
QUANTILES = 201  # points of the reference distribution of a class
NAMES = (
    *("real_center", "synth_center"),
    *("real_top1", "real_top2", "real_top3", "synth_top1", "synth_top2", "synth_top3"),
    *("mixed_agreement", "median_percentile"),
    *("knn_agreement", "own_class_distance", "class_gap", "center_distance"),
)


@dataclass(frozen=True)
class Position:
    """Banks, centers and scales that place a row.

    Parameters
    ----------
    middle : ndarray (d,)
        Mean of the described rows; cosines are taken around it.
    bank : ndarray (m, d)
        Real rows sorted by class, then synthetic rows sorted by class, minus `middle`.
    starts : ndarray (2, c + 1)
        Where each class begins in the bank: of the real rows, of the synthetic ones.
    real_sum, synth_sum, real_count, synth_count : ndarray (c, d), (c, d), (c,), (c,)
        Sums and numbers of all rows of a class.
    both_median : ndarray (c,)
        Median distance of a class's rows, of both kinds, to their common center.
    both_spread : ndarray (c, q)
        Quantiles of how far such a distance lies from that median.
    typical, spread : ndarray (1,)
        Median distance of a real row to the nearest other one of its class, and to its class center.
    """

    middle: np.ndarray
    bank: np.ndarray
    starts: np.ndarray
    real_sum: np.ndarray
    synth_sum: np.ndarray
    real_count: np.ndarray
    synth_count: np.ndarray
    both_median: np.ndarray
    both_spread: np.ndarray
    typical: np.ndarray
    spread: np.ndarray

    @staticmethod
    def fit(x: np.ndarray, mixture: Mixture, seeds: Seeds) -> tuple[Position, np.ndarray]:
        """Learn banks and scales; return them with the columns (n, 14) of all rows of the mixture.

        Parameters
        ----------
        x : ndarray (n, d) of float32
            Encoded rows, in the order of ``mixture.ids``.
        mixture : Mixture
        seeds : Seeds
            Stream "bank" thins out large sets.
        """
        y, c, is_synth = mixture.y, mixture.num_classes, mixture.is_synth
        middle = x.mean(axis=0)
        z = x - middle
        places, starts = _banks(y, is_synth, c, seeds.numpy("bank"))
        sums = [_class_sums(z[kind], y[kind], c) for kind in (~is_synth, is_synth)]
        counts = [np.bincount(y[kind], minlength=c) for kind in (~is_synth, is_synth)]
        median, spread = _reference(z, y, c)
        one = np.ones(1)
        made = Position(middle, z[places], starts, sums[0], sums[1], counts[0], counts[1], median, spread, one, one)
        related = related_pairs(mixture.family, np.arange(len(y)), mixture.family[places], places)
        values = made._measure(z, y, related, _shares(z, mixture))
        real, column = np.flatnonzero(~is_synth), NAMES.index
        own, center = values[:, column("own_class_distance")], values[:, column("center_distance")]
        made = replace(made, typical=np.array([_middle(own[real])]), spread=np.array([_middle(center[real])]))
        return made, made._scaled(values)

    def describe(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the columns (n, 14) of new rows."""
        return self._scaled(self._measure(x - self.middle, y, _nobody, None))

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        """Put distances into units of the usual ones; what could not be measured counts as three of these."""
        column, typical, spread = NAMES.index, float(self.typical[0]), float(self.spread[0])
        own, other = (np.nan_to_num(values[:, column(n)], nan=3 * typical) for n in ("own_class_distance", "class_gap"))
        values[:, column("own_class_distance")] = own / typical
        values[:, column("class_gap")] = np.log((other + 0.05 * typical) / (own + 0.05 * typical))
        center = np.nan_to_num(values[:, column("center_distance")], nan=3 * spread)
        values[:, column("center_distance")] = center / spread
        return values

    def _measure(
        self, z: np.ndarray, y: np.ndarray, related: Callable[[Any], Pairs], shares: list[_Share] | None
    ) -> np.ndarray:
        """Return the columns before scaling; distances that do not exist are NaN, class_gap is the other class's."""
        out = np.zeros((len(z), len(NAMES)))
        norm = np.sqrt(np.maximum(np.einsum("ij,ij->i", self.bank, self.bank), 1e-24))
        for label, rows in _by_class(y, len(self.bank)):
            mine = z[rows]
            out[rows] = self._of_class(label, mine @ self.bank.T, mine, norm, related(rows))
        self._centers(out, z, y, shares)
        self._percentile(out, z, y)
        return out

    def _of_class(self, label: int, gram: np.ndarray, z: np.ndarray, norm: np.ndarray, related: Pairs) -> np.ndarray:
        """Columns that compare rows of one class with the banks; `gram` (n, m) are the inner products."""
        num_real = int(self.starts[0, -1])
        out, size = np.zeros((len(z), len(NAMES))), np.einsum("ij,ij->i", z, z)
        cosine = gram / np.maximum(np.sqrt(size)[:, None], 1e-12) / norm
        squared = np.maximum(size[:, None] + norm[:num_real] ** 2 - 2 * gram[:, :num_real], 0)
        cosine[related] = -np.inf
        real = related[1] < num_real
        squared[related[0][real], related[1][real]] = np.inf
        a, b = self.starts[0, label], self.starts[0, label + 1]
        s, t = self.starts[1, label], self.starts[1, label + 1]
        column = NAMES.index
        out[:, column("real_top1") : column("real_top3") + 1] = largest(cosine[:, a:b])
        out[:, column("synth_top1") : column("synth_top3") + 1] = largest(cosine[:, s:t])
        is_own = np.zeros(cosine.shape[1], dtype=bool)
        is_own[a:b] = is_own[s:t] = True
        out[:, column("mixed_agreement")] = _mixed(cosine, is_own)
        out[:, column("knn_agreement")] = _agreement(squared, is_own[:num_real])
        out[:, column("own_class_distance")] = _root(squared[:, a:b])
        out[:, column("class_gap")] = np.fmin(_root(squared[:, :a]), _root(squared[:, b:]))
        return out

    def _centers(self, out: np.ndarray, z: np.ndarray, y: np.ndarray, shares: list[_Share] | None) -> None:
        """Cosine to the real and to the synthetic center of the class, and distance to the real one, without family."""
        size = np.sqrt(np.maximum(np.einsum("ij,ij->i", z, z), 1e-24))
        kinds = (("real_center", self.real_sum, self.real_count), ("synth_center", self.synth_sum, self.synth_count))
        for k, (name, total, count) in enumerate(kinds):
            center, left = total[y].astype(np.float32), count[y].astype(np.float32)
            if shares is not None:
                center, left = center - shares[k].total, left - shares[k].count
            center = center / np.maximum(left, 1)[:, None]
            length = np.sqrt(np.maximum(np.einsum("ij,ij->i", center, center), 1e-24))
            alike = np.einsum("ij,ij->i", z, center) / (size * length)
            out[:, NAMES.index(name)] = np.where(left > 0, alike, 0)
            if name == "real_center":
                away = np.linalg.norm(z - center, axis=1)
                out[:, NAMES.index("center_distance")] = np.where(left > 0, away, np.nan)

    def _percentile(self, out: np.ndarray, z: np.ndarray, y: np.ndarray) -> None:
        """Rank of |distance to the class center - its median| in the reference distribution of the class, in [0, 1]."""
        away = _away(z, y, self.real_sum + self.synth_sum, self.real_count + self.synth_count)
        points = np.linspace(0, 1, self.both_spread.shape[1])
        for label in np.unique(y):
            rows = np.flatnonzero(y == label)
            off = np.abs(away[rows] - self.both_median[label])
            out[rows, NAMES.index("median_percentile")] = np.interp(off, self.both_spread[label], points)


@dataclass(frozen=True)
class _Share:
    """What a row's family (with itself) adds to the sum (n, d) and the number (n,) of its class."""

    total: np.ndarray
    count: np.ndarray


def _shares(z: np.ndarray, mixture: Mixture) -> list[_Share]:
    """Shares in the real and in the synthetic center of the row's class."""
    y, family, n = mixture.y, mixture.family, len(mixture.y)
    alone = family.max(initial=-1) + 1 + np.arange(n)
    key = np.unique(np.where(family >= 0, family, alone) * mixture.num_classes + y, return_inverse=True)[1]
    found = []
    for kind in (~mixture.is_synth, mixture.is_synth):
        count = np.bincount(key[kind], minlength=n)
        many = np.flatnonzero(np.bincount(key, minlength=n)[key] > 1)
        total = np.where(kind[:, None], z, 0).astype(np.float32)
        if len(many):
            sums = _class_sums(z[many] * kind[many][:, None], key[many], int(key.max()) + 1)
            total[many] = sums[key[many]]
        found.append(_Share(total, count[key].astype(np.float32)))
    return found


def _class_sums(z: np.ndarray, y: np.ndarray, c: int) -> np.ndarray:
    """Sum (c, d) of the rows of each class."""
    sums = np.zeros((c, z.shape[1]))
    if not len(y):
        return sums
    order = np.argsort(y, kind="stable")
    present, first = np.unique(y[order], return_index=True)
    sums[present] = np.add.reduceat(z[order].astype(np.float64), first, axis=0)
    return sums


def _banks(y: np.ndarray, is_synth: np.ndarray, c: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Places of the banks' rows, real ones first, each sorted by class, and where the classes start (2, c + 1)."""
    places, starts, before = [], [], 0
    for kind, most in ((~is_synth, MAX_REAL), (is_synth, MAX_SYNTH)):
        rows = np.flatnonzero(kind)
        if len(rows) > most:
            order = rows[rng.permutation(len(rows))]
            order = order[np.argsort(y[order], kind="stable")]
            rows = order[np.linspace(0, len(order) - 1, most).astype(np.int64)]
        rows = rows[np.argsort(y[rows], kind="stable")]
        starts.append(before + np.searchsorted(y[rows], np.arange(c + 1)))
        places.append(rows)
        before += len(rows)
    return np.concatenate(places), np.stack(starts)


def _by_class(y: np.ndarray, width: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (class, rows) in blocks of bounded memory."""
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        for block in chunks(len(rows), 2 * width):
            yield int(label), rows[block]


def _nobody(rows: np.ndarray) -> Pairs:
    """New rows have no relatives."""
    none = np.zeros(0, dtype=np.int64)
    return none, none


def _root(squared: np.ndarray) -> np.ndarray:
    """Smallest distance of each row, NaN where there is none."""
    if squared.shape[1] == 0:
        return np.full(len(squared), np.nan)
    least = squared.min(axis=1).astype(np.float64)
    return np.sqrt(np.where(np.isfinite(least), least, np.nan))


def _agreement(squared: np.ndarray, is_own: np.ndarray) -> np.ndarray:
    """Share of the nearest real rows, weighted by closeness, that have the row's label."""
    k = min(NEIGHBORS, squared.shape[1])
    near = np.argpartition(squared, k - 1, axis=1)[:, :k]
    distance = np.sqrt(np.take_along_axis(squared, near, axis=1))
    finite = np.isfinite(distance)
    scale = np.where(finite, distance, 0).sum(axis=1, keepdims=True) / np.maximum(finite.sum(axis=1, keepdims=True), 1)
    closeness = np.where(finite, 1.0 / (np.where(finite, distance, 1) + 1e-3 * scale + 1e-12), 0)
    return (closeness * is_own[near]).sum(axis=1) / np.maximum(closeness.sum(axis=1), 1e-12)


def _mixed(cosine: np.ndarray, is_own: np.ndarray) -> np.ndarray:
    """Share of the most similar rows of both kinds, weighted by similarity, that have the row's label."""
    k = min(MIXED_NEIGHBORS, cosine.shape[1])
    near = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
    alike = np.maximum(np.take_along_axis(cosine, near, axis=1), 0) + 1e-6
    alike[~np.isfinite(np.take_along_axis(cosine, near, axis=1))] = 0
    return (alike * is_own[near]).sum(axis=1) / np.maximum(alike.sum(axis=1), 1e-12)


def _away(z: np.ndarray, y: np.ndarray, total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Distance (n,) of each row to the center of its class."""
    center = (total / np.maximum(count, 1)[:, None]).astype(np.float32)
    return np.linalg.norm(z - center[y], axis=1).astype(np.float64)


def _reference(z: np.ndarray, y: np.ndarray, c: int) -> tuple[np.ndarray, np.ndarray]:
    """Median distance (c,) to the class center and the quantiles (c, q) of how far distances lie from it."""
    away = _away(z, y, _class_sums(z, y, c), np.bincount(y, minlength=c))
    median, spread = np.zeros(c), np.zeros((c, QUANTILES))
    for label in np.unique(y):
        mine = away[y == label]
        median[label] = np.median(mine)
        spread[label] = np.quantile(np.abs(mine - median[label]), np.linspace(0, 1, QUANTILES))
    return median, spread


def _middle(values: np.ndarray) -> float:
    """Median of the known values, 1 where none is known (every class has a single row)."""
    known = values[np.isfinite(values)]
    return max(float(np.median(known)), 1e-9) if len(known) else 1.0
