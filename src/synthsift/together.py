"""A comparison whose splits several processes share, with the results of one.

Every cell follows from study, seed, fold and policy alone, so that it does not matter which process judges it. What
depends on time or on results, the budget and the race, is decided by process 0, which also keeps all cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from synthsift.compare import CellStore, Study, judge_split
from synthsift.crew import Arrays, Crew, Job, cut, parts_of, speed_up
from synthsift.judged_fold import Split, final_split, fit_all, make_split
from synthsift.race import Race
from synthsift.records import Weigher, Weights
from synthsift.splits import make_folds, pooled
from synthsift.training.learners import Model


def kin(policies: Mapping[str, Weigher], names: Iterable[str]) -> list[list[str]]:
    """Return `names` in groups that build on the same policy, which is computed once where they stay together."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(repr(getattr(policies[name], "of", policies[name])), []).append(name)
    return list(groups.values())


@dataclass(frozen=True)
class Together:
    """What process 0 gives to `compare.compare`.

    Parameters
    ----------
    study : Study
        With the workers of a process that is alone on its machine: the first split is judged so.
    crew : Crew
    """

    study: Study
    crew: Crew

    @property
    def threads(self) -> int:
        """Threads of every process where all work."""
        return min(self.study.workers, self.crew.threads)

    def batches(self, repetition: int, num_folds: int) -> list[list[int]]:
        """Return the folds that are judged at once; what the first one takes decides what the others do."""
        return [list(range(num_folds))] if repetition else [[0], list(range(1, num_folds))]

    def widened(self, num_folds: int, seconds: float = 0.0) -> Study:
        """Return the study with all workers, whose budget is less what the first split took beyond its share.

        Parameters
        ----------
        num_folds : int
        seconds : float
            What the first split took of all workers of process 0.
        """
        workers = max(1, int(self.threads * speed_up(num_folds, self.crew.size)))
        beyond = seconds / self.study.workers - seconds / workers
        return replace(self.study, workers=workers, budget_seconds=self.study.budget_seconds - beyond)

    def judge(
        self,
        make: Callable[[int], Split],
        names: list[str],
        seed: int,
        folds: list[int],
        store: CellStore,
        tell: Callable[[], None],
        race: Race,
    ) -> list[dict[str, Arrays]]:
        """Return the cells of every fold, from the store where they are there, else from whichever process is free.

        Parameters
        ----------
        make : callable
            From a fold to its split.
        names : list of str
            Policies.
        seed : int
        folds : list of int
        store : CellStore
        tell : callable
            Called after each new cell.
        race : Race
            Knows what the policies have cost so far.
        """
        found: dict[int, dict[str, Arrays]] = {fold: {} for fold in folds}
        for fold, cells in found.items():
            stored = {name: store.get_cell(name, seed, fold) for name in names}
            cells.update({name: cell for name, cell in stored.items() if cell is not None})
        missing = {fold: [name for name in names if name not in cells] for fold, cells in found.items()}
        missing = {fold: absent for fold, absent in missing.items() if absent}
        threaded = replace(self.study, workers=self.threads)

        def work(job: Job) -> None:
            split = replace(make(job["fold"]), study=threaded)
            found[job["fold"]].update(judge_split(split, job["names"], seed, job["fold"], store, tell))

        def take(job: Job, record: Job, cell: Arrays) -> None:
            store.put_cell(record["name"], seed, job["fold"], cell)
            found[job["fold"]][record["name"]] = cell
            tell()

        jobs: list[Job] = []
        for (fold, absent), parts in zip(missing.items(), parts_of(len(missing), self.crew.size), strict=True):
            groups = kin(self.study.policies, absent)
            costs = [sum(_cost(race, name) for name in group) for group in groups]
            for part in cut(costs, parts):
                chosen = {name for place in part for name in groups[place]}
                jobs.append({"seed": seed, "fold": fold, "names": [name for name in absent if name in chosen]})
        self.crew.share(jobs, work, take)
        return [found[fold] for fold in folds]

    def final_fits(
        self, study: Study, names: list[str], needed: tuple[str, ...], test_inputs: Any
    ) -> tuple[dict[str, np.ndarray], dict[str, Weights], dict[str, Model]]:
        """Return what every final fit says of the test rows (m, c), and the fits of process 0, `needed` among them."""
        groups = kin(study.policies, names)
        own = [name for group in groups if set(group) & set(needed) for name in group]
        split = final_split(replace(study, workers=self.threads))
        prob: dict[str, np.ndarray] = {}
        weights: dict[str, Weights] = {}
        models: dict[str, Model] = {}

        def fit(chosen: list[str]) -> None:
            done = fit_all(split, chosen)
            weights.update(done[0])
            models.update(done[1])
            prob.update({name: models[name].predict_proba(test_inputs) for name in chosen})

        def take(job: Job, record: Job, arrays: Arrays) -> None:
            prob[record["name"]] = arrays["probabilities"]

        jobs = [{"final": group} for group in sorted(groups, key=len, reverse=True) if group[0] not in own]
        self.crew.share(jobs, lambda job: fit(job["final"]), take, first=lambda: fit(own))
        return prob, weights, models


def _cost(race: Race, name: str) -> float:
    """Mean seconds of a split of policy `name` so far."""
    return race.seconds[name] / race.splits[name] if name in race.splits else 1.0


@dataclass(frozen=True)
class _Wire:
    """A store of cells that is process 0."""

    crew: Crew

    def get_cell(self, policy: str, seed: int, fold: int) -> Arrays | None:
        """Return None: process 0 asks for what it does not have."""
        return None

    def put_cell(self, policy: str, seed: int, fold: int, arrays: dict[str, np.ndarray]) -> None:
        """Send a cell."""
        self.crew.report({"is": "cell", "name": policy}, arrays)


def serve(study: Study, crew: Crew, test_inputs: Any) -> int:
    """Judge, as one of the other processes, what process 0 asks for until it ends; return its exit code.

    Parameters
    ----------
    study : Study
        Made from the same settings and data as that of process 0.
    crew : Crew
    test_inputs : ndarray (m, d) or Images, optional
        What the learner sees of the test rows.
    """
    pool = pooled(study.mixture)
    leaks = study.known_leaks()
    study = replace(study, workers=min(study.workers, crew.threads))
    whole = final_split(study)

    def work(job: Job) -> None:
        if "final" in job:
            for name, model in fit_all(whole, job["final"])[1].items():
                crew.report({"is": "fit", "name": name}, {"probabilities": model.predict_proba(test_inputs)})
            return
        seed, fold = job["seed"], job["fold"]
        split = make_split(study, leaks, make_folds(pool, seed), seed, fold)
        judge_split(split, job["names"], seed, fold, _Wire(crew), lambda: None)

    return crew.serve(work)
