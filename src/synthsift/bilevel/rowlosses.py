"""The learner as a function of its parameters: one loss a row, in the mode that scores are taken in.

Batch-norm layers use their running statistics when rows are scored: in training mode the loss of a row depends on
the other rows of its chunk, and with it the score (cosine .95 between chunks of 16 and 512 rows in our tests, .995 to
frozen statistics).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from synthsift.bilevel.scores import Parameters
from synthsift.records import DataError

LOGGER = logging.getLogger("synthsift.bilevel")
Loss = Callable[[nn.Module, Any], Tensor]
HOTTEST = 100.0  # largest temperature of the calibrated loss
BIAS_STEPS = 20


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy of each row; a batch is (inputs, labels) and the model returns logits (n, c).

    Parameters
    ----------
    calibrated : bool
        Judge trusted rows at the best temperature (`outer`).
    free_priors : bool
        Judge them at the best class biases, too: then no row is rewarded for moving the learner towards the class
        frequencies of the trusted rows, which are a small sample. Set it False where classes are truly more or less
        frequent among trusted rows than among training rows, and the weights shall make up for that.
    """

    calibrated: bool = True
    free_priors: bool = True

    def __call__(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the loss of each row (n,); labels may be class probabilities (n, c).

        Raises
        ------
        DataError
            If labels or logits are something else.
        """
        x, y = batch
        logits = model(x)
        is_soft = y.is_floating_point() and y.ndim == 2 and y.shape == getattr(logits, "shape", None)
        return nn.functional.cross_entropy(logits, y if is_soft else class_labels(y, logits), reduction="none")

    def outer(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the judging loss of each trusted row (m,): at the temperature T >= 1 that suits these rows best.

        An over-confident learner lowers its plain loss by training on wrong labels, which tempers its logits; then
        mislabelled rows are rewarded. The loss min_T CE(logits / T) takes that reward away: by the envelope theorem
        its gradient is the one at the best T, held fixed. T < 1 is not used, since a learner that is still unsure is
        rightly rewarded for getting surer.

        Raises
        ------
        DataError
            If labels or logits are something else.
        """
        x, y = batch
        if not self.calibrated:
            return self(model, batch)  # class probabilities are labels, too
        logits = model(x)
        y = class_labels(y, logits)
        scaled = logits / best_temperature(logits.detach(), y)
        if self.free_priors:
            scaled = scaled + best_biases(scaled.detach(), y).to(scaled.dtype)
        return nn.functional.cross_entropy(scaled, y, reduction="none")


def class_labels(y: Tensor, logits: Tensor) -> Tensor:
    """Return the labels (n,) of rows with these logits (n, c) as torch takes them, whole numbers from 0 to c - 1.

    Raises
    ------
    DataError
        If one of both is something else; torch says so late, or on a GPU not at all.
    """
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        seen = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"type {type(logits).__name__}"
        raise DataError(f"the model's output has {seen}; needed are logits (n, c), or another loss for this model")
    n, c = logits.shape
    if y.is_floating_point() or y.shape != (n,):
        raise DataError(
            f"the labels have shape {tuple(y.shape)} and type {y.dtype} beside logits {(n, c)}; needed is the number "
            f"of each row's class, whole numbers of shape ({n},). Convert them, or give another loss for other targets"
        )
    y = y.long()
    is_out = (y < 0) | (y >= c)
    if bool(is_out.any()):
        numbers = sorted(set(y[is_out].tolist()))
        raise DataError(
            f"{int(is_out.sum())} of {n} labels are none of the model's {c} classes, 0 to {c - 1} (seen: "
            f"{numbers[:5]}); number the classes from 0, or give the model as many outputs as there are classes"
        )
    return y


def best_temperature(logits: Tensor, y: Tensor, tolerance: float = 1e-9) -> float:
    """Return the T in [1, 100] with the lowest mean cross-entropy of logits / T, where its derivative is 0.

    The loss is convex in b = 1 / T with derivative mean(E_b[logit] - logit_y), E_b under softmax(b * logits);
    the root is found by regula falsi with the Illinois rule, which keeps it between two ends of different sign, until
    the derivative is below `tolerance` of its range or b is known to within `tolerance`.
    """
    z = logits.double()
    z = z - z.gather(1, y[:, None])  # the label's logit becomes 0

    def slope(b: float) -> float:
        return float((torch.softmax(b * z, dim=1) * z).sum(dim=1).mean())

    low, high = 1.0 / HOTTEST, 1.0
    at_low, at_high = 0.0, slope(high)
    if at_high <= 0 or (at_low := slope(low)) >= 0:  # not over-confident; or beyond repair
        return 1.0 if at_high <= 0 else HOTTEST
    middle = high
    for _ in range(60):
        middle = (low * at_high - high * at_low) / (at_high - at_low)
        found = slope(middle)
        if abs(found) < tolerance * (at_high - at_low) or high - low < tolerance:
            break
        if found > 0:
            high, at_high, at_low = middle, found, at_low / 2
        else:
            low, at_low, at_high = middle, found, at_high / 2
    return 1.0 / middle


def best_biases(logits: Tensor, y: Tensor) -> Tensor:
    """Return the b (c,) with the lowest mean cross-entropy of logits + b, plus |b|^2 / (2 m) for m rows.

    Steps of the curvature's upper bound (Boehning 1992), 1/2 (I - 11'/c): b rises by twice the frequency of the class
    minus its mean probability. The small penalty keeps classes that no row has finite.
    """
    z, m = logits.double(), len(logits)
    frequency = torch.bincount(y, minlength=z.shape[1]).double() / m
    b = torch.zeros_like(frequency)
    for _ in range(BIAS_STEPS):
        b = b + (frequency - torch.softmax(z + b, dim=1).mean(dim=0) - b / m) / (0.5 + 1 / m)
    return b - b.mean()


class RowLosses:
    """Row losses of a model as a function of its trainable parameters.

    Parameters
    ----------
    model : nn.Module
        Left as it is; a wrapper such as DistributedDataParallel is taken off.
    loss : callable
        ``loss(model, batch) -> (n,)``.

    Raises
    ------
    DataError
        If no parameter is trainable.
    """

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        is_wrapped = isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel)
        inner: Any = model.module if is_wrapped else model
        self.model: nn.Module = inner
        self.loss = loss
        self.trainable: Parameters = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        if not self.trainable:
            total = sum(1 for _ in self.model.parameters())
            raise DataError(
                f"the model has {total} parameters and none that requires a gradient, so no training row can change "
                "it; unfreeze at least its last layer"
            )
        self.names: dict[Tensor, str] = {p: name for name, p in self.trainable.items()}
        self._bound = _Bound(self.model, loss)

    def parameters(self) -> Parameters:
        """Return the trainable parameters, detached and not copied."""
        return {name: p.detach() for name, p in self.trainable.items()}

    def __call__(self, params: Mapping[str, Tensor], batch: Any) -> Tensor:
        """Return the losses (n,) at `params`; parameters that are not named keep their values."""
        return torch.func.functional_call(self._bound, {f"model.{k}": v for k, v in params.items()}, (batch,))


class _Bound(nn.Module):
    """Lets `functional_call` reach the parameters whatever `loss` does with the model."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Any) -> Tensor:
        return self.loss(self.model, batch)


def check_losses(losses: Any, count: int) -> Tensor:
    """Return `losses` if they are one finite number a row, with a graph.

    Raises
    ------
    DataError
        Otherwise; what was seen is named.
    """
    if not isinstance(losses, Tensor) or losses.shape != (count,):
        seen = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
        raise DataError(
            f"the loss returned {seen} for {count} rows; needed is one number a row, ({count},). Use "
            "reduction='none' and average over everything but the first axis"
        )
    bad = torch.nonzero(~torch.isfinite(losses.detach())).flatten().tolist()
    if bad:
        raise DataError(
            f"the loss of {len(bad)} of {count} rows is not finite (places {bad[:5]} of the batch); remove or mend "
            "these rows, or lower the learning rate if the learner has diverged"
        )
    if torch.is_grad_enabled() and not losses.requires_grad:
        raise DataError(
            "the loss carries no graph to the model: it was computed under no_grad, or detached; then no row can "
            "move the learner and nothing could be learned about rows"
        )
    return losses


@contextmanager
def scoring_mode(model: nn.Module, *, everything: bool) -> Iterator[None]:
    """Freeze batch-norm statistics (`everything`: dropout too) and put every module back afterwards.

    A recurrent layer keeps its mode and only its dropout is off: cuDNN has no backward of its evaluation mode.
    """
    was = [(module, module.training) for module in model.modules()]
    recurrent = [(m, m.dropout) for m in model.modules() if everything and isinstance(m, nn.RNNBase)]
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # a fused path that is taken in eval mode only and has no derivative
    try:
        for module, _ in was:
            if has_batch_statistics(module) or (everything and not isinstance(module, nn.RNNBase)):
                module.training = False
        for layer, _ in recurrent:
            layer.dropout = 0.0
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, training in was:
            module.training = training
        for layer, dropout in recurrent:
            layer.dropout = dropout


def has_batch_statistics(module: nn.Module) -> bool:
    """Say whether the module mixes the rows of a batch while it trains."""
    return isinstance(module, nn.modules.batchnorm._BatchNorm)


class Notices:
    """Sentences about fallbacks and weak settings, each said once in the log and kept for the report."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        """Keep and log a sentence, the first time."""
        if sentence not in self.said:
            self.said.append(sentence)
            LOGGER.warning(sentence)
