"""Policies x paired splits -> out-of-fold predictions, on equal terms for every policy.

All policies own the same real rows (training and validation rows pooled). In every split one fold is judged; the rest,
minus everything that leaks the judged rows, is what a policy may look at. Features are described anew inside each
split, every policy trains the same learner, and only paired differences are reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, is_dataclass, replace
from itertools import count
from threading import Lock
from typing import Any, Protocol

import numpy as np

from synthsift.numerics.metrics import metric_value
from synthsift.race import PROTECTED, Race, Trial
from synthsift.records import Comparison, DataError, Describe, Examples, Features, Mixture, Weigher, Weights
from synthsift.seeds import Seeds
from synthsift.splits import Leaks, find_leaks, make_folds, pooled, restrict
from synthsift.training.learners import Learner, Model, Rows, fit_weighted


class CellStore(Protocol):
    """Where finished cells live; a run folder, or memory."""

    def get_cell(self, policy: str, seed: int, fold: int) -> dict[str, np.ndarray] | None:
        """Return the arrays of a finished cell, or None."""
        ...

    def put_cell(self, policy: str, seed: int, fold: int, arrays: dict[str, np.ndarray]) -> None:
        """Keep a finished cell."""
        ...


@dataclass
class MemoryStore:
    """Cells in memory."""

    cells: dict[tuple[str, int, int], dict[str, np.ndarray]] = field(default_factory=dict)

    def get_cell(self, policy: str, seed: int, fold: int) -> dict[str, np.ndarray] | None:
        """Return a cell or None."""
        return self.cells.get((policy, seed, fold))

    def put_cell(self, policy: str, seed: int, fold: int, arrays: dict[str, np.ndarray]) -> None:
        """Keep a cell."""
        self.cells[policy, seed, fold] = arrays


@dataclass(frozen=True)
class Study:
    """What a comparison is made of.

    Parameters
    ----------
    policies : mapping of str to Weigher
        Simplest first; must contain "RealOnly" and "Everything".
    mixture : Mixture
    embedding : ndarray (n, d)
        What leaks are looked for in, for all rows in the order of ``mixture.ids``.
    describe : Describe
        Called inside every split.
    learner : Learner
    num_seeds, first_seed : int
        Repetitions of the 5 folds (fewer where there are fewer groups), and the number of the first.
    budget_seconds : float
        For the splits and the final fits; fewer policies and fewer repetitions keep to it, as far as one repetition of
        the protected policies allows. Policies that it cannot carry are left out before they are trained.
    workers : int
        Threads that fit policies side by side.
    inputs : Images or ndarray (n, ...), optional
        What the learner sees of all rows, where that is not the embedding of the features: pixels, for instance.
    """

    policies: Mapping[str, Weigher]
    mixture: Mixture
    embedding: np.ndarray
    describe: Describe
    learner: Learner
    num_seeds: int = 5
    first_seed: int = 0
    budget_seconds: float = float("inf")
    workers: int = 1
    inputs: Any = None


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
        return fit_weighted(self.study.learner, rows, m.num_classes, self.seeds.child("fit"))


Progress = Callable[[str, int, int, float], None]


def compare(study: Study, *, store: CellStore | None = None, progress: Progress | None = None) -> Comparison:
    """Judge every policy on the same splits.

    Parameters
    ----------
    study : Study
    store : CellStore, optional
        Finished cells are taken from here and new ones kept here.
    progress : callable, optional
        Called as ``progress(what, done, of, seconds_left)`` after every split, with "splits", and within a split after
        every policy, with how many of them are done in words: where a learner is slow, the first split takes long. The
        seconds are infinite before the first split is done.

    Returns
    -------
    Comparison

    Raises
    ------
    DataError
        If a protected policy is missing, or there are fewer than 10 pooled real rows, or a single group.
    """
    missing = [name for name in PROTECTED if name not in study.policies]
    if missing:
        raise DataError(f"every comparison needs the policies RealOnly and Everything; {', '.join(missing)} is missing")
    pool = pooled(study.mixture)
    if len(pool) < 10:
        raise DataError(f"there are {len(pool)} real rows; a comparison by folds needs at least 10. Add real rows")
    leaks = find_leaks(study.mixture, study.embedding)
    store = store or MemoryStore()
    race = Race(study, pool, list(study.policies))
    folds = []
    for repetition in range(study.num_seeds):
        if repetition and not race.affords_repetition(repetition):
            break
        seed = study.first_seed + repetition
        folds.append(make_folds(pool, seed))
        for fold in range(race.num_folds):
            split = _make_split(study, leaks, folds[-1], seed, fold)
            done, names = repetition * race.num_folds + fold, race.longest_first()
            trial = None if done else race.trial
            cells = _judge(split, names, seed, fold, store, _teller(progress, race, done, len(names)), trial)
            race.take(repetition, fold, split.judged, cells)
            if progress:
                progress("splits", done + 1, study.num_seeds * race.num_folds, race.seconds_left(done + 1))
        race.stop_losers(repetition)
    return race.comparison(np.array(folds))


def _teller(progress: Progress | None, race: Race, done: int, num: int) -> Callable[[], None]:
    """Return what is called after each of `num` policies of the split that follows `done` finished ones."""
    finished = count(1)

    def tell() -> None:
        """Say how many policies of the split are done."""
        k = next(finished)
        if progress and k < num:
            what = f"splits and {k} of {num} policies of the next"
            progress(what, done, race.study.num_seeds * race.num_folds, race.seconds_left(done))

    return tell


def _make_split(study: Study, leaks: Leaks, fold_of: np.ndarray, seed: int, fold: int) -> Split:
    is_judged = fold_of == fold
    keep = leaks.keep(len(study.mixture.ids), is_judged)
    rows, judged = np.flatnonzero(keep), np.flatnonzero(is_judged)
    return Split(study, Seeds(seed).child("fold", fold), restrict(study.mixture, keep), rows, judged)


def _judge(
    split: Split,
    names: list[str],
    seed: int,
    fold: int,
    store: CellStore,
    tell: Callable[[], None],
    trial: Trial | None,
) -> dict[str, dict[str, np.ndarray]]:
    """Finish the cells of one split, from the store where they are there; `tell` is called after each new one.

    Of the first split, the policies that `trial` does not start are left out.
    """
    cells = {name: cell for name in names if (cell := store.get_cell(name, seed, fold)) is not None}
    open_names = [name for name in names if name not in cells]
    if trial:
        for name, cell in cells.items():
            trial.ends(name, float(cell["seconds"][0]))
    if not open_names:
        return cells
    x = (split.study.embedding if split.study.inputs is None else split.study.inputs)[split.judged]
    started = time.perf_counter()
    shared = split.features  # noqa: F841 - described once, before threads share it
    # nobody else works meanwhile, so it costs the budget of all workers
    describe_seconds = split.study.workers * (time.perf_counter() - started) / len(open_names)

    def finish(name: str) -> tuple[str, dict[str, np.ndarray]] | None:
        if trial and not trial.starts(name):
            return None
        began = time.perf_counter()
        prob = split.fit(split.weigh(name)).predict_proba(x).astype(np.float32)
        seconds = time.perf_counter() - began + describe_seconds
        cell = {"probabilities": prob, "seconds": np.array([seconds])}
        store.put_cell(name, seed, fold, cell)
        if trial:
            trial.ends(name, float(cell["seconds"][0]))
        tell()
        return name, cell

    if split.study.workers <= 1:
        done = [finish(name) for name in open_names]
    else:
        with ThreadPoolExecutor(split.study.workers) as threads:
            done = list(threads.map(finish, open_names))
    return cells | dict(one for one in done if one is not None)


def judge_test(
    study: Study, test: Examples, test_inputs: Any, metric: str, policies: list[str] | None = None
) -> tuple[list[dict[str, Any]], dict[str, Weights], dict[str, Model]]:
    """Fit every policy on all rows and open the test set, once; nothing is chosen here.

    Parameters
    ----------
    study : Study
    test : Examples
    test_inputs : ndarray (m, d) or Images
        What the learner sees of the test rows: encoded as ``study.embedding``, or of the kind of ``study.inputs``.
    metric : str
    policies : list of str, optional
        Their names; all by default.

    Returns
    -------
    rows : list of dict
        "name", "metric", "value" (higher is better).
    weights, models : dict
        The final fits.
    """
    names = list(study.policies) if policies is None else policies
    weights, models = final_fits(study, names)
    counts = np.ones(len(test))
    rows = [
        {
            "name": name,
            "metric": metric,
            "value": metric_value(metric, test.y, models[name].predict_proba(test_inputs), counts),
        }
        for name in names
    ]
    return rows, weights, models


def final_fits(study: Study, names: list[str]) -> tuple[dict[str, Weights], dict[str, Model]]:
    """Return the weights and models of `names` from all rows of the mixture."""
    rows, judged = np.arange(len(study.mixture.ids)), np.zeros(0, dtype=np.int64)
    split = Split(study, Seeds(study.first_seed).child("final"), study.mixture, rows, judged)
    weights = {name: split.weigh(name) for name in names}
    with ThreadPoolExecutor(max(study.workers, 1)) as threads:
        models = threads.map(lambda name: split.fit(weights[name]), names)
        return weights, dict(zip(names, models, strict=True))
