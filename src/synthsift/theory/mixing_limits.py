"""Closed forms of the mixing theory: synthetic rows alone, the critical label noise, and infinitely many rows.

Letters: n real and m synthetic rows, p features, phi and rho the rates at which the verifier keeps right and wrong
labels, eps the label noise, alpha = phi (1 - eps) + rho eps, lam = phi (1 - eps) - rho eps, mu2 = |mu|^2.

Equations (18) to (23) of docs/methods/theory.md.

References
----------
Y. Feng, E. Dohmatob, P. Yang, F. Charton, J. Kempe (2024), "Beyond Model Collapse: Scaling Up with Synthesized Data
Requires Verification", arXiv 2406.07515: the breakdown point eps* = 1/(1 + rho/phi) at infinitely many rows.
A. El Firdoussi et al. (2024), arXiv 2410.08942: the model, and the smooth transition at finitely many rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from synthsift.records import DataError
from synthsift.theory.mixing_checks import checked_mean, checked_range, checked_spectrum, kept_fractions
from synthsift.theory.mixing_sources import Source


def critical_label_noise(keep_right: ArrayLike = 1.0, keep_wrong: ArrayLike = 1.0) -> np.ndarray:
    """Label noise eps* = phi/(phi + rho) at which synthetic rows alone teach nothing (accuracy 1/2 at any size).

    With infinitely many synthetic rows accuracy is Bayes-optimal below it and fully reversed above it (Feng et al.
    2024, who write 1/(1 + rho/phi)). Real rows move the crossing of 1/2 to larger noise. Higher is safer.

    Source: docs/methods/theory.md, eq. (19); arXiv 2406.07515 (breakdown point), arXiv 2410.08942, Figure 4.

    Raises
    ------
    DataError
        If the verifier keeps nothing at all.
    """
    phi, rho = checked_range("keep_right", keep_right), checked_range("keep_wrong", keep_wrong)
    if np.any(phi + rho == 0):
        raise DataError("keep_right and keep_wrong are both 0; a verifier that keeps nothing has no critical noise")
    return phi / (phi + rho)


def synthetic_only_margin(
    num_synth: ArrayLike,
    dim: int,
    mean_norm: float,
    ridge: ArrayLike,
    *,
    label_noise: ArrayLike = 0.0,
    keep_right: ArrayLike = 1.0,
    keep_wrong: ArrayLike = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Margin a and variance v for synthetic rows alone, isotropic features, exact moments; accuracy Phi(a/sqrt(v)).

    With eta = p/m, b = alpha + gamma - eta, delta = 2 eta/(b + sqrt(b^2 + 4 gamma eta)) and
    chi = gamma (1 + delta) + alpha:
    a = lam mu2/(chi + alpha mu2),
    v = [lam^2 mu2/(chi + alpha mu2)^2 + (eta/chi^2) (alpha (1 + a^2) - 2 lam a)]/(1 - alpha eta/chi^2).

    Source: docs/methods/theory.md, eq. (18); derived there for the model of arXiv 2410.08942.
    """
    alpha, lam = kept_fractions(label_noise, keep_right, keep_wrong)
    eta, chi = _synthetic_only_chi(num_synth, dim, ridge, alpha)
    mu2 = checked_mean(dim, mean_norm, None)[0] ** 2
    a = lam * mu2 / (chi + alpha * mu2)
    noise = eta / chi**2 * (alpha * (1.0 + a**2) - 2.0 * lam * a)
    return a, (lam**2 * mu2 / (chi + alpha * mu2) ** 2 + noise) / (1.0 - alpha * eta / chi**2)


def critical_slope(
    num_synth: ArrayLike,
    dim: int,
    mean_norm: float,
    ridge: ArrayLike,
    *,
    keep_right: ArrayLike = 1.0,
    keep_wrong: ArrayLike = 1.0,
) -> np.ndarray:
    """Slope of accuracy in the label noise at eps*, for synthetic rows alone and isotropic features (negative).

    -(phi + rho)/sqrt(2 pi) mu2 chi sqrt(1 - alpha eta/chi^2)/(sqrt(eta alpha) (chi + alpha mu2)): the transition is of
    width sqrt(p/m).

    Source: docs/methods/theory.md, eq. (20); derived there from eq. (18).
    """
    phi, rho = checked_range("keep_right", keep_right), checked_range("keep_wrong", keep_wrong)
    alpha, _ = kept_fractions(critical_label_noise(phi, rho), phi, rho)
    if np.any(alpha == 0):
        raise DataError("keep_wrong is 0 (or keep_right is); at the critical noise nothing is kept, there is no slope")
    eta, chi = _synthetic_only_chi(num_synth, dim, ridge, alpha)
    mu2 = checked_mean(dim, mean_norm, None)[0] ** 2
    height = mu2 * chi * np.sqrt(1.0 - alpha * eta / chi**2) / (np.sqrt(eta * alpha) * (chi + alpha * mu2))
    return -(phi + rho) / math.sqrt(2.0 * math.pi) * height


def _synthetic_only_chi(
    num_synth: ArrayLike, dim: int, ridge: ArrayLike, alpha: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return eta = p/m and chi = gamma (1 + delta) + alpha."""
    size, gamma = checked_range("num_synth", num_synth), checked_range("ridge", ridge)
    checked_spectrum(dim, None)
    if np.any((size == 0) | np.isinf(size)):
        raise DataError("num_synth must be above 0 and finite; for infinitely many rows use infinite_data_weights")
    eta = dim / size
    b = alpha + gamma - eta
    root = np.sqrt(b**2 + 4.0 * gamma * eta)
    # (root - b)/(2 gamma) is the same delta without cancellation when b < 0.
    delta = np.where(b >= 0, 2.0 * eta / (np.abs(b) + root), (root - b) / (2.0 * gamma))
    return eta, gamma * (1.0 + delta) + alpha


def infinite_verified_accuracy(
    mean_norm: float,
    label_noise: ArrayLike,
    keep_right: ArrayLike = 1.0,
    keep_wrong: ArrayLike = 1.0,
) -> np.ndarray:
    """Accuracy of infinitely many verified synthetic rows per feature: Phi(|mu| sign(eps* - eps)), 1/2 at eps*.

    The sharp switch of Feng et al. (2024), for isotropic features; higher is better.

    Source: docs/methods/theory.md, eq. (21); arXiv 2406.07515 (the sharp switch).
    """
    _, lam = kept_fractions(label_noise, keep_right, keep_wrong)
    return ndtr(checked_mean(1, mean_norm, None)[0] * np.sign(lam))


def infinite_data_weights(sources: Sequence[Source], shares: ArrayLike, ridge: float) -> np.ndarray:
    """Weights (p,) that infinitely many rows give: (gamma I + sum c_k omega_k S_k)^{-1} sum c_k omega_k h_k.

    Source: docs/methods/theory.md, eq. (22); derived there.

    Parameters
    ----------
    sources : sequence of Source
        Moments; their `count` is not used.
    shares : array (K,)
        Shares c_k of all rows, not negative, summing to 1.
    ridge : float
        gamma > 0.
    """
    c = np.asarray(shares, dtype=float)
    if c.shape != (len(sources),) or not sources or (c < 0).any() or not math.isclose(c.sum(), 1.0, rel_tol=1e-9):
        raise DataError(f"shares are {c}; give one share per source, not negative, summing to 1")
    gamma = float(checked_range("ridge", ridge))
    factors = c * np.array([source.weight for source in sources])
    matrix = gamma * np.eye(len(sources[0].h))
    matrix = matrix + sum(f * s.S for f, s in zip(factors, sources, strict=True))
    return np.linalg.solve(matrix, sum(f * s.h for f, s in zip(factors, sources, strict=True)))


def bayes_accuracy(
    dim: int, mean_norm: float | None, *, spectrum: ArrayLike | None = None, mean: ArrayLike | None = None
) -> float:
    """Best accuracy any linear classifier can reach, Phi(sqrt(mu' C^{-1} mu)): Phi(|mu|) for isotropic features.

    Source: docs/methods/theory.md, eq. (23); Fisher's discriminant.
    """
    values, mu = checked_spectrum(dim, spectrum), checked_mean(dim, mean_norm, mean)
    used = mu != 0
    if (values[used] == 0).any():
        return 1.0
    return float(ndtr(np.sqrt(np.sum(mu[used] ** 2 / values[used]))))
