"""One reverse diffusion by simulated paths, in any dimension: the Monte-Carlo twin of `grid`, and how eta is estimated.

Ideal paths follow the exact score s, learned paths s + e, with the same noise. Along the ideal ones the martingale
M = sum e . dB is accumulated; eta is the share of its variance that the end point explains, estimated by the held-out
R^2 of a regression, which can only miss signal.

References
----------
Khelifa, Turner, Venkataramanan, arXiv:2602.16601v2, Sections 2-3 (Girsanov weights, observability).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve

from synthsift.drift.measures import fourier_features
from synthsift.records import DataError
from synthsift.seeds import Seeds, as_seeds

Field = Callable[[np.ndarray, float], np.ndarray]


@dataclass(frozen=True)
class PathRound:
    """What one round did, by simulation.

    Parameters
    ----------
    eps2, eps2_error, epshat2, epshat2_error : float
        Score error energies along ideal and learned paths, with standard errors.
    mean_weight, mean_weight_error : float
        E e^Z, which is 1 for a true martingale.
    eta : float
        Held-out R^2 of M regressed on the end point, a lower estimate of the observability (may be below 0).
    ends, learned_ends : ndarray (n, d)
        End points of the ideal and the learned paths.
    martingale : ndarray (n,)
        M of each ideal path.
    """

    eps2: float
    eps2_error: float
    epshat2: float
    epshat2_error: float
    mean_weight: float
    mean_weight_error: float
    eta: float
    ends: np.ndarray
    learned_ends: np.ndarray
    martingale: np.ndarray


def simulate_round(
    start: np.ndarray,
    score: Field,
    error: Field,
    *,
    horizon: float,
    num_steps: int,
    seeds: Seeds | int,
    t0: float = 0.0,
    progress: Callable[[int], None] | None = None,
) -> PathRound:
    """Run the reverse process with Euler-Maruyama steps.

    Parameters
    ----------
    start : ndarray (n, d)
        Draws of X_T.
    score, error : callable (y (n, d), t) -> (n, d)
        Exact score of q_t, and learned score minus exact score.
    horizon, t0 : float
        Run from t = horizon down to t0.
    num_steps : int
        Equal time steps; the discretisation error is of the order of one step.
    seeds : Seeds or int
        Randomness.
    progress : callable (step), optional
        Told the number of steps done after each of them.

    Returns
    -------
    PathRound
        Estimates with standard errors.

    Raises
    ------
    DataError
        If there are fewer than 100 paths or the times are not ordered.
    """
    if start.ndim != 2 or len(start) < 100 or num_steps < 1 or not 0 <= t0 < horizon:
        raise DataError(
            f"start {start.shape}, {num_steps} steps, times {horizon} to {t0}: at least 100 paths (n, d), one step and "
            f"horizon > t0 >= 0 are needed"
        )
    node = as_seeds(seeds)
    rng, dt = node.numpy("paths"), (horizon - t0) / num_steps
    ideal, learned = start.copy(), start.copy()
    martingale, energy, learned_energy = np.zeros((3, len(start)))
    for k in range(num_steps):
        t = horizon - (k + 0.5) * dt
        shock = np.sqrt(dt) * rng.standard_normal(start.shape)
        e = error(ideal, t)
        martingale += (e * shock).sum(axis=1)
        energy += (e**2).sum(axis=1) * dt
        ideal = ideal + (ideal / 2 + score(ideal, t)) * dt + shock
        e = error(learned, t)
        learned_energy += (e**2).sum(axis=1) * dt
        learned = learned + (learned / 2 + score(learned, t) + e) * dt + shock
        if progress is not None:
            progress(k + 1)
    weight = np.exp(martingale - energy / 2)
    stats = [_mean_and_error(values) for values in (energy, learned_energy, weight)]
    eta = explained_share(ideal, martingale, node.numpy("regression"))
    return PathRound(*stats[0], *stats[1], *stats[2], eta, ideal, learned, martingale)


def _mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def explained_share(ends: np.ndarray, target: np.ndarray, rng: np.random.Generator, num_features: int = 60) -> float:
    """Held-out R^2 of `target` (n,) regressed on functions of `ends` (n, d): linear, quadratic and random cosines.

    Two halves are fitted and judged in turn. A lower estimate of the explainable share; below 0 means nothing found.
    """
    scale = ends.std(axis=0)
    z = (ends - ends.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    waves = fourier_features(z.shape[1], num_features, 0.7, rng)(z) * np.sqrt(num_features / 2)
    basis = np.concatenate([np.ones((len(z), 1)), z, z**2, waves], axis=1)
    half = rng.permutation(len(z)) % 2 == 0
    lost = 0.0
    for fit in (half, ~half):
        gram = basis[fit].T @ basis[fit]
        gram[np.diag_indices_from(gram)] += 3e-3 * len(z)
        weights = solve(gram, basis[fit].T @ target[fit], assume_a="pos")
        lost += float(np.sum((target[~fit] - basis[~fit] @ weights) ** 2))
    total = float(np.sum((target - target.mean()) ** 2))
    return 1 - lost / total if total > 0 else 0.0
