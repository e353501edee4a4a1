"""Where a row lies among the real rows, and what a model trained on real rows thinks of its label.

All constants come from the rows of the mixture at hand, so the description is made anew inside every split. Real rows
are described as if they were new: by models and neighbors that exclude them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthsift.numerics.metrics import row_losses
from synthsift.numerics.neighbors import knn_shapley, nearest
from synthsift.numerics.resampling import stratified_folds
from synthsift.records import Features, Mixture
from synthsift.seeds import Seeds
from synthsift.training.logistic import fit_chosen, fit_logistic

NEIGHBORS = 10
MAX_JUDGES = 2000  # real rows that value the others; a mean over more changes the third digit at most


@dataclass(frozen=True)
class Position:
    """Describe every row of a mixture by its place among the real rows.

    Calling it returns `Features` with the columns

    ======================  ============================================================================================
    margin                  trusted model's probability of the row's label minus the best other one, in [-1, 1]
    trusted_loss            trusted model's log-loss of the row's label (lower is better)
    knn_agreement           share of the nearest real rows, weighted by closeness, that have the row's label, in [0, 1]
    knn_shapley             exact KNN-Shapley value for predicting the real rows, times the number of rows
    own_class_distance      distance to the nearest real row of the same class / median distance between real neighbors
    class_gap               log of (distance to the nearest other class / distance to the nearest own class)
    center_distance         distance to the center of the row's class / typical distance of real rows to theirs
    density_ratio           log-odds that a classifier takes the row for real rather than synthetic
    ======================  ============================================================================================

    Parameters
    ----------
    embedding : ndarray (n, d)
        Encoded rows of the whole study.
    place : dict
        Id -> place in `embedding`.
    """

    embedding: np.ndarray
    place: dict[str, int]

    def __call__(self, mixture: Mixture, seeds: Seeds) -> Features:
        """Return the features of all rows of `mixture`, in the order of its ids."""
        x = self.embedding[[self.place[i] for i in mixture.ids]]
        real = np.flatnonzero(~mixture.is_synth)
        columns = {
            **_trusted(x, mixture, real, seeds),
            **_neighborhood(x, mixture, real),
            "knn_shapley": _shapley(x, mixture, real, seeds),
            "density_ratio": _density_ratio(x, mixture, seeds),
        }
        values = np.stack(list(columns.values()), axis=1).astype(np.float64)
        return Features(values, tuple(columns), mixture.ids, x)


def _trusted(x: np.ndarray, mixture: Mixture, real: np.ndarray, seeds: Seeds) -> dict[str, np.ndarray]:
    """Judge labels by a model of the real rows; real rows by models that did not see them."""
    y = mixture.y
    fit = fit_chosen(
        x[real],
        y[real],
        np.ones(len(real)),
        np.ones(len(real), bool),
        mixture.num_classes,
        seeds.child("trusted"),
        family=mixture.family[real],
    )
    prob = fit.model.predict_proba(x)
    prob[real] = fit.out_of_fold
    own = prob[np.arange(len(y)), y]
    others = prob.copy()
    others[np.arange(len(y)), y] = -1
    return {"margin": own - others.max(axis=1), "trusted_loss": row_losses(prob, y)}


def _neighborhood(x: np.ndarray, mixture: Mixture, real: np.ndarray) -> dict[str, np.ndarray]:
    """Compare with the nearest real rows, the nearest of the own and of other classes, and the class center."""
    y, n = mixture.y, len(mixture.y)
    agreement, own, other, center = np.zeros(n), np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    synth = np.flatnonzero(mixture.is_synth)
    place_in_real = own_place(mixture, real)
    for rows in (real, synth):
        if len(rows) == 0:
            continue
        distance, near = nearest(x[rows], x[real], NEIGHBORS, skip=place_in_real[rows])
        closeness = 1.0 / (distance + 1e-3 * distance.mean() + 1e-12)
        agreement[rows] = (closeness * (y[real][near] == y[rows][:, None])).sum(axis=1) / closeness.sum(axis=1)
    for label in np.unique(y[real]):
        members, rest = real[y[real] == label], real[y[real] != label]
        rows = np.flatnonzero(y == label)
        middle = x[members].mean(axis=0)
        center[rows] = np.linalg.norm(x[rows] - middle, axis=1)
        if len(rest):
            other[rows] = nearest(x[rows], x[rest], 1)[0][:, 0]
        if len(members) > 1:
            place = np.full(len(real), -1)
            place[y[real] == label] = np.arange(len(members))
            skip = np.where(place_in_real[rows] >= 0, place[place_in_real[rows]], -1)
            own[rows] = nearest(x[rows], x[members], 1, skip=skip)[0][:, 0]
    typical, spread = _middle(own[real]), _middle(center[real])
    own, other = np.nan_to_num(own, nan=typical * 3), np.nan_to_num(other, nan=typical * 3)
    return {
        "knn_agreement": agreement,
        "own_class_distance": own / typical,
        "class_gap": np.log((other + 0.05 * typical) / (own + 0.05 * typical)),
        "center_distance": np.nan_to_num(center, nan=3 * spread) / spread,
    }


def _middle(values: np.ndarray) -> float:
    """Median of the known values, 1 where none is known (every class has a single row)."""
    known = values[np.isfinite(values)]
    return max(float(np.median(known)), 1e-9) if len(known) else 1.0


def own_place(mixture: Mixture, real: np.ndarray) -> np.ndarray:
    """Return for every row (n,) the place among the real rows of itself or of its parent; -1 where there is none."""
    place = np.full(len(mixture.ids), -1)
    place[real] = np.arange(len(real))
    if mixture.synth.parent is not None and len(mixture.synth):
        of_id = {name: k for k, name in enumerate(mixture.ids[real].tolist())}
        place[mixture.is_synth] = [of_id.get(name, -1) for name in mixture.synth.parent.tolist()]
    return place


def _shapley(x: np.ndarray, mixture: Mixture, real: np.ndarray, seeds: Seeds) -> np.ndarray:
    """Value all rows for predicting the real rows (a random part of them where there are very many)."""
    judges = real
    if len(real) > MAX_JUDGES:
        judges = np.sort(seeds.numpy("judges").choice(real, MAX_JUDGES, replace=False))
    family = mixture.family
    order = np.argsort(family[judges], kind="stable")
    first = np.searchsorted(family[judges][order], family, side="left")
    count = np.searchsorted(family[judges][order], family, side="right") - first  # judges related to each row
    count[family < 0] = 0
    rows = np.repeat(np.arange(len(family)), count)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    pairs = (order[np.repeat(first, count) + within], rows)
    return knn_shapley(x, mixture.y, x[judges], mixture.y[judges], NEIGHBORS, skip=pairs) * len(x)


def _density_ratio(x: np.ndarray, mixture: Mixture, seeds: Seeds) -> np.ndarray:
    """Cross-fitted log-odds of real against synthetic, both classes weighted alike; 0 without synthetic rows."""
    origin = mixture.is_synth.astype(np.int64)
    if origin.sum() < 4:
        return np.zeros(len(x))
    weight = np.where(origin == 1, 0.5 / origin.mean(), 0.5 / (1 - origin.mean()))
    fold = stratified_folds(origin, 2, seeds.numpy("origin"))
    odds = np.empty(len(x))
    for j in (0, 1):
        train = fold != j
        prob = fit_logistic(x[train], origin[train], weight[train], 2, 0.1, tolerance=1e-3).predict_proba(x[~train])
        odds[~train] = np.log(np.maximum(prob[:, 0], 1e-6) / np.maximum(prob[:, 1], 1e-6))
    return odds
