"""The race of the policies: collects their cells, stops clear losers, and keeps to the budget."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from synthsift.numerics.metrics import loss_weights, row_losses
from synthsift.numerics.resampling import error_of_mean, members
from synthsift.records import Comparison, Examples
from synthsift.splits import fold_count

if TYPE_CHECKING:
    from synthsift.compare import Progress, Study

PROTECTED = ("RealOnly", "Everything")  # never stopped by racing: every sentence compares with them
CLEAR_LOSS = 3.0  # standard errors, over rows or whole groups, behind the best at which racing stops a policy
FINAL_SPLITS = 1.5  # the final fits, on all rows, cost about as much as so many splits
PLANNED = 0.9  # share of the budget that is planned for; the rest is for what comes out longer
UNTRIED = "left out untrained to keep to the budget"
VARIATION = re.compile(r"(\+Real)?\d+$")  # RealTimes5 varies RealTimes3, KNNShapley+Real5 varies KNNShapley


def trial_order(names: Iterable[str]) -> list[str]:
    """Return the policies in the order in which a small budget tries them.

    The protected ones come first, then one of each kind, the simplest first, then their variations.
    """
    rank: dict[str, int] = {}
    seen: dict[str, int] = {}
    for name in names:
        kind = VARIATION.sub("", name)
        rank[name] = seen[kind] = seen.get(kind, -1) + 1
    return sorted(rank, key=lambda name: (name not in PROTECTED, rank[name]))


@dataclass
class Trial:
    """Decides, while the first split is judged, which policies the budget cannot carry: these are never trained.

    A policy is tried where the mean time of those that are done says that it still fits. Once one does not, none of the
    later ones is tried either, so that the order in which they are told is the order in which they are left out.

    Parameters
    ----------
    limit : float
        Seconds of all workers together that the first split may take.
    """

    limit: float
    finished: dict[str, float] = field(default_factory=dict)
    running: dict[str, float] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def starts(self, name: str) -> bool:
        """Whether `name` may be trained now; the protected ones always, and where nothing is known yet."""
        with self.lock:
            now = time.perf_counter()
            if name not in PROTECTED and (self.left_out or not self._fits(now)):
                self.left_out.append(name)
                return False
            self.running[name] = now
            return True

    def ends(self, name: str, seconds: float) -> None:
        """Keep how long `name` took; what a store held from before counts as well."""
        with self.lock:
            self.running.pop(name, None)
            self.finished[name] = seconds

    def _fits(self, now: float) -> bool:
        """Whether one more policy keeps within the limit."""
        if not self.finished:
            return True
        usual = sum(self.finished.values()) / len(self.finished)
        going = sum(max(usual, now - began) for began in self.running.values())
        return sum(self.finished.values()) + going + usual <= self.limit


@dataclass
class Race:
    """Collects cells, stops clear losers, and keeps to the budget."""

    study: Study
    pool: Examples
    active: list[str]
    prob: dict[str, np.ndarray] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    describing: dict[str, float] = field(default_factory=dict)  # its part of `seconds`: a share of what all use
    described: float = 0.0  # seconds of all splits, the shares of policies that were then left out among them
    stopped: dict[str, str] = field(default_factory=dict)
    repetitions: dict[str, int] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.num_folds = fold_count(self.pool)
        self.weights = loss_weights(self.study.metric, self.pool.y)
        # What the first split takes is missing for the others, which carry policies worth `PLANNED` of the budget.
        last = FINAL_SPLITS * len(self._refitted(self.active)) / len(self.active)
        others = PLANNED * (self.num_folds - 1 + last) / (self.num_folds + last)
        self.trial = Trial((1 - others) * self.study.budget_seconds * self.study.workers)

    def take(self, repetition: int, fold: int, judged: np.ndarray, cells: dict[str, dict[str, np.ndarray]]) -> None:
        """Keep the predictions of one split; after the very first one, stop what the budget cannot carry."""
        shape = (self.study.num_seeds, len(self.pool), self.study.mixture.num_classes)
        for name, cell in cells.items():
            self.prob.setdefault(name, np.zeros(shape, dtype=np.float32))[repetition, judged] = cell["probabilities"]
            self.seconds[name] = self.seconds.get(name, 0.0) + float(cell["seconds"][0])
            share = float(cell.get("describing", (0.0,))[0])
            self.describing[name] = self.describing.get(name, 0.0) + share
            self.described += share
            self.repetitions[name] = repetition + 1
            self.splits[name] = self.splits.get(name, 0) + 1
        if repetition == 0 and fold == 0:
            self.described *= 1 + len(self.trial.left_out) / len(cells)
            self._fit_into_budget(judged)

    def longest_first(self) -> list[str]:
        """Active policies, the slowest first, so that no worker is left alone with one of them at the end."""
        if not self.splits:
            return trial_order(self.active)
        return sorted(self.active, key=lambda name: -self._split_seconds(name) if name in self.splits else 0.0)

    def _split_seconds(self, name: str) -> float:
        """Mean seconds of a split of policy `name`."""
        return self.seconds[name] / self.splits[name]

    def _seconds_of(self, names: list[str]) -> float:
        """Mean seconds, of all workers, of a split of `names`: describing its rows, and what each adds."""
        own = (self._split_seconds(name) - self.describing.get(name, 0.0) / self.splits[name] for name in names)
        return self.described / max(self.splits.values()) + sum(own)

    def _final_seconds(self, names: list[str]) -> float:
        """Seconds, of all workers, of the final fits if `names` go on."""
        return FINAL_SPLITS * self._seconds_of(self._refitted(names))

    def _refitted(self, names: list[str]) -> list[str]:
        """Of `names`, those that will be fitted at the end; the slowest stands for the verdict's, yet unknown."""
        always = self.study.refitted
        if always is None:
            return names
        others = [name for name in names if name not in always]
        slowest = sorted(others, key=lambda name: self._split_seconds(name) if name in self.splits else 0.0)[-1:]
        return [name for name in names if name in (*always, *slowest)]

    def _fit_into_budget(self, judged: np.ndarray) -> None:
        """If one repetition of everything would burst the budget, go on with the best of the first fold."""
        for name in self.trial.left_out:
            self.active.remove(name)
            self.stopped[name] = UNTRIED
        total = self.study.budget_seconds * self.study.workers
        left = total - self.spent() * self.study.workers

        def carries(names: list[str]) -> bool:
            """Whether what is planned carries them, and what the first split, which may take too long, has left."""
            split, final = self._seconds_of(names), self._final_seconds(names)
            return self.num_folds * split + final <= PLANNED * total and (self.num_folds - 1) * split + final <= left

        if carries(self.active):
            return
        y = self.pool.y[judged]
        weights = self.weights[judged]
        loss = {name: float(np.mean(weights * row_losses(self.prob[name][0, judged], y))) for name in self.active}
        kept = [name for name in PROTECTED if name in self.active]
        for name in sorted(loss, key=loss.__getitem__):
            if name not in kept and carries([*kept, name]):
                kept.append(name)
        for name in self.active:
            if name not in kept:
                del self.prob[name], self.repetitions[name]
                self.stopped[name] = "left out after the first fold to keep to the budget"
        self.active = [name for name in self.active if name in kept]

    def per_repetition(self) -> float:
        """Seconds that one more repetition of the active policies will take."""
        return self.num_folds * self._seconds_of(self.active) / max(self.study.workers, 1)

    def spent(self) -> float:
        """Seconds so far, of all policies."""
        own = sum(self.seconds.values()) - sum(self.describing.values())
        return (own + self.described) / max(self.study.workers, 1)

    def final(self) -> float:
        """Seconds that the final fits will take."""
        return self._final_seconds(list(self.prob)) / max(self.study.workers, 1)

    def seconds_left(self, done: float) -> float:
        """Estimate of the time left, final fits included: within the budget, but for what is done in any case."""
        allowed = self.study.budget_seconds - self.spent()
        if not self.splits:  # nothing is known before the first split
            return float("inf")
        left = (self.study.num_seeds - done / self.num_folds) * self.per_repetition() + self.final()
        least = max(0.0, 1 - done / self.num_folds) * self.per_repetition() + self.final()
        return max(least, min(left, allowed))

    def teller(self, progress: Progress | None, done: int, num: int, splits: int) -> Callable[[], None]:
        """Return what is called after each of `num` policies of each of the `splits` after the first `done` ones."""
        finished, which = count(1), f"next {splits}" if splits > 1 else "next"

        def tell() -> None:
            """Say how many policies of these splits are done."""
            k = next(finished)
            if progress and k < splits * num:
                begun = k / num if splits > 1 else 0  # a single split counts when it is whole
                what = f"splits and {k} of {splits * num} policies of the {which}"
                progress(what, done, self.study.num_seeds * self.num_folds, self.seconds_left(done + begun))

        return tell

    def affords_repetition(self, repetition: int) -> bool:
        """Whether one more repetition and the final fits fit into the budget."""
        return self.spent() + self.per_repetition() + self.final() <= PLANNED * self.study.budget_seconds

    def stop_losers(self, repetition: int) -> None:
        """Stop policies whose log-loss is clearly behind the best, by the paired difference over rows or groups."""
        y, done = self.pool.y, repetition + 1
        member = None if self.pool.group is None else members(self.pool.group)
        loss = {
            name: self.weights * np.mean([row_losses(p, y) for p in self.prob[name][:done]], axis=0)
            for name in self.active
        }
        best = min(loss, key=lambda name: float(loss[name].mean()))
        for name in list(self.active):
            behind = loss[name] - loss[best]
            error = error_of_mean(behind, member)
            if name not in PROTECTED and behind.mean() > CLEAR_LOSS * error > 0:
                self.active.remove(name)
                self.stopped[name] = f"log-loss clearly behind that of {best} after {done * self.num_folds} splits"

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
