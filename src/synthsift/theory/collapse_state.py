"""The deterministic state behind several sources: tau_k, a_k, kappa and rho as the fixed point of a monotone map.

    Om    = sum_k a_k Sigma_k            R   = (Om + kappa I)^-1
    tau_k = (1/n) tr(Sigma_k R)          a_k = p_k omega_k / (1 + omega_k tau_k)
    no projection:  kappa = ridge,       rho = 0
    projection:     ridge / s2 = kappa (m - tr(Om R)),   rho = kappa^2 / (m - tr(Om R Om R))

Unknowns are the logarithms of tau_k and, behind a projection, of kappa. tau -> tau and kappa -> ridge/(s2 m) + kappa
tr(Om R)/m increase and are concave, so plain iteration converges from any positive start but slowly for a tiny ridge
near a threshold: a few plain steps, then Newton steps on the logs, each kept only if it lowers the residual, and
plain steps where it does not. The residual is verified.

Ridge 0 is solved exactly in each of its three regimes (r is the rank of all covariances together, rows of weight 0
left out): n > r <= m has kappa = 0; m < min(n, r) has the finite kappa with tr(Om R) = m; n < min(m, r) interpolates,
a_k -> 0 with a_k/kappa finite, and is solved in units of kappa with a_k = p_k/tau_k (weights cannot matter there).

Equation: C1 of docs/methods/theory.md.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from synthsift.theory.collapse_inputs import PoleError
from synthsift.theory.collapse_sources import Stack

PLAIN_STEPS = 12
RETRY_STEPS = 6
MAX_STEPS = 2000
RESIDUAL_GOAL = 1e-12
RESIDUAL_LIMIT = 1e-8
LONGEST_STEP = 20.0
# No fixed point is this far from 1; the iteration is on its way to infinity (ridge 0 with directions left open).
DIVERGED = 150.0

RIDGE, DETERMINED, NARROW, INTERPOLATING = range(4)


@dataclass(frozen=True)
class State:
    """Scalars of every point; `fluctuation` is D = diag(a_k^2/n_k), 0 for an empty source.

    Parameters
    ----------
    a, tau, fluctuation : ndarray (t, K)
        In the interpolating regime a and 1/tau are in units of kappa.
    kappa, rho, residual : ndarray (t,)
        kappa is 1 in the interpolating regime.
    resolvent : operator (t, ...)
        R.
    """

    a: np.ndarray
    tau: np.ndarray
    fluctuation: np.ndarray
    kappa: np.ndarray
    rho: np.ndarray
    residual: np.ndarray
    resolvent: np.ndarray


@dataclass(frozen=True)
class _Step:
    """The map at one place: new logs, their Jacobian, and what the state needs."""

    logs: np.ndarray
    jacobian: np.ndarray
    a: np.ndarray
    fluctuation: np.ndarray
    kappa: np.ndarray
    resolvent: np.ndarray
    spread: np.ndarray


def solve_state(stack: Stack) -> State:
    """Solve the fixed point at every point of the stack.

    Raises
    ------
    DataError
        At a pole: without ridge, n = rank <= width, or n = width < rank.
    ArithmeticError
        If the residual of the logs stays above 1e-8.
    """
    regimes = _regimes(stack)
    parts = [(np.flatnonzero(regimes == r), r) for r in np.unique(regimes)]
    states = [_solve_regime(stack.at(places), int(regime)) for places, regime in parts]
    if len(states) == 1:
        return states[0]
    order = np.argsort(np.concatenate([places for places, _ in parts]))
    return State(*(np.concatenate([getattr(s, f.name) for s in states])[order] for f in fields(State)))


def _regimes(stack: Stack) -> np.ndarray:
    """Which of the four regimes each point is in (t,)."""
    active = (stack.rows > 0) & (stack.weights > 0)
    rows = np.where(active, stack.rows, 0.0).sum(axis=1)
    regimes = np.full(len(rows), RIDGE)
    for i in np.flatnonzero(stack.ridge == 0):
        rank = _rank(stack, tuple(bool(flag) for flag in active[i]))
        regimes[i] = _regime_without_ridge(rows[i], stack.width[i], rank)
    return regimes


def _rank(stack: Stack, active: tuple[bool, ...]) -> int:
    """Rank of the covariances of the active sources together."""
    total = sum(cov for cov, used in zip(stack.covariances, active, strict=True) if used)
    return stack.algebra.rank(np.asarray(total))


def _regime_without_ridge(rows: float, width: float, rank: int) -> int:
    """Regime of ridge 0, or an error at its poles."""
    if rows > rank and width >= rank:
        return DETERMINED
    if width < min(rows, rank):
        return NARROW
    if rows < min(width, rank):
        return INTERPOLATING
    raise PoleError(
        f"the error is infinite at {rows:g} rows: without ridge the fit has a pole where rows = dim (rank {rank}), "
        f"and where rows = width < dim; add a ridge or move the size"
    )


def _solve_regime(stack: Stack, regime: int) -> State:
    """Plain iteration, then guarded Newton steps on the logs, for points of one regime."""
    logs = _start(stack, regime)
    step = _evaluate(stack, regime, logs)
    live, plain = np.arange(len(logs)), np.full(len(logs), PLAIN_STEPS)
    best = np.abs(step.logs - logs).max(axis=1)
    target, jacobian = step.logs.copy(), step.jacobian.copy()
    for _ in range(MAX_STEPS):
        live = live[(best[live] > RESIDUAL_GOAL) & (np.abs(logs[live]).max(axis=1) < DIVERGED)]
        if not len(live):
            break
        is_plain = plain[live] > 0
        trial = np.where(is_plain[:, None], target[live], _newton(logs[live], target[live], jacobian[live]))
        step = _evaluate(stack.at(live), regime, trial)
        worst = np.abs(step.logs - trial).max(axis=1)
        kept = is_plain | (worst < best[live])
        plain[live] = np.where(kept, np.maximum(plain[live] - 1, 0), RETRY_STEPS)
        chosen = live[kept]
        logs[chosen], target[chosen], jacobian[chosen] = trial[kept], step.logs[kept], step.jacobian[kept]
        best[chosen] = worst[kept]
        # Newton steps that stop improving below the limit have met the rounding error.
        live = live[kept | (best[live] > RESIDUAL_LIMIT)]
    return _verified(stack, regime, logs)


def _start(stack: Stack, regime: int) -> np.ndarray:
    """A positive start: tau_k as if every a_k were p_k omega_k, and kappa of the size of an eigenvalue."""
    share = stack.rows / stack.total[:, None]
    scale = np.array([float(stack.algebra.trace(cov)) for cov in stack.covariances])
    tau = np.maximum(scale / stack.total[:, None], 1e-12)
    if regime not in (NARROW, RIDGE) or not np.isfinite(stack.width).all():
        return np.log(tau)
    kappa = (share * stack.weights) @ scale / stack.algebra.dim
    return np.log(np.concatenate([tau, kappa[:, None]], axis=1))


def _newton(logs: np.ndarray, target: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
    """One Newton step for target(logs) = logs, of limited length; the plain step where the system is singular."""
    system = np.eye(logs.shape[1]) - jacobian
    singular = np.abs(np.linalg.det(system)) < 1e-300
    system[singular] = np.eye(logs.shape[1])
    step = np.linalg.solve(system, (target - logs)[..., None])[..., 0]
    return logs + np.clip(step, -LONGEST_STEP, LONGEST_STEP)


def _evaluate(stack: Stack, regime: int, logs: np.ndarray) -> _Step:
    """The map and its Jacobian in logs."""
    algebra, num, total = stack.algebra, stack.num_sources, stack.total
    tau = np.exp(logs[:, :num])
    kappa = _kappa(stack, regime, logs)
    value = _row_value(stack, regime, tau)
    share = stack.rows / total[:, None]
    a, fall = share * value, share * value**2  # fall = -da/dtau
    resolvent = _resolvent(stack, regime, a, kappa)
    products = [algebra.times(cov, resolvent) for cov in stack.covariances]
    traces = np.stack([algebra.trace(product) for product in products], axis=1)
    pairs = np.stack([np.stack([algebra.dot(x, y) for y in products], axis=1) for x in products], axis=1)
    spread = np.stack([algebra.dot(product, resolvent) for product in products], axis=1)  # tr(Sigma_k R^2)
    new = [np.log(traces / total[:, None])]
    jacobian = pairs * (fall * tau)[:, None, :] / traces[:, :, None]
    if logs.shape[1] > num:
        log_kappa, jacobian = _with_kappa(stack, jacobian, kappa, a, fall * tau, traces, spread)
        new.append(log_kappa[:, None])
    return _Step(np.concatenate(new, axis=1), jacobian, a, fall / total[:, None], kappa, resolvent, spread)


def _kappa(stack: Stack, regime: int, logs: np.ndarray) -> np.ndarray:
    """Value of kappa (t,): an unknown behind a projection, else known."""
    if logs.shape[1] > stack.num_sources:
        return np.exp(logs[:, -1])
    return {RIDGE: stack.ridge, DETERMINED: np.zeros(len(logs)), INTERPOLATING: np.ones(len(logs))}[regime]


def _row_value(stack: Stack, regime: int, tau: np.ndarray) -> np.ndarray:
    """omega_k/(1 + omega_k tau_k), and its limit 1/tau_k for rows that are fitted exactly (t, K)."""
    if regime == INTERPOLATING:
        return np.where(stack.weights > 0, 1 / tau, 0.0)
    return stack.weights / (1 + stack.weights * tau)


def _resolvent(stack: Stack, regime: int, a: np.ndarray, kappa: np.ndarray) -> np.ndarray:
    """R = (sum_k a_k Sigma_k + kappa I)^-1, a pseudo-inverse where kappa is 0."""
    algebra = stack.algebra
    total = sum(algebra.scale(a[:, k], cov) for k, cov in enumerate(stack.covariances))
    if regime == DETERMINED:
        return algebra.pseudo_inverse(np.asarray(total))
    return algebra.inverse(total + algebra.scale(kappa, algebra.identity))


def _with_kappa(
    stack: Stack,
    jacobian: np.ndarray,
    kappa: np.ndarray,
    a: np.ndarray,
    fall: np.ndarray,
    traces: np.ndarray,
    spread: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Logarithm of the new kappa, and the Jacobian with its row and column."""
    used = (a * traces).sum(axis=1)  # tr(Om R)
    new = stack.ridge / (stack.projection_variance * stack.width) + kappa * used / stack.width
    column = -spread * kappa[:, None] / traces
    row = -spread * fall * (kappa**2 / (stack.width * new))[:, None]
    corner = (used - kappa * (a * spread).sum(axis=1)) * kappa / (stack.width * new)
    left = np.concatenate([jacobian, row[:, None, :]], axis=1)
    right = np.concatenate([column, corner[:, None]], axis=1)
    return np.log(new), np.concatenate([left, right[:, :, None]], axis=2)


def _verified(stack: Stack, regime: int, logs: np.ndarray) -> State:
    """The state, after its residual has been checked."""
    step = _evaluate(stack, regime, logs)
    residual = np.abs(step.logs - logs).max(axis=1)
    residual[np.abs(logs).max(axis=1) >= DIVERGED] = np.inf
    if not (residual < RESIDUAL_LIMIT).all():
        mean = np.mean([float(stack.algebra.trace(cov)) for cov in stack.covariances]) / stack.algebra.dim
        raise ArithmeticError(
            f"the fixed point is solved to {np.max(residual):.1e} only, {RESIDUAL_LIMIT:.0e} is needed; "
            f"a ridge of at least {1e-9 * mean:.1e} (a billionth of the mean eigenvalue) usually cures it"
        )
    tau = np.exp(logs[:, : stack.num_sources])
    rho = np.zeros(len(logs))
    if np.isfinite(stack.width).all() and regime != DETERMINED:
        rho = _rho(stack, regime, step)
    return State(step.a, tau, step.fluctuation, step.kappa, rho, residual, step.resolvent)


def _rho(stack: Stack, regime: int, step: _Step) -> np.ndarray:
    """kappa^2/(m - tr(Om R Om R)), with m - tr(Om R) taken from its equation so that nothing cancels."""
    rest = step.kappa * (step.a * step.spread).sum(axis=1)  # tr(Om R) - tr(Om R Om R)
    if regime == INTERPOLATING:
        rows = np.where(stack.weights > 0, stack.rows, 0.0).sum(axis=1)
        return step.kappa**2 / (stack.width - rows + rest)
    return step.kappa**2 / (stack.ridge / (stack.projection_variance * step.kappa) + rest)
