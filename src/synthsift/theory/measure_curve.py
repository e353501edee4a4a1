"""A learning curve from real rows alone, and the power law a n^-b through it: what stands in for sigma^2 d/n.

In the collapse theory the error of real rows is sigma^2 d/n. Without a known d the curve tells: b = 1 gives
sigma^2 d = a, and for another b the rules use a n^-b in its place (a heuristic then).

Equation (83) of docs/methods/theory.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from synthsift.records import DataError
from synthsift.seeds import Seeds, as_seeds
from synthsift.theory.measure import Estimate

#: Exponents tried, and draws behind the intervals.
EXPONENTS = np.linspace(0.1, 2.0, 191)
DRAWS = 300


@dataclass(frozen=True)
class LearningCurve:
    """Mean squared error on held-out real rows after training on so many real rows. Lower is better.

    Parameters
    ----------
    num_rows : ndarray (k,)
    errors, standard_errors : ndarray (k,)
        Total error (label noise included) and its standard error over the splits.
    ridges : ndarray (k,)
        Ridge chosen at each size, inside the training rows.
    num_splits : int
    """

    num_rows: np.ndarray
    errors: np.ndarray
    standard_errors: np.ndarray
    ridges: np.ndarray
    num_splits: int


@dataclass(frozen=True)
class PowerLaw:
    """error(n) = floor + amplitude n^-exponent; the floor is the label noise (and what the model cannot express)."""

    floor: Estimate
    amplitude: Estimate
    exponent: Estimate

    def excess(self, num_rows: ArrayLike) -> np.ndarray:
        """What more real rows would remove, a n^-b."""
        return self.amplitude.value * np.asarray(num_rows, dtype=float) ** -self.exponent.value


def measure_learning_curve(
    x: np.ndarray,
    y: np.ndarray,
    *,
    num_sizes: int = 6,
    num_splits: int = 10,
    ridges: Sequence[float] = tuple(np.geomspace(1e-6, 1e2, 17)),
    seeds: Seeds | int = 0,
) -> LearningCurve:
    """Fit a ridge regression with intercept on random subsets of the rows, and judge it on a held-out fifth.

    The ridge (in units of the mean variance of a feature) is chosen at every size by leave-one-out error inside the
    training rows. Standard errors carry the correction of Nadeau and Bengio (2003) for splits that overlap: the
    variance over splits times 1/splits + test rows/training rows.

    Source: docs/methods/theory.md, eq. (83); derived there.

    Parameters
    ----------
    x, y : ndarray (n, d), (n,)
        Features and numeric labels (-1 and +1 for two classes).

    Raises
    ------
    DataError
        If values are not finite, or there are fewer than 20 rows.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.ndim != 2 or y.shape != (len(x),) or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError(f"x has shape {x.shape} and y {y.shape}; finite numbers, one label a row, are needed")
    if len(x) < 20 or num_sizes < 3 or num_splits < 2:
        raise DataError(f"{len(x)} rows, {num_sizes} sizes, {num_splits} splits; at least 20, 3 and 2 are needed")
    held = len(x) // 5
    sizes = np.unique(np.geomspace(max(8, (len(x) - held) // 16), len(x) - held, num_sizes).astype(int))
    errors, chosen = np.empty((num_splits, len(sizes))), np.empty((num_splits, len(sizes)))
    node = as_seeds(seeds).child("learning curve")
    for split in range(num_splits):
        order = node.numpy(f"split-{split}").permutation(len(x))
        test, rest = order[:held], order[held:]
        for place, size in enumerate(sizes):
            rows = rest[:size]
            predict, chosen[split, place] = _best_ridge_fit(x[rows], y[rows], np.asarray(ridges, dtype=float))
            errors[split, place] = ((y[test] - predict(x[test])) ** 2).mean()
    spread = errors.var(axis=0, ddof=1) * (1.0 / num_splits + held / sizes)
    return LearningCurve(sizes, errors.mean(axis=0), np.sqrt(spread), np.median(chosen, axis=0), num_splits)


def fit_power_law(
    num_rows: ArrayLike,
    errors: ArrayLike,
    *,
    standard_errors: ArrayLike | None = None,
    floor: float | None = None,
    seeds: Seeds | int = 0,
) -> PowerLaw:
    """Fit floor + a n^-b by least squares over a grid of b, floor and a not negative.

    Intervals are quantiles over 300 refits to curves redrawn around the fit.

    Source: docs/methods/theory.md, eq. (83); derived there.

    Parameters
    ----------
    num_rows, errors : array_like (k,)
        At least three sizes (four with an unknown floor for a fit that can be judged).
    standard_errors : array_like (k,), optional
        Weights of the points and size of the redrawn noise; by default all equal, of the size of the misfit.
    floor : float, optional
        Known floor, such as the label noise; fitted by default.

    Raises
    ------
    DataError
        For fewer than three different sizes, values out of range, or lengths that differ.
    """
    rows, seen = np.asarray(num_rows, dtype=float), np.asarray(errors, dtype=float)
    if rows.ndim != 1 or rows.shape != seen.shape or len(np.unique(rows)) < 3:
        raise DataError(f"sizes {rows} and errors {seen}: at least three different sizes, one error each, are needed")
    if not (np.isfinite(seen).all() and np.isfinite(rows).all() and (rows > 0).all() and (seen >= 0).all()):
        raise DataError("sizes must be above 0 and errors at least 0, all finite")
    if floor is not None and not 0 <= floor < np.inf:
        raise DataError(f"floor is {floor!r}; an error is finite and not negative")
    weight = _weights(standard_errors, len(rows))
    best = _power_fits(rows, seen[None], weight, floor)[0]
    smooth = best[0] + best[1] * rows ** -best[2]
    if standard_errors is None:
        degrees = max(len(rows) - 3 + (floor is not None), 1)
        noise = np.full(len(rows), np.sqrt(((seen - smooth) ** 2).sum() / degrees))
    else:
        noise = np.asarray(standard_errors, dtype=float)
    rng = as_seeds(seeds).numpy("power law")
    drawn = _power_fits(rows, np.maximum(smooth + noise * rng.standard_normal((DRAWS, len(rows))), 0.0), weight, floor)
    return PowerLaw(*(_quantiles(float(value), column, len(rows)) for value, column in zip(best, drawn.T, strict=True)))


def _power_fits(rows: np.ndarray, seen: np.ndarray, weight: np.ndarray, floor: float | None) -> np.ndarray:
    """(floor, a, b) of every curve in `seen` (c, k): the smallest weighted sum of squares over the grid of b (c, 3)."""
    shapes = (rows / rows.min()) ** -EXPONENTS[:, None]  # (exponents, k), 1 at the smallest size
    own = (shapes**2) @ weight  # (exponents,)
    total, mean = weight.sum(), seen @ weight / weight.sum()
    if floor is None:
        center = shapes @ weight / total
        size = (seen @ (weight * (shapes - center[:, None])).T) / (own - total * center**2)
        level = mean[:, None] - size * center
        # Where one of the two is negative the best pair lies on an edge: no floor, or no decrease.
        edge, flat = np.maximum((seen * weight) @ shapes.T / own, 0.0), np.maximum(mean, 0.0)[:, None]
        gain_edge, gain_flat = edge**2 * own, flat**2 * total
        outside, is_flat = (size < 0) | (level < 0), gain_flat > gain_edge
        size = np.where(outside, np.where(is_flat, 0.0, edge), size)
        level = np.where(outside, np.where(is_flat, flat, 0.0), level)
    else:
        size = np.maximum(((seen - floor) * weight) @ shapes.T / own, 0.0)
        level = np.full(size.shape, floor)
    rest = ((seen[:, None] - level[..., None] - size[..., None] * shapes) ** 2) @ weight  # (c, exponents)
    best = np.argmin(rest, axis=1)
    at = (np.arange(len(seen)), best)
    exponent = EXPONENTS[best]
    return np.stack([level[at], size[at] * rows.min() ** exponent, exponent], axis=1)


def _weights(standard_errors: ArrayLike | None, count: int) -> np.ndarray:
    """Inverse variances (k,), or what is wrong with the standard errors."""
    if standard_errors is None:
        return np.ones(count)
    spread = np.asarray(standard_errors, dtype=float)
    if spread.shape != (count,) or not np.isfinite(spread).all() or (spread <= 0).any():
        raise DataError("standard_errors must be finite and above 0, one for every error")
    return spread**-2.0


def _quantiles(value: float, drawn: np.ndarray, count: int) -> Estimate:
    """An estimate with the 95 % range of its redrawn values."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(value, float(min(low, value)), float(max(high, value)), float(drawn.std(ddof=1)), count)


def _best_ridge_fit(x: np.ndarray, y: np.ndarray, ridges: np.ndarray) -> tuple[_Linear, float]:
    """Ridge regression with the smallest leave-one-out error, and its ridge."""
    center, level = x.mean(axis=0), y.mean()
    left, values, right = np.linalg.svd(x - center, full_matrices=False)
    unit = max(float((values**2).sum()) / x.shape[1], 1e-300)  # n times the mean variance of a feature
    along = left.T @ (y - level)
    shrink = values**2 / (values**2 + ridges[:, None] * unit)  # (ridges, k)
    fitted = (shrink * along) @ left.T
    leverage = shrink @ (left**2).T + 1.0 / len(y)
    alone = ((y - level - fitted) / np.maximum(1.0 - leverage, 1e-6)) ** 2
    best = int(np.argmin(alone.mean(axis=1)))
    weights = right.T @ (along * values / (values**2 + ridges[best] * unit))
    return _Linear(weights, float(level - center @ weights)), float(ridges[best])


@dataclass(frozen=True)
class _Linear:
    """x.w + b."""

    weights: np.ndarray
    offset: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x @ self.weights + self.offset
