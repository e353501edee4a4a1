"""Metrics of predicted probabilities, with row counts as weights so that a bootstrap sample is one call.

All are "higher is better"; log-loss is returned with a minus sign.
"""

from __future__ import annotations

import numpy as np

METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "auc", "log_loss")
FLOOR = 1e-6  # the smallest probability a true class is charged for; keeps one row from deciding a comparison


def row_losses(prob: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return -log of the probability of the true class (n,), lower is better."""
    return -np.log(np.maximum(prob[np.arange(len(y)), y], FLOOR))


def row_hits(prob: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return 1.0 where the most likely class is the true one (n,)."""
    return (prob.argmax(axis=1) == y).astype(np.float64)


def class_balance(y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return row weights (n,) under which every class that occurs weighs the same."""
    size = np.bincount(y, weights=counts)
    return counts / np.where(size > 0, size, 1.0)[y]


def metric_value(name: str, y: np.ndarray, prob: np.ndarray, counts: np.ndarray) -> float:
    """Return one metric.

    Parameters
    ----------
    name : str
        One of `METRICS`.
    y : ndarray (n,)
    prob : ndarray (n, c)
    counts : ndarray (n,)
        How often each row counts; not all zero.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if name == "accuracy":
        return float(counts @ row_hits(prob, y) / counts.sum())
    if name == "log_loss":
        return float(-(counts @ row_losses(prob, y)) / counts.sum())
    if name == "balanced_accuracy":
        weight = class_balance(y, counts)
        return float(weight @ row_hits(prob, y) / weight.sum())
    if name == "macro_f1":
        return _macro_f1(y, prob.argmax(axis=1), counts)
    if name == "auc":
        return _auc(y, prob, counts)
    raise ValueError(f"unknown metric {name!r}; known are {', '.join(METRICS)}")


def _macro_f1(y: np.ndarray, said: np.ndarray, counts: np.ndarray) -> float:
    """Mean F1 over the classes that occur."""
    c = int(max(y.max(), said.max())) + 1
    hits = np.bincount(y, weights=counts * (said == y), minlength=c)
    true, told = np.bincount(y, weights=counts, minlength=c), np.bincount(said, weights=counts, minlength=c)
    occurs = true > 0
    return float(np.mean(2 * hits[occurs] / (true + told)[occurs]))


def _auc(y: np.ndarray, prob: np.ndarray, counts: np.ndarray) -> float:
    """Area under the ROC curve; with several classes the mean over classes against the rest."""
    classes = [k for k in range(prob.shape[1]) if 0 < counts[y == k].sum() < counts.sum()]
    if prob.shape[1] == 2:
        classes = classes[-1:]
    return float(np.mean([_binary_auc(y == k, prob[:, k], counts) for k in classes])) if classes else float("nan")


def _binary_auc(positive: np.ndarray, score: np.ndarray, counts: np.ndarray) -> float:
    """Probability that a positive row scores above a negative one, ties counted half."""
    _, place = np.unique(score, return_inverse=True)
    up = np.bincount(place, weights=counts * positive)
    down = np.bincount(place, weights=counts * ~positive)
    below = np.cumsum(down) - down
    return float(np.sum(up * (below + 0.5 * down)) / (up.sum() * down.sum()))
