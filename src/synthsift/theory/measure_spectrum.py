"""Moments of a spectrum without the inflation that a sample adds, and the checks of measured rows.

With p features and n rows the dispersion of the sample eigenvalues is too large by about p^2/n; the unbiased tr(C^2)
says how much of it is real.

Equations (75), (76) of docs/methods/theory.md.

References
----------
T. Himeno, T. Yamada (2014), "Estimations for some functions of covariance matrix in high dimension under
non-normality", Journal of Multivariate Analysis 130: the unbiased tr(C^2).
"""

from __future__ import annotations

import numpy as np

from synthsift.records import DataError

#: The unbiased tr(C^2) divides by n - 3.
LEAST_ROWS = 4


def measure_spectrum(x: np.ndarray) -> np.ndarray:
    """Eigenvalues (p,) of the covariance of all rows, largest first, with sum and sum of squares unbiased.

    For the collapse theory, which has no classes; `measure_geometry` has the spectrum inside the classes.

    Source: docs/methods/theory.md, eq. (75); Himeno and Yamada (2014), Ledoit and Wolf (2004).

    Raises
    ------
    DataError
        If x is not a finite matrix of at least four rows, or nothing varies.
    """
    x, _ = checked_rows(x, np.ones(len(x)))
    if len(x) < LEAST_ROWS:
        raise DataError(f"x has {len(x)} rows; at least {LEAST_ROWS} are needed to measure a spectrum")
    covariance = np.cov(x, rowvar=False, ddof=1).reshape(x.shape[1], -1)
    values = np.maximum(np.linalg.eigvalsh(covariance)[::-1], 0.0)
    if not values.sum() > 0:
        raise DataError("no feature varies; every column is constant")
    average = values.mean()
    square = min(max(class_trace_square(x, covariance), values.sum() ** 2 / len(values)), values.sum() ** 2)
    return average + np.sqrt(real_dispersion(values, square)) * (values - average)


def effective_dimension(spectrum: np.ndarray, ridge: float = 0.0) -> float:
    """Directions that a ridge fit uses, sum s/(s + ridge); without ridge the number of directions that vary.

    Source: docs/methods/theory.md, eq. (76); textbook.

    Raises
    ------
    DataError
        For a negative ridge, or a spectrum that is negative or all zero.
    """
    values = np.asarray(spectrum, dtype=float)
    if not np.isfinite(values).all() or (values < 0).any() or not (values > 0).any():
        raise DataError("the spectrum must be finite, not negative and not all zero")
    if not (np.isfinite(ridge) and ridge >= 0):
        raise DataError(f"ridge is {ridge!r}; it must be finite and not negative")
    values = values[values > 0]
    return float((values / (values + ridge)).sum())


def checked_rows(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features as floats (n, p) and labels (n,), or what is wrong with them."""
    values = np.asarray(x)
    if values.ndim != 2 or values.dtype.kind not in "fiub" or values.shape[1] == 0:
        raise DataError(f"x has shape {values.shape} and type {values.dtype}; a matrix of numbers (n, p) is needed")
    values = values.astype(float)
    if not np.isfinite(values).all():
        raise DataError("x holds missing or infinite values; impute them first")
    labels = np.asarray(y)
    if labels.shape != (len(values),) or not np.isin(labels, (-1, 1)).all():
        raise DataError(f"y has shape {labels.shape} for {len(values)} rows; give one label, -1 or +1, a row")
    return values, labels


def class_trace_square(x: np.ndarray, covariance: np.ndarray) -> float:
    """Unbiased tr(C^2) from the rows of one class and their covariance (divided by n - 1).

    Source: docs/methods/theory.md, eq. (75); Himeno and Yamada (2014), Ledoit and Wolf (2004).
    """
    n = float(len(x))
    lengths = ((x - x.mean(axis=0)) ** 2).sum(axis=1)
    fourth = float(lengths @ lengths) / (n - 1.0)
    inner = (n - 1.0) * (n - 2.0) * float(np.vdot(covariance, covariance)) + float(np.trace(covariance)) ** 2
    return (n - 1.0) / (n * (n - 2.0) * (n - 3.0)) * (inner - n * fourth)


def real_dispersion(values: np.ndarray, trace_square: float) -> float:
    """Share f^2 of the dispersion of sample eigenvalues that the population has, in [0, 1].

    Source: docs/methods/theory.md, eq. (75); Himeno and Yamada (2014), Ledoit and Wolf (2004).
    """
    even = values.sum() ** 2 / len(values)
    seen = float(values @ values) - even
    return float(np.clip((trace_square - even) / seen, 0.0, 1.0)) if seen > 1e-12 * even else 0.0
