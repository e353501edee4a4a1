"""Solvers of the fixed points behind the mixing theory.

One unknown delta_k >= 0 per data source solves delta_k = T_k(delta) = tr(B_k R(delta))/N. The map T is monotone,
concave and scalable, so for a positive ridge there is exactly one solution, and iteration from R = I/gamma approaches
it from above. Because T is concave, Newton's step taken from above lies between the plain iterate and the solution:
it is the same monotone descent, only quadratic (Ortega & Rheinboldt 1970, the monotone Newton theorem). Its matrix
I - T' is the one that the fluctuations need anyway. Where rounding spoils a step, the plain iterate is used instead.

Equations (16), (17) of docs/methods/theory.md.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

MAX_STEPS = 500
#: A descent that moves by less than this (relative) has reached double precision.
STOP = 1e-12
#: Largest relative residual |delta - T(delta)| that is accepted as solved.
RESIDUAL = 1e-9

Step = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def solve_descending(step: Step, start: np.ndarray) -> np.ndarray:
    """Solve delta = T(delta) at many points at once, descending from `start`.

    Source: docs/methods/theory.md, eq. (16); derived there.

    Parameters
    ----------
    step : callable
        Maps delta (k, t) to T(delta) (k, t) and its derivative (t, k, k), entry [:, i, j] = dT_i/d delta_j.
    start : ndarray (k, t)
        A point above the solution, T(start) <= start; delta of R = I/gamma is one.

    Returns
    -------
    ndarray (k, t)
        The solution; its residual has been checked.

    Raises
    ------
    ArithmeticError
        If the residual is not small in the end (a ridge too close to 0 at an interpolation threshold).
    """
    delta = start
    for _ in range(MAX_STEPS):
        mapped, derivative = step(delta)
        lower = _newton(delta, mapped, derivative)
        is_descent = np.isfinite(lower) & (lower >= 0) & (lower <= mapped)
        previous, delta = delta, np.where(is_descent, lower, mapped)
        if np.all(delta >= previous * (1.0 - STOP)):
            break
    mapped, _ = step(delta)
    residual = np.abs(delta - mapped)
    if not np.all(residual <= RESIDUAL * np.abs(mapped)):
        worst = np.max(residual / np.maximum(np.abs(mapped), np.finfo(float).tiny))
        raise ArithmeticError(f"the fixed point did not settle: relative residual {worst:.1e}; use a larger ridge")
    return delta


def _newton(delta: np.ndarray, mapped: np.ndarray, derivative: np.ndarray) -> np.ndarray:
    """Newton's iterate for delta - T(delta) = 0, all points at once."""
    matrix = np.eye(len(delta)) - derivative  # (t, k, k)
    return delta - np.linalg.solve(matrix, (delta - mapped).T[..., None])[..., 0].T


def solve_inflation(
    ridge: np.ndarray,
    g_r: np.ndarray,
    kappa: np.ndarray,
    inverse_size: np.ndarray,
    values: np.ndarray,
    count: np.ndarray,
    guess: np.ndarray | None = None,
) -> np.ndarray:
    """Solve D = 1 + (kappa/n_hat) sum_i d_i/(gamma + g_r d_i + kappa d_i/D) for D >= 1 at many points.

    D is the inflation by a covariance that was estimated from n_hat rows. In x = D - 1 the difference of both sides
    is convex, not positive at x = 0 and not negative at x = (kappa/n_hat) sum_i d_i/gamma: Newton's method stays in
    that bracket, is right of the only root after one step, and descends to it.

    Source: docs/methods/theory.md, eq. (17); derived there.

    Parameters
    ----------
    ridge, g_r, kappa, inverse_size : ndarray (t,)
        gamma > 0, g_r, kappa and 1/n_hat, which is 0 where the covariance is exact.
    values, count : ndarray (u,)
        Eigenvalues d and their multiplicities.
    guess : ndarray (t,), optional
        A D to start from, for instance that of a neighboring problem.

    Returns
    -------
    ndarray (t,)
        D, exactly 1 where `inverse_size` is 0.
    """
    scale = kappa * inverse_size
    if not scale.any():
        return np.ones_like(scale)
    share = count * values
    highest = scale * share.sum() / ridge
    excess = highest if guess is None else np.clip(guess - 1.0, 0.0, highest)
    for _ in range(MAX_STEPS):
        inflation = 1.0 + excess
        factor = g_r * inflation + kappa
        factor = np.where(factor > 0, factor, 1.0)
        inverse = 1.0 / ((ridge * inflation / factor)[:, None] + values)  # (t, u)
        value = excess - scale * inflation / factor * (inverse @ share)
        inverse *= inverse
        slope = 1.0 - scale * kappa / factor**2 * (inverse @ (share * values))
        moved = np.divide(value, slope, out=excess - highest, where=slope > 0)
        previous, excess = excess, np.clip(excess - moved, 0.0, highest)
        if np.all(np.abs(previous - excess) <= STOP * (1.0 + excess)):
            break
    return 1.0 + excess
