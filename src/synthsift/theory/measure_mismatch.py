"""The mismatch c^2 of the collapse theory from data: by audit, by fits, by two points of a curve.

c^2 = E (x.delta)^2 is the mean squared difference between the synthetic label rule and the true one. Only a systematic
difference counts: independent label noise averages out, a wrong rule does not. All labels are numbers here (classes as
-1 and +1, or one column of a one-hot code).

Equations (79) to (82) of docs/methods/theory.md.

References
----------
Dohmatob, Feng, Subramonian, Kempe, "Strong Model Collapse", arXiv 2410.04840: the role of c^2 (their printed
c^2 = (1/d) tr(Sigma Delta) does not fit their isotropic corollary; c^2 = tr(Sigma Delta) does and can be measured).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from synthsift.records import DataError
from synthsift.theory.measure import Estimate

#: A rate of disagreeing classes to a mean squared difference of the coded labels.
DISAGREEMENT = {"one-hot": 2.0, "signs": 4.0}


@dataclass(frozen=True)
class FittedMismatch:
    """What linear fits to real and to synthetic rows say about each other.

    Parameters
    ----------
    mismatch : Estimate
        c^2 between the two linear rules, on the real inputs. What neither rule can express is in the noises.
    real_noise_variance, synth_noise_variance : float
        sigma_1^2 and sigma_2^2: what the linear fits leave over, label noise and curvature together.
    dim : int
        Columns of the fit, the intercept among them.
    """

    mismatch: Estimate
    real_noise_variance: float
    synth_noise_variance: float
    dim: int


def mismatch_by_audit(
    synth_labels: ArrayLike,
    trusted_labels: ArrayLike,
    *,
    trusted_again: ArrayLike | None = None,
    synth_again: ArrayLike | None = None,
    real_noise_variance: float = 0.0,
    synth_noise_variance: float = 0.0,
) -> Estimate:
    """Measure c^2 by labeling synthetic inputs again with trusted labels.

    The mean squared difference of the two is c^2 + sigma_1^2 + sigma_2^2. A second independent label removes its noise
    without knowing it, because E (s - t)(s - t') = c^2 + sigma_2^2 and E (s - t)(s' - t') = c^2; where there is none
    the noise given is subtracted.

    Source: docs/methods/theory.md, eq. (79); derived there.

    Parameters
    ----------
    synth_labels, trusted_labels : array_like (k,)
        The label that came with each audited input, and the trusted one.
    trusted_again, synth_again : array_like (k,), optional
        Independent second labels of the same inputs.
    real_noise_variance, synth_noise_variance : float
        sigma_1^2 and sigma_2^2, used where the second label is missing.

    Raises
    ------
    DataError
        For fewer than two rows, lengths that differ, or labels that are not finite numbers.
    """
    synth, trusted = _labels(synth_labels, "synth_labels"), _labels(trusted_labels, "trusted_labels")
    other_synth = synth if synth_again is None else _labels(synth_again, "synth_again")
    other_trusted = trusted if trusted_again is None else _labels(trusted_again, "trusted_again")
    lengths = {len(column) for column in (synth, trusted, other_synth, other_trusted)}
    if len(lengths) != 1 or min(lengths) < 2:
        raise DataError(f"the audited labels have {sorted(lengths)} rows; at least two, and one length, are needed")
    product = (synth - trusted) * (other_synth - other_trusted)
    noise = _variance(synth_noise_variance, "synth_noise_variance") if synth_again is None else 0.0
    noise += _variance(real_noise_variance, "real_noise_variance") if trusted_again is None else 0.0
    error = product.std(ddof=1) / math.sqrt(len(product))
    return _noted(Estimate.normal(product.mean() - noise, error, len(product)))


def mismatch_from_disagreement(num_differ: int, num_rows: int, coding: str = "signs") -> Estimate:
    """Return c^2 from how often two deterministic label rules differ: 4 eps for -1/+1, 2 eps for one-hot labels.

    Only for disagreement that depends on the input. Random flips are noise: they shrink the rule but do not turn it.

    Source: docs/methods/theory.md, eq. (80); derived there.

    Raises
    ------
    DataError
        For counts that are no share, or another coding.
    """
    if coding not in DISAGREEMENT:
        raise DataError(f"coding is {coding!r}; it must be one of {', '.join(DISAGREEMENT)}")
    if not (num_rows >= 1 and 0 <= num_differ <= num_rows):
        raise DataError(f"{num_differ} of {num_rows} rows differ; give a count between 0 and the rows compared")
    share, scale = num_differ / num_rows, DISAGREEMENT[coding]
    middle = (num_differ + 2.0) / (num_rows + 4.0)  # Agresti and Coull's interval, which is not empty at 0 or all
    reach = 1.96 * math.sqrt(middle * (1.0 - middle) / (num_rows + 4.0))
    low, high = max(min(middle - reach, share), 0.0), min(max(middle + reach, share), 1.0)
    return Estimate(scale * share, scale * low, scale * high, scale * reach / 1.96, num_rows)


def mismatch_by_fit(
    x_real: np.ndarray,
    y_real: np.ndarray,
    x_synth: np.ndarray,
    y_synth: np.ndarray,
    *,
    intercept: bool = True,
    real_noise_variance: float | None = None,
) -> FittedMismatch:
    """Measure c^2 by a fit on the synthetic rows alone, judged on the real ones.

    The test error of the synthetic fit on real labels is sigma_1^2 + c^2 + sigma_2^2 tr(S (X_2'X_2)^-1), S the second
    moment of the real inputs. With more real rows than columns sigma_1^2 comes from the real fit on the same rows, so
    that the noise of the real labels cancels: c^2 is then |X_1 (w_2 - w_1)|^2/n_1 minus what the noise of both fits
    adds, unbiased given the inputs. Otherwise `real_noise_variance` is needed.

    Source: docs/methods/theory.md, eq. (81); derived there.

    Parameters
    ----------
    x_real, y_real, x_synth, y_synth : ndarray (n, d), (n,)
        Features and numeric labels.
    intercept : bool
        Add a column of ones.
    real_noise_variance : float, optional
        sigma_1^2 where there are too few real rows to measure it.

    Raises
    ------
    DataError
        If columns differ, values are not finite, there are not more synthetic rows than columns, or neither enough
        real rows nor `real_noise_variance`.
    """
    real, synth = _design(x_real, intercept, "x_real"), _design(x_synth, intercept, "x_synth")
    labels, other = _labels(y_real, "y_real"), _labels(y_synth, "y_synth")
    if real.shape[1] != synth.shape[1] or len(real) != len(labels) or len(synth) != len(other):
        raise DataError(f"real rows {real.shape}, synthetic rows {synth.shape} and their labels do not fit together")
    dim = real.shape[1]
    rank = int(np.linalg.matrix_rank(synth))
    if len(synth) <= dim or rank < dim:
        raise DataError(
            f"{len(synth)} synthetic rows of rank {rank} for {dim} columns; a fit on them alone needs more rows than "
            "columns and none that repeats another: reduce the columns, or measure c^2 by an audit"
        )
    inverse = np.linalg.inv(synth.T @ synth)
    weights = inverse @ (synth.T @ other)
    synth_noise = float(((other - synth @ weights) ** 2).sum() / (len(synth) - dim))
    moment = real.T @ real / len(real)
    if len(real) > dim + 1 and np.linalg.matrix_rank(real) == dim:
        return _both_fits(real, labels, weights, inverse, synth_noise)
    if real_noise_variance is None:
        raise DataError(
            f"{len(real)} real rows for {dim} columns are too few to measure the label noise too; give "
            "real_noise_variance, more real rows or fewer columns"
        )
    squares = (labels - real @ weights) ** 2
    noise = _variance(real_noise_variance, "real_noise_variance")
    value = squares.mean() - noise - synth_noise * float(np.vdot(moment, inverse))
    error = squares.std(ddof=1) / math.sqrt(len(squares)) if len(squares) > 1 else math.inf
    return FittedMismatch(_noted(Estimate.normal(value, error, len(squares))), noise, synth_noise, dim)


def _both_fits(
    real: np.ndarray, labels: np.ndarray, weights: np.ndarray, inverse: np.ndarray, synth_noise: float
) -> FittedMismatch:
    """c^2 as the distance of two least-squares fits, the noise of both taken off."""
    n, dim = real.shape
    own = np.linalg.lstsq(real, labels, rcond=None)[0]
    real_noise = float(((labels - real @ own) ** 2).sum() / (n - dim))
    moment = real.T @ real / n
    difference = weights - own
    # Covariance of the difference times the second moment: sigma_1^2 I/n + sigma_2^2 S (X_2'X_2)^-1.
    spread = real_noise * np.eye(dim) / n + synth_noise * moment @ inverse
    value = float(difference @ moment @ difference - np.trace(spread))
    turned = float(difference @ moment @ (spread.T @ difference)) - float(np.vdot(spread, spread.T))
    error = math.sqrt(max(2.0 * float(np.vdot(spread, spread.T)) + 4.0 * max(turned, 0.0), 0.0))
    return FittedMismatch(_noted(Estimate.normal(value, error, n)), real_noise, synth_noise, dim)


def mismatch_by_two_points(
    num_rows: ArrayLike,
    errors: ArrayLike,
    synth_fraction: float,
    *,
    standard_errors: ArrayLike | None = None,
    exponent: float = 1.0,
    noise_variance: float = 0.0,
) -> Estimate:
    """Measure c^2 by pooled fits of two or more sizes with one synthetic fraction: the part that does not shrink.

    Squared test errors are noise_variance + p_2^2 c^2 + a n^-exponent; both unknowns by (weighted) least squares.

    Source: docs/methods/theory.md, eq. (82); derived there.

    Parameters
    ----------
    num_rows, errors : array_like (k,)
        Rows of each fit, real and synthetic together, and its mean squared error on real rows.
    synth_fraction : float
        p_2 > 0.
    standard_errors : array_like (k,), optional
        Of the errors; without them and with two points there is no interval, and a note says so.
    exponent : float
        Of the learning curve (1 for a linear fit with more rows than columns).
    noise_variance : float
        Of a real label, if the errors include it.

    Raises
    ------
    DataError
        For fewer than two different sizes, values out of range or lengths that differ.
    """
    rows, seen = _labels(num_rows, "num_rows"), _labels(errors, "errors")
    if len(rows) != len(seen) or len(np.unique(rows)) < 2 or (rows <= 0).any() or (seen < 0).any():
        raise DataError(f"num_rows {rows} and errors {seen}: at least two different sizes, each with one error >= 0")
    if not (0 < synth_fraction <= 1 and exponent > 0):
        raise DataError(f"synth_fraction is {synth_fraction!r} and exponent {exponent!r}; both must be above 0")
    scale = np.ones(len(rows)) if standard_errors is None else _labels(standard_errors, "standard_errors")
    if len(scale) != len(rows) or (scale <= 0).any():
        raise DataError("standard_errors must be above 0, one for every error")
    design = np.stack([np.ones(len(rows)), rows**-exponent], axis=1) / scale[:, None]
    target = (seen - _variance(noise_variance, "noise_variance")) / scale
    solution = np.linalg.lstsq(design, target, rcond=None)[0]
    covariance = np.linalg.inv(design.T @ design)
    note = ""
    if standard_errors is None:
        degrees = len(rows) - 2
        note = "two points without standard errors give no interval" if degrees == 0 else ""
        rest = float(((target - design @ solution) ** 2).sum())
        covariance = covariance * (rest / degrees if degrees else math.nan)
    error = math.inf if note else math.sqrt(covariance[0, 0]) / synth_fraction**2
    found = Estimate.normal(solution[0] / synth_fraction**2, error, len(rows), note)
    return found if note else _noted(found)


def _noted(estimate: Estimate) -> Estimate:
    """Say so where c^2 is below what this measurement can see."""
    if estimate.low > 0:
        return estimate
    note = f"c^2 is below the error of its measurement: it may be 0 or as large as {max(estimate.high, 0.0):.3g}"
    return Estimate(estimate.value, estimate.low, estimate.high, estimate.standard_error, estimate.num_rows, note)


def _labels(values: ArrayLike, name: str) -> np.ndarray:
    """Finite numbers (k,), or what is wrong with them."""
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise DataError(f"{name} has shape {array.shape} and type {array.dtype}; finite numbers, one a row, are needed")
    return array.astype(float)


def _design(x: np.ndarray, intercept: bool, name: str) -> np.ndarray:
    """Features as a finite matrix, with a column of ones if wanted."""
    values = np.asarray(x)
    if values.ndim != 2 or values.dtype.kind not in "fiub" or not np.isfinite(values).all() or not len(values):
        raise DataError(f"{name} has shape {values.shape} and type {values.dtype}; finite numbers (n, d) are needed")
    values = values.astype(float)
    return np.hstack([values, np.ones((len(values), 1))]) if intercept else values


def _variance(value: float, name: str) -> float:
    """A variance, or what is wrong with it."""
    if not (np.isfinite(value) and value >= 0):
        raise DataError(f"{name} is {value!r}; a variance is finite and not negative")
    return float(value)
