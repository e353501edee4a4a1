"""Slow, obvious twins of fast routines: definitions written as loops, or as refits by another library."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np


def nearest_by_loops(
    queries: np.ndarray, bank: np.ndarray, k: int, skip: Sequence[int] | None = None
) -> tuple[list[list[float]], list[list[int]]]:
    """Distances and places of the k nearest bank rows of each query, nearest first; `skip` names a row left out."""
    distances, places = [], []
    for i, query in enumerate(queries):
        found = []
        for j, row in enumerate(bank):
            if skip is None or skip[i] != j:
                found.append((math.sqrt(sum((a - b) ** 2 for a, b in zip(query, row, strict=True))), j))
        found.sort()
        distances.append([distance for distance, _ in found[:k]])
        places.append([place for _, place in found[:k]])
    return distances, places


def shapley_by_orders(num_players: int, utility: Callable[[frozenset[int]], float]) -> np.ndarray:
    """Shapley value: what a player adds on joining, averaged over all orders in which the players can join."""
    value, utility = np.zeros(num_players), functools.cache(utility)
    for order in itertools.permutations(range(num_players)):
        present: frozenset[int] = frozenset()
        for player in order:
            value[player] += utility(present | {player}) - utility(present)
            present |= {player}
    return value / math.factorial(num_players)


def neighbor_utility(
    train_x: np.ndarray, train_y: np.ndarray, judge_x: np.ndarray, judge_y: int, k: int
) -> Callable[[frozenset[int]], float]:
    """How well a set of training rows predicts one judging row: its hits among the k nearest of the set, over k."""

    def utility(players: frozenset[int]) -> float:
        by_distance = sorted(players, key=lambda j: float(np.sum((train_x[j] - judge_x) ** 2)))
        return sum(bool(train_y[j] == judge_y) for j in by_distance[:k]) / k

    return utility


def auc_by_pairs(positive: np.ndarray, score: np.ndarray, counts: np.ndarray) -> float:
    """Share of pairs (positive, negative) in which the positive row scores higher; ties count half."""
    won, pairs = 0.0, 0.0
    for i in np.flatnonzero(positive):
        for j in np.flatnonzero(~positive):
            pairs += counts[i] * counts[j]
            won += counts[i] * counts[j] * (1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0)
    return won / pairs


def macro_f1_by_counting(y: np.ndarray, said: np.ndarray) -> float:
    """Mean over the classes that occur of 2 precision recall / (precision + recall)."""
    scores = []
    for label in sorted(set(y.tolist())):
        hits = sum(1 for true, told in zip(y, said, strict=True) if true == label and told == label)
        told, true = int(np.sum(said == label)), int(np.sum(y == label))
        precision, recall = (hits / told if told else 0.0), hits / true
        scores.append(2 * precision * recall / (precision + recall) if hits else 0.0)
    return float(np.mean(scores))


def logistic_by_sklearn(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, num_classes: int, strength: float
) -> Callable[[np.ndarray], np.ndarray]:
    """Fit scikit-learn's model to high precision; return its ``predict_proba``.

    It penalizes one column of slopes for two classes, the softmax model two: (a, -a) instead of v = 2a. Since
    |a|^2 + |-a|^2 = |v|^2 / 2, our C is half of scikit-learn's there.
    """
    from sklearn.linear_model import LogisticRegression

    c = 2 * strength if num_classes == 2 else strength
    return LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(x, y, sample_weight=weight).predict_proba


def leave_one_out_by_refits(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, num_classes: int, strength: float, rows: Sequence[int]
) -> np.ndarray:
    """Predictions (number of rows, c) for each of `rows` by a model fitted on all other rows."""
    out = np.empty((len(rows), num_classes))
    for i, row in enumerate(rows):
        others = np.arange(len(y)) != row
        predict = logistic_by_sklearn(x[others], y[others], weight[others], num_classes, strength)
        out[i] = predict(x[row : row + 1])[0]
    return out
