"""The scalar kappa of ridge regression when both sources have the same input covariance, for many points at once.

With T_i = s_i/(s_i + kappa), df1 = sum T_i, rows n_k of weight omega_k and n = sum n_k, the scalar tau solves
sum_k n_k omega_k tau/(1 + omega_k tau) = df1, A = (1/n) sum_k n_k omega_k/(1 + omega_k tau), and kappa solves

    ridge = kappa A                      without a projection  (plain pooling: A = 1 - df1/n)
    ridge / s2 = kappa A (m - df1)       behind a projection of width m with entries of variance s2

The right-hand side grows with kappa where df1 < min(n, m). If min(n, m) is below the rank that interval starts at
kappa_0 > 0 with df1(kappa_0) = min(n, m), else at 0; ridge 0 means kappa = kappa_0. The unknown is log(kappa -
kappa_0): with a tiny ridge the difference underflows otherwise. In logs the right-hand side has a slope of at least
1, so one evaluation brackets the root and Newton steps inside the bracket find it.

Equation (42) of docs/methods/theory.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MAX_STEPS = 200
RESIDUAL_GOAL = 1e-12
RESIDUAL_LIMIT = 1e-8

# Values and slopes at some places, and which of all points those places belong to.
Evaluate = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Spectrum:
    """Distinct positive eigenvalues (g,) with the number of directions that share each."""

    values: np.ndarray
    counts: np.ndarray

    @property
    def rank(self) -> float:
        """Number of directions with a positive eigenvalue."""
        return float(self.counts.sum())


@dataclass(frozen=True)
class Root:
    """kappa and what follows from it at t points; the differences are kept because they cancel otherwise.

    Parameters
    ----------
    kappa : ndarray (t,)
        The root.
    rows_left : ndarray (t,)
        n - df1, counting rows of positive weight.
    width_left : ndarray (t,)
        m - df1, infinite without a projection.
    inverse_tau : ndarray (t,)
        1/tau, zero where every row is fitted exactly.
    residual : ndarray (t,)
        |log(right-hand side) - log(left-hand side)|, zero for ridge 0.
    """

    kappa: np.ndarray
    rows_left: np.ndarray
    width_left: np.ndarray
    inverse_tau: np.ndarray
    residual: np.ndarray


@dataclass(frozen=True)
class Rows:
    """Row counts and weights of the two sources at t points; every array is (t,) and sources of weight 0 are empty."""

    real: np.ndarray
    synth: np.ndarray
    real_weight: np.ndarray
    synth_weight: np.ndarray
    total: np.ndarray

    @property
    def active(self) -> np.ndarray:
        """Rows of positive weight (t,)."""
        return self.real + self.synth


def solve_kappa(rows: Rows, ridge: np.ndarray, width: np.ndarray, variance: float, spectrum: Spectrum) -> Root:
    """Solve the scalar equation at t points.

    Source: docs/methods/theory.md, eq. (42); arXiv 2410.04840, Theorems 1 and 2 (weights derived there).

    Parameters
    ----------
    rows : Rows
        Row counts and weights.
    ridge, width : ndarray (t,)
        lam >= 0, and m (infinite without a projection).
    variance : float
        s2, the variance of an entry of the projection.
    spectrum : Spectrum
        Eigenvalues of the input covariance.

    Returns
    -------
    Root
        The root with its verified residual.

    Raises
    ------
    ArithmeticError
        If a residual stays above 1e-8.
    """
    limit = np.minimum(np.minimum(rows.active, width), spectrum.rank)
    start = _kappa_zero(limit, spectrum)
    excess, residual = np.zeros_like(start), np.zeros_like(start)
    solved = ridge > 0
    if solved.any():
        case = _Case(
            _pick(rows, solved), ridge[solved], width[solved], variance, spectrum, start[solved], limit[solved]
        )
        guess = np.full(int(solved.sum()), np.log(spectrum.values.mean()))
        logs, residual[solved] = _bracketed_newton(case.log_ratio, guess)
        excess[solved] = np.exp(logs)
    return _finish(rows, width, spectrum, start, excess, limit, residual)


@dataclass(frozen=True)
class _Case:
    """The scalar equation of some points as a function of log(kappa - kappa_0)."""

    rows: Rows
    ridge: np.ndarray
    width: np.ndarray
    variance: float
    spectrum: Spectrum
    start: np.ndarray
    limit: np.ndarray

    def log_ratio(self, logs: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log(right-hand side / left-hand side) and its slope, at some of the points."""
        rows, start, limit, excess = _pick(self.rows, chosen), self.start[chosen], self.limit[chosen], np.exp(logs)
        kappa = start + excess
        gap, gap_slope = _gap(excess, start, self.spectrum)
        rows_left, width_left = rows.active - limit + gap, self.width[chosen] - limit + gap
        mean_a, elasticity = _mean_a(rows, rows_left, _degrees(kappa, self.spectrum))
        room = np.where(np.isinf(width_left), 1.0, width_left * self.variance)
        value = np.log(kappa) + np.log(mean_a) + np.log(room) - np.log(self.ridge[chosen])
        slope = excess / kappa + excess * gap_slope * (elasticity / rows_left + 1 / width_left)
        return value, slope


def _gap(excess: np.ndarray, start: np.ndarray, spectrum: Spectrum) -> tuple[np.ndarray, np.ndarray]:
    """df1(kappa_0) - df1(kappa) without cancellation, and its slope in kappa."""
    values = spectrum.values
    inverse = 1 / (values + (start + excess)[:, None])
    gap = excess * ((inverse / (values + start[:, None])) @ (spectrum.counts * values))
    return gap, (inverse**2) @ (spectrum.counts * values)


def _degrees(kappa: np.ndarray, spectrum: Spectrum) -> np.ndarray:
    """df1 = sum s_i/(s_i + kappa) (t,)."""
    return (1 / (spectrum.values + kappa[:, None])) @ (spectrum.counts * spectrum.values)


def _inverse_tau(rows: Rows, rows_left: np.ndarray, df1: np.ndarray) -> np.ndarray:
    """The positive root y = 1/tau of sum_k n_k y/(y + omega_k) = n - df1, a quadratic for two sources."""
    product = rows.real_weight * rows.synth_weight
    linear = rows.real * rows.synth_weight + rows.synth * rows.real_weight
    linear = linear - rows_left * (rows.real_weight + rows.synth_weight)
    root = np.sqrt(linear**2 + 4 * df1 * rows_left * product)
    # The two forms of the root are equal; each one avoids the subtraction of nearly equal numbers for one sign.
    small = 2 * rows_left * product / np.where(linear > 0, linear + root, 1.0)
    return np.where(linear > 0, small, (root - linear) / (2 * df1))


def _mean_a(rows: Rows, rows_left: np.ndarray, df1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A = (1/n) sum n_k omega_k/(1 + omega_k tau), and its elasticity in n - df1."""
    inverse_tau = _inverse_tau(rows, rows_left, df1)
    mean_a, left, a_slope, left_slope = (np.zeros_like(df1) for _ in range(4))
    for count, weight in ((rows.real, rows.real_weight), (rows.synth, rows.synth_weight)):
        share, rest = count * inverse_tau / (inverse_tau + weight), weight / (inverse_tau + weight)
        mean_a, left = mean_a + share * weight, left + share
        a_slope, left_slope = a_slope + share * weight * rest, left_slope + share * rest
    return mean_a / rows.total, (a_slope / mean_a) * (left / left_slope)


def _kappa_zero(limit: np.ndarray, spectrum: Spectrum) -> np.ndarray:
    """kappa_0 with df1(kappa_0) = limit, zero where the limit is the rank."""
    rank, values = spectrum.rank, spectrum.values
    goals, places = np.unique(limit, return_inverse=True)
    below = goals < rank
    start = np.zeros(len(goals))
    if below.any():
        goal = goals[below]
        aim = np.log(rank - goal) - np.log(goal)

        def log_ratio(logs: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            kappa = np.exp(logs)[:, None]
            inverse = 1 / (values + kappa)
            used, unused = inverse @ (spectrum.counts * values), (inverse * kappa) @ spectrum.counts
            slope = ((inverse**2 * kappa) @ (spectrum.counts * values)) * (1 / used + 1 / unused)
            return np.log(unused) - np.log(used) - aim[chosen], slope

        low, high = aim + np.log(values.min()), aim + np.log(values.max())
        start[below] = np.exp(_bracketed_newton(log_ratio, (low + high) / 2, low, high)[0])
    return start[places]


def _bracketed_newton(
    evaluate: Evaluate, guess: np.ndarray, low: np.ndarray | None = None, high: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Roots of increasing functions: Newton steps inside a shrinking bracket, bisections where those leave it or stall.

    Without a bracket the slope must be at least 1 everywhere, so that |value| bounds the distance to the root.
    """
    point, live = guess.copy(), np.arange(len(guess))
    value, slope = evaluate(point, live)
    low = point - np.maximum(value, 0) - 1e-9 if low is None else low - 1e-9
    high = point + np.maximum(-value, 0) + 1e-9 if high is None else high + 1e-9
    last, before = high - low, high - low
    for _ in range(MAX_STEPS):
        live = live[np.abs(value[live]) > RESIDUAL_GOAL]
        if not len(live):
            break
        here, sign = point[live], np.sign(value[live])
        low[live], high[live] = np.where(sign < 0, here, low[live]), np.where(sign > 0, here, high[live])
        goal = here - value[live] / slope[live]
        # Across a steep step Newton can swing between its two sides; a step must be half of the one before the last.
        fine = (goal > low[live]) & (goal < high[live]) & (np.abs(goal - here) < before[live] / 2)
        goal = np.where(fine, goal, (low[live] + high[live]) / 2)
        before[live], last[live], point[live] = last[live], np.abs(goal - here), goal
        value[live], slope[live] = evaluate(goal, live)
    worst = float(np.max(np.abs(value)))
    if not worst < RESIDUAL_LIMIT:
        raise ArithmeticError(
            f"the scalar equation is solved to {worst:.1e} only, {RESIDUAL_LIMIT:.0e} is needed; raise ridge"
        )
    return point, np.abs(value)


def _pick(rows: Rows, chosen: np.ndarray) -> Rows:
    """The rows of some points."""
    return Rows(
        rows.real[chosen],
        rows.synth[chosen],
        rows.real_weight[chosen],
        rows.synth_weight[chosen],
        rows.total[chosen],
    )


def _finish(
    rows: Rows,
    width: np.ndarray,
    spectrum: Spectrum,
    start: np.ndarray,
    excess: np.ndarray,
    limit: np.ndarray,
    residual: np.ndarray,
) -> Root:
    """Collect kappa and the differences that follow from it."""
    kappa = start + excess
    gap = _gap(excess, start, spectrum)[0]
    rows_left, width_left = rows.active - limit + gap, width - limit + gap
    return Root(kappa, rows_left, width_left, _inverse_tau(rows, rows_left, _degrees(kappa, spectrum)), residual)
