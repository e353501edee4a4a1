"""Inputs of the mixing theory from the user's own rows: class separation, spectrum, class mean in that basis.

A sample makes classes look further apart and directions more unequal than they are: with p features and n rows the
squared length of the mean is too large by tr(C)/n, the dispersion of the eigenvalues by about p^2/n. Both are removed
here, because the formulas take the values of the population. Companions: `measure_audit` (label noise and verifier),
`measure_mismatch` (the c^2 of the collapse theory), `measure_curve` (real-only learning curve), `measure_overlap` (was
the generator fitted on the same real rows).

Equations (74), (75) of docs/methods/theory.md.

References
----------
O. Ledoit, M. Wolf (2004), "A well-conditioned estimator for large-dimensional covariance matrices", Journal of
Multivariate Analysis 88: linear shrinkage. T. Himeno, T. Yamada (2014), "Estimations for some functions of covariance
matrix in high dimension under non-normality", Journal of Multivariate Analysis 130: the unbiased tr(C^2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri

from synthsift.records import DataError
from synthsift.theory.measure_spectrum import LEAST_ROWS, checked_rows, class_trace_square, real_dispersion

#: Half-width of a 95 % normal interval in standard errors.
NORMAL_95 = float(ndtri(0.975))
#: Largest power of the spectrum that a measured mean is tilted by.
TILT = 30.0


@dataclass(frozen=True)
class Estimate:
    """A measured number with its 95 % interval and the rows it rests on.

    Parameters
    ----------
    value : float
        The estimate; an unbiased one may lie outside the range of the quantity, such as a squared length below 0.
    low, high : float
        95 % interval.
    standard_error : float
    num_rows : int
        Rows, or audited rows, behind it.
    note : str
        What to know about it, "" mostly.
    """

    value: float
    low: float
    high: float
    standard_error: float
    num_rows: int
    note: str = ""

    @staticmethod
    def normal(value: float, standard_error: float, num_rows: int, note: str = "") -> Estimate:
        """Return the estimate whose interval is 1.96 standard errors to either side."""
        reach = NORMAL_95 * standard_error
        return Estimate(float(value), float(value - reach), float(value + reach), float(standard_error), num_rows, note)


@dataclass(frozen=True)
class ClassMoments:
    """Unbiased moments of two classes y = +-1 around the midpoint of their means.

    Parameters
    ----------
    midpoint : ndarray (p,)
        Half the sum of the two class means: what features are centered at.
    mean : ndarray (p,)
        Half their difference, the raw estimate of mu.
    covariance : ndarray (p, p)
        Pooled within-class covariance.
    trace, trace_square : float
        tr(C) and the unbiased tr(C^2).
    counts : tuple of int
        Rows of class -1 and of class +1.
    """

    midpoint: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    trace: float
    trace_square: float
    counts: tuple[int, int]

    @property
    def mean_rows(self) -> float:
        """Rows n_e behind the mean: its covariance is C/n_e, n_e = 4/(1/n_- + 1/n_+)."""
        return 4.0 / (1.0 / self.counts[0] + 1.0 / self.counts[1])

    @property
    def effective_dimension(self) -> float:
        """tr(C)^2/tr(C^2), between 1 and p; the directions that vary, counted by how much they do."""
        return self.trace**2 / self.trace_square


@dataclass(frozen=True)
class Geometry:
    """What `predict_accuracy` needs to know about the features.

    Parameters
    ----------
    moments : ClassMoments
    mean_square : Estimate
        Unbiased |mu|^2; not below 0 in truth, but its estimate may be where the classes hardly differ.
    spectrum : ndarray (p,)
        Estimated eigenvalues of C, largest first; their sum and their sum of squares are unbiased.
    mean : ndarray (p,)
        Estimated size of mu in each direction of `basis`; its squared length is `mean_square`, or 0 if that is below.
    basis : ndarray (p, p)
        Columns are the directions.
    """

    moments: ClassMoments
    mean_square: Estimate
    spectrum: np.ndarray
    mean: np.ndarray
    basis: np.ndarray

    @property
    def dim(self) -> int:
        """Number of features p."""
        return len(self.spectrum)

    @cached_property
    def mean_norm(self) -> Estimate:
        """|mu| with the interval of its square, both cut at 0."""
        square = self.mean_square
        value, low, high = (float(np.sqrt(max(v, 0.0))) for v in (square.value, square.low, square.high))
        return Estimate(value, low, high, (high - low) / (2 * NORMAL_95), square.num_rows, square.note)

    def mean_draws(self, num_draws: int, rng: np.random.Generator) -> np.ndarray:
        """Lengths |mu| (num_draws,) from the normal law of `mean_square`, cut at 0."""
        return np.sqrt(np.maximum(rng.normal(self.mean_square.value, self.mean_square.standard_error, num_draws), 0.0))


def measure_moments(x: np.ndarray, y: np.ndarray) -> ClassMoments:
    """Measure midpoint, mean and within-class covariance of two classes.

    tr(C_k^2) of class k is (n-1)/(n (n-2) (n-3)) [(n-1)(n-2) tr(S^2) + tr(S)^2 - n Q] with Q = sum |x - mean|^4/(n-1)
    (Himeno and Yamada 2014), unbiased whatever the distribution; classes are pooled by their degrees of freedom.

    Source: docs/methods/theory.md, eq. (74); derived there.

    Parameters
    ----------
    x : ndarray (n, p)
    y : ndarray (n,)
        -1 or +1.

    Raises
    ------
    DataError
        If x is not a finite matrix, y not +-1, a class has fewer than four rows, or nothing varies inside the classes.
    """
    x, y = checked_rows(x, y)
    parts = [x[y == label] for label in (-1, 1)]
    few = min(len(part) for part in parts)
    if few < LEAST_ROWS:
        raise DataError(f"a class has {few} rows; at least {LEAST_ROWS} of each are needed to measure its spread")
    minus, plus = (part.mean(axis=0) for part in parts)
    covariances = [np.cov(part, rowvar=False, ddof=1).reshape(x.shape[1], -1) for part in parts]
    squares = [class_trace_square(part, s) for part, s in zip(parts, covariances, strict=True)]
    share = np.array([len(part) - 1.0 for part in parts])
    share /= share.sum()
    covariance = share[0] * covariances[0] + share[1] * covariances[1]
    trace = float(np.trace(covariance))
    if not trace > 0:
        raise DataError("no feature varies inside the classes; take out the column that repeats the label")
    cross = 2.0 * share[0] * share[1] * float(np.vdot(covariances[0], covariances[1]))
    square = float(share[0] ** 2 * squares[0] + share[1] ** 2 * squares[1]) + cross
    square = min(max(square, trace**2 / x.shape[1]), trace**2)  # what any covariance of this trace obeys
    counts = (len(parts[0]), len(parts[1]))
    return ClassMoments((minus + plus) / 2.0, (plus - minus) / 2.0, covariance, trace, square, counts)


def measure_geometry(x: np.ndarray, y: np.ndarray) -> Geometry:
    """Measure everything about the features that `predict_accuracy` asks for.

    |mu|^2: the squared half-difference of the class means minus tr(C) (1/n_- + 1/n_+)/4 (the raw square is inflated by
    that); its standard error is that of the quadratic form, sqrt(4 mu'C mu/n_e + 2 tr(C^2)/n_e^2).
    Spectrum: sample eigenvalues l_i are pulled to their average l by f = sqrt of the part of their dispersion that is
    real, so that sum and sum of squares are unbiased; f^2 is the linear shrinkage of Ledoit and Wolf (2004).
    mu: its square in direction i of the sample minus the noise (l + f^2 (l_i - l))/n_e that it carries, cut at 0, then
    tilted by a power of the spectrum so that mu'mu and mu'C mu are the unbiased ones. With more features than rows the
    sample directions are so blurred that without the tilt a mean along the strongest directions is not seen there, and
    accuracy is overstated by 5 to 18 points.

    Source: docs/methods/theory.md, eq. (74), (75); Himeno and Yamada (2014), Ledoit and Wolf (2004).

    Parameters
    ----------
    x : ndarray (n, p)
        Any p; also more features than rows.
    y : ndarray (n,)
        -1 or +1, in any proportion.

    Raises
    ------
    DataError
        As `measure_moments`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([-1, 1], 500)
    >>> x = rng.standard_normal((1000, 20)) + 1.5 * y[:, None] * np.eye(20)[0]
    >>> geometry = measure_geometry(x, y)
    >>> bool(geometry.mean_norm.low < 1.5 < geometry.mean_norm.high)
    True
    """
    moments = measure_moments(x, y)
    rows = moments.mean_rows
    noise = moments.trace / rows
    square = float(moments.mean @ moments.mean) - noise
    pull = float(moments.mean @ moments.covariance @ moments.mean) - moments.trace_square / rows
    error = np.sqrt(4.0 * max(pull, 0.0) / rows + 2.0 * moments.trace_square / rows**2)
    note = "" if square > 0 else "the classes are no further apart than noise; the length of the mean is taken as 0"
    mean_square = Estimate.normal(square, float(error), sum(moments.counts), note)

    values, basis = np.linalg.eigh(moments.covariance)
    values, basis = np.maximum(values[::-1], 0.0), basis[:, ::-1]
    average, real_part = values.mean(), real_dispersion(values, moments.trace_square)
    spectrum = average + np.sqrt(real_part) * (values - average)
    along = (basis.T @ moments.mean) ** 2 - (average + real_part * (values - average)) / rows
    profile = _tilted(np.maximum(along, 0.0), spectrum, pull / square if square > 0 else 0.0)
    return Geometry(moments, mean_square, spectrum, np.sqrt(max(square, 0.0) * profile), basis)


def _tilted(profile: np.ndarray, spectrum: np.ndarray, variance: float) -> np.ndarray:
    """Shares (p,) proportional to profile times a power of the spectrum, with average eigenvalue `variance`."""
    seen = (profile > 0) & (spectrum > 0)
    if not seen.any() or not variance > 0:
        return np.full(len(profile), 1.0 / len(profile))
    logs, base = np.log(spectrum[seen]), np.log(profile[seen])
    low, high = spectrum[seen].min(), spectrum[seen].max()

    def shares(power: float) -> np.ndarray:
        height = base + power * logs
        weight = np.exp(height - height.max())
        return weight / weight.sum()

    def miss(power: float) -> float:
        return float(shares(power) @ spectrum[seen]) - variance

    found = np.zeros(len(profile))
    if high <= low * (1.0 + 1e-9):
        found[seen] = shares(0.0)
    elif miss(-TILT) >= 0 or miss(TILT) <= 0:  # beyond the weakest or the strongest direction
        found[seen] = shares(-TILT if miss(-TILT) >= 0 else TILT)
    else:
        found[seen] = shares(brentq(miss, -TILT, TILT))
    return found
