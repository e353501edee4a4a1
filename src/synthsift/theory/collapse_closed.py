"""Closed forms of the collapse error: isotropic without ridge, the floors of infinitely many rows, the onset size.

Equations (45) to (52) of docs/methods/theory.md.

References
----------
Dohmatob, Feng, Subramonian, Kempe, "Strong Model Collapse", arXiv 2410.04840: Corollary 1
(isotropic, no projection) and the floor p_2^2 c^2 of strong collapse, with c^2 = tr(Sigma Delta) and not (1/d)
tr(Sigma Delta) as printed.
"""

from __future__ import annotations

from typing import Unpack

import numpy as np

from synthsift.records import DataError, Prediction
from synthsift.theory.collapse_equal import equal_terms
from synthsift.theory.collapse_inputs import (
    ErrorOptions,
    PoleError,
    Setting,
    check_dim,
    check_fraction,
    check_scalar,
    read_setting,
)
from synthsift.theory.collapse_master import master_terms
from synthsift.theory.collapse_sources import stack_setting

# Rows that stand for infinitely many behind a projection: fluctuations are then a 1e-12th of the floor or less.
ENDLESS_ROWS = 1e16


def predict_isotropic(
    num_real: float,
    num_synth: float,
    dim: int,
    *,
    real_noise_variance: float = 1.0,
    synth_noise_variance: float | None = None,
    mismatch: float = 0.0,
    signal_size: float = 1.0,
    width: float | None = None,
    exact_noise: bool = False,
) -> Prediction:
    """Excess error for Sigma = I, ridge -> 0, plain pooling, in closed form. Lower is better.

    With phi = d/n, eta = n/d, g = m/d, psi = m/n, sbar^2 = p_1 sigma_1^2 + p_2 sigma_2^2, r^2 = |w_1|^2:

        no projection, d < n        u sbar^2 + c^2 (p_2^2 + p_1 p_2 u),             u = phi/(1-phi)
        no projection, n < d        r^2 (1-eta) + sbar^2 eta/(1-eta) + c^2 p_2 eta (1 - p_2 eta)/(1-eta)
        m < min(n, d)               r^2 (1-g)/(1-psi) + sbar^2 u + c^2 [p_2^2 g + p_2 (1 - p_2 g) u],  u = psi/(1-psi)
        n < min(m, d)               u = [eta (m - n eta) + n (1-eta)^2] / [(1-eta)(m-n)]
                                    nu = ((1-eta)/eta) n (1-eta)/(m - n eta)
                                    (1+u) r^2 [(1-eta)^2 + nu eta^2] + u sbar^2
                                    + c^2 {p_2^2 eta^2 + u [p_2^2 (1-eta)^2 + p_1 p_2] + (1+u) nu p_2^2 eta^2}
        n > d, m >= d               as without a projection

    Source: docs/methods/theory.md, eq. (45) to (48); arXiv 2410.04840, Corollary 1, and derived there beyond it.

    Parameters
    ----------
    num_real, num_synth, dim
        n_1, n_2 and d.
    real_noise_variance, synth_noise_variance, mismatch, signal_size : float
        sigma_1^2, sigma_2^2 (default: the real one), c^2, r^2.
    width : float, optional
        m.
    exact_noise : bool
        Use d/(n-d-1) instead of u for the noise where d < n without a projection loss: exact at any size.

    Returns
    -------
    Prediction
        `mean` of shape (); `terms` has total, bias, variance, collapse, u and nu.

    Raises
    ------
    DataError
        For impossible inputs, and at the poles n = d (m >= d) and m = n < d.
    """
    d = check_dim(dim)
    setting = read_setting(
        num_real,
        num_synth,
        d,
        real_noise_variance=real_noise_variance,
        synth_noise_variance=synth_noise_variance,
        mismatch=mismatch,
        width=width,
    )
    size = check_scalar(signal_size, "signal_size")
    n = check_scalar(num_real, "num_real") + check_scalar(num_synth, "num_synth")
    p = num_synth / n
    noise = (1 - p) * setting.real_noise + p * setting.synth_noise
    terms = _isotropic_terms(n, float(d), d if width is None else min(width, d), width, p)
    u_noise = d / (n - d - 1) if exact_noise and n > d + 1 and (width is None or width >= d) else terms["u"]
    parts = {
        "bias": size * terms["bias"],
        "variance": u_noise * noise,
        "collapse": setting.mismatch * terms["collapse"],
    }
    total = np.asarray(sum(parts.values()))
    values = {"total": total, **parts, "u": terms["u"], "nu": terms["nu"]}
    return Prediction(
        np.asarray(n), total, total, total, values, "Strong Model Collapse, arXiv 2410.04840, Corollary 1"
    )


def _isotropic_terms(n: float, d: float, rank: float, width: float | None, p: float) -> dict[str, float]:
    """Bias per r^2, collapse per c^2, u and nu of one regime; `rank` is min(m, d)."""
    if n > rank:
        phi, g = rank / n, rank / d
        u = phi / (1 - phi)
        collapse = p**2 * g + p * (1 - p * g) * u
        return {"bias": (1 - g) / (1 - phi), "collapse": collapse, "u": u, "nu": 1 / g - 1}
    eta = n / d
    if n == rank:
        raise PoleError(f"the error is infinite at {n:g} rows: rows = {'dim' if rank == d else 'width'}; add a ridge")
    if width is None:
        u, nu = eta / (1 - eta), 0.0
    else:
        u = (eta * (width - n * eta) + n * (1 - eta) ** 2) / ((1 - eta) * (width - n))
        nu = (1 - eta) / eta * n * (1 - eta) / (width - n * eta)
    bias = (1 + u) * ((1 - eta) ** 2 + nu * eta**2)
    collapse = p**2 * eta**2 + u * (p**2 * (1 - eta) ** 2 + (1 - p) * p) + (1 + u) * nu * p**2 * eta**2
    return {"bias": bias, "collapse": collapse, "u": u, "nu": nu}


def error_floor(synth_fraction: float, dim: int, **options: Unpack[ErrorOptions]) -> float:
    """Error that remains at infinitely many rows with a fixed synthetic fraction. Lower is better.

    Without a projection, with S = p_1 Sigma_1 + p_2 Sigma_2 + lam I and N = S^-1 p_2 Sigma_2,

        tr(Gamma (lam S^-1)' Sigma_1 (lam S^-1)) + tr(Delta N' Sigma_1 N) - 2 tr(lam S^-1 Sigma_1 N X)

    which is p_2^2 c^2 for equal covariances and lam -> 0. The same holds for a total weight alpha on synthetic rows in
    place of p_2. Behind a projection kappa and nu of infinitely many rows enter; isotropic without ridge this is
    r^2 (1 - m/d) + p_2^2 c^2 m/d.

    Source: docs/methods/theory.md, eq. (49), (50); arXiv 2410.04840 (strong collapse, Corollary 2), generalized there.

    Parameters
    ----------
    synth_fraction : float
        p_2 in [0, 1], the fraction of synthetic rows (or the total weight alpha on them).
    dim : int
        d.
    **options
        ridge, mismatch, spectrum, signal, shift, cross, synth_spectrum, width, projection_variance of `predict_error`,
        single numbers. Noise does not matter.

    Raises
    ------
    DataError
        For a fraction outside [0, 1] or options that do not fit.
    """
    fraction = check_fraction(synth_fraction, "synth_fraction")
    rows = ENDLESS_ROWS * check_dim(dim)
    if "synth_weight" in options:
        raise DataError("synth_weight does not apply to a floor; give the total weight alpha as synth_fraction")
    setting = read_setting((1 - fraction) * rows, fraction * rows, dim, **options)
    if setting.at.ndim:
        raise DataError("error_floor answers for single numbers; call it once for every ridge or width")
    if setting.has_width:
        terms = equal_terms(setting) if setting.is_equal else master_terms(stack_setting(setting))
        return float(terms["bias"][0] + terms["collapse"][0])
    return _floor_without_width(setting, fraction)


def _floor_without_width(setting: Setting, fraction: float) -> float:
    """The three traces for diagonal covariances; a direction no source has is never learned."""
    synth = fraction * setting.synth_spectrum
    total = (1 - fraction) * setting.spectrum + synth + setting.ridge[0]
    seen = total > 0
    total = np.where(seen, total, 1.0)
    missed, copied = np.where(seen, setting.ridge[0] / total, 1.0), synth / total
    per_direction = missed**2 * setting.signal + copied**2 * setting.shift - 2 * missed * copied * setting.cross
    return float(setting.spectrum @ per_direction)


def best_ridge_floor(synth_fraction: float, mismatch: float, signal_size: float = 1.0) -> float:
    """Lowest floor any ridge reaches for Sigma = I: r^2 f/(r^2 + f) with f = p_2^2 c^2. A ridge cannot remove it.

    Source: docs/methods/theory.md, eq. (51); derived there from the floor of arXiv 2410.04840.

    Raises
    ------
    DataError
        For a fraction outside [0, 1] or negative sizes.
    """
    size = check_scalar(signal_size, "signal_size")
    floor = check_fraction(synth_fraction, "synth_fraction") ** 2 * check_scalar(mismatch, "mismatch")
    return size * floor / (size + floor) if floor else 0.0


def onset_size(synth_fraction: float, dim: float, mismatch: float, noise_variance: float = 1.0) -> float:
    """Rows n = sigma^2 d / (p_2^2 c^2) from which on the mismatch makes half of the error; infinite without a floor.

    There the clean error sigma^2 d/n has come down to the floor p_2^2 c^2, so that the error of the mix is about twice
    the floor (more where n is not far above d or p_2 is large); below that size the curve looks healthy.

    Source: docs/methods/theory.md, eq. (52); derived there from the floor of arXiv 2410.04840.

    Raises
    ------
    DataError
        For a fraction outside [0, 1] or negative sizes.
    """
    floor = check_fraction(synth_fraction, "synth_fraction") ** 2 * check_scalar(mismatch, "mismatch")
    clean = check_scalar(noise_variance, "noise_variance") * check_scalar(dim, "dim")
    return clean / floor if floor else float("inf")
