"""Sums over the processes of one training, and nothing where there is only one."""

from __future__ import annotations

from typing import Any

import torch.distributed as dist
from torch import Tensor


class Processes:
    """The process group that a training runs in.

    Parameters
    ----------
    group : ProcessGroup, optional
        The default group of ``torch.distributed`` where that is initialized, else this process alone.
    """

    def __init__(self, group: Any = None) -> None:
        self.group = group
        self.several = dist.is_available() and dist.is_initialized() and dist.get_world_size(group) > 1

    @classmethod
    def alone(cls) -> Processes:
        """Return the trivial group of this process, whatever others there are."""
        alone = cls.__new__(cls)
        alone.group, alone.several = None, False
        return alone

    @property
    def count(self) -> int:
        """How many processes take part."""
        return dist.get_world_size(self.group) if self.several else 1

    @property
    def rank(self) -> int:
        """The place of this one."""
        return dist.get_rank(self.group) if self.several else 0

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of `values` over all processes; the tensor itself is overwritten."""
        if self.several:
            dist.all_reduce(values, group=self.group)
        return values

    def max(self, value: Tensor) -> float:
        """Return the largest `value` of all processes; it stays on its device, as some backends need."""
        if self.several:
            dist.all_reduce(value, op=dist.ReduceOp.MAX, group=self.group)
        return float(value)
