"""Two published ways of learning weights, on the same learners, trusted rows and exact scores as `LearnedWeights`.

Both weigh rows during the training of a model and give no weights for afterwards; what is returned here is said in each
class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from synthsift.bilevel.inner import InnerLearner, make_learner
from synthsift.bilevel.trust import draw, training_rows, trusted_rows
from synthsift.records import Features, Mixture, Outcome, Weights
from synthsift.seeds import Seeds
from synthsift.training.adamw import AdamW


@dataclass(frozen=True)
class _Setting:
    """Tensors of one training: rows of the mixture, which of them train and which are trusted."""

    x: Tensor
    y: Tensor
    training: np.ndarray
    trusted: np.ndarray
    learner: InnerLearner

    @staticmethod
    def of(kind: Literal["linear", "mlp"], mixture: Mixture, features: Features, seeds: Seeds) -> _Setting:
        trusted = trusted_rows(mixture, seeds)
        training = training_rows(mixture, trusted)
        x = torch.as_tensor(features.embedding, dtype=torch.float32)
        learner = make_learner(kind, x[torch.as_tensor(training)], mixture.num_classes, seeds.torch("learner"))
        return _Setting(x, torch.as_tensor(mixture.y), training, trusted, learner)


def _finished(values: np.ndarray, setting: _Setting, mixture: Mixture, name: str, outcome: Outcome) -> Weights:
    """Give trusted rows the mean weight of the other real rows; with no weight left, all rows count alike."""
    real = setting.training[~mixture.is_synth[setting.training]]
    values[setting.trusted] = max(float(values[real].mean()), 1e-6)
    if not (values[mixture.is_synth] > 0).any() and outcome == Outcome.converged:
        outcome = Outcome.degenerate
    return Weights(values, mixture.ids, name, outcome)


@dataclass(frozen=True)
class MetaWeightNet:
    """Weights as a function of a row's training loss alone (Shu et al. 2019).

    A network 1-hidden-1 with a sigmoid maps the loss to a weight; the learner's step is on the mean of weight times
    loss, *not* normalized by the sum of weights, so that the network also scales the step. It follows the trusted loss
    after that step, which is the model's step itself. Returned are the weights at the losses of the trained model.

    Parameters
    ----------
    learner : {"linear", "mlp"}
    steps, batch, trusted_batch : int
    rate : float
        Learning rate of the network (Adam).
    hidden : int
    """

    learner: Literal["linear", "mlp"] = "linear"
    steps: int = 300
    batch: int = 100
    trusted_batch: int = 100
    rate: float = 1e-3
    hidden: int = 100

    def __call__(self, mixture: Mixture, features: Features, seeds: Seeds) -> Weights:
        """Return one weight in (0, 1) for every row; trusted rows get the mean of the other real rows.

        Raises
        ------
        DataError
            If there are fewer than 10 real rows.
        """
        setting = _Setting.of(self.learner, mixture, features, seeds)
        network = _LossNet(self.hidden, seeds.torch("network"))
        optimizer = AdamW(network.parameters(), self.rate, self.steps, decay=0.0)
        learner, rng, outcome = setting.learner, seeds.numpy("batches"), Outcome.converged
        for _ in range(self.steps):
            rows = torch.as_tensor(draw(setting.training, self.batch, rng))
            judges = torch.as_tensor(draw(setting.trusted, self.trusted_batch, rng))
            x, y = setting.x[rows], setting.y[rows]
            weights = network(learner.losses(x, y)[:, None])
            learner.step(x, y, weights.detach() / len(rows))
            scores = learner.scores(learner.trusted_gradient(setting.x[judges], setting.y[judges]), x, y)
            if not torch.isfinite(scores).all():
                outcome = Outcome.nonfinite
                break
            # d L_trusted / d w_i = - rate / n * s_i; Adam takes the learner's rate out
            (-(scores / len(rows)) * weights).sum().backward()
            optimizer.step()
        with torch.no_grad():
            values = network(setting.learner.losses(setting.x, setting.y)[:, None]).double().numpy()
        return _finished(values, setting, mixture, "MetaWeightNet", outcome)


class _LossNet(nn.Module):
    """Loss (n, 1) -> weight (n,) in (0, 1)."""

    def __init__(self, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(1, hidden), nn.Linear(hidden, 1)
        for layer in (self.first, self.last):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)

    def forward(self, loss: Tensor) -> Tensor:
        return torch.sigmoid(self.last(torch.relu(self.first(loss)))).squeeze(-1)


@dataclass(frozen=True)
class LearnToReweight:
    """Weights anew in every batch, without a network (Ren et al. 2018).

    In every step all rows of a batch start with weight 0; w_i = max(s_i, 0) / sum_j max(s_j, 0) with the scores at that
    point, and the learner steps with these weights. Returned is the mean weight of a row over the steps that drew it,
    relative to equal weights in the batch; a row that was never drawn gets the mean of the others.

    Parameters
    ----------
    learner : {"linear", "mlp"}
    steps, batch, trusted_batch : int
    """

    learner: Literal["linear", "mlp"] = "linear"
    steps: int = 300
    batch: int = 100
    trusted_batch: int = 100

    def __call__(self, mixture: Mixture, features: Features, seeds: Seeds) -> Weights:
        """Return one weight of at least 0 for every row; trusted rows get the mean of the other real rows.

        Raises
        ------
        DataError
            If there are fewer than 10 real rows.
        """
        setting = _Setting.of(self.learner, mixture, features, seeds)
        learner, rng = setting.learner, seeds.numpy("batches")
        total, drawn = np.zeros(len(mixture.ids)), np.zeros(len(mixture.ids))
        outcome = Outcome.converged
        for _ in range(self.steps):
            rows = torch.as_tensor(draw(setting.training, self.batch, rng))
            judges = torch.as_tensor(draw(setting.trusted, self.trusted_batch, rng))
            x, y = setting.x[rows], setting.y[rows]
            scores = learner.scores_now(learner.trusted_gradient(setting.x[judges], setting.y[judges]), x, y)
            if not torch.isfinite(scores).all():
                outcome = Outcome.nonfinite
                break
            w = scores.clamp(min=0)
            p = w / w.sum() if float(w.sum()) > 0 else w
            total[rows.numpy()] += p.double().numpy() * len(rows)
            drawn[rows.numpy()] += 1
            learner.step(x, y, p)
        values = np.divide(total, drawn, out=np.zeros_like(total), where=drawn > 0)
        values[drawn == 0] = values[drawn > 0].mean() if (drawn > 0).any() else 1.0
        return _finished(values, setting, mixture, "LearnToReweight", outcome)
