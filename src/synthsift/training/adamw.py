"""AdamW with a cosine schedule, on one flat parameter vector.

``torch.optim`` imports its compiler the first time an optimizer is made, which costs five seconds at every start; and
small networks spend more time in its bookkeeping than in their arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor


class AdamW:
    """Decoupled weight decay (Loshchilov and Hutter 2019), cosine decay of the rate to 0.

    Parameters
    ----------
    parameters : iterable of Tensor
        Leaves with ``requires_grad``; updated in place.
    rate : float
        Learning rate at the start.
    num_steps : int
        After so many steps the rate is 0.
    decay : float
        Weight decay, times the current rate.
    """

    def __init__(self, parameters: Iterable[Tensor], rate: float, num_steps: int, decay: float) -> None:
        self.parameters = list(parameters)
        self.rate, self.num_steps, self.decay = rate, num_steps, decay
        size = sum(p.numel() for p in self.parameters)
        self.first = torch.zeros(size, device=self.parameters[0].device if size else None)
        self.second, self.count = torch.zeros_like(self.first), 0

    def step(self) -> None:
        """Move along the gradients that the parameters hold, and clear them."""
        gradient = torch.cat([p.grad.reshape(-1) for p in self.parameters if p.grad is not None])
        rate = 0.5 * self.rate * (1 + math.cos(math.pi * self.count / self.num_steps))
        self.count += 1
        self.first.lerp_(gradient, 0.1)
        self.second.lerp_(gradient * gradient, 0.001)
        root = (self.second / (1 - 0.999**self.count)).sqrt_().add_(1e-8)
        move = (self.first / root).mul_(-rate / (1 - 0.9**self.count))
        with torch.no_grad():
            place = 0
            for p in self.parameters:
                p.mul_(1 - rate * self.decay).add_(move[place : place + p.numel()].view_as(p))
                place += p.numel()
                p.grad = None
