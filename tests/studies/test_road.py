"""The road from loaded rows to a verdict: what it refuses at once, and what it fits at the end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from synthsift.baselines.scored import TrustedMargin
from synthsift.baselines.simple import Everything, RealTimes
from synthsift.bilevel.learned import LearnedWeights
from synthsift.check.fitted import fitted_sources
from synthsift.compare import compare
from synthsift.data.worlds import same_law
from synthsift.records import DataError, Loaded
from synthsift.seeds import Seeds
from synthsift.studies.policies import words_of
from synthsift.studies.road import Plan, conclude, prepare, rested_on
from synthsift.training.learners import Logistic
from synthsift.verdict import decide, verdict_seeds


def test_a_metric_that_cannot_be_judged_is_refused_before_anything_is_trained() -> None:
    mixture = same_law(Seeds(0), num_real=30, num_valid=0, num_synth=20, dim=3, num_classes=2).mixture
    real = replace(mixture.real, group=np.where(mixture.real.y == 0, "first", "second"))
    loaded = Loaded(replace(mixture, real=real), None)
    with pytest.raises(DataError, match="each of the 2 groups has rows of one class only"):
        prepare(loaded, Plan(Logistic(), "logistic", metric="auc"))
    _, study = prepare(loaded, Plan(Logistic(), "logistic", metric="log_loss"))
    assert study.metric == "log_loss"


@pytest.mark.parametrize("with_test", [True, False])
def test_what_the_budget_keeps_time_for_is_what_is_fitted(with_test: bool) -> None:
    world = same_law(Seeds(0), num_real=40, num_valid=0, num_synth=40, dim=3, num_classes=2)
    loaded = Loaded(world.mixture, world.draw_test(20, np.random.default_rng(0)) if with_test else None)
    encoded, study = prepare(loaded, Plan(Logistic(), "logistic", "RealTimes3,RandomSubset", num_seeds=1))
    assert study.refitted == (None if with_test else ("LearnedWeights",))
    found = conclude(study, loaded, compare(study), encoded.test)
    fitted = set(study.policies) if with_test else {found.verdict.policy}
    assert set(found.models) == fitted


@pytest.mark.parametrize("fitted_on", ["the judged rows", "other rows"])
def test_a_generator_that_was_fitted_on_the_judged_rows_proves_nothing(fitted_on: str) -> None:
    """A bootstrap with noise seems to help in every split, being made of the rows that judge; fresh rows tell."""
    world = same_law(Seeds(1), num_real=150, num_valid=0, num_synth=600, dim=20, num_classes=3, separation=0.7)
    rng, real = np.random.default_rng(0), world.mixture.real
    learned = real if fitted_on == "the judged rows" else world.draw_test(150, rng)
    rows = rng.integers(150, size=600)
    x = learned.x[rows] + 0.3 * rng.standard_normal((600, 20))
    synth = replace(world.mixture.synth, x=x, y=learned.y[rows])
    test = world.draw_test(4000, np.random.default_rng(1))
    loaded = Loaded(replace(world.mixture, synth=synth), test)
    encoded, study = prepare(loaded, Plan(Logistic(), "logistic", "RealTimes3", num_seeds=1))
    comparison = compare(study)
    verdict, found = (
        decide(comparison, "accuracy", verdict_seeds(comparison)),
        conclude(study, loaded, comparison, encoded.test),
    )
    fresh = {row["name"]: row["value"] for row in found.test}
    if fitted_on == "other rows":
        assert found.verdict.reason != "seen" and found.verdict.use == verdict.use
        return
    assert verdict.use and 100 * (fresh[verdict.policy] - fresh["RealOnly"]) < verdict.gain.low, (
        "a gain of the splits alone"
    )
    assert (found.verdict.use, found.verdict.reason) == (False, "seen")
    assert "the generator of synthetic was fitted on the very rows that judge them (SS154)" in found.verdict.sentence
    told = conclude(replace(study, unseen=True), replace(loaded, test=None), comparison, None)
    assert (told.verdict.use, told.verdict.reason) == (True, ""), "the user knows better"
    assert fitted_sources(told.means), "and is told all the same"


def test_learned_weights_that_are_all_alike_are_called_equal() -> None:
    even, uneven = np.full(5, 0.7) + 1e-9 * np.arange(5), np.array([0.7, 0.71])
    for weigher, times in ((LearnedWeights(), 1.0), (RealTimes(5, LearnedWeights()), 5.0)):
        assert words_of(weigher, even) == (*words_of(Everything(), even)[:1], times)
        assert words_of(weigher, uneven) == ("learned weights", times)
    assert words_of(TrustedMargin("weight"), even)[0] == "TrustedMargin weights"
    assert words_of(LearnedWeights(), even[:0])[0] == "learned weights"


def test_a_source_that_hardly_counts_is_not_what_a_gain_rests_on() -> None:
    weights, source = np.array([1.0, 1.0, 1.0, 0.1]), np.array(["a", "a", "b", "b"])
    assert rested_on(["a", "b"], source, weights) == ["a", "b"] and rested_on([], source, weights) == []
    assert rested_on(["a", "b"], source, weights * [1, 1, 0, 1]) == ["a"], "0.1 of 2.1"
    assert rested_on(["a", "b"], source, 0 * weights) == [], "nothing is used"
