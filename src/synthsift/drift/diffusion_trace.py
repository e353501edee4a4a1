"""A finished loop of trained models, held against every law and bound of the theory.

Sampling, the start at N(0, I), the end at t0 and the size of time steps are outside the published bounds. Each has a
term of its own here: the sampling part of chi2 is subtracted, the start and the frozen drift of a step enter the energy
of the bound on KL, and the end at t0 enters the guarantee on the total variation.

References
----------
Khelifa, Turner, Venkataramanan, arXiv:2602.16601v2, Prop. 3.1, Prop. 3.3, Thm 3.4, Prop. 4.1, Thm 4.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthsift.drift.diffusion_loop import LoopStep, PathMeasures
from synthsift.drift.guarantees import kl_ceiling, one_round_band, pair_floor, step_bounds, tv_guarantee
from synthsift.drift.laws import contributions, drift_law, next_drift
from synthsift.drift.plane import PlaneRound
from synthsift.records import DataError


@dataclass(frozen=True)
class LoopTrace:
    """What happened in each round and what theory says of it; all arrays (N,).

    Parameters
    ----------
    alpha : float
        Fresh fraction.
    paths : tuple of PathMeasures
        Score errors of the rounds.
    plane : tuple of PlaneRound
        Divergences of the rounds.
    losses : ndarray (N,)
        Mean training loss of the last tenth of each training.
    """

    alpha: float
    paths: tuple[PathMeasures, ...]
    plane: tuple[PlaneRound, ...]
    losses: np.ndarray

    def path(self, name: str) -> np.ndarray:
        """One field of `PathMeasures` by round."""
        return np.array([getattr(p, name) for p in self.paths])

    def grid(self, name: str) -> np.ndarray:
        """One field of `PlaneRound` by round."""
        return np.array([getattr(p, name) for p in self.plane])

    @property
    def drift(self) -> np.ndarray:
        """D without its sampling part; lower is better."""
        return self.grid("drift") - self.grid("drift_noise")

    @property
    def recursion_gap(self) -> np.ndarray:
        """D_{i+1} minus the exact recursion of D_i, X_i and J_i: rounding."""
        before = np.concatenate(([0.0], self.grid("drift")[:-1]))
        return self.grid("drift") - next_drift(before, self.grid("cross"), self.grid("innovation"), self.alpha)

    @property
    def step_band(self) -> tuple[np.ndarray, np.ndarray]:
        """Rigorous bounds on D_{i+1} from D_i and J_i (Eq. 9)."""
        before = np.concatenate(([0.0], self.grid("drift")[:-1]))
        return step_bounds(before, self.grid("innovation"), self.alpha)

    @property
    def discounted(self) -> np.ndarray:
        """Discounted sum of J: what D would be if errors of different rounds were unrelated."""
        return drift_law(self.alpha, self.grid("innovation"))

    @property
    def coherent(self) -> np.ndarray:
        """The coherent law, also a ceiling of D: what it would be if every round made the same error."""
        return drift_law(self.alpha, self.grid("innovation"), kappa=1.0)

    @property
    def heat(self) -> np.ndarray:
        """What is left of each past innovation at each later round (N, N)."""
        return contributions(self.alpha, self.grid("innovation"))

    @property
    def pair_margin(self) -> np.ndarray:
        """D_{i+1} + (1-alpha)^2 D_i minus its floor alpha chi2(phat_{i+1}||q_i)/2 (Prop. 4.1); never below 0."""
        before = np.concatenate(([0.0], self.grid("drift")[:-1]))
        return self.grid("drift") + (1 - self.alpha) ** 2 * before - pair_floor(self.alpha, self.grid("one_mix"))

    @property
    def kl_ceilings(self) -> np.ndarray:
        """Most that KL(phat_{i+1}||q_{i,t0}) can be: half the sampler's energy plus the start (NaN for the ODE)."""
        half = np.array([kl_ceiling(e) if math.isfinite(e) else math.nan for e in self.path("sampler_energy")])
        return half + self.path("start_kl")

    @property
    def kl_small_step(self) -> np.ndarray:
        """The published ceiling epshat^2/2, which leaves out start and time steps."""
        return self.path("epshat2") / 2

    @property
    def bands(self) -> np.ndarray:
        """The band eta eps^2/4 to 4 eps^2 around I (N, 2)."""
        return np.array([one_round_band(p.eta, p.eps2) for p in self.paths])

    @property
    def tv_ceilings(self) -> np.ndarray:
        """Guarantee on TV(phat_N, p_data) from the sampler's energies, the start and the end at t0.

        Sampling moves a measured total variation up by about sqrt(noise)/2 on top of it.
        """
        eps = np.sqrt(2 * self.kl_ceilings) + 2 * self.grid("truncation")
        return tv_guarantee(self.alpha, eps) if np.isfinite(eps).all() else np.full(len(eps), math.nan)

    @property
    def tv_small_step(self) -> np.ndarray:
        """The guarantee from eps* alone (Eq. 13)."""
        return tv_guarantee(self.alpha, np.sqrt(self.path("eps2")))

    def columns(self) -> dict[str, list[Any]]:
        """Everything by round, for a table."""
        low, high = self.step_band
        found: dict[str, np.ndarray] = {"round": np.arange(1, len(self.paths) + 1)}
        for name in ("eps2", "eps2_error", "epshat2", "epshat2_error", "eta"):
            found[name] = self.path(name)
        found |= {"sampler_energy": self.path("sampler_energy"), "start_kl": self.path("start_kl")}
        for name in ("one_round", "one_round_noise", "innovation", "cross"):
            found[name] = self.grid(name)
        found |= {"drift_raw": self.grid("drift"), "drift_noise": self.grid("drift_noise"), "drift": self.drift}
        found |= {"drift_low": low, "drift_high": high, "discounted": self.discounted, "coherent": self.coherent}
        found |= {"band_low": self.bands[:, 0], "band_high": self.bands[:, 1]}
        found |= {"kl": self.grid("kl"), "kl_small_step": self.kl_small_step, "kl_ceiling": self.kl_ceilings}
        found |= {"kl_data": self.grid("kl_data"), "tv_step": self.grid("tv_step"), "tv": self.grid("tv")}
        found |= {"tv_small_step": self.tv_small_step, "tv_ceiling": self.tv_ceilings}
        found |= {"truncation": self.grid("truncation"), "loss": self.losses}
        return {name: values.tolist() for name, values in found.items()}


def trace_loop(alpha: float, steps: Sequence[LoopStep]) -> LoopTrace:
    """Gather the rounds of a loop.

    Raises
    ------
    DataError
        If there is none.
    """
    if not steps:
        raise DataError("the loop has no finished round; run at least one")
    losses = [float(s.model.losses[-max(1, len(s.model.losses) // 10) :].mean()) for s in steps]
    return LoopTrace(float(alpha), tuple(s.paths for s in steps), tuple(s.plane for s in steps), np.array(losses))
