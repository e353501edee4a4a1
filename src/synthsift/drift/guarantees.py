"""Bounds on drift that hold without knowing how errors of different rounds line up.

All of them are triangle inequalities: in L2(p_data) for chi2 (Eq. 9), in total variation (Eq. 13), plus the published
floor (Prop. 4.1), kept for comparison although Eq. 9 is sharper by 8 to 13 times.

References
----------
Khelifa, Turner, Venkataramanan, arXiv:2602.16601v2, Prop. 3.1, Prop. 3.3, Thm 3.4, Prop. 4.1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from synthsift.drift.arguments import check_alpha, check_nonnegative, check_steady_alpha
from synthsift.drift.laws import drift_law
from synthsift.records import DataError


def step_bounds(drift: ArrayLike, innovation: ArrayLike, alpha: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest possible D_{i+1}: ((1-alpha) sqrt D_i -+ sqrt J_i)^2 (Eq. 9).

    Parameters
    ----------
    drift, innovation : array_like
        D_i and J_i.
    alpha : array_like
        Fresh fraction.

    Returns
    -------
    low, high : ndarray
        Bounds on D_{i+1}.
    """
    old = (1 - check_alpha(alpha)) * np.sqrt(check_nonnegative("the drift D", drift))
    new = np.sqrt(check_nonnegative("the innovation J", innovation))
    return (old - new) ** 2, (old + new) ** 2


def drift_ceiling(alpha: ArrayLike, innovation: ArrayLike, D0: float = 0.0) -> np.ndarray:
    """Largest possible D_N after each round (Eq. 9, summed): the coherent law; shape (N,)."""
    return drift_law(alpha, innovation, kappa=1.0, D0=D0)


def steady_bounds(alpha: float, smallest: float, largest: float) -> tuple[float, float]:
    """Bounds on limsup D when smallest <= J_i <= largest: smallest/(2-alpha)^2 and largest/alpha^2.

    Raises
    ------
    DataError
        If alpha is 0 (no steady state) or the innovations are not 0 <= smallest <= largest.
    """
    a = check_steady_alpha(alpha)
    low, high = float(check_nonnegative("the smallest J", smallest)), float(check_nonnegative("the largest J", largest))
    if low > high:
        raise DataError(f"the smallest innovation {low:.4g} is above the largest {high:.4g}; swap them")
    return low / (2 - a) ** 2, high / a**2


def published_floor(alpha: float, eta: float, eps2: float) -> float:
    """Prop. 4.1(b): limsup D >= alpha eta eps*^2 / (16 (1+(1-alpha)^2)).

    Parameters
    ----------
    alpha : float
        Fresh fraction.
    eta : float
        Observability in [0, 1] that every round exceeds.
    eps2 : float
        Score error energy eps*^2 that every round exceeds.

    Returns
    -------
    float
        Floor on the drift.
    """
    a = float(check_alpha(alpha))
    return a * _observed(eta, eps2) / (16 * (1 + (1 - a) ** 2))


def sharp_floor(alpha: float, one_round: float) -> float:
    """Floor limsup D >= alpha I_min/(2-alpha)^2, where I_min bounds chi2(phat_{i+1}||q_i) from below every round."""
    a = float(check_alpha(alpha))
    return a * float(check_nonnegative("the one-round divergence I", one_round)) / (2 - a) ** 2


def pair_floor(alpha: float, one_round: ArrayLike) -> np.ndarray:
    """Prop. 4.1: D_{i+1} + (1-alpha)^2 D_i is at least alpha I_i/2; returns that floor."""
    return check_alpha(alpha) * check_nonnegative("the one-round divergence I", one_round) / 2


def tv_guarantee(alpha: ArrayLike, eps: ArrayLike, tv0: float = 0.0) -> np.ndarray:
    """TV(phat_N, p_data) <= (1-alpha)^N TV_0 + 1/2 sum_i (1-alpha)^{N-1-i} eps_i (Eq. 13).

    Needs nothing but finite score errors; eps may be measured along the ideal or the learned path.

    Parameters
    ----------
    alpha, eps : float or array_like (N,)
        Fresh fraction and root score error energy of each round.
    tv0 : float
        Total variation of the starting model, in [0, 1].

    Returns
    -------
    ndarray (N,)
        Bounds for N = 1, 2, ...; total variation is half the L1 distance, so a bound of 1 or more says nothing.
    """
    if not 0 <= tv0 <= 1:
        raise DataError(f"the starting total variation is {tv0!r}; it must lie in [0, 1]")
    energy = (check_nonnegative("the score error eps", eps) / 2) ** 2
    return np.sqrt(drift_law(alpha, energy, kappa=1.0, D0=tv0**2))


def steady_tv(alpha: float, eps: float) -> float:
    """Steady-state form of `tv_guarantee`, eps/(2 alpha); 1 or more says nothing."""
    return float(check_nonnegative("the score error eps", eps)) / (2 * check_steady_alpha(alpha))


def one_round_band(eta: float, eps2: float) -> tuple[float, float]:
    """Leading terms of Prop. 3.3 and Thm 3.4, eta eps^2/4 <= I <= 4 eps^2; the sharp value is eta eps^2.

    The remainders (order eps^4) have constants that cannot be computed for a real model: guard rails, not forecasts.
    """
    return _observed(eta, eps2) / 4, 4 * eps2


def kl_ceiling(epshat2: float) -> float:
    """Prop. 3.1: KL(phat_{i+1}||q_i) <= epshat^2/2, with the energy along the learned path."""
    return float(check_nonnegative("the score error energy", epshat2)) / 2


def one_round_tv(eps2: float, epshat2: float = math.inf) -> float:
    """Pinsker: TV(phat_{i+1}, q_i) <= min(eps*, epshat)/2; either energy will do."""
    return math.sqrt(float(check_nonnegative("the score error energy", min(eps2, epshat2)))) / 2


def _observed(eta: float, eps2: float) -> float:
    """Product eta eps^2 after checking both."""
    if not 0 <= eta <= 1:
        raise DataError(f"the observability eta is {eta!r}; it must lie in [0, 1]")
    return eta * float(check_nonnegative("the score error energy eps^2", eps2))
