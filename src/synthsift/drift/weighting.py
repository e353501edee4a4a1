"""How much weight a loop should give to its fresh rows when it re-estimates a mean.

References
----------
arXiv:2502.18049 (weighting fresh against synthetic data; the golden ratio at equal numbers).
"""

from __future__ import annotations

import math

from synthsift.drift.arguments import check_steady_alpha
from synthsift.records import DataError


def weighted_variance(weight: float, synth_per_fresh: float) -> float:
    """Stationary variance of a mean re-estimated with `weight` on fresh rows, in units of one row variance / n_fresh.

    (w^2 + (1-w)^2/c) / (1-(1-w)^2) with c = n_synth/n_fresh; lower is better.
    """
    w = check_steady_alpha(weight)
    if not synth_per_fresh > 0:
        raise DataError(f"there are {synth_per_fresh!r} synthetic rows per fresh row; the ratio must be positive")
    return (w**2 + (1 - w) ** 2 / synth_per_fresh) / (1 - (1 - w) ** 2)


def best_fresh_weight(synth_per_fresh: float) -> float:
    """Weight on the fresh rows' mean that minimises `weighted_variance`, w* = (sqrt(1+4c)-1)/(2c).

    Parameters
    ----------
    synth_per_fresh : float
        c = n_synth/n_fresh > 0; the pooled mean uses the weight 1/(1+c), which is always too small.

    Returns
    -------
    float
        w* in (0, 1); the variance at w* is w*/n_fresh. c = 1 gives the golden ratio .618 of arXiv:2502.18049.

    Raises
    ------
    DataError
        If c is not positive.
    """
    c = synth_per_fresh
    if not (math.isfinite(c) and c > 0):
        raise DataError(f"there are {c!r} synthetic rows per fresh row; the ratio must be a positive number")
    return 2 / (1 + math.sqrt(1 + 4 * c))
