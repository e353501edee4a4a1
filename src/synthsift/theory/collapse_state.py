"""The deterministic state behind several sources: tau_k, a_k, kappa and rho as the fixed point of a monotone map.

    Om    = sum_k a_k Sigma_k            R   = (Om + kappa I)^-1
    tau_k = (1/n) tr(Sigma_k R)          a_k = p_k omega_k / (1 + omega_k tau_k)
    no projection:  kappa = ridge,       rho = 0
    projection:     ridge / s2 = kappa (m - tr(Om R)),   rho = kappa^2 / (m - tr(Om R Om R))

Unknowns are the logarithms of tau_k and, behind a projection, of kappa. tau -> tau and kappa -> ridge/(s2 m) + kappa
tr(Om R)/m increase and are concave, so plain iteration converges from any positive start but slowly for a tiny ridge
near a threshold: a few plain steps, then Newton steps on the logs, each kept only if it lowers the residual, and
plain steps where it does not. The residual is verified.

Ridge 0 is solved in the regime that `collapse_regimes` finds, rows of weight 0 left out: least squares has kappa = 0; a
narrow layer has the finite kappa with tr(Om R) = m; interpolation has a_k -> 0 with a_k/kappa finite, and is solved in
units of kappa with a_k = p_k/tau_k (weights cannot matter there). Where some directions are settled and others
interpolated, the two are separate problems of these kinds.

Equations (35) to (37) of docs/methods/theory.md.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from synthsift.records import DataError
from synthsift.theory.collapse_regimes import DETERMINED, INTERPOLATING, NARROW, PARTLY, RIDGE, find_regimes
from synthsift.theory.collapse_sources import Stack

PLAIN_STEPS = 12
RETRY_STEPS = 6
MAX_STEPS = 2000
RESIDUAL_GOAL = 1e-12
RESIDUAL_LIMIT = 1e-8
LONGEST_STEP = 20.0
# kappa of a partly interpolating fit in units of the smallest a_k Sigma_k; errors are of that size.
TINY_SHARE = 1e-10
# A smaller ridge drowns in the rounding of a matrix inverse when sources leave directions open.
DENSE_RIDGE = 1e-5
# No fixed point is this far from 1; the iteration is on its way to infinity (ridge 0 with directions left open).
DIVERGED = 150.0


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

    Source: docs/methods/theory.md, eq. (35) to (37); generalizes arXiv 2410.04840, Theorems 1 and 2.

    Raises
    ------
    DataError
        At a pole: without ridge, n = rank <= width, n = width < rank, or rows of one source that just fill the
        directions which the others leave open.
    ArithmeticError
        If the residual of the logs stays above 1e-8.
    """
    regimes, settled = find_regimes(stack)
    kinds, kind_of = np.unique(np.column_stack([regimes, settled]), axis=0, return_inverse=True)
    places = [np.flatnonzero(kind_of.ravel() == i) for i in range(len(kinds))]
    states = [_solve_kind(stack.at(at), int(kind[0]), kind[1:] > 0) for at, kind in zip(places, kinds, strict=True)]
    if len(states) == 1:
        return states[0]
    order = np.argsort(np.concatenate(places))
    return State(*(np.concatenate([getattr(s, f.name) for s in states])[order] for f in fields(State)))


def _solve_kind(stack: Stack, regime: int, settled: np.ndarray) -> State:
    """The state of points of one regime and, where they are PARTLY, one set of settled sources (K,)."""
    if regime != PARTLY:
        return _solve_regime(stack, regime)
    if stack.algebra.is_dense:
        raise DataError(
            "without ridge some sources settle a part of the directions and the rest is interpolated, which is solved "
            f"for diagonal covariances only; give a ridge of at least {DENSE_RIDGE * _mean_eigenvalue(stack):.1e}"
        )
    inside = np.stack([c > 0 for c in stack.covariances])[settled].any(axis=0)
    return _joined(
        _solve_regime(_part(stack, inside, settled, 0), DETERMINED),
        _solve_regime(_part(stack, ~inside, ~settled, int(inside.sum())), INTERPOLATING),
        inside,
        settled,
    )


def _part(stack: Stack, directions: np.ndarray, sources: np.ndarray, taken: int) -> Stack:
    """The problem of some sources in some directions; the layer has `taken` dimensions less for it."""
    covariances = tuple(np.where(directions, covariance, 0.0) for covariance in stack.covariances)
    weights = np.where(sources, stack.weights, 0.0)
    return replace(stack, covariances=covariances, weights=weights, width=stack.width - taken)


def _joined(inner: State, outer: State, inside: np.ndarray, settled: np.ndarray) -> State:
    """Least squares inside and interpolation outside as one state, at a kappa that is tiny beside a_k Sigma_k inside.

    The two problems do not see each other: kappa -> 0 inside, and outside everything is in units of kappa.
    """
    kappa = TINY_SHARE / np.where(inside, inner.resolvent, 0.0).max(axis=1)
    unit = kappa[:, None]
    return State(
        np.where(settled, inner.a, unit * outer.a),
        np.where(settled, inner.tau, outer.tau / unit),
        np.where(settled, inner.fluctuation, unit**2 * outer.fluctuation),
        kappa,
        kappa**2 * outer.rho,
        np.maximum(inner.residual, outer.residual),
        np.where(inside, inner.resolvent, outer.resolvent / unit),
    )


def _mean_eigenvalue(stack: Stack) -> float:
    """Mean eigenvalue of all covariances."""
    return float(np.mean([float(stack.algebra.trace(cov)) for cov in stack.covariances])) / stack.algebra.dim


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
    # A source without rows, in directions that no other has, sees nothing of the fit: its tau does not matter.
    traces = np.where(traces > 0, traces, total[:, None])
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
        raise ArithmeticError(
            f"the fixed point is solved to {np.max(residual):.1e} only, {RESIDUAL_LIMIT:.0e} is needed; "
            f"a ridge of at least {1e-9 * _mean_eigenvalue(stack):.1e}, a billionth of the mean eigenvalue, often helps"
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
