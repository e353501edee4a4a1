"""One judged fold of a comparison: what may be looked at, and what every policy makes of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, is_dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from synthsift.numerics.metrics import TRAINED_BY_CLASS
from synthsift.records import Features, Mixture, Weigher, Weights
from synthsift.seeds import Seeds
from synthsift.splits import Leaks, restrict
from synthsift.training.learners import Model, Rows, fit_weighted

if TYPE_CHECKING:
    from synthsift.compare import Study


@dataclass
class _Remembered:
    """Within one split, a policy that others build on is computed once."""

    weigher: Weigher
    memo: dict[str, Any]

    def __call__(self, mixture: Mixture, features: Features, seeds: Seeds) -> Weights:
        key = repr(self.weigher)
        with self.memo.setdefault(f"lock {key}", Lock()):  # a second thread waits instead of computing it again
            if key not in self.memo:
                self.memo[key] = self.weigher(mixture, features, seeds)
        return self.memo[key]


def _remember(weigher: Any, memo: dict[str, Any]) -> Weigher:
    if is_dataclass(weigher) and any(f.name == "of" for f in fields(weigher)):
        return replace(weigher, of=_Remembered(weigher.of, memo))  # type: ignore
    return _Remembered(weigher, memo)


@dataclass(frozen=True)
class Split:
    """One judged fold: what may be looked at (`mixture`, whose rows are `rows` of the study), and what is judged."""

    study: Study
    seeds: Seeds
    mixture: Mixture
    rows: np.ndarray
    judged: np.ndarray
    memo: dict[str, Any] = field(default_factory=dict)

    @property
    def features(self) -> Features:
        """The description of the training rows, made on first use."""
        if "features" not in self.memo:
            self.memo["features"] = self.study.describe(self.mixture, self.seeds.child("describe"))
        return self.memo["features"]

    def weigh(self, name: str) -> Weights:
        """Return the weights of policy `name`."""
        weigher = _remember(self.study.policies[name], self.memo.setdefault("weights", {}))
        return weigher(self.mixture, self.features, self.seeds.child("weigh"))

    def fit(self, weights: Weights) -> Model:
        """Train the learner on the weighted rows."""
        m, inputs = self.mixture, self.study.inputs
        x = self.features.embedding if inputs is None else inputs[self.rows]
        rows = Rows(x, m.y, weights.values, ~m.is_synth, m.family)
        by_class = self.study.metric in TRAINED_BY_CLASS
        return fit_weighted(self.study.learner, rows, m.num_classes, self.seeds.child("fit"), by_class)


def make_split(study: Study, leaks: Leaks, fold_of: np.ndarray, seed: int, fold: int) -> Split:
    """Return the split of repetition `seed` that judges `fold`; `fold_of` (n,) has the fold of each pooled row."""
    is_judged = fold_of == fold
    keep = leaks.keep(len(study.mixture.ids), is_judged)
    rows, judged = np.flatnonzero(keep), np.flatnonzero(is_judged)
    return Split(study, Seeds(seed).child("fold", fold), restrict(study.mixture, keep), rows, judged)


def final_split(study: Study) -> Split:
    """Return the split that judges nothing, so that all rows of the mixture may be looked at."""
    rows, judged = np.arange(len(study.mixture.ids)), np.zeros(0, dtype=np.int64)
    return Split(study, Seeds(study.first_seed).child("final"), study.mixture, rows, judged)


def fit_all(split: Split, names: list[str]) -> tuple[dict[str, Weights], dict[str, Model]]:
    """Return the weights and models of `names`, fitted on the rows of `split`."""
    weights = {name: split.weigh(name) for name in names}
    with ThreadPoolExecutor(max(split.study.workers, 1)) as threads:
        models = threads.map(lambda name: split.fit(weights[name]), names)
        return weights, dict(zip(names, models, strict=True))
