"""A step's loss has other terms, the model mixes rows, or is run again: scores stay those of the rows' own losses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from synthsift.bilevel.backends import JVP, LastLayer
from synthsift.bilevel.ghost import MIXED, Ghost
from synthsift.bilevel.lookahead import APART
from synthsift.bilevel.reweighter import Reweighter
from synthsift.bilevel.schedule import Schedule

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

F64 = torch.float64
GENERATOR = torch.Generator().manual_seed(0)
X, Y = torch.randn(60, 5, generator=GENERATOR, dtype=F64), torch.arange(60) % 3
OTHER = torch.randn(10, 5, generator=GENERATOR, dtype=F64)  # as many rows as a batch has
FEATURES = np.random.default_rng(0).normal(size=(60, 3))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))


def with_dropout() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 3))


class Recomputed(nn.Module):
    """Throws activations away and computes them again in the backward."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(5, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def hidden(self, x: Tensor) -> Tensor:
        return torch.tanh(self.second(torch.tanh(self.first(x))))

    def forward(self, x: Tensor) -> Tensor:
        h = checkpoint(self.hidden, x, use_reentrant=False) if torch.is_grad_enabled() else self.hidden(x)
        return self.last(h)


class Centered(nn.Module):
    """Mixes the rows of a batch in its own code; the sum of its ghost products is right nevertheless."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return self.last(torch.tanh(h - h.mean(dim=0)))


def train(
    backend: Any, make: Any, mode: str = "plain", dtype: torch.dtype = F64, steps: int = 3
) -> tuple[Tensor, Reweighter]:
    """Return the scores of the last step; they are taken along one direction, that of the same steps."""
    torch.manual_seed(1)
    model = make().to(dtype)
    x, other = X.to(dtype), OTHER.to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = Schedule(least_rows=1, trusted_rows=20, diagnose=0)
    reweighter = Reweighter(model, optimizer, FEATURES, (x[:20] + 0.1, Y[:20]), scores=backend, schedule=schedule)
    scored, scores = [], reweighter._scores
    reweighter._scores = lambda d, rows: (scored.append(scores(d, rows)), scored[-1])[1]  # type: ignore[method-assign,func-returns-value]
    for step in range(steps):
        rows = torch.arange(10) + step
        optimizer.zero_grad()
        parts = rows.split(5) if mode == "accumulated" else [rows]
        for part in parts:
            loss = reweighter.loss(part, (x[part], Y[part]), within=rows)
            if mode in ("second term", "accumulated"):
                loss = loss + 5 * (model(other[: len(part)]) ** 2).mean()
            loss.backward()
        if mode == "between":
            torch.autograd.grad(model(other).pow(2).sum(), list(model.parameters()))
            (0 * model(other)).sum().backward()
        optimizer.step()
        reweighter.step()
    return scored[-1], reweighter


@pytest.mark.parametrize("make", [mlp, with_dropout, Recomputed])
@pytest.mark.parametrize("mode", ["plain", "second term", "between", "accumulated"])
def test_other_passes_of_the_model_are_not_the_rows(mode: str, make: Any) -> None:
    found, reweighter = train(Ghost(), make, mode)
    right, _ = train(JVP(), make, mode)
    assert float((found - right).norm() / right.norm()) < 1e-10
    if make is not Recomputed:  # whose second opinion cannot be had with other parameters
        assert not reweighter.notices.said
        assert reweighter.backend.verified  # type: ignore[attr-defined]


@pytest.mark.parametrize("backend", [LastLayer, lambda: Ghost(stale=True)])
@pytest.mark.parametrize("mode", ["second term", "between"])
def test_approximate_scores_follow_the_rows_too(mode: str, backend: Any) -> None:
    """The hooks of both are those of the exact products; their own error is that of a plain step."""
    right, _ = train(JVP(), mlp, mode)
    found, reweighter = train(backend(), mlp, mode)
    assert float(torch.corrcoef(torch.stack([found, right]))[0, 1]) > 0.97 and not reweighter.notices.said


@pytest.mark.parametrize("dtype", [F64, torch.float32])
def test_rows_that_answer_to_one_another_are_found(dtype: torch.dtype) -> None:
    found, reweighter = train(Ghost(), Centered, dtype=dtype)
    right, _ = train(JVP(), Centered, dtype=dtype)
    assert any(MIXED in said for said in reweighter.notices.said)
    assert float((found - right).norm() / right.norm()) < 1e-5
    found, reweighter = train(Ghost(), mlp, dtype=dtype)
    assert not reweighter.notices.said  # the negative control


def test_a_loss_that_compares_rows_is_found() -> None:
    """A contrast between the rows of a batch: one number a row, each of which depends on all."""
    model = nn.Linear(5, 4).double()

    def contrast(m: nn.Module, batch: Any) -> Tensor:
        z = nn.functional.normalize(m(batch[0]), dim=1)
        return nn.functional.cross_entropy(z @ z.T, (torch.arange(len(z)) + 1) % len(z), reduction="none")

    reweighter = Reweighter(
        model,
        torch.optim.SGD(model.parameters(), lr=0.1),
        FEATURES,
        (X[:20], Y[:20]),
        loss=contrast,
        schedule=Schedule(least_rows=1, trusted_rows=20),
    )
    reweighter.loss(torch.arange(10), (X[:10], Y[:10])).backward()
    reweighter.ahead.optimizer.step()
    reweighter.step()
    assert any(MIXED in said for said in reweighter.notices.said)


def test_the_check_draws_no_random_numbers() -> None:
    """A training with dropout is the same whether or not its first batch is checked."""
    found = []
    for is_checked in (True, False):
        backend = Ghost()
        backend.verified = not is_checked
        torch.manual_seed(3)
        _, reweighter = train(backend, with_dropout)
        found.append((reweighter.weights(), torch.rand(2)))
    assert np.array_equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])


def test_batch_norm_is_scored_by_ghost_products_in_a_pass_of_its_own() -> None:
    """With frozen statistics, as forward mode does it; a layer that keeps no statistics gives way to that."""

    def norm(**settings: Any) -> Any:
        return lambda: nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8, **settings), nn.Tanh(), nn.Linear(8, 3))

    for settings, gives_way in (({}, False), ({"track_running_stats": False}, True)):
        found, reweighter = train(Ghost(), norm(**settings))
        right, _ = train(JVP(), norm(**settings))
        assert float((found - right).norm() / right.norm()) < 1e-10
        assert APART in reweighter.notices.said
        assert (reweighter.backend.fallback is not None) == gives_way  # type: ignore[attr-defined]
