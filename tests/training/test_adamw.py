"""The optimizer takes the steps of PyTorch's own."""

from __future__ import annotations

import pytest
import torch

from synthsift.training.adamw import AdamW

STEPS = 20


def losses(net: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(net(x), y)


def make_net() -> torch.nn.Sequential:
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator))
    return net


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_steps_equal_those_of_torch_with_a_cosine_schedule(decay: float) -> None:
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(50, 4, generator=generator), torch.randint(3, (50,), generator=generator)
    ours, theirs = make_net(), make_net()
    optimizer = AdamW(ours.parameters(), 0.05, STEPS, decay)
    twin = torch.optim.AdamW(theirs.parameters(), lr=0.05, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(twin, STEPS)
    for _ in range(STEPS):
        losses(ours, x, y).backward()
        optimizer.step()
        losses(theirs, x, y).backward()
        twin.step()
        schedule.step()
        twin.zero_grad()
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            # float32 keeps 1e-7 of numbers of size 3; the errors of up to 20 steps of size .05 add up
            torch.testing.assert_close(p, q, rtol=0, atol=5e-6)
    assert all(p.grad is None for p in ours.parameters()), "gradients are cleared"


def test_after_the_last_step_the_rate_is_zero() -> None:
    p = torch.ones(3, requires_grad=True)
    optimizer = AdamW([p], 0.1, STEPS, 0.5)
    for _ in range(STEPS):
        (p**2).sum().backward()
        optimizer.step()
    before = p.detach().clone()
    (p**2).sum().backward()
    optimizer.step()
    assert torch.equal(p.detach(), before) and float(before.abs().max()) < 0.6
