"""How strongly to trust learned weights: their power, chosen by real rows that the meta-training never asked.

Weights to the power 0 are equal weights, to the power 1 the learned ones; higher powers concentrate them. Every power is
judged by cross-validated log-loss of the real training rows under a softmax model with these weights. The folds and the
regularization strength are the same for all powers, and the fits of a fold start from each other, so that the powers
differ in weights alone and cost little.
"""

from __future__ import annotations

import numpy as np

from synthsift.numerics.metrics import row_losses
from synthsift.seeds import Seeds
from synthsift.training.logistic import (
    CHOICE_TOLERANCE,
    STRENGTHS,
    LinearModel,
    family_folds,
    fit_logistic,
    usual_strength,
    walk_downhill,
)

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
    """
    real = np.flatnonzero(is_real)
    if len(real) < NUM_FOLDS or len(np.unique(y)) < 2:
        return TEMPERS[0]
    related = len(np.unique(family[family >= 0])) < np.count_nonzero(family >= 0)
    fold = family_folds(y, real, family if related else None, NUM_FOLDS, seeds.child("temper"))
    models: list[LinearModel | None] = [None] * NUM_FOLDS

    def loss(temper: float, strength: float) -> float:
        weight = np.exp(temper * (log_weights - log_weights.max()))
        weight[is_real] = weight[is_real].mean()
        weight = np.maximum(weight / weight.mean(), 1e-6)
        total = 0.0
        for j in range(NUM_FOLDS):
            train, judged = fold != j, (fold == j) & is_real
            rows = (x[train], y[train], weight[train], num_classes, strength)
            models[j] = fitted = fit_logistic(*rows, start=models[j], tolerance=CHOICE_TOLERANCE)
            total += float(row_losses(fitted.predict_proba(x[judged]), y[judged]).sum())
        return total

    tried: dict[int, float] = {}

    def judge(k: int) -> float:
        if k not in tried:
            tried[k] = loss(TEMPERS[0], STRENGTHS[k])
        return tried[k]

    best = walk_downhill(judge, usual_strength(x))
    judge(best)
    losses = {temper: loss(temper, STRENGTHS[best]) if temper != TEMPERS[0] else tried[best] for temper in TEMPERS}
    return min(losses, key=losses.__getitem__)
