"""What each round of retraining adds: b_i = delta_{i+1} - (1-alpha_i) delta_i, and the share of it that repeats.

Where the rows of all generations are kept, the mean of delta_0 .. delta_i takes the place of delta_i.

The coefficient 1-alpha is known, so nothing is regressed: innovations are differences of measured means, and the
covariance of their sampling noise is known too. It is subtracted from the matrix of inner products <b_i, b_j>; the
diagonal then estimates J = |bbar|^2 + tr Sigma and the rest |bbar|^2.

References
----------
Feature-space law of the drift specification, derived from q_i = alpha p_data + (1-alpha) phat_i (arXiv:2602.16601v2).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from synthsift.drift.arguments import check_features, per_step_alpha
from synthsift.drift.traces import DriftTrace
from synthsift.records import DataError


def watch_features(
    reference: ArrayLike, generations: Sequence[ArrayLike], alpha: ArrayLike, names: Sequence[str] | None = None
) -> DriftTrace:
    """Mean-feature drift of a stream of generations against real data.

    Parameters
    ----------
    reference : array_like (n, k)
        Features of real rows that none of the generations was trained on, for an honest zero.
    generations : sequence of array_like (n_i, k)
        Features of each generation's samples, oldest first.
    alpha : float or array_like (g-1,)
        Fresh fraction of the mix between each generation and the next.
    names : sequence of str, optional
        Names of the generations; "0", "1", ... by default.

    Returns
    -------
    DriftTrace
        Mean differences and their noise.

    Raises
    ------
    DataError
        If there is no generation, a sample is too small, widths differ, or an entry is not finite.
    """
    if not len(generations):
        raise DataError("no generation was given; give at least one set of generated rows")
    real = check_features("the reference", reference)
    synth = [check_features(f"generation {i}", rows, real.shape[1]) for i, rows in enumerate(generations)]
    steps = len(synth) - 1
    fractions = per_step_alpha(alpha, steps) if steps else np.empty(0)
    variance = real.var(axis=0, ddof=1)
    center = real.mean(axis=0)
    return DriftTrace(
        names=tuple(names) if names is not None else tuple(str(i) for i in range(len(synth))),
        alpha=fractions,
        delta=np.array([rows.mean(axis=0) - center for rows in synth]),
        noise=np.array([rows.var(axis=0, ddof=1).sum() / len(rows) for rows in synth]),
        reference_noise=float(variance.sum() / len(real)),
        noise_rank=covariance_rank(real),
    )


def covariance_rank(rows: np.ndarray) -> float:
    """Effective number of independent directions of rows (n, k), (tr C)^2 / tr C^2, at least 1."""
    centered = rows - rows.mean(axis=0)
    # tr C^2 is the same from the smaller of the two Gram matrices.
    gram = centered.T @ centered if rows.shape[0] >= rows.shape[1] else centered @ centered.T
    squares = float(np.sum(gram**2))
    return max(1.0, float(np.trace(gram)) ** 2 / squares) if squares > 0 else 1.0


def mixing_weights(alpha: np.ndarray, *, accumulate: bool = False) -> np.ndarray:
    """Share of each generation's rows in every training set (N, N+1); the real rows have the other alpha_i.

    Parameters
    ----------
    alpha : ndarray (N,)
        Real shares.
    accumulate : bool
        Whether all generations so far have equal parts, or the last one has all.
    """
    n = len(alpha)
    parts = np.tril(np.ones((n, n + 1))) if accumulate else np.eye(n, n + 1)
    return (1 - alpha)[:, None] * parts / parts.sum(axis=1, keepdims=True)


def innovations(trace: DriftTrace) -> np.ndarray:
    """Measured innovations bhat_i = deltahat_{i+1} - (1-alpha_i) deltahat_i (g-1, k)."""
    return trace.delta[1:] - mixing_weights(trace.alpha, accumulate=trace.accumulate) @ trace.delta


def innovation_noise(
    alpha: np.ndarray, noise: np.ndarray, reference_noise: float, *, accumulate: bool = False
) -> np.ndarray:
    """Expected inner products of the sampling noise in two innovations (N, N).

    Diagonal v_{i+1} + (1-alpha_i)^2 v_i + alpha_i^2 v_ref, neighbors -(1-alpha_{i+1}) v_{i+1} + alpha_i alpha_{i+1}
    v_ref, others alpha_i alpha_j v_ref, where generations replace one another.

    Parameters
    ----------
    alpha : ndarray (N,)
        Fresh fractions.
    noise : ndarray (N+1,)
        Sampling variance of the mean of each generation.
    reference_noise : float
        The same of the reference.
    accumulate : bool
        As in `mixing_weights`.
    """
    shift = np.eye(len(noise))[1:] - mixing_weights(alpha, accumulate=accumulate)
    return shift @ np.diag(noise) @ shift.T + reference_noise * np.outer(alpha, alpha)


def corrected_products(trace: DriftTrace) -> np.ndarray:
    """Inner products <b_i, b_j> of the innovations with the sampling noise subtracted (N, N)."""
    b = innovations(trace)
    return b @ b.T - _noise_of(trace)


def _noise_of(trace: DriftTrace) -> np.ndarray:
    return innovation_noise(trace.alpha, trace.noise, trace.reference_noise, accumulate=trace.accumulate)


def split_energy(products: np.ndarray) -> tuple[float, float]:
    """Estimates of J (mean diagonal) and |bbar|^2 (mean of the rest; 0 with one round) from corrected products."""
    n = len(products)
    total = float(np.trace(products)) / n
    return total, float((products.sum() - np.trace(products)) / (n * (n - 1))) if n > 1 else 0.0


def error_rank(trace: DriftTrace, prior_pairs: float) -> float:
    """Effective number of independent directions of the innovations, between 1 and that of the sampling noise.

    Contrasts of innovations have mean zero whatever the bias; squared cosines between them average 1/rank. So many
    extra pairs with squared cosine 1/2 keep the estimate modest when there are few rounds.
    """
    b = innovations(trace)
    n = len(b)
    contrasts = [(b[:i].mean(axis=0) - b[i]) * np.sqrt(i / (i + 1)) for i in range(1, n)]
    squared_cosines = []
    for i, first in enumerate(contrasts):
        for second in contrasts[:i]:
            size = float(first @ first) * float(second @ second)
            if size > 0:
                squared_cosines.append(float(first @ second) ** 2 / size)
    rank = (len(squared_cosines) + prior_pairs) / (sum(squared_cosines) + prior_pairs / 2)
    return float(np.clip(rank, 1.0, trace.noise_rank))


def coherence_p_value(trace: DriftTrace, rank: float, rng: np.random.Generator, num_draws: int = 2000) -> float:
    """Probability of a larger share |bbar|^2/J when errors of different rounds are unrelated.

    Parameters
    ----------
    trace : DriftTrace
        At least two rounds.
    rank : float
        Effective number of directions of the errors (`error_rank`).
    rng : Generator
        Randomness.
    num_draws : int
        Simulated streams with the same noise, J and rank but independent errors.

    Returns
    -------
    float
        One-sided p-value; small means that the error repeats.
    """
    total, repeated = split_energy(corrected_products(trace))
    if total <= 0 or repeated <= 0 or len(trace.alpha) < 2:
        return 1.0
    noise = _noise_of(trace)
    width = max(1, round(rank))
    values, vectors = np.linalg.eigh(noise + total * np.eye(len(noise)))
    root = vectors * np.sqrt(np.maximum(values, 0) / width)
    draws = root @ rng.standard_normal((num_draws, len(noise), width))
    products = draws @ draws.transpose(0, 2, 1) - noise
    n, traces = len(noise), np.trace(products, axis1=1, axis2=2)
    rest = (products.sum(axis=(1, 2)) - traces) / (n * (n - 1))
    # Compare rest/(trace/n) with repeated/total without dividing by a total that noise can make negative.
    exceeds = (rest > 0) & (rest * total >= repeated * traces / n)
    return (1 + int(exceeds.sum())) / (num_draws + 1)
