"""Is there anything to learn from these real rows? Weights that follow labels at random mean nothing.

A row's classes have probabilities p_i(c) under a model that did not see it, and q(c) = n_c / n among the rows that
judge. The loss of the mixture (1 - e) q + e p falls at e = 0 at the rate

    T = mean of p_i(y_i) / q(y_i) - 1 = sum_c (mean of p_i(c) over rows of class c) - 1

which is linear in p: over-confidence cannot hide a signal, and cooling a model down cannot fake one. Over all ways to
deal the same labels to the rows T has mean 0 and variance sum_c var(p(c)) / n_c (Hoeffding's combinatorial sums; exact,
as the probabilities of a row sum to 1). Signal is T beyond `PROOF` standard deviations.

References
----------
Hoeffding 1951, *A combinatorial central limit theorem*, theorem 2.
"""

from __future__ import annotations

import numpy as np

from synthsift.seeds import Seeds
from synthsift.training.choosing import fit_chosen

PROOF = 2.0  # standard deviations: a weak signal of 200 real texts is about as large; labels at random pass 1 in 44


def predicts(prob: np.ndarray, y: np.ndarray) -> bool:
    """Tell whether held-out predictions know more than the class frequencies of the rows they are about.

    Parameters
    ----------
    prob : ndarray (m, c)
        Class probabilities.
    y : ndarray (m,)
        Label codes.
    """
    if len(y) < 2:
        return False
    excess, deviation = signal(prob, y)
    return excess > PROOF * deviation


def signal(prob: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return T and its standard deviation over all ways to deal the labels (m,) to the rows."""
    present, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    prob = prob[:, present]  # no label can be another one, so the rest is shared out
    prob = prob / np.maximum(prob.sum(axis=1, keepdims=True), 1e-300)
    excess = float(np.sum(prob[np.arange(len(y)), codes] / counts[codes])) - 1.0
    return excess, float(np.sqrt(np.sum(prob.var(axis=0, ddof=1) / counts)))


def predict_themselves(x: np.ndarray, y: np.ndarray, family: np.ndarray, num_classes: int, seeds: Seeds) -> bool:
    """Tell whether a softmax model of real rows (n, d) with labels (n,) predicts those it did not see.

    Rows of one family (n,), unless it is -1, never train while one of them is judged.
    """
    every = np.ones(len(y), dtype=bool)
    fit = fit_chosen(x, y, np.ones(len(y)), every, num_classes, seeds.child("evidence"), family=family)
    return predicts(fit.out_of_fold, y)
