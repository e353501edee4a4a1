"""A minimizer for cheap functions that are evaluated on many points at once: a grid that zooms in on its best point.

The error curves of this theory are smooth but need not be convex, and their formulas take a whole grid in one call,
so a coarse grid over the full range followed by finer and finer ones is both safer and faster than a step-by-step
search.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

POINTS = {1: 41, 2: 17}
ROUNDS = {1: 12, 2: 12}
# Half the width of the next box, in cells of this one: wide enough to follow a valley that is not along an axis.
REACH = {1: 2.0, 2: 3.0}


def zoom_minimum(
    function: Callable[[np.ndarray], np.ndarray], low: Sequence[float], high: Sequence[float]
) -> tuple[np.ndarray, float]:
    """Place and value of the smallest value found in a box.

    Parameters
    ----------
    function : callable
        Maps points (r, k) to values (r,); k is 1 or 2.
    low, high : sequence of float (k,)
        Corners of the box.

    Returns
    -------
    place : ndarray (k,)
        The best point; a value on the edge means the minimum lies at or beyond it.
    value : float
        The function there.

    Examples
    --------
    >>> place, value = zoom_minimum(lambda points: (points[:, 0] - 1.5) ** 2 + 2.0, [-10.0], [10.0])
    >>> float(place[0].round(6)), round(value, 6)
    (1.5, 2.0)
    """
    floor, ceiling = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    num_axes = len(floor)
    left, right = floor, ceiling
    place, value = floor, np.inf
    for _ in range(ROUNDS[num_axes]):
        axes = [np.linspace(a, b, POINTS[num_axes]) for a, b in zip(left, right, strict=True)]
        grid = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
        values = function(grid)
        best = int(np.argmin(values))
        if values[best] <= value:
            place, value = grid[best], float(values[best])
        reach = REACH[num_axes] * (right - left) / (POINTS[num_axes] - 1)
        left, right = np.maximum(place - reach, floor), np.minimum(place + reach, ceiling)
    return place, value


def smallest_on_integers(function: Callable[[np.ndarray], np.ndarray], low: int, high: int) -> tuple[int, float]:
    """Whole number in [low, high] with the smallest value, found on a logarithmic grid that zooms in.

    Exact for a curve with one valley; otherwise the best of about sixty numbers and of the neighbors of the best.

    Examples
    --------
    >>> smallest_on_integers(lambda numbers: abs(numbers - 137), 1, 100000)
    (137, 0.0)
    """
    left, right = low, high
    while True:
        numbers = np.unique(np.round(np.geomspace(left, right, 60)).astype(int))
        values = function(numbers)
        best = int(np.argmin(values))
        near_left, near_right = int(numbers[max(best - 1, 0)]), int(numbers[min(best + 1, len(numbers) - 1)])
        if near_right - near_left <= 2:
            return int(numbers[best]), float(values[best])
        left, right = near_left, near_right
