"""The signal and the two noises of a meta-gradient, from the batch it was computed on.

With h_i = grad_phi out_i, shares p, relative weights pi_i = n p_i and G = E[(s_i - E s)(h_i - E h)] under p,

    psi_i = pi_i [(s_i - E s)(h_i - E h) - G],      variance from rows          V / N,  V = mean |psi_i|^2
    G_a, G_b from the two halves of the trusted rows,  variance from trusted rows  U / M = |G_a - G_b|^2 / 4
    GSNR = (|G|^2 - V/N - U/M) / (V/N + U/M)

The difference G_a - G_b is taken on the same training rows, so their noise cancels up to its own V / N, which is
subtracted. What to do about the two is in `noise`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from synthsift.bilevel.controls import ValueRegression
from synthsift.bilevel.metanet import Council
from synthsift.bilevel.noise import Noise
from synthsift.bilevel.processes import Processes
from synthsift.bilevel.selector import Selector

MAX_ROWS = 1024  # whose gradients are taken, per process
AT_ONCE = 256


def measure(
    selector: Selector,
    rows: Tensor,
    halves: Sequence[Tensor],
    num_trusted: int,
    trusted_there: float = math.inf,
) -> Noise:
    """Measure the meta-gradient of a batch; of many rows at most `MAX_ROWS` a process are looked at.

    Parameters
    ----------
    rows : Tensor (n,)
        Places of this process's rows.
    halves : two Tensor (n,)
        Scores by the first and by the second half of the trusted rows; the score is their mean.
    num_trusted : int
        M.
    trusted_there : float
        Trusted rows that a step could have at most.
    """
    some = spread_out(len(rows), MAX_ROWS)
    a, b = (half.to(selector.device)[some.to(selector.device)] for half in halves)
    w = selector.log_weights(rows).exp()
    h = row_gradients(selector.network, selector.features[rows[some].to(selector.device)])
    is_plain = isinstance(selector.objective, ValueRegression)
    found = noise_of(h, w, some, (a, b), num_trusted, selector.processes, alike=is_plain)
    return replace(found, rows_there=float(selector.count), trusted_there=float(trusted_there))


def measure_council(
    council: Council, features: Tensor, some: Tensor, halves: Sequence[Tensor], num_trusted: int
) -> Noise:
    """Measure the meta-gradients of the members, each of which follows its own: signals and variances add up.

    Parameters
    ----------
    features : Tensor (n, k)
        What the networks are told of the batch.
    some : Tensor (m,)
        Places in the batch that are looked at.
    halves : two Tensor (m,)
        Scores of these by the first and by the second half of the trusted rows.
    num_trusted : int
        M.
    """
    with torch.no_grad():
        every = council.each(features).double()  # (members, n)
    found = []
    for member, z in zip(council.members, every, strict=True):
        h = row_gradients(member, features[some])
        found.append(noise_of(h, z.exp(), some, (halves[0], halves[1]), num_trusted, Processes.alone()))
    signal, v, u = (sum(getattr(noise, name) for noise in found) for name in ("signal", "rows", "trusted"))
    largest = float(torch.softmax(every.mean(dim=0), dim=0).max())
    return Noise(signal, v, u, float(len(features)), float(num_trusted), largest)


def noise_of(
    h: Tensor,
    w_all: Tensor,
    some: Tensor,
    halves: tuple[Tensor, Tensor],
    num_trusted: int,
    processes: Processes,
    *,
    alike: bool = False,
) -> Noise:
    """Return both noises of Cov_p(s, h), by the formulas above.

    Parameters
    ----------
    h : Tensor (m, P)
        Gradients of the outputs of the rows that are looked at.
    w_all : Tensor (n,)
        Weights of all rows of this process, float64.
    some : Tensor (m,)
        Places of the former among the latter.
    halves : tuple of Tensor (m,)
        Their scores by each half of the trusted rows.
    num_trusted : int
        M.
    processes : Processes
        Over which everything is summed.
    alike : bool
        Every row counts the same, whatever its weight.
    """
    sums, device = processes.sum, w_all.device
    total, count = sums(torch.stack([w_all.sum(), torch.full_like(w_all.sum(), len(w_all))])).tolist()
    h = h.double()
    w = torch.ones(len(some), dtype=torch.float64, device=device) if alike else w_all[some.to(device)]
    a, b = (half.double() for half in halves)
    top = sums(torch.stack([w.sum(), (w * (a + b) / 2).sum(), (w * (a - b)).sum(), torch.ones_like(w).sum()]))
    weight, looked = top[0], float(top[3])
    mean_h = sums(w @ h) / weight
    s, d = (a + b) / 2 - top[1] / weight, a - b - top[2] / weight
    centered = h - mean_h
    g, g_d = (sums(w @ (x[:, None] * centered)) / weight for x in (s, d))
    noise = []
    for x, mean in ((s, g), (d, g_d)):
        psi = (looked * w / weight)[:, None] * (x[:, None] * centered - mean)
        noise.append(float(sums((psi**2).sum())) / looked)
    v = noise[0]
    u = max(float((g_d**2).sum()) - noise[1] / looked, 0.0) / 4 * num_trusted
    signal = float((g**2).sum()) - v / looked - u / num_trusted
    return Noise(signal, v, u, count, float(num_trusted), processes.max(w_all.max()) / total)


def drawn_rows(wanted: int, count: int, steps: int) -> float:
    """Return the trusted rows that are worth as much as `steps` draws of `wanted` out of `count` without replacement.

    The mean over a draw has the variance U (1/wanted - 1/count) beside that of all rows, U / count; draws average the
    former and not the latter.
    """
    return 1 / ((1 / wanted - 1 / count) / steps + 1 / count)


def spread_out(count: int, most: int) -> Tensor:
    """Return at most so many places from all over a batch: one of all rows has the real ones first."""
    return torch.linspace(0, count - 1, min(count, most)).long()


def row_gradients(network: nn.Module, features: Tensor) -> Tensor:
    """Return the gradient of each row's output by the network's parameters (n, P)."""
    params = {k: v.detach() for k, v in network.named_parameters()}

    def output(at: dict[str, Tensor], row: Tensor) -> Tensor:
        return torch.func.functional_call(network, at, (row[None],))[0]

    per_row = torch.func.vmap(torch.func.grad(output), in_dims=(None, 0))
    parts = []
    for part in features.split(AT_ONCE):
        found = per_row(params, part)
        parts.append(torch.cat([g.reshape(len(part), -1) for g in found.values()], dim=1))
    return torch.cat(parts)
