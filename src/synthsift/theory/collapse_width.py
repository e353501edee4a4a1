"""Does a bigger model help? Error against the width of a frozen random layer, and the rules that go with it.

Below the threshold (m < n, m < d) the collapse term increases with the width and blows up at m = n without ridge;
beyond m = n it decreases to its value without a projection, which is above zero: a bigger model mitigates collapse
there and never removes it. A bigger model also loses bias, so a growing collapse term is not yet a growing error.
When the generator's errors sit in directions of low variance the best width lies inside and moves down as c^2 grows.

Equations (59) to (62) of docs/methods/theory.md.

References
----------
Dohmatob, Feng, Subramonian, Kempe, "Strong Model Collapse", arXiv 2410.04840, Theorem 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike

from synthsift.records import DataError, Prediction
from synthsift.theory.collapse import predict_error
from synthsift.theory.collapse_inputs import ErrorOptions, check_dim, check_fraction, check_scalar, diagonal_of
from synthsift.theory.collapse_search import smallest_on_integers
from synthsift.theory.collapse_weights import error_or_pole


@dataclass(frozen=True)
class WidthAdvice:
    """The best width and where it lies. Errors: lower is better.

    Parameters
    ----------
    width : int
        Width with the lowest predicted error.
    error : float
        Excess error there.
    unlimited : float
        Excess error without a projection, the limit of endless width; infinite at its pole.
    is_interior : bool
        True when both a much smaller and a much bigger model are worse than the best width by more than 0.1 %.
    collapse_share : float
        Part of the error at the best width that is due to the mismatch.
    """

    width: int
    error: float
    unlimited: float
    is_interior: bool
    collapse_share: float


def predict_width_curve(
    widths: ArrayLike,
    num_real: float,
    num_synth: float,
    dim: int,
    *,
    size_alone: bool = True,
    **options: Unpack[ErrorOptions],
) -> Prediction:
    """Excess error against the width m of the random layer. Lower is better.

    Source: docs/methods/theory.md, eq. (59); arXiv 2410.04840, Theorem 2.

    Parameters
    ----------
    widths : array_like (t,)
        Widths m.
    num_real, num_synth, dim
        Sizes, single numbers.
    size_alone : bool
        Use s2 = 1/m, so that the ridge keeps its strength and endless width is the fit without a projection; False
        keeps s2 = 1/d (as the paper appears to), where a larger width weakens the ridge.
    **options
        Those of `predict_error`, without width and projection_variance.

    Raises
    ------
    DataError
        For options that are set here, or as `predict_error`.
    """
    if "width" in options or "projection_variance" in options:
        raise DataError("width and projection_variance are set by the curve; leave them out")
    sizes = np.asarray(widths, dtype=float)
    # Only ridge/s2 enters, so s2 = 1/m at this ridge is s2 = 1/d at ridge m/d.
    ridge = np.asarray(options.get("ridge", 0.0), dtype=float) * (sizes / dim if size_alone else 1.0)
    settings = {**options, "ridge": ridge, "width": sizes}
    return predict_error(num_real, num_synth, dim, **settings)  # type: ignore[arg-type]


def best_width(
    num_real: float,
    num_synth: float,
    dim: int,
    *,
    low: int = 1,
    high: int | None = None,
    size_alone: bool = True,
    **options: Unpack[ErrorOptions],
) -> WidthAdvice:
    """Find the width with the lowest predicted error between `low` and `high` (default 100 times max(d, n)).

    Source: docs/methods/theory.md, eq. (59); arXiv 2410.04840, Theorem 2.

    Raises
    ------
    DataError
        For a range that is empty, or as `predict_error`.
    """
    top = int(100 * max(check_dim(dim), num_real + num_synth)) if high is None else high
    if not 1 <= low < top:
        raise DataError(f"the widths run from {low} to {top}; give 1 <= low < high")

    def errors(widths: np.ndarray) -> np.ndarray:
        values = np.full(len(widths), np.inf)
        # Without ridge the width that equals the rows is a pole, never a minimum.
        fine = (widths != num_real + num_synth) | (np.asarray(options.get("ridge", 0.0)) > 0)
        curve = predict_width_curve(widths[fine], num_real, num_synth, dim, size_alone=size_alone, **options)
        values[fine] = curve.mean
        return values

    width, error = smallest_on_integers(errors, low, top)
    edges = errors(np.array([low, top]))
    terms = predict_width_curve(width, num_real, num_synth, dim, size_alone=size_alone, **options).terms
    share = float(terms["collapse"] / terms["total"]) if error > 0 else 0.0
    return WidthAdvice(
        width, error, error_or_pole(num_real, num_synth, dim, **options), bool((edges > 1.001 * error).all()), share
    )


def side_of_threshold(num_rows: float, width: float, dim: int) -> str:
    """Which side of the interpolation threshold a model is on: what bounds the fit.

    Source: docs/methods/theory.md, eq. (60); arXiv 2410.04840, Theorem 2.

    Returns
    -------
    str
        "narrow" (width < rows and dim: growing the model amplifies collapse), "wide" (rows < width and dim: growing it
        mitigates collapse), "threshold" (rows = width < dim, or rows = dim <= width), "full" (dim < rows, dim <= width:
        growing it changes little).

    Raises
    ------
    DataError
        For sizes below 0, or dim below 1.
    """
    rows, size = check_scalar(num_rows, "num_rows"), check_scalar(width, "width")
    limit = min(size, check_dim(dim))
    if rows == limit:
        return "threshold"
    if rows < limit:
        return "wide"
    return "narrow" if size < dim else "full"


def is_bigger_better(synth_fraction: float, mismatch: float, signal_size: float = 1.0) -> bool:
    """Whether a bigger model wins with endless rows and Sigma = I: iff p_2^2 c^2 < r^2.

    Source: docs/methods/theory.md, eq. (61); derived there.

    Raises
    ------
    DataError
        For a fraction outside [0, 1] or negative sizes.
    """
    fraction = check_fraction(synth_fraction, "synth_fraction")
    return fraction**2 * check_scalar(mismatch, "mismatch") < check_scalar(signal_size, "signal_size")


def helpful_directions(synth_fraction: float, signal: ArrayLike, shift: ArrayLike) -> np.ndarray:
    """Directions (d,) a model with endless rows should be wide enough to see: Gamma_i > p_2^2 Delta_i.

    A heuristic, exact only for Sigma = I: a random layer of width m keeps roughly the m strongest directions.

    Source: docs/methods/theory.md, eq. (62); a heuristic.

    Raises
    ------
    DataError
        For a fraction outside [0, 1], negative moments or different lengths.
    """
    fraction = check_fraction(synth_fraction, "synth_fraction")
    dim = len(np.asarray(signal))
    return diagonal_of(signal, dim, "signal") > fraction**2 * diagonal_of(shift, dim, "shift")
