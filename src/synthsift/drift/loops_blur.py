"""Loops whose only error is systematic: a blur each round (kernel density, added noise), or a sampler stopped early.

Both have closed forms because a sample's age, the number of rounds since it was fresh, is geometric: weight
alpha (1-alpha)^{k-1} on k blurs, and the rest on the longest age n.

References
----------
arXiv:2606.13796 (truncation acts as a low-pass filter); the formulas follow from the geometric age.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import eval_hermitenorm

from synthsift.drift.arguments import check_alpha, check_nonnegative, check_steady_alpha
from synthsift.drift.loops import as_prediction, exact_prediction
from synthsift.drift.mixtures import Mixture1D
from synthsift.records import DataError, Prediction
from synthsift.seeds import Seeds, as_seeds


def age_weights(alpha: float, num_rounds: int) -> np.ndarray:
    """Share of generation n whose rows were blurred k = 1..n times since they were fresh (n,)."""
    keep = 1 - float(check_alpha(alpha))
    weights = (1 - keep) * keep ** np.arange(num_rounds, dtype=np.float64)
    if num_rounds:
        weights[-1] = keep ** (num_rounds - 1)
    return weights


def blur_drift(alpha: float, h2: float, num_rounds: int, *, dim: int = 1, variance: float = 1.0) -> float:
    """Exact chi2(phat_n || N(0, v0 I_d)) when every round adds N(0, h2 I_d); infinite from n h2 >= v0 on.

    Parameters
    ----------
    alpha : float
        Fresh fraction.
    h2 : float
        Squared bandwidth.
    num_rounds : int
        n.
    dim : int
        d.
    variance : float
        v0.

    Returns
    -------
    float
        Drift; lower is better.
    """
    h2 = float(check_nonnegative("the squared bandwidth h2", h2))
    if num_rounds < 1:
        return 0.0
    weights = age_weights(alpha, num_rounds)
    v = variance + h2 * np.arange(1, num_rounds + 1)
    precision = 1 / v[:, None] + 1 / v[None, :] - 1 / variance
    used = np.outer(weights, weights)
    if (precision[used > 0] <= 1e-12).any():
        return math.inf
    logs = np.log(np.where(used > 0, variance / np.outer(v, v) / np.where(used > 0, precision, 1.0), 1.0))
    return float(np.sum(used * np.expm1(dim / 2 * logs)))


def predict_blur(alpha: float, h2: float, num_rounds: int, *, dim: int = 1, variance: float = 1.0) -> Prediction:
    """Drift by round of the loop that adds N(0, h2 I) each round.

    Returns
    -------
    Prediction
        `at` rounds 0..n, `mean` D (see `blur_drift`), ``terms["variance"]`` v0 + h2 (1-(1-alpha)^n)/alpha.
    """
    rounds = np.arange(num_rounds + 1)
    drift = np.array([blur_drift(alpha, h2, int(n), dim=dim, variance=variance) for n in rounds])
    keep = 1 - float(check_alpha(alpha))
    ages = np.concatenate(([0.0], np.cumsum(keep ** np.arange(num_rounds, dtype=np.float64))))
    return exact_prediction(
        rounds,
        drift,
        "geometric age mixture of Gaussians",
        "population blur, no sampling error",
        variance=variance + h2 * ages,
    )


def simulate_blur(
    alpha: float, h2: float, num_rounds: int, *, num_rows: int, seeds: Seeds | int, dim: int = 1, variance: float = 1.0
) -> Prediction:
    """Run the blurred loop on independent particles: the twin of `predict_blur`.

    A row of generation i is one draw of its law, so each particle follows its own loop and nothing is resampled. The
    drift is the mean of phat_n/p_data - 1 over the particles, with phat_n the age mixture.

    Returns
    -------
    Prediction
        `mean` D with 95 % intervals; terms: `standard_error`, `variance` and `variance_error`.
    """
    rng = as_seeds(seeds).numpy("blur loop")
    x = math.sqrt(variance) * rng.standard_normal((num_rows, dim))
    drift, squares = [np.zeros(num_rows)], [(x**2).mean(axis=1)]
    for n in range(1, num_rounds + 1):
        fresh = rng.random(num_rows) < alpha
        x[fresh] = math.sqrt(variance) * rng.standard_normal((int(fresh.sum()), dim))
        x += math.sqrt(h2) * rng.standard_normal((num_rows, dim))
        drift.append(_density_excess(x, age_weights(alpha, n), variance, h2))
        squares.append((x**2).mean(axis=1))
    rounds = np.arange(num_rounds + 1)
    spread = as_prediction(rounds, np.array(squares).T, "")
    terms = {"variance": spread.mean, "variance_error": spread.terms["standard_error"]}
    return as_prediction(rounds, np.array(drift).T, "simulated blur", **terms)


def _density_excess(x: np.ndarray, weights: np.ndarray, variance: float, h2: float) -> np.ndarray:
    """phat/p_data - 1 at rows x (n, d) for the age mixture."""
    r2, d = (x**2).sum(axis=1), x.shape[1]
    ratio = np.zeros(len(x))
    for k, weight in enumerate(weights, start=1):
        v = variance + k * h2
        ratio += weight * (variance / v) ** (d / 2) * np.exp(r2 / 2 * (1 / variance - 1 / v))
    return ratio - 1


def truncation_gain(alpha: float, order: int, t0: float) -> float:
    """Limit of c_k(n)/c_k for a sampler stopped at t0: G_k = alpha rho/(1-(1-alpha) rho), rho = e^{-k t0/2}.

    Parameters
    ----------
    alpha : float
        Fresh fraction in (0, 1].
    order : int
        k of the Hermite coefficient c_k = E He_k.
    t0 : float
        Time at which the sampler stops.

    Returns
    -------
    float
        Share of the k-th coefficient that survives; higher is better, 1 - G_k is about k t0/(2 alpha).

    Raises
    ------
    DataError
        If alpha is 0: without fresh data everything but the mean mass is filtered away.
    """
    a, rho = check_steady_alpha(alpha), math.exp(-order * float(check_nonnegative("t0", t0)) / 2)
    return a * rho / (1 - (1 - a) * rho)


def predict_truncation(alpha: float, t0: ArrayLike, order: int, num_rounds: int) -> Prediction:
    """Surviving share c_k(n)/c_k of the k-th Hermite coefficient after each round, from a perfect start.

    c_k(n+1) = rho_k (alpha c_k + (1-alpha) c_k(n)); with one t0 this is G_k + (1-G_k) ((1-alpha) rho_k)^n.

    Parameters
    ----------
    alpha : float
        Fresh fraction.
    t0 : float or array_like (num_rounds,)
        Stopping time, one for all rounds or one per round (annealing).
    order : int
        k.
    num_rounds : int
        Rounds after round 0.

    Returns
    -------
    Prediction
        `at` rounds 0..num_rounds, `mean` the share.
    """
    a, times = float(check_alpha(alpha)), np.asarray(check_nonnegative("t0", t0))
    if times.ndim and times.shape != (num_rounds,):
        raise DataError(f"{times.size} stopping times were given for {num_rounds} rounds; give one, or one per round")
    share = np.ones(num_rounds + 1)
    for n, rho in enumerate(np.exp(-order * np.broadcast_to(times, (num_rounds,)) / 2)):
        share[n + 1] = rho * (a + (1 - a) * share[n])
    return exact_prediction(
        np.arange(num_rounds + 1), share, "Hermite coefficients under Ornstein-Uhlenbeck", "exact scores and sampling"
    )


def simulate_truncation(
    law: Mixture1D, alpha: float, t0: ArrayLike, order: int, num_rounds: int, *, num_rows: int, seeds: Seeds | int
) -> Prediction:
    """Run the truncated loop on independent particles: the twin of `predict_truncation`.

    Parameters
    ----------
    law : Mixture1D
        p_data; its Hermite coefficient of this order must not vanish.
    alpha, t0, order, num_rounds
        As in `predict_truncation`.
    num_rows : int
        Particles.
    seeds : Seeds or int
        Randomness; the same seed gives the same particles for every order.

    Returns
    -------
    Prediction
        `mean` the surviving share with 95 % intervals.
    """
    rng = as_seeds(seeds).numpy("truncation loop")
    full = hermite_coefficient(law, order)
    if abs(full) < 1e-9:
        raise DataError(f"the law has no Hermite coefficient of order {order}; use a less symmetric one")
    x = law.sample(num_rows, rng)
    shares = [eval_hermitenorm(order, x) / full]
    for time in np.broadcast_to(np.asarray(t0, dtype=np.float64), (num_rounds,)):
        x = np.where(rng.random(num_rows) < alpha, law.sample(num_rows, rng), x)
        x = math.exp(-time / 2) * x + math.sqrt(-math.expm1(-time)) * rng.standard_normal(num_rows)
        shares.append(eval_hermitenorm(order, x) / full)
    return as_prediction(np.arange(num_rounds + 1), np.array(shares).T, "simulated truncation")


def hermite_coefficient(law: Mixture1D, order: int) -> float:
    """E He_k under a Gaussian mixture, exact (He_k: probabilists' Hermite polynomials)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(order + 1)
    return float(
        sum(
            w * (weights @ eval_hermitenorm(order, m + math.sqrt(v) * nodes)) / math.sqrt(2 * math.pi)
            for w, m, v in zip(law.weights, law.means, law.variances, strict=True)
        )
    )
