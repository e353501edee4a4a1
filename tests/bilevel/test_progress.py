"""What a `Reweighter` says about its progress, and what it refuses to start with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from synthsift.bilevel.backends import JVP, FiniteDifference
from synthsift.bilevel.controls import EffectiveBatch, LearnToReweight, SelfNormalized
from synthsift.bilevel.ghost import Ghost
from synthsift.bilevel.reweighter import Reweighter
from synthsift.bilevel.schedule import Schedule
from synthsift.bilevel.selector import Selector
from synthsift.records import DataError

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

GENERATOR = torch.Generator().manual_seed(0)
X, Y = torch.randn(200, 5, generator=GENERATOR), torch.arange(200) % 2
FEATURES = np.random.default_rng(0).normal(size=(200, 3))


def make(**settings: Any) -> Reweighter:
    torch.manual_seed(0)
    model = nn.Linear(5, 2)
    features = settings.pop("features", FEATURES)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return Reweighter(model, optimizer, features, (X[:50], Y[:50]), **settings)


def train(reweighter: Reweighter, steps: int) -> str:
    for step in range(steps):
        rows = (10 * step + torch.arange(10)) % 200
        reweighter.ahead.optimizer.zero_grad()
        reweighter.loss(rows, (X[rows], Y[rows])).backward()
        reweighter.ahead.optimizer.step()
        reweighter.step()
    return " ".join(reweighter.summary())


def test_trainings_that_learned_nothing_say_so() -> None:
    said = train(make(), 20)
    assert "took 0 steps in 20 of the learner; 200 scored rows wait for the next, which takes least_rows=1,024" in said
    assert "learned nothing, so all weights are as they were at the start: train longer, or lower least_rows" in said
    said = train(make(schedule=Schedule(warmup=1000)), 20)
    assert "the warm-up of 1,000 steps is as long as the training" in said
    said = train(make(schedule=Schedule(least_rows=100)), 25)
    assert "took 2 steps in 25" in said and "; 50 scored rows wait" in said and "learned next to nothing" in said
    said = train(make(schedule=Schedule(least_rows=10)), 25)
    assert "took 25 steps in 25" in said and "Warning" not in said  # the negative control
    assert "selector took" not in train(make(objective=LearnToReweight()), 3)


def test_the_sentence_on_noise_is_about_the_rows_that_a_step_rests_on() -> None:
    pooled = Schedule(least_rows=100, replay=1, diagnose=1, trusted_rows=20)
    reweighter = make(schedule=pooled)
    said = train(reweighter, 9)
    assert reweighter.noise is not None and reweighter.noise.num_rows == 10  # nothing is pooled so far
    said = train(reweighter, 1)
    assert (reweighter.noise.num_rows, reweighter.noise.num_trusted) == (100, pytest.approx(43.48, abs=0.01))
    said = train(reweighter, 12)  # the next measurement is about a batch of 10, the next step of the selector is not
    assert reweighter.noise.num_rows == 200 and "from 200 rows" in said
    assert reweighter.selector.history.columns["batch_rows"] == [100, 200]


def test_the_ratio_at_a_small_effective_batch_is_called_misleading() -> None:
    objective = SelfNormalized(0.0)
    selector = Selector(FEATURES, objective)
    with torch.no_grad():
        selector.network.last.weight.normal_(std=9.0, generator=torch.Generator().manual_seed(0))
    schedule = Schedule(least_rows=10, diagnose=1, trusted_rows=20)
    assert "misleads while the effective batch is" in train(make(features=selector, schedule=schedule), 2)
    wide = Schedule(batch="fresh", fresh_rows=200, least_rows=10, diagnose=1, trusted_rows=20)
    assert "misleads" not in train(make(schedule=wide, pool=(X, Y)), 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "kl"}, r"objective is a str \('kl'\); needed is an object such as EffectiveBatch"),
        ({"objective": EffectiveBatch}, "objective is the class EffectiveBatch"),
        ({"objective": JVP()}, "objective is a JVP"),
        ({"scores": "ghost"}, "scores is a str"),
        ({"scores": Ghost}, "scores is the class Ghost"),
        ({"scores": LearnToReweight()}, "scores is a LearnToReweight"),
        ({"schedule": "own"}, "schedule is a str"),
        ({"schedule": Schedule}, "schedule is the class Schedule"),
        ({"features": np.array([["good"], ["bad"]] * 100)}, "features are no numbers.*could not convert"),
        ({"features": Selector(FEATURES), "objective": SelfNormalized()}, "beside a Selector"),
    ],
)
def test_what_is_no_object_of_the_kind(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make(**settings)


@pytest.mark.parametrize("length", [0.0, -1.0, float("nan"), float("inf")])
def test_displacements_that_are_none(length: float) -> None:
    with pytest.raises(DataError, match=f"length is {length}"):
        FiniteDifference(length)
