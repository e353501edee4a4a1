"""How strongly to trust learned weights: their power, chosen by real rows that the meta-training never asked.

Weights to the power 0 are equal weights, to the power 1 the learned ones; higher powers concentrate them. Every power
is judged by cross-validated log-loss of the real training rows under a softmax model with these weights. The folds and
the regularization strength are the same for all powers, and the fits of a fold start from each other, so that the
powers differ in weights alone and cost little. Concentration needs evidence: the smallest power within one standard
error (of the paired difference) of the best one is taken, and power 0 where it is the best.

Power 0 is also taken where neither all rows with equal weights predict the judges better than the frequencies of their
classes, nor the real rows one another (`synthsift.bilevel.evidence`): then their labels say nothing, and weights that
follow them mean nothing. Learned weights are no witness of that: what their network is told about a row, such as the
labels of its neighbors, has seen the labels of the judges.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synthsift.bilevel.evidence import predicts
from synthsift.numerics.metrics import row_losses
from synthsift.seeds import Seeds
from synthsift.training.choosing import CHOICE_TOLERANCE, STRENGTHS, family_folds, usual_strength, walk_downhill
from synthsift.training.logistic import LinearModel, fit_logistic

TEMPERS = (1.0, 0.0, 0.5, 2.0)  # the first also chooses the strength of the judging model
NUM_FOLDS = 3


def choose_temper(
    x: np.ndarray,
    y: np.ndarray,
    log_weights: np.ndarray,
    is_real: np.ndarray,
    family: np.ndarray,
    num_classes: int,
    seeds: Seeds,
    is_told: Callable[[], bool] = lambda: True,
) -> float:
    """Return the power of the weights with the lowest loss on held-out real rows.

    Real rows share their mean weight: which of them counts more is not what the power is about.

    Parameters
    ----------
    x, y : ndarray (n, d), (n,)
        Training rows.
    log_weights : ndarray (n,)
    is_real : ndarray (n,) of bool
        Rows that judge; with fewer than three the first power is taken.
    family : ndarray (n,) of int
        Relatives of a judge do not train before it.
    num_classes : int
    seeds : Seeds
    is_told : callable
        Whether anything else shows that real labels can be predicted; asked where equal weights do not show it.
    """
    real = np.flatnonzero(is_real)
    if len(real) < NUM_FOLDS or len(np.unique(y)) < 2:
        return TEMPERS[0]
    related = len(np.unique(family[family >= 0])) < np.count_nonzero(family >= 0)
    fold = family_folds(y, real, family if related else None, NUM_FOLDS, seeds.child("temper"))
    models: list[LinearModel | None] = [None] * NUM_FOLDS

    def predictions(temper: float, strength: float) -> np.ndarray:
        weight = np.exp(temper * (log_weights - log_weights.max()))
        weight[is_real] = weight[is_real].mean()
        weight = np.maximum(weight / weight.mean(), 1e-6)
        prob = np.zeros((len(y), num_classes))
        for j in range(NUM_FOLDS):
            train, judged = fold != j, (fold == j) & is_real
            rows = (x[train], y[train], weight[train], num_classes, strength)
            models[j] = fitted = fit_logistic(*rows, start=models[j], tolerance=CHOICE_TOLERANCE)
            prob[judged] = fitted.predict_proba(x[judged])
        return prob[is_real]

    tried: dict[int, np.ndarray] = {}

    def judge(k: int) -> float:
        if k not in tried:
            tried[k] = predictions(TEMPERS[0], STRENGTHS[k])
        return float(row_losses(tried[k], y[is_real]).mean())

    best = walk_downhill(judge, usual_strength(x))
    judge(best)
    by_power = {t: tried[best] if t == TEMPERS[0] else predictions(t, STRENGTHS[best]) for t in TEMPERS}
    if not predicts(by_power[0.0], y[is_real], family[is_real]) and not is_told():
        return 0.0
    return mildest({t: row_losses(prob, y[is_real]) for t, prob in by_power.items()})


def mildest(losses: dict[float, np.ndarray]) -> float:
    """Return the smallest positive power within one standard error of the best, or 0 where that is the best.

    Parameters
    ----------
    losses : dict of float to ndarray (m,)
        Power -> loss of every judging row.
    """
    best = min(losses, key=lambda temper: float(losses[temper].mean()))
    for temper in sorted(losses):
        behind = losses[temper] - losses[best]
        if temper == best or (temper > 0 and behind.mean() <= behind.std(ddof=1) / np.sqrt(len(behind))):
            return temper
    return best
