"""How long a comparison will take, from one timed fit."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from synthsift.compare import Study
from synthsift.race import FINAL_SPLITS
from synthsift.seeds import Seeds
from synthsift.splits import fold_count, pooled
from synthsift.training.learners import Rows, fit_weighted

# Fitted to runs of 1,800 to 9,700 rows on two cores.
DESCRIBE_FITS = 25.0  # describing a split and the meta-training cost about as much as so many fits of all rows
POLICY_FITS = 4.0  # a policy weighs its rows, some by models of their own, before it fits them
LEARNED_SECONDS = 0.6  # of one meta-training, however few rows there are
SAMPLED = 20  # a network is timed for one step in so many; a whole training just for an estimate would take too long


@dataclass(frozen=True)
class Estimate:
    """What one repetition of the folds takes.

    Parameters
    ----------
    shared : float
        Seconds, however many policies there are.
    policy : float
        Seconds of each policy.
    learned : float
        Seconds that learned weights add.
    num_folds : int
    refitted : tuple of str, optional
        The policies that are fitted at the end beside the verdict's; all if None (`Study.refitted`).
    """

    shared: float
    policy: float
    learned: float
    num_folds: int
    refitted: tuple[str, ...] | None = None

    def repetition(self, names: Collection[str]) -> float:
        """Return the seconds of one repetition of these policies."""
        learned = self.learned if any("Learned" in name for name in names) else 0.0
        return self.shared + len(names) * self.policy + learned

    def whole(self, names: Collection[str], num_seeds: int = 1) -> float:
        """Return the seconds of so many repetitions and of the final fits."""
        fitted = list(names) if self.refitted is None else ["the verdict's", *(set(names) & set(self.refitted))]
        return num_seeds * self.repetition(names) + FINAL_SPLITS / self.num_folds * self.repetition(fitted)


def estimate(study: Study) -> Estimate:
    """Time one fit of all rows and multiply it; of a network some of the steps.

    Every policy of a network takes about as many steps, however many rows it keeps.
    """
    if study.inputs is None:
        inputs, learner, times = study.embedding, study.learner, 1.0
    else:
        network: Any = study.learner
        learner = replace(network, steps=max(1, network.steps // SAMPLED))
        inputs, times = study.inputs, network.steps / learner.steps
    mixture = study.mixture
    rows = Rows(inputs, mixture.y, np.ones(len(mixture.y)), ~mixture.is_synth, mixture.family)
    started = time.perf_counter()
    fit_weighted(learner, rows, mixture.num_classes, Seeds(0).child("estimate"))
    one, folds = (time.perf_counter() - started) * times, fold_count(pooled(mixture))
    each = folds / study.workers
    if study.inputs is not None:
        return Estimate(0.0, each * one, 0.0, folds, study.refitted)
    shared, policy, learned = each * DESCRIBE_FITS * one, each * POLICY_FITS * one, each * LEARNED_SECONDS
    return Estimate(shared, policy, learned, folds, study.refitted)
