"""What a measured stream says about the size of its errors, the part that repeats, and where it stands now.

Model: delta_{i+1} = (1-alpha_i) delta_i + bbar + e_i with independent e_i, measured with known noise. In `rank`
equivalent directions the Gram matrix of the measured deltas is Wishart with covariance K(J, kappa), so a grid over the
two numbers gives their posterior; given them, bbar and the last delta are Gaussian. The prior puts half its weight on
kappa = 0 and spreads the rest evenly over (0, 1]; J is even in its logarithm.

The widths that come out are those of a Gaussian model; the tests check their coverage on simulated streams.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthsift.drift.innovation import innovations
from synthsift.drift.traces import DriftTrace

KAPPAS = np.concatenate(([0.0], np.linspace(1 / 30, 1.0, 30)))
MAX_DIRECTIONS = 64  # more directions only narrow a chi2 law that is narrow already


@dataclass(frozen=True)
class DriftDraws:
    """Draws (s) from the posterior.

    Parameters
    ----------
    delta, bias : ndarray (s, r)
        The last drift vector and the repeating error, in r equivalent directions.
    random_trace : ndarray (s,)
        tr Sigma.
    J, kappa : ndarray (s,)
        Energy of the errors and their coherence.
    """

    delta: np.ndarray
    bias: np.ndarray
    random_trace: np.ndarray
    J: np.ndarray
    kappa: np.ndarray


def _responses(alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How delta_0 (g,) and each innovation (g, N) enter every generation."""
    g = len(alpha) + 1
    start, response = np.ones(g), np.zeros((g, g - 1))
    for i, keep in enumerate(1 - alpha):
        start[i + 1] = keep * start[i]
        response[i + 1] = keep * response[i]
        response[i + 1, i] = 1.0
    return start, response


def draw_posterior(trace: DriftTrace, rank: float, rng: np.random.Generator, num_draws: int = 2000) -> DriftDraws:
    """Draw (delta_N, bbar, tr Sigma) given a measured stream.

    Parameters
    ----------
    trace : DriftTrace
        At least two generations.
    rank : float
        Effective number of directions of the errors (`innovation.error_rank`).
    rng : Generator
        Randomness.
    num_draws : int
        Number of draws.

    Returns
    -------
    DriftDraws
        The draws, in 2 to 64 equivalent directions.
    """
    sizes, kappas = _energy_grid(trace)
    start, response = _responses(trace.alpha)
    gram = trace.delta @ trace.delta.T
    origin = max(float(trace.drift[0]), 1e-3 * float(trace.noise[0] + trace.reference_noise), 1e-300)
    fixed = origin * np.outer(start, start) + np.diag(trace.noise) + trace.reference_noise
    reach = response.sum(axis=1)  # how one repeated unit error adds up
    spread, repeated = sizes * (1 - kappas), sizes * kappas
    cov = fixed + spread[:, None, None] * (response @ response.T) + repeated[:, None, None] * np.outer(reach, reach)
    cov += 1e-12 * np.trace(fixed) * np.eye(len(fixed))
    inverse = np.linalg.inv(cov)
    fit = np.linalg.slogdet(cov)[1] + np.einsum("cij,ij->c", inverse, gram)
    log_weight = -rank / 2 * fit + np.where(kappas == 0, np.log(len(KAPPAS) - 1.0), 0.0)
    weight = np.exp(log_weight - log_weight.max())
    cells = rng.choice(len(weight), size=num_draws, p=weight / weight.sum())

    last = (
        origin * start[-1] * start + response @ response[-1] * spread[:, None] + reach[-1] * reach * repeated[:, None]
    )
    bias = repeated[:, None] * reach
    cross = np.stack([last, bias], axis=1)  # (c, 2, g): covariance of (delta_N, bbar) with what was measured
    prior = np.empty((len(sizes), 2, 2))
    prior[:, 0, 0] = origin * start[-1] ** 2 + spread * (response[-1] @ response[-1]) + repeated * reach[-1] ** 2
    prior[:, 0, 1] = prior[:, 1, 0] = repeated * reach[-1]
    prior[:, 1, 1] = repeated
    weights = cross @ inverse
    return _embed(
        weights @ gram @ weights.transpose(0, 2, 1),
        prior - weights @ cross.transpose(0, 2, 1),
        cells,
        int(np.clip(round(rank), 2, MAX_DIRECTIONS)),
        (spread, sizes, kappas),
        rng,
    )


def _energy_grid(trace: DriftTrace) -> tuple[np.ndarray, np.ndarray]:
    """Candidate J and kappa, flattened; J spans five decades around the raw energy of the innovations."""
    raw = max(float((innovations(trace) ** 2).sum(axis=1).mean()), 1e-300)
    sizes, kappas = np.meshgrid(raw * np.geomspace(1e-3, 1e2, 71), KAPPAS, indexing="ij")
    return sizes.ravel(), kappas.ravel()


def _roots(matrices: np.ndarray) -> np.ndarray:
    """Square roots of positive semidefinite 2 x 2 matrices (c, 2, 2), rounding errors clipped."""
    values, vectors = np.linalg.eigh((matrices + matrices.transpose(0, 2, 1)) / 2)
    return vectors * np.sqrt(np.maximum(values, 0))[:, None, :]


def _embed(
    centers: np.ndarray,
    spreads: np.ndarray,
    cells: np.ndarray,
    width: int,
    energies: tuple[np.ndarray, np.ndarray, np.ndarray],
    rng: np.random.Generator,
) -> DriftDraws:
    """Vectors with the given inner products of their means and (isotropic) spread."""
    means, roots = _roots(centers)[cells], _roots(spreads)[cells]
    vectors = roots @ rng.standard_normal((len(cells), 2, width)) / np.sqrt(width)
    vectors[:, :, :2] += means
    random_trace, sizes, kappas = (a[cells] for a in energies)
    return DriftDraws(vectors[:, 0], vectors[:, 1], random_trace, sizes, kappas)


def simulate_ahead(draws: DriftDraws, alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Squared drift of the generations to come, one path per draw.

    Parameters
    ----------
    draws : DriftDraws
        Where each path starts and what adds to it.
    alpha : ndarray (h,)
        Fresh fractions to come.
    rng : Generator
        Randomness.

    Returns
    -------
    ndarray (s, h)
        |delta_{N+1}|^2 ... |delta_{N+h}|^2.
    """
    now, scale = draws.delta.copy(), np.sqrt(draws.random_trace / draws.delta.shape[1])[:, None]
    path = np.empty((len(now), len(alpha)))
    for j, keep in enumerate(1 - alpha):
        now = keep * now + draws.bias + scale * rng.standard_normal(now.shape)
        path[:, j] = (now**2).sum(axis=1)
    return path


def steady_draws(draws: DriftDraws, alpha: float) -> np.ndarray:
    """Mean drift in the long run for each draw (s,), |bbar|^2/alpha^2 + tr Sigma/(alpha(2-alpha))."""
    return (draws.bias**2).sum(axis=1) / alpha**2 + draws.random_trace / (alpha * (2 - alpha))
