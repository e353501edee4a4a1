"""Checks of the mixing theory's inputs; every refusal says what was seen and what was needed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from synthsift.records import DataError

#: Smallest and largest allowed value of every input that may be an array, and whether the smallest is excluded.
GRID_RANGES: dict[str, tuple[float, float, bool]] = {
    "num_real": (0.0, math.inf, False),
    "num_synth": (0.0, math.inf, False),
    "ridge": (0.0, math.inf, True),
    "label_noise": (0.0, 1.0, False),
    "keep_right": (0.0, 1.0, False),
    "keep_wrong": (0.0, 1.0, False),
    "generator_size": (1.0, math.inf, False),
    "synth_weight": (0.0, math.inf, False),
    "real_label_noise": (0.0, 1.0, False),
}
#: Below this fraction of the mean eigenvalue a ridge is lost in rounding at an interpolation threshold.
SMALLEST_RIDGE = 1e-12
MAY_BE_INFINITE = ("num_real", "num_synth", "generator_size")


def checked_range(name: str, value: ArrayLike) -> np.ndarray:
    """Return input `name` as floats, or say why it cannot be used.

    Raises
    ------
    DataError
        If the value is not a number, is not finite where it has to be, or lies outside its range.
    """
    low, high, is_open = GRID_RANGES[name]
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise DataError(f"{name} is {value!r}; a number or an array of numbers is needed") from None
    bad = ~((array > low) if is_open else (array >= low)) | ~(array <= high)
    if name not in MAY_BE_INFINITE:
        bad |= ~np.isfinite(array)
    if bad.any():
        above = f"above {low:g}" if is_open else f"at least {low:g}"
        upper = "" if math.isinf(high) else f" and at most {high:g}"
        finite = "" if name in MAY_BE_INFINITE else ", finite"
        raise DataError(f"{name} is {array[bad].flat[0]:g}; it must be {above}{upper}{finite}")
    return array


def kept_fractions(
    label_noise: ArrayLike, keep_right: ArrayLike, keep_wrong: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Return alpha = phi (1 - eps) + rho eps and lam = phi (1 - eps) - rho eps.

    Source: docs/methods/theory.md, eq. (3); arXiv 2410.08942.
    """
    eps = checked_range("label_noise", label_noise)
    right = checked_range("keep_right", keep_right) * (1.0 - eps)
    wrong = checked_range("keep_wrong", keep_wrong) * eps
    return right + wrong, right - wrong


def checked_spectrum(dim: int, spectrum: ArrayLike | None) -> np.ndarray:
    """Return the eigenvalues of C (dim,), ones by default, or say why they cannot be used."""
    if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or dim < 1:
        raise DataError(f"dim is {dim!r}; it must be a whole number of at least 1")
    if spectrum is None:
        return np.ones(int(dim))
    values = np.asarray(spectrum, dtype=float)
    if values.shape != (dim,):
        raise DataError(f"spectrum has shape {values.shape}; it must have {dim} values, one per dimension")
    if not np.isfinite(values).all() or (values < 0).any() or not (values > 0).any():
        raise DataError(
            f"spectrum runs from {values.min():g} to {values.max():g}; it must be finite, not negative and not all zero"
        )
    return values


def checked_mean(dim: int, mean_norm: float | None, mean: ArrayLike | None) -> np.ndarray:
    """Return the class mean mu (dim,), by default all of `mean_norm` in the first direction."""
    if mean_norm is None and mean is None:
        raise DataError("neither mean_norm nor mean is given; one of them is needed")
    if mean_norm is not None and np.ndim(mean_norm) > 0:
        raise DataError(f"mean_norm has shape {np.shape(mean_norm)}; it must be one number, call once per value")
    if mean_norm is not None and not (0 <= mean_norm < math.inf):
        raise DataError(f"mean_norm is {mean_norm:g}; the length of the class mean must be at least 0 and finite")
    if mean is None:
        direction = np.zeros(dim)
        direction[0] = mean_norm
        return direction
    vector = np.asarray(mean, dtype=float)
    if vector.shape != (dim,) or not np.isfinite(vector).all():
        raise DataError(f"mean has shape {vector.shape}; it must have {dim} finite values, one per dimension")
    length = float(np.linalg.norm(vector))
    if mean_norm is not None and not math.isclose(length, mean_norm, rel_tol=1e-6, abs_tol=1e-12):
        raise DataError(f"mean has length {length:g} but mean_norm is {mean_norm:g}; scale one, or give mean_norm=None")
    return vector


def check_ridge(ridge: np.ndarray, spectrum: np.ndarray) -> None:
    """Refuse a ridge that double precision cannot tell from 0."""
    smallest = SMALLEST_RIDGE * spectrum.mean()
    if (ridge < smallest).any():
        raise DataError(f"ridge is {ridge.min():g}; at least {smallest:g} is needed to solve the theory accurately")


def check_sizes(num_real: np.ndarray, num_synth: np.ndarray) -> None:
    """Refuse an empty training set and one that is infinite twice."""
    if ((num_real == 0) & (num_synth == 0)).any():
        raise DataError("num_real and num_synth are both 0; there must be at least one training row")
    if (np.isinf(num_real) & np.isinf(num_synth)).any():
        raise DataError("num_real and num_synth are both infinite; their ratio is not defined, make one finite")


def generator_sizes(generator: str, sizes: np.ndarray, num_real: np.ndarray) -> np.ndarray:
    """Return n_hat (t,) of the generator, or say why the given one contradicts its kind."""
    if generator == "fresh":
        return sizes
    expected = np.full_like(sizes, np.inf) if generator == "exact" else num_real
    if (np.isfinite(sizes) & (sizes != expected)).any():
        raise DataError(
            f'generator_size is {sizes[0]:g}, but generator="{generator}" fixes it; '
            'leave it out or use generator="fresh"'
        )
    if generator == "self" and (num_real < 1).any():
        raise DataError('generator="self" is fitted on the real training rows; num_real must be at least 1')
    return expected


def check_generator(generator: str, exact_mean: bool, covariance: str, variance: float) -> None:
    """Refuse unknown generators and combinations whose law is not known."""
    if generator not in ("fresh", "exact", "self"):
        raise DataError(f'generator is {generator!r}; it must be "fresh", "exact" or "self"')
    if covariance not in ("estimated", "exact", "isotropic"):
        raise DataError(f'generator_covariance is {covariance!r}; it must be "estimated", "exact" or "isotropic"')
    if generator == "self" and (exact_mean or covariance != "estimated"):
        raise DataError('generator="self" estimates its mean and its covariance; for exact parts use "fresh"')
    if not (0 <= variance < math.inf):
        raise DataError(f"isotropic_variance is {variance:g}; a variance must be at least 0 and finite")
