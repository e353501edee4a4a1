"""Closed forms that every simulation is checked against: Gaussians, two exact one-round families, null expectations.

The one-round families are errors added to the exact score of N(0, 1) whose end law stays Gaussian, so score energy,
observability, chi2 and KL are all known.

References
----------
Khelifa, Turner, Venkataramanan, arXiv:2602.16601v2 (definitions of eps*^2, epshat^2 and eta, Section 3). Naeem et al.,
"Reliable fidelity and diversity metrics for generative models", ICML 2020 (coverage). Dowson, Landau 1982 (Frechet).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from synthsift.records import DataError


@dataclass(frozen=True)
class ExactRound:
    """One round whose every quantity is known.

    Parameters
    ----------
    eps2, epshat2 : float
        Score error energy along the ideal and the learned path.
    eta : float
        Observability in [0, 1].
    chi2, kl : float
        chi2(phat||q) (may be infinite) and KL(phat||q).
    mean, variance : float
        Of the end law N(mean, variance), against q = N(0, 1).
    """

    eps2: float
    epshat2: float
    eta: float
    chi2: float
    kl: float
    mean: float
    variance: float


def _gaussians(mean1: ArrayLike, cov1: ArrayLike, mean0: ArrayLike, cov0: ArrayLike) -> tuple[np.ndarray, ...]:
    """Means (d,) and covariances (d, d) as float64, after checking shapes and finiteness."""
    mean1, mean0 = (np.atleast_1d(np.asarray(m, dtype=np.float64)) for m in (mean1, mean0))
    cov1, cov0 = (np.atleast_2d(np.asarray(c, dtype=np.float64)) for c in (cov1, cov0))
    shapes = (len(mean1), len(mean1))
    if mean1.shape != mean0.shape or cov1.shape != shapes or cov0.shape != shapes:
        raise DataError(
            f"the Gaussians have means of shape {mean1.shape}, {mean0.shape} and covariances {cov1.shape}, "
            f"{cov0.shape}; both need one width"
        )
    if not all(np.isfinite(a).all() for a in (mean1, cov1, mean0, cov0)):
        raise DataError("a mean or covariance is not finite; take out rows with NaN or infinite entries first")
    return mean1, cov1, mean0, cov0


def chi2_gaussian(mean1: ArrayLike, cov1: ArrayLike, mean0: ArrayLike, cov0: ArrayLike) -> float:
    """chi2(N(mean1, cov1) || N(mean0, cov0)), infinite unless 2 cov1^{-1} - cov0^{-1} is positive definite.

    Parameters
    ----------
    mean1, mean0 : array_like (d,)
        Means; numbers in one dimension.
    cov1, cov0 : array_like (d, d)
        Covariances, positive definite; variances in one dimension.

    Returns
    -------
    float
        Divergence; lower is better.

    Raises
    ------
    DataError
        If shapes differ or an entry is not finite.
    """
    m1, c1, m0, c0 = _gaussians(mean1, cov1, mean0, cov0)
    # In coordinates where cov0 = I and cov1 = diag(v) the integral factors over coordinates.
    values, vectors = np.linalg.eigh(c0)
    white = vectors / np.sqrt(values)
    v, rotation = np.linalg.eigh(white.T @ c1 @ white)
    shift = rotation.T @ white.T @ (m1 - m0)
    if (v >= 2 * (1 - 1e-12)).any():
        return math.inf
    exponent = np.sum(shift**2 / (2 - v)) - 0.5 * np.sum(np.log(v * (2 - v)))
    return float(np.expm1(exponent)) if exponent < 700 else math.inf


def kl_gaussian(mean1: ArrayLike, cov1: ArrayLike, mean0: ArrayLike, cov0: ArrayLike) -> float:
    """KL(N(mean1, cov1) || N(mean0, cov0)); arguments as in `chi2_gaussian`."""
    m1, c1, m0, c0 = _gaussians(mean1, cov1, mean0, cov0)
    solved, shift = np.linalg.solve(c0, c1), m1 - m0
    log_ratio = np.linalg.slogdet(c0)[1] - np.linalg.slogdet(c1)[1]
    return float(0.5 * (np.trace(solved) - len(m1) + log_ratio + shift @ np.linalg.solve(c0, shift)))


def frechet_gaussian(mean1: ArrayLike, cov1: ArrayLike, mean0: ArrayLike, cov0: ArrayLike) -> float:
    """Squared Frechet distance |m1-m0|^2 + tr(C1 + C0 - 2 (C0^{1/2} C1 C0^{1/2})^{1/2}); lower is better."""
    m1, c1, m0, c0 = _gaussians(mean1, cov1, mean0, cov0)
    values, vectors = np.linalg.eigh(c0)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ c1 @ root), 0)).sum()
    return float(np.sum((m1 - m0) ** 2) + np.trace(c1) + np.trace(c0) - 2 * cross)


def variance_ratio(cov1: ArrayLike, cov0: ArrayLike) -> float:
    """Largest output variance in units of the reference's, over all directions; chi2 is infinite from 2 on."""
    width = len(np.atleast_2d(np.asarray(cov1)))
    _, c1, _, c0 = _gaussians(np.zeros(width), cov1, np.zeros(width), cov0)
    values, vectors = np.linalg.eigh(c0)
    kept = values > values.max() * 1e-10  # a direction without reference variance has no ratio
    white = vectors[:, kept] / np.sqrt(values[kept])
    return float(np.linalg.eigvalsh(white.T @ c1 @ white)[-1])


def constant_push(b: float, T: float) -> ExactRound:
    """Score error e = b at every time, on N(0, 1): the output is N(2b(1-e^{-T/2}), 1)."""
    mean = -2 * b * math.expm1(-T / 2)
    return ExactRound(b * b * T, b * b * T, eta_hermite(0, T), math.expm1(mean**2), mean**2 / 2, mean, 1.0)


def linear_error(a: float, T: float) -> ExactRound:
    """Score error e = a x on N(0, 1): the output is N(0, V), V = 1/lam + (1-1/lam) e^{-lam T}, lam = 1-2a.

    The chi2 is infinite from V = 2 on although the score energy a^2 T may be small (a = 0.3, T = 4 is an example).
    """
    lam = 1 - 2 * a
    # (1-e^{-lam T})/lam and its relative have removable singularities at lam = 0, hence the series there.
    if abs(lam * T) > 1e-4:
        g = -math.expm1(-lam * T) / lam
        rest = (T - g) / lam
    else:
        g = T - lam * T**2 / 2 + lam**2 * T**3 / 6
        rest = T**2 / 2 - lam * T**3 / 6
    variance = g + math.exp(-lam * T)
    chi2 = chi2_gaussian(0.0, variance, 0.0, 1.0)
    kl = kl_gaussian(0.0, variance, 0.0, 1.0)
    return ExactRound(a * a * T, a * a * (rest + g), eta_hermite(1, T), chi2, kl, 0.0, variance)


def eta_hermite(order: int, T: float) -> float:
    """Observability of the error c He_k(x) on N(0, 1), eta_k = 4 (1-e^{-(k+1)T/2})^2 / ((k+1) T)."""
    if order < 0 or not T > 0:
        raise DataError(f"order {order} and horizon {T!r}: the order must be 0 or more and the horizon positive")
    return 4 * math.expm1(-(order + 1) * T / 2) ** 2 / ((order + 1) * T)


def eta_random_steps(num_steps: int, T: float) -> float:
    """Mean observability of a push that is drawn anew in each of `num_steps` equal time steps, about (1-e^{-T})/K."""
    edges = np.exp(-np.linspace(0, T, num_steps + 1) / 2)
    return float(4 * np.sum((edges[:-1] - edges[1:]) ** 2) / T)


def start_mismatch(kl_start: float, T: float) -> float:
    """Most that starting the reverse process from N(0, I) can add to the KL, e^{-T} KL(q||N(0, I))."""
    return math.exp(-T) * kl_start


def frechet_null(covariance: ArrayLike, n: int, m: int) -> float:
    """Expected squared Frechet distance of two samples of one law, to order 1/n.

    (1/n+1/m) [ tr S + (1/2) sum_ij l_i l_j/(l_i+l_j) + (1/4) tr S ] for Gaussian features with eigenvalues l of S.

    Parameters
    ----------
    covariance : array_like (d, d) or (d,)
        Covariance, or its eigenvalues.
    n, m : int
        Rows of the two samples, at least 2 each.

    Returns
    -------
    float
        What to subtract from a measured distance; right to 1 % in simulations up to d = 0.4 n.

    Raises
    ------
    DataError
        If a sample has fewer than 2 rows.
    """
    _need_rows(n, m, 2)
    cov = np.asarray(covariance, dtype=np.float64)
    values = np.maximum(np.linalg.eigvalsh(cov) if cov.ndim == 2 else cov, 0)
    values = values[values > 0]
    pairs = np.sum(np.outer(values, values) / np.add.outer(values, values))
    return float((1 / n + 1 / m) * (1.25 * values.sum() + 0.5 * pairs))


def gaussian_chi2_null(d: int, n: int, m: int) -> float:
    """Null bias of the plug-in Gaussian chi2, k (1/n+1/m) with k = d + d(d+1)/2 fitted parameters.

    Ten to 35 % too small once k is above n/20.
    """
    _need_rows(n, m, 2)
    return (d + d * (d + 1) / 2) * (1 / n + 1 / m)


def coverage_null(n_real: int, n_synth: int, k: int) -> float:
    """Expected coverage of two samples of one law, 1 - prod_{j<=k} (n_real-j)/(n_real+n_synth-j)."""
    _need_rows(n_real, n_synth, 1)
    if not 1 <= k < n_real:
        raise DataError(f"{k} neighbors were asked for among {n_real} real rows; use 1 to {n_real - 1}")
    j = np.arange(1, k + 1)
    return float(1 - np.prod((n_real - j) / (n_real + n_synth - j)))


def nearest_neighbor_null(n: int, m: int) -> float:
    """Expected leave-one-out 1-NN accuracy of two samples of one law, (n(n-1)+m(m-1))/((n+m)(n+m-1))."""
    _need_rows(n, m, 1)
    return (n * (n - 1) + m * (m - 1)) / ((n + m) * (n + m - 1))


def _need_rows(n: int, m: int, least: int) -> None:
    """Refuse samples smaller than `least`."""
    if min(n, m) < least:
        raise DataError(f"the samples have {n} and {m} rows; at least {least} each are needed. Give more rows")
