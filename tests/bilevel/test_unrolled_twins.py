"""The whole loop against slow twins: row gradients one by one, Jacobians and objectives by automatic differentiation.

Scores: one backward a row at the parameters before the step, Gamma at those after it, J_U from the written-out update.
Selector: the written-out objective on the rows and scores that the schedule has brought together.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from synthsift.bilevel.backends import JVP, FiniteDifference, LastLayer
from synthsift.bilevel.controls import EffectiveBatch, Objective, SelfNormalized, Unnormalized, ValueRegression
from synthsift.bilevel.ghost import Ghost
from synthsift.bilevel.reweighter import Reweighter
from synthsift.bilevel.rowlosses import CrossEntropy
from synthsift.bilevel.schedule import Schedule
from synthsift.bilevel.selector import Selector

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

N, M, BATCH, STEPS, F64 = 24, 11, 10, 4, torch.float64
GENERATOR = torch.Generator().manual_seed(0)
X, Y = torch.randn(N, 5, generator=GENERATOR, dtype=F64), torch.arange(N) % 3
FEATURES = torch.randn(N, 4, generator=GENERATOR, dtype=F64)
TRUSTED = (torch.randn(M, 5, generator=GENERATOR, dtype=F64), torch.arange(M) % 3)
BACKENDS: dict[str, tuple[Any, float]] = {  # and the largest relative error: rounding, or that of the difference
    "ghost": (Ghost, 1e-13),
    "forward": (JVP, 1e-13),
    "two-sided": (lambda: FiniteDifference(1e-4), 1e-7),
    "one-sided": (lambda: FiniteDifference(1e-5, two_sided=False), 1e-4),
    "last layer": (LastLayer, 1e-13),
}
SCHEDULES: dict[str, dict[str, int]] = {
    "plain": {},
    "replay": {"replay": 1},
    "wait": {"least_rows": 17},
    "every": {"every": 2},
}
OBJECTIVES: list[Objective] = [
    SelfNormalized(0.3),
    SelfNormalized(0.0),
    EffectiveBatch(0.5),
    EffectiveBatch(0.8, least=0.0),
    ValueRegression(0.5),
    Unnormalized(),
]


def flat(gradients: Any) -> Tensor:
    return torch.cat([g.reshape(-1) for g in gradients])


def error(found: Tensor, right: Tensor) -> float:
    return float((found - right).norm() / right.norm())


class Loop:
    """A training of few steps that keeps what the twins need."""

    def __init__(self, backend: Any, goal: Objective, kind: str, batch: Any, extra: str, normed: bool) -> None:
        torch.manual_seed(0)
        middle = [nn.BatchNorm1d(7)] if normed else []
        self.model = nn.Sequential(nn.Linear(5, 7), *middle, nn.Tanh(), nn.Linear(7, 3)).double()
        parameters = self.model.parameters()
        self.optimizer: Any = (
            torch.optim.SGD(parameters, lr=0.2, momentum=0.9, nesterov=True, weight_decay=0.01)
            if kind == "sgd"
            else torch.optim.AdamW(parameters, lr=0.02)
        )
        selector = Selector(FEATURES, goal, hidden=6, dtype=F64)
        with torch.no_grad():  # else all weights start equal
            selector.network.last.weight.copy_(torch.randn(1, 6, generator=torch.Generator().manual_seed(5)))
        settings: dict[str, Any] = {"least_rows": 1, "trusted_rows": M, "diagnose": 0, "fresh_rows": 9, "chunk": 4}
        schedule = Schedule(batch=batch, **(settings | SCHEDULES[extra]))
        self.reweighter = Reweighter(
            self.model,
            self.optimizer,
            selector,
            TRUSTED,
            loss=CrossEntropy(False),
            scores=backend,
            schedule=schedule,
            pool=(X, Y),
        )
        self.scored: list[tuple[Tensor, Tensor]] = []
        self.taught: list[tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]] = []
        scores, update = self.reweighter._scores, selector.update

        def keep_scores(direction: Any, rows: Tensor) -> Tensor:
            self.scored.append((rows, scores(direction, rows)))
            return self.scored[-1][1]

        def keep_update(rows: Tensor, values: Tensor) -> Any:
            state = {name: v.clone() for name, v in selector.network.state_dict().items()}
            selector.gradient(rows, values)
            self.taught.append((rows, values, flat(p.grad for p in selector.network.parameters()).clone(), state))
            return update(rows, values)

        self.reweighter._scores = keep_scores  # type: ignore[method-assign]
        selector.update = keep_update  # type: ignore[method-assign]

    def step(self, number: int) -> tuple[dict[str, Tensor], Tensor]:
        """Take one; return the parameters before it and J_U^T Gamma."""
        rows = torch.arange(BATCH) + 3 * number
        old = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self.optimizer.zero_grad()
        self.reweighter.loss(rows, (X[rows], Y[rows])).backward()
        gradients = [p.grad.clone() for p in self.model.parameters()]  # type: ignore[union-attr]
        before = [
            {k: v.clone() for k, v in self.optimizer.state.get(p, {}).items() if isinstance(v, Tensor)}
            for p in self.model.parameters()
        ]
        self.optimizer.step()
        self.model.eval()
        judged = nn.functional.cross_entropy(self.model(TRUSTED[0]), TRUSTED[1])
        gamma = torch.autograd.grad(judged, list(self.model.parameters()))
        self.model.train()
        return old, flat(itertools.starmap(self.pulled_back, zip(gradients, before, gamma, strict=True)))

    def pulled_back(self, gradient: Tensor, state: dict[str, Tensor], gamma: Tensor) -> Tensor:
        """Differentiate the update, written out, without its learning rate."""
        g = gradient.requires_grad_()
        if isinstance(self.optimizer, torch.optim.SGD):
            buffer = 0.9 * state["momentum_buffer"] + g if state else g
            update = g + 0.9 * buffer
        else:
            t = float(state["step"]) + 1 if state else 1.0
            m = 0.9 * state.get("exp_avg", torch.zeros_like(g)) + 0.1 * g
            v = 0.999 * state.get("exp_avg_sq", torch.zeros_like(g)) + 0.001 * g * g
            update = m / (1 - 0.9**t) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
        return torch.autograd.grad(update, g, gamma)[0]


def gradients_of_rows(model: nn.Module, at: dict[str, Tensor], rows: Tensor) -> Tensor:
    model.eval()
    found = []
    for i in rows:
        leaves = {name: v.clone().requires_grad_() for name, v in at.items()}
        loss = nn.functional.cross_entropy(torch.func.functional_call(model, leaves, (X[i][None],)), Y[i][None])
        found.append(flat(torch.autograd.grad(loss, list(leaves.values()))))
    model.train()
    return torch.stack(found)


@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("batch", ["own", "fresh"])
@pytest.mark.parametrize("name", BACKENDS)
def test_scores_of_whole_trainings(name: str, batch: str, normed: bool) -> None:
    make, tolerance = BACKENDS[name]
    if name == "last layer" and normed and batch == "own":
        pytest.skip("it reads the step's own activations, with the statistics of the batch")
    for kind, extra in itertools.product(("sgd", "adamw"), SCHEDULES):
        loop = Loop(make(), EffectiveBatch(0.5), kind, batch, extra, normed)
        for number in range(STEPS):
            seen = len(loop.scored)
            old, direction = loop.step(number)
            loop.reweighter.step()
            if len(loop.scored) == seen or (kind == "adamw" and number == 0):
                continue  # not due; or Adam's first step, nearly a sign, whose scores cancel
            rows, found = loop.scored[-1]
            if name == "last layer":
                direction = torch.cat([torch.zeros_like(direction[:-24]), direction[-24:]])
            assert error(found, gradients_of_rows(loop.model, old, rows) @ direction) < tolerance
        assert len(loop.scored) == (2 if extra == "every" else STEPS)


def gradient_of_objective(loop: Loop, goal: Objective, rows: Tensor, scores: Tensor) -> Tensor:
    network, n = loop.reweighter.selector.network, len(rows)
    z, s = network(loop.reweighter.selector.features[rows]), scores.double()
    standard = (s - s.mean()) / s.std()
    if isinstance(goal, ValueRegression):
        loss = 0.5 * ((z - standard) ** 2).mean()
    elif isinstance(goal, Unnormalized):
        loss = -(z.exp() * s).mean() / (s**2).mean().sqrt()
    else:
        p = torch.softmax(z, dim=0)
        strength = goal.strength if isinstance(goal, SelfNormalized) else strength_of(goal, z.detach(), s)  # type: ignore[arg-type]
        loss = -(p * standard).sum() + strength * (p * torch.log(n * p)).sum()
    return flat(torch.autograd.grad(loss, list(network.parameters())))


def strength_of(goal: EffectiveBatch, z: Tensor, s: Tensor) -> float:
    """The one that moves log(1 / sum p^2) to its target, if the outputs move down the objective's gradient / p."""
    z = z.clone().requires_grad_()
    p = torch.softmax(z, dim=0)
    slope = torch.autograd.grad(-torch.log((p**2).sum()), z, retain_graph=True)[0]
    p = p.detach()
    reward, pull = (v - (p * v).sum() for v in (s / s.std(), torch.log(p)))
    gap = float(torch.log(goal.fraction * len(z) * (p**2).sum()))
    return max((gap - float(slope @ reward)) / -float(slope @ pull), goal.least)


@pytest.mark.parametrize("extra", SCHEDULES)
@pytest.mark.parametrize("goal", OBJECTIVES, ids=repr)
def test_gradients_of_the_selector_in_whole_trainings(goal: Objective, extra: str) -> None:
    loop = Loop(Ghost(), goal, "sgd", "own", extra, normed=False)
    for number in range(STEPS):
        loop.step(number)
        loop.reweighter.step()
    sizes = {
        "plain": [BATCH] * 4,
        "replay": [BATCH] + [2 * BATCH] * 3,
        "wait": [2 * BATCH] * 2,
        "every": [BATCH] * 2,
    }
    assert [len(rows) for rows, _, _, _ in loop.taught] == sizes[extra]
    for rows, scores, found, state in loop.taught:
        loop.reweighter.selector.network.load_state_dict(state)
        assert error(found, gradient_of_objective(loop, goal, rows, scores)) < 1e-13
