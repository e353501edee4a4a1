"""What every collapse formula starts from: one checked record of sizes, spectra, noise and mismatch.

The model (letters as in the formulas): real labels y = x.w_1 + noise of variance sigma_1^2, synthetic labels
y = x.(w_1 + delta) + noise of variance sigma_2^2, inputs x ~ N(0, Sigma) (synthetic ones may have their own Sigma_2),
w_1 with second moment Gamma, delta with second moment Delta. All four matrices are diagonal in one basis here; only
their diagonals are kept. Rows are weighted omega_1 = 1 (real) and omega_2 (synthetic), and the fit minimizes
(1/n) sum_i omega_i (y_i - x_i.w)^2 + ridge |w|^2, behind a random projection when a width is given.

References
----------
Dohmatob, Feng, Subramonian, Kempe, "Strong Model Collapse", arXiv 2410.04840. The paper prints the label quality as
c^2 = (1/d) tr(Sigma Delta); its isotropic corollary only holds for c^2 = tr(Sigma Delta), which is the measurable
quantity (mean squared difference between the synthetic label function and the truth) and the one used everywhere here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from synthsift.records import DataError

GRID_NAMES = ("num_synth", "num_real", "width", "ridge", "synth_weight")


class PoleError(DataError):
    """The predicted error is infinite at the sizes asked for."""


class ErrorOptions(TypedDict, total=False):
    """The keyword arguments of `predict_error`, for the planning functions that pass them on."""

    ridge: ArrayLike
    real_noise_variance: float
    synth_noise_variance: float | None
    mismatch: float
    spectrum: ArrayLike | None
    signal: ArrayLike | None
    shift: ArrayLike | None
    cross: ArrayLike | None
    synth_spectrum: ArrayLike | None
    synth_weight: ArrayLike
    width: ArrayLike | None
    projection_variance: float | None


@dataclass(frozen=True)
class Setting:
    """A checked question: t points of a grid in one world.

    Parameters
    ----------
    num_real, num_synth : ndarray (t,)
        Rows n_1 and n_2.
    ridge : ndarray (t,)
        lam.
    synth_weight : ndarray (t,)
        Weight omega_2 of a synthetic row; a real row has omega_1 = 1.
    width : ndarray (t,)
        Width m of the random projection; infinite where there is none.
    projection_variance : float
        Variance s2 of an entry of the projection S (m, d).
    spectrum, synth_spectrum : ndarray (d,)
        Diagonals of Sigma_1 and Sigma_2.
    signal, shift, cross : ndarray (d,)
        Diagonals of Gamma = E[w_1 w_1'], Delta = E[delta delta'], X = E[delta w_1'].
    real_noise, synth_noise : float
        Label noise variances sigma_1^2 and sigma_2^2.
    at : ndarray
        The argument that varies, in the shape of the answer.
    is_equal : bool
        True when both sources have the spectrum Sigma_1.
    """

    num_real: np.ndarray
    num_synth: np.ndarray
    ridge: np.ndarray
    synth_weight: np.ndarray
    width: np.ndarray
    projection_variance: float
    spectrum: np.ndarray
    synth_spectrum: np.ndarray
    signal: np.ndarray
    shift: np.ndarray
    cross: np.ndarray
    real_noise: float
    synth_noise: float
    at: np.ndarray
    is_equal: bool

    @property
    def dim(self) -> int:
        """Input dimension d."""
        return len(self.spectrum)

    @property
    def has_width(self) -> bool:
        """True when the fit sees the inputs through a random projection."""
        return bool(np.isfinite(self.width).all())

    @property
    def mismatch(self) -> float:
        """c^2 = tr(Sigma_1 Delta)."""
        return float(self.spectrum @ self.shift)


def read_setting(
    num_real: ArrayLike,
    num_synth: ArrayLike,
    dim: int,
    *,
    ridge: ArrayLike = 0.0,
    real_noise_variance: float = 1.0,
    synth_noise_variance: float | None = None,
    mismatch: float = 0.0,
    spectrum: ArrayLike | None = None,
    signal: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    cross: ArrayLike | None = None,
    synth_spectrum: ArrayLike | None = None,
    synth_weight: ArrayLike = 1.0,
    width: ArrayLike | None = None,
    projection_variance: float | None = None,
) -> Setting:
    """Check the arguments of `predict_error` and fill in their defaults.

    Raises
    ------
    DataError
        If a size, spectrum, noise, weight or shape is impossible; the message names it.
    """
    dim = check_dim(dim)
    values = spectrum_of(spectrum, dim, "spectrum")
    moments = np.full(dim, 1.0 / dim) if signal is None else diagonal_of(signal, dim, "signal")
    shifts = _shift_of(shift, mismatch, values)
    grid, at = _grid_of(num_real=num_real, num_synth=num_synth, width=width, ridge=ridge, synth_weight=synth_weight)
    real_noise = check_scalar(real_noise_variance, "real_noise_variance")
    return Setting(
        **grid,
        projection_variance=_projection_variance_of(projection_variance, width, dim),
        spectrum=values,
        synth_spectrum=values if synth_spectrum is None else spectrum_of(synth_spectrum, dim, "synth_spectrum"),
        signal=moments,
        shift=shifts,
        cross=_cross_of(cross, moments, shifts),
        real_noise=real_noise,
        synth_noise=real_noise
        if synth_noise_variance is None
        else check_scalar(synth_noise_variance, "synth_noise_variance"),
        at=at,
        is_equal=synth_spectrum is None,
    )


def check_dim(dim: int) -> int:
    """Return the dimension as an int, or say what is wrong with it."""
    if isinstance(dim, bool) or int(dim) != dim or dim < 1:
        raise DataError(f"dim is {dim!r}; it must be a whole number of at least 1, the number of input features")
    return int(dim)


def check_scalar(value: float, name: str) -> float:
    """Return a finite non-negative number, or say what is wrong with it."""
    number = np.asarray(value, dtype=float)
    if number.ndim or not np.isfinite(number) or number < 0:
        raise DataError(f"{name} is {value!r}; give one finite number of at least 0")
    return float(number)


def check_fraction(value: float, name: str) -> float:
    """Return a number of [0, 1], or say what is wrong with it."""
    number = check_scalar(value, name)
    if number > 1:
        raise DataError(f"{name} is {value!r}; a fraction lies between 0 and 1")
    return number


def diagonal_of(values: ArrayLike, dim: int, name: str) -> np.ndarray:
    """Return a non-negative finite diagonal (dim,), or say what is wrong with it."""
    array = np.asarray(values, dtype=float)
    if array.shape != (dim,):
        raise DataError(f"{name} has shape {array.shape}; dim = {dim} needs shape ({dim},), one number a direction")
    if not np.isfinite(array).all() or (array < 0).any():
        raise DataError(f"{name} holds negative or non-finite numbers (smallest {array.min():g}); give all >= 0")
    return array


def spectrum_of(values: ArrayLike | None, dim: int, name: str) -> np.ndarray:
    """Return the eigenvalues of a covariance (dim,), ones by default."""
    array = np.ones(dim) if values is None else diagonal_of(values, dim, name)
    if not (array > 0).any():
        raise DataError(f"{name} is all zero; at least one direction of the inputs must vary")
    return array


def _shift_of(shift: ArrayLike | None, mismatch: float, spectrum: np.ndarray) -> np.ndarray:
    """Diagonal of Delta, spread evenly over the directions when only c^2 = tr(Sigma Delta) is known."""
    size = check_scalar(mismatch, "mismatch")
    if shift is None:
        return np.full(len(spectrum), size / spectrum.sum())
    array = diagonal_of(shift, len(spectrum), "shift")
    implied = float(spectrum @ array)
    if size and not np.isclose(size, implied, rtol=1e-6):
        raise DataError(
            f"mismatch is {size:g} but tr(Sigma Delta) of the shift given is {implied:g}; "
            f"give only one of them, or multiply shift by {size / implied if implied else np.inf:g}"
        )
    return array


def _cross_of(cross: ArrayLike | None, signal: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Diagonal of E[delta w_1'], zero by default; it may be negative but not larger than the moments allow."""
    if cross is None:
        return np.zeros_like(signal)
    array = np.asarray(cross, dtype=float)
    if array.shape != signal.shape or not np.isfinite(array).all():
        raise DataError(
            f"cross has shape {array.shape}; give {len(signal)} finite numbers, the diagonal of E[delta w']"
        )
    if (array**2 > signal * shift * (1 + 1e-9) + 1e-300).any():
        raise DataError("cross is larger than sqrt(signal * shift) in some direction; no random vectors have it")
    return array


def _projection_variance_of(value: float | None, width: ArrayLike | None, dim: int) -> float:
    """Variance of an entry of the projection, 1/d by default."""
    if value is None:
        return 1.0 / dim
    if width is None:
        raise DataError("projection_variance is given without width; give the width of the projection too")
    if not np.isfinite(value) or value <= 0:
        raise DataError(f"projection_variance is {value!r}; give a finite number above 0 (default 1/dim)")
    return float(value)


def _grid_of(**arguments: Any) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Broadcast what may vary to (t,), check it, and find the argument that does vary."""
    arguments["width"] = np.inf if arguments["width"] is None else _finite(arguments["width"], "width")
    arrays = {name: np.asarray(value, dtype=float) for name, value in arguments.items()}
    try:
        shape = np.broadcast_shapes(*(array.shape for array in arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items() if array.ndim)
        raise DataError(f"the arguments do not fit one grid: {shapes}; give equal lengths or single numbers") from None
    varying = next((arrays[name] for name in GRID_NAMES if arrays[name].ndim), arrays["num_synth"])
    grid = {name: np.broadcast_to(array, shape).ravel() for name, array in arrays.items()}
    _check_grid(grid)
    return grid, np.broadcast_to(varying, shape).copy()


def _finite(values: ArrayLike, name: str) -> np.ndarray:
    """Numbers that are all finite, or an error that says so."""
    array = np.asarray(values, dtype=float)
    if not np.isfinite(array).all():
        needed = "leave it out for no limit" if name == "width" else "give finite numbers"
        raise DataError(f"{name} holds numbers that are not finite; {needed}")
    return array


def _check_grid(grid: dict[str, np.ndarray]) -> None:
    """Refuse negative sizes, empty training sets and widths below one."""
    for name in ("num_synth", "num_real", "ridge", "synth_weight"):
        values = _finite(grid[name], name)
        if (values < 0).any():
            raise DataError(f"{name} is {values.min():g}; it must not be negative")
    if (grid["width"] < 1).any():
        raise DataError(f"width is {grid['width'].min():g}; a projection needs a width of at least 1")
    if (grid["num_real"] + grid["num_synth"] * (grid["synth_weight"] > 0) <= 0).any():
        raise DataError("num_real and num_synth are both 0 (or every row has weight 0); nothing is left to train on")
