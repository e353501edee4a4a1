"""Was the generator fitted on the very real rows that the plan trains on? Then synthetic rows promise too much.

A generator fitted on independent rows has a mean that misses the sample mean of the training rows by as much as a
sample mean misses the truth; one that was fitted on the same rows sits on it. Formulas for independent generators then
overstate the gain: self-made data from one's own rows adds nothing.

Equation (84) of docs/methods/theory.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from synthsift.records import DataError
from synthsift.theory.measure import ClassMoments, measure_moments

#: Chance to flag a generator that is independent of the rows.
LEVEL = 0.01


@dataclass(frozen=True)
class Overlap:
    """Whether the synthetic mean is closer to the real sample mean than an independent generator's can be.

    Parameters
    ----------
    is_flagged : bool
        p_value below 0.01.
    p_value : float
        Chance of a distance this small if the generator were independent of these rows and right; a generator that is
        wrong as well lies further away, so false alarms are rarer still.
    ratio : float
        Squared distance over what is expected of an independent generator; well below 1 means the same rows.
    """

    is_flagged: bool
    p_value: float
    ratio: float


def find_overlap(x_real: np.ndarray, y_real: np.ndarray, x_synth: np.ndarray) -> Overlap:
    """Compare the means of real training rows and synthetic rows, apart from the direction of the classes.

    That direction is left out because wrong labels and another mix of classes move the mean along it. In the others
    the squared distance of an independent generator is at least tr(C) (1/n_real + 1/n_synth) on average, with the
    chi-squared law of the same mean and variance.

    Source: docs/methods/theory.md, eq. (84); derived there.

    Parameters
    ----------
    x_real, y_real : ndarray (n, p), (n,)
        Real rows with labels -1 and +1.
    x_synth : ndarray (m, p)
        Synthetic rows; the more, the surer.

    Raises
    ------
    DataError
        As `measure_moments`, or if the columns differ, or there is one column only.
    """
    moments = measure_moments(x_real, y_real)
    synth = np.asarray(x_synth, dtype=float)
    if synth.ndim != 2 or synth.shape[1] != len(moments.mean) or len(synth) < 2 or not np.isfinite(synth).all():
        raise DataError(f"x_synth has shape {synth.shape}; finite rows of {len(moments.mean)} columns are needed")
    if synth.shape[1] < 2:
        raise DataError("one column cannot tell whether the generator saw the same rows; two or more are needed")
    difference = synth.mean(axis=0) - np.asarray(x_real, dtype=float).mean(axis=0)
    length = np.linalg.norm(moments.mean)
    axis = moments.mean / length if length > 0 else np.zeros_like(moments.mean)
    across = difference - (difference @ axis) * axis
    trace, square = _without(moments, axis)
    inverse = 1.0 / len(x_real) + 1.0 / len(synth)
    ratio = float(across @ across) / (trace * inverse)
    degrees = trace**2 / square
    p_value = float(chi2.cdf(ratio * degrees, degrees))
    return Overlap(p_value < LEVEL, p_value, ratio)


def _without(moments: ClassMoments, axis: np.ndarray) -> tuple[float, float]:
    """tr(C) and tr(C^2) with one direction projected out."""
    turned = moments.covariance @ axis
    along = float(axis @ turned)
    trace = moments.trace - along
    square = moments.trace_square - 2.0 * float(turned @ turned) + along**2
    least = trace**2 / (len(axis) - 1)
    return trace, min(max(square, least), trace**2)
