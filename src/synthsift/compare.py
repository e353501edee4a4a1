"""Policies x paired splits -> out-of-fold predictions, on equal terms for every policy.

All policies own the same real rows (training and validation rows pooled). In every split one fold is judged; the rest,
minus everything that leaks the judged rows, is what a policy may look at. Features are described anew inside each
split, every policy trains the same learner, and only paired differences are reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from synthsift.judged_fold import Split, final_split, fit_all, make_split
from synthsift.numerics.metrics import metric_value
from synthsift.race import PROTECTED, Race, Trial
from synthsift.records import Comparison, DataError, Describe, Examples, Mixture, Weigher, Weights
from synthsift.splits import Leaks, find_leaks, make_folds, pooled
from synthsift.training.learners import Learner, Model, check_finite

if TYPE_CHECKING:
    from synthsift.together import Together


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
    metric : str
        What gains will be told in: it says how rows count in the log-loss that the race goes by (`loss_weights`).
    inputs : Images or ndarray (n, ...), optional
        What the learner sees of all rows, where that is not the embedding of the features: pixels, for instance.
    leaks : Leaks, optional
        Found in `mixture` before; looked for anew if not given.
    refitted : tuple of str, optional
        The policies that are fitted on all rows at the end beside the verdict's, for which the budget keeps time; all
        by default, as where there are test rows.
    unseen : bool
        The generators are said to have seen no real row, so that no means speak against the verdict.
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
    metric: str = "accuracy"
    inputs: Any = None
    leaks: Leaks | None = None
    refitted: tuple[str, ...] | None = None
    unseen: bool = False

    def known_leaks(self) -> Leaks:
        """Return what gives judged rows away."""
        return find_leaks(self.mixture, self.embedding) if self.leaks is None else self.leaks


Progress = Callable[[str, int, int, float], None]


def compare(
    study: Study, *, store: CellStore | None = None, progress: Progress | None = None, together: Together | None = None
) -> Comparison:
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
    together : Together, optional
        Other processes, which share the splits but for the very first one; results are those of one process.

    Returns
    -------
    Comparison

    Raises
    ------
    DataError
        If a protected policy is missing, there are fewer than 10 pooled real rows or a single group, or a learner fails
        or predicts what is not finite.
    """
    missing = [name for name in PROTECTED if name not in study.policies]
    if missing:
        raise DataError(f"every comparison needs the policies RealOnly and Everything; {', '.join(missing)} is missing")
    pool = pooled(study.mixture)
    if len(pool) < 10:
        raise DataError(f"there are {len(pool)} real rows; a comparison by folds needs at least 10. Add real rows")
    leaks = study.known_leaks()
    store = store or MemoryStore()
    race = Race(study, pool, list(study.policies))
    folds = []
    for repetition in range(study.num_seeds):
        if repetition and not race.affords_repetition(repetition):
            break
        seed = study.first_seed + repetition
        folds.append(make_folds(pool, seed))
        make, num_folds = partial(make_split, study, leaks, folds[-1], seed), race.num_folds
        alone = [[fold] for fold in range(num_folds)]
        for batch in together.batches(repetition, num_folds) if together else alone:
            done, names = repetition * num_folds + batch[0], race.longest_first()
            tell = race.teller(progress, done, len(names), len(batch))
            if together and done:
                found = together.judge(make, names, seed, batch, store, tell, race)
            else:
                found = [judge_split(make(batch[0]), names, seed, batch[0], store, tell, None if done else race.trial)]
            if together and not done:
                race.study = together.widened(num_folds, sum(float(cell["seconds"][0]) for cell in found[0].values()))
            for k, (fold, cells) in enumerate(zip(batch, found, strict=True), done + 1):
                race.take(repetition, fold, np.flatnonzero(folds[-1] == fold), cells)
                if progress:
                    progress("splits", k, study.num_seeds * num_folds, race.seconds_left(k))
        race.stop_losers(repetition)
    return race.comparison(np.array(folds))


def judge_split(
    split: Split,
    names: list[str],
    seed: int,
    fold: int,
    store: CellStore,
    tell: Callable[[], None],
    trial: Trial | None = None,
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
    # Nobody else works meanwhile, so it costs the budget of all workers; those in the store have had their share.
    describe_seconds = split.study.workers * (time.perf_counter() - started) / len(names)

    def finish(name: str) -> tuple[str, dict[str, np.ndarray]] | None:
        if trial and not trial.starts(name):
            return None
        began = time.perf_counter()
        prob = split.fit(split.weigh(name)).predict_proba(x).astype(np.float32)
        check_finite(prob, f"{type(split.study.learner).__name__} of policy {name}")
        seconds = np.array([time.perf_counter() - began + describe_seconds])
        cell = {"probabilities": prob, "seconds": seconds, "describing": np.array([describe_seconds])}
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
    study: Study,
    test: Examples,
    test_inputs: Any,
    metric: str,
    policies: list[str] | None = None,
    together: Together | None = None,
    needed: tuple[str, ...] = (),
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
    together : Together, optional
        Other processes, which share the fits; what they have fitted is judged and not returned.
    needed : tuple of str
        The policies whose fits are returned even so.

    Returns
    -------
    rows : list of dict
        "name", "metric", "value" (higher is better).
    weights, models : dict
        The final fits.
    """
    names = list(study.policies) if policies is None else policies
    if together:
        prob, weights, models = together.final_fits(study, names, needed, test_inputs)
    else:
        weights, models = final_fits(study, names)
        prob = {name: models[name].predict_proba(test_inputs) for name in names}
    counts = np.ones(len(test))
    values = {name: metric_value(metric, test.y, prob[name], counts) for name in names}
    return [{"name": name, "metric": metric, "value": values[name]} for name in names], weights, models


def final_fits(study: Study, names: list[str]) -> tuple[dict[str, Weights], dict[str, Model]]:
    """Return the weights and models of `names` from all rows of the mixture."""
    return fit_all(final_split(study), names)
