"""The small residual network as a learner: the same steps and batch for every policy, stopped by held-out real rows.

Every pass over the data holds a row as often as its weight says (weight k is k copies), rounded at random without
bias, so a step follows the gradient of the weighted loss. What predicts is a running average of the parameters
(Polyak and Juditsky 1992): it is good at any step, so the number of steps can be chosen along one training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from synthsift.numerics.metrics import row_losses
from synthsift.seeds import Seeds
from synthsift.training.adamw import AdamW
from synthsift.training.choosing import family_folds
from synthsift.training.convnet import Parameters, ResidualNet, as_inputs, picture_side, shifted
from synthsift.training.learners import Rows

CHECKS = 8  # how often a training is judged on its way
PATIENCE = 2  # judgements without a better one after which the rest is not tried
MIN_REAL = 12  # real rows below which nothing is held out and all steps are taken
AVERAGE = 0.98  # share of the running average that stays at each step, less at the start
MAX_SHIFT = 16  # a picture is moved by at most a sixteenth of its side


@dataclass(frozen=True)
class CNN:
    """A small residual network, see `ResidualNet`.

    Parameters
    ----------
    width : int
        Channels of the first layer.
    steps, batch : int
        At most so many steps of so many pictures, for every policy, however many rows it keeps.
    rate, decay : float
        Learning rate at the start and weight decay of AdamW.
    """

    width: int = 16
    steps: int = 600
    batch: int = 64
    rate: float = 3e-3
    decay: float = 3.0

    def fit(self, rows: Rows, num_classes: int, seeds: Seeds) -> FittedCNN:
        """Choose the number of steps by a third of the real rows, then train on all rows.

        Raises
        ------
        DataError
            If the inputs are no pictures.
        """
        net = ResidualNet(picture_side(rows.x), num_classes, self.width)
        steps, real = self.steps, np.flatnonzero(rows.is_real)
        if len(real) >= MIN_REAL:
            fold = family_folds(rows.y, real, rows.family, 3, seeds)
            steps = self._choose_steps(net, rows, (fold == 0) & rows.is_real, fold != 0, seeds.child("inner"))
        training = self._train(net, rows, np.arange(len(rows.y)), seeds)
        average = next(average for taken, average in training if taken == steps)
        return FittedCNN({name: value.numpy() for name, value in average.items()}, picture_side(rows.x), steps)

    def _choose_steps(self, net: ResidualNet, rows: Rows, held: np.ndarray, rest: np.ndarray, seeds: Seeds) -> int:
        """Return the steps after which the loss on the rows `held` was lowest when the rows `rest` trained."""
        x, y, judging = rows.x[held], rows.y[held], rows.judging()[held]
        losses: dict[int, float] = {}
        for taken, average in self._train(net, rows, np.flatnonzero(rest), seeds):
            losses[taken] = float(np.average(row_losses(net.probabilities(average, x), y), weights=judging))
            best = min(losses, key=losses.__getitem__)
            if list(losses).index(best) + PATIENCE < len(losses):
                break
        return best

    def _train(
        self, net: ResidualNet, rows: Rows, places: np.ndarray, seeds: Seeds
    ) -> Iterator[tuple[int, Parameters]]:
        """Train on the rows at `places`; yield the steps taken and the averaged parameters at every check."""
        rng, generator = seeds.numpy("pictures"), seeds.torch("init")
        values = {name: value.requires_grad_() for name, value in net.start(generator).items()}
        average = {name: value.detach().clone() for name, value in values.items()}
        labels = torch.as_tensor(rows.y)
        optimizer = AdamW(values.values(), self.rate, self.steps, self.decay)
        most = max(1, picture_side(rows.x) // MAX_SHIFT)
        order = places[weighted_passes(rows.weight[places], self.steps * self.batch, rng)]
        checks = {round(self.steps * (k + 1) / CHECKS) for k in range(CHECKS)}
        for step, batch in enumerate(order.reshape(self.steps, self.batch), start=1):
            pictures = as_inputs(shifted(np.asarray(rows.x[batch]), most, rng))
            torch.nn.functional.cross_entropy(net.logits(values, pictures), labels[batch]).backward()
            optimizer.step()
            share = 1 - min(AVERAGE, step / (step + 9))
            for name, value in values.items():
                average[name].lerp_(value.detach(), share)
            if step in checks:
                yield step, average


def weighted_passes(weight: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return `count` row numbers: shuffled passes over the rows, each with row i about ``weight[i] / mean`` times.

    The number of copies is rounded at random to a whole neighbor, with the right mean (systematic sampling: Madow and
    Madow 1944); equal weights give every row once a pass.
    """
    n = len(weight)
    edges = np.cumsum(weight * (n / weight.sum()))
    edges[-1] = n  # rounding must not lose the last row
    passes: list[np.ndarray] = []
    while len(passes) * n < count:
        copies = np.diff(np.floor(edges + rng.random()), prepend=0.0).astype(np.int64)
        passes.append(rng.permutation(np.repeat(np.arange(n), copies)))
    return np.concatenate(passes)[:count]


@dataclass(frozen=True)
class FittedCNN:
    """Parameters of a trained network under their torch names.

    Parameters
    ----------
    arrays : dict of str to ndarray
    pixels : int
        Side of the pictures it reads.
    steps : int
        Steps it was trained for.
    """

    kind: ClassVar[str] = "cnn"
    arrays: dict[str, np.ndarray]
    pixels: int
    steps: int

    @property
    def net(self) -> ResidualNet:
        """A skeleton that the arrays fit; a new one every time, as threads must not share one."""
        return ResidualNet(self.pixels, len(self.arrays["head.bias"]), len(self.arrays["norm.bias"]))

    def predict_proba(self, x: Any) -> np.ndarray:
        """Return class probabilities (n, c) of pictures of bytes (n, p, p, 3)."""
        return self.net.probabilities({name: torch.from_numpy(value) for name, value in self.arrays.items()}, x)
