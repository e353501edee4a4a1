"""How long a comparison will take, from one timed fit."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from synthsift.compare import Study
from synthsift.seeds import Seeds
from synthsift.splits import fold_count, pooled
from synthsift.training.learners import Rows, fit_weighted

# Fitted to runs of 1,800 to 9,700 rows on two cores.
DESCRIBE_FITS = 25.0  # describing a split and the meta-training cost about as much as so many fits of all rows
POLICY_FITS = 4.0  # a policy weighs its rows, some by models of their own, before it fits them
LEARNED_SECONDS = 0.6  # of one meta-training, however few rows there are
SAMPLED = 20  # a network is timed for one step in so many; a whole training just for an estimate would take too long


def estimate_seconds(study: Study) -> float:
    """Return the seconds that one repetition of all policies will take.

    One fit of all rows is timed and multiplied; learned weights add a constant a meta-training.
    """
    if study.inputs is not None:
        return _network_seconds(study)
    mixture = study.mixture
    started = time.perf_counter()
    rows = Rows(study.embedding, mixture.y, np.ones(len(mixture.y)), ~mixture.is_synth, mixture.family)
    fit_weighted(study.learner, rows, mixture.num_classes, Seeds(0).child("estimate"))
    one = time.perf_counter() - started
    fits = len(study.policies) * POLICY_FITS + DESCRIBE_FITS
    learned = any("Learned" in name for name in study.policies)
    return fold_count(pooled(mixture)) * (fits * one + learned * LEARNED_SECONDS) / study.workers


def _network_seconds(study: Study) -> float:
    """Time a part of the steps of a network; every policy takes about as many, however many rows it keeps."""
    learner: Any = study.learner
    mixture, short = study.mixture, replace(learner, steps=max(1, learner.steps // SAMPLED))
    rows = Rows(study.inputs, mixture.y, np.ones(len(mixture.y)), ~mixture.is_synth, mixture.family)
    started = time.perf_counter()
    fit_weighted(short, rows, mixture.num_classes, Seeds(0).child("estimate"))
    one = (time.perf_counter() - started) * learner.steps / short.steps
    return fold_count(pooled(mixture)) * len(study.policies) * one / study.workers
