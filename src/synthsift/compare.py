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
from threading import Lock
from typing import Any, Protocol

import numpy as np

from synthsift.numerics.closeness import COARSE, close_pairs, usual_spacing
from synthsift.numerics.metrics import metric_value, row_losses
from synthsift.numerics.resampling import group_folds, stratified_folds
from synthsift.records import Comparison, DataError, Describe, Examples, Features, Mixture, Weigher, Weights
from synthsift.seeds import Seeds
from synthsift.training.learners import Learner, Model, Rows, fit_weighted

NUM_FOLDS = 5
PROTECTED = ("RealOnly", "Everything")  # never stopped by racing: every sentence compares with them
CLEAR_LOSS = 3.0  # standard errors behind the best at which racing stops a policy
FINAL_SPLITS = 1.5  # the final fits, on all rows, cost about as much as so many splits
MAX_COPIES = 1000  # of one row that are looked for, to bound memory


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
        Repetitions of the 5 folds, and the number of the first.
    budget_seconds : float
        For the splits and the final fits; fewer policies and fewer repetitions keep to it, as far as one repetition of
        the protected policies allows.
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


def pooled(mixture: Mixture) -> Examples:
    """Return the real rows that are judged in turn, training rows first, then validation rows; inputs are left out."""
    real, valid = mixture.real, mixture.valid

    def join(name: str) -> np.ndarray | None:
        a, b = getattr(real, name), getattr(valid, name)
        if a is None and b is None:
            return None
        blank = [np.full(len(part), "") if column is None else column for part, column in ((real, a), (valid, b))]
        return np.concatenate(blank)

    ids = np.concatenate([real.ids, valid.ids])
    y, source = np.concatenate([real.y, valid.y]), np.concatenate([real.source, valid.source])
    return Examples(np.zeros((len(ids), 0)), y, ids, source, group=join("group"))


def make_folds(pool: Examples, seed: int) -> np.ndarray:
    """Return the fold (n,) that judges each pooled row in repetition `seed`."""
    rng = Seeds(seed).child("folds").numpy("rows")
    if pool.group is not None and np.any(pool.group != ""):
        try:
            return group_folds(pool.y, pool.group, NUM_FOLDS, rng)
        except ValueError as error:
            raise DataError(f"{error}. Give finer groups, or leave the group column out") from error
    return stratified_folds(pool.y, NUM_FOLDS, rng)


@dataclass(frozen=True)
class Leaks:
    """Which training rows give away which pooled rows.

    Parameters
    ----------
    row, judged : ndarray (k,)
        Pairs: place among all rows of the mixture, place in the pool.
    num_copies, num_parents : int
        Pairs found by content and by the parent column.
    coarse : bool
        Real rows repeat each other so often that equal content proves nothing; copies were not looked for.
    """

    row: np.ndarray
    judged: np.ndarray
    num_copies: int
    num_parents: int
    coarse: bool

    def keep(self, num_rows: int, is_judged: np.ndarray) -> np.ndarray:
        """Return the rows (n,) that may train while the pooled rows `is_judged` are judged."""
        keep = np.ones(num_rows, dtype=bool)
        keep[: len(is_judged)] = ~is_judged
        keep[self.row[is_judged[self.judged]]] = False
        return keep


def find_leaks(mixture: Mixture, embedding: np.ndarray) -> Leaks:
    """Find parents, and exact or near copies in the encoded space (2 % of the usual distance between neighbors)."""
    num_pool = len(mixture.real) + len(mixture.valid)
    embedding = embedding.astype(np.float64)  # the distance of a copy must come out as 0
    pool = embedding[:num_pool]
    spacing = usual_spacing(pool, Seeds(0).numpy("spacing"))
    row, judged = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    if not spacing.coarse:
        most = min(
            max(10, int(COARSE * num_pool) + 1), MAX_COPIES
        )  # a cluster of equals is smaller, or data are coarse
        row, judged = close_pairs(embedding, pool, spacing.limit, most=most)
        row, judged = row[row != judged], judged[row != judged]
    num_copies = len(row)
    parent = mixture.synth.parent
    num_parents = 0
    if parent is not None:
        place = {name: k for k, name in enumerate(mixture.ids[:num_pool])}
        pairs = [(num_pool + k, place[name]) for k, name in enumerate(parent) if name in place]
        num_parents = len(pairs)
        if pairs:
            made, real = np.array(pairs).T
            row, judged = np.concatenate([row, made]), np.concatenate([judged, real])
    return Leaks(row, judged, num_copies, num_parents, spacing.coarse)


def restrict(mixture: Mixture, keep: np.ndarray) -> Mixture:
    """Return the mixture of the rows (n,) where `keep` is true."""
    first, second = len(mixture.real), len(mixture.real) + len(mixture.valid)
    return replace(
        mixture,
        real=mixture.real[np.flatnonzero(keep[:first])],
        valid=mixture.valid[np.flatnonzero(keep[first:second])],
        synth=mixture.synth[np.flatnonzero(keep[second:])],
    )


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
        Called as ``progress(what, done, of, seconds_left)`` after every fold.

    Returns
    -------
    Comparison

    Raises
    ------
    DataError
        If a protected policy is missing, or there are fewer than 10 pooled real rows.
    """
    missing = [name for name in PROTECTED if name not in study.policies]
    if missing:
        raise DataError(f"every comparison needs the policies RealOnly and Everything; {', '.join(missing)} is missing")
    pool = pooled(study.mixture)
    if len(pool) < 10:
        raise DataError(f"there are {len(pool)} real rows; a comparison by 5 folds needs at least 10. Add real rows")
    leaks = find_leaks(study.mixture, study.embedding)
    store = store or MemoryStore()
    race = _Race(study, pool, list(study.policies))
    folds = []
    for repetition in range(study.num_seeds):
        if repetition and not race.affords_repetition(repetition):
            break
        seed = study.first_seed + repetition
        folds.append(make_folds(pool, seed))
        for fold in range(NUM_FOLDS):
            split = _make_split(study, leaks, folds[-1], seed, fold)
            cells = _judge(split, race.longest_first(), seed, fold, store)
            race.take(repetition, fold, split.judged, cells)
            if progress:
                done = repetition * NUM_FOLDS + fold + 1
                progress("splits", done, study.num_seeds * NUM_FOLDS, race.seconds_left(done))
        race.stop_losers(repetition)
    return race.comparison(np.array(folds))


def _make_split(study: Study, leaks: Leaks, fold_of: np.ndarray, seed: int, fold: int) -> Split:
    is_judged = fold_of == fold
    keep = leaks.keep(len(study.mixture.ids), is_judged)
    rows, judged = np.flatnonzero(keep), np.flatnonzero(is_judged)
    return Split(study, Seeds(seed).child("fold", fold), restrict(study.mixture, keep), rows, judged)


def _judge(split: Split, names: list[str], seed: int, fold: int, store: CellStore) -> dict[str, dict[str, np.ndarray]]:
    """Finish the cells of one split, from the store where they are there."""
    cells = {name: cell for name in names if (cell := store.get_cell(name, seed, fold)) is not None}
    open_names = [name for name in names if name not in cells]
    if not open_names:
        return cells
    x = (split.study.embedding if split.study.inputs is None else split.study.inputs)[split.judged]
    started = time.perf_counter()
    shared = split.features  # noqa: F841 - described once, before threads share it
    # nobody else works meanwhile, so it costs the budget of all workers
    describe_seconds = split.study.workers * (time.perf_counter() - started) / len(open_names)

    def finish(name: str) -> tuple[str, dict[str, np.ndarray]]:
        began = time.perf_counter()
        prob = split.fit(split.weigh(name)).predict_proba(x).astype(np.float32)
        seconds = time.perf_counter() - began + describe_seconds
        cell = {"probabilities": prob, "seconds": np.array([seconds])}
        store.put_cell(name, seed, fold, cell)
        return name, cell

    if split.study.workers <= 1:
        done = [finish(name) for name in open_names]
    else:
        with ThreadPoolExecutor(split.study.workers) as threads:
            done = list(threads.map(finish, open_names))
    return cells | dict(done)


@dataclass
class _Race:
    """Collects cells, stops clear losers, and keeps to the budget."""

    study: Study
    pool: Examples
    active: list[str]
    prob: dict[str, np.ndarray] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    stopped: dict[str, str] = field(default_factory=dict)
    repetitions: dict[str, int] = field(default_factory=dict)

    def take(self, repetition: int, fold: int, judged: np.ndarray, cells: dict[str, dict[str, np.ndarray]]) -> None:
        """Keep the predictions of one split; after the very first one, stop what the budget cannot carry."""
        shape = (self.study.num_seeds, len(self.pool), self.study.mixture.num_classes)
        for name, cell in cells.items():
            self.prob.setdefault(name, np.zeros(shape, dtype=np.float32))[repetition, judged] = cell["probabilities"]
            self.seconds[name] = self.seconds.get(name, 0.0) + float(cell["seconds"][0])
            self.repetitions[name] = repetition + 1
        if repetition == 0 and fold == 0:
            self._fit_into_budget(judged)

    def longest_first(self) -> list[str]:
        """Active policies, the slowest first, so that no worker is left alone with one of them at the end."""
        return sorted(self.active, key=lambda name: -self.seconds.get(name, 0.0) / self.repetitions.get(name, 1))

    def _fit_into_budget(self, judged: np.ndarray) -> None:
        """If one repetition of everything would burst the budget, go on with the best of the first fold."""
        allowed = 0.9 * self.study.budget_seconds * self.study.workers / (NUM_FOLDS + FINAL_SPLITS)
        if sum(self.seconds.values()) <= allowed:
            return
        y = self.pool.y[judged]
        loss = {name: row_losses(self.prob[name][0, judged], y).mean() for name in self.active}
        kept = [name for name in PROTECTED if name in self.active]
        spent = sum(self.seconds[name] for name in kept)
        for name in sorted(loss, key=loss.__getitem__):
            if name not in kept and spent + self.seconds[name] <= allowed:
                kept.append(name)
                spent += self.seconds[name]
        for name in self.active:
            if name not in kept:
                del self.prob[name], self.repetitions[name]
                self.stopped[name] = "left out after the first fold to keep to the budget"
        self.active = [name for name in self.active if name in kept]

    def per_repetition(self) -> float:
        """Seconds that one more repetition of the active policies will take."""
        total = sum(self.seconds[name] / self.repetitions[name] for name in self.active)
        return total / max(self.study.workers, 1)

    def spent(self) -> float:
        """Seconds so far, of all policies."""
        return sum(self.seconds.values()) / max(self.study.workers, 1)

    def seconds_left(self, done: int) -> float:
        """Rough estimate of the time left, within the budget."""
        left = self.study.num_seeds - done / NUM_FOLDS
        return max(0.0, min(left * self.per_repetition(), self.study.budget_seconds - self.spent()))

    def affords_repetition(self, repetition: int) -> bool:
        """Whether one more repetition and the final fits of all policies fit into the budget."""
        split = sum(self.seconds[name] / self.repetitions[name] for name in self.prob) / NUM_FOLDS
        final = FINAL_SPLITS * split / max(self.study.workers, 1)
        return self.spent() + self.per_repetition() + final <= 0.9 * self.study.budget_seconds

    def stop_losers(self, repetition: int) -> None:
        """Stop policies whose log-loss is clearly behind the best, by the paired difference over rows."""
        y, done = self.pool.y, repetition + 1
        loss = {name: np.mean([row_losses(p, y) for p in self.prob[name][:done]], axis=0) for name in self.active}
        best = min(loss, key=lambda name: float(loss[name].mean()))
        for name in list(self.active):
            behind = loss[name] - loss[best]
            error = behind.std(ddof=1) / np.sqrt(len(behind))
            if name not in PROTECTED and behind.mean() > CLEAR_LOSS * error > 0:
                self.active.remove(name)
                self.stopped[name] = f"clearly behind {best} after {done * NUM_FOLDS} splits"

    def comparison(self, folds: np.ndarray) -> Comparison:
        """Return the record."""
        done = len(folds)
        order = [name for name in self.study.policies if name in self.prob]
        prob = {name: self.prob[name][: min(self.repetitions[name], done)] for name in order}
        seeds = tuple(self.study.first_seed + k for k in range(done))
        stopped = {name: why for name, why in self.stopped.items() if len(prob.get(name, ())) < done}
        return Comparison(
            self.pool.y,
            self.pool.ids,
            self.study.mixture.classes,
            seeds,
            prob,
            dict(self.seconds),
            stopped,
            folds,
            self.pool.group,
        )


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
