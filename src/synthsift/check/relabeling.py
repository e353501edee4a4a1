"""Whether a source's labels are exchanged between classes: the relabeling that a trusted model would agree with.

Labels that are wrong at random agree with no relabeling; labels that were written in another order agree with one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from synthsift.check.contents import percent
from synthsift.numerics.counts import best_relabeling
from synthsift.numerics.intervals import Z
from synthsift.numerics.resampling import stratified_folds

REPAIRED = 0.5  # share of the lacking agreement that a relabeling has to bring back, with its whole interval
MAX_TOLD = 5  # moves that are named


def told_relabeling(
    labels: np.ndarray,
    said: np.ndarray,
    usual: float,
    classes: Sequence[Any],
    rng: np.random.Generator,
    z: float = Z,
) -> str:
    """Return in words which classes to exchange, or "" where no relabeling makes a model agree far better.

    A relabeling is chosen on one half of the rows (the permutation of classes with the most agreements, by linear
    assignment of the confusion counts) and judged on the other, so that of many permutations none wins by chance. It is
    told if the agreement that it gains, with its whole interval, is more than `REPAIRED` of what lacks to the usual
    agreement with real rows.

    Parameters
    ----------
    labels, said : ndarray (n,)
        Class codes in the file, and those that the model says.
    usual : float
        Share of contradicted labels among real rows of this mix of classes.
    classes : sequence
    rng : Generator
        Halves the rows.
    z : float
        Quantile of the interval, of 95 % by default.
    """
    num = len(classes)
    half = stratified_folds(labels, 2, rng)
    agrees = np.zeros(len(labels))
    for j in (0, 1):
        chosen = best_relabeling(_confusion(labels[half != j], said[half != j], num))
        agrees[half == j] = chosen[labels[half == j]] == said[half == j]
    gained = agrees - (labels == said)
    low = float(gained.mean() - z * gained.std() / np.sqrt(len(gained)))
    lacking = (1.0 - usual) - float(np.mean(labels == said))
    confusion = _confusion(labels, said, num)
    new = best_relabeling(confusion)
    moved = [k for k in range(num) if new[k] != k and confusion[k, new[k]] > confusion[k, k]]
    if not moved or low <= max(REPAIRED * lacking, 0.0):
        return ""
    return f"{_moves(moved, new, classes)} would agree with {percent(float(agrees.mean()))} of them"


def _confusion(labels: np.ndarray, said: np.ndarray, num: int) -> np.ndarray:
    return np.bincount(labels * num + said, minlength=num * num).reshape(num, num)


def _moves(moved: Sequence[int], new: np.ndarray, classes: Sequence[Any]) -> str:
    """Name pairs that change places, and the labels that stand for another one without such a partner."""
    told = []
    for k in moved:
        pair = new[new[k]] == k
        if pair and new[k] in moved:
            told += [f"swapping {classes[k]} and {classes[new[k]]}"] if k < new[k] else []
        else:
            told.append(f"reading {classes[k]} as {classes[new[k]]}")
    return ", ".join(told[:MAX_TOLD]) + (f" and {len(told) - MAX_TOLD} more" if len(told) > MAX_TOLD else "")
