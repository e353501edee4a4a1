"""The selector: a small network from what is known about a row to its log-weight, trained in two passes.

    pass 1   outputs of all rows, without a graph; the objective turns them and the scores into one number a row
    pass 2   chunk by chunk, outputs with a graph, and the backward of sum_i c_i out_i

The coefficients are normalized over all rows first, so chunks and processes only split a sum: a selector batch of any
size costs the memory of a chunk, and is not an average of small batches (which is biased; Du, Zhao, Li 2026 need
several GPUs for a batch of 1,024).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from synthsift.bilevel.controls import EffectiveBatch, Objective, ValueRegression
from synthsift.bilevel.history import History
from synthsift.bilevel.metanet import MetaNet
from synthsift.bilevel.processes import Processes
from synthsift.records import DataError
from synthsift.seeds import Seeds

ROWS_AT_ONCE = 2048  # of the small network
# spread of scores, relative to their size, that is nothing but rounding: of their sums, or of the scores themselves
EVEN = {torch.float64: 3e-8, torch.float32: 1e-6}


class ValueNet(MetaNet):
    """`MetaNet` without the sigmoid on top: values of either sign, for regression."""

    def forward(self, features: Tensor) -> Tensor:
        """Return values (n,)."""
        hidden = torch.tanh(self.second(torch.tanh(self.first(features))))
        return self.last(hidden).squeeze(-1)


class Selector:
    """What is known about the rows, the network that weighs them, and its optimizer.

    Parameters
    ----------
    features : ndarray or Tensor (rows, k)
        One line for each row that the learner may train on, addressed by its place.
    objective : Objective
        What the network is trained for.
    network : nn.Module, optional
        ``network(features (n, k)) -> (n,)``: log-weights, or values for `ValueRegression`. By default a small one.
    rate : float
        Learning rate (AdamW). Scores are standardized, so it need not follow the learner's.
    hidden : int
        Width of the default network.
    standardize : bool
        Center and scale each feature (and clip it at 5); else the network is told them as they are.
    dtype, device
        Where the network computes.
    seeds : Seeds or int
        Initial values.
    group : ProcessGroup, optional
        See `Processes`.

    Raises
    ------
    DataError
        If features are not a finite matrix, or the network is no map from rows to numbers.
    """

    def __init__(
        self,
        features: np.ndarray | Tensor,
        objective: Objective | None = None,
        *,
        network: nn.Module | None = None,
        rate: float = 5e-3,
        hidden: int = 32,
        standardize: bool = True,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        seeds: Seeds | int = 0,
        group: Any = None,
    ) -> None:
        self.objective: Objective = EffectiveBatch() if objective is None else objective
        self.processes = Processes(group)
        values = _checked(features)
        values = _standardized(values) if standardize else values
        self.features = torch.as_tensor(values, dtype=dtype, device=device)  # (rows, k)
        if network is None:
            generator = (seeds if isinstance(seeds, Seeds) else Seeds(seeds)).torch("selector")
            kind = ValueNet if isinstance(self.objective, ValueRegression) else MetaNet
            network = kind(self.features.shape[1], hidden, generator)
        self.network = network.to(device=device, dtype=dtype)
        found = self.outputs(torch.arange(min(2, self.count)))
        if found.shape != (min(2, self.count),):
            raise DataError(f"the network returned {tuple(found.shape)} for 2 rows; needed is one number a row, (2,)")
        decays = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim <= 1]
        groups = [{"params": decays, "weight_decay": 1e-4}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=rate, foreach=False)
        self.history = History()
        self.updates = 0
        self.frozen = False

    @property
    def count(self) -> int:
        """Rows that can be weighed."""
        return len(self.features)

    @property
    def device(self) -> torch.device:
        """Where features and network are."""
        return self.features.device

    def outputs(self, rows: Tensor) -> Tensor:
        """Return the network's outputs (n,) of the rows at these places, without a graph."""
        with torch.no_grad():
            parts = [self.network(self.features[part]) for part in rows.to(self.device).split(ROWS_AT_ONCE)]
        return torch.cat(parts)

    def log_weights(self, rows: Tensor) -> Tensor:
        """Return log-weights (n,) of this process's rows, in float64."""
        return self.objective.log_weights(self.outputs(rows), self.processes).double()

    def gradient(self, rows: Tensor, scores: Tensor) -> dict[str, float]:
        """Leave the gradient of the objective in the network's parameters; return numbers for the history.

        Parameters
        ----------
        rows, scores : Tensor (n,)
            Of this process; n may differ between processes, but none may be empty.
        """
        rows, scores = rows.to(self.device), scores.to(self.device)
        self.optimizer.zero_grad(set_to_none=True)
        first = self.network(self.features[rows]) if len(rows) <= ROWS_AT_ONCE else None  # both passes in one
        outputs = self.outputs(rows) if first is None else first.detach()
        c, numbers = self.objective.coefficients(outputs, scores, self.processes)
        for part, of in zip(rows.split(ROWS_AT_ONCE), c.split(ROWS_AT_ONCE), strict=True):
            out = self.network(self.features[part]) if first is None else first  # (chunk,)
            # a sum instead of backward(gradient): the latter imports a computer-algebra system on first use
            (out * of.to(out.dtype)).sum().backward()
        self._sum_gradients()
        return numbers

    def _sum_gradients(self) -> None:
        """One reduction for the whole gradient."""
        if not self.processes.several:
            return
        params = [p for p in self.network.parameters() if p.grad is not None]
        flat = self.processes.sum(torch.cat([p.grad.reshape(-1) for p in params if p.grad is not None]))
        for p, part in zip(params, flat.split([p.numel() for p in params]), strict=True):
            p.grad = part.view_as(p)

    def size_of_gradient(self) -> float:
        """Largest absolute entry of the gradient (nan if one is)."""
        sizes = [p.grad.detach().abs().max() for p in self.network.parameters() if p.grad is not None]
        return float(torch.stack(sizes).max()) if sizes else 0.0

    def update(self, rows: Tensor, scores: Tensor) -> dict[str, float] | None:
        """Learn from the scores of rows; return numbers for the history, or None if something was not finite.

        Raises
        ------
        DataError
            If the gradient is exactly zero, or all scores of all processes are equal to rounding, so that nothing can
            be learned. The reason is named.
        """
        numbers = self.gradient(rows, scores)
        spread = numbers.pop("relative_spread", math.inf)
        size = self.size_of_gradient()
        if not np.isfinite(size):
            self.optimizer.zero_grad(set_to_none=True)
            return None
        is_even = spread <= EVEN.get(scores.dtype, EVEN[torch.float32])
        if size == 0 or is_even:
            raise DataError(f"the gradient of the selector is zero: {self._why_zero(rows, scores, is_even)}")
        self.optimizer.step()
        self.updates += 1
        return numbers

    def _why_zero(self, rows: Tensor, scores: Tensor, is_even: bool) -> str:
        if len(rows) * self.processes.count < 2:
            return "the batch has one row, which always has all the weight; use batches of at least two rows"
        if not scores.any():
            return (
                "all scores are zero, so no row moves the learner in a way that trusted rows notice. Is the trusted "
                "loss connected to the trained parameters, and does the optimizer hold them?"
            )
        if is_even:
            return "all scores are equal, to rounding; is the loss the same number for every row?"
        if bool((self.features[rows.to(self.device)] == self.features[int(rows[0])]).all()):
            return "all rows of the batch have the same features, so they cannot be told apart; add features"
        return "the network does not answer to its parameters; does it run under no_grad, or is its output constant?"

    def weights(self) -> np.ndarray:
        """Return the weight of every row (rows,), mean 1."""
        rows = torch.arange(self.count)
        alone = self.objective.log_weights(self.outputs(rows), Processes.alone()).double()
        w = torch.exp(alone - alone.max())
        return (w / w.mean()).cpu().numpy()

    def state_dict(self) -> dict[str, Any]:
        """Return everything that training changes."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": {name: list(values) for name, values in self.history.columns.items()},
            "updates": self.updates,
            "frozen": self.frozen,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a state that `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.history = History({name: list(values) for name, values in state["history"].items()})
        self.updates, self.frozen = state["updates"], state["frozen"]


def _standardized(values: np.ndarray) -> np.ndarray:
    """Columns (rows, k) with mean 0 and standard deviation 1, clipped at 5; a constant one becomes 0."""
    scale = values.std(axis=0)
    return np.clip((values - values.mean(axis=0)) / np.where(scale > 1e-9, scale, 1.0), -5, 5)


def _checked(features: np.ndarray | Tensor) -> np.ndarray:
    try:
        values = np.asarray(features.detach().cpu() if isinstance(features, Tensor) else features, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"features are no numbers ({error}); encode texts and categories as numbers first") from error
    if values.ndim != 2 or not values.size:
        raise DataError(f"features have shape {values.shape}; needed is one line of numbers a row, (rows, k)")
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        raise DataError(
            f"{len(bad)} features are not finite, first in row {bad[0, 0]}, column {bad[0, 1]}; fill or drop them"
        )
    if len(values) > 1 and (values == values[0]).all():
        raise DataError(
            "all rows have the same features, so nothing could be learned about any; add a feature that varies"
        )
    return values
