"""How far a generation's samples are from real ones: distances that need no fitting.

Every function takes feature rows of real and synthetic data, (n, k) and (m, k). Where both samples coming from one law
still gives a positive number, that null bias is subtracted or returned next to the value. Lower is better throughout.

References
----------
Gretton et al. 2012 (MMD); Szekely, Rizzo 2013 (energy distance); Heusel et al. 2017 (Frechet distance); Bonneel et al.
2015 (sliced Wasserstein); Rahimi, Recht 2007 (random Fourier features).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from synthsift.drift.arguments import check_features
from synthsift.drift.closed_forms import frechet_gaussian, frechet_null
from synthsift.drift.traces import Measured
from synthsift.numerics.neighbors import squared_distances
from synthsift.records import DataError

CHUNK_ENTRIES = 4_000_000  # of one block of distances or bootstrap weights, 32 MB
MAX_ROWS = 10_000  # the quadratic measures are meant for samples up to this size


def check_pair(real: ArrayLike, synth: ArrayLike, least: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Return both samples as float64 rows of one width.

    Raises
    ------
    DataError
        If one is too small, widths differ, or an entry is not finite.
    """
    first = check_features("the real sample", real, least=least)
    return first, check_features("the synthetic sample", synth, first.shape[1], least)


def thinned(rows: np.ndarray, rng: np.random.Generator, most: int = MAX_ROWS) -> np.ndarray:
    """At most `most` of the rows, drawn without replacement in their order; quadratic measures are run on these."""
    if len(rows) <= most:
        return rows
    return rows[np.sort(rng.choice(len(rows), most, replace=False))]


def mean_feature_distance(
    real: ArrayLike, synth: ArrayLike, *, rng: np.random.Generator, num_draws: int = 200, level: float = 0.95
) -> Measured:
    """Squared distance of mean features with the sampling noise subtracted (MMD^2 with the linear kernel).

    |mean f(synth) - mean f(real)|^2 - tr C_s/m - tr C_r/n is unbiased and obeys the (1-alpha)^2 law exactly.

    Parameters
    ----------
    real, synth : array_like (n, k), (m, k)
        Feature rows.
    rng : Generator
        Randomness of the bootstrap.
    num_draws : int
        Bootstrap samples (exponential row weights); 0 skips the interval.
    level : float
        Coverage of the interval; near zero drift it is on the wide side.

    Returns
    -------
    Measured
        Null 0.
    """
    x, y = check_pair(real, synth)
    center = x.mean(axis=0)
    x, y = x - center, y - center
    noise = x.var(axis=0, ddof=1).sum() / len(x) + y.var(axis=0, ddof=1).sum() / len(y)
    raw = float(np.sum((y.mean(axis=0) - x.mean(axis=0)) ** 2))
    sizes, value = (len(x), len(y)), raw - float(noise)
    if num_draws == 0:
        return Measured(value, 0.0, raw=raw, num_rows=sizes)
    shifts = _bootstrap_means(y, num_draws, rng) - _bootstrap_means(x, num_draws, rng)
    # A bootstrap mean carries the noise twice: once from the sample, once from the draw.
    draws = (shifts**2).sum(axis=1) - 2 * noise
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Measured(value, 0.0, float(min(low, value)), float(max(high, value)), raw, sizes)


def _bootstrap_means(rows: np.ndarray, num_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Means of Bayesian bootstrap samples (num_draws, k): exponential weights have the variance of row counts."""
    size = max(1, CHUNK_ENTRIES // len(rows))
    means = []
    for first in range(0, num_draws, size):
        weights = rng.standard_exponential((min(size, num_draws - first), len(rows)))
        means.append(weights @ rows / weights.sum(axis=1, keepdims=True))
    return np.concatenate(means)


@dataclass(frozen=True)
class FourierFeatures:
    """Random cosines whose mean-feature distance estimates MMD^2 with a Gaussian kernel, in linear time.

    Parameters
    ----------
    frequencies : ndarray (d, k)
        Directions divided by the bandwidth.
    phases : ndarray (k,)
        In [0, 2 pi).
    """

    frequencies: np.ndarray
    phases: np.ndarray

    def __call__(self, rows: ArrayLike) -> np.ndarray:
        """Features (n, k) of rows (n, d); bounded by sqrt(2/k)."""
        values = check_features("the sample", rows, len(self.frequencies), least=1)
        return np.sqrt(2 / len(self.phases)) * np.cos(values @ self.frequencies + self.phases)


def fourier_features(width: int, num_features: int, bandwidth: float, rng: np.random.Generator) -> FourierFeatures:
    """Draw `FourierFeatures` for the kernel exp(-|x-y|^2/(2 bandwidth^2)) on rows of `width` columns."""
    if not bandwidth > 0 or num_features < 1:
        raise DataError(f"bandwidth {bandwidth} and {num_features} features: both must be positive")
    return FourierFeatures(rng.standard_normal((width, num_features)) / bandwidth, 2 * np.pi * rng.random(num_features))


def median_bandwidth(rows: np.ndarray, rng: np.random.Generator, most: int = 1000) -> float:
    """Median distance between rows (of at most `most` of them); 1 if they are all the same."""
    some = thinned(rows, rng, most)
    some = some - some.mean(axis=0)
    distances = np.sqrt(squared_distances(some, some)[np.triu_indices(len(some), 1)])
    middle = float(np.median(distances)) if len(distances) else 0.0
    return middle if middle > 0 else 1.0


def _blocks(x: np.ndarray, y: np.ndarray) -> Iterator[np.ndarray]:
    """Squared distances of x rows to y rows, a block of x rows at a time."""
    size = max(1, CHUNK_ENTRIES // len(y))
    for first in range(0, len(x), size):
        yield squared_distances(x[first : first + size], y)


def _mean_of(
    function: Callable[[np.ndarray], np.ndarray], x: np.ndarray, y: np.ndarray, on_self: float | None
) -> float:
    """Mean of function(|x_i - y_j|^2); with `on_self` the pairs i = j, where it takes that value, are left out."""
    total = sum(float(function(block).sum()) for block in _blocks(x, y))
    if on_self is None:
        return total / (len(x) * len(y))
    return (total - on_self * len(x)) / (len(x) * (len(x) - 1))


def _two_sample(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray, y: np.ndarray, on_self: float) -> float:
    """Unbiased mean within x plus within y minus twice across."""
    center = x.mean(axis=0)
    x, y = x - center, y - center
    return _mean_of(function, x, x, on_self) + _mean_of(function, y, y, on_self) - 2 * _mean_of(function, x, y, None)


def mmd2(real: ArrayLike, synth: ArrayLike, bandwidth: float) -> Measured:
    """MMD^2 with the kernel exp(-|x-y|^2/(2 bandwidth^2)), U-statistic; null 0, quadratic time."""
    x, y = check_pair(real, synth)
    if not bandwidth > 0:
        raise DataError(f"the bandwidth is {bandwidth}; it must be positive (median_bandwidth gives a good one)")
    value = _two_sample(lambda d2: np.exp(d2 * (-0.5 / bandwidth**2)), x, y, 1.0)
    return Measured(value, 0.0, raw=value, num_rows=(len(x), len(y)))


def energy_distance(
    real: ArrayLike,
    synth: ArrayLike,
    *,
    rng: np.random.Generator | None = None,
    num_draws: int = 200,
    level: float = 0.95,
) -> Measured:
    """2 E|x-y| - E|x-x'| - E|y-y'|, U-statistic; null 0, quadratic time; with `rng` a bootstrap interval."""
    x, y = check_pair(real, synth)
    # Rounding leaves |x_i - x_i| at about 1e-8 of the scale instead of 0, far below the sampling noise.
    value = _two_sample(lambda d2: -np.sqrt(d2), x, y, 0.0)
    if rng is None:
        return Measured(value, 0.0, raw=value, num_rows=(len(x), len(y)))
    center = x.mean(axis=0)
    x, y = x - center, y - center
    w, v = _bootstrap_weights(len(x), num_draws, rng), _bootstrap_weights(len(y), num_draws, rng)
    within_x, within_y = _quadratic(x, x, w, w), _quadratic(y, y, v, v)
    draws = 2 * _quadratic(x, y, w, v) - within_x - within_y
    # As a V-statistic it carries the noise E|x-x'|/n + E|y-y'|/m once from the sample, once from the draw.
    draws -= 2 * (float(within_x.mean()) / (len(x) - 1) + float(within_y.mean()) / (len(y) - 1))
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Measured(value, 0.0, float(min(low, value)), float(max(high, value)), value, (len(x), len(y)))


def _bootstrap_weights(count: int, num_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Weights of Bayesian bootstrap samples (num_draws, count), summing to 1."""
    weights = rng.standard_exponential((num_draws, count))
    return weights / weights.sum(axis=1, keepdims=True)


def _quadratic(x: np.ndarray, y: np.ndarray, w: np.ndarray, v: np.ndarray) -> np.ndarray:
    """sum_ij w_i v_j |x_i - y_j| for each row of the weights w (s, n) and v (s, m); (s,)."""
    total, first = np.zeros(len(w)), 0
    for block in _blocks(x, y):
        total += np.einsum("si,si->s", w[:, first : first + len(block)] @ np.sqrt(block), v)
        first += len(block)
    return total


def frechet_distance(real: ArrayLike, synth: ArrayLike) -> Measured:
    """Squared Frechet distance between Gaussian fits, minus its null bias.

    The bias is that of Gaussian features at the pooled covariance, exact to order 1/n; heavy-tailed features have a
    larger one. A value of either sign near 0 means "no drift seen".

    Raises
    ------
    DataError
        If a sample has no more rows than features: its covariance is singular and the distance mostly bias.
    """
    x, y = check_pair(real, synth)
    width = x.shape[1]
    if min(len(x), len(y)) <= width:
        raise DataError(
            f"the Frechet distance of {width} features was asked for with {len(x)} and {len(y)} rows; more rows than "
            f"features are needed. Give more rows or use fewer features"
        )
    cov_x, cov_y = np.cov(x, rowvar=False, ddof=1), np.cov(y, rowvar=False, ddof=1)
    raw = frechet_gaussian(y.mean(axis=0), cov_y, x.mean(axis=0), cov_x)
    pooled = ((len(x) - 1) * np.atleast_2d(cov_x) + (len(y) - 1) * np.atleast_2d(cov_y)) / (len(x) + len(y) - 2)
    bias = frechet_null(pooled, len(x), len(y))
    return Measured(raw - bias, 0.0, raw=raw, num_rows=(len(x), len(y)))


def wasserstein_1d(x: np.ndarray, y: np.ndarray, power: int = 2) -> np.ndarray:
    """W_p^p between the columns of x (n, c) and y (m, c), exact for any sizes; (c,)."""
    x, y = np.sort(x, axis=0), np.sort(y, axis=0)
    if len(x) == len(y):
        return (np.abs(x - y) ** power).mean(axis=0)
    levels = np.union1d(np.arange(1, len(x) + 1) / len(x), np.arange(1, len(y) + 1) / len(y))
    gaps = np.diff(levels, prepend=0.0)
    middles = levels - gaps / 2
    pick_x, pick_y = (np.minimum((middles * len(a)).astype(int), len(a) - 1) for a in (x, y))
    return gaps @ np.abs(x[pick_x] - y[pick_y]) ** power


def sliced_wasserstein(
    real: ArrayLike, synth: ArrayLike, *, rng: np.random.Generator, num_directions: int = 100, power: int = 2
) -> Measured:
    """Mean W_p^p of projections on random unit vectors, minus what a random relabelling of the rows gives.

    Parameters
    ----------
    real, synth : array_like (n, k), (m, k)
        Feature rows.
    rng : Generator
        Directions and relabelling.
    num_directions : int
        Projections (one in one dimension).
    power : int
        p.

    Returns
    -------
    Measured
        Null 0 up to noise; `raw` is the plain value. The relabelled rows come from the blend of both laws.
    """
    x, y = check_pair(real, synth)
    width = x.shape[1]
    directions = rng.standard_normal((width, 1 if width == 1 else num_directions))
    directions /= np.linalg.norm(directions, axis=0)
    x, y = x @ directions, y @ directions
    raw = float(wasserstein_1d(x, y, power).mean())
    pool = rng.permutation(np.concatenate([x, y]))
    null = float(wasserstein_1d(pool[: len(x)], pool[len(x) :], power).mean())
    return Measured(raw - null, 0.0, raw=raw, num_rows=(len(x), len(y)))
