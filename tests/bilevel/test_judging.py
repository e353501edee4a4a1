"""Gamma in thin factors against Gamma by automatic differentiation, and the scores along it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from synthsift.bilevel.backends import JVP
from synthsift.bilevel.ghost import Ghost
from synthsift.bilevel.judging import Judge
from synthsift.bilevel.lowrank import LowRank, dense
from synthsift.bilevel.reweighter import Reweighter
from synthsift.bilevel.rowlosses import CrossEntropy, RowLosses
from synthsift.bilevel.schedule import Schedule, as_source

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

M = 5
ROWS = torch.randperm(9, generator=torch.Generator().manual_seed(1))[:M]


class Twice(nn.Module):
    """A layer that is called twice, one whose weight is tied to it, and one that is called once."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.same, self.last = nn.Linear(30, 30), nn.Linear(30, 30), nn.Linear(30, 40)
        self.tied = nn.Linear(40, 30)
        self.tied.weight = nn.Parameter(torch.randn(30, 40))
        self.head = nn.Linear(40, 30)
        self.head.weight = self.tied.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.last(torch.tanh(self.same(torch.tanh(self.same(torch.tanh(self.first(x))))))))


def deep() -> nn.Module:
    layers = [nn.Linear(30, 40), nn.ReLU(inplace=True), nn.Linear(40, 25, bias=False), nn.Tanh(), nn.Linear(25, 3)]
    return nn.Sequential(*layers)


def words() -> nn.Module:
    """Rows of three vectors each, so that a layer meets 15 of them."""
    return nn.Sequential(nn.Linear(50, 60), nn.Tanh(), nn.Flatten(), nn.Linear(180, 3))


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], set[str]]] = {
    "deep": (deep, (30,), {"0.weight", "2.weight"}),
    "twice": (Twice, (30,), {"first.weight", "last.weight"}),
    "words": (words, (3, 50), {"0.weight"}),
}


def make(kind: str) -> tuple[RowLosses, Any]:
    torch.manual_seed(0)
    model = MODELS[kind][0]().double()
    batch = (torch.randn(9, *MODELS[kind][1], dtype=torch.float64), torch.arange(9) % 3)
    return RowLosses(model, CrossEntropy(False)), as_source(batch, "trusted")


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("kind", MODELS)
def test_the_factors_are_the_gradient(kind: str, parts: int) -> None:
    of, source = make(kind)
    plain, thin = (Judge(of, CrossEntropy(), source) for _ in range(2))
    right = plain.gradients(ROWS, parts)
    for _ in range(2):  # the first call checks itself
        found = thin.gradients(ROWS, parts, factored=True)
        assert thin.verified and [n for n, _ in found] == [n for n, _ in right]
        for (_, one), (_, other) in zip(found, right, strict=True):
            assert {name for name, d in one.items() if isinstance(d, LowRank)} == MODELS[kind][2]
            assert list(one) == list(other)
            for name, full in dense(one).items():
                assert torch.allclose(full, other[name], rtol=1e-12, atol=1e-15)  # type: ignore[arg-type]
    assert not any(module._forward_hooks for module in of.model.modules())


def test_a_direction_without_factors_is_passed_on() -> None:
    direction = {"a": torch.ones(2)}
    assert dense(direction) is direction


def test_a_judging_loss_that_uses_a_weight_itself_gets_the_whole_gradient() -> None:
    of, source = make("deep")

    def outer(model: Any, batch: Any) -> Tensor:
        return CrossEntropy(False)(model, batch) + (model[0].weight ** 2).sum()

    right = Judge(of, outer, source).gradients(ROWS, 1)[0][1]
    judge = Judge(of, outer, source)
    for _ in range(2):
        found = judge.gradients(ROWS, 1, factored=True)[0][1]
        assert not judge.layers and all(torch.equal(found[name], d) for name, d in right.items())  # type: ignore[arg-type]


def test_parameters_that_the_loss_does_not_reach_have_no_gradient() -> None:
    of, source = make("deep")

    def outer(model: Any, batch: Any) -> Tensor:
        return (model[0](batch[0]) ** 2).mean(dim=1) + 0 * model(batch[0]).detach().mean(dim=1)

    ((_, found),) = Judge(of, outer, source).gradients(ROWS, 1, factored=True)
    assert not dense(found)["2.weight"].any() and not dense(found)["4.bias"].any()
    assert dense(found)["0.bias"].any()


def scores_of(backend: Any, optimizer: type, rates: tuple[float, float], **schedule: Any) -> tuple[np.ndarray, int]:
    """Scores of the third meta-step, and how many matrices of its direction were left as factors."""
    torch.manual_seed(0)
    model = deep().double()
    groups = [{"params": model[0].parameters(), "lr": rates[0]}, {"params": model[2:].parameters(), "lr": rates[1]}]
    x, y = torch.randn(40, 30, dtype=torch.float64), torch.arange(40) % 3
    reweighter = Reweighter(
        model,
        optimizer(groups),
        np.random.default_rng(0).normal(size=(40, 3)),
        (x[:M].flip(0), y[:M].flip(0)),
        scores=backend,
        pool=(x, y),
        schedule=Schedule(least_rows=1, trusted_rows=M, fresh_rows=20, chunk=7, diagnose=0, **schedule),
    )
    seen: list[tuple[np.ndarray, int]] = []
    scored = reweighter._scores

    def watched(direction: Any, rows: Tensor) -> Tensor:
        found = scored(direction, rows)
        seen.append((found.numpy(), sum(isinstance(d, LowRank) for d in direction.values())))
        return found

    reweighter._scores = watched  # type: ignore[method-assign]
    for step in range(3):
        rows = torch.arange(12) + step
        reweighter.ahead.optimizer.zero_grad()
        reweighter.loss(rows, (x[rows], y[rows])).backward()
        reweighter.ahead.optimizer.step()
        reweighter.step()
    return seen[-1]


@pytest.mark.parametrize("batch", ["own", "fresh"])
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_scores_along_factors_are_those_of_forward_mode(batch: str, optimizer: type) -> None:
    rates = (0.05, 0.2)
    right, none = scores_of(JVP(), optimizer, rates, batch=batch)
    found, factored = scores_of(Ghost(), optimizer, rates, batch=batch)
    assert (none, factored) == (0, 2 if optimizer is torch.optim.SGD else 0)
    assert np.abs(found - right).max() <= 1e-10 * np.abs(right).max()
