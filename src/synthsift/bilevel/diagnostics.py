"""Is the meta-network learning, and from how many rows? Signal-to-noise ratio and concentration of one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from synthsift.bilevel.objective import effective_size, shares

MAX_ROWS = 512  # per-row gradients are taken of at most so many rows of a batch


@dataclass
class History:
    """Numbers recorded along the meta-training, one list a name."""

    columns: dict[str, list[float]] = field(default_factory=dict)

    def append(self, step: int, numbers: dict[str, float]) -> None:
        """Add one row."""
        for name, value in {"step": float(step), **numbers}.items():
            self.columns.setdefault(name, []).append(value)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return one array a name."""
        return {name: np.array(values) for name, values in self.columns.items()}


def step_diagnostics(network: nn.Module, features: Tensor, scores: Tensor, loss: float) -> dict[str, float]:
    """Describe one step.

    Returns
    -------
    dict
        ``loss`` of the meta-objective; ``effective_batch`` 1/sum p^2 and ``effective_fraction`` of the batch;
        ``mean_weight``; ``largest_share`` max p; ``gsnr`` (see `gsnr`).
    """
    with torch.no_grad():
        log_weights = network(features)
        p = shares(log_weights)
    some = torch.linspace(0, len(p) - 1, min(len(p), MAX_ROWS)).long()  # a batch of all rows has the real ones first
    return {
        "loss": loss,
        "effective_batch": effective_size(p),
        "effective_fraction": effective_size(p) / len(p),
        "mean_weight": float(log_weights.exp().mean()),
        "largest_share": float(p.max()),
        "gsnr": gsnr(network, features[some], scores[some]) * len(p) / len(some),
    }


def gsnr(network: nn.Module, features: Tensor, scores: Tensor) -> float:
    """Return the signal-to-noise ratio of the meta-gradient of this batch, higher is better.

    With h_i = grad log w_i, relative weights pi_i = n p_i and G = mean pi_i (s_i - s)(h_i - h), the gradient of a batch
    of n rows has variance tr Cov(psi)/n, psi_i = pi_i [(s_i - s)(h_i - h) - G], so GSNR = n |G|^2 / mean |psi_i|^2.
    The squared norm of the estimated G contains its own noise, which is subtracted; the ratio is 0 where nothing is
    left.
    """
    params = {k: v.detach() for k, v in network.named_parameters()}

    def log_weight(at: dict[str, Tensor], row: Tensor) -> Tensor:
        return torch.func.functional_call(network, at, (row[None],))[0]

    per_row = torch.func.vmap(torch.func.grad(log_weight), in_dims=(None, 0))(params, features)
    h = torch.cat([g.reshape(len(features), -1) for g in per_row.values()], dim=1).double()  # (n, P)
    with torch.no_grad():
        p = shares(network(features)).double()
    s = scores.double()
    centered = (s - (p * s).sum())[:, None] * (h - p @ h)
    g = p @ centered
    n = len(p)
    psi = n * p[:, None] * (centered - g)
    noise = float((psi**2).sum(dim=1).mean()) / n
    return max(float((g**2).sum()) / noise - 1.0, 0.0) if noise > 0 else 0.0


def in_words(history: Mapping[str, np.ndarray]) -> str:
    """Return one line on the last step of a meta-training, for the terminal."""
    temper = float(history["temper"][0])
    if not len(history.get("effective_batch", ())):
        return f"Learned weights: power {temper:g} of what the meta-network says."
    last = {name: float(values[-1]) for name, values in history.items()}
    rows = last["effective_batch"] / max(last["effective_fraction"], 1e-12)
    return (
        f"Learned weights: {last['effective_batch']:,.0f} effective of {rows:,.0f} rows, mean weight "
        f"{last['mean_weight']:.2f}, largest share {100 * last['largest_share']:.2g} %, signal to noise "
        f"{last['gsnr']:.3g}; used to the power {temper:g}."
    )
