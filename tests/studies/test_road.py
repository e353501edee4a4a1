"""The road from loaded rows to a verdict: what it refuses at once, and what it fits at the end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from synthsift.compare import compare
from synthsift.data.worlds import same_law
from synthsift.records import DataError, Loaded
from synthsift.seeds import Seeds
from synthsift.studies.road import Plan, conclude, prepare
from synthsift.training.learners import Logistic


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
