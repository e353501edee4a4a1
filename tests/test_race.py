"""A budget is kept, and what it cannot carry is left out before it is trained, in an order that is known beforehand."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from comparisons import Costly, two_class
from synthsift.baselines.simple import Everything, RandomSubset, RealOnly
from synthsift.cli.estimate import Estimate
from synthsift.compare import Study, compare
from synthsift.data.worlds import same_law
from synthsift.race import UNTRIED, Race, Trial, trial_order
from synthsift.records import Features, Mixture, Weigher
from synthsift.seeds import Seeds
from synthsift.training.learners import Logistic, Model, Rows

NAMES = ["RealOnly", "Everything", "RealTimes3", "RealTimes5", "Subset", "Subset+Real5", "KNN", "KNN+Real5"]
PAUSE = 0.02  # seconds


@dataclass(frozen=True)
class Slow:
    """A logistic regression that takes its time."""

    def fit(self, rows: Rows, num_classes: int, seeds: Seeds) -> Model:
        time.sleep(PAUSE)
        return Logistic().fit(rows, num_classes, seeds)


def slow_study(budget: float, num_policies: int = 10, workers: int = 2) -> Study:
    mixture = same_law(Seeds(0), num_real=40, num_valid=12, num_synth=60, dim=4, num_classes=2).mixture
    more: dict[str, Weigher] = {f"Subset {k}th": RandomSubset(0.1 * k) for k in range(1, num_policies - 1)}
    place = {name: k for k, name in enumerate(mixture.ids)}
    x = np.concatenate([part.x for part in mixture.parts if len(part)])

    def describe(part: Mixture, seeds: Seeds) -> Features:
        rows = [place[name] for name in part.ids]
        return Features(np.zeros((len(rows), 1)), ("none",), part.ids, x[rows])

    policies: dict[str, Weigher] = {"RealOnly": RealOnly(), "Everything": Everything(), **more}
    return Study(policies, mixture, x, describe, Logistic(), 1, 0, budget, workers)


def test_one_of_each_kind_is_tried_before_its_variations() -> None:
    order = trial_order(NAMES)
    assert order == ["RealOnly", "Everything", "RealTimes3", "Subset", "KNN", "RealTimes5", "Subset+Real5", "KNN+Real5"]
    assert trial_order(["A", "Everything", "RealOnly"]) == ["Everything", "RealOnly", "A"]


@pytest.mark.parametrize(("budget", "workers", "tries_all"), [(27.5, 2, True), (17.5, 2, False), (35.0, 1, False)])
def test_a_slow_learner_keeps_to_the_budget(budget: float, workers: int, tries_all: bool) -> None:
    """In fits: one split of all ten policies takes 5 on two workers, all splits and final fits, of 1.5 each, 32.5."""
    store = Costly()
    study = slow_study(budget * store.each, workers=workers)
    comparison = compare(study, store=store)
    took = (len(store.cells) + 1.5 * len(comparison.probabilities)) / workers
    assert took <= budget
    order = trial_order(study.policies)
    untried = [name for name, why in comparison.stopped.items() if why == UNTRIED]
    assert comparison.stopped and tries_all == (not untried)
    assert tries_all or untried == order[-len(untried) :], "the last of the order that is told beforehand"
    assert took >= 0.5 * budget, "and the budget is used"


def test_a_budget_that_the_protected_pair_exceeds_trains_nothing_else() -> None:
    comparison = compare(slow_study(2500.0), store=Costly())
    assert list(comparison.probabilities) == ["RealOnly", "Everything"]
    assert set(comparison.stopped.values()) == {UNTRIED} and len(comparison.stopped) == 8


def test_seconds_are_those_that_fits_take() -> None:
    """At least what the learner sleeps, and of two workers together at most twice what passes."""
    study = replace(slow_study(np.inf, num_policies=2), learner=Slow())
    began = time.perf_counter()
    comparison = compare(study)
    passed = time.perf_counter() - began
    assert min(comparison.seconds.values()) >= 5 * PAUSE
    assert sum(comparison.seconds.values()) <= 2 * passed


def test_an_ample_budget_changes_nothing() -> None:
    """The same predictions, bit for bit, with and without a budget that is large enough."""
    free, ample = (compare(slow_study(budget, 5)) for budget in (np.inf, 1e6))
    assert not ample.stopped and list(ample.probabilities) == list(free.probabilities)
    for name, prob in free.probabilities.items():
        assert np.array_equal(prob, ample.probabilities[name])


def test_cells_of_an_earlier_run_count_in_the_trial() -> None:
    """A resumed run knows from its cells how long a policy takes, and leaves out the same ones."""
    store, study = Costly(), slow_study(17.5e3)
    before = compare(study, store=store)
    again = compare(study, store=store)
    assert again.stopped == before.stopped and list(again.probabilities) == list(before.probabilities)


def test_a_trial_counts_what_is_running() -> None:
    trial = Trial(limit=10.0)
    assert trial.starts("RealOnly") and trial.starts("Everything") and not trial.left_out
    trial.ends("RealOnly", 3.0)
    assert trial.starts("A"), "3 done, 3 running, 3 more"
    assert not trial.starts("B") and trial.left_out == ["B"]
    trial.ends("Everything", 0.0)
    assert not trial.starts("C"), "none after the first that did not fit, though it would"
    assert Trial(limit=0.0).starts("Everything")


def test_estimates_add_up() -> None:
    expected = Estimate(shared=10.0, policy=2.0, learned=3.0, num_folds=5)
    assert expected.repetition(["RealOnly", "Everything"]) == 14.0
    assert expected.repetition(["RealOnly", "LearnedWeights"]) == 17.0
    assert expected.whole(["RealOnly", "Everything"]) == pytest.approx(14.0 * 1.3)
    assert replace(expected, shared=0.0).repetition([]) == 0.0
    few = replace(expected, refitted=("LearnedWeights",))
    names = ["RealOnly", "Everything", "Subset", "LearnedWeights"]
    assert few.whole(names, 2) == pytest.approx(2 * 21.0 + 0.3 * (10.0 + 2 * 2.0 + 3.0))
    assert few.whole(["RealOnly", "Everything"]) == pytest.approx(14.0 + 0.3 * 12.0)
    assert expected.whole(names, 2) == pytest.approx(2.3 * 21.0)


def test_a_policy_is_not_stopped_for_rows_of_a_group_that_agree() -> None:
    """20 groups of 50 whose policies do not differ in truth: over rows, 3 errors would stop one in three or four."""
    rng, group = np.random.default_rng(0), np.repeat(np.arange(20), 50).astype(str)
    y, stops = np.zeros(1000, dtype=int), {"groups": 0, "rows": 0}
    for _ in range(200):
        own = np.clip(0.5 + 0.1 * np.repeat(rng.standard_normal(20), 50) + 0.1 * rng.standard_normal(1000), 0.05, 0.95)
        prob = {"RealOnly": two_class(y, np.full(1000, 0.48)), "P2": two_class(y, own)}
        for way in stops:
            pool: Any = SimpleNamespace(y=y, group=group if way == "groups" else None)
            study: Any = SimpleNamespace(
                metric="accuracy", budget_seconds=np.inf, workers=1, num_seeds=1, refitted=None
            )
            race = Race(study, pool, list(prob), prob=dict(prob))
            race.stop_losers(0)
            stops[way] += "P2" not in race.active
    assert stops["rows"] > 30 and stops["groups"] <= 2


def test_a_policy_that_is_clearly_behind_in_every_group_is_stopped() -> None:
    y, group = np.zeros(1000, dtype=int), np.repeat(np.arange(20), 50).astype(str)
    prob = {name: two_class(y, np.full(1000, own)) for name, own in (("RealOnly", 0.6), ("P2", 0.4), ("P3", 0.6))}
    prob["P2"] = two_class(y, np.random.default_rng(0).uniform(0.3, 0.5, 1000))
    study: Any = SimpleNamespace(metric="accuracy", budget_seconds=np.inf, workers=1, num_seeds=1, refitted=None)
    pool: Any = SimpleNamespace(y=y, group=group)
    race = Race(study, pool, list(prob), prob=prob)
    race.stop_losers(0)
    assert race.active == ["RealOnly", "P3"] and "clearly behind that of RealOnly" in race.stopped["P2"]
