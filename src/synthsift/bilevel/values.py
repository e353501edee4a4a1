"""Values of rows from two models: how much lower a row's loss is for a model of the trusted rows.

Pointwise value matching (Du et al. 2026, arXiv 2610.02092): train U on the training rows and W on the trusted rows
plus a share alpha of the training loss, from the same start; the target of row i is l_i(U) - l_i(W), and the selector
fits it by least squares. Nothing is normalized by the batch, so no row can take the weight of others, and the fitted
selector scores rows that neither model has seen.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from synthsift.bilevel.controls import ValueRegression
from synthsift.bilevel.rowlosses import Loss, check_losses, scoring_mode
from synthsift.bilevel.schedule import as_source
from synthsift.bilevel.selector import Selector
from synthsift.records import DataError
from synthsift.seeds import Seeds, as_seeds


def row_losses_of(model: nn.Module, loss: Loss, pool: object, chunk: int = 256) -> Tensor:
    """Return the loss of every row of the pool (rows,), in evaluation mode, a chunk at a time."""
    source = as_source(pool, "pool")
    pieces = torch.arange(source.count).split(chunk)
    with torch.no_grad(), scoring_mode(model, everything=True):
        return torch.cat([check_losses(loss(model, source.fetch(places)), len(places)) for places in pieces])


def difference_of_models(of_training: nn.Module, of_trusted: nn.Module, loss: Loss, pool: object) -> Tensor:
    """Return l_i(U) - l_i(W) of every row (rows,): higher is better.

    Parameters
    ----------
    of_training, of_trusted : nn.Module
        U, trained on the training rows, and W, trained on `trusted_and_training_loss`.
    loss : callable
        ``loss(model, batch) -> (n,)``.
    pool : tuple or dict of Tensor, or RowSource
        The rows to be valued.
    """
    return row_losses_of(of_training, loss, pool) - row_losses_of(of_trusted, loss, pool)


def trusted_and_training_loss(trusted: Tensor, training: Tensor, alpha: float) -> Tensor:
    """Return the loss that W is trained on: mean trusted loss + alpha * mean training loss."""
    return trusted.mean() + alpha * training.mean()


def fit_values(
    selector: Selector,
    targets: Tensor,
    steps: int,
    *,
    batch: int = 1024,
    seeds: Seeds | int = 0,
    watch: Callable[[dict[str, float]], None] | None = None,
) -> np.ndarray:
    """Fit the selector to targets (rows,) and return the weights of all rows, mean 1.

    Parameters
    ----------
    selector : Selector
        With the objective `ValueRegression`.
    targets : Tensor (rows,)
        One a row of its features; their scale does not matter.
    steps, batch : int
        Steps of its optimizer, and rows a step.
    watch : callable, optional
        Receives the numbers of every step.

    Raises
    ------
    DataError
        If the selector has another objective, or targets do not fit or are not finite.
    """
    if not isinstance(selector.objective, ValueRegression):
        raise DataError(f"the selector's objective is {selector.objective!r}; targets are fitted by ValueRegression()")
    if targets.shape != (selector.count,) or not bool(torch.isfinite(targets).all()):
        raise DataError(
            f"targets have shape {tuple(targets.shape)}; needed are {selector.count} finite numbers, one a row of "
            "features"
        )
    standard = (targets.double() - targets.double().mean()) / max(float(targets.double().std()), 1e-300)
    generator = as_seeds(seeds).torch("values")
    for step in range(steps):
        rows = torch.randperm(selector.count, generator=generator)[:batch]
        numbers = selector.update(rows, standard[rows])
        if numbers is None:
            raise DataError("fitting the values diverged; lower the selector's rate")
        selector.history.append(step, numbers)
        if watch is not None:
            watch(numbers)
    return selector.weights()
