"""What synthetic rows are worth when they are weighted, not pooled: best weight, worth in real rows, marginal values.

Give the synthetic rows the total weight alpha (alpha = p_2 is pooling): omega_1 = (1-alpha)/p_1, omega_2 = alpha/p_2.
To first order in d/n, with A = sigma_1^2 d/n_1 and C = (sigma_2^2 + c^2) d/n_2,

    alpha* = A/(A + C + c^2)     E* = A (C + c^2)/(A + C + c^2)     1/E* = 1/A + 1/(C + c^2)

so the best weight is never 0, correctly weighted synthetic rows never hurt (if c^2 is known), and any number of them is
worth at most sigma_1^2 d/c^2 real rows. For any alpha kept fixed the floor alpha^2 c^2 remains.

Equations (55) to (58) of docs/methods/theory.md.

References
----------
Dohmatob, Feng, Subramonian, Kempe, "Strong Model Collapse", arXiv 2410.04840, Corollary 2
(collapse at any fixed weight).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np

from synthsift.records import DataError
from synthsift.theory.collapse import predict_error
from synthsift.theory.collapse_inputs import ErrorOptions, PoleError, check_scalar
from synthsift.theory.collapse_search import zoom_minimum

# Odds of alpha outside e^-20 .. e^20 are as good as "real only" and "synthetic only".
LOGIT_RANGE = 20.0


@dataclass(frozen=True)
class BestWeight:
    """The best weight of the synthetic rows, and what it gains. Errors: lower is better.

    Parameters
    ----------
    total_weight : float
        alpha, share of the weight on all synthetic rows together.
    row_weight : float
        omega_2/omega_1, weight of a synthetic row where a real one has 1.
    error, real_only, pooled : float
        Excess error at that weight, of the real rows alone and at weight 1; infinite at a pole.
    """

    total_weight: float
    row_weight: float
    error: float
    real_only: float
    pooled: float


@dataclass(frozen=True)
class WeightRule:
    """Best total weight alpha*, its error E*, and the worth in real rows, to first order in d/n."""

    total_weight: float
    error: float
    worth: float


def best_weight(num_real: float, num_synth: float, dim: int, **options: Unpack[ErrorOptions]) -> BestWeight:
    """Find the total weight alpha on the synthetic rows with the lowest predicted error.

    Source: docs/methods/theory.md, eq. (55); derived there.

    Parameters
    ----------
    num_real, num_synth, dim
        Sizes, both above 0.
    **options
        Those of `predict_error` (single numbers), without synth_weight. The ridge belongs to weights of mean 1.

    Raises
    ------
    DataError
        If a source is empty, or synth_weight is given.
    """
    if not (num_real > 0 and num_synth > 0):
        raise DataError(f"num_real is {num_real:g} and num_synth {num_synth:g}; a weight needs rows of both kinds")
    if "synth_weight" in options:
        raise DataError("synth_weight is what best_weight looks for; leave it out")
    lone: dict[str, Any] = dict(options)
    ridge = check_scalar(lone.pop("ridge", 0.0), "ridge")

    def errors(points: np.ndarray) -> np.ndarray:
        return weighted_errors(num_real, num_synth, dim, points[:, 0], np.full(len(points), ridge), lone)

    place, error = zoom_minimum(errors, [-LOGIT_RANGE], [LOGIT_RANGE])
    alpha = float(1 / (1 + np.exp(-place[0])))
    row_weight = float(np.exp(place[0]) * num_real / num_synth)
    return BestWeight(
        alpha,
        row_weight,
        error,
        real_only=error_or_pole(num_real, 0.0, dim, **options),
        pooled=error_or_pole(num_real, num_synth, dim, **options),
    )


def weighted_errors(
    num_real: float, num_synth: float, dim: int, logits: np.ndarray, ridges: np.ndarray, options: Mapping[str, Any]
) -> np.ndarray:
    """Predicted error at total weights alpha = 1/(1 + exp(-logit)) (t,) and ridges (t,) for weights of mean 1.

    Dividing all weights and the ridge by omega_1 = (1 - alpha)/p_1 changes nothing, so that a real row has weight 1.

    Source: docs/methods/theory.md, eq. (55); derived there.
    """
    real_weight = (num_real + num_synth) / (num_real * (1 + np.exp(logits)))
    synth_weight = np.exp(logits) * num_real / num_synth
    settings = {**options, "ridge": ridges / real_weight, "synth_weight": synth_weight}
    return predict_error(num_real, num_synth, dim, **settings).mean


def error_or_pole(num_real: float, num_synth: float, dim: int, **options: Unpack[ErrorOptions]) -> float:
    """The predicted error, infinite where it has a pole."""
    try:
        return float(predict_error(num_real, num_synth, dim, **options).mean)
    except PoleError:
        return float("inf")


def weight_rule(
    num_real: float,
    num_synth: float,
    dim: float,
    *,
    mismatch: float,
    real_noise_variance: float = 1.0,
    synth_noise_variance: float | None = None,
) -> WeightRule:
    """Best weight, its error and the worth of the synthetic rows to first order in d/n (isotropic least squares).

    Source: docs/methods/theory.md, eq. (56); derived there; arXiv 2410.04840, Corollary 2 for its limit.

    Raises
    ------
    DataError
        If a source is empty or a size negative.
    """
    if not (num_real > 0 and num_synth > 0):
        raise DataError(f"num_real is {num_real:g} and num_synth {num_synth:g}; a weight needs rows of both kinds")
    real = check_scalar(real_noise_variance, "real_noise_variance")
    synth = real if synth_noise_variance is None else check_scalar(synth_noise_variance, "synth_noise_variance")
    gap = check_scalar(mismatch, "mismatch")
    alone, other = real * dim / num_real, (synth + gap) * dim / num_synth + gap
    if alone + other == 0:
        raise DataError("both noises and the mismatch are 0; every weight gives error 0 to first order")
    worth = real * dim / other if other else float("inf")
    return WeightRule(alone / (alone + other), alone * other / (alone + other), worth)


def worth_in_real_rows(
    dim: float,
    mismatch: float,
    *,
    real_noise_variance: float = 1.0,
    synth_noise_variance: float | None = None,
    num_synth: float = float("inf"),
) -> float:
    """Extra real rows that weighted synthetic rows are worth at most: sigma_1^2 d/(c^2 + (sigma_2^2 + c^2) d/n_2).

    With endless synthetic rows this is sigma_1^2 d/c^2: more of them cannot buy more than that. Higher is better.

    Source: docs/methods/theory.md, eq. (57); derived there.

    Raises
    ------
    DataError
        If a size is negative.
    """
    real = check_scalar(real_noise_variance, "real_noise_variance")
    synth = real if synth_noise_variance is None else check_scalar(synth_noise_variance, "synth_noise_variance")
    gap = check_scalar(mismatch, "mismatch")
    if not num_synth >= 0:
        raise DataError(f"num_synth is {num_synth!r}; it must not be negative")
    if num_synth == 0:
        return 0.0
    price = gap + (synth + gap) * check_scalar(dim, "dim") / num_synth
    return real * dim / price if price else float("inf")


def marginal_values(
    num_real: float, num_synth: float, dim: int, *, rows: float | None = None, **options: Unpack[ErrorOptions]
) -> tuple[float, float]:
    """Drop of the error for one more real row and for one more synthetic row, (-dE/dn_1, -dE/dn_2). Higher is better.

    Differences over `rows` rows (default a thousandth of all of them, both ways where that many are there).

    Source: docs/methods/theory.md, eq. (58); derived there.

    Raises
    ------
    DataError
        As `predict_error`.
    """
    step = 1e-3 * (num_real + num_synth) if rows is None else rows
    if not step > 0:
        raise DataError(f"the step of {step:g} rows must be above 0; give rows, or sizes above 0")

    def drop(real: float, synth: float, back_real: float, back_synth: float) -> float:
        first = [num_real - back_real, num_synth - back_synth]
        last = [num_real + real, num_synth + synth]
        errors = predict_error([first[0], last[0]], [first[1], last[1]], dim, **options).mean
        return float((errors[0] - errors[1]) / (last[0] - first[0] + last[1] - first[1]))

    back_real, back_synth = (step if size > step else 0.0 for size in (num_real, num_synth))
    return drop(step, 0.0, back_real, 0.0), drop(0.0, step, 0.0, back_synth)
