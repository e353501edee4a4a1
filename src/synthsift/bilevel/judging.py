"""Gamma, the gradient of the judging loss on trusted rows; of wide linear layers as a product of two thin matrices.

The gradient of a linear layer's weight is delta^T x, x (m, in) and delta (m, out) over the m trusted rows. Where m is
small, applying the two factors to a batch of n rows costs n m (in + out) products instead of n in out, and the matrix
itself need not be made: that is the other form of ghost products (Wang et al. 2025, arXiv 2406.11011). It needs an
optimizer that answers with one number a layer, as SGD does; Adam's diagonal asks for the matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from synthsift.bilevel.lowrank import Direction, LowRank
from synthsift.bilevel.rowlosses import Loss, RowLosses, check_losses, scoring_mode
from synthsift.bilevel.schedule import RowSource
from synthsift.bilevel.tape import own_parameters

AGREES = {torch.float64: 1e-9, torch.float32: 1e-3}  # relative, of the check; 5e-2 in 16 bits


@dataclass
class Seen:
    """A linear layer's call in the judging forward: its weight's name, its input, where its output entered the graph.

    The output itself may be changed in place by the next layer.
    """

    name: str
    x: Tensor
    edge: GradientEdge
    high: int


class Judge:
    """Takes gradients of the judging loss.

    Parameters
    ----------
    of : RowLosses
        The learner.
    outer : callable
        ``outer(model, batch) -> (m,)``.
    source : RowSource
        Trusted rows.
    """

    def __init__(self, of: RowLosses, outer: Loss, source: RowSource) -> None:
        self.of, self.outer, self.source = of, outer, source
        self.layers = _plain_linear(of)  # that may be factored
        self.verified = False

    def gradients(self, rows: Tensor, parts: int, *, factored: bool = False) -> list[tuple[int, Direction]]:
        """Return the number of rows and the gradient of their mean judging loss, for each of `parts` parts of them.

        Parameters
        ----------
        rows : Tensor (m,)
            Places of trusted rows.
        parts : int
            How many parts of consecutive rows.
        factored : bool
            Leave gradients of wide linear layers as `LowRank`. The first ones are compared with automatic
            differentiation; if they differ (a loss that uses weights itself), this is not done again.

        Raises
        ------
        DataError
            If the judging loss is not one finite number a row.
        """
        seen: list[Seen] = []
        handles = [layer.register_forward_hook(_noting(name, seen)) for layer, name in self.layers if factored]
        try:
            with scoring_mode(self.of.model, everything=True), torch.enable_grad():
                losses = check_losses(self.outer(self.of.model, self.source.fetch(rows)), len(rows))
                pieces = losses.tensor_split(min(parts, len(rows)))
                worth = _worth(seen)
                found = [
                    (len(piece), self._gradient(piece.mean(), worth, keep=k < len(pieces) - 1 or not self.verified))
                    for k, piece in enumerate(pieces)
                ]
                if worth and not self.verified:
                    full = self._gradient(pieces[0].mean(), [], keep=False)
                    self.verified = all(_agree(found[0][1][one.name], full[one.name]) for one in worth)
                    if not self.verified:
                        self.layers = []
                        return self.gradients(rows, parts)
        finally:
            for handle in handles:
                handle.remove()
        return found

    def _gradient(self, loss: Tensor, factored: list[Seen], *, keep: bool) -> Direction:
        """Return the gradient by all trained parameters, zero where the loss does not depend on one."""
        thin = {one.name for one in factored}
        leaves = {name: p for name, p in self.of.trainable.items() if name not in thin}
        wanted: list[Any] = [*leaves.values(), *(one.edge for one in factored)]
        gradients = torch.autograd.grad(loss, wanted, allow_unused=True, retain_graph=keep)
        by_leaf = zip(leaves.items(), gradients[: len(leaves)], strict=True)
        found: dict[str, Tensor | LowRank] = {name: torch.zeros_like(p) if g is None else g for (name, p), g in by_leaf}
        for one, delta in zip(factored, gradients[len(leaves) :], strict=True):
            x = one.x.reshape(-1, one.x.shape[-1])
            found[one.name] = LowRank(
                x.new_zeros(len(x), one.high) if delta is None else delta.reshape(-1, one.high), x
            )
        return {name: found[name] for name in self.of.trainable}


def _plain_linear(of: RowLosses) -> list[tuple[nn.Linear, str]]:
    """Linear layers whose trained weight belongs to no other layer, with the weight's name."""
    names = [own_parameters(module, of).get("weight") for module in of.model.modules()]
    found = []
    for module, name in zip(of.model.modules(), names, strict=True):
        if type(module) is nn.Linear and name is not None and names.count(name) == 1:
            found.append((module, name))
    return found


def _noting(name: str, seen: list[Seen]) -> Any:
    def note(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        if output.requires_grad:
            seen.append(Seen(name, inputs[0].detach(), get_gradient_edge(output), output.shape[-1]))

    return note


def _worth(seen: list[Seen]) -> list[Seen]:
    """Calls of layers that were called once, and by so few rows that two thin products are cheaper than one."""
    names = [one.name for one in seen]

    def is_worth(one: Seen) -> bool:
        wide = one.x.shape[-1]
        return names.count(one.name) == 1 and one.x.numel() // wide * (wide + one.high) < wide * one.high

    return [one for one in seen if is_worth(one)]


def _agree(thin: Any, full: Any) -> bool:
    """Compare a product of factors with the gradient itself."""
    right, found = cast(Tensor, full).double(), cast(LowRank, thin).dense().double()
    return bool((found - right).norm() <= AGREES.get(full.dtype, 5e-2) * right.norm())
