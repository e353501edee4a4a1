"""A direction in the space of the parameters, of which some entries are kept as products of two thin matrices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from synthsift.bilevel.scores import Parameters


@dataclass(frozen=True)
class LowRank:
    """The matrix left^T right.

    Parameters
    ----------
    left, right : Tensor (m, out), (m, in)
    """

    left: Tensor
    right: Tensor

    def __rmul__(self, factor: float) -> LowRank:
        return LowRank(factor * self.left, self.right)

    def to(self, dtype: torch.dtype) -> LowRank:
        """Return it in another precision."""
        return LowRank(self.left.to(dtype), self.right.to(dtype))

    def dense(self) -> Tensor:
        """Return the matrix (out, in)."""
        return self.left.T @ self.right

    def applied(self, x: Tensor) -> Tensor:
        """Return the matrix times x (..., in), as (..., out)."""
        return (x @ self.right.T) @ self.left


Direction = Mapping[str, Tensor | LowRank]  # by name of the parameter


def dense(direction: Direction) -> Parameters:
    """Return the direction with every matrix made; itself where there is none to make."""
    if not any(isinstance(d, LowRank) for d in direction.values()):
        return cast(Parameters, direction)
    return {name: d.dense() if isinstance(d, LowRank) else d for name, d in direction.items()}
