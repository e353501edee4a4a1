"""Comparisons of given predictions, as tests of the verdict and of its sentence need them, and of given seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synthsift.compare import MemoryStore
from synthsift.records import Comparison


@dataclass
class Costly(MemoryStore):
    """Says that every cell took so many seconds, far more than any does, so that budgets do not depend on a machine."""

    each: float = 1000.0

    def put_cell(self, policy: str, seed: int, fold: int, arrays: dict[str, np.ndarray]) -> None:
        arrays["seconds"] = np.array([self.each])
        super().put_cell(policy, seed, fold, arrays)


def compared(
    y: np.ndarray, probabilities: Mapping[str, np.ndarray], group: np.ndarray | None = None, classes: int = 2
) -> Comparison:
    """A comparison of given predictions (s, n, c)."""
    num_seeds = max(map(len, probabilities.values()))
    stopped = {name: "given up" for name, prob in probabilities.items() if len(prob) < num_seeds}
    fold = np.tile(np.arange(len(y)) % 5, (num_seeds, 1))
    ids, seconds = np.arange(len(y)).astype(str), dict.fromkeys(probabilities, 1.0)
    seeds = tuple(range(num_seeds))
    return Comparison(y, ids, tuple(range(classes)), seeds, probabilities, seconds, stopped, fold, group)


def two_class(y: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Predictions (1, n, 2) that give the true class the probability `own`."""
    prob = np.empty((1, len(y), 2))
    prob[0, np.arange(len(y)), y] = own
    prob[0, np.arange(len(y)), 1 - y] = 1 - own
    return prob


def random_comparison(num: int = 120, classes: int = 3, seeds: int = 3) -> Comparison:
    """RealOnly, Everything, which is better, and P2, which is better still and was stopped after one repetition."""
    rng = np.random.default_rng(1)
    y = rng.choice(classes, num, p=np.array([0.6, 0.3, 0.1])[:classes] / np.sum([0.6, 0.3, 0.1][:classes]))

    def prob(lift: float, repetitions: int) -> np.ndarray:
        logits = rng.standard_normal((repetitions, num, classes)) + lift * np.eye(classes)[y]
        return np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)

    return compared(y, {"RealOnly": prob(1, seeds), "Everything": prob(1.5, seeds), "P2": prob(2, 1)}, classes=classes)
