"""What the functions of this folder accept: fresh fractions, coherences, energies and rows of features."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from synthsift.records import DataError

LEAST_ROWS = 50


def check_alpha(alpha: ArrayLike) -> np.ndarray:
    """Return fresh fractions as a float64 array (scalars stay 0-d) after checking that all lie in [0, 1].

    Raises
    ------
    DataError
        If a fraction is NaN or outside [0, 1].
    """
    values = np.asarray(alpha, dtype=np.float64)
    if values.size == 0 or not np.all((values >= 0) & (values <= 1)):
        raise DataError(
            f"the fresh fraction alpha is {alpha!r}; it must be a number from 0 (own samples only) to 1 (fresh data "
            f"only). Give a fraction, not a percentage or a count"
        )
    return values


def check_nonnegative(name: str, value: ArrayLike) -> np.ndarray:
    """Return `value` as float64 after checking that it is finite and not negative.

    Raises
    ------
    DataError
        If an entry is NaN, infinite or negative.
    """
    values = np.asarray(value, dtype=np.float64)
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise DataError(f"{name} is {value!r}; it must be finite and not negative. Use a measure that stays finite")
    return values


def check_kappa(kappa: float) -> float:
    """Return the coherence after checking that it lies in [0, 1].

    Raises
    ------
    DataError
        If it is NaN or outside [0, 1]; errors of alternating sign have their own floor, `alternating_state`.
    """
    if not 0 <= kappa <= 1:
        raise DataError(
            f"the coherence kappa is {kappa!r}; it must lie in [0, 1] (0 = random, 1 = the same every round)"
        )
    return float(kappa)


def check_steady_alpha(alpha: float) -> float:
    """Return a fresh fraction above 0.

    Raises
    ------
    DataError
        If it lies outside [0, 1], or is 0: such a loop has no steady state.
    """
    value = float(check_alpha(alpha))
    if value == 0:
        raise DataError(
            "alpha = 0 has no steady state: without fresh data drift never stops growing (about N J after N rounds of "
            "random errors, N^2 J of repeated ones). Add fresh data: any alpha above 0"
        )
    return value


def check_features(name: str, rows: ArrayLike, width: int | None = None, least: int = LEAST_ROWS) -> np.ndarray:
    """Return feature rows as float64 (n, k), one column for a 1-D array.

    Raises
    ------
    DataError
        If there are fewer than `least` rows, the width differs, or an entry is not finite.
    """
    values = np.asarray(rows, dtype=np.float64)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or values.shape[1] == 0:
        raise DataError(f"{name} has shape {values.shape}; rows of features (n, k) are needed. Flatten or embed them")
    if len(values) < least:
        raise DataError(f"{name} has {len(values)} rows; at least {least} are needed for a stable mean. Give more rows")
    if width is not None and values.shape[1] != width:
        raise DataError(f"{name} is {values.shape[1]} wide but the reference is {width}; embed all with one encoder")
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise DataError(f"{name} has {int(bad.sum())} rows with NaN or infinite entries; repair or drop them first")
    return values


def per_step_alpha(alpha: ArrayLike, num_steps: int) -> np.ndarray:
    """Fresh fractions of `num_steps` training mixes (num_steps,), from one number or one per step.

    Raises
    ------
    DataError
        If one is outside [0, 1] or the number of them does not fit.
    """
    values = check_alpha(alpha)
    if values.ndim == 1 and values.size == num_steps:
        return values
    if values.size != 1:
        raise DataError(
            f"{values.size} fresh fractions were given for {num_steps} training steps; give one, or one each"
        )
    return np.full(num_steps, float(values.reshape(-1)[0]))
