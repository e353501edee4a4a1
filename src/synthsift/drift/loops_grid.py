"""The full diffusion recursion on a grid: every generation is the exact output of a reverse process with a wrong score.

Nothing is linearised or sampled, so the identities of `laws` and the bounds of `guarantees` can be asserted each round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from synthsift.drift.arguments import check_alpha
from synthsift.drift.grid import ReverseGrid, ScoreError
from synthsift.drift.guarantees import tv_guarantee
from synthsift.drift.laws import drift_law
from synthsift.records import DataError

#: Learns from a mix, given as its ratio to p_data (g,), and returns the error of the score that comes out.
Trainer = Callable[[np.ndarray], ScoreError]


@dataclass(frozen=True)
class GridRecursion:
    """What happened in each round.

    Parameters
    ----------
    alpha : float
        Fresh fraction.
    start : float
        Drift of the starting model.
    drift, innovation, cross : ndarray (N,)
        D = chi2(phat||p_data) after the round, J, and the cross term X that led to D.
    one_round, eps2, epshat2, eta, kl, tv_step : ndarray (N,)
        I = chi2(phat||q), energies, observability, one-round KL and TV.
    tv : ndarray (N,)
        TV(phat, p_data).
    ratio : ndarray (g,)
        phat_N/p_data at the end.
    """

    alpha: float
    start: float
    drift: np.ndarray
    innovation: np.ndarray
    cross: np.ndarray
    one_round: np.ndarray
    eps2: np.ndarray
    epshat2: np.ndarray
    eta: np.ndarray
    kl: np.ndarray
    tv_step: np.ndarray
    tv: np.ndarray
    ratio: np.ndarray

    @property
    def discounted(self) -> np.ndarray:
        """Discounted sum of the one-round divergences I, the kappa = 0 reading (N,)."""
        return drift_law(self.alpha, self.one_round, D0=self.start)

    @property
    def coherent(self) -> np.ndarray:
        """Discounted sum of amplitudes sqrt(J), squared: the kappa = 1 law and the rigorous ceiling (N,)."""
        return drift_law(self.alpha, self.innovation, kappa=1.0, D0=self.start)

    @property
    def tv_ceiling(self) -> np.ndarray:
        """Guarantee on the total variation from the score energies (N,)."""
        return tv_guarantee(self.alpha, np.sqrt(self.eps2))


def solve_recursion(
    grid: ReverseGrid, alpha: float, errors: Sequence[ScoreError], ratio: np.ndarray | None = None
) -> GridRecursion:
    """Retrain once per entry of `errors`, each time on alpha p_data + (1-alpha) phat.

    Parameters
    ----------
    grid : ReverseGrid
        Solver and data law.
    alpha : float
        Fresh fraction in [0, 1].
    errors : sequence of callable
        Score error of each round, relative to the score of that round's mix.
    ratio : ndarray (g,), optional
        phat_0/p_data; a perfect start by default.

    Returns
    -------
    GridRecursion
        All quantities of every round.

    Raises
    ------
    DataError
        If alpha is outside [0, 1] or there is no round.
    """
    return retrain(grid, alpha, [_always(error) for error in errors], ratio)


def _always(error: ScoreError) -> Trainer:
    """A trainer whose error does not depend on what it learns from."""
    return lambda _: error


def retrain(
    grid: ReverseGrid, alpha: float, trainers: Sequence[Trainer], ratio: np.ndarray | None = None
) -> GridRecursion:
    """Retrain once per trainer; as `solve_recursion`, but each score error may depend on that round's mix.

    Parameters
    ----------
    grid : ReverseGrid
        Solver and data law.
    alpha : float
        Fresh fraction in [0, 1].
    trainers : sequence of callable
        Score error of each round, given the mix.
    ratio : ndarray (g,), optional
        phat_0/p_data; a perfect start by default.

    Returns
    -------
    GridRecursion
        All quantities of every round.

    Raises
    ------
    DataError
        If alpha is outside [0, 1] or there is no round.
    """
    keep = 1 - float(check_alpha(alpha))
    if not trainers:
        raise DataError("no score error was given; give one per round")
    p = grid.data_masses
    u = np.zeros(grid.num_points) if ratio is None else np.asarray(ratio, dtype=np.float64) - 1
    start = float(p @ u**2)
    rows: list[tuple[float, ...]] = []
    for trainer in trainers:
        rho = 1 + keep * u
        step = grid.one_round(trainer(rho), rho)
        g = step.ratio - 1
        cross, innovation = float(p @ (rho * u * g)), float(p @ (rho * g) ** 2)
        u = keep * u + rho * g
        ends = (float(p @ u**2), innovation, cross, float(p @ np.abs(u)) / 2)
        rows.append((*ends, step.chi2, step.eps2, step.epshat2, step.eta, step.kl, step.tv))
    drift, innovations, crosses, tv, one, eps2, epshat2, eta, kl, tv_step = np.array(rows).T
    return GridRecursion(
        float(alpha), start, drift, innovations, crosses, one, eps2, epshat2, eta, kl, tv_step, tv, u + 1
    )
