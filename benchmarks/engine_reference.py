"""The arithmetic of the published implementation, as the thing to beat, written anew from its description.

One step (mts.md, 1.4): features in evaluation mode for the learner's batch and the trusted batch; a pseudo step of the
optimizer on a deep copy with weighted losses; the trusted gradient there; on a fresh batch features again, two forwards
at theta +- eps Gamma with eps = 1e-2 / |Gamma| and two gradients of the selector, whose difference is its step; then the
real step. `unrolled_step` is Meta-Weight-Net's: one differentiable step, and a backward through it.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn


def weighted(losses: Tensor, selector: nn.Module, features: Tensor) -> Tensor:
    w = torch.sigmoid(selector(features).squeeze(-1))
    return (w * losses).sum() / w.sum()


def row_losses(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")


def online_features(model: nn.Module, *inputs: Tensor) -> None:
    """The forwards that the reference takes for its online features."""
    model.eval()
    with torch.no_grad():
        for x in inputs:
            model(x)
    model.train()


def reference_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    selector: nn.Module,
    meta: torch.optim.Optimizer,
    batch: tuple[Tensor, Tensor],
    features: Tensor,
    fresh: tuple[Tensor, Tensor],
    fresh_features: Tensor,
    trusted: tuple[Tensor, Tensor],
) -> None:
    """One training step with selection as the reference does it."""
    online_features(model, batch[0], trusted[0])
    pseudo = copy.deepcopy(model)
    copied = type(optimizer)(pseudo.parameters(), **options(optimizer))
    with torch.no_grad():
        w = torch.sigmoid(selector(features).squeeze(-1))
    ((w / w.sum()) * row_losses(pseudo, batch)).sum().backward()
    copied.step()
    pseudo.eval()
    loss = row_losses(pseudo, trusted).mean()
    gamma = torch.autograd.grad(loss, list(pseudo.parameters()))
    eps = 1e-2 / torch.sqrt(sum((g**2).sum() for g in gamma))  # type: ignore[arg-type]
    online_features(model, fresh[0])
    shifted = copy.deepcopy(model)
    difference: list[Tensor] = []
    for sign in (1.0, -1.0):
        with torch.no_grad():
            for p, origin, g in zip(shifted.parameters(), model.parameters(), gamma, strict=True):
                p.copy_(origin + sign * eps * g)
        loss = weighted(row_losses(shifted, fresh), selector, fresh_features)
        found = torch.autograd.grad(loss, list(selector.parameters()))
        difference = [sign * f + (d if difference else 0) for f, d in zip(found, difference or found, strict=True)]
    for p, d in zip(selector.parameters(), difference, strict=True):
        p.grad = -d / (2 * eps)
    meta.step()
    optimizer.zero_grad()
    with torch.no_grad():
        w = torch.sigmoid(selector(features).squeeze(-1))
    ((w / w.sum()) * row_losses(model, batch)).sum().backward()
    optimizer.step()


def options(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    group = optimizer.param_groups[0]
    names = ("lr", "momentum", "weight_decay", "nesterov") if "momentum" in group else ("lr", "betas", "weight_decay")
    return {name: group[name] for name in names}


def unrolled_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    selector: nn.Module,
    meta: torch.optim.Optimizer,
    batch: tuple[Tensor, Tensor],
    features: Tensor,
    trusted: tuple[Tensor, Tensor],
) -> None:
    """Meta-Weight-Net's step by double differentiation, on the learner's own batch."""
    names, params = zip(*model.named_parameters(), strict=True)
    rate = optimizer.param_groups[0]["lr"]
    loss = weighted(row_losses(model, batch), selector, features)
    grads = torch.autograd.grad(loss, params, create_graph=True)
    moved = {n: p - rate * g for n, p, g in zip(names, params, grads, strict=True)}
    out = torch.func.functional_call(model, moved, (trusted[0],))
    found = torch.autograd.grad(nn.functional.cross_entropy(out, trusted[1]), list(selector.parameters()))
    for p, g in zip(selector.parameters(), found, strict=True):
        p.grad = g
    meta.step()
    optimizer.zero_grad()
    weighted(row_losses(model, batch), selector, features).backward()
    optimizer.step()
