"""Every policy is judged on the same rows, by models that saw nothing of them, whatever runs first or is resumed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from comparisons import Costly
from synthsift.baselines.simple import Everything, RandomSubset, RealOnly, RealTimes
from synthsift.compare import MemoryStore, Study, compare, final_fits, judge_test
from synthsift.data.worlds import harmful_labels, same_law
from synthsift.numerics.metrics import metric_value
from synthsift.race import PROTECTED, Race
from synthsift.records import DataError, Examples, Features, Mixture, Weigher, Weights
from synthsift.seeds import Seeds
from synthsift.splits import NUM_FOLDS, distinct_repetitions, make_folds, pooled
from synthsift.training.learners import Rows

SMALL = {"num_real": 40, "num_valid": 12, "num_synth": 60, "dim": 4, "num_classes": 2}


@dataclass(frozen=True)
class Centers:
    """The simplest learner: distances to weighted class means."""

    means: np.ndarray | None = None
    prior: np.ndarray | None = None

    def fit(self, rows: Rows, num_classes: int, seeds: Seeds) -> Centers:
        onehot = np.eye(num_classes)[rows.y] * rows.weight[:, None]
        size = onehot.sum(axis=0) + 1e-9
        return Centers((onehot.T @ rows.x) / size[:, None], size / size.sum())

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        assert self.means is not None and self.prior is not None
        logits = np.log(self.prior) - 0.5 * ((x[:, None] - self.means) ** 2).sum(axis=2)
        prob = np.exp(logits - logits.max(axis=1, keepdims=True))
        return prob / prob.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Spy:
    """Weight 1 for every row; remembers which rows it was shown."""

    seen: list[np.ndarray] = field(default_factory=list, repr=False)

    def __call__(self, mixture: Mixture, features: Features, seeds: Seeds) -> Weights:
        assert np.array_equal(features.ids, mixture.ids)
        self.seen.append(mixture.ids)
        return Weights(np.ones(len(mixture.ids)), mixture.ids, "Spy")


@dataclass(frozen=True)
class Inverted:
    """Real rows that say the opposite: a policy that is clearly bad in a world of wrong labels."""

    def __call__(self, mixture: Mixture, features: Features, seeds: Seeds) -> Weights:
        return Weights(np.where(mixture.is_synth, 1.0, 1e-6), mixture.ids, "Inverted")


@dataclass
class WatchedStore(MemoryStore):
    """Cells in memory, with the order in which they were put."""

    puts: list[tuple[str, int, int]] = field(default_factory=list)

    def put_cell(self, policy: str, seed: int, fold: int, arrays: dict[str, np.ndarray]) -> None:
        self.puts.append((policy, seed, fold))
        super().put_cell(policy, seed, fold, arrays)


def vectors(mixture: Mixture) -> np.ndarray:
    return np.concatenate([part.x for part in mixture.parts])


def make_study(mixture: Mixture, more: dict[str, Weigher] | None = None, **settings: Any) -> Study:
    embedding = vectors(mixture)
    place = {name: k for k, name in enumerate(mixture.ids)}

    def describe(part: Mixture, seeds: Seeds) -> Features:
        rows = [place[name] for name in part.ids]
        return Features(np.zeros((len(rows), 1)), ("zero",), part.ids, embedding[rows])

    policies: dict[str, Weigher] = {"RealOnly": RealOnly(), "Everything": Everything(), **(more or {})}
    study = Study(policies, mixture, embedding, describe, Centers(), 2)
    return replace(study, **settings)


def small() -> Mixture:
    return same_law(Seeds(0), **SMALL).mixture


def equal(first: Any, second: Any) -> bool:
    """Whether two comparisons hold the same predictions."""
    same = first.probabilities.keys() == second.probabilities.keys() and np.array_equal(first.fold, second.fold)
    return same and all(np.array_equal(p, second.probabilities[name]) for name, p in first.probabilities.items())


def trained_and_judged(study: Study, spy: Spy) -> list[tuple[set[str], set[str]]]:
    """For each split the ids that a policy was shown, and those that were judged."""
    spy.seen.clear()
    comparison = compare(study)
    assert len(spy.seen) == NUM_FOLDS * len(comparison.seeds)
    judged = [set(comparison.ids[fold == k]) for fold in comparison.fold for k in range(NUM_FOLDS)]
    return list(zip(map(set, spy.seen), judged, strict=True))


# --------------------------------------------------------------------------------------------------------- the splits


def test_every_real_row_is_judged_once_a_repetition() -> None:
    mixture = small()
    comparison = compare(make_study(mixture, num_seeds=3))
    assert comparison.seeds == (0, 1, 2) and comparison.fold.shape == (3, 52)
    assert np.array_equal(comparison.ids, mixture.ids[:52]) and np.array_equal(comparison.y, mixture.y[:52])
    for prob in comparison.probabilities.values():  # no row is left at 0, where rows start
        assert prob.shape == (3, 52, 2) and np.allclose(prob.sum(axis=2), 1, atol=1e-6)
    for fold in comparison.fold:  # stratified: folds as even as can be, classes too
        assert set(fold) == set(range(NUM_FOLDS)) and np.ptp(np.bincount(fold)) <= 1
        assert all(np.ptp(np.bincount(fold[comparison.y == k], minlength=5)) <= 1 for k in (0, 1))
    assert not np.array_equal(comparison.fold[0], comparison.fold[1])


def test_predictions_are_those_of_models_without_the_judged_fold() -> None:
    """The slow twin: one plain fit a fold."""
    mixture = small()
    study = make_study(mixture, num_seeds=1, first_seed=7)
    comparison = compare(study)
    assert comparison.seeds == (7,)
    for fold in range(NUM_FOLDS):
        judged = np.flatnonzero(comparison.fold[0] == fold)
        rows = np.setdiff1d(np.arange(len(mixture.ids)), judged)
        for name, keep in (("RealOnly", rows[rows < 52]), ("Everything", rows)):
            weight = np.ones(len(keep))
            plain = Rows(study.embedding[keep], mixture.y[keep], weight, ~mixture.is_synth[keep], mixture.family[keep])
            right = Centers().fit(plain, 2, Seeds(0)).predict_proba(study.embedding[judged])
            assert np.allclose(comparison.probabilities[name][0, judged], right, atol=1e-6)  # stored in float32


def test_training_and_validation_rows_are_pooled() -> None:
    mixture = small()
    group = np.array([f"g{k % 6}" for k in range(12)], dtype=object)
    pool = pooled(replace(mixture, valid=replace(mixture.valid, group=group)))
    assert np.array_equal(pool.ids, mixture.ids[:52]) and np.array_equal(pool.y, mixture.y[:52])
    assert pool.group is not None and set(pool.group[:40]) == {""} and np.array_equal(pool.group[40:], group)
    assert pooled(mixture).group is None


def test_no_judged_row_trains_and_all_others_do() -> None:
    mixture, spy = small(), Spy()
    for trained, judged in trained_and_judged(make_study(mixture, {"Spy": spy}), spy):
        assert trained == set(mixture.ids) - judged


def test_groups_never_straddle() -> None:
    mixture, spy = small(), Spy()
    group = np.array(["" if k < 8 else f"g{k % 11}" for k in range(40)], dtype=object)
    mixture = replace(mixture, real=replace(mixture.real, group=group))
    of_id = dict(zip(mixture.real.ids, group, strict=True))
    study = make_study(mixture, {"Spy": spy})
    for trained, judged in trained_and_judged(study, spy):
        of_judged = {of_id.get(name, "") for name in judged} - {""}
        assert len(of_judged) >= 1 and not of_judged & {of_id.get(name, "") for name in trained}
    assert compare(study).group is not None


def in_groups(num_groups: int) -> Mixture:
    """Real and validation rows of so many groups, the first of which holds about half."""
    mixture = small()
    group = np.array([f"g{max(0, k % (2 * num_groups) - num_groups)}" for k in range(52)], dtype=object)
    real, valid = replace(mixture.real, group=group[:40]), replace(mixture.valid, group=group[40:])
    return replace(mixture, real=real, valid=valid)


@pytest.mark.parametrize("num_groups", [2, 3, 4, 5, 6])
def test_there_are_as_many_folds_as_groups_up_to_five(num_groups: int) -> None:
    """The slow twin: every group, and no other row, is left out of one plain fit."""
    mixture, seen = in_groups(num_groups), []
    study = make_study(mixture, num_seeds=2)
    comparison = compare(
        study, progress=lambda what, done, of, _: seen.append((done, of)) if what == "splits" else None
    )
    folds, group = min(num_groups, 5), np.concatenate([mixture.real.group, mixture.valid.group])
    assert comparison.num_folds == folds and seen == [(k + 1, 2 * folds) for k in range(2 * folds)]
    for fold in comparison.fold:
        assert set(fold) == set(range(folds))
        assert all(len(set(fold[group == name])) == 1 for name in set(group))
    if num_groups <= 5:
        for name in set(group):
            judged, keep = np.flatnonzero(group == name), np.flatnonzero(group != name)
            plain = Rows(study.embedding[keep], mixture.y[keep], np.ones(len(keep)), np.ones(len(keep), bool), keep)
            right = Centers().fit(plain, 2, Seeds(0)).predict_proba(study.embedding[judged])
            assert np.allclose(comparison.probabilities["RealOnly"][1, judged], right, atol=1e-6)


@pytest.mark.parametrize(("num_groups", "repetitions"), [(2, 1), (5, 1), (6, 4)])
def test_repetitions_of_the_same_folds_are_made_once(num_groups: int, repetitions: int) -> None:
    pool = pooled(in_groups(num_groups))
    assert distinct_repetitions(pool, 4) == repetitions
    folds = [make_folds(pool, seed) for seed in range(4)]
    parts = {frozenset(frozenset(np.flatnonzero(fold == k)) for k in set(fold)) for fold in folds}
    assert (len(parts) == 1) == (repetitions == 1)


def test_a_single_group_is_refused() -> None:
    with pytest.raises(DataError, match=r"all 52 real rows are of one group, g0; .* at least 2 are needed"):
        compare(make_study(in_groups(1)))


# ---------------------------------------------------------------------------------------------- stores, order, threads


def test_a_finished_store_is_not_computed_again() -> None:
    mixture, spy, store = small(), Spy(), WatchedStore()
    study = make_study(mixture, {"Spy": spy, "Subset": RandomSubset()})
    first = compare(study, store=store)
    assert len(set(store.puts)) == len(store.puts) == 4 * 2 * NUM_FOLDS
    spy.seen.clear()

    def refuse(part: Mixture, seeds: Seeds) -> Features:
        raise AssertionError("nothing is left to describe")

    again = compare(replace(study, describe=refuse), store=store)
    assert equal(first, again) and not spy.seen and len(store.puts) == 40
    assert first.seconds == again.seconds


@pytest.mark.parametrize("lost", ["every third cell", "a policy", "all after the fourth split"])
def test_a_store_with_some_cells_is_completed(lost: str) -> None:
    study = make_study(small(), {"Subset": RandomSubset(), "Real x3": RealTimes(3, RandomSubset())})
    full = MemoryStore()
    right = compare(study, store=full)
    keep: dict[str, Callable[[int, tuple[str, int, int]], bool]] = {
        "every third cell": lambda k, key: k % 3 > 0,
        "a policy": lambda k, key: key[0] != "Subset",
        "all after the fourth split": lambda k, key: 5 * key[1] + key[2] < 4,
    }
    partial = WatchedStore({key: cell for k, (key, cell) in enumerate(full.cells.items()) if keep[lost](k, key)})
    missing = len(full.cells) - len(partial.cells)
    assert equal(right, compare(study, store=partial))
    assert len(partial.puts) == missing > 0 and partial.cells.keys() == full.cells.keys()


def test_more_repetitions_keep_the_first_ones() -> None:
    study = make_study(small(), {"Subset": RandomSubset()})
    one, two = compare(replace(study, num_seeds=1)), compare(study)
    assert all(np.array_equal(one.probabilities[name][0], p[0]) for name, p in two.probabilities.items())


def test_the_order_of_the_policies_changes_no_prediction() -> None:
    more: dict[str, Weigher] = {"Subset": RandomSubset(), "Real x3": RealTimes(3, RandomSubset()), "Bad": Inverted()}
    study = make_study(harmful_labels(Seeds(0), **SMALL).mixture, more)
    names = list(study.policies)
    first = compare(study)
    for order in ([4, 3, 2, 1, 0], [2, 0, 4, 1, 3]):
        turned = compare(replace(study, policies={names[k]: study.policies[names[k]] for k in order}))
        assert list(turned.probabilities) == [names[k] for k in order]
        assert all(np.array_equal(p, turned.probabilities[name]) for name, p in first.probabilities.items())
        assert first.stopped == turned.stopped


def test_two_workers_give_exactly_the_same() -> None:
    more: dict[str, Weigher] = {"Subset": RandomSubset(), "Real x3": RealTimes(3, RandomSubset()), "Bad": Inverted()}
    study = make_study(harmful_labels(Seeds(0), **SMALL).mixture, more)
    one, two = compare(study), compare(replace(study, workers=2))
    assert equal(one, two) and one.stopped == two.stopped and list(one.probabilities) == list(two.probabilities)


@dataclass(frozen=True)
class Slow:
    """Counts its calls, and takes long enough that two threads meet in it."""

    name: str
    calls: list[str] = field(default_factory=list, repr=False)

    def __call__(self, mixture: Mixture, features: Features, seeds: Seeds) -> Weights:
        import time

        self.calls.append(self.name)
        time.sleep(0.005)
        return Weights(np.ones(len(mixture.ids)), mixture.ids, "Slow")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_policy_that_others_build_on_is_computed_once_a_split(workers: int) -> None:
    one, other = Slow("one"), Slow("other")
    more = {"One": one, "One x2": RealTimes(2, one), "One x3": RealTimes(3, one), "Other x2": RealTimes(2, other)}
    compare(make_study(small(), more, workers=workers))
    assert len(one.calls) == len(other.calls) == 2 * NUM_FOLDS


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_policy_is_passed_on(workers: int) -> None:
    def broken(mixture: Mixture, features: Features, seeds: Seeds) -> Weights:
        raise DataError("this policy needs more")

    more: dict[str, Weigher] = {"Broken": broken, "Broken x2": RealTimes(2, broken)}
    with pytest.raises(DataError, match="this policy needs more"):
        compare(make_study(small(), more, workers=workers))


# ------------------------------------------------------------------------------------------------- racing and budget


def hostile() -> Mixture:
    """Ten times as many synthetic rows as real ones, all of them wrong."""
    return harmful_labels(Seeds(0), **{**SMALL, "num_synth": 600}, wrong=1.0, separation=3.0).mixture


def test_racing_stops_clear_losers_only() -> None:
    mixture, spy = hostile(), Spy()  # as bad as Everything, which must go on
    study = make_study(mixture, {"Bad": Inverted(), "Spy": spy, "Real x1": RealTimes(1, RealOnly())}, num_seeds=4)
    comparison = compare(study)
    assert set(comparison.stopped) == {"Bad", "Spy"}
    assert all(
        text == "log-loss clearly behind that of RealOnly after 5 splits" for text in comparison.stopped.values()
    )
    assert {name: len(prob) for name, prob in comparison.probabilities.items()} == {
        "RealOnly": 4,
        "Everything": 4,
        "Bad": 1,
        "Spy": 1,
        "Real x1": 4,
    }
    assert len(spy.seen) == NUM_FOLDS
    untouched = compare(replace(study, policies={name: study.policies[name] for name in PROTECTED}))
    assert np.array_equal(untouched.probabilities["Everything"], comparison.probabilities["Everything"])


def test_racing_stops_nobody_in_a_fair_world() -> None:
    mixture = same_law(Seeds(0), **SMALL).mixture
    assert not compare(make_study(mixture, {"Same": Spy(), "Real x1": RealTimes(1)})).stopped


def test_only_policies_that_miss_splits_are_called_stopped() -> None:
    """After the last repetition there is nothing left to stop."""
    comparison = compare(make_study(hostile(), {"Bad": Inverted()}, num_seeds=1))
    assert not comparison.stopped and len(comparison.probabilities["Bad"]) == 1


def test_a_tiny_budget_finishes_one_repetition_of_the_protected_policies() -> None:
    spy = Spy()
    study = make_study(small(), {"Spy": spy, "Subset": RandomSubset()}, num_seeds=5, budget_seconds=1e-9)
    comparison = compare(study)
    assert list(comparison.probabilities) == ["RealOnly", "Everything"] and comparison.seeds == (0,)
    assert set(comparison.stopped) == {"Spy", "Subset"} and not spy.seen, "what the budget cannot carry is never run"
    assert all("to keep to the budget" in text for text in comparison.stopped.values())
    assert all(np.allclose(p.sum(axis=2), 1, atol=1e-6) for p in comparison.probabilities.values())
    free = compare(replace(study, num_seeds=1, budget_seconds=np.inf))
    for name in PROTECTED:
        assert np.array_equal(comparison.probabilities[name], free.probabilities[name])


def test_the_budget_decides_how_many_repetitions_and_policies_there_are() -> None:
    study = make_study(small(), {"Subset": RandomSubset(), "Real x3": RealTimes(3)}, num_seeds=6)
    for budget, num_seeds, num_policies in ((1e6, 6, 4), (6e4, 2, 4), (3e4, 1, 4), (2.2e4, 1, 3), (2e3, 1, 2)):
        comparison = compare(replace(study, budget_seconds=budget), store=Costly())
        assert (len(comparison.seeds), len(comparison.probabilities)) == (num_seeds, num_policies)
        spent = sum(comparison.seconds.values())
        assert spent <= 0.9 * budget or num_policies == 2


def test_describing_costs_the_budget_of_all_workers() -> None:
    """Nobody else works meanwhile: .05 s in each of 5 splits is .25 s of the budget, not half of it."""
    study = make_study(small(), num_seeds=1, workers=2)

    def slow(part: Mixture, seeds: Seeds) -> Features:
        time.sleep(0.05)
        return study.describe(part, seeds)

    comparison = compare(replace(study, describe=slow))
    assert sum(comparison.seconds.values()) / study.workers >= NUM_FOLDS * 0.05


def test_a_resumed_split_charges_a_policy_its_share_of_describing_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the budget might drop the few that were still open, which an uninterrupted run keeps."""
    study = make_study(small(), {f"Subset {k}": RandomSubset(0.1 * k) for k in range(1, 7)}, num_seeds=1, workers=2)
    ticks = count()  # a clock that says a second more whenever it is asked, and 7 seconds more after a description
    monkeypatch.setattr("synthsift.compare.time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))

    def slow(part: Mixture, seeds: Seeds) -> Features:
        assert [next(ticks) for _ in range(7)]
        return study.describe(part, seeds)

    store = MemoryStore()
    compare(replace(study, describe=slow), store=store)
    del store.cells["Subset 3", 0, 0]
    compare(replace(study, describe=slow), store=store)
    for name in study.policies:
        cell = store.cells[name, 0, 0]
        assert cell["describing"][0] == 2 * 8 / 8, "8 policies share the time of 2 workers"
        assert cell["seconds"][0] >= cell["describing"][0] + 1


def test_the_budget_keeps_time_for_what_will_be_fitted_at_the_end() -> None:
    """Every cell takes 1,000 s: 5 splits of 4 policies and 4 final fits are 26,000 s, with 2 final fits 23,000 s."""
    study = make_study(small(), {"Subset": RandomSubset(), "Real x3": RealTimes(3)}, num_seeds=2)
    for refitted, few, many in ((None, 3, 1), (("Subset",), 4, 2)):
        some = replace(study, refitted=refitted)
        assert len(compare(replace(some, budget_seconds=27e3), store=Costly()).probabilities) == few
        assert len(compare(replace(some, budget_seconds=49e3), store=Costly()).seeds) == many


def test_time_for_the_final_fits_is_that_of_describing_once_and_of_each_fit() -> None:
    study = make_study(small(), {"Subset": RandomSubset()}, num_seeds=1)
    judged = np.arange(52) % 5 == 0
    own = {"RealOnly": 1.0, "Everything": 2.0, "Subset": 3.0}
    prob = np.full((int(judged.sum()), 2), 0.5)
    cells = {
        name: {"probabilities": prob, "seconds": np.array([2.0 + more]), "describing": np.array([2.0])}
        for name, more in own.items()
    }
    for refitted, fits in ((None, 6.0), (("Everything",), 2.0 + 3.0), (("Subset",), 3.0 + 2.0)):
        race = Race(replace(study, refitted=refitted, workers=2), pooled(small()), list(study.policies))
        race.take(0, 0, np.flatnonzero(judged), cells)
        assert race.final() == pytest.approx(1.5 * (6.0 + fits) / 2)
        assert race.spent() == 6.0 and race.per_repetition() == 5 * 6.0
    race = Race(study, pooled(small()), [*study.policies, "A", "B", "C"])
    race.trial.left_out = ["A", "B", "C"]
    race.take(0, 0, np.flatnonzero(judged), cells)
    assert race.spent() == 6.0 + 2 * 6.0, "the shares of those that were not trained were spent, too"
    assert race.final() == pytest.approx(1.5 * (6.0 + 12.0))


def test_the_slowest_policies_start_first() -> None:
    """By seconds a split: a policy that was judged twice as often is not slower for it."""
    race = Race(make_study(small()), pooled(small()), ["RealOnly", "Everything", "New", "Slow"])
    race.seconds = {"RealOnly": 4.0, "Everything": 3.0, "Slow": 9.0}
    race.splits = {"RealOnly": 10, "Everything": 5, "Slow": 5}
    assert race.longest_first() == ["Slow", "Everything", "RealOnly", "New"]
    study = make_study(small(), {"Subset": RandomSubset()}, num_seeds=1)
    cells = WatchedStore()
    compare(study, store=cells)
    assert {name for name, *_ in cells.puts} == set(study.policies), "the order leaves nobody out"


def test_progress_counts_the_splits() -> None:
    told: list[tuple[str, int, int, float]] = []
    compare(make_study(small()), progress=lambda *what: told.append(what))
    assert {of for _, _, of, _ in told} == {10}
    assert [k for what, k, _, _ in told if what == "splits"] == list(range(1, 11))
    within = [(what, k) for what, k, _, _ in told if what != "splits"]
    assert within[0] == ("splits and 1 of 2 policies of the next", 0) and len(within) == 10
    assert min(seconds for *_, seconds in told) > 0, "the final fits are still to come after the last split"


def test_the_time_left_is_right_within_the_first_repetition() -> None:
    """Five splits of a repetition cost five times the one that is done, on two workers half of that."""
    study = make_study(small(), num_seeds=2)
    race = Race(replace(study, workers=2), pooled(small()), list(study.policies))
    for name in study.policies:
        race.prob[name], race.seconds[name], race.splits[name] = np.zeros(0), 8.0, 2
    seconds = len(study.policies) * 4.0 / 2  # of one split
    assert race.per_repetition() == pytest.approx(5 * seconds)
    assert race.seconds_left(2) == pytest.approx(8 * seconds + 1.5 * seconds)
    race.study = replace(study, workers=2, budget_seconds=race.spent() + 1.0)
    assert race.seconds_left(2) == pytest.approx(4.5 * seconds), "the first repetition and the final fits must be done"
    assert race.seconds_left(5) == pytest.approx(1.5 * seconds)
    race.study = replace(study, workers=2, budget_seconds=race.spent() + 2 * seconds)
    assert race.seconds_left(5) == pytest.approx(2 * seconds)


# ----------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("name", PROTECTED)
def test_a_protected_policy_must_take_part(name: str) -> None:
    study = make_study(small())
    with pytest.raises(DataError, match=f"{name} is missing"):
        compare(replace(study, policies={k: w for k, w in study.policies.items() if k != name}))


def test_fewer_than_ten_real_rows_are_refused() -> None:
    with pytest.raises(DataError, match=r"there are 9 real rows; .* needs at least 10"):
        compare(make_study(same_law(Seeds(0), **{**SMALL, "num_real": 6, "num_valid": 3}).mixture))
    assert len(compare(make_study(same_law(Seeds(0), **{**SMALL, "num_real": 10, "num_valid": 0}).mixture)).y) == 10


# ----------------------------------------------------------------------------------------------------------- the test


def drawn_test(num: int = 200) -> Examples:
    return same_law(Seeds(0), **SMALL).draw_test(num, np.random.default_rng(1))


@pytest.mark.parametrize("metric", ["accuracy", "log_loss", "auc"])
def test_judge_test_opens_the_test_set_once_for_every_policy(metric: str) -> None:
    study, test = make_study(small(), {"Subset": RandomSubset(), "Real x3": RealTimes(3)}), drawn_test()
    rows, weights, models = judge_test(study, test, test.x, metric)
    assert [row["name"] for row in rows] == list(weights) == list(models) == list(study.policies)
    for row in rows:
        right = metric_value(metric, test.y, models[row["name"]].predict_proba(test.x), np.ones(len(test)))
        assert row == {"name": row["name"], "metric": metric, "value": right}
    rows, *_ = judge_test(study, test, test.x, metric, ["Subset"])
    assert [row["name"] for row in rows] == ["Subset"]


def test_final_fits_use_all_rows() -> None:
    mixture, spy = small(), Spy()
    study = make_study(mixture, {"Spy": spy})
    weights, models = final_fits(study, ["Spy", "RealOnly"])
    assert np.array_equal(spy.seen[0], mixture.ids) and np.array_equal(weights["Spy"].ids, mixture.ids)
    real = Rows(study.embedding[:52], mixture.y[:52], np.ones(52), np.ones(52, bool), mixture.family[:52])
    right = Centers().fit(real, 2, Seeds(0)).predict_proba(drawn_test().x)
    assert np.allclose(models["RealOnly"].predict_proba(drawn_test().x), right)


def test_make_folds_is_repeatable() -> None:
    pool = pooled(small())
    assert np.array_equal(make_folds(pool, 3), make_folds(pool, 3))
    assert not np.array_equal(make_folds(pool, 3), make_folds(pool, 4))
