"""What a measured stream says about the size of its errors, the part that repeats, and where it stands now.

Model: delta_{i+1} = rho m_i + bbar + e_i with independent e_i, measured with known noise; m_i = (1-alpha_i) delta_i
is the drift of the training mix. At rho = 1 the error does not depend on what is learned. Real trainers err less, or
elsewhere, on rows that carry their error already: the same blur takes less from what is blurred, and a family of laws
that was fitted once fits its own samples. To first order that is a multiple of m_i, hence rho <= 1. If the first
generation learned real rows only, its drift is an error like the others: delta_0 = bbar + e.

In `rank` equivalent directions the Gram matrix of the measured deltas is Wishart with covariance K(J, kappa, rho), so a
grid gives their posterior; given them, bbar and what the next mix carries are Gaussian. The prior puts half its weight
on kappa = 0 and spreads the rest evenly over (0, 1]; likewise rho = 1 and [0, 1); likewise a first generation that
learned real rows only, and one of any other origin. J is even in its logarithm.

The widths that come out are those of a Gaussian model; the tests check their coverage on simulated streams, and
docs/results/drift.md says how they fare in real loops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from synthsift.drift.innovation import innovations, mixing_weights
from synthsift.drift.traces import DriftTrace

KAPPAS = np.concatenate(([0.0], np.linspace(1 / 20, 1.0, 20)))
RESPONSES = tuple(k / 10 for k in range(11))
MAX_DIRECTIONS = 64  # more directions only narrow a chi2 law that is narrow already


@dataclass(frozen=True)
class DriftDraws:
    """Draws (s) from the posterior.

    Parameters
    ----------
    carried, bias : ndarray (s, r)
        Mean drift vector of the generated rows at hand (the last generation's, or all), and the repeating error, in r
        equivalent directions.
    random_trace : ndarray (s,)
        tr Sigma.
    J, kappa : ndarray (s,)
        Energy of the errors and their coherence.
    response : ndarray (s,)
        rho, the share of the drift in its training mix that a trainer passes on.
    num_kept : int
        Generations whose rows are at hand where all are kept; 0 where each replaces the one before.
    """

    carried: np.ndarray
    bias: np.ndarray
    random_trace: np.ndarray
    J: np.ndarray
    kappa: np.ndarray
    response: np.ndarray
    num_kept: int = 0


class _Part(NamedTuple):
    """Posterior on the grid of J and kappa (c) for one rho and one origin."""

    log_weight: np.ndarray
    centers: np.ndarray
    spreads: np.ndarray


def _responses(mixing: np.ndarray, rho: float) -> tuple[np.ndarray, np.ndarray]:
    """How delta_0 (g,) and each round's error (g, N) enter every generation."""
    n, g = mixing.shape
    start, response = np.zeros(g), np.zeros((g, n))
    start[0] = 1.0
    for i, weights in enumerate(mixing):
        start[i + 1] = rho * weights @ start
        response[i + 1] = rho * weights @ response
        response[i + 1, i] += 1.0
    return start, response


def draw_posterior(
    trace: DriftTrace,
    rank: float,
    rng: np.random.Generator,
    num_draws: int = 2000,
    *,
    responses: Sequence[float] = RESPONSES,
    origins: Sequence[bool] = (False, True),
) -> DriftDraws:
    """Draw what is carried on, bbar, tr Sigma and rho given a measured stream.

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
    responses : sequence of float
        Values of rho in [0, 1] that are thought possible; (1,) is the law of an error that is the same on all rows.
    origins : sequence of bool
        Whether the first generation learned real rows only: False, True or either.

    Returns
    -------
    DriftDraws
        The draws, in 2 to 64 equivalent directions.
    """
    sizes, kappas = _energy_grid(trace)
    cases = [(float(rho), learned_real) for learned_real in origins for rho in responses]
    parts = [_condition(trace, rank, (sizes, kappas), rho, learned_real) for rho, learned_real in cases]
    log_weight = np.concatenate([part.log_weight for part in parts])
    weight = np.exp(log_weight - log_weight.max())
    cells = rng.choice(len(weight), size=num_draws, p=weight / weight.sum())
    grid = cells % len(sizes)
    carried, bias = _embed(
        np.concatenate([part.centers for part in parts])[cells],
        np.concatenate([part.spreads for part in parts])[cells],
        int(np.clip(round(rank), 2, MAX_DIRECTIONS)),
        rng,
    )
    return DriftDraws(
        carried,
        bias,
        (sizes * (1 - kappas))[grid],
        sizes[grid],
        kappas[grid],
        np.array([rho for rho, _ in cases])[cells // len(sizes)],
        len(trace.delta) if trace.accumulate else 0,
    )


def _condition(
    trace: DriftTrace,
    rank: float,
    energies: tuple[np.ndarray, np.ndarray],
    rho: float,
    learned_real: bool,
) -> _Part:
    """Weight of every cell, and mean products and spreads of (carried, bbar) in it."""
    sizes, kappas = energies
    spread, repeated = sizes * (1 - kappas), sizes * kappas
    start, response = _responses(mixing_weights(trace.alpha, accumulate=trace.accumulate), rho)
    fixed = np.diag(trace.noise) + trace.reference_noise
    origin = max(float(trace.drift[0]), 1e-3 * float(trace.noise[0] + trace.reference_noise), 1e-300)
    if learned_real:
        response, start = np.column_stack([start, response]), np.zeros_like(start)
    reach = response.sum(axis=1)  # how one repeated unit error adds up
    truth = origin * np.outer(start, start) + spread[:, None, None] * (response @ response.T)
    truth += repeated[:, None, None] * np.outer(reach, reach)  # (c, g, g)
    cov = truth + fixed + 1e-12 * (np.trace(fixed) + origin) * np.eye(len(fixed))
    inverse = np.linalg.inv(cov)
    gram = trace.delta @ trace.delta.T
    fit = np.linalg.slogdet(cov)[1] + np.einsum("cij,ij->c", inverse, gram)
    prior = np.where(kappas == 0, np.log(len(KAPPAS) - 1.0), 0.0) + (np.log(len(RESPONSES) - 1.0) if rho == 1 else 0.0)

    share = mixing_weights(np.zeros(len(reach)), accumulate=trace.accumulate)[-1, :-1]  # in the rows at hand
    bias = repeated[:, None] * reach
    cross = np.stack([truth @ share, bias], axis=1)  # (c, 2, g): covariance of (carried, bbar) with what was measured
    own = np.empty((len(sizes), 2, 2))
    own[:, 0, 0] = truth @ share @ share
    own[:, 0, 1] = own[:, 1, 0] = bias @ share
    own[:, 1, 1] = repeated
    weights = cross @ inverse
    return _Part(
        prior - rank / 2 * fit,
        weights @ gram @ weights.transpose(0, 2, 1),
        own - weights @ cross.transpose(0, 2, 1),
    )


def _energy_grid(trace: DriftTrace) -> tuple[np.ndarray, np.ndarray]:
    """Candidate J and kappa, flattened; J spans five decades around the raw energy of the innovations."""
    raw = max(float((innovations(trace) ** 2).sum(axis=1).mean()), 1e-300)
    sizes, kappas = np.meshgrid(raw * np.geomspace(1e-3, 1e2, 61), KAPPAS, indexing="ij")
    return sizes.ravel(), kappas.ravel()


def _roots(matrices: np.ndarray) -> np.ndarray:
    """Square roots of positive semidefinite 2 x 2 matrices (c, 2, 2), rounding errors clipped."""
    values, vectors = np.linalg.eigh((matrices + matrices.transpose(0, 2, 1)) / 2)
    return vectors * np.sqrt(np.maximum(values, 0))[:, None, :]


def _embed(
    centers: np.ndarray, spreads: np.ndarray, width: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of vectors (s, r) with the given inner products of their means and (isotropic) spread."""
    vectors = _roots(spreads) @ rng.standard_normal((len(centers), 2, width)) / np.sqrt(width)
    vectors[:, :, :2] += _roots(centers)
    return vectors[:, 0], vectors[:, 1]


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
    carried, scale = draws.carried.copy(), np.sqrt(draws.random_trace / draws.carried.shape[1])[:, None]
    path = np.empty((len(carried), len(alpha)))
    for j, synthetic in enumerate(1 - alpha):
        passed = draws.response[:, None] * synthetic * carried
        now = passed + draws.bias + scale * rng.standard_normal(carried.shape)
        carried = carried + (now - carried) / (draws.num_kept + j + 1) if draws.num_kept else now
        path[:, j] = (now**2).sum(axis=1)
    return path


def steady_draws(draws: DriftDraws, alpha: float) -> np.ndarray:
    """Mean drift in the long run for each draw (s,).

    |bbar|^2/(1-r)^2 + tr Sigma/(1-r^2) with r = rho(1-alpha): |bbar|^2/alpha^2 + tr Sigma/(alpha(2-alpha)) at rho = 1.
    Where all rows are kept, random errors average out in what is carried, and tr Sigma alone remains of them.
    """
    left = draws.response * (1 - alpha)
    wander = draws.random_trace if draws.num_kept else draws.random_trace / (1 - left**2)
    return (draws.bias**2).sum(axis=1) / (1 - left) ** 2 + wander
