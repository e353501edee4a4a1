"""When does synthetic data help, how much of it, how much is it worth: rules for pooled and pruned rows.

All for Sigma = I and least squares without ridge (d < n_1); with another spectrum use an effective dimension for d,
or search with `predict_error`. A = sigma_1^2 d/n_1 is the real-only error to first order in d/n_1. The formulas are
consequences of Corollary 1 of "Strong Model Collapse" (arXiv 2410.04840), derived and simulated here.

Equations (53), (54), (71), (72) of docs/methods/theory.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthsift.records import DataError
from synthsift.theory.collapse_inputs import check_fraction, check_scalar


@dataclass(frozen=True)
class HelpfulFractions:
    """How much of plain pooling helps at a given number of real rows.

    Parameters
    ----------
    largest, best : float
        Synthetic fraction p_2 up to which pooling beats real rows alone, and the one with the lowest error.
    largest_rule, best_rule : float
        The same to first order in d/n_1.
    real_only, at_best : float
        Error of the real rows alone and at the best fraction. Lower is better.
    """

    largest: float
    best: float
    largest_rule: float
    best_rule: float
    real_only: float
    at_best: float


def first_rows_limit(
    num_real: float, dim: int, *, real_noise_variance: float = 1.0, synth_noise_variance: float | None = None
) -> float:
    """Largest mismatch c^2 at which the first pooled synthetic rows still help: they do iff c^2 is below it.

    sigma_2^2 + c^2 < sigma_1^2 + sigma_1^2/(1 - d/n_1), that is: the total squared error of a synthetic label is
    below the real label noise plus the total test error of the real-only model. A negative value means they never
    help.

    Source: docs/methods/theory.md, eq. (53); derived there from arXiv 2410.04840, Corollary 1.

    Raises
    ------
    DataError
        If there are not more real rows than dimensions.
    """
    real, synth = _noises(real_noise_variance, synth_noise_variance)
    rows = _more_than_dim(num_real, dim)
    return real + real / (1 - dim / rows) - synth


def helpful_fractions(
    num_real: float,
    dim: int,
    *,
    mismatch: float,
    real_noise_variance: float = 1.0,
    synth_noise_variance: float | None = None,
) -> HelpfulFractions:
    """Largest helpful and best synthetic fraction of plain pooling, exact and by rule.

    Exact: u sbar^2 + c^2 (p_2^2 + p_1 p_2 u) with n = n_1/(1 - p_2), u = d/(n - d), against its value at p_2 = 0. Rule:
    p_2_max = (A/c^2) (2 - (sigma_2^2 + c^2)/sigma_1^2) clipped to [0, 1], the best about half of it. It shrinks like
    1/n_1: the more real rows, the less may be pooled in.

    Source: docs/methods/theory.md, eq. (54); derived there from arXiv 2410.04840, Corollary 1.

    Raises
    ------
    DataError
        If there are not more real rows than dimensions, or a size is negative.
    """
    real, synth = _noises(real_noise_variance, synth_noise_variance)
    rows, gap = _more_than_dim(num_real, dim), check_scalar(mismatch, "mismatch")
    numerator = _pooled_numerator(rows, dim, real, synth, gap)
    real_only = real * dim / (rows - dim)

    def error(p: float) -> float:
        return float(np.polyval(numerator, p) / (rows - dim * (1 - p)))

    largest = _largest(rows, dim, real, synth, gap)
    best = _best(numerator, rows, dim)
    rule = _rule(real * dim / rows, real, synth, gap)
    return HelpfulFractions(largest, best, rule, rule / 2, real_only, error(best))


def _noises(real_noise_variance: float, synth_noise_variance: float | None) -> tuple[float, float]:
    """sigma_1^2 and sigma_2^2."""
    real = check_scalar(real_noise_variance, "real_noise_variance")
    return real, real if synth_noise_variance is None else check_scalar(synth_noise_variance, "synth_noise_variance")


def _more_than_dim(num_real: float, dim: int) -> float:
    """n_1, which least squares needs to be above d."""
    if not num_real > dim:
        raise DataError(
            f"num_real is {num_real:g}, dim {dim}; the rule for plain pooling needs more real rows than dimensions; "
            f"use predict_error with a ridge instead"
        )
    return check_scalar(num_real, "num_real")


def _pooled_numerator(rows: float, dim: float, real: float, synth: float, gap: float) -> np.ndarray:
    """Coefficients of E(p_2) (n_1 - d (1 - p_2)), a cubic in p_2."""
    extra = synth - real
    return np.array(
        [
            2 * gap * dim,
            gap * (rows - 3 * dim) - dim * extra,
            dim * (gap + extra - real),
            dim * real,
        ]
    )


def _largest(rows: float, dim: float, real: float, synth: float, gap: float) -> float:
    """Positive root of E(p_2) = E(0), a quadratic once the root 0 is divided out."""
    square, line = 2 * gap * dim, gap * (rows - 3 * dim) - dim * (synth - real)
    constant = dim * (gap + synth - 2 * real - real * dim / (rows - dim))
    if constant >= 0:
        return 0.0
    root = np.sqrt(line**2 - 4 * square * constant)
    # The form without a difference of nearly equal numbers; it also covers square = 0.
    positive = -2 * constant / (line + root) if line + root > 0 else np.inf
    return float(min(positive, 1.0))


def _best(numerator: np.ndarray, rows: float, dim: float) -> float:
    """Fraction of [0, 1] with the lowest error, from the zeros of its derivative."""
    below = np.array([dim, rows - dim])
    slope = np.polysub(np.polymul(np.polyder(numerator), below), dim * numerator)
    roots = np.roots(slope)
    inner = roots.real[(np.abs(roots.imag) < 1e-9) & (roots.real > 0) & (roots.real < 1)]
    places = np.concatenate([[0.0, 1.0], inner])
    values = np.polyval(numerator, places) / np.polyval(below, places)
    return float(places[np.argmin(values)])


def _rule(error: float, real: float, synth: float, gap: float) -> float:
    """(A/c^2)(2 - (sigma_2^2 + c^2)/sigma_1^2) in [0, 1]."""
    if real == 0:
        return 0.0
    benefit = 2 - (synth + gap) / real
    if benefit <= 0:
        return 0.0
    return 1.0 if gap == 0 else min(error / gap * benefit, 1.0)


def pruning_pays(
    keep_fraction: float,
    kept_mismatch: float,
    *,
    mismatch: float,
    num_synth: float,
    dim: int,
    synth_noise_variance: float = 1.0,
) -> bool:
    """Whether keeping only a better part of the synthetic rows pays, at the best weight and to first order in d/n_2.

    It does iff sigma_2^2 (d/n_2) (1/keep - 1) < c^2 - c_kept^2. With n_2 >> d nearly any gain in quality pays.

    Source: docs/methods/theory.md, eq. (71); derived there.

    Raises
    ------
    DataError
        For a fraction outside (0, 1], no synthetic rows or negative sizes.
    """
    keep = check_fraction(keep_fraction, "keep_fraction")
    rows = check_scalar(num_synth, "num_synth")
    if keep == 0 or rows == 0:
        raise DataError(
            "keep_fraction and num_synth must be above 0; with no synthetic row kept there is nothing to compare"
        )
    lost = check_scalar(synth_noise_variance, "synth_noise_variance") * dim / rows * (1 / keep - 1)
    return lost < check_scalar(mismatch, "mismatch") - check_scalar(kept_mismatch, "kept_mismatch")


def largest_wrong_fraction(keep_right: float, keep_wrong: float) -> float:
    """Wrong-label fraction p = 1/(1 + psi/phi) below which a verified linear classifier succeeds with endless rows.

    phi = P(keep | label right), psi = P(keep | label wrong), as reported for Feng, Dohmatob, Yang, Charton, Kempe,
    "Beyond Model Collapse", arXiv 2406.07515. Judge a verifier by psi/phi on the generator's own outputs.

    Source: docs/methods/theory.md, eq. (72); arXiv 2406.07515.

    Raises
    ------
    DataError
        For fractions outside [0, 1], or a verifier that keeps nothing.
    """
    right, wrong = check_fraction(keep_right, "keep_right"), check_fraction(keep_wrong, "keep_wrong")
    if right + wrong == 0:
        raise DataError("keep_right and keep_wrong are both 0; this verifier keeps no row")
    return right / (right + wrong)
