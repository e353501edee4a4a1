"""What the functions of this folder accept: fresh fractions, coherences, energies, raw rows and rows of features."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from synthsift.records import DataError, Images, Table

LEAST_ROWS = 50
NUMERIC = "buif"  # kinds of dtype that are numbers: booleans, unsigned and signed integers, floats


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


def as_rows(name: str, x: Any) -> Any:
    """Return raw rows as the encoders take them.

    Parameters
    ----------
    name : str
        What the rows are called in messages.
    x : Table, Images, sequence of str (n,), or numbers (n, d) or (n,) as array, nested list or pandas.DataFrame
        Rows.

    Returns
    -------
    Table, Images, object ndarray (n,) of str, or ndarray (n, d) of float32 or float64
        The same rows; one column for numbers (n,).

    Raises
    ------
    DataError
        If they are none of these.
    """
    if isinstance(x, Table | Images):
        return x
    values = _frame_values(name, x) if hasattr(x, "columns") and hasattr(x, "iloc") else _array_values(name, x)
    if values.ndim == 1 and values.dtype.kind in "UO":
        texts = values.astype(object)
        strange = next((k for k, text in enumerate(texts) if not isinstance(text, str)), None)
        if strange is None:
            return texts
        raise DataError(
            f"entry {strange} of {name} is {texts[strange]!r:.40} ({type(texts[strange]).__name__}); texts (str) in "
            f"every place, or numbers, are needed"
        )
    if values.dtype.kind not in NUMERIC or values.ndim not in (1, 2):
        raise DataError(
            f"{name} has shape {values.shape} and dtype {values.dtype}; numbers (rows, columns), texts (rows,), a "
            f"Table or Images are needed. Flatten or embed the rows"
        )
    rows = values if values.ndim == 2 else values[:, None]
    return rows if rows.dtype in (np.float32, np.float64) else rows.astype(np.float64)


def _array_values(name: str, x: Any) -> np.ndarray:
    """What NumPy makes of `x`."""
    try:
        return np.asarray(x)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{name} is a {type(x).__name__} that is no array ({error}). Give rows of one length"
        ) from error


def _frame_values(name: str, frame: Any) -> np.ndarray:
    """The numbers of a data frame (n, d), NaN where they are missing."""
    other = [str(label) for label, dtype in zip(frame.columns, frame.dtypes, strict=True) if dtype.kind not in NUMERIC]
    if other:
        raise DataError(
            f"{name} is a data frame with columns that are not numbers ({', '.join(other[:3])}). Give its numbers "
            f"alone, or a synthsift.records.Table; `synthsift drift` reads mixed tables from files"
        )
    values = np.asarray(frame)
    whole: np.ndarray = values if values.dtype.kind in NUMERIC else frame.to_numpy(dtype=np.float64, na_value=np.nan)
    return whole


def as_labels(name: str, labels: ArrayLike | None, num_rows: int) -> np.ndarray | None:
    """Return classes as an array (n,), None where there are none.

    Raises
    ------
    DataError
        If there is not one a row.
    """
    if labels is None:
        return None
    values = np.asarray(labels)
    if values.shape != (num_rows,):
        raise DataError(f"the labels of {name} have shape {values.shape}; ({num_rows},) is needed, one for each row")
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
