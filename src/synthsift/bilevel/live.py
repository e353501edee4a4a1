"""The signal and the two noises of a meta-gradient, from the batch it was computed on, and what to do about them.

With h_i = grad_phi out_i, shares p, relative weights pi_i = n p_i and G = E[(s_i - E s)(h_i - E h)] under p,

    psi_i = pi_i [(s_i - E s)(h_i - E h) - G],      variance from rows          V / N,  V = mean |psi_i|^2
    G_a, G_b from the two halves of the trusted rows,  variance from trusted rows  U / M = |G_a - G_b|^2 / 4
    GSNR = (|G|^2 - V/N - U/M) / (V/N + U/M)

The difference G_a - G_b is taken on the same training rows, so their noise cancels up to its own V / N, which is
subtracted. A ratio of t asks for V/N + U/M <= |G|^2 / t; at c_N and c_M the cost of a row, the cheapest such N and M
have N / M = sqrt(c_M V / (c_N U)).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from synthsift.bilevel.controls import ValueRegression
from synthsift.bilevel.metanet import Council
from synthsift.bilevel.processes import Processes
from synthsift.bilevel.selector import Selector

MAX_ROWS = 1024  # whose gradients are taken, per process
AT_ONCE = 256
FORGET = 0.7  # share of the past in the running means
COSTS = (1.0, 3.0)  # forwards of a scored row (own batch) and of a trusted row
WANTED = 1.0  # signal to noise
FEW_EFFECTIVE = 20  # rows, below which the measured ratio is not that of repeated draws


@dataclass(frozen=True)
class Noise:
    """One measurement.

    Parameters
    ----------
    signal : float
        Unbiased |G|^2; may be negative where noise hides it.
    rows, trusted : float
        V and U, variances of one row's and of one trusted row's contribution.
    num_rows, num_trusted : float
        N and M.
    largest_share : float
        max p.
    rows_there, trusted_there : float
        How many different rows a step could have at most; without end where nobody said.
    """

    signal: float
    rows: float
    trusted: float
    num_rows: float
    num_trusted: float
    largest_share: float
    rows_there: float = math.inf
    trusted_there: float = math.inf

    @property
    def gsnr(self) -> float:
        """Signal over both noises; 0 where the signal is hidden."""
        noise = self.rows / self.num_rows + self.trusted / self.num_trusted
        return max(self.signal, 0.0) / noise if noise > 0 else 0.0

    @property
    def gsnr_rows(self) -> float:
        """Signal over the rows' noise alone: what infinitely many trusted rows would give."""
        return max(self.signal, 0.0) * self.num_rows / self.rows if self.rows > 0 else 0.0

    def mixed(self, before: Noise | None) -> Noise:
        """Return the running mean of signal and variances, for as many rows as `before` was about."""
        if before is None:
            return self
        keep, add = FORGET, 1 - FORGET
        mean = replace(
            self,
            signal=keep * before.signal + add * self.signal,
            rows=keep * before.rows + add * self.rows,
            trusted=keep * before.trusted + add * self.trusted,
        )
        return mean.pooled(before.num_rows, before.num_trusted)

    def pooled(self, num_rows: float, num_trusted: float) -> Noise:
        """Return the same signal and variances for the rows and trusted rows that a step of the selector rests on.

        The largest share is that of the row that was seen, among so many with the same mean weight.
        """
        share = self.largest_share * self.num_rows / num_rows
        return replace(self, num_rows=float(num_rows), num_trusted=float(num_trusted), largest_share=share)

    def wanted(self) -> tuple[int, int] | None:
        """Return the cheapest N and M for a ratio of `WANTED`, however few rows there are; None without a signal."""
        if self.signal <= 0:
            return None
        c_n, c_m = COSTS
        cross = math.sqrt(self.rows * self.trusted)
        n = WANTED / self.signal * (self.rows + cross * math.sqrt(c_m / c_n))
        m = WANTED / self.signal * (self.trusted + cross * math.sqrt(c_n / c_m))
        return max(math.ceil(n), 1), max(math.ceil(m), 1)

    def reachable(self) -> tuple[float, float] | None:
        """Return the cheapest N and M for a ratio of `WANTED` among the rows that there are, or None."""
        found = self.wanted()
        if found is None:
            return None
        most_n, most_m = max(self.rows_there, self.num_rows), max(self.trusted_there, self.num_trusted)
        n, m = map(float, found)
        allowed = self.signal / WANTED  # of both noises together
        if n > most_n:
            n, m = most_n, _rows_for(self.trusted, allowed - self.rows / most_n)
        elif m > most_m:
            n, m = _rows_for(self.rows, allowed - self.trusted / most_m), most_m
        return (n, m) if n <= most_n and m <= most_m else None

    def numbers(self) -> dict[str, float]:
        """Return what the history keeps: ratios, the largest share, N and M as they are and as they should be."""
        rows, trusted = self.wanted() or (math.nan, math.nan)
        found = {"gsnr": self.gsnr, "gsnr_rows": self.gsnr_rows, "largest_share": self.largest_share}
        found |= {"batch_rows": self.num_rows, "trusted_rows": self.num_trusted}
        found |= {"rows_there": self.rows_there, "trusted_there": self.trusted_there}
        return found | {"rows_wanted": float(rows), "trusted_wanted": float(trusted)}

    @staticmethod
    def of_history(columns: Mapping[str, np.ndarray], part: slice) -> Noise:
        """Return the noise of a part of a training (medians of both ratios), in units of its signal."""
        names = ("batch_rows", "trusted_rows", "largest_share", "rows_there", "trusted_there")
        n, m, *others = (float(columns[name][part][-1]) for name in names)
        both, alone = (float(np.median(columns[name][part])) for name in ("gsnr", "gsnr_rows"))
        if not both > 0:
            return Noise(0.0, 1.0, 0.0, n, m, *others)
        return Noise(1.0, n / alone, max(m * (1 / both - 1 / alone), 0.0), n, m, *others)

    def sentence(self, effective: float = math.inf) -> str:
        """Say it in words; `effective` is the effective batch, a small one of which spoils the ratio."""
        return self._in_words() if effective >= FEW_EFFECTIVE else f"{self._in_words()} {self.warning(effective)}"

    @staticmethod
    def warning(effective: float) -> str:
        """Say what a small effective batch does to the ratio."""
        return (
            f"That ratio alone misleads while the effective batch is {effective:.2g}, below {FEW_EFFECTIVE}: few rows "
            "have all the weight, and agree with themselves. Raise the objective's fraction or strength first."
        )

    def _in_words(self) -> str:
        if self.wanted() is None:
            return f"No signal shows in the meta-gradient from {self.seen}: {self.advice()}."
        return f"The meta-gradient has a signal-to-noise ratio of {self.ratio()} {self.advice()}."

    @property
    def seen(self) -> str:
        """How many rows a step has."""
        return f"{self.num_rows:,.0f} rows and {self.num_trusted:,.0f} trusted rows a step"

    def ratio(self) -> str:
        """Return the ratio, and a sentence on where the noise comes from."""
        of_trusted, of_rows = self.trusted / self.num_trusted, self.rows / self.num_rows
        part = max(of_trusted, of_rows) / max(of_trusted + of_rows, 1e-300)
        source = "trusted rows" if of_trusted > of_rows else "training rows"
        told = "nearly all" if part >= 0.995 else f"{100 * part:.0f} %"
        return f"{in_digits(self.gsnr)} from {self.seen}; {told} of the noise comes from the {source}."

    def advice(self) -> str:
        """Return what would raise the ratio to `WANTED`; never more rows than there are."""
        found, is_hidden = self.reachable(), self.wanted() is None
        if found is not None:
            rows = f"{_told(found[0], self.rows_there, 'row')} and {_told(found[1], self.trusted_there, 'trusted row')}"
            rows = rows if rows.startswith("all") else f"about {rows}"
            if self.gsnr >= WANTED:
                return f"A ratio of {WANTED:g} would take {rows} a step, no more"
            return f"For a ratio of {WANTED:g} take {rows} a step"
        if self.num_rows >= self.rows_there and self.num_trusted >= self.trusted_there:
            if is_hidden:
                return "these are all there are, so only more data or more telling features could help"
            return "These are all there are, so only more data could lower the noise"
        if is_hidden:
            return "use larger batches, or more telling features"
        return (
            f"Even all {self.rows_there:,.0f} rows and {self.trusted_there:,.0f} trusted rows that there are would not "
            f"give a ratio of {WANTED:g}, though they would raise it"
        )


def _rows_for(variance: float, allowed: float) -> float:
    """Fewest rows whose noise is no more than what is allowed."""
    if allowed <= 0:
        return math.inf
    return float(max(math.ceil(variance / allowed), 1))


def in_digits(value: float) -> str:
    """A number to two digits, which is what a measured ratio is good for, without powers of ten."""
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def _told(count: float, there: float, what: str) -> str:
    """A number of rows in words."""
    if count >= there:
        return f"all {there:,.0f} {what}s"
    return f"{in_digits(count)} {what}{'s' * (count != 1)}"


def measure(
    selector: Selector,
    rows: Tensor,
    halves: tuple[Tensor, Tensor],
    num_trusted: int,
    trusted_there: float = math.inf,
) -> Noise:
    """Measure the meta-gradient of a batch; of many rows at most `MAX_ROWS` a process are looked at.

    Parameters
    ----------
    rows : Tensor (n,)
        Places of this process's rows.
    halves : tuple of Tensor (n,)
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
