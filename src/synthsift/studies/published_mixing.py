"""The accuracy formula of the public code of El Firdoussi et al. (2024), for comparison with ours and with simulation.

Two terms differ from the law that simulation follows, and each can be switched on alone:

* the kept fraction alpha stands inside the synthetic delta, delta_s = alpha tr(C_s R)/N: the fixed point for soft
  weights alpha on every row instead of whole rows of which a fraction is kept;
* for a generator whose covariance is estimated, averages over C_s are taken too early: tr(R C_s R) for tr(C_s R C_s R),
  and w'w for w'C_s w, right for n_hat -> infinity. (Our reading: it gives the one value that is known, .9132.)

With both off it is `theory.mixing.predict_accuracy` for isotropic features and an exact class mean (a test holds that).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq

from synthsift.theory.mixing_families import normal_accuracy

TOLERANCE, STEPS = 1e-13, 100_000


def published_accuracy(
    num_real: float,
    num_synth: float,
    dim: int,
    mean_norm: float,
    ridge: float,
    *,
    label_noise: float = 0.0,
    keep_right: float = 1.0,
    keep_wrong: float = 1.0,
    generator_size: float = math.inf,
    is_soft: bool = True,
    is_short: bool = True,
) -> float:
    """Accuracy by the published formula, isotropic features, the generator knows the class mean. Higher is better.

    Parameters
    ----------
    num_real, num_synth, dim, mean_norm, ridge, label_noise, keep_right, keep_wrong, generator_size
        n, m, p, |mu|, gamma, eps, phi, rho, n_hat, as in `theory.mixing.predict_accuracy`.
    is_soft : bool
        Put alpha inside delta_s (theirs).
    is_short : bool
        Use tr(R C_s R) for tr(C_s R C_s R) and w'w for w'C_s w (theirs).

    References
    ----------
    Read off the authors' public code for arXiv 2410.08942; values in the tests are from their result file.
    """
    right, wrong = keep_right * (1.0 - label_noise), keep_wrong * label_noise
    alpha, lam, total = right + wrong, right - wrong, num_real + num_synth
    pi, inside = num_real / total, alpha if is_soft else 1.0
    delta = np.full(2, dim / total / ridge)
    for _ in range(STEPS):
        g_r, g_s = pi / (1.0 + delta[0]), (1.0 - pi) / (1.0 + delta[1])
        kappa = alpha * g_s
        inflation = _inflation(ridge + g_r, kappa, dim / generator_size)
        r = 1.0 / (ridge + g_r + kappa / inflation)
        mapped = np.array([1.0, inside / inflation]) * dim * r / total
        if np.abs(mapped - delta).max() <= TOLERANCE * mapped.max():
            break
        delta = mapped
    else:
        raise ArithmeticError("the published fixed point did not converge; use a larger ridge")
    t2, square = dim * r**2, inflation**2
    hbar = 1.0 - kappa**2 * t2 / (generator_size * square)
    cross = t2 / (square * hbar * total)
    synth = t2 / (square * inflation * hbar) + dim * r / (generator_size * square) * (
        dim * r - kappa * t2 / (square * hbar)
    )
    traces = np.array([[t2 / hbar / total, cross], [cross, cross if is_short else synth / total]])
    form = r * mean_norm**2
    gain = g_r + kappa
    a = form * (g_r + lam * g_s) / (1.0 + form * gain)
    b = g_r * (1.0 - a) + g_s * (lam - alpha * a)
    weight = np.array([pi / (1.0 + delta[0]) ** 2, (1.0 - pi) / (1.0 + delta[1]) ** 2])
    loss = weight * np.array([(1.0 - a) ** 2, alpha * (1.0 + a**2) - 2.0 * lam * a])
    systematic = b**2 * r**2 * mean_norm**2 / hbar * np.array([1.0, 1.0 if is_short else 1.0 / square])
    coupling = traces * weight * np.array([1.0, alpha])
    v = np.linalg.solve(np.eye(2) - coupling, systematic + traces @ loss)[0]
    return float(normal_accuracy(np.asarray(a), np.asarray(v)))


def _inflation(base: float, kappa: float, ratio: float) -> float:
    """D = 1 + ratio kappa/(base + kappa/D), ratio = p/n_hat."""
    if ratio == 0.0 or kappa == 0.0:
        return 1.0
    return float(brentq(lambda d: d - 1.0 - ratio * kappa / (base + kappa / d), 1.0, 1.0 + ratio * kappa / base + 1e-9))
