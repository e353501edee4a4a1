"""The learner inside the meta-training: softmax regression or a network, trained by plain momentum steps.

They answer the same four questions: what are the logits, take one weighted step, what is the gradient of the trusted
loss, and what is each row's score against it. The linear one answers in closed form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

from synthsift.bilevel.inputs import NARROW
from synthsift.bilevel.rowlosses import HOTTEST, best_temperature
from synthsift.bilevel.scores import LogitsOf, Parameters, jvp_scores, linear_scores
from synthsift.numerics.leading import leading_eigen

MOMENTUM = 0.9
DECAY = 1e-2
SLACK = 1.02  # of a largest eigenvalue that may not be quite the largest
TEMPERATURE_TOLERANCE = 1e-4  # of 1 / T: the direction of a gradient needs no more


class InnerLearner(Protocol):
    """What the meta-training asks of a learner."""

    def step(self, x: Tensor, y: Tensor, p: Tensor) -> None:
        """Take one step on the loss sum_i p_i l_i; shares p (n,) sum to 1."""
        ...

    def trusted_gradient(self, x: Tensor, y: Tensor, *, calibrated: bool = False) -> Parameters:
        """Return the gradient of the mean loss on trusted rows at the current parameters.

        ``calibrated``: of the loss at the temperature that suits these rows best, min_T CE(logits / T), T >= 1. An
        over-confident learner lowers its plain loss by whatever tempers its logits, and wrong labels do. Zero where
        no temperature makes the logits better than none: trusted rows that contradict the learner tell no rows apart.
        """
        ...

    def losses(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss (n,) of each row at the current parameters."""
        ...

    def scores(self, direction: Parameters, x: Tensor, y: Tensor) -> Tensor:
        """Return <grad l_i, direction> (n,) of any rows, at the parameters before the last step."""
        ...

    def scores_now(self, direction: Parameters, x: Tensor, y: Tensor) -> Tensor:
        """Return the same at the current parameters."""
        ...


@dataclass
class LinearLearner:
    """Softmax regression from zero.

    Parameters
    ----------
    slope, offset : Tensor (d, c), (c,)
    rate : float
        Step size.
    decay : float
        Ridge on the slopes.
    """

    slope: Tensor
    offset: Tensor
    rate: float
    decay: float
    velocity: Parameters = field(default_factory=dict)
    before: tuple[Tensor, Tensor] | None = None

    @staticmethod
    def create(x: Tensor, num_classes: int, decay: float) -> LinearLearner:
        """Start at zero with the largest rate that is safe for the softmax loss: 1 / (|x|^2 / 2 + decay)."""
        if x.shape[1] > NARROW:  # found from below, but for a little
            top = SLACK * float(leading_eigen(x.numpy(), 1)[0][0]) / len(x) + 1.0
        else:
            top = float(torch.linalg.matrix_norm(x.T @ x / len(x), ord=2)) + 1.0
        zero = torch.zeros(x.shape[1], num_classes)
        return LinearLearner(zero, torch.zeros(num_classes), 1.0 / (0.5 * top + decay), decay)

    def losses(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss (n,) of each row at the current parameters."""
        return torch.nn.functional.cross_entropy(x @ self.slope + self.offset, y, reduction="none")

    def step(self, x: Tensor, y: Tensor, p: Tensor) -> None:
        """Take one heavy-ball step."""
        residual = _residual(x, y, self.slope, self.offset)
        self.before = (self.slope, self.offset)
        weighted = p[:, None] * residual
        gradient = {"slope": x.T @ weighted + self.decay * self.slope, "offset": weighted.sum(dim=0)}
        self.velocity = {k: MOMENTUM * self.velocity.get(k, torch.zeros_like(g)) + g for k, g in gradient.items()}
        self.slope = self.slope - self.rate * self.velocity["slope"]
        self.offset = self.offset - self.rate * self.velocity["offset"]

    def trusted_gradient(self, x: Tensor, y: Tensor, *, calibrated: bool = False) -> Parameters:
        """Return the gradient of the mean loss, or of the calibrated one (see `InnerLearner`)."""
        b = inverse_temperature(x @ self.slope + self.offset, y) if calibrated else 1.0
        residual = _residual(x, y, b * self.slope, b * self.offset) * (b / len(y))
        return {"slope": x.T @ residual, "offset": residual.sum(dim=0)}

    def scores(self, direction: Parameters, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact scores of the given rows before the last step."""
        assert self.before is not None, "take a step before asking for scores"
        return linear_scores(_residual(x, y, *self.before), x, direction["slope"], direction["offset"])

    def scores_now(self, direction: Parameters, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact scores of the given rows at the current parameters."""
        residual = _residual(x, y, self.slope, self.offset)
        return linear_scores(residual, x, direction["slope"], direction["offset"])


def inverse_temperature(logits: Tensor, y: Tensor) -> float:
    """Return 1 / T of the best temperature T >= 1, or 0 where hotter is better without end."""
    hot = best_temperature(logits, y, TEMPERATURE_TOLERANCE)
    return 0.0 if hot >= HOTTEST else 1.0 / hot


def _residual(x: Tensor, y: Tensor, slope: Tensor, offset: Tensor) -> Tensor:
    """Predicted probabilities minus the one-hot label (n, c)."""
    residual = torch.softmax(x @ slope + offset, dim=1)
    residual[torch.arange(len(y)), y] -= 1.0
    return residual


def one_hidden_layer(params: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Return logits (n, c) of rows (n, d) under "hidden", "bias", "slope" and "offset"."""
    return torch.relu(x @ params["hidden"] + params["bias"]) @ params["slope"] + params["offset"]


@dataclass
class NetworkLearner:
    """A network, with one hidden layer unless another one is given; scores by forward-mode differentiation.

    Nothing in it may depend on the other rows of a batch: no batch normalization, no dropout.

    Parameters
    ----------
    params : dict of Tensor
        What `logits` is a function of.
    rate, decay : float
        Step size and weight decay.
    logits : callable
        ``logits(params, x) -> (n, c)``.
    piece : int
        Rows that go through the network at a time, to bound memory.
    """

    params: Parameters
    rate: float
    decay: float
    velocity: Parameters = field(default_factory=dict)
    before: Parameters | None = None
    logits: LogitsOf = one_hidden_layer
    piece: int = 1 << 20

    @staticmethod
    def create(x: Tensor, num_classes: int, decay: float, hidden: int, generator: torch.Generator) -> NetworkLearner:
        """Start from small random values."""
        d = x.shape[1]
        params = {
            "hidden": torch.randn(d, hidden, generator=generator) * (2.0 / d) ** 0.5,
            "bias": torch.zeros(hidden),
            "slope": torch.randn(hidden, num_classes, generator=generator) * (1.0 / hidden) ** 0.5,
            "offset": torch.zeros(num_classes),
        }
        return NetworkLearner(params, 0.05, decay)

    def _gradient(self, x: Tensor, y: Tensor, p: Tensor, b: float = 1.0) -> Parameters:
        """Return the gradient of sum_i p_i CE(b logits_i, y_i)."""

        def loss(params: Parameters, x: Tensor, y: Tensor, p: Tensor) -> Tensor:
            return (p * torch.nn.functional.cross_entropy(b * self.logits(params, x), y, reduction="none")).sum()

        pieces = zip(x.split(self.piece), y.split(self.piece), p.split(self.piece), strict=True)
        gradients = [torch.func.grad(loss)(self.params, *rows) for rows in pieces]
        return {name: torch.stack([g[name] for g in gradients]).sum(dim=0) for name in self.params}

    def _all_logits(self, x: Tensor) -> Tensor:
        """Return logits (n, c) at the current parameters, without a graph."""
        with torch.no_grad():
            return torch.cat([self.logits(self.params, part) for part in x.split(self.piece)])

    def step(self, x: Tensor, y: Tensor, p: Tensor) -> None:
        """Take one heavy-ball step with weight decay."""
        self.before = self.params
        gradient = {k: g + self.decay * self.params[k] for k, g in self._gradient(x, y, p).items()}
        self.velocity = {k: MOMENTUM * self.velocity.get(k, torch.zeros_like(g)) + g for k, g in gradient.items()}
        self.params = {k: v - self.rate * self.velocity[k] for k, v in self.params.items()}

    def trusted_gradient(self, x: Tensor, y: Tensor, *, calibrated: bool = False) -> Parameters:
        """Return the gradient of the mean loss, or of the calibrated one (see `InnerLearner`)."""
        b = inverse_temperature(self._all_logits(x), y) if calibrated else 1.0
        like = next(iter(self.params.values()))
        return self._gradient(x, y, torch.full((len(y),), 1.0 / len(y), dtype=like.dtype), b)

    def losses(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss (n,) of each row at the current parameters."""
        return torch.nn.functional.cross_entropy(self._all_logits(x), y, reduction="none")

    def _scores_at(self, params: Parameters, direction: Parameters, x: Tensor, y: Tensor) -> Tensor:
        pieces = zip(x.split(self.piece), y.split(self.piece), strict=True)
        return torch.cat([jvp_scores(self.logits, params, direction, *rows) for rows in pieces])

    def scores(self, direction: Parameters, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact scores of the given rows before the last step."""
        assert self.before is not None, "take a step before asking for scores"
        return self._scores_at(self.before, direction, x, y)

    def scores_now(self, direction: Parameters, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact scores of the given rows at the current parameters."""
        return self._scores_at(self.params, direction, x, y)


def make_learner(
    kind: Literal["linear", "mlp"], x: Tensor, num_classes: int, generator: torch.Generator
) -> InnerLearner:
    """Return a fresh learner for rows like `x` (n, d)."""
    if kind == "linear":
        return LinearLearner.create(x, num_classes, DECAY)
    return NetworkLearner.create(x, num_classes, DECAY, 64, generator)
