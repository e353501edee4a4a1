"""The meta-network: what is known about a row -> how much it counts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

CLASS_WIDTH = 4  # learned numbers that stand for a class,
SOURCE_WIDTH = 2  # and for a source


class MetaNet(nn.Module):
    """A two-layer network with a sigmoid on top: features (n, k) -> weights (n,) in (0, 1).

    Parameters
    ----------
    num_inputs : int
        k, the one-hot columns included.
    hidden : int
        Width of both hidden layers.
    generator : torch.Generator
        Decides the initial values; the last layer starts at zero, so all weights start equal.
    num_classes, num_sources : int
        The last columns of the inputs are a one-hot class and a one-hot source; each is replaced by a few learned
        numbers.
    """

    classes: nn.Parameter | None
    sources: nn.Parameter | None

    def __init__(
        self, num_inputs: int, hidden: int, generator: torch.Generator, num_classes: int = 0, num_sources: int = 0
    ) -> None:
        super().__init__()
        self.num_plain = num_inputs - num_classes - num_sources
        self.num_classes = num_classes
        self.register_parameter("classes", _table(num_classes, CLASS_WIDTH, generator))
        self.register_parameter("sources", _table(num_sources, SOURCE_WIDTH, generator))
        width = self.num_plain + CLASS_WIDTH * (num_classes > 0) + SOURCE_WIDTH * (num_sources > 0)
        self.first = nn.Linear(width, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, 1)
        for layer in (self.first, self.second):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return log-weights (n,), at most 0."""
        plain, onehot = features[:, : self.num_plain], features[:, self.num_plain :]
        told = [plain]
        if self.classes is not None:
            told.append(onehot[:, : self.num_classes] @ self.classes)
        if self.sources is not None:
            told.append(onehot[:, self.num_classes :] @ self.sources)
        hidden = torch.tanh(self.second(torch.tanh(self.first(torch.cat(told, dim=1)))))
        return nn.functional.logsigmoid(self.last(hidden).squeeze(-1))


def _table(size: int, width: int, generator: torch.Generator) -> nn.Parameter | None:
    """Learned numbers (size, width) for each code, none where there are no codes."""
    return nn.Parameter(torch.randn(size, width, generator=generator)) if size else None


class Council(nn.Module):
    """Several meta-networks from different initial values; the log-weight of a row is their mean.

    Each member follows its own meta-gradient. What they agree on is in the scores, what one alone says is mostly the
    luck of its start.

    Parameters
    ----------
    size : int
        Number of members.
    num_inputs, hidden, generator, num_classes, num_sources
        As for `MetaNet`.
    """

    def __init__(
        self,
        size: int,
        num_inputs: int,
        hidden: int,
        generator: torch.Generator,
        num_classes: int = 0,
        num_sources: int = 0,
    ) -> None:
        super().__init__()
        made = (MetaNet(num_inputs, hidden, generator, num_classes, num_sources) for _ in range(size))
        self.members = nn.ModuleList(made)

    def each(self, features: Tensor) -> Tensor:
        """Return the log-weights (members, n) of every member."""
        return torch.stack([member(features) for member in self.members])

    def forward(self, features: Tensor) -> Tensor:
        """Return the mean log-weights (n,), at most 0."""
        return self.each(features).mean(dim=0)


def restored_council(arrays: Mapping[str, np.ndarray], num_inputs: int, num_classes: int, num_sources: int) -> Council:
    """Rebuild a council from the arrays of its ``state_dict``, which say how many members it has and how wide they are.

    Raises
    ------
    RuntimeError
        If the arrays do not fit the numbers of inputs.
    """
    biases = [name for name in arrays if name.endswith("first.bias")]
    generator = torch.Generator().manual_seed(0)  # what it draws is overwritten at once
    council = Council(len(biases), num_inputs, len(arrays[biases[0]]), generator, num_classes, num_sources)
    council.load_state_dict({name: torch.as_tensor(value) for name, value in arrays.items()})
    return council
