"""Copies for each row of what answers once for all of them, so that each row's gradient comes back by itself.

Position embeddings are looked up once a batch, and class tokens or the scale of an own normalization are parameters of
a module that is no layer. Given one copy a row, an output (1, ...) as much as a parameter, the gradient at the copies
is the gradient by each row, whatever the module does with them. Broadcasting makes the rest of the model see no
difference; where it does, copies cannot be used, which `ghost.find_copies` tries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from synthsift.bilevel.lowrank import Direction
from synthsift.bilevel.scores import Parameters


@dataclass(frozen=True)
class Shared:
    """How a layer answers once for all rows: with a first axis of 1, or with no axis for rows.

    Parameters
    ----------
    has_axis : bool
    ndim : int
        Axes of the output.
    """

    has_axis: bool
    ndim: int

    def spread(self, output: Tensor, count: int) -> Tensor:
        """Return one answer a row, a view; `output` itself where it has them already."""
        if output.ndim != self.ndim or (self.has_axis and len(output) != 1):
            return output
        return output.expand(count, *(output.shape[1:] if self.has_axis else output.shape))


@dataclass(frozen=True)
class Copies:
    """What of a model is to be copied for each row.

    Parameters
    ----------
    layers : dict of Shared
        Layers whose output is, by name.
    owners : dict of str
        Modules whose own parameters are, by name; and what these modules are, in words.
    """

    layers: Mapping[str, Shared] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.layers or self.owners)


@dataclass(eq=False)
class Copied:
    """A parameter that was copied for each row in one call of its owner, and the gradient at the copies."""

    name: str
    shape: torch.Size
    x: None = None
    delta: Tensor | None = None
    products: Tensor | None = None

    def has_rows(self, count: int) -> bool:
        """Whether there is one copy for each of `count` rows."""
        return self.shape[0] == count

    def why_lost(self) -> None:
        """Nothing but the gradient is kept, so nothing is lost."""

    def products_with(self, direction: Direction) -> Tensor:
        """Return <delta_i, d> of every row (n,)."""
        assert self.delta is not None
        wide = self.delta.dtype if self.delta.dtype == torch.float64 else torch.float32
        d = direction.get(self.name)
        if d is None:  # without a gradient in this step
            return self.delta.new_zeros(len(self.delta), dtype=wide)
        assert isinstance(d, Tensor)
        moved = d.to(self.delta.dtype)
        moved = moved.reshape(1, *[1] * (self.delta.ndim - 1 - d.ndim), *d.shape) if d.ndim < self.delta.ndim else moved
        return (self.delta * moved).flatten(1).sum(dim=1, dtype=wide)


def can_be_copied(values: Parameters) -> bool:
    """Whether all of a module's own parameters have a first axis of 1 for the rows, or are vectors."""
    return all(p.ndim == 1 or (p.ndim > 1 and p.shape[0] == 1) for p in values.values())


def copy_of(p: Tensor, count: int, inputs: tuple[Any, ...]) -> Tensor:
    """Return a parameter for each of `count` rows: (count, ...); a vector with as many axes as the first input."""
    if p.ndim > 1:
        return p.expand(count, *p.shape[1:])
    axes = next((value.ndim for value in inputs if isinstance(value, Tensor)), 2)
    return p.expand(count, *[1] * (axes - 2), len(p))


class Swap:
    """Hooks around the forward of a module that put others in the place of its own parameters.

    Parameters
    ----------
    owns : dict of str
        Own names of the parameters, and those in the model.
    change : callable
        ``change(name, parameter, inputs) -> Tensor``
    """

    def __init__(self, owns: dict[str, str], change: Any) -> None:
        self.owns, self.change = owns, change
        self._kept: list[dict[str, Any]] = []  # a stack: a module may call itself

    def before(self, module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Forward pre-hook, with what the module is called with by name."""
        inputs = (*args, *named.values())
        is_followed = torch.is_grad_enabled() and self.owns.keys() <= module._parameters.keys()
        kept = {own: module._parameters[own] for own in self.owns} if is_followed else {}
        self._kept.append(kept)
        for own, p in kept.items():
            module._parameters[own] = self.change(self.owns[own], p, inputs)

    def after(self, module: nn.Module, *_: Any) -> None:
        """Forward hook that is called after an error, too."""
        if self._kept:
            module._parameters.update(self._kept.pop())
