"""The learner of neighborhoods: its waves are a kernel, and who explains the trusted rows has the say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthsift.bilevel.inner import make_learner
from synthsift.bilevel.learned import Learning
from synthsift.bilevel.local import WIDTH, say_of, waves
from synthsift.bilevel.metanet import Council, joined, restored_council


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_products_of_waves_are_the_gaussian_kernel() -> None:
    """Mean over 40 draws of the waves, against exp(-d^2 / 2 width^2) with the width from the same rows."""
    x = normal(60, 3)
    every, apart = torch.arange(60), torch.cdist(x, x)
    width = WIDTH * float(torch.pdist(x).median())
    kernel = torch.exp(-apart.square() / (2 * width**2))
    drawn = [waves(x, every, torch.Generator().manual_seed(k)) for k in range(40)]
    products = torch.stack([z @ z.T / z.square().sum(dim=1).mean() for z in drawn])
    error = products.std(dim=0) / np.sqrt(40)
    assert float(((products.mean(dim=0) - kernel).abs() / error.clamp(min=1e-3)).max()) < 5
    assert all(float(z.square().sum()) == pytest.approx(float(x.square().sum()), rel=1e-4) for z in drawn)


@pytest.mark.parametrize("x", [torch.ones(5, 2), torch.ones(1, 2), torch.tensor([[0.0, 1.0]] * 4 + [[9.0, 1.0]])])
def test_rows_on_one_spot_have_finite_waves(x: torch.Tensor) -> None:
    assert bool(torch.isfinite(waves(x, torch.arange(len(x)), torch.Generator().manual_seed(0))).all())


def test_the_learner_that_explains_the_trusted_rows_has_the_say() -> None:
    spread = torch.tensor([2.0, 0.5])
    assert torch.allclose(say_of(torch.tensor([0.4, 0.2]), spread), torch.tensor([0.5, 1.0]))
    assert torch.allclose(say_of(torch.tensor([0.4, -3.0]), spread), torch.tensor([0.5, 0.0]))
    assert torch.allclose(say_of(torch.tensor([-1.0, -3.0]), spread), torch.tensor([0.5, 2.0])), "none explains any"
    assert torch.allclose(say_of(torch.tensor([0.4, 0.2]), torch.tensor([2.0, 0.0])), torch.tensor([0.5, 0.0]))


def test_what_a_learner_explains() -> None:
    """Nothing before its first step, most of labels that follow the rows, less than nothing of opposite ones."""
    x = normal(200, 4)
    y, every = (x[:, 0] > 0).long(), torch.arange(200)
    learning = Learning(x, make_learner("linear", x, 2, torch.Generator().manual_seed(0)))
    assert learning.explained(every, y) == pytest.approx(0, abs=0.01)
    for _ in range(100):
        learning.inner.step(x, y, torch.full((200,), 1 / 200))
    assert learning.explained(every, y) > 0.5 and learning.explained(every, 1 - y) < 0
    assert learning.explained(every[y == 1], y) == 0, "one class leaves nothing to explain"


def test_joined_councils_weigh_by_the_mean_of_all_members() -> None:
    councils = [Council(2, 3, 4, torch.Generator().manual_seed(k)) for k in range(3)]
    for member in (m for council in councils for m in council.members):
        torch.nn.init.normal_(member.last.weight, generator=torch.Generator().manual_seed(1))
    told = normal(10, 3)
    with torch.no_grad():
        wanted = torch.stack([council(told) for council in councils]).mean(dim=0)
        found = restored_council(joined([council.state_dict() for council in councils]), 3, 0, 0)
        assert len(found.members) == 6 and torch.allclose(found(told), wanted, atol=1e-6)
