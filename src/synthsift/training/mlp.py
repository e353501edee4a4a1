"""A small network with one hidden layer, trained by AdamW with the same number of steps for every policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from synthsift.numerics.metrics import row_losses
from synthsift.seeds import Seeds
from synthsift.training.adamw import AdamW
from synthsift.training.choosing import family_folds
from synthsift.training.learners import Rows

DECAYS = (1e-3, 1e-1, 1.0)


@dataclass(frozen=True)
class MLP:
    """One hidden layer of rectified units.

    Parameters
    ----------
    hidden : int
        Width.
    steps, batch : int
        The same for every policy, however many rows it keeps; rows are drawn in proportion to their weights.
    rate : float
        Learning rate, cosine decay to 0.
    """

    hidden: int = 64
    steps: int = 400
    batch: int = 128
    rate: float = 3e-3

    def fit(self, rows: Rows, num_classes: int, seeds: Seeds) -> FittedMLP:
        """Choose the weight decay by a third of the real rows, then train on all rows."""
        decay, x, y, weight = DECAYS[1], rows.x, rows.y, rows.weight
        real = np.flatnonzero(rows.is_real)
        if len(real) >= 12:
            fold = family_folds(y, real, rows.family, 3, seeds)
            held, rest, judging = (fold == 0) & rows.is_real, fold != 0, rows.judging()

            def loss(candidate: float) -> float:
                model = self._train(x[rest], y[rest], weight[rest], num_classes, candidate, seeds.child("inner"))
                return float(np.average(row_losses(model.predict_proba(x[held]), y[held]), weights=judging[held]))

            decay = min(DECAYS, key=loss)
        return self._train(x, y, weight, num_classes, decay, seeds)

    def _train(
        self, x: np.ndarray, y: np.ndarray, weight: np.ndarray, num_classes: int, decay: float, seeds: Seeds
    ) -> FittedMLP:
        generator = seeds.torch("init")
        shapes = {"0.weight": (self.hidden, x.shape[1]), "0.bias": (self.hidden,)}
        shapes |= {"2.weight": (num_classes, self.hidden), "2.bias": (num_classes,)}
        # Plain tensors: torch.nn.Linear would draw from the global generator and so change the caller's random numbers.
        net = {
            name: ((torch.rand(shape, generator=generator) * 2 - 1) * shape[-1] ** -0.5).requires_grad_()
            for name, shape in shapes.items()
        }
        inputs, labels = torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y)
        chance = torch.as_tensor(weight, dtype=torch.float64)
        optimizer = AdamW(net.values(), self.rate, self.steps, decay)
        rows = torch.multinomial(chance, self.steps * self.batch, replacement=True, generator=generator)
        for batch in rows.reshape(self.steps, self.batch):
            torch.nn.functional.cross_entropy(_logits(net, inputs[batch]), labels[batch]).backward()
            optimizer.step()
        return FittedMLP({name: value.detach().numpy() for name, value in net.items()})


def _logits(net: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Logits (n, c) of rows (n, d)."""
    hidden = torch.relu(torch.nn.functional.linear(x, net["0.weight"], net["0.bias"]))
    return torch.nn.functional.linear(hidden, net["2.weight"], net["2.bias"])


@dataclass(frozen=True)
class FittedMLP:
    """Parameters of a trained network under their torch names."""

    kind: ClassVar[str] = "mlp"
    arrays: dict[str, np.ndarray]

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return class probabilities (n, c)."""
        hidden = np.maximum(x @ self.arrays["0.weight"].T + self.arrays["0.bias"], 0)
        logits = hidden @ self.arrays["2.weight"].T + self.arrays["2.bias"]
        logits -= logits.max(axis=1, keepdims=True)
        prob = np.exp(logits)
        return prob / prob.sum(axis=1, keepdims=True)
