"""What the selector minimizes, as one number a row: the derivative of the objective by the selector's output.

The selector's gradient is sum_i c_i grad_phi out_i, so an objective is a rule from all outputs and scores, over chunks,
processes and replayed steps, to the coefficients c. Only sums are needed for that, which is why the batch may be of any
size. Scores are divided by their standard deviation: no learning rate or strength depends on the scale of a loss.

With w_i = exp(out_i), p_i = w_i / sum w, E the mean under p and s standardized:

    SelfNormalized   c_i = p_i [ strength (log p_i - E log p) - (s_i - E s) ]          mts: exact meta-gradient + KL
    EffectiveBatch   the same, with the strength that moves 1 / sum p^2 towards its target
    ValueRegression  c_i = (out_i - s_i) / n; weights exp(b out) with b solved for a target
    Unnormalized     c_i = - w_i s_i / n, s divided by its root mean square    Meta-Weight-Net (Shu et al. 2019)
    LearnToReweight  no selector: p_i = max(s_i, 0) / sum_j max(s_j, 0)         L2R (Ren et al. 2018)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from synthsift.bilevel.processes import Processes
from synthsift.records import DataError

GRID, ROUNDS = 64, 5  # of the search for b: (1 / 63)^5 = 1e-9 of its range
ROWS_AT_ONCE = 4096  # of the grid in memory: 2 MiB
STEEPEST = 50.0  # largest b, in units of 1 / (standard deviation of the outputs)


class Objective(Protocol):
    """What the selector is trained for."""

    normalized: bool  # whether a row's share of the learner's loss is divided by the sum of the weights

    def coefficients(self, outputs: Tensor, scores: Tensor, processes: Processes) -> tuple[Tensor, dict[str, float]]:
        """Return c (n,) of this process's rows, and numbers for the history.

        Among these, ``relative_spread`` of the scores over all processes is what lets `Selector.update` refuse scores
        that say nothing; ``effective_batch`` and ``effective_fraction`` are what summaries speak of.
        """
        ...

    def log_weights(self, outputs: Tensor, processes: Processes) -> Tensor:
        """Return the log-weights (n,) of this process's rows."""
        ...


@dataclass(frozen=True)
class Sums:
    """Sums over all rows of all processes that a normalized objective is made of."""

    n: float
    w: float
    ws: float
    wz: float
    s: float
    ss: float
    ww: float
    wws: float
    wwz: float

    @staticmethod
    def of(z: Tensor, s: Tensor, processes: Processes) -> Sums:
        """Take them, in one reduction; z, s (n,) are float64 log-weights and scores."""
        w = z.exp()
        ww = w * w  # products of vectors, so that no more than two are made
        terms = [w.sum(), w @ s, w @ z, s.sum(), s @ s, ww.sum(), ww @ s, ww @ z]
        count = torch.full_like(terms[0], len(w))
        return Sums(*processes.sum(torch.stack([count, *terms])).tolist())

    @property
    def spread(self) -> float:
        """Standard deviation of the scores, 0 for one row or equal scores."""
        variance = (self.ss - self.s**2 / self.n) / max(self.n - 1, 1)
        return variance**0.5 if variance > 1e-24 * self.ss / self.n else 0.0

    @property
    def relative_spread(self) -> float:
        """Standard deviation of the scores in units of their root mean square; below about 1e-8 it is rounding."""
        if not self.ss > 0:
            return self.ss  # 0, or not a number
        return max((self.ss - self.s**2 / self.n) / self.ss, 0.0) ** 0.5

    @property
    def effective(self) -> float:
        """1 / sum p^2."""
        return self.w**2 / self.ww

    def evenness(self) -> dict[str, float]:
        """What `Selector.update` tells a step without information by."""
        return {"relative_spread": self.relative_spread}

    def numbers(self, strength: float) -> dict[str, float]:
        """Objective and concentration, for the history."""
        mean_s, mean_log = self.ws / self.w, self.wz / self.w - _log(self.w)
        gain = (mean_s - self.s / self.n) / self.spread if self.spread else 0.0
        divergence = mean_log + _log(self.n)
        return {
            "loss": strength * divergence - gain,
            "effective_batch": self.effective,
            "effective_fraction": self.effective / self.n,
            "mean_weight": self.w / self.n,
            "strength": strength,
        }


def _check_strength(name: str, value: float) -> None:
    if not 0 <= value < float("inf"):  # not a number, too
        raise DataError(f"{name} is {value}; the pull to equal weights is a finite number, at least 0")


def _log(value: float) -> float:
    return float(torch.tensor(value, dtype=torch.float64).log())


@dataclass(frozen=True)
class SelfNormalized:
    """Minus the mean score under p, plus a pull to equal weights.

    Parameters
    ----------
    strength : float
        Of KL(p || uniform); 0 is the bare meta-gradient, whose optimum is all weight on one row.
    """

    strength: float = 0.3
    normalized = True

    def __post_init__(self) -> None:
        _check_strength("strength", self.strength)

    def coefficients(self, outputs: Tensor, scores: Tensor, processes: Processes) -> tuple[Tensor, dict[str, float]]:
        """Return c (n,) and numbers."""
        z, s = outputs.double(), scores.double()
        sums = Sums.of(z, s, processes)
        return _normalized(z, s, sums, self.strength), sums.numbers(self.strength) | sums.evenness()

    def log_weights(self, outputs: Tensor, processes: Processes) -> Tensor:
        """Return the outputs: they are log-weights."""
        return outputs


@dataclass(frozen=True)
class EffectiveBatch:
    """The self-normalized objective, steered to a chosen effective batch.

    Along dz_i = s_i - E s - strength (log p_i - E log p), log B_eff changes at the rate a + strength b with
    a = -2 (E_q s - E s), b = 2 (E_q log p - E log p) >= 0, q proportional to p^2. The strength is the one, at least 0,
    for which that rate is ``log(fraction) - log(B_eff / n)``: above the target the batch may concentrate, below it is
    pulled back. With `least` above 0 the fraction is a floor: the pull never gets weaker than that, and rows only
    concentrate as far as features explain their scores.

    Parameters
    ----------
    fraction : float
        Target, or floor, of B_eff / n, in (0, 1).
    least : float
        Smallest strength; 0 makes the fraction a target from both sides.
    """

    fraction: float = 0.5
    least: float = 1.0
    normalized = True

    def __post_init__(self) -> None:
        if not 0 < self.fraction < 1:
            raise DataError(f"fraction is {self.fraction}; a target of B_eff / n lies between 0 and 1")
        _check_strength("least", self.least)

    def strength(self, sums: Sums) -> float:
        """Return the strength for batches of these sums."""
        slope = 2 * (sums.wwz / sums.ww - sums.wz / sums.w)
        if not sums.spread or slope <= 1e-12:  # equal weights: nothing to pull back
            return self.least
        drift = -2 * (sums.wws / sums.ww - sums.ws / sums.w) / sums.spread
        gap = _log(self.fraction) - _log(sums.effective / sums.n)
        return min(max((gap - drift) / slope, self.least), 1e6)

    def coefficients(self, outputs: Tensor, scores: Tensor, processes: Processes) -> tuple[Tensor, dict[str, float]]:
        """Return c (n,) and numbers."""
        z, s = outputs.double(), scores.double()
        sums = Sums.of(z, s, processes)
        strength = self.strength(sums)
        return _normalized(z, s, sums, strength), sums.numbers(strength) | sums.evenness()

    def log_weights(self, outputs: Tensor, processes: Processes) -> Tensor:
        """Return the outputs: they are log-weights."""
        return outputs


def _normalized(z: Tensor, s: Tensor, sums: Sums, strength: float) -> Tensor:
    """p_i [strength (log p_i - E log p) - (s_i - E s) / spread]."""
    p = z.exp() / sums.w
    reward = (s - sums.ws / sums.w) / sums.spread if sums.spread else torch.zeros_like(s)
    return p * (strength * (z - sums.wz / sums.w) - reward)


@dataclass(frozen=True)
class ValueRegression:
    """Least squares of the outputs on standardized scores; no normalizer, so every row counts and none can win.

    Parameters
    ----------
    fraction : float
        Target of B_eff / n of the weights exp(b out), in (0, 1); it decides b.
    """

    fraction: float = 0.5
    normalized = True

    def __post_init__(self) -> None:
        if not 0 < self.fraction < 1:
            raise DataError(f"fraction is {self.fraction}; a target of B_eff / n lies between 0 and 1")

    def coefficients(self, outputs: Tensor, scores: Tensor, processes: Processes) -> tuple[Tensor, dict[str, float]]:
        """Return c (n,) and numbers."""
        v, s = outputs.double(), scores.double()
        sums = Sums.of(torch.zeros_like(v), s, processes)
        target = (s - sums.s / sums.n) / sums.spread if sums.spread else torch.zeros_like(s)
        error = processes.sum(((v - target) ** 2).sum()) / (2 * sums.n)
        z = self.log_weights(v, processes)
        weighted = Sums.of(z, s, processes)
        numbers = weighted.numbers(0.0) | {"loss": float(error)} | sums.evenness()
        return (v - target) / sums.n, numbers

    def log_weights(self, outputs: Tensor, processes: Processes) -> Tensor:
        """Return b * out, b such that the rows of all processes have the effective fraction that was asked for."""
        v = outputs.double()
        return tempered(v, self.fraction, processes).to(outputs.dtype)


def tempered(values: Tensor, fraction: float, processes: Processes) -> Tensor:
    """Return b * (values - top) (n,) with the b >= 0 that gives weights exp(b v) the effective fraction `fraction`.

    B_eff falls as b rises, so b lies between two neighbors of a grid; each round of the search lays a finer grid there,
    and takes one reduction over processes.

    Parameters
    ----------
    values : Tensor (n,)
        float64.
    fraction : float
        Of all rows of all processes. Where so few values are large that it cannot be reached, b is the steepest.
    """
    count, total, square = processes.sum(
        torch.stack([torch.full_like(values.sum(), len(values)), values.sum(), (values**2).sum()])
    ).tolist()
    variance = square / count - (total / count) ** 2
    if not variance > 1e-20 * max(square / count, 1e-300):
        return torch.zeros_like(values)
    v = (values - total / count) / variance**0.5
    low, high = 0.0, STEEPEST
    for _ in range(ROUNDS):
        b = torch.linspace(low, high, GRID, dtype=v.dtype, device=v.device)
        first, second = processes.sum(_power_sums(v, b))
        above = int((first**2 / second >= fraction * count).sum())  # a prefix of the grid
        if above >= GRID:
            return (high * v).clamp(max=300.0)
        low, high = float(b[max(above - 1, 0)]), float(b[above])
    return ((low + high) / 2 * v).clamp(max=300.0)


def _power_sums(v: Tensor, b: Tensor) -> Tensor:
    """Return sums (2, grid) over rows of exp(b v) and of its square, with memory for a few rows at a time."""
    sums = torch.zeros(2, len(b), dtype=v.dtype, device=v.device)
    for part in v.split(ROWS_AT_ONCE):
        w = torch.exp((b[:, None] * part).clamp(max=300.0))  # (grid, rows); its square stays finite
        sums += torch.stack([w.sum(dim=1), (w * w).sum(dim=1)])
    return sums


@dataclass(frozen=True)
class Unnormalized:
    """Meta-Weight-Net as its authors' stable code has it: the learner's loss is the mean of w_i l_i."""

    normalized = False

    def coefficients(self, outputs: Tensor, scores: Tensor, processes: Processes) -> tuple[Tensor, dict[str, float]]:
        """Return c (n,) and numbers."""
        z, s = outputs.double(), scores.double()
        sums = Sums.of(z, s, processes)
        size = (sums.ss / sums.n) ** 0.5
        numbers = sums.numbers(0.0) | {"loss": -sums.ws / sums.n / size if size else 0.0} | sums.evenness()
        return -z.exp() * s / (sums.n * size) if size else torch.zeros_like(s), numbers

    def log_weights(self, outputs: Tensor, processes: Processes) -> Tensor:
        """Return the outputs: they are log-weights."""
        return outputs


@dataclass(frozen=True)
class LearnToReweight:
    """L2R: each batch is weighted by the positive part of its own scores, taken at the learner as it stands."""

    normalized = True

    def shares(self, scores: Tensor, processes: Processes) -> Tensor:
        """Return p (n,), summing to 1 over processes; all 0 where no score is positive."""
        positive = scores.double().clamp(min=0)
        total = float(processes.sum(positive.sum()))
        return positive / total if total > 0 else torch.zeros_like(positive)
