"""The meta-network: what is known about a row -> how much it counts."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

CLIP = 5.0  # standard deviations beyond which an input says no more


class MetaNet(nn.Module):
    """A two-layer network with a sigmoid on top: features (n, k) -> weights (n,) in (0, 1).

    Parameters
    ----------
    num_inputs : int
        k.
    hidden : int
        Width of both hidden layers.
    generator : torch.Generator
        Decides the initial values; the last layer starts at zero, so all weights start equal.
    """

    def __init__(self, num_inputs: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = nn.Linear(num_inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, 1)
        for layer in (self.first, self.second):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return log-weights (n,), at most 0."""
        hidden = torch.tanh(self.second(torch.tanh(self.first(features))))
        return nn.functional.logsigmoid(self.last(hidden).squeeze(-1))


def standardize(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Center and scale columns (n, k), clipped at `CLIP` standard deviations; return them with center and scale (k,).

    A constant column becomes 0.
    """
    center, scale = values.mean(axis=0), values.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    return np.clip((values - center) / scale, -CLIP, CLIP), center, scale
