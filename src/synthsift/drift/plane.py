"""Divergences of laws in the plane, after the same small blur of all of them, summed on a grid.

Blurring two laws with one kernel can only lower their chi2, KL and total variation (data processing), mixing commutes
with it, and finite samples get a density. So every identity of the loop holds exactly for the blurred laws, and every
upper bound of the unblurred divergence bounds these. Laws in more dimensions are judged by their first two coordinates.

References
----------
Eqs. 7 to 9 of the specification of drift; arXiv:2602.16601v2, Section 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synthsift.drift.kernels import Kernels
from synthsift.records import DataError

TINY = 1e-300


@dataclass(frozen=True)
class Plane:
    """A square grid and the blur.

    Parameters
    ----------
    reach : float
        Half the side of the square, around the origin.
    num_cells : int
        Cells along a side.
    blur : float
        Variance h^2 that is added to every coordinate of every law.
    """

    reach: float
    num_cells: int = 80
    blur: float = 0.05

    def __post_init__(self) -> None:
        if not (self.reach > 0 and self.blur > 0 and self.num_cells >= 8):
            raise DataError(f"{self}: a positive reach and blur and at least 8 cells are needed")

    @property
    def places(self) -> np.ndarray:
        """Cell centers (g, 2)."""
        edge = (np.arange(self.num_cells) + 0.5) / self.num_cells * 2 * self.reach - self.reach
        return np.stack(np.meshgrid(edge, edge, indexing="ij"), axis=-1).reshape(-1, 2)

    def masses(self, law: Kernels) -> np.ndarray:
        """Probability of every cell (g,) under the blurred law, rescaled to sum 1."""
        density = np.exp(law.first(2).blurred(self.blur).evaluate(self.places)[0])
        return density / density.sum()

    def noise(self, law: Kernels, reference: np.ndarray) -> float:
        """What sampling adds to chi2(law || reference) on average when `law` is the points of a sample.

        (1/n) E int (K_h(x-X) - mean)^2 / reference: the square of a Gaussian kernel is one of half the variance.
        """
        side = 2 * self.reach / self.num_cells
        half = np.exp(law.first(2).blurred(self.blur / 2).evaluate(self.places)[0])
        squares = half / (4 * math.pi * self.blur) * side**4  # K_h^2 in masses of cells
        return float((np.sum(squares / np.maximum(reference, TINY)) - 1) / len(law.centers))


def chi2(law: np.ndarray, reference: np.ndarray) -> float:
    """chi2(law || reference) of cell masses."""
    return float(np.sum((law - reference) ** 2 / np.maximum(reference, TINY)))


def kl(law: np.ndarray, reference: np.ndarray) -> float:
    """KL(law || reference) of cell masses."""
    return float(np.sum(law * np.log(np.maximum(law, TINY) / np.maximum(reference, TINY))))


def total_variation(law: np.ndarray, reference: np.ndarray) -> float:
    """Half the L1 distance of cell masses."""
    return float(np.abs(law - reference).sum() / 2)


@dataclass(frozen=True)
class PlaneRound:
    """One round on the grid; all divergences are those of blurred laws in two coordinates.

    Parameters
    ----------
    drift, drift_noise : float
        D = chi2(phat_{i+1}||p_data), and the part of it that sampling adds.
    innovation, cross : float
        J and X of the exact recursion D_{i+1} = (1-alpha)^2 D_i + 2(1-alpha) X_i + J_i.
    one_round, one_round_noise : float
        I = chi2(phat_{i+1}||q_{i,t0}), against the law that the sampler aims at, and its sampling part.
    kl, tv_step : float
        KL and total variation of the same pair.
    tv, kl_data : float
        TV(phat_{i+1}, p_data) and KL(phat_{i+1}||p_data).
    truncation : float
        TV(q_{i,t0}, q_i): what stopping at t0 does.
    one_mix : float
        chi2(phat_{i+1}||q_i), against the mix itself.
    """

    drift: float
    drift_noise: float
    innovation: float
    cross: float
    one_round: float
    one_round_noise: float
    kl: float
    tv_step: float
    tv: float
    kl_data: float
    truncation: float
    one_mix: float


def measure_plane(plane: Plane, data: Kernels, old: Kernels, new: Kernels, *, alpha: float, t0: float) -> PlaneRound:
    """Measure one round.

    Parameters
    ----------
    plane : Plane
        Grid and blur.
    data, old, new : Kernels
        p_data, phat_i and phat_{i+1} (points).
    alpha : float
        Fresh fraction of q_i.
    t0 : float
        Time at which the sampler stops.

    Returns
    -------
    PlaneRound
        The divergences.
    """
    p, before, after = (plane.masses(law) for law in (data, old, new))
    mix, target = alpha * p + (1 - alpha) * before, plane.masses(data.blended(old, alpha).noised(t0))
    step, safe = after - mix, np.maximum(p, TINY)
    return PlaneRound(
        drift=chi2(after, p),
        drift_noise=plane.noise(new, p),
        innovation=float(np.sum(step**2 / safe)),
        cross=float(np.sum((before - p) / safe * step)),
        one_round=chi2(after, target),
        one_round_noise=plane.noise(new, target),
        kl=kl(after, target),
        tv_step=total_variation(after, target),
        tv=total_variation(after, p),
        kl_data=kl(after, p),
        truncation=total_variation(target, mix),
        one_mix=chi2(after, mix),
    )
