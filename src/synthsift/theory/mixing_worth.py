"""What synthetic rows are worth in clean real ones: the large-ridge limit of the mixing theory, in closed form.

With a large ridge the classifier becomes the mean of the labelled rows, and for isotropic features that is also the
best of all ridges. Letters: n real and m synthetic rows, phi and rho the rates at which the verifier keeps right and
wrong labels, eps the label noise, alpha = phi (1 - eps) + rho eps, lam = phi (1 - eps) - rho eps, omega the weight of
a synthetic row, n_hat the rows behind the generator, mu2 = |mu|^2. Model of El Firdoussi et al. (2024, arXiv
2410.08942), derived anew; the weight omega and generators fitted on the training rows are not in the paper.

Equations (24) to (28) of docs/methods/theory.md.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from synthsift.records import DataError
from synthsift.theory.mixing_checks import checked_mean, checked_range, checked_spectrum, kept_fractions
from synthsift.theory.mixing_families import normal_accuracy


def effective_sample_size(
    num_real: ArrayLike,
    num_synth: ArrayLike,
    *,
    label_noise: ArrayLike = 0.0,
    keep_right: ArrayLike = 1.0,
    keep_wrong: ArrayLike = 1.0,
    generator_size: ArrayLike = math.inf,
    generator: Literal["fresh", "exact", "self", "superset"] = "fresh",
    num_extra: ArrayLike = 0.0,
    synth_weight: ArrayLike = 1.0,
) -> np.ndarray:
    """Clean real rows n_eff that the mixture is worth to a large-ridge (mean) classifier; higher is better.

    fresh: (n + omega m lam)^2/(n + omega^2 [m alpha + (m lam)^2/n_hat]); "exact": the same with n_hat infinite.
    Generator fitted on the n training rows and `num_extra` more ("superset", "self" with none), k = n + n_x and
    s = omega m lam: (n + s)^2/(n (1 + s/k)^2 + s^2 n_x/k^2 + omega^2 m alpha). Negative where wrong labels win
    (n + omega m lam < 0): the classifier is then reversed.

    Source: docs/methods/theory.md, eq. (24); derived there for the model of arXiv 2410.08942.
    """
    n, m = checked_range("num_real", num_real), checked_range("num_synth", num_synth)
    omega, extra = checked_range("synth_weight", synth_weight), checked_range("num_real", num_extra)
    alpha, lam = kept_fractions(label_noise, keep_right, keep_wrong)
    if not all(np.isfinite(size).all() for size in (n, m, extra)):
        raise DataError("num_real, num_synth and num_extra must be finite; clean_row_worth takes infinite num_synth")
    signal = omega * m * lam
    if generator in ("self", "superset"):
        behind = n + (extra if generator == "superset" else 0.0)
        if np.any(behind == 0):
            raise DataError("the generator is fitted on no rows; num_real + num_extra must be at least 1")
        noise = n * (1.0 + signal / behind) ** 2 + signal**2 * (behind - n) / behind**2 + omega**2 * m * alpha
    elif generator in ("fresh", "exact"):
        size = checked_range("generator_size", generator_size if generator == "fresh" else math.inf)
        noise = n + omega**2 * m * alpha + signal**2 / size
    else:
        raise DataError(f'generator is {generator!r}; it must be "fresh", "exact", "self" or "superset"')
    total = n + signal
    return np.divide(total * np.abs(total), noise, out=np.zeros(np.broadcast(total, noise).shape), where=noise > 0)


def clean_row_worth(
    num_synth: ArrayLike,
    *,
    label_noise: ArrayLike = 0.0,
    keep_right: ArrayLike = 1.0,
    keep_wrong: ArrayLike = 1.0,
    generator_size: ArrayLike = math.inf,
) -> np.ndarray:
    """Clean real rows that the synthetic ones are worth at their best weight: 1/(alpha/(m lam^2) + 1/n_hat).

    Kept rows count (1 - 2 eps')^2 each, in series with the rows behind the generator: never more than n_hat, also for
    an infinite `num_synth`. 0 where lam <= 0, because then the best weight is 0. Large-ridge limit; higher is better.

    Source: docs/methods/theory.md, eq. (26); derived there for the model of arXiv 2410.08942.
    """
    size, behind = checked_range("num_synth", num_synth), checked_range("generator_size", generator_size)
    alpha, lam = kept_fractions(label_noise, keep_right, keep_wrong)
    helps = (lam > 0) & (size > 0)
    per_row = np.where(lam > 0, lam, 1.0) ** 2 / np.where(alpha > 0, alpha, 1.0)
    inverse = 1.0 / (np.where(size > 0, size, 1.0) * per_row) + 1.0 / behind
    worth = np.divide(1.0, inverse, out=np.full(np.shape(inverse), np.inf), where=inverse > 0)
    return np.where(helps, worth, 0.0)


def best_weight(
    num_synth: ArrayLike,
    *,
    label_noise: ArrayLike = 0.0,
    keep_right: ArrayLike = 1.0,
    keep_wrong: ArrayLike = 1.0,
    generator_size: ArrayLike = math.inf,
) -> np.ndarray:
    """Best weight of a synthetic row at a large ridge, fresh generator: omega* = lam/(alpha + m lam^2/n_hat), or 0.

    The mixture is then worth n + `clean_row_worth`, so this weight never hurts in that limit.

    Source: docs/methods/theory.md, eq. (25); derived there for the model of arXiv 2410.08942.
    """
    size, behind = checked_range("num_synth", num_synth), checked_range("generator_size", generator_size)
    alpha, lam = kept_fractions(label_noise, keep_right, keep_wrong)
    pull = alpha + size * lam**2 / behind
    return np.divide(np.maximum(lam, 0.0), pull, out=np.zeros(np.broadcast(lam, pull).shape), where=pull > 0)


def large_ridge_noise_limit(keep_right: ArrayLike = 1.0, keep_wrong: ArrayLike = 1.0) -> np.ndarray:
    """Label noise below which the first synthetic rows help a large-ridge classifier: phi/(phi + 3 rho).

    That is lam > alpha/2, or less than 25 % wrong labels among the kept rows. At a moderate ridge the limit is much
    lower: compute it with `synthsift.theory.mixing_advice.largest_helpful_noise`.

    Source: docs/methods/theory.md, eq. (27); derived there for the model of arXiv 2410.08942.
    """
    phi, rho = checked_range("keep_right", keep_right), checked_range("keep_wrong", keep_wrong)
    if np.any(phi + rho == 0):
        raise DataError("keep_right and keep_wrong are both 0; a verifier that keeps nothing has no limit")
    return phi / (phi + 3.0 * rho)


def accuracy_from_n_eff(
    n_eff: ArrayLike,
    dim: int,
    mean_norm: float | None,
    *,
    spectrum: ArrayLike | None = None,
    mean: ArrayLike | None = None,
) -> np.ndarray:
    """Accuracy of the mean classifier (infinite ridge) on n_eff clean rows: Phi(|mu|/sqrt(1 + p/(n_eff mu2))).

    With a covariance C: Phi(mu2/sqrt(mu'C mu + tr(C^2)/n_eff)). For isotropic features it is the best of all ridges.
    A negative `n_eff` (see `effective_sample_size`) is a reversed classifier. Higher is better.

    Source: docs/methods/theory.md, eq. (28); derived there for the model of arXiv 2410.08942.
    """
    values = checked_spectrum(dim, spectrum)
    mu = checked_mean(dim, mean_norm, mean)
    size = np.asarray(n_eff, dtype=float)
    if np.isnan(size).any():
        raise DataError("n_eff is not a number; give a number of rows")
    # Margin and variance, both times n_eff/(1 + n_eff), so that no rows and infinitely many are plain cases.
    rows = np.where(np.isinf(size), 0.0, np.abs(size))
    share = np.where(np.isinf(size), 1.0, rows / (1.0 + rows))
    variance = share * (values @ mu**2) + (1.0 - share) * (values @ values)
    return normal_accuracy(np.sign(size) * np.sqrt(share) * (mu @ mu), variance)
