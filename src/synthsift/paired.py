"""What a policy has over RealOnly on the same rows and splits: row by row, and as a gain in rows that are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthsift.numerics.metrics import class_balance, loss_weights, metric_values, row_hits, row_losses
from synthsift.numerics.resampling import draw_parts, members
from synthsift.records import Comparison, DataError


@dataclass(frozen=True)
class Paired:
    """Row-wise differences to RealOnly, averaged over the repetitions that a policy has.

    Parameters
    ----------
    names : tuple of str
        Simplest first; RealOnly is first.
    loss : ndarray (n, p)
        RealOnly's log-loss minus the policy's, with the `loss_weights` of the metric; higher is better.
    hits : ndarray (n, p)
        The policy's hits minus RealOnly's; higher is better.
    in_race : ndarray of bool (p,)
        Policies that racing has not stopped. Only these may be recommended: one that was found to be clearly behind has
        fewer splits, and by their noise could be near again.
    """

    names: tuple[str, ...]
    loss: np.ndarray
    hits: np.ndarray
    in_race: np.ndarray

    @staticmethod
    def of(comparison: Comparison, metric: str) -> Paired:
        """Compute them from out-of-fold predictions."""
        y = comparison.y
        weights = loss_weights(metric, y)
        base_loss = np.array([row_losses(p, y) for p in comparison.probabilities["RealOnly"]])
        base_hits = np.array([row_hits(p, y) for p in comparison.probabilities["RealOnly"]])
        loss, hits = [], []
        for prob in comparison.probabilities.values():
            k = len(prob)
            loss.append(weights * (base_loss[:k] - np.array([row_losses(p, y) for p in prob])).mean(axis=0))
            hits.append((np.array([row_hits(p, y) for p in prob]) - base_hits[:k]).mean(axis=0))
        in_race = np.array([name not in comparison.stopped for name in comparison.probabilities])
        return Paired(tuple(comparison.probabilities), np.array(loss).T, np.array(hits).T, in_race)


def metric_gains(comparison: Comparison, paired: Paired, metric: str, counts: np.ndarray, policy: int) -> np.ndarray:
    """Return the gain of `policy` over RealOnly in `metric` for every row of `counts` (b, n): (b,), in points."""
    if metric in ("accuracy", "log_loss", "balanced_accuracy"):
        values = (paired.loss if metric == "log_loss" else paired.hits)[:, policy]
        found = []  # in C order, so that a sum has the same last digits in whatever order the counts lie
        for part in draw_parts(*counts.shape):
            weights = counts[part].astype(np.float64, order="C")
            if metric == "balanced_accuracy":
                weights = np.array([class_balance(comparison.y, c) for c in weights])
            found.append(100 * (weights @ values) / weights.sum(axis=1))
        return np.concatenate(found)
    prob = comparison.probabilities[paired.names[policy]]
    base = comparison.probabilities["RealOnly"][: len(prob)]
    gains = [
        metric_values(metric, comparison.y, p, counts) - metric_values(metric, comparison.y, q, counts)
        for p, q in zip(prob, base, strict=True)
    ]
    return 100 * np.mean(gains, axis=0)


def check_metric(metric: str, y: np.ndarray, group: np.ndarray | None) -> None:
    """Refuse a metric that no draw of these rows, or of their groups, can be judged by.

    Raises
    ------
    DataError
        If it is the AUC, and the rows left out are of one class, whichever are drawn.
    """
    if metric != "auc":
        return
    member = np.arange(len(y)) if group is None else members(group)
    if not any(len(np.unique(y[member != one])) > 1 for one in range(min(3, member.max() + 1))):
        one_class = len(np.unique(y)) < 2
        seen = "all real rows are of one class" if one_class else "each of the 2 groups has rows of one class only"
        raise DataError(
            f"metric auc compares rows of two classes, and {seen}; needed are two classes among the rows that a draw "
            "leaves out. Take another metric, as --metric accuracy, give finer groups, or leave the group column out"
        )
