"""Laws of drift in a loop that retrains a generator on a mix of fresh data and its own samples.

Generation i has the law phat_i, the training mix is q_i = alpha p_data + (1-alpha) phat_i, and phat_{i+1} is trained on
q_i. Mixing shrinks every squared distance by (1-alpha)^2, training adds an innovation J_i, and how innovations of
different rounds line up (the coherence kappa) decides how they add. Rigorous bounds are in `guarantees`.

References
----------
Khelifa, Turner, Venkataramanan, "Quantifying Error Propagation and Model Collapse in Diffusion Models",
arXiv:2602.16601v2, Section 4; the exact recursion and the coherent law are derived from Eq. (q_i) above.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from synthsift.drift.arguments import check_alpha, check_kappa, check_nonnegative, check_steady_alpha
from synthsift.drift.traces import FreshFraction
from synthsift.records import DataError

EXACT_REFRESH = {"chi2": 2, "mmd2": 2, "energy": 2, "l2": 2, "mean2": 2, "tv": 1, "w1": 1, "mmd": 1}
BOUNDED_REFRESH = {"kl": 1, "reverse_kl": 1, "js": 1, "hellinger2": 1, "w2_squared": 1}


@dataclass(frozen=True)
class Refresh:
    """Factor by which mixing with fresh data shrinks a distance; an upper bound only where `is_exact` is False."""

    factor: float
    is_exact: bool


def refresh_factor(measure: str, alpha: float) -> Refresh:
    """Ratio of the distance of the mix q to that of the model phat, both from the real data.

    Parameters
    ----------
    measure : str
        One of `EXACT_REFRESH` (an identity) or `BOUNDED_REFRESH` (convexity: at most 1-alpha).
    alpha : float
        Fresh fraction.

    Returns
    -------
    Refresh
        (1-alpha)^2 for squared norms, 1-alpha for norms and for the bounds.

    Raises
    ------
    DataError
        If the measure obeys no such law (the Frechet distance does not) or alpha is outside [0, 1].
    """
    keep = 1 - float(check_alpha(alpha))
    for powers, is_exact in ((EXACT_REFRESH, True), (BOUNDED_REFRESH, False)):
        if measure in powers:
            return Refresh(keep ** powers[measure], is_exact)
    known = ", ".join([*EXACT_REFRESH, *BOUNDED_REFRESH])
    raise DataError(
        f"{measure!r} has no refresh law (the Frechet distance has none); the measures with one are {known}"
    )


def next_drift(drift: ArrayLike, cross: ArrayLike, innovation: ArrayLike, alpha: ArrayLike) -> np.ndarray:
    """Exact recursion D_{i+1} = (1-alpha)^2 D_i + 2(1-alpha) X_i + J_i, with X_i = E_{q_i}[u_i g_i].

    Parameters
    ----------
    drift, cross, innovation : array_like
        D_i, X_i and J_i.
    alpha : array_like
        Fresh fractions.

    Returns
    -------
    ndarray
        D_{i+1}.
    """
    keep = 1 - check_alpha(alpha)
    return keep**2 * np.asarray(drift) + 2 * keep * np.asarray(cross) + np.asarray(innovation)


def _rounds(alpha: ArrayLike, J: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Per-round fresh fractions and innovations, broadcast to one length."""
    alphas, innovations = np.atleast_1d(check_alpha(alpha)), np.atleast_1d(check_nonnegative("the innovation J", J))
    lengths = {a.size for a in (alphas, innovations) if a.size != 1}
    if alphas.ndim > 1 or innovations.ndim > 1 or len(lengths) > 1:
        raise DataError(f"alpha has {alphas.size} rounds and J has {innovations.size}; give one value or one per round")
    alphas, innovations = np.broadcast_arrays(alphas, innovations)
    return alphas, innovations


def drift_law(alpha: ArrayLike, J: ArrayLike, kappa: float = 0.0, D0: float = 0.0) -> np.ndarray:
    """Expected drift D_N = (1-kappa) Q_N + kappa S_N^2 after each round.

    Q_N = sum_i prod (1-alpha)^2 J_i adds energies (uncorrelated errors, exact in expectation), S_N adds amplitudes
    (the same error each round, exact to first order in D). S_N^2 is also a rigorous upper bound.

    Parameters
    ----------
    alpha : float or array_like (N,)
        Fresh fraction, one for all rounds or one per round.
    J : float or array_like (N,)
        Innovation of each round, in the units of D.
    kappa : float
        Cosine between innovations of different rounds, in [0, 1].
    D0 : float
        Drift of the starting model, taken as aligned with the errors in the coherent part.

    Returns
    -------
    ndarray (N,)
        D_1 ... D_N; lower is better.

    Raises
    ------
    DataError
        If alpha or kappa is outside [0, 1], J is negative or not finite, or the lengths differ.
    """
    alphas, innovations = _rounds(alpha, J)
    check_kappa(kappa)
    energy = float(check_nonnegative("the starting drift D0", D0))
    amplitude, drift = math.sqrt(energy), np.empty(len(alphas))
    for i, (keep, innovation) in enumerate(zip(1 - alphas, innovations, strict=True)):
        energy = keep**2 * energy + innovation
        amplitude = keep * amplitude + math.sqrt(innovation)
        drift[i] = (1 - kappa) * energy + kappa * amplitude**2
    return drift


def contributions(alpha: ArrayLike, J: ArrayLike) -> np.ndarray:
    """What is left of each past innovation at each later round, prod (1-alpha)^2 J_m (the published heat map).

    Parameters
    ----------
    alpha, J : float or array_like (N,)
        As in `drift_law`.

    Returns
    -------
    ndarray (N, N)
        Row N-1 holds the parts of D_N by round m; rows sum to the discounted sum Q_N. Upper triangle zero.
    """
    alphas, innovations = _rounds(alpha, J)
    parts = np.zeros((len(alphas), len(alphas)))
    for i in range(len(alphas)):
        if i:
            parts[i] = (1 - alphas[i]) ** 2 * parts[i - 1]
        parts[i, i] = innovations[i]
    return parts


def steady_state(alpha: float, J: float, kappa: float = 0.0) -> float:
    """Drift a loop settles at, J [ (1-kappa)/(alpha(2-alpha)) + kappa/alpha^2 ].

    Parameters
    ----------
    alpha : float
        Fresh fraction in (0, 1].
    J : float
        Innovation per round.
    kappa : float
        Coherence in [0, 1].

    Returns
    -------
    float
        Steady drift in the units of J; lower is better.

    Raises
    ------
    DataError
        If alpha is 0 (no steady state) or an argument is out of range.
    """
    a, innovation = check_steady_alpha(alpha), float(check_nonnegative("the innovation J", J))
    check_kappa(kappa)
    return innovation * ((1 - kappa) / (a * (2 - a)) + kappa / a**2)


def alternating_state(alpha: float, J: float) -> float:
    """Smallest steady drift any pattern of innovations of size J allows, J/(2-alpha)^2 (alternating signs)."""
    return float(check_nonnegative("the innovation J", J)) / (2 - float(check_alpha(alpha))) ** 2


def coherence_penalty(alpha: float) -> float:
    """How much larger the steady drift of repeated errors is than that of random ones, (2-alpha)/alpha."""
    a = check_steady_alpha(alpha)
    return (2 - a) / a


def memory_rounds(alpha: float) -> float:
    """Mean age of the data that a generation has learned from, 1/alpha rounds (in amplitude; infinite at alpha = 0)."""
    a = float(check_alpha(alpha))
    return math.inf if a == 0 else 1 / a


def smallest_fresh_fraction(target: float, J: float, kappa: float = 0.0) -> FreshFraction:
    """Smallest alpha whose steady state is at most `target`.

    kappa = 0 gives 1 - sqrt(1 - J/target), kappa = 1 gives sqrt(J/target); in between the root of the (monotone)
    steady state is found to 1e-12.

    Parameters
    ----------
    target : float
        Largest drift that is acceptable, in the units of J.
    J : float
        Innovation per round.
    kappa : float
        Coherence in [0, 1].

    Returns
    -------
    FreshFraction
        `is_possible` is False when J exceeds the target: even fresh data alone leaves one round's error.

    Raises
    ------
    DataError
        If the target is not a positive number, or J or kappa is out of range.
    """
    if not (math.isfinite(target) and target > 0):
        raise DataError(f"the drift target is {target!r}; it must be a positive number")
    innovation = float(check_nonnegative("the innovation J", J))
    check_kappa(kappa)
    if innovation > target:
        return FreshFraction(
            None,
            False,
            f"impossible, because one round of training alone adds a drift of {innovation:.4g}, above the target "
            f"{target:.4g}, even on fresh data only; train on more data or improve the model",
        )
    if innovation == 0:
        return FreshFraction(0.0, True, "training adds no drift, so no fresh data is needed to stay where the loop is")
    if innovation == target:
        alpha = 1.0
    elif kappa == 0:
        alpha = innovation / target / (1 + math.sqrt(1 - innovation / target))
    elif kappa == 1:
        alpha = math.sqrt(innovation / target)
    else:
        # The random loop needs the least fresh data and the coherent one the most, so they bracket the root.
        low = innovation / target / (1 + math.sqrt(1 - innovation / target))
        alpha = brentq(lambda a: steady_state(a, innovation, kappa) - target, low, 1.0, xtol=1e-12)
    return FreshFraction(float(alpha), True, f"a fresh fraction of {alpha:.3g} keeps the steady drift at {target:.4g}")


def next_delta(delta: ArrayLike, bias: ArrayLike, alpha: float) -> np.ndarray:
    """Feature-space law delta_{i+1} = (1-alpha) delta_i + b_i, exact for the mean of any fixed features."""
    return (1 - check_alpha(alpha)) * np.asarray(delta, dtype=np.float64) + np.asarray(bias, dtype=np.float64)


def feature_drift(alpha: ArrayLike, mean_bias_sq: float, random_trace: float, rounds: int | None = None) -> np.ndarray:
    """E|delta_N|^2 = |bbar|^2 A_N^2 + tr Sigma B_N from a perfect start, for N = 1, 2, ...

    With a constant alpha, A_N = (1-(1-alpha)^N)/alpha and B_N = (1-(1-alpha)^{2N})/(alpha(2-alpha)); otherwise both are
    the recursions they come from, A' = (1-alpha) A + 1 and B' = (1-alpha)^2 B + 1.

    Parameters
    ----------
    alpha : float or array_like (N,)
        Fresh fraction of each round.
    mean_bias_sq : float
        |bbar|^2, the part of the training error that repeats.
    random_trace : float
        tr Sigma, the part that changes from round to round.
    rounds : int, optional
        Number of rounds when alpha is one number.

    Returns
    -------
    ndarray (N,)
        Squared drift; lower is better.
    """
    per_round = np.broadcast_to(check_alpha(alpha), (rounds,)) if rounds is not None else alpha
    coherent = drift_law(per_round, mean_bias_sq, kappa=1.0)
    return coherent + drift_law(per_round, random_trace)


def coherence(mean_bias_sq: float, random_trace: float) -> float:
    """Share kappa = |bbar|^2/(|bbar|^2 + tr Sigma) of the training error that repeats (0 when there is no error)."""
    total = mean_bias_sq + random_trace
    return mean_bias_sq / total if total > 0 else 0.0
