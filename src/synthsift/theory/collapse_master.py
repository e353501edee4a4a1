"""The error of one ridge fit on several sources with any input covariances, weights and label shifts.

With the state of `collapse_state`, M_k = a_k R Sigma_k, M = sum_k M_k and the mean predictor mbar = sum_k M_k w_k,

    H_kj = tr(Sigma_k R Sigma_j R) + rho tr(Sigma_k R^2) tr(Sigma_j R^2)
    h_k  = the same with Sigma_j replaced by the test covariance Sigma_T
    D    = diag(a_k^2/n_k)           b = (I - D H)^-1 D h                           (b_k >= 0)
    err(C, w) = E|mbar - w|_C^2 + rho tr(C R^2) E|mbar|^2                           |v|_C^2 = v'Cv
    total = err(Sigma_T, w_1) + sum_k b_k ( sigma_k^2 + err(Sigma_k, w_k) )

A label shift is paid twice: as bias of the mean predictor, and as noise b_k for every source it disagrees with. The
parts are bias (everything with Gamma), variance = sum_k b_k sigma_k^2, and collapse (everything with a shift).

The expectations are quadratic forms in the second moments of (w_1, delta_2, ..., delta_K): Gamma, Delta_k, C_k =
E[delta_k w_1'] and, for three or more sources whose shifts are related (the same generator in two batches, or fixed
vectors), E[delta_j delta_k']. Leaving the last one out is right only for unrelated shifts.

Equations (38) to (41) of docs/methods/theory.md.

References
----------
Generalizes Dohmatob, Feng, Subramonian, Kempe, "Strong Model Collapse", arXiv 2410.04840, which
has two sources of equal input covariance and pooled rows; there it reduces to Theorems 1 and 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synthsift.records import DataError, Prediction
from synthsift.theory.collapse_inputs import PoleError
from synthsift.theory.collapse_sources import Source, Stack, stack_sources
from synthsift.theory.collapse_state import State, solve_state

CHUNK = 200_000

FORMULA = "deterministic equivalent of weighted ridge on several sources; Strong Model Collapse, arXiv 2410.04840"
ASSUMPTIONS = (
    "Gaussian-like inputs",
    "linear model or frozen features, squared loss",
    "label shifts independent of the real sample",
)


@dataclass(frozen=True)
class Spread:
    """Second moments of the error e = what - w_1 of one fit, exact when traced against a fixed matrix.

    Parameters
    ----------
    error : operator
        E[e e'].
    cross : operator
        E[e w_1'].
    """

    error: np.ndarray
    cross: np.ndarray


def predict_sources(
    sources: Sequence[Source],
    signal: np.ndarray,
    *,
    ridge: float = 0.0,
    test_covariance: np.ndarray | None = None,
    width: float | None = None,
    projection_variance: float | None = None,
    between: Mapping[tuple[int, int], np.ndarray] | None = None,
) -> Prediction:
    """Excess error on the real distribution after a fit on all sources together. Lower is better.

    Source: docs/methods/theory.md, eq. (38); generalizes arXiv 2410.04840, Theorems 1 and 2.

    Parameters
    ----------
    sources : sequence of Source
        The first one is real (no shift); it may be empty.
    signal : ndarray (d,) or (d, d)
        Gamma = E[w_1 w_1'], or its diagonal.
    ridge : float
        lam >= 0 of (1/n) sum_i omega_i (y_i - x_i.w)^2 + lam |w|^2, n = rows of all sources.
    test_covariance : ndarray (d,) or (d, d), optional
        Sigma_T (default: that of the first source).
    width : float, optional
        Width m of a random projection; without one the fit sees all inputs.
    projection_variance : float, optional
        s2, variance of an entry of the projection (default 1/d).
    between : mapping of (j, k) to ndarray, optional
        E[delta_j delta_k'] for 1 <= k < j where two shifts are related (default: unrelated).

    Returns
    -------
    Prediction
        `mean` is the error, shape (); `terms` has total, bias, variance, collapse, a, b and tau (K,), kappa, rho,
        residual.

    Raises
    ------
    DataError
        For inputs that do not fit, and at a pole.
    ArithmeticError
        If the fixed point cannot be solved to 1e-8.
    """
    stack = stack_sources(
        sources,
        signal,
        ridge=ridge,
        test_covariance=test_covariance,
        width=width,
        projection_variance=projection_variance,
        between=between,
    )
    terms = {name: value[0] for name, value in master_terms(stack).items()}
    total = np.asarray(terms["total"])
    at = np.asarray(float(stack.total[0]))
    return Prediction(at, total, total, total, terms, FORMULA, ASSUMPTIONS)


def master_terms(stack: Stack) -> dict[str, np.ndarray]:
    """Error, parts and intermediate values at every point of a stack, in blocks that fit the cache.

    Source: docs/methods/theory.md, eq. (38), (39); generalizes arXiv 2410.04840, Theorems 1 and 2.
    """
    size = max(1, CHUNK // (stack.algebra.dim ** (2 if stack.algebra.is_dense else 1)))
    parts = [_block_terms(stack.at(slice(i, i + size))) for i in range(0, len(stack.rows), size)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _block_terms(stack: Stack) -> dict[str, np.ndarray]:
    """All terms of one block (t, ...)."""
    state = solve_state(stack)
    prices = _prices(stack, state)
    mean_maps = _mean_maps(stack, state)
    bias, collapse = _error_at(stack, state, mean_maps, stack.test_covariance, 0)
    for k, covariance in enumerate(stack.covariances):
        own_bias, own_collapse = _error_at(stack, state, mean_maps, covariance, k)
        bias, collapse = bias + prices[:, k] * own_bias, collapse + prices[:, k] * own_collapse
    variance = prices @ stack.noises
    return {
        "total": bias + variance + collapse,
        "bias": bias,
        "variance": variance,
        "collapse": collapse,
        "a": state.a,
        "b": prices,
        "tau": state.tau,
        "kappa": state.kappa,
        "rho": state.rho,
        "residual": state.residual,
    }


def _interactions(stack: Stack, state: State, covariance: np.ndarray) -> np.ndarray:
    """tr(Sigma_k R C R) + rho tr(Sigma_k R^2) tr(C R^2) for every source k (t, K)."""
    algebra, resolvent = stack.algebra, state.resolvent
    around = algebra.times(algebra.times(resolvent, covariance), resolvent)  # R C R
    squared = algebra.times(resolvent, resolvent)
    own = algebra.dot(covariance, squared)
    columns = [algebra.dot(cov, around) + state.rho * own * algebra.dot(cov, squared) for cov in stack.covariances]
    return np.stack(columns, axis=1)


def _coupling(stack: Stack, state: State) -> np.ndarray:
    """H (t, K, K)."""
    return np.stack([_interactions(stack, state, cov) for cov in stack.covariances], axis=2)


def _prices(stack: Stack, state: State) -> np.ndarray:
    """Prices b = (I - D H)^-1 D h (t, K)."""
    outer = _interactions(stack, state, stack.test_covariance)
    system = np.eye(stack.num_sources) - state.fluctuation[:, :, None] * _coupling(stack, state)
    return _solve_positive(system, state.fluctuation * outer)


def _solve_positive(system: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve (I - nonnegative) x = nonnegative, whose answer is negative only beyond a pole."""
    message = "the fluctuations are infinite: rows or width lie on an interpolation threshold; add a ridge"
    try:
        answer = np.linalg.solve(system, right[..., None])[..., 0]
    except np.linalg.LinAlgError:
        raise PoleError(message) from None
    largest = np.abs(answer).max(axis=-1, keepdims=True)
    if not (answer >= -1e-9 * np.maximum(largest, 1.0)).all():
        raise PoleError(message)
    return np.maximum(answer, 0.0)


def _mean_maps(stack: Stack, state: State) -> list[np.ndarray]:
    """M_k = a_k R Sigma_k."""
    algebra = stack.algebra
    return [
        algebra.scale(state.a[:, k], algebra.times(state.resolvent, cov)) for k, cov in enumerate(stack.covariances)
    ]


def _total_map(maps: list[np.ndarray]) -> np.ndarray:
    """M = sum_k M_k."""
    return np.asarray(sum(maps[1:], start=maps[0]))


def _factors(stack: Stack, maps: list[np.ndarray], target: int | None) -> list[np.ndarray]:
    """Maps from (w_1, delta_2, ..., delta_K) to mbar - w_target, or to mbar itself."""
    identity = stack.algebra.identity
    factors = [_total_map(maps), *maps[1:]]
    if target is not None:
        factors[0] = factors[0] - identity
        if target > 0:
            factors[target] = factors[target] - identity
    return factors


def _quadratic(stack: Stack, factors: list[np.ndarray], weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E|factors . (w_1, delta_2, ...)|_C^2, split into its Gamma part and the rest (t,)."""
    algebra = stack.algebra
    bias, rest = np.zeros(len(stack.rows)), np.zeros(len(stack.rows))
    for (i, j), moment in stack.moments.items():
        form = algebra.times(algebra.times(algebra.transpose(factors[j]), weight), factors[i])
        value = algebra.dot(form, moment)
        if i == j == 0:
            bias = bias + value
        else:
            rest = rest + (value if i == j else 2 * value)
    return bias, rest


def _error_at(
    stack: Stack, state: State, maps: list[np.ndarray], covariance: np.ndarray, target: int
) -> tuple[np.ndarray, np.ndarray]:
    """err(C, w_target), split into its Gamma part and the rest (t,)."""
    algebra = stack.algebra
    bias, rest = _quadratic(stack, _factors(stack, maps, target), covariance)
    if state.rho.any():
        hidden = state.rho * algebra.dot(covariance, algebra.times(state.resolvent, state.resolvent))
        own_bias, own_rest = _quadratic(stack, _factors(stack, maps, None), algebra.identity)
        bias, rest = bias + hidden * own_bias, rest + hidden * own_rest
    return bias, rest


def predict_spread(stack: Stack) -> Spread:
    """Second moments of the error of the fit at the one point of a stack, for chains of fits.

        G = (I - H D)^-1 ( sigma_k^2 + E|mbar - w_k|_{Sigma_k}^2 )_k
        E[e e']   = E[(mbar - w_1)(mbar - w_1)'] + sum_k (a_k^2/n_k) G_k R Sigma_k R
        E[e w_1'] = (M - I) Gamma + sum_k M_k C_k

    Without C = E[e w_1'] the next fit of a ridge chain is predicted wrongly: ridge errors point against w_1.

    Source: docs/methods/theory.md, eq. (40), (41); derived there.

    Raises
    ------
    DataError
        If the stack has several points or a projection.
    """
    if len(stack.rows) != 1 or np.isfinite(stack.width).any():
        raise DataError("second moments are for one point without a projection; leave width out")
    algebra, state = stack.algebra, solve_state(stack)
    maps = _mean_maps(stack, state)
    noise = np.stack([_error_at(stack, state, maps, cov, k) for k, cov in enumerate(stack.covariances)], axis=0)
    seen = stack.noises + noise.sum(axis=1)[:, 0]
    system = np.eye(stack.num_sources) - _coupling(stack, state)[0] * state.fluctuation[0]
    scatter = state.fluctuation[0] * _solve_positive(system, seen)
    error = _outer_moment(stack, _factors(stack, maps, 0))
    resolvent = state.resolvent[0]
    for factor, covariance in zip(scatter, stack.covariances, strict=True):
        error = error + factor * algebra.times(algebra.times(resolvent, covariance), resolvent)
    return Spread(error, _cross_moment(stack, _factors(stack, maps, 0)))


def _outer_moment(stack: Stack, factors: list[np.ndarray]) -> np.ndarray:
    """E[v v'] of v = factors . (w_1, delta_2, ...)."""
    algebra = stack.algebra
    total = np.zeros_like(factors[0][0])
    for (i, j), moment in stack.moments.items():
        part = algebra.times(algebra.times(factors[i][0], moment), algebra.transpose(factors[j][0]))
        total = total + (part if i == j else part + algebra.transpose(part))
    return total


def _cross_moment(stack: Stack, factors: list[np.ndarray]) -> np.ndarray:
    """E[v w_1'] of v = factors . (w_1, delta_2, ...)."""
    parts = [stack.algebra.times(factors[i][0], moment) for (i, j), moment in stack.moments.items() if j == 0]
    return np.asarray(sum(parts[1:], start=parts[0]))
