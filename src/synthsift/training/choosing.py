"""Weighted logistic regression whose regularization strength is chosen by real rows that did not train.

The fair protocol does thousands of these: every policy, in every split, chooses its own strength inside its training
part. Warm starts along a path of strengths cost a fraction of separate cold fits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from synthsift.numerics.metrics import row_losses
from synthsift.numerics.resampling import group_folds, stratified_folds
from synthsift.seeds import Seeds
from synthsift.training import newton
from synthsift.training.logistic import LinearModel, fit_logistic

# The path: a factor of 4 moves the log-loss of a well-scaled problem by far less than the noise of choosing.
STRENGTHS = tuple(float(4.0**k) for k in range(-7, 7))
NUM_FOLDS = 3
FEW_RELATED = 0.2  # share of real rows with relatives that leave-one-out may do without; the rest chooses as well
CHOICE_TOLERANCE = 1e-3  # enough to rank strengths; the final fit uses that of `fit_logistic`


@dataclass(frozen=True)
class CrossFit:
    """A final model and, for the real rows, predictions by models that did not see them.

    Parameters
    ----------
    model : LinearModel
        Fitted on all rows.
    predict_unseen : callable
        Makes `out_of_fold`; models that choosing did not need are fitted only here.
    """

    model: LinearModel
    predict_unseen: Callable[[], np.ndarray]

    @cached_property
    def out_of_fold(self) -> np.ndarray:
        """Probabilities (number of real rows, c), in the order of the real rows."""
        return self.predict_unseen()


def fit_chosen(
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    is_real: np.ndarray,
    num_classes: int,
    seeds: Seeds,
    strength: float | None = None,
    family: np.ndarray | None = None,
    judging: np.ndarray | None = None,
) -> CrossFit:
    """Choose C by the log-loss of held-out real rows inside the training part, then fit on all of it.

    Synthetic rows always train and never judge. Small models are judged by closed-form leave-one-out predictions
    (`newton`), unless too many rows have relatives; larger ones by 3 folds, very large ones by one holdout of a third.
    The path is walked from a usual strength towards lower loss until it rises, so about four strengths are tried.

    Parameters
    ----------
    x, y, weight : ndarray (n, d), (n,), (n,)
        Rows with positive weight.
    is_real : ndarray (n,) of bool
        The rows that may judge. If there are fewer than 6, the usual strength is used.
    num_classes : int
    seeds : Seeds
        Stream "inner" decides the folds.
    strength : float, optional
        One of `STRENGTHS`: nothing is chosen, only the predictions for real rows are made.
    family : ndarray (n,) of int, optional
        Rows of one family (not -1) never train while a real one of them is judged; see `Mixture.family`.
    judging : ndarray (n,), optional
        How much the held-out loss of a real row counts; all the same if not given.

    Returns
    -------
    CrossFit
    """
    real = np.flatnonzero(is_real)
    present = len(np.unique(y))
    start = usual_strength(x) if strength is None else STRENGTHS.index(strength)
    if present < 2:
        model = fit_logistic(x, y, weight, num_classes, STRENGTHS[start])
        return CrossFit(model, lambda: model.predict_proba(x[real]))
    search = strength is None and len(real) >= 6
    judging = np.ones(len(y)) if judging is None else judging
    size = (x.shape[1] + 1) * (present - 1)
    in_family = _has_relatives(family) if family is not None else np.zeros(len(y), dtype=bool)
    if size <= 200 and len(y) * size**2 <= 4e8 and in_family[real].sum() <= FEW_RELATED * len(real):
        kept = np.where(in_family, 0.0, judging) if in_family.any() else judging
        found = _choose_by_leave_one_out(x, y, weight, real, kept, num_classes, start, search)
        return _without_relatives(found, x, y, weight, real, in_family) if in_family[real].any() else found
    fold = family_folds(y, real, family if in_family.any() else None, NUM_FOLDS, seeds)
    num_folds = NUM_FOLDS if x.size * num_classes < 1e6 else 1
    is_judge = np.zeros(len(y), dtype=bool)
    is_judge[real] = True
    return _choose_by_folds(x, y, weight, fold, is_judge, judging, num_folds, num_classes, start, search)


def _has_relatives(family: np.ndarray) -> np.ndarray:
    """Rows (n,) that are not the only one of their family."""
    _, place, count = np.unique(family, return_inverse=True, return_counts=True)
    return (family >= 0) & (count[place] > 1)


def _without_relatives(
    found: CrossFit, x: np.ndarray, y: np.ndarray, weight: np.ndarray, real: np.ndarray, in_family: np.ndarray
) -> CrossFit:
    """Predict the few real rows with relatives by one more model, without any row of a family of several."""

    def predict_unseen() -> np.ndarray:
        model, rest = found.model, ~in_family
        other = fit_logistic(x[rest], y[rest], weight[rest], len(model.intercept), model.strength)
        out = found.out_of_fold.copy()
        out[in_family[real]] = other.predict_proba(x[real[in_family[real]]])
        return out

    return CrossFit(found.model, predict_unseen)


def family_folds(
    y: np.ndarray, real: np.ndarray, family: np.ndarray | None, num_folds: int, seeds: Seeds
) -> np.ndarray:
    """Return the inner fold (n,) of every row: judged ones are real, relatives of judged rows share their fold.

    -1 marks rows that always train. With fewer families than folds, so many folds are used; one alone is ignored.
    """
    fold = np.full(len(y), -1)
    if family is None or (families := len(np.unique(family[real]))) < 2:
        fold[real] = stratified_folds(y[real], num_folds, seeds.numpy("inner"))
        return fold
    fold[real] = group_folds(y[real], family[real].astype(str), min(num_folds, families), seeds.numpy("inner"))
    of_family = np.full(family.max() + 1, -1)
    of_family[family[real]] = fold[real]
    others = (family >= 0) & (fold < 0)
    fold[others] = of_family[family[others]]
    return fold


def usual_strength(x: np.ndarray) -> int:
    """Return the place in `STRENGTHS` nearest to 16 / E|x|^2, where the search for the best one starts."""
    size = float(np.mean(np.einsum("ij,ij->i", x, x)))
    return int(np.argmin(np.abs(np.log(np.array(STRENGTHS)) - np.log(16.0 / max(size, 1e-9)))))


def walk_downhill(judge: Callable[[int], float], start: int) -> int:
    """Return the index of the lowest of `judge` found by walking downhill from `start`."""
    best = start
    for step in (1, -1):
        while 0 <= best + step < len(STRENGTHS) and judge(best + step) < judge(best):
            best += step
        if best != start:
            break
    return best


def _choose_by_leave_one_out(
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    real: np.ndarray,
    judging: np.ndarray,
    num_classes: int,
    start: int,
    search: bool,
) -> CrossFit:
    """One Newton fit a strength; real rows are judged as if each had been left out."""
    present, codes = np.unique(y, return_inverse=True)
    z = np.concatenate([x, np.ones((len(x), 1))], axis=1).astype(np.float64)
    tried: dict[int, tuple[float, np.ndarray, np.ndarray]] = {}

    def judge(k: int) -> float:
        if k not in tried:
            near = min(tried, key=lambda j: abs(j - k), default=None)
            begin = None if near is None else tried[near][1]
            theta, hessian = newton.fit_newton(z, codes, weight, len(present), STRENGTHS[k], begin)
            out = newton.leave_one_out(z[real], codes[real], weight[real], theta, hessian, len(present))
            tried[k] = (float(judging[real] @ row_losses(out, codes[real])), theta, out)
        return tried[k][0]

    best = walk_downhill(judge, start) if search else start
    judge(best)
    _, theta, out = tried[best]
    full = np.concatenate([theta, np.zeros((len(theta), 1))], axis=1)
    full -= full.mean(axis=1, keepdims=True)
    coef, intercept = np.zeros((x.shape[1], num_classes)), np.full(num_classes, -np.inf)
    coef[:, present], intercept[present] = full[:-1], full[-1]
    out_of_fold = np.zeros((len(real), num_classes))
    out_of_fold[:, present] = out
    return CrossFit(LinearModel(coef, intercept, STRENGTHS[best]), lambda: out_of_fold)


def _choose_by_folds(
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    fold: np.ndarray,
    is_judge: np.ndarray,
    judging: np.ndarray,
    num_folds: int,
    num_classes: int,
    start: int,
    search: bool,
) -> CrossFit:
    """One fit a strength and judged fold, warm-started along the path; fold -1 always trains."""
    models: list[LinearModel | None] = [None] * num_folds
    tried: dict[int, tuple[float, list[LinearModel]]] = {}

    def fit(train: np.ndarray, strength: float, start: LinearModel | None) -> LinearModel:
        return fit_logistic(x[train], y[train], weight[train], num_classes, strength, start, CHOICE_TOLERANCE)

    def judge(k: int) -> float:
        if k not in tried:
            total, fitted = 0.0, []
            for j in range(num_folds):
                train, judged = fold != j, (fold == j) & is_judge
                model = fit(train, STRENGTHS[k], models[j])
                total += float(judging[judged] @ row_losses(model.predict_proba(x[judged]), y[judged]))
                models[j] = model
                fitted.append(model)
            tried[k] = (total, fitted)
        return tried[k][0]

    best = walk_downhill(judge, start) if search else start
    judge(best)
    fitted = tried[best][1]
    model = fit_logistic(x, y, weight, num_classes, STRENGTHS[best], fitted[0])

    def predict_unseen() -> np.ndarray:
        out = np.zeros((len(y), num_classes))
        for j in range(NUM_FOLDS):
            train, judged = fold != j, (fold == j) & is_judge
            other = fitted[j] if j < num_folds else fit(train, STRENGTHS[best], None)  # a warm start would leak
            out[judged] = other.predict_proba(x[judged])
        return out[is_judge]

    return CrossFit(model, predict_unseen)
