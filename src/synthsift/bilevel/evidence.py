"""Is there anything to learn from these real rows? Weights that follow labels at random mean nothing.

A row's classes have probabilities p_i(c) under a model that did not see it, and q(c) = n_c / n among the rows that
judge. The loss of the mixture (1 - e) q + e p falls at e = 0 at the rate

    T = mean of p_i(y_i) / q(y_i) - 1 = sum_c (mean of p_i(c) over rows of class c) - 1

which is linear in p: over-confidence cannot hide a signal, and cooling a model down cannot fake one. Over all ways to
deal the same labels to the rows, the predictions as they are, T has mean 0 and variance sum_c var(p(c)) / n_c
(Hoeffding's combinatorial sums, as the probabilities of a row sum to 1). Signal is T beyond `PROOF` standard
deviations.

References
----------
Hoeffding 1951, *A combinatorial central limit theorem*, theorem 2.
"""

from __future__ import annotations

import numpy as np

from synthsift.seeds import Seeds
from synthsift.training.choosing import fit_chosen

PROOF = 2.0  # standard deviations: a weak signal of 200 real texts is about as large


def predicts(prob: np.ndarray, y: np.ndarray, family: np.ndarray | None = None) -> bool:
    """Tell whether held-out predictions know more than the class frequencies of the rows they are about.

    Parameters
    ----------
    prob : ndarray (m, c)
        Class probabilities.
    y : ndarray (m,)
        Label codes.
    family : ndarray (m,), optional
        Rows of one family, unless it is -1, share label and prediction.
    """
    if len(y) < 2:
        return False
    excess, deviation = signal(prob, y, family)
    return excess > PROOF * deviation


def signal(prob: np.ndarray, y: np.ndarray, family: np.ndarray | None = None) -> tuple[float, float]:
    """Return T and its standard deviation over all ways to deal the labels (m,) to the rows.

    Rows of a family were not dealt one by one; where their parts of T, taken together, vary more, that is returned.
    """
    present, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    prob = prob[:, present]  # no label can be another one, so the rest is shared out
    prob = prob / np.maximum(prob.sum(axis=1, keepdims=True), 1e-300)
    excess = float(np.sum(prob[np.arange(len(y)), codes] / counts[codes])) - 1.0
    variance = float(np.sum(prob.var(axis=0, ddof=1) / counts))
    if family is not None and np.unique(family[family >= 0]).size < np.count_nonzero(family >= 0):
        part = (prob - prob.mean(axis=0))[np.arange(len(y)), codes] / counts[codes]
        together = np.bincount(np.unique(family[family >= 0], return_inverse=True)[1], weights=part[family >= 0])
        variance = max(variance, float(np.sum(together**2) + np.sum(part[family < 0] ** 2)))
    return excess, float(np.sqrt(variance))


def predict_themselves(x: np.ndarray, y: np.ndarray, family: np.ndarray, num_classes: int, seeds: Seeds) -> bool:
    """Tell whether a softmax model of real rows (n, d) with labels (n,) predicts those it did not see.

    Rows of one family (n,), unless it is -1, never train while one of them is judged.
    """
    every = np.ones(len(y), dtype=bool)
    fit = fit_chosen(x, y, np.ones(len(y)), every, num_classes, seeds.child("evidence"), family=family)
    return predicts(fit.out_of_fold, y, family)
