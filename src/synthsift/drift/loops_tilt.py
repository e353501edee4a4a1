"""Loops that multiply their training mix by 1 + eps c phi each round: one-round errors of known size and direction.

phi is a cosine with mean 0 and variance 1 under the mix, so the one-round chi2 is (eps c)^2 exactly, and the pattern of
phi over rounds sets the coherence: a new one each round (kappa = 0 in the mean), always the same (kappa = 1), or the
same with alternating sign (the lower end of every bound). Works on any quadrature of p_data, in any dimension.

References
----------
Eqs. 8 to 10 of the specification of drift; derived from arXiv:2602.16601v2, Section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from synthsift.drift.arguments import check_alpha
from synthsift.drift.laws import alternating_state, drift_law, steady_state
from synthsift.drift.loops import as_prediction, exact_prediction
from synthsift.records import DataError, Prediction
from synthsift.seeds import Seeds, as_seeds

Pattern = Literal["random", "same", "alternate"]
FLAT = 1e-9  # variance of a cosine under the mix below which rounding decides its shape; 1/2 under a spread-out mix


@dataclass(frozen=True)
class Quadrature:
    """p_data as weighted points.

    Parameters
    ----------
    points : ndarray (g, d)
        Places.
    weights : ndarray (g,)
        Probabilities, sum 1.
    """

    points: np.ndarray
    weights: np.ndarray

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.weights.shape != (len(self.points),):
            raise DataError(f"points {self.points.shape} and weights {self.weights.shape} must be (g, d) and (g,)")
        if (self.weights < 0).any() or abs(self.weights.sum() - 1) > 1e-9:
            raise DataError("quadrature weights must be non-negative with sum 1")


def predict_tilt(alpha: float, eps: float, pattern: Pattern, num_rounds: int) -> Prediction:
    """Drift by round when every innovation has the size J = eps^2.

    Parameters
    ----------
    alpha, eps : float
        Fresh fraction and size of the tilt.
    pattern : {"random", "same", "alternate"}
        How the tilts of different rounds line up.
    num_rounds : int
        Rounds after round 0.

    Returns
    -------
    Prediction
        `mean` D at rounds 0..num_rounds; ``terms["steady"]`` the limit. At alpha = 0 there is none: it is infinite
        where drift grows for ever, as N J or N^2 J, and NaN for alternating errors, which cancel every second round.
    """
    keep, J = 1 - float(check_alpha(alpha)), eps**2
    if pattern == "alternate":
        signs = np.array([np.sum((-keep) ** np.arange(n, dtype=np.float64)) for n in range(num_rounds + 1)])
        drift = J * signs**2
        steady = alternating_state(alpha, J) if alpha > 0 else np.nan  # no limit: it goes between 0 and J for ever
    else:
        kappa = float(pattern == "same")
        drift = np.concatenate(([0.0], drift_law(alpha, np.full(num_rounds, J), kappa=kappa)))
        steady = steady_state(alpha, J, kappa) if alpha > 0 else np.inf
    return exact_prediction(
        np.arange(num_rounds + 1), drift, "drift law, Eq. 10", "J stays eps^2, true while D is small", steady=steady
    )


def simulate_tilt(
    data: Quadrature,
    alpha: float,
    eps: float,
    pattern: Pattern,
    num_rounds: int,
    *,
    num_runs: int,
    seeds: Seeds | int,
    frequency: float = 5.0,
) -> Prediction:
    """Run the tilt recursion exactly on a quadrature: the twin of `predict_tilt`.

    Parameters
    ----------
    data : Quadrature
        p_data.
    alpha, eps : float
        Fresh fraction in [0, 1] and size of the tilt.
    pattern : {"random", "same", "alternate"}
        A cosine and sign drawn anew each round, one kept for all rounds, or one with alternating sign.
    num_rounds, num_runs : int
        Rounds, and independent loops (each draws its own cosines).
    seeds : Seeds or int
        Randomness.
    frequency : float
        Waves have a random direction and a frequency between half of this and this. Slow waves meet the tails of
        p_data, where a repeated tilt makes J itself grow without limit.

    Returns
    -------
    Prediction
        `mean` D at rounds 0..num_rounds with 95 % intervals; terms: `innovation` and `one_round` (J and I by run and
        round, (r, t)), `discounted` and `coherent` (mean laws from the measured J), `identity` (largest residual of
        the exact recursion).

    Raises
    ------
    DataError
        If alpha is outside [0, 1], or a loop without enough fresh data shrinks to where its errors are flat.
    """
    keep, rng = 1 - float(check_alpha(alpha)), as_seeds(seeds).numpy("tilt loop")
    u, drift, sizes, worst = np.zeros((num_runs, len(data.weights))), [np.zeros(num_runs)], [], 0.0
    cosine = _draw_cosine(data, num_runs, frequency, rng)
    for i in range(num_rounds):
        if pattern == "random" and i:
            cosine = _draw_cosine(data, num_runs, frequency, rng)
        sign = -1.0 if pattern == "alternate" and i % 2 else 1.0
        u, innovation, one_round, cross = _tilt(data.weights, u, keep, sign * cosine, eps)
        drift.append(u**2 @ data.weights)
        sizes.append((innovation, one_round))
        expected = keep**2 * drift[-2] + 2 * keep * cross + innovation
        worst = max(worst, float(np.max(np.abs(drift[-1] - expected) / np.maximum(1, drift[-1]))))
    J, one = np.array(sizes).transpose(1, 2, 0)
    return as_prediction(
        np.arange(num_rounds + 1),
        np.array(drift).T,
        "simulated tilt recursion",
        innovation=J,
        one_round=one,
        discounted=np.mean([drift_law(alpha, row) for row in J], axis=0),
        coherent=np.mean([drift_law(alpha, row, kappa=1.0) for row in J], axis=0),
        identity=np.asarray(worst),
    )


def _draw_cosine(data: Quadrature, num_runs: int, frequency: float, rng: np.random.Generator) -> np.ndarray:
    """Random cosines at the quadrature points (runs, g)."""
    waves = rng.standard_normal((num_runs, data.points.shape[1]))
    waves *= frequency * rng.uniform(0.5, 1.0, (num_runs, 1)) / np.linalg.norm(waves, axis=1, keepdims=True)
    return np.cos(waves @ data.points.T + 2 * np.pi * rng.random((num_runs, 1)))


def _tilt(
    weights: np.ndarray, u: np.ndarray, keep: float, wave: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One round for all runs: new u (r, g), J, I and the cross term X (r,).

    Raises
    ------
    DataError
        If a wave hardly varies where the mix of its run is.
    """
    rho = np.maximum(1 + keep * u, 0.0)  # without fresh data nothing but rounding keeps it from going below
    q = rho * weights
    phi = wave - (q * wave).sum(axis=1, keepdims=True)
    spread = (q * phi**2).sum(axis=1, keepdims=True)
    if not (spread > FLAT).all():
        raise DataError(
            "the loop has shrunk to places where its errors are flat, so they cannot have the asked size any more. "
            "Take fewer rounds, smaller errors, or more fresh data"
        )
    phi /= np.sqrt(spread)
    # A density must stay positive, so a wave with a deep trough is used at less than its full size.
    depth = -phi.min(axis=1, keepdims=True)
    g = np.minimum(eps, 0.99 / depth) * phi
    return keep * u + rho * g, (weights * (rho * g) ** 2).sum(axis=1), (q * g**2).sum(axis=1), (q * u * g).sum(axis=1)
