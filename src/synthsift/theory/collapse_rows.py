"""The error of a pooled ridge fit where rows are no Gaussian cloud: the user's own rows stand for the population.

The other formulas of the collapse theory know inputs by their covariance alone. They need every row to have about the
same leverage x'Rx, and label errors that do not go with it. Features of real data have neither: rows far out have a
larger say in the fit, and their labels are often the worst. Here every row keeps its own leverage and misfit. With P
rows x_i as the population, n rows drawn from it, and averages E over it,

    R = (lam I + E[x x'/(1 + delta)])^-1      delta_i = x_i'R x_i/n
    wbar = R E[x y'/(1 + delta)]              e_i = |y_i - wbar'x_i|^2
    Q = E[(1 + b) x x']                       b_i = x_i'R Q R x_i/(n (1 + delta_i)^2)
    error = E[e_real] + E[b ((1 - p_2) e_real + p_2 e_synth)]

b_i is the price of a row: by how much of its misfit the error grows. For rows of equal leverage it is u = df2/(n - df2)
and the formula is that of `collapse_equal`. With more features than rows it overstates the error of real features, up
to twice just beyond the interpolation threshold (docs/results/theory.md); there the covariance tells more
(`collapse_width`).

Equation (73) of docs/methods/theory.md.

References
----------
Dohmatob, Feng, Subramonian, Kempe, "Strong Model Collapse", arXiv 2410.04840: the setting. N. El Karoui (2018), "On the
impact of predictor geometry on the performance on high-dimensional ridge-regularized generalized robust regression
estimators", Probability Theory and Related Fields 170: unequal leverage changes the error beyond what the covariance
tells. The form for rows of any kind, with labels from two rules, is derived here and simulated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from synthsift.records import DataError, Prediction
from synthsift.seeds import Seeds, as_seeds
from synthsift.theory.collapse_inputs import PoleError, check_scalar
from synthsift.theory.collapse_simulate import fit_ridge, whole_number

#: Both fixed points are left when the mean of what they iterate changes by less than this share.
TOLERANCE = 1e-4
MAX_STEPS = 5000
FORMULA = "ridge on rows drawn from the given ones, each with its own leverage and misfit"
ASSUMPTIONS = (
    "training rows are independent draws of the kind of the given ones",
    "linear model or frozen features, squared loss",
    "label rules do not depend on the real sample",
)


@dataclass(frozen=True)
class _Population:
    """Rows x (P, p) of one precision, real and synthetic labels (P, c), and how much of a misfit a fit hides (P,)."""

    x: np.ndarray
    real: np.ndarray
    synth: np.ndarray
    visible: np.ndarray

    def squares(self, root: np.ndarray) -> np.ndarray:
        """x_i' root root' x_i (P,): a sum of squares, so that small directions do not cancel."""
        image = self.x @ root.astype(self.x.dtype)
        return np.einsum("ij,ij->i", image, image).astype(float)

    def second(self, factors: np.ndarray) -> np.ndarray:
        """E[factors x x'] (p, p)."""
        return ((self.x.T * factors.astype(self.x.dtype)) @ self.x).astype(float) / len(self.x)


def predict_row_errors(
    x: np.ndarray,
    real_labels: np.ndarray,
    synth_labels: np.ndarray | None,
    num_real: ArrayLike,
    num_synth: ArrayLike,
    *,
    ridge: float,
    is_population: bool = False,
) -> Prediction:
    """Squared error on real labels after a ridge fit on rows like the given ones. Lower is better.

    The fit minimizes (1/n) sum_i |y_i - W'x_i|^2 + ridge |W|^2 over `num_real` rows with real labels and `num_synth`
    with synthetic ones. Unlike in `predict_error` the misfit of the best linear rule is part of the error: a real label
    is not taken to be linear plus independent noise.

    Source: docs/methods/theory.md, eq. (73); derived there in the setting of arXiv 2410.04840.

    Parameters
    ----------
    x : ndarray (P, p)
        Rows, at least twice as many as features; float32 halves the time.
    real_labels, synth_labels : ndarray (P,) or (P, c)
        Labels of both kinds for every row; without synthetic ones all rows are real.
    num_real, num_synth : array_like
        Rows n_1 and n_2, broadcast together.
    ridge : float
        lam > 0.
    is_population : bool
        The rows are everything there is. By default they are a sample, whose misfit to its own fit is too small by
        1 - p/P on average; each is divided by 1 minus its leverage.

    Returns
    -------
    Prediction
        `mean` is the squared error summed over outputs, shaped like the row counts; `terms` has total, misfit (of the
        mean predictor) and variance (the rest), and `evenness` (): 1 where all rows have one leverage, less otherwise
        ((E d)^2/E d^2 of d = delta).

    Raises
    ------
    DataError
        For shapes that do not match, no rows to train on, fewer than two rows a feature, or no positive ridge.
    PoleError
        At an interpolation threshold that the ridge is too small for.
    """
    rows = _population(x, real_labels, synth_labels, ridge, is_population)
    n_1, n_2 = np.broadcast_arrays(np.asarray(num_real, dtype=float), np.asarray(num_synth, dtype=float))
    total = n_1 + n_2
    if not (np.isfinite(total).all() and (n_1 >= 0).all() and (n_2 >= 0).all() and (total > 0).all()):
        raise DataError("num_real and num_synth must be finite, at least 0, and not both 0")
    if synth_labels is None and (n_2 > 0).any():
        raise DataError("num_synth is above 0 without synth_labels; give the synthetic rule's labels of these rows")
    found = {name: np.empty(total.shape) for name in ("misfit", "variance", "evenness")}
    for n in np.unique(total):
        inverse, delta = _solve_leverage(rows, float(n), ridge)
        price = _solve_price(rows, inverse, delta, float(n))
        for place in zip(*np.nonzero(total == n), strict=True) if total.ndim else [()]:
            share = float(n_2[place] / n)
            labels = (1.0 - share) * rows.real + share * rows.synth
            pull = (rows.x.T / (1.0 + delta).astype(rows.x.dtype)) @ labels.astype(rows.x.dtype) / len(rows.x)
            fitted = rows.x @ (inverse @ pull.astype(float)).astype(rows.x.dtype)
            real, synth = (((part - fitted) ** 2).sum(axis=1) / rows.visible for part in (rows.real, rows.synth))
            found["misfit"][place] = real.mean()
            found["variance"][place] = (price * ((1.0 - share) * real + share * synth)).mean()
            found["evenness"][place] = delta.mean() ** 2 / np.mean(delta**2)
    error = found["misfit"] + found["variance"]
    return Prediction(total, error, error, error, {"total": error, **found}, FORMULA, ASSUMPTIONS)


def simulate_row_errors(
    x: np.ndarray,
    real_labels: np.ndarray,
    synth_labels: np.ndarray | None,
    num_real: int,
    num_synth: int,
    *,
    ridge: float,
    seeds: Seeds | int,
    repeats: int,
) -> Prediction:
    """Draw rows with replacement, fit, and measure what `predict_row_errors` predicts of a population.

    Source: docs/methods/theory.md, eq. (73); derived there in the setting of arXiv 2410.04840.

    Returns
    -------
    Prediction
        Mean error over all given rows with mean -+ 1.96 standard errors; `terms` has total and total_se.
    """
    rows = _population(x, real_labels, synth_labels, ridge, True)
    counts = [whole_number(float(size), "a row count") for size in (num_real, num_synth)]
    if repeats < 2 or sum(counts) < 1:
        raise DataError(f"{sum(counts)} rows are drawn {repeats} times; at least 1 row and 2 repeats are needed")
    rng, errors = as_seeds(seeds).child("simulate_row_errors").numpy("draws"), np.empty(repeats)
    for repeat in range(repeats):
        real, synth = (rng.integers(len(rows.x), size=count) for count in counts)
        labels = np.concatenate([rows.real[real], rows.synth[synth]])
        w = fit_ridge(rows.x[np.concatenate([real, synth])].astype(float), labels, ridge)
        errors[repeat] = ((rows.real - rows.x @ w) ** 2).sum(axis=1).mean()
    mean, spread = errors.mean(), errors.std(ddof=1) / np.sqrt(repeats)
    terms = {"total": np.asarray(mean), "total_se": np.asarray(spread)}
    low, high = (np.asarray(mean + sign * 1.96 * spread) for sign in (-1.0, 1.0))
    method = f"mean of {repeats} trained fits"
    return Prediction(np.asarray(float(sum(counts))), np.asarray(mean), low, high, terms, method)


def _population(
    x: np.ndarray, real_labels: np.ndarray, synth_labels: np.ndarray | None, ridge: float, is_population: bool
) -> _Population:
    """Check rows and labels and lay them out."""
    if not check_scalar(ridge, "ridge") > 0:
        raise DataError("ridge is 0; the rows of a population need a positive one")
    if x.ndim != 2 or len(x) < 2 * x.shape[1] or not x.shape[1]:
        raise DataError(f"x has shape {x.shape}; a table of at least two rows a feature is needed")
    real = np.asarray(real_labels, dtype=float)
    synth = real if synth_labels is None else np.asarray(synth_labels, dtype=float)
    if real.shape != synth.shape or len(real) != len(x) or real.ndim > 2:
        raise DataError(f"x has {len(x)} rows, the labels have shapes {real.shape} and {synth.shape}; they must agree")
    if not (np.isfinite(x).all() and np.isfinite(real).all() and np.isfinite(synth).all()):
        raise DataError("rows and labels must be finite numbers")
    x = np.asarray(x, dtype=np.float32 if x.dtype == np.float32 else float)
    rows = _Population(x, real.reshape(len(x), -1), synth.reshape(len(x), -1), np.ones(len(x)))
    if is_population:
        return rows
    inverse = np.linalg.inv(rows.second(np.ones(len(x))) + ridge * np.eye(x.shape[1]))
    own = rows.squares(_root(inverse)) / len(x)
    return _Population(x, rows.real, rows.synth, np.maximum(1.0 - own, 0.01))


def _solve_leverage(rows: _Population, n: float, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    """R (p, p) and delta (P,), from the solution for equal leverage on."""
    second = rows.second(np.ones(len(rows.x)))
    values = np.maximum(np.linalg.eigvalsh(second), 0.0)
    level = values.sum() / (n * ridge)
    for _ in range(MAX_STEPS):
        before, level = level, (values / (ridge + values / (1.0 + level))).sum() / n
        if abs(level / before - 1.0) < TOLERANCE:
            break
    eye = ridge * np.eye(len(second))
    inverse = np.linalg.inv(eye + second / (1.0 + level))
    delta = rows.squares(_root(inverse)) / n
    for _ in range(MAX_STEPS):
        inverse = np.linalg.inv(eye + rows.second(1.0 / (1.0 + delta)))
        before, delta = delta, rows.squares(_root(inverse)) / n
        if abs(delta.mean() / before.mean() - 1.0) < TOLERANCE:
            return inverse, delta
    raise ArithmeticError(f"the leverage of {n:g} rows is not found in {MAX_STEPS} steps; use a larger ridge")


def _solve_price(rows: _Population, inverse: np.ndarray, delta: np.ndarray, n: float) -> np.ndarray:
    """Prices b (P,) of the rows' misfits."""
    second = rows.second(np.ones(len(rows.x)))
    shrunk = n * (1.0 + delta) ** 2
    first = rows.squares(inverse @ _root(second)) / shrunk
    level = float((first * np.einsum("ij,ij->i", rows.x, rows.x)).mean() / np.trace(second))
    # Prices of prices form a geometric series; its ratio is that of the first two terms to within the evenness of rows.
    around = second / (1.0 - min(level, 0.98))
    for _ in range(MAX_STEPS):
        price = rows.squares(inverse @ _root(around)) / shrunk
        before, around = around, second + rows.second(price)
        change = float(np.trace(around) / np.trace(before) - 1.0)
        if abs(change) < TOLERANCE:
            return price
        if not np.isfinite(change) or price.mean() > 1e6:
            break
    raise PoleError("the fluctuations are infinite: rows lie on an interpolation threshold; use a larger ridge")


def _root(matrix: np.ndarray) -> np.ndarray:
    """A root L of a positive matrix, L L' = matrix (p, p)."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
