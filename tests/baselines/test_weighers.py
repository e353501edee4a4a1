"""One contract for every way of choosing data, on worlds of every kind; and what each is meant to find."""

from __future__ import annotations

import copy
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from functools import cache

import numpy as np
import pytest

from synthsift.baselines.scored import KNNShapley, TrustedMargin
from synthsift.baselines.simple import Everything, RandomSubset, RealOnly, RealTimes
from synthsift.baselines.sources import BestSources
from synthsift.bilevel.learned import LearnedWeights
from synthsift.data.worlds import WORLDS, World, harmful_labels, one_good_source, same_law
from synthsift.numerics.metrics import metric_value
from synthsift.records import Examples, Features, Mixture, Outcome, Weigher, Weights
from synthsift.represent.table import FeatureTable
from synthsift.seeds import Seeds
from synthsift.splits import find_leaks, make_folds, name_relatives, pooled, restrict
from synthsift.studies.policies import policy_names

SMALL = {"num_real": 40, "num_valid": 20, "num_synth": 90, "dim": 5}
STUDIED = ("harmful_labels", "copies", "one_good_source", "shifted_covariates")


def describe(mixture: Mixture) -> Features:
    x = np.concatenate([part.x for part in mixture.parts])
    return FeatureTable(x, {name: k for k, name in enumerate(mixture.ids)})(mixture, Seeds(0))


@cache
def world_of(name: str) -> World:
    return WORLDS[name](Seeds(0), **SMALL)


@cache
def features_of(name: str) -> Features:
    return describe(world_of(name).mixture)


def quick(weigher: Weigher) -> Weigher:
    """The same policy with a short meta-training where it has one: the contract does not depend on its length."""
    if isinstance(weigher, LearnedWeights):
        return replace(weigher, steps=10)
    return replace(weigher, of=quick(weigher.of)) if isinstance(weigher, RealTimes) else weigher


def policies(name: str) -> dict[str, Weigher]:
    return {key: quick(weigher) for key, weigher in policy_names("logistic", world_of(name).mixture).items()}


def rests_on(weigher: Weigher) -> Weigher:
    return rests_on(weigher.of) if isinstance(weigher, RealTimes) else weigher


EVERY = [(world, policy) for world in STUDIED for policy in policies(world)]
# decided by the rows alone; the others draw (a subset, batches), so that places matter
DETERMINISTIC = [(w, p) for w, p in EVERY if not isinstance(rests_on(policies(w)[p]), RandomSubset | LearnedWeights)]


def weigh(weigher: Weigher, name: str, seed: int = 0) -> Weights:
    return weigher(world_of(name).mixture, features_of(name), Seeds(seed))


def test_every_policy_is_studied() -> None:
    assert {policy for _, policy in EVERY} >= {"RealOnly", "BestSources+Real5", "LearnedWeights+Real5", "RealTimes20"}
    assert ("copies", "BestSources") not in EVERY, "one source leaves nothing to choose"


@pytest.mark.parametrize(("world", "policy"), EVERY)
def test_every_weigher_keeps_the_contract(world: str, policy: str) -> None:
    weigher, mixture, features = policies(world)[policy], world_of(world).mixture, features_of(world)
    settings, values = copy.deepcopy(weigher), features.values.copy()
    weights = weigh(weigher, world)
    assert np.all(weights.values >= 0) and np.isfinite(weights.values).all()
    assert np.all(weights.values[~mixture.is_synth] > 0), "real rows are never removed"
    assert np.array_equal(weights.ids, mixture.ids)
    assert weights.outcome is Outcome.converged and weights.made_by
    assert np.array_equal(weigh(weigher, world).values, weights.values), "same seeds, same weights"
    assert weigher == settings and np.array_equal(features.values, values), "a call changes nothing"


@pytest.mark.parametrize("policy", policies("one_good_source"))
def test_settings_are_frozen(policy: str) -> None:
    weigher = policies("one_good_source")[policy]
    assert is_dataclass(weigher)
    with pytest.raises(FrozenInstanceError):
        setattr(weigher, next((field.name for field in fields(weigher)), "anything"), 1)


def test_simplest_first_and_every_selection_also_with_real_rows_counted_five_times() -> None:
    """Up-weighting alone comes before any selection, so that a random half is named only where it is needed."""
    simple = ["RealOnly", "Everything", "RealTimes3", "RealTimes5", "RealTimes10", "RealTimes20"]
    chosen = ["RandomSubset", "BestSources", "TrustedMarginFilter", "TrustedMargin", "KNNShapley", "LearnedWeights"]
    found = policy_names("logistic", world_of("one_good_source").mixture)
    assert list(found) == simple + [name for one in chosen for name in (one, f"{one}+Real5")]
    assert all(found[f"{name}+Real5"] == RealTimes(5, found[name]) for name in chosen)


@pytest.mark.parametrize("policy", ["RandomSubset", "LearnedWeights"])
def test_other_seeds_give_other_draws(policy: str) -> None:
    weigher = policies("harmful_labels")[policy]
    first, second = (weigh(weigher, "harmful_labels", seed).values for seed in (0, 1))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(("world", "policy"), DETERMINISTIC)
def test_permuting_synthetic_rows_permutes_their_weights(world: str, policy: str) -> None:
    mixture, features, num_real = world_of(world).mixture, features_of(world), 60
    order = np.random.default_rng(0).permutation(len(mixture.synth))
    rows = np.r_[np.arange(num_real), num_real + order]
    permuted = replace(mixture, synth=mixture.synth[order])
    told = Features(features.values[rows], features.names, features.ids[rows], features.embedding[rows])
    before = weigh(policies(world)[policy], world).values
    assert np.array_equal(policies(world)[policy](permuted, told, Seeds(0)).values, before[rows])


@pytest.mark.parametrize("policy", ["Everything", "BestSources", "TrustedMargin", "RandomSubset", "LearnedWeights"])
def test_real_rows_and_no_others_are_multiplied(policy: str) -> None:
    weigher = policies("one_good_source")[policy]
    is_synth = world_of("one_good_source").mixture.is_synth
    plain, more = weigh(weigher, "one_good_source"), weigh(RealTimes(5, weigher), "one_good_source")
    assert np.array_equal(more.values[is_synth], plain.values[is_synth])
    assert np.array_equal(more.values[~is_synth], 5 * plain.values[~is_synth])
    assert more.made_by == f"{plain.made_by} real x5" and more.outcome is plain.outcome


def test_what_needs_no_features_is_as_simple_as_it_sounds() -> None:
    mixture = world_of("one_good_source").mixture
    assert np.array_equal(weigh(RealOnly(), "one_good_source").values, (~mixture.is_synth).astype(float))
    assert np.all(weigh(Everything(), "one_good_source").values == 1)
    for fraction, count in ((0.5, 45), (0.1, 9), (1e-9, 1), (1.0, 90)):
        values = weigh(RandomSubset(fraction), "one_good_source").values
        assert values[:60].tolist() == [1.0] * 60 and values[60:].sum() == count


def test_a_filter_keeps_what_the_trusted_model_agrees_with() -> None:
    margin = features_of("harmful_labels").column("margin")[60:]
    assert np.array_equal(weigh(TrustedMargin("filter"), "harmful_labels").values[60:], (margin > 0).astype(float))
    np.testing.assert_allclose(weigh(TrustedMargin(), "harmful_labels").values[60:], (1 + margin) / 2, atol=1e-15)


@pytest.mark.parametrize("weigher", [TrustedMargin("filter"), KNNShapley()])
def test_nothing_kept_is_called_degenerate(weigher: Weigher) -> None:
    world, features = world_of("harmful_labels"), features_of("harmful_labels")
    hopeless = Features(np.full_like(features.values, -1.0), features.names, features.ids, features.embedding)
    weights = weigher(world.mixture, hopeless, Seeds(0))
    assert weights.outcome is Outcome.degenerate and weights.values[60:].sum() == 0


@pytest.mark.parametrize("policy", [p for p in policies("one_good_source") if not p.startswith("LearnedWeights")])
def test_without_synthetic_rows_real_ones_keep_their_weight(policy: str) -> None:
    mixture = world_of("one_good_source").mixture
    bare = replace(mixture, synth=mixture.synth[:0])
    weights = policies("one_good_source")[policy](bare, describe(bare), Seeds(0))
    assert len(set(weights.values.tolist())) == 1 and weights.outcome is Outcome.converged


def separation(weights: Weights, world: World) -> float:
    """Area under the ROC curve of the weights of good rows against bad ones."""
    values = weights.values[world.mixture.is_synth]
    prob = np.stack([1 - values, values], axis=1)
    return metric_value("auc", (~world.bad).astype(np.int64), prob, np.ones(len(values)))


@pytest.mark.parametrize("seed", range(3))
def test_rows_with_right_labels_are_preferred(seed: int) -> None:
    world = harmful_labels(Seeds(seed))
    features = describe(world.mixture)
    shuffled = replace(world, bad=np.random.default_rng(seed).permutation(world.bad))
    for weigher in (TrustedMargin(), TrustedMargin("filter"), KNNShapley()):
        weights = weigher(world.mixture, features, Seeds(0))
        # 120 good and 480 bad rows: a standard error of at most .03, so that luck stays within .12 of a half
        assert separation(weights, world) > 0.7, weigher
        assert abs(separation(weights, shuffled) - 0.5) < 0.12, "the control: bad rows named at random"


def kept_sources(world: World, seed: int) -> set[str]:
    mixture = world.mixture
    weights = BestSources()(mixture, describe(mixture), Seeds(seed))
    return set(mixture.source[(weights.values > 0) & mixture.is_synth].tolist())


def test_the_good_source_is_found() -> None:
    found = []
    for seed in range(5):
        world = one_good_source(Seeds(seed), num_real=100, num_valid=50, num_synth=500, dim=8)
        (good,) = set(world.mixture.synth.source[~world.bad].tolist())
        kept = kept_sources(world, seed)
        found.append(good in kept)
        assert 1 <= len(kept) <= 3, "most of the four bad ones are left out"
    assert sum(found) >= 4


@pytest.mark.parametrize(("sound", "broken"), [("a", "b"), ("b", "a")])
def test_a_broken_source_does_not_spoil_the_judgment_of_a_sound_one(sound: str, broken: str) -> None:
    """Whatever their names: regularization that suits a broken source makes all others look useless."""
    for seed in range(6):
        world = same_law(Seeds(seed), num_real=40, num_valid=1, num_synth=300, dim=13, num_classes=3, separation=3.0)
        synth, is_broken = world.mixture.synth, np.arange(300) % 2 == 1
        names = np.where(is_broken, broken, sound).astype(object)
        made = replace(synth, y=np.where(is_broken, (synth.y + 1) % 3, synth.y), source=names)
        assert kept_sources(replace(world, mixture=replace(world.mixture, synth=made)), seed) == {sound}


def test_sources_that_all_help_are_joined() -> None:
    # five sources of the real law: one alone holds a fifth of the help
    joined = []
    for seed in range(3):
        world = same_law(Seeds(seed), num_real=40, num_valid=20, num_synth=500, dim=8)
        names = np.array([f"source{k % 5}" for k in range(500)], dtype=object)
        split = replace(world, mixture=replace(world.mixture, synth=replace(world.mixture.synth, source=names)))
        joined.append(len(kept_sources(split, seed)))
    assert np.mean(joined) > 2


def kept_beside_copies(seed: int, *, named: bool) -> set[str]:
    """What BestSources keeps of rows of the real law and of copies of the real rows, moved next to nothing."""
    fresh = same_law(Seeds(seed), num_real=60, num_valid=20, num_synth=160, dim=30)
    pool = np.concatenate([fresh.mixture.real.x, fresh.mixture.valid.x])
    made = fresh.mixture.synth
    copied = pool[np.arange(160) % 80] + 1e-4 * np.random.default_rng(seed).standard_normal((160, pool.shape[1]))
    label = np.concatenate([fresh.mixture.real.y, fresh.mixture.valid.y])[np.arange(160) % 80]
    ids = np.array([f"copy:{k}" for k in range(160)])
    synth = Examples(
        np.concatenate([made.x, copied]),
        np.concatenate([made.y, label]),
        np.concatenate([made.ids, ids]),
        np.repeat(["fresh", "memorized"], 160),
    )
    mixture = replace(fresh.mixture, synth=synth)
    x = np.concatenate([pool, synth.x])
    leaks = find_leaks(mixture, x)
    keep = leaks.keep(len(x), make_folds(pooled(mixture), 0) == 0)
    mixture = restrict(name_relatives(mixture, leaks, x) if named else mixture, keep)
    features = Features(np.zeros((keep.sum(), 1)), ("none",), mixture.ids, x[keep])
    weights = BestSources()(mixture, features, Seeds(seed)).values
    return set(mixture.source[(weights > 0) & mixture.is_synth].tolist())


def test_a_source_of_copies_is_not_the_best_for_being_one() -> None:
    """A model that trained on copies of the rows that judge it seems perfect, unless they are known as copies."""
    assert [kept_beside_copies(seed, named=False) for seed in range(4)] == [{"memorized"}] * 4
    assert sum("fresh" in kept_beside_copies(seed, named=True) for seed in range(4)) >= 3
