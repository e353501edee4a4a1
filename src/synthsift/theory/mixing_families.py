"""Margin a = mu.w and variance v = w'Cw of the trained weights, for every kind of generator.

Symbols: pi = n/N, alpha and lam the kept and the signed kept fraction, omega the weight of a synthetic row;
g_k = c_k omega_k/(1 + omega_k delta_k) and H_k = c_k omega_k^2/(1 + omega_k delta_k)^2 with c_r = pi, c_s = 1 - pi.

The kept fraction alpha multiplies how many synthetic rows there are; it is *not* inside delta_s. The public code of
El Firdoussi et al. (2024) has delta_s = alpha tr(C_s R)/N, which is the law of soft weights alpha on all rows and is
off by up to 9 points of accuracy at a small ridge and harsh pruning; simulation agrees with the form used here.

Equations (2), (8), (10), (11) of docs/methods/theory.md.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from synthsift.theory.mixing_bulk import Bulk, Spectrum, average_bulk, group_spectrum
from synthsift.theory.mixing_fixedpoint import solve_descending
from synthsift.theory.mixing_settings import Setting

Terms = dict[str, np.ndarray]


def normal_accuracy(a: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Accuracy Phi(a/sqrt(v)) of a margin N(a, v); higher is better, 1/2 where margin and variance are both 0.

    Source: docs/methods/theory.md, eq. (2); arXiv 2410.08942.
    """
    a, v = np.broadcast_arrays(np.asarray(a, dtype=float), np.asarray(v, dtype=float))
    certain = np.where(a > 0, np.inf, np.where(a < 0, -np.inf, 0.0))
    return ndtr(np.divide(a, np.sqrt(v), out=certain, where=v > 0))


def weight_terms(setting: Setting) -> Terms:
    """Return a, v, delta_r, delta_s, delta_g, each (t,), of the generator that `setting` names.

    Source: docs/methods/theory.md, eq. (8), (10), (11); derived there for the model of arXiv 2410.08942.
    """
    return _self_terms(setting) if setting.generator == "self" else _fresh_terms(setting)


def _covariance_precision(setting: Setting) -> np.ndarray:
    """1/n_hat of the generator's covariance (t,), 0 where it is not estimated."""
    if setting.generator_covariance != "estimated":
        return np.zeros_like(setting.generator_size)
    return 1.0 / setting.generator_size


def _synth_factors(setting: Setting, delta_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """g_s and H_s (t,)."""
    shrink = setting.synth_weight / (1.0 + setting.synth_weight * delta_s)
    return (1.0 - setting.real_share) * shrink, (1.0 - setting.real_share) * shrink**2


def _fresh_bulk(setting: Setting, spectrum: Spectrum, delta: np.ndarray, guess: np.ndarray | None = None) -> Bulk:
    """Bulk sums at delta = (delta_r, delta_s) (2, t) for a generator that did not see the training rows."""
    g_s, _ = _synth_factors(setting, delta[1])
    g_r = setting.real_share / (1.0 + delta[0])
    return average_bulk(spectrum, setting.ridge, g_r, setting.alpha * g_s, _covariance_precision(setting), guess)


def _fresh_traces(setting: Setting, bulk: Bulk) -> np.ndarray:
    """T_kl = mean of tr(C_k R C_l R)/N over generators (t, 2, 2)."""
    cross, synth = bulk.synth_traces
    traces = np.stack([bulk.trace_dd / bulk.hbar, cross, cross, synth], axis=-1) * setting.inverse_total[:, None]
    return traces.reshape(-1, 2, 2)


def _fresh_coupling(setting: Setting, delta: np.ndarray, traces: np.ndarray) -> np.ndarray:
    """T diag(H_r, alpha H_s) (t, 2, 2): how noise feeds back on itself, and the derivative of the fixed point."""
    h_r = setting.real_share / (1.0 + delta[0]) ** 2
    _, h_s = _synth_factors(setting, delta[1])
    return traces * np.stack([h_r, setting.alpha * h_s], axis=-1)[:, None, :]


def _fresh_delta(setting: Setting, spectrum: Spectrum) -> tuple[np.ndarray, np.ndarray]:
    """Solve delta_r = tr(C R)/N and delta_s = tr(C_s R)/N (2, t); also return the last D (t,)."""
    inflation: np.ndarray | None = None
    totals = np.array([spectrum.count @ spectrum.d, spectrum.count @ spectrum.c])
    start = totals[:, None] * setting.inverse_total / setting.ridge

    def step(delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nonlocal inflation
        bulk = _fresh_bulk(setting, spectrum, delta, inflation)
        inflation = bulk.inflation
        mapped = np.stack([bulk.trace_d, bulk.trace_c / bulk.inflation]) * setting.inverse_total
        return mapped, _fresh_coupling(setting, delta, _fresh_traces(setting, bulk))

    delta = solve_descending(step, start)
    return delta, inflation if inflation is not None else np.ones_like(delta[0])


def _solve_pairs(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve 2 x 2 systems (t, 2, 2) for right sides (2, t)."""
    return np.linalg.solve(matrix, right.T[..., None])[..., 0].T


def _fresh_terms(setting: Setting) -> Terms:
    """Weights for generator moments that are given or estimated from rows outside the training set.

    a = (mu.w, mu_s.w) solves (I + G diag(g_r, alpha g_s)) a = G (g_r lam_r, g_s lam), G the forms of mu and mu_s in R;
    V = (w'Cw, w'C_s w) solves (I - T diag(H_r, alpha H_s)) V = (w_bar'C w_bar, w_bar'C_s w_bar) + T (L_r, L_s).
    """
    spectrum = group_spectrum(setting)
    delta, inflation = _fresh_delta(setting, spectrum)
    bulk = _fresh_bulk(setting, spectrum, delta, inflation)
    g_s, h_s = _synth_factors(setting, delta[1])
    g_r, h_r = setting.real_share / (1.0 + delta[0]), setting.real_share / (1.0 + delta[0]) ** 2
    mean_precision = np.zeros_like(g_s) if setting.exact_mean else 1.0 / setting.generator_size
    a_r, a_s = _fresh_means(setting, bulk, g_r, g_s, mean_precision)

    b_r, b_s = g_r * (setting.lam_r - a_r), g_s * (setting.lam - setting.alpha * a_s)
    systematic_r = (b_r + b_s) ** 2 * bulk.form_d + b_s**2 * mean_precision * bulk.trace_dd
    systematic_s = (b_r + b_s) ** 2 * bulk.form_c + b_s**2 * mean_precision * bulk.trace_dc
    systematic = np.stack([systematic_r, systematic_s / bulk.inflation**2]) / bulk.hbar
    loss_r = h_r * (1.0 + a_r**2 - 2.0 * setting.lam_r * a_r)
    loss_s = h_s * (setting.alpha * (1.0 + a_s**2) - 2.0 * setting.lam * a_s)
    traces = _fresh_traces(setting, bulk)
    noise = np.einsum("tkl,lt->kt", traces, np.stack([loss_r, loss_s]))
    v = _solve_pairs(np.eye(2) - _fresh_coupling(setting, delta, traces), systematic + noise)[0]
    return {"a": a_r, "v": v, "delta_r": delta[0], "delta_s": delta[1], "delta_g": bulk.inflation - 1.0}


def _fresh_means(
    setting: Setting, bulk: Bulk, g_r: np.ndarray, g_s: np.ndarray, mean_precision: np.ndarray
) -> np.ndarray:
    """Margins (mu.w, mu_s.w) (2, t)."""
    real = bulk.form
    synth = bulk.form + mean_precision * bulk.trace_d
    gram = np.stack([real, real, real, synth], axis=-1).reshape(-1, 2, 2)
    matrix = np.eye(2) + gram * np.stack([g_r, setting.alpha * g_s], axis=-1)[:, None, :]
    pull = np.stack([g_r * setting.lam_r, g_s * setting.lam])
    return _solve_pairs(matrix, np.einsum("tkl,lt->kt", gram, pull))


def _self_bulk(setting: Setting, spectrum: Spectrum, delta_s: np.ndarray, guess: np.ndarray | None = None) -> Bulk:
    """Bulk sums for a generator fitted on the training rows: one covariance with weight theta = pi + alpha g_s."""
    g_s, _ = _synth_factors(setting, delta_s)
    theta = setting.real_share + setting.alpha * g_s
    return average_bulk(spectrum, setting.ridge, np.zeros_like(theta), theta, 1.0 / setting.num_real, guess)


def _self_delta(setting: Setting, spectrum: Spectrum) -> tuple[np.ndarray, np.ndarray]:
    """Solve delta_s = tr(C_s R)/N (t,) for a generator fitted on the training rows; also return the last D (t,)."""
    inflation: np.ndarray | None = None

    def step(delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nonlocal inflation
        bulk = _self_bulk(setting, spectrum, delta[0], inflation)
        inflation = bulk.inflation
        _, h_s = _synth_factors(setting, delta[0])
        slope = bulk.synth_traces[1] * setting.inverse_total * setting.alpha * h_s
        return (bulk.trace_d / bulk.inflation * setting.inverse_total)[None], slope[:, None, None]

    delta_s = solve_descending(step, (spectrum.count @ spectrum.d * setting.inverse_total / setting.ridge)[None])[0]
    return delta_s, inflation if inflation is not None else np.ones_like(delta_s)


def _self_terms(setting: Setting) -> Terms:
    """Weights for a generator fitted on the training rows themselves, with the labels as observed.

    Given the real rows, X_r'X_r/n is both their second moment and the generator's, and X_r'y/n is its mean, so the
    mean weight is a real-only ridge solution scaled by (pi + lam g_s)/theta; its law over real samples is that of
    ridge regression with weight theta, and the synthetic noise adds w'C_s w from the second equation for V. Not in
    the paper, which fits its generator on other rows.
    """
    spectrum = group_spectrum(setting)
    delta_s, inflation = _self_delta(setting, spectrum)
    bulk = _self_bulk(setting, spectrum, delta_s, inflation)
    g_s, h_s = _synth_factors(setting, delta_s)
    theta, lam_r = bulk.kappa, setting.lam_r
    pull = setting.real_share + setting.lam * g_s
    scale = np.divide(pull, theta, out=np.zeros_like(pull), where=theta > 0)  # theta = 0: nothing is left to learn from
    a_unit = lam_r * theta * bulk.form / (inflation + theta * bulk.form)
    misfit = 1.0 + a_unit**2 - 2.0 * lam_r * a_unit
    systematic = (theta * (lam_r - a_unit) / inflation) ** 2 * bulk.form_d
    estimation = (theta / inflation) ** 2 * misfit * bulk.trace_dd / setting.num_real
    v_unit = (systematic + estimation) / bulk.hbar
    # In-sample residuals are the out-of-sample ones divided by D: this gives the margin on the generator's own mean.
    a_s = scale * (inflation - 1.0 + lam_r * a_unit) / inflation
    v_own = (scale / inflation) ** 2 * (v_unit + a_unit**2 * (1.0 - lam_r**2))

    cross, synth = (trace * setting.inverse_total for trace in bulk.synth_traces)
    loss_s = h_s * (setting.alpha * (1.0 + a_s**2) - 2.0 * setting.lam * a_s)
    v_s = (v_own + synth * loss_s) / (1.0 - synth * h_s * setting.alpha)
    v = scale**2 * v_unit + cross * (loss_s + h_s * setting.alpha * v_s)
    delta_r = bulk.trace_d * setting.inverse_total
    return {"a": scale * a_unit, "v": v, "delta_r": delta_r, "delta_s": delta_s, "delta_g": inflation - 1.0}
