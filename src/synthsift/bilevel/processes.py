"""Sums over the processes of one training, and nothing where there is only one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from synthsift.records import DataError

OF_OTHERS = re.compile(r"gloo|timed out|timeout|connection|socket|peer", re.IGNORECASE)  # gloo's errors have no type


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
            self._together(lambda: dist.all_reduce(values, group=self.group))
        return values

    def max(self, value: Tensor) -> float:
        """Return the largest `value` of all processes; it stays on its device, as some backends need."""
        if self.several:
            self._together(lambda: dist.all_reduce(value, op=dist.ReduceOp.MAX, group=self.group))
        return float(value)

    def differ(self, numbers: Tensor) -> Tensor:
        """Return for each of the whole numbers (k,) whether it is not the same on all processes."""
        ends = torch.cat([numbers, -numbers])
        if self.several:
            self._together(lambda: dist.all_reduce(ends, op=dist.ReduceOp.MAX, group=self.group))
        high, low = ends.tensor_split(2)
        return high != -low

    def spread(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite tensors by those of the first process."""
        if not self.several:
            return
        first = dist.get_global_rank(self.group, 0) if self.group is not None else 0
        for tensor in tensors:
            sent = tensor.detach().contiguous()
            self._together(lambda sent=sent: dist.broadcast(sent, first, group=self.group))  # type: ignore[misc]
            tensor.detach().copy_(sent)

    def _together(self, call: Callable[[], Any]) -> None:
        """Do what all processes do at once.

        Raises
        ------
        DataError
            If the others do not: torch tells of a closed connection or of a timeout. What is an error of this process
            alone (memory that is full, a type that a backend does not know) comes as it is.
        """
        try:
            call()
        except RuntimeError as error:
            if not isinstance(error, dist.DistError) and not OF_OTHERS.search(str(error)):
                raise
            raise DataError(
                f"process {self.rank} of {self.count} waited for the others in vain ({_first_line(error)}). Either one "
                "has ended (look at its own error), or it called loss() or step() more or less often than the others: "
                "every process needs as many batches, and has to call both for each"
            ) from error


def _first_line(error: Exception) -> str:
    """What torch says, without its place in a source file and the stack that it adds."""
    line = (str(error).strip().splitlines() or [""])[0]
    return re.sub(r"^\[[^]]*\]\s*", "", line)[:200] or "no reason given"
