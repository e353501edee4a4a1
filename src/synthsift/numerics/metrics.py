"""Metrics of predicted probabilities, with row counts as weights so that a bootstrap sample is one call.

All are "higher is better"; log-loss is returned with a minus sign.
"""

from __future__ import annotations

import numpy as np

METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "auc", "log_loss")
BY_CLASS = ("balanced_accuracy", "macro_f1")  # of which every class is as large a part, however few rows it has
TRAINED_BY_CLASS = ("balanced_accuracy",)  # macro-F1 pays for each row that is told a rare class in vain
CHUNK = 50  # samples that are worked on at once, to bound memory
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


def is_unbalanced(counts: np.ndarray) -> bool:
    """Whether classes of these sizes (c,) are so unequal that a run counts them alike, unless it is told otherwise.

    The largest has more than three times the rows of the smallest that occurs.
    """
    there = counts[counts > 0]
    return bool(there.max() > 3 * there.min())


def loss_weights(metric: str, y: np.ndarray) -> np.ndarray:
    """Return how much the log-loss of each row (n,) counts where `metric` is what matters; the mean is 1.

    Policies are compared by log-loss, which is less noisy than hits. Where the metric counts classes alike, so does
    this log-loss: otherwise rare classes, which make up most of the metric, would hardly be heard.
    """
    if metric not in BY_CLASS:
        return np.ones(len(y))
    weights = class_balance(y, np.ones(len(y)))
    return weights * (len(y) / weights.sum())


def metric_value(name: str, y: np.ndarray, prob: np.ndarray, counts: np.ndarray) -> float:
    """Return one metric of one sample; see `metric_values`."""
    return float(metric_values(name, y, prob, counts[None])[0])


def metric_values(name: str, y: np.ndarray, prob: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return one metric of many samples of the same rows (b,).

    Parameters
    ----------
    name : str
        One of `METRICS`.
    y : ndarray (n,)
    prob : ndarray (n, c)
    counts : ndarray (b, n)
        How often each row counts in each sample; no sample is empty.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if name == "accuracy":
        return counts @ row_hits(prob, y) / counts.sum(axis=1)
    if name == "log_loss":
        return -(counts @ row_losses(prob, y)) / counts.sum(axis=1)
    if name == "balanced_accuracy":
        weights = np.array([class_balance(y, c) for c in counts])
        return weights @ row_hits(prob, y) / weights.sum(axis=1)
    chunks = np.array_split(counts, range(CHUNK, len(counts), CHUNK))
    if name == "macro_f1":
        return np.concatenate([_macro_f1(y, prob.argmax(axis=1), chunk) for chunk in chunks])
    if name == "auc":
        return np.concatenate([_auc(y, prob, chunk) for chunk in chunks])
    raise ValueError(f"unknown metric {name!r}; known are {', '.join(METRICS)}")


def _macro_f1(y: np.ndarray, said: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean F1 over the classes that occur (b,)."""
    classes = np.arange(int(max(y.max(), said.max())) + 1)
    is_true, is_told = (y[:, None] == classes).astype(float), (said[:, None] == classes).astype(float)
    true, told, hits = counts @ is_true, counts @ is_told, counts @ (is_true * is_told)
    f1 = 2 * hits / np.where(true > 0, true + told, 1.0)
    return f1.sum(axis=1, where=true > 0) / (true > 0).sum(axis=1)


def _auc(y: np.ndarray, prob: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Area under the ROC curve (b,); with several classes the mean over classes against the rest."""
    classes = range(1, 2) if prob.shape[1] == 2 else range(prob.shape[1])
    value = np.stack([_binary_auc(y == k, prob[:, k], counts) for k in classes])
    occurs = ~np.isnan(value)
    mean = np.where(occurs, value, 0.0).sum(axis=0) / np.maximum(occurs.sum(axis=0), 1)
    return np.where(occurs.any(axis=0), mean, np.nan)


def _binary_auc(positive: np.ndarray, score: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Probability that a positive row scores above a negative one, ties counted half (b,); NaN without such a pair."""
    order = np.argsort(score, kind="stable")
    ranked, positive, score = counts[:, order].astype(float), positive[order], score[order]
    first = np.flatnonzero(np.append(True, score[1:] != score[:-1]))
    up, down = (np.add.reduceat(ranked * mine, first, axis=1) for mine in (positive, ~positive))
    below = np.cumsum(down, axis=1) - 0.5 * down
    pairs = up.sum(axis=1) * down.sum(axis=1)
    return np.where(pairs > 0, np.sum(up * below, axis=1) / np.where(pairs > 0, pairs, 1.0), np.nan)
