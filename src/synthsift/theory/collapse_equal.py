"""The error when real and synthetic inputs share one covariance Sigma, from one scalar equation (see collapse_roots).

With kappa, T_i = s_i/(s_i + kappa), df1 = sum T_i, df2 = sum T_i^2, and behind a projection of width m

    chi = df2 + (df1 - df2)^2 / (m - df2)      nu = kappa (df1 - df2) / (m - df2)      (no projection: df2 and 0)

Plain pooling with p_k = n_k/n, sbar^2 = p_1 sigma_1^2 + p_2 sigma_2^2 and u = chi/(n - chi):

    bias     = (1 + u) [ sum Gamma_i s_i (1-T_i)^2 + nu sum Gamma_i T_i^2 ]
    variance = u sbar^2
    collapse = p_2^2 sum Delta_i s_i T_i^2 + u [ p_2^2 sum Delta_i s_i (1-T_i)^2 + p_1 p_2 sum Delta_i s_i ]
               + (1 + u) nu p_2^2 sum Delta_i T_i^2

Weighted rows replace p_2 by the effective share S_2 and u p_k by b_k: with q_k = omega_k tau/(1 + omega_k tau),
S_k = n_k q_k/df1, d_k = S_k^2 chi/n_k, b_k = d_k/(1 - d_1 - d_2), u = b_1 + b_2,

    variance = b_1 sigma_1^2 + b_2 sigma_2^2
    collapse = (1 + b_1) S_2^2 sum Delta_i s_i T_i^2 + b_2 sum Delta_i s_i (1 - S_2 T_i)^2
               + (1 + u) nu S_2^2 sum Delta_i T_i^2
               + 2 { -(1 + b_1) S_2 sum X s T(1-T) + b_2 sum X s (1-T)(1 - S_2 T) + (1 + u) nu S_2 sum X T^2 }

The last line is the shift correlated with w_1. Everything is written as sums of positive terms, so nothing cancels near
an interpolation threshold.

Equations (43), (44) of docs/methods/theory.md.

References
----------
Dohmatob, Feng, Subramonian, Kempe, "Strong Model Collapse", arXiv 2410.04840, Theorems 1 and 2 and Corollary 1 (with
c^2 = tr(Sigma Delta); the c^2 = (1/d) tr(Sigma Delta) printed there does not fit its own corollary).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthsift.theory.collapse_inputs import PoleError, Setting
from synthsift.theory.collapse_roots import Root, Rows, Spectrum, solve_kappa

CHUNK = 200_000


@dataclass(frozen=True)
class Moments:
    """Gamma, Delta and X summed over the directions that share an eigenvalue (g,), and the noise variances."""

    signal: np.ndarray
    shift: np.ndarray
    cross: np.ndarray
    real_noise: float
    synth_noise: float


def equal_terms(setting: Setting) -> dict[str, np.ndarray]:
    """Error, its three parts and all intermediate scalars at every point (t,) of an equal-covariance setting.

    Source: docs/methods/theory.md, eq. (43), (44); arXiv 2410.04840, Theorems 1 and 2 (weights derived there).

    Raises
    ------
    DataError
        At a pole: n = rank without ridge, or m = n < rank without ridge.
    ArithmeticError
        If the scalar equation cannot be solved to 1e-8.
    """
    spectrum, moments = _group(setting)
    size = max(1, CHUNK // len(spectrum.values))
    blocks = [slice(i, i + size) for i in range(0, len(setting.num_real), size)]
    parts = [_block_terms(setting, spectrum, moments, block) for block in blocks]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _group(setting: Setting) -> tuple[Spectrum, Moments]:
    """Merge directions of equal variance: an isotropic problem becomes a single direction."""
    used = setting.spectrum > 0
    values, places, counts = np.unique(setting.spectrum[used], return_inverse=True, return_counts=True)

    def summed(diagonal: np.ndarray) -> np.ndarray:
        return np.bincount(places, weights=diagonal[used], minlength=len(values))

    moments = Moments(
        summed(setting.signal),
        summed(setting.shift),
        summed(setting.cross),
        setting.real_noise,
        setting.synth_noise,
    )
    return Spectrum(values, counts.astype(float)), moments


def _block_terms(setting: Setting, spectrum: Spectrum, moments: Moments, block: slice) -> dict[str, np.ndarray]:
    """All terms for one block of points."""
    rows = _rows_of(setting, block)
    root = solve_kappa(rows, setting.ridge[block], setting.width[block], setting.projection_variance, spectrum)
    terms = _scalars(rows, root, spectrum)
    shrink = spectrum.values / (spectrum.values + root.kappa[:, None])
    terms |= _errors(terms, shrink, spectrum.values, moments)
    del terms["rows_left"]
    return terms


def _rows_of(setting: Setting, block: slice) -> Rows:
    """Row counts and weights with sources of weight 0 emptied; the ridge is still divided by all rows."""
    real, synth, weight = (np.array(a[block]) for a in (setting.num_real, setting.num_synth, setting.synth_weight))
    total = real + synth
    synth = np.where(weight > 0, synth, 0.0)
    return Rows(real, synth, np.ones_like(real), np.where(weight > 0, weight, 1.0), total)


def _scalars(rows: Rows, root: Root, spectrum: Spectrum) -> dict[str, np.ndarray]:
    """kappa, df1, df2, chi, nu, shares and the prices b_k."""
    inverse = 1 / (spectrum.values + root.kappa[:, None])
    df1 = inverse @ (spectrum.counts * spectrum.values)
    df2 = (inverse**2) @ (spectrum.counts * spectrum.values**2)
    lost = root.kappa * ((inverse**2) @ (spectrum.counts * spectrum.values))  # df1 - df2
    seen, hidden = _seen_and_hidden(root.width_left, lost)
    chi, nu = df2 + lost * hidden, root.kappa * hidden
    used_real, used_synth = (w / (w + root.inverse_tau) for w in (rows.real_weight, rows.synth_weight))
    idle_real, idle_synth = (root.inverse_tau / (w + root.inverse_tau) for w in (rows.real_weight, rows.synth_weight))
    squares = rows.real * used_real**2 + rows.synth * used_synth**2
    margin = (rows.real * used_real * idle_real + rows.synth * used_synth * idle_synth) / df1
    margin = margin + lost * seen * squares / df1**2  # 1 - d_1 - d_2
    _refuse_poles(margin, rows, root)
    prices = [n * q**2 * chi / (df1**2 * margin) for n, q in ((rows.real, used_real), (rows.synth, used_synth))]
    mean_a = df1 * root.inverse_tau / rows.total
    shares = [n * q / df1 for n, q in ((rows.real, used_real), (rows.synth, used_synth))]
    return {
        "kappa": root.kappa,
        "df1": df1,
        "df2": df2,
        "chi": chi,
        "nu": nu,
        "u": prices[0] + prices[1],
        "share_synth": shares[1],
        "a_real": shares[0] * mean_a,
        "a_synth": shares[1] * mean_a,
        "b_real": prices[0],
        "b_synth": prices[1],
        "rows_left": root.rows_left,
        "residual": root.residual,
    }


def _seen_and_hidden(width_left: np.ndarray, lost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(m - df1)/(m - df2) and (df1 - df2)/(m - df2): 1 and 0 without a projection or where it loses nothing."""
    whole = width_left + lost
    free = np.isinf(width_left) | (whole == 0)
    whole = np.where(free, 1.0, whole)
    return np.where(free, 1.0, width_left / whole), np.where(free, 0.0, lost / whole)


def _refuse_poles(margin: np.ndarray, rows: Rows, root: Root) -> None:
    """Raise where the error is infinite."""
    # A margin this small is rounding: a representable distance from the pole leaves more than that.
    bad = ~(margin > 1e-15)
    if bad.any():
        i = int(np.argmax(bad))
        raise PoleError(
            f"the error is infinite at {rows.active[i]:g} rows: without ridge the fit has a pole where rows = dim, "
            f"and where rows = width < dim; add a ridge or move the size"
        )


def _errors(
    terms: dict[str, np.ndarray], shrink: np.ndarray, values: np.ndarray, moments: Moments
) -> dict[str, np.ndarray]:
    """Total error and its parts from the scalars and the shrinkage T (t, g)."""
    u, nu, share = terms["u"], terms["nu"], terms["share_synth"]
    real, synth = terms["b_real"], terms["b_synth"]
    kept, cut = shrink**2, (1 - shrink) ** 2
    bias = (1 + u) * (cut @ (moments.signal * values) + nu * (kept @ moments.signal))
    variance = real * moments.real_noise + synth * moments.synth_noise
    unfollowed = (1 - share[:, None] * shrink) ** 2
    collapse = (1 + real) * share**2 * (kept @ (moments.shift * values)) + synth * (
        unfollowed @ (moments.shift * values)
    )
    collapse = collapse + (1 + u) * nu * share**2 * (kept @ moments.shift)
    if moments.cross.any():
        collapse = collapse + 2 * _cross_part(terms, shrink, values, moments.cross)
    return {"bias": bias, "variance": variance, "collapse": collapse, "total": bias + variance + collapse}


def _cross_part(terms: dict[str, np.ndarray], shrink: np.ndarray, values: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """Half of what a shift correlated with w_1 adds to the collapse term."""
    share, weighted = terms["share_synth"], cross * values
    pulled = (shrink * (1 - shrink)) @ weighted
    missed = ((1 - shrink) * (1 - share[:, None] * shrink)) @ weighted
    unseen = (1 + terms["u"]) * terms["nu"] * share * ((shrink**2) @ cross)
    return -(1 + terms["b_real"]) * share * pulled + terms["b_synth"] * missed + unseen
