"""Is there anything to learn from these real rows? Weights that were learned from labels at random are no weights.

A row's label has probability p_i under a model that did not see it, and q under the class frequencies alone. The loss of
the mixture (1 - e) q + e p at e = 0 falls at the rate

    mean of  r_i = p_i / q(y_i) - 1

which is 0 in expectation where the labels know nothing of the predictions, however sure these are: r is linear in p, so
over-confidence cannot hide a signal, and cooling a model down cannot fake one. Signal is a mean beyond `PROOF` standard
errors; labels at random reach it less than once in a hundred times, labels that can be learned from exceed it by far
(12 to 50 standard errors with 100 rows of the planted worlds).
"""

from __future__ import annotations

import numpy as np

from synthsift.numerics.metrics import row_losses
from synthsift.seeds import Seeds
from synthsift.training.logistic import fit_chosen

PROOF = 3.0  # standard errors: five kinds of predictions have a chance each, and r is skewed where classes are many


def predicts(losses: np.ndarray, y: np.ndarray) -> bool:
    """Tell whether held-out predictions beat the class frequencies of the rows they are about.

    Parameters
    ----------
    losses : ndarray (m,)
        -log of the probability that each row's label was given.
    y : ndarray (m,)
    """
    if len(y) < 2:
        return False
    excess = np.exp(-losses) * len(y) / np.bincount(y)[y] - 1.0
    return bool(excess.mean() > PROOF * excess.std(ddof=1) / np.sqrt(len(y)))


def predict_themselves(x: np.ndarray, y: np.ndarray, family: np.ndarray, num_classes: int, seeds: Seeds) -> bool:
    """Tell whether a softmax model of real rows (n, d) with labels (n,) predicts those it did not see.

    Rows of one family (n,), unless it is -1, never train while one of them is judged.
    """
    every = np.ones(len(y), dtype=bool)
    fit = fit_chosen(x, y, np.ones(len(y)), every, num_classes, seeds.child("evidence"), family=family)
    return predicts(row_losses(fit.out_of_fold, y), y)
