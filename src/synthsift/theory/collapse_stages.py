"""Two stages, synthetic rows first and real rows second, and the ranking of all remedies.

Stage 1 fits the synthetic rows alone: its error w_s - w_1 has the second moment, per direction of the synthetic inputs,

    G_i = (1-T_i)^2 Gamma_i + T_i^2 Delta_i - 2 T_i (1-T_i) X_i + (sigma_2^2 + F)/(n_2 - df2) T_i^2/s_i,
    F = sum s_i (1-T_i)^2 (Gamma_i + Delta_i + 2 X_i)

Stage 2 minimizes (1/n_1)|y - Xw|^2 + lam |w - w_s|^2 on the real rows, with its own T and u:

    E = (1+u) sum G_i s_i (1-T_i)^2 + u sigma_1^2

No floor: the best ridge goes to 0 as n_1 grows. For Sigma = I it is sigma_1^2 d/(n_1 G), and two stages beat the best
real-only ridge iff tr(Sigma G) < r^2, that is iff the synthetic model is better than predicting zero.

Equations (69), (70) of docs/methods/theory.md.

References
----------
The same message for one-pass stochastic gradients: "two-stage" workshop paper, openreview.net/forum?id=ayBfYBks0U.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from synthsift.records import DataError, Prediction
from synthsift.seeds import Seeds, as_seeds
from synthsift.theory.collapse import predict_error
from synthsift.theory.collapse_inputs import ErrorOptions, Setting, read_setting
from synthsift.theory.collapse_search import zoom_minimum
from synthsift.theory.collapse_simulate import (
    LABEL_DRAWS,
    fit_ridge,
    prediction_from,
    quadratic_mean,
    square_root,
    whole_number,
)
from synthsift.theory.collapse_weights import weighted_errors

FORMULA = "ridge on the real rows pulled to a ridge fit on the synthetic rows; two applications of the ridge equivalent"
# Ridges are searched between these multiples of the mean eigenvalue, in logs.
RIDGE_RANGE = (-18.0, 14.0)
LOGIT_RANGE = 16.0


@dataclass(frozen=True)
class Remedy:
    """One way of using the rows at its best settings. Error: lower is better.

    Parameters
    ----------
    name : str
        "real only", "synthetic only", "pooled", "weighted" or "two stages".
    error : float
        Predicted excess error.
    ridge : float
        Best ridge (of the second stage for two stages).
    total_weight : float or None
        Best alpha of "weighted".
    synth_ridge : float or None
        Best ridge of the first of two stages.
    """

    name: str
    error: float
    ridge: float
    total_weight: float | None = None
    synth_ridge: float | None = None


def predict_two_stages(
    num_real: float,
    num_synth: float,
    dim: int,
    *,
    synth_ridge: ArrayLike,
    real_ridge: ArrayLike,
    **options: Unpack[ErrorOptions],
) -> Prediction:
    """Excess error of synthetic-then-real training. Lower is better.

    Source: docs/methods/theory.md, eq. (69); derived there.

    Parameters
    ----------
    num_real, num_synth, dim
        n_1, n_2 and d, both row counts above 0.
    synth_ridge, real_ridge : array_like
        Ridge of the first and of the second stage; broadcast together.
    **options
        real_noise_variance, synth_noise_variance, mismatch, spectrum, signal, shift, cross, synth_spectrum of
        `predict_error`.

    Returns
    -------
    Prediction
        `mean` in the broadcast shape; `terms` has total and start, the error tr(Sigma G) of the first stage alone.

    Raises
    ------
    DataError
        For other options, an empty source, or a pole of either stage.
    """
    setting = _two_stage_setting(num_real, num_synth, dim, options)
    first, second = np.broadcast_arrays(np.asarray(synth_ridge, dtype=float), np.asarray(real_ridge, dtype=float))
    # A search asks for all pairs of a few ridges, so each stage is solved once for each of its own.
    firsts, first_place = np.unique(first, return_inverse=True)
    seconds, second_place = np.unique(second, return_inverse=True)
    moment = _first_stage(setting, firsts)
    state = predict_error(setting.num_real, 0.0, dim, ridge=seconds, spectrum=setting.spectrum).terms
    missed = 1 - setting.spectrum / (setting.spectrum + _positive(state["kappa"])[:, None])
    u, left = state["u"], moment @ (setting.spectrum * missed**2).T  # (stage 1, stage 2)
    table = (1 + u) * left + u * setting.real_noise
    error = table[first_place.ravel(), second_place.ravel()].reshape(first.shape)
    terms = {"total": error, "start": (moment @ setting.spectrum)[first_place.ravel()].reshape(first.shape)}
    return Prediction(second.copy(), error, error, error, terms, FORMULA)


def _positive(kappa: np.ndarray) -> np.ndarray:
    """kappa, with 0 replaced by the smallest number so that a direction without variance has T = 0 and not 0/0."""
    return np.maximum(kappa, np.finfo(float).tiny)


def _two_stage_setting(num_real: float, num_synth: float, dim: int, options: Mapping[str, Any]) -> Setting:
    """The checked world of a two-stage question."""
    foreign = {"ridge", "synth_weight", "width", "projection_variance"} & set(options)
    if foreign:
        raise DataError(f"{', '.join(sorted(foreign))} do not apply to two stages; give synth_ridge and real_ridge")
    if not (num_real > 0 and num_synth > 0):
        raise DataError(f"num_real is {num_real:g} and num_synth {num_synth:g}; two stages need rows of both kinds")
    setting = read_setting(num_real, num_synth, dim, **options)
    if setting.at.ndim:
        raise DataError("num_real and num_synth must be single numbers here; vary the ridges instead")
    return setting


def _first_stage(setting: Setting, ridge: np.ndarray) -> np.ndarray:
    """Second moment of the error of the synthetic-only fit per direction (t, d)."""
    values, rows = setting.synth_spectrum, float(setting.num_synth[0])
    state = predict_error(0.0, rows, setting.dim, ridge=ridge, spectrum=values).terms
    seen = values / (values + _positive(state["kappa"])[:, None])
    missed = 1 - seen
    own = setting.signal + setting.shift + 2 * setting.cross
    noise = setting.synth_noise + missed**2 @ (values * own)
    scatter = seen**2 / np.where(values > 0, values, 1.0) * (noise * state["u"] / state["df2"])[:, None]
    return missed**2 * setting.signal + seen**2 * setting.shift - 2 * seen * missed * setting.cross + scatter


def simulate_two_stages(
    num_real: int,
    num_synth: int,
    dim: int,
    *,
    synth_ridge: float,
    real_ridge: float,
    seeds: Seeds | int,
    repeats: int,
    **options: Unpack[ErrorOptions],
) -> Prediction:
    """Draw and fit what `predict_two_stages` predicts; `terms` has total, start and their standard errors.

    Source: docs/methods/theory.md, eq. (69); derived there.

    Raises
    ------
    DataError
        As `predict_two_stages`, and for fewer than 2 repeats.
    """
    setting = _two_stage_setting(num_real, num_synth, dim, options)
    if repeats < 2:
        raise DataError(f"repeats is {repeats}; a standard error needs at least 2")
    rng = as_seeds(seeds).child("simulate_two_stages").numpy("designs")
    pairs = [_draw_two_stages(setting, synth_ridge, real_ridge, rng) for _ in range(repeats)]
    errors = np.array([[total, start, np.nan, np.nan] for total, start in pairs])
    answer = prediction_from(errors[:, None], np.asarray(float(real_ridge)))
    terms = {"total": answer.mean, "total_se": answer.terms["total_se"]}
    terms |= {"start": answer.terms["bias"], "start_se": answer.terms["bias_se"]}
    return Prediction(answer.at, answer.mean, answer.low, answer.high, terms, answer.formula)


def _draw_two_stages(
    setting: Setting, synth_ridge: float, real_ridge: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Errors of both stages together and of the first alone, for one design."""
    moments = np.array([[setting.signal, setting.cross], [setting.cross, setting.shift]]).transpose(2, 0, 1)
    truth, shift = np.einsum("dkj,rjd->krd", square_root(moments), rng.standard_normal((LABEL_DRAWS, 2, setting.dim)))
    n_real = whole_number(float(setting.num_real[0]), "num_real")
    n_synth = whole_number(float(setting.num_synth[0]), "num_synth")
    synth = rng.standard_normal((n_synth, setting.dim)) * np.sqrt(setting.synth_spectrum)
    real = rng.standard_normal((n_real, setting.dim)) * np.sqrt(setting.spectrum)
    noise = np.sqrt(setting.synth_noise) * rng.standard_normal((n_synth, LABEL_DRAWS))
    start = fit_ridge(synth, synth @ (truth + shift).T + noise, synth_ridge).T
    noise = np.sqrt(setting.real_noise) * rng.standard_normal((n_real, LABEL_DRAWS))
    step = fit_ridge(real, real @ (truth - start).T + noise, real_ridge).T
    return quadratic_mean(start + step - truth, setting.spectrum), quadratic_mean(start - truth, setting.spectrum)


def rank_remedies(num_real: float, num_synth: float, dim: int, **options: Unpack[ErrorOptions]) -> tuple[Remedy, ...]:
    """Every way of using the rows at its best ridge (and weight), lowest predicted error first.

    Source: docs/methods/theory.md, eq. (70); derived there.

    Parameters
    ----------
    num_real, num_synth, dim
        Sizes, both row counts above 0.
    **options
        Those of `predict_two_stages`.

    Raises
    ------
    DataError
        As `predict_two_stages`.
    """
    setting = _two_stage_setting(num_real, num_synth, dim, options)
    scale = float(np.log(setting.spectrum.mean()))
    low, high = scale + RIDGE_RANGE[0], scale + RIDGE_RANGE[1]

    def plain(name: str, real: float, synth: float) -> Remedy:
        def errors(logs: np.ndarray) -> np.ndarray:
            settings: dict[str, Any] = {**options, "ridge": np.exp(logs[:, 0])}
            return predict_error(real, synth, dim, **settings).mean

        place, error = zoom_minimum(errors, [low], [high])
        return Remedy(name, error, float(np.exp(place[0])))

    remedies = [
        plain("real only", num_real, 0.0),
        plain("synthetic only", 0.0, num_synth),
        plain("pooled", num_real, num_synth),
        _best_weighted(num_real, num_synth, dim, options, low, high),
        _best_two_stages(num_real, num_synth, dim, options, low, high),
    ]
    return tuple(sorted(remedies, key=lambda remedy: remedy.error))


def _best_weighted(
    num_real: float, num_synth: float, dim: int, options: ErrorOptions, low: float, high: float
) -> Remedy:
    """Weighted pooling at its best weight and ridge."""

    def errors(points: np.ndarray) -> np.ndarray:
        return weighted_errors(num_real, num_synth, dim, points[:, 0], np.exp(points[:, 1]), options)

    place, error = zoom_minimum(errors, [-LOGIT_RANGE, low], [LOGIT_RANGE, high])
    return Remedy("weighted", error, float(np.exp(place[1])), total_weight=float(1 / (1 + np.exp(-place[0]))))


def _best_two_stages(
    num_real: float, num_synth: float, dim: int, options: ErrorOptions, low: float, high: float
) -> Remedy:
    """Two stages at their best ridges."""

    def errors(points: np.ndarray) -> np.ndarray:
        first, second = np.exp(points).T
        return predict_two_stages(num_real, num_synth, dim, synth_ridge=first, real_ridge=second, **options).mean

    place, error = zoom_minimum(errors, [low, low], [high, high])
    return Remedy("two stages", error, float(np.exp(place[1])), synth_ridge=float(np.exp(place[0])))
