"""The published mixture experiment with its scores: a kernel density estimate is the model, Euler-Maruyama the sampler.

Ten dimensions, five modes of width 0.6 at the origin and (+-4, +-4) in two coordinates; every round puts kernels of
bandwidth 0.6 on the rows of alpha p_data + (1-alpha) phat and runs the reverse process with their exact score,
500 steps from T = 4 to t0 = 0.02. Both the score that is used and the one that should be are mixtures in closed form,
so energies of paths, KL and chi2 of every round are measured, not fitted.

What differs from the publication: fewer rows (2,000 for 100,000, as each of the steps needs all pairs of rows and
kernels), one run for ten, and paths start in the noised mix, as the theorems assume, not in N(0, I).

References
----------
Khelifa, Turner, Venkataramanan, arXiv:2602.16601v2, Section 5 and Props. 3.1, 3.3, Thms 3.4, 4.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from synthsift.drift.diffusion import DiffusionSettings, reverse_samples
from synthsift.drift.diffusion_loop import MixScore
from synthsift.drift.kernels import Kernels, five_modes
from synthsift.drift.paths import simulate_round
from synthsift.drift.plane import Plane, chi2
from synthsift.records import DataError
from synthsift.seeds import Seeds

DIM, REACH, WIDTH, BANDWIDTH = 10, 4.0, 0.6, 0.6
LEAST_ROWS = 100


@dataclass(frozen=True)
class KernelLoop:
    """Size of the experiment.

    Parameters
    ----------
    num_rows : int
        Rows of each training mix, one kernel each.
    num_rounds : int
        Rounds of retraining.
    num_steps : int
        Euler-Maruyama steps of the sampler.
    num_paths, path_steps : int
        Paths that energies are measured on, and their steps.
    num_draws : int
        Draws that KL and chi2 rest on.
    horizon, t0 : float
        T and the time at which the sampler stops.
    """

    num_rows: int = 2000
    num_rounds: int = 20
    num_steps: int = 500
    num_paths: int = 300
    path_steps: int = 125
    num_draws: int = 2000
    horizon: float = 4.0
    t0: float = 0.02

    def __post_init__(self) -> None:
        if self.num_rows < LEAST_ROWS:
            raise DataError(f"{self.num_rows} rows: at least {LEAST_ROWS} kernels are needed in {DIM} dimensions")


@dataclass(frozen=True)
class KernelRound:
    """What was measured in one round, and the rows that its sampler made.

    Parameters
    ----------
    rows : ndarray (n, 10)
        Of the sampler.
    eps2, eps2_error, epshat2, epshat2_error : float
        Energies of the score error along ideal and learned paths, with standard errors.
    eta : float
        Share of the path error that log(phat/q) at the end of ideal paths explains; a lower estimate of observability.
    kl, kl_error : float
        KL(phat||q_t0) in ten dimensions and its standard error; phat is the law whose score is used.
    chi2_draws : float
        Average of phat/q over draws of phat, minus 1: chi2 in ten dimensions as far as a sample shows it.
    chi2_plane : float
        chi2 of the first two coordinates, both slightly blurred; at most chi2 in ten.
    start_kl : float
        KL(N(0, I)||q_T): what the start of the publication would add.
    moment : float
        Mean squared norm of the rows.
    """

    rows: np.ndarray
    eps2: float
    eps2_error: float
    epshat2: float
    epshat2_error: float
    eta: float
    kl: float
    kl_error: float
    chi2_draws: float
    chi2_plane: float
    start_kl: float
    moment: float


def run_kernels(alpha: float, loop: KernelLoop, seeds: Seeds) -> Iterator[KernelRound]:
    """Retrain kernel density estimates on fresh rows and on rows of the last one, measuring every round.

    Parameters
    ----------
    alpha : float
        Fresh fraction.
    loop : KernelLoop
        Size.
    seeds : Seeds
        Randomness.

    Yields
    ------
    KernelRound
        Rounds 1, 2, ...; the first learns real rows only.
    """
    data = five_modes(DIM, reach=REACH, width=WIDTH)
    plane = Plane(REACH + 4 * math.sqrt(WIDTH**2 + BANDWIDTH**2 * memory_spread(alpha, loop.num_rounds)))
    sampler = DiffusionSettings(sampling_steps=loop.num_steps, horizon=loop.horizon, t0=loop.t0)
    old, own = data, np.empty((0, DIM))
    for k in range(loop.num_rounds):
        node = seeds.child("round", k)
        rng = node.numpy("rows")
        rows = _training_rows(alpha, loop, data, own, k, rng)
        model = Kernels(np.full(len(rows), 1 / len(rows)), rows, np.full(len(rows), BANDWIDTH**2))
        mix = data.blended(old, alpha) if k else data
        start = mix.noised(loop.horizon).sample(_pool_size(alpha, loop), rng)
        own = reverse_samples(MixScore(model), start, sampler, rng)
        yield _measure(model, mix, own, plane, loop, node)
        old = model.noised(loop.t0)


def memory_spread(alpha: float, num_rounds: int) -> float:
    """Mean number of blurs that a row has gone through, (1 - (1-alpha)^n)/alpha."""
    return (1 - (1 - alpha) ** num_rounds) / alpha


def _measure(
    model: Kernels, mix: Kernels, rows: np.ndarray, plane: Plane, loop: KernelLoop, node: Seeds
) -> KernelRound:
    """Energies, divergences and moments of one round."""
    rng, exact = node.numpy("measures"), MixScore(mix)
    paths = simulate_round(
        mix.noised(loop.horizon).sample(loop.num_paths, rng),
        exact,
        lambda y, t: model.noised(t).score(y) - exact(y, t),
        horizon=loop.horizon,
        num_steps=loop.path_steps,
        seeds=node.child("paths"),
        t0=loop.t0,
    )
    made, aim = model.noised(loop.t0), mix.noised(loop.t0)
    draws = made.sample(loop.num_draws, rng)
    logs = made.evaluate(draws)[0] - aim.evaluate(draws)[0]
    normal = rng.standard_normal((loop.num_draws, DIM))
    log_normal = -(normal**2).sum(axis=1) / 2 - DIM / 2 * math.log(2 * math.pi)
    return KernelRound(
        rows,
        paths.eps2,
        paths.eps2_error,
        paths.epshat2,
        paths.epshat2_error,
        explained_by_ratio(made.evaluate(paths.ends)[0] - aim.evaluate(paths.ends)[0], paths.martingale),
        float(logs.mean()),
        float(logs.std(ddof=1) / math.sqrt(len(logs))),
        float(np.exp(logs).mean() - 1),
        chi2(plane.masses(made), plane.masses(aim)),
        float(np.mean(log_normal - mix.noised(loop.horizon).evaluate(normal)[0])),
        float((rows**2).sum(axis=1).mean()),
    )


def explained_by_ratio(ratio: np.ndarray, martingale: np.ndarray) -> float:
    """Share of the variance of M (n,) that a line in log(phat/q) at the end point (n,) explains, adjusted, in [0, 1].

    E[M | end] is log(phat/q) to first order in the error (Eq. 5), so this function sees more than many guessed ones.
    """
    n, r = len(ratio), float(np.corrcoef(ratio, martingale)[0, 1])
    return float(np.clip(1 - (1 - r**2) * (n - 1) / (n - 2), 0, 1))


def predict_moment(alpha: float, num_rounds: int, t0: float) -> np.ndarray:
    """Mean squared norm of rounds 1..N when every round blurs by h^2 and noises to t0 (population of rows)."""
    real = float(np.sum(five_modes(DIM, reach=REACH, width=WIDTH).centers ** 2)) / 5 + DIM * WIDTH**2
    keep, found = math.exp(-t0), [real]
    for k in range(num_rounds):
        mix = real if k == 0 else alpha * real + (1 - alpha) * found[-1]
        found.append(keep * (mix + DIM * BANDWIDTH**2) + (1 - keep) * DIM)
    return np.array(found[1:]) / real - 1


def draw_moment(alpha: float, loop: KernelLoop, rng: np.random.Generator) -> float:
    """Growth of the mean squared norm at the last round of a loop that samples its kernels directly, without scores."""
    data, keep, own = five_modes(DIM, reach=REACH, width=WIDTH), math.exp(-loop.t0), np.empty((0, DIM))
    real = float(np.mean((data.centers**2).sum(axis=1))) + DIM * WIDTH**2
    for k in range(loop.num_rounds):
        rows = _training_rows(alpha, loop, data, own, k, rng)
        noise = rng.standard_normal((_pool_size(alpha, loop), DIM))
        spread = math.sqrt(keep * BANDWIDTH**2 + 1 - keep)
        own = math.sqrt(keep) * rows[rng.integers(len(rows), size=len(noise))] + spread * noise
    return float((own**2).sum(axis=1).mean()) / real - 1


def _training_rows(
    alpha: float, loop: KernelLoop, data: Kernels, own: np.ndarray, k: int, rng: np.random.Generator
) -> np.ndarray:
    """Rows of round k: real ones only in the first, then a share alpha of them."""
    count = loop.num_rows - (round((1 - alpha) * loop.num_rows) if k else 0)
    return np.concatenate([data.sample(count, rng), own[: loop.num_rows - count]])


def _pool_size(alpha: float, loop: KernelLoop) -> int:
    """Rows that each round makes: what the next one needs, and enough to be seen."""
    return max(round((1 - alpha) * loop.num_rows), 500)
