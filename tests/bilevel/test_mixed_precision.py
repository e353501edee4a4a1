"""16 bits: autocast around the step or around its forward alone, and parameters that are kept in bfloat16."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from score_backends import BACKENDS
from torch import Tensor, nn

from synthsift.bilevel.backends import JVP, FiniteDifference, ScoreBackend
from synthsift.bilevel.ghost import Ghost
from synthsift.bilevel.reweighter import Reweighter
from synthsift.bilevel.rowlosses import CrossEntropy, RowLosses
from synthsift.bilevel.schedule import Schedule

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

ROWS = 64
FRESH: dict[str, Any] = {"batch": "fresh", "fresh_rows": 32, "chunk": 16}


def last_scores(
    scores: ScoreBackend,
    schedule: dict[str, Any],
    *,
    dtype: torch.dtype = torch.float32,
    whole: Callable[[], AbstractContextManager[Any]] = nullcontext,
    forward: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> tuple[Tensor, Reweighter]:
    """Scores of the third step of a small network of convolutions; contexts around each step, and around its loss."""
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(ROWS, 3, 6, 6, generator=generator).to(dtype), torch.arange(ROWS) % 3
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(128, 3)).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    features = np.random.default_rng(0).normal(size=(ROWS, 3))
    reweighter = Reweighter(
        model,
        optimizer,
        features,
        (x[:24], y[:24]),
        pool=(x, y),
        scores=scores,
        schedule=Schedule(least_rows=1, trusted_rows=24, **schedule),
    )
    kept: list[Tensor] = []
    update = reweighter.selector.update

    def noting(rows: Tensor, found: Tensor) -> Any:
        kept.append(found.detach().double())
        return update(rows, found)

    reweighter.selector.update = noting  # type: ignore[method-assign]
    for k in range(3):
        rows = (torch.arange(32) * 3 + k) % ROWS
        optimizer.zero_grad()
        with whole():
            with forward():
                loss = reweighter.loss(rows, (x[rows], y[rows]))
            loss.backward()
            optimizer.step()
            reweighter.step()
    return kept[-1], reweighter


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def mixed() -> AbstractContextManager[Any]:
    return torch.autocast("cpu", torch.bfloat16)


@pytest.mark.parametrize("around", ["whole", "forward"])
@pytest.mark.parametrize("schedule", [{}, FRESH], ids=["own", "fresh"])
@pytest.mark.parametrize("name", BACKENDS)
def test_mixed_precision_gives_nearly_the_same_scores(name: str, schedule: dict[str, Any], around: str) -> None:
    plain, _ = last_scores(BACKENDS[name](), schedule)
    found, reweighter = last_scores(BACKENDS[name](), schedule, **{around: mixed})  # type: ignore[arg-type]
    assert plain.std() > 0 and correlation(plain, found) > 0.99
    assert not reweighter.notices.said  # no fallback


@pytest.mark.parametrize("schedule", [{}, FRESH], ids=["own", "fresh"])
@pytest.mark.parametrize("name", ["ghost", "stale ghost", "jvp", "last layer"])
def test_parameters_of_16_bits_give_nearly_the_same_scores(name: str, schedule: dict[str, Any]) -> None:
    plain, _ = last_scores(BACKENDS[name](), schedule)
    found, reweighter = last_scores(BACKENDS[name](), schedule, dtype=torch.bfloat16)
    assert correlation(plain, found) > 0.97 and not reweighter.notices.said


def test_differences_of_16_bit_parameters_need_a_length_and_say_it() -> None:
    right, _ = last_scores(JVP(), {})
    short, said = last_scores(FiniteDifference(1e-3), {}, dtype=torch.bfloat16)
    long, silent = last_scores(FiniteDifference(0.2), {}, dtype=torch.bfloat16)
    assert correlation(right, short) < 0.8 < 0.95 < correlation(right, long)
    assert any("rounding of 16-bit parameters" in sentence for sentence in said.notices.said)
    assert not silent.notices.said


class Mixing(nn.Module):
    """A layer whose tangents come out in float32, as layer normalization's do on some devices."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.linspace(0.5, 1.5, width))
        self.shift = nn.Parameter(torch.ones(width), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype == torch.bfloat16 and not torch.is_grad_enabled():  # forward mode keeps no graph
            raise RuntimeError("expected mat1 and mat2 to have the same dtype, but got: float != c10::BFloat16")
        return x * self.scale + self.shift


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_forward_mode_goes_on_in_float32_where_16_bits_do_not_work(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), Mixing(8), nn.Linear(8, 3)).to(dtype)
    x, y = torch.randn(20, 4, dtype=dtype), torch.arange(20) % 3
    of, scores = RowLosses(model, CrossEntropy()), JVP()
    direction = {name: torch.randn_like(p) for name, p in of.parameters().items()}
    found = scores(of, of.parameters(), direction, (x, y))
    twin = Ghost()(of, of.parameters(), direction, (x, y)) if dtype == torch.float32 else None
    if twin is not None:
        assert torch.allclose(found, twin, rtol=1e-4, atol=1e-5) and not scores.notices.said
        return
    wide = model.float()
    right = JVP()(
        RowLosses(wide, CrossEntropy()),
        {name: p.detach() for name, p in wide.named_parameters() if p.requires_grad},
        {name: d.float() for name, d in direction.items()},
        (x.float(), y),
    )
    assert torch.equal(found, right) and found.dtype == torch.float32
    assert len(scores.notices.said) == 1 and "float32" in scores.notices.said[0]
