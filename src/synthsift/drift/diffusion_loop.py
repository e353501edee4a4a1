"""A loop that retrains a diffusion model on alpha fresh data and (1-alpha) own samples, with every quantity measured.

The training mix of round i is q_i = alpha p_data + (1-alpha) (a finite pool of rows that model i made). p_data is
known, so q_{i,t} and its score are exact for t > 0, and the network's score error is measured, not guessed.
Round 0 starts from a perfect model: q_0 = p_data.

References
----------
Khelifa, Turner, Venkataramanan, arXiv:2602.16601v2, Sections 2 to 4 and its experiments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from synthsift.drift.arguments import check_alpha
from synthsift.drift.diffusion import DiffusionSettings, Progress, ScoreModel, train_score
from synthsift.drift.kernels import Kernels, points
from synthsift.drift.paths import simulate_round
from synthsift.drift.plane import Plane, PlaneRound, measure_plane
from synthsift.records import DataError
from synthsift.seeds import Seeds

Told = Callable[[int, int, int], None]


@dataclass(frozen=True)
class LoopSettings:
    """How a loop of trained models is run.

    Parameters
    ----------
    alpha : float
        Fresh fraction in [0, 1].
    num_rounds : int
        Models that are trained one after the other.
    pool_rows : int
        Rows that every model makes for the next one.
    num_paths : int
        Paths, or noised pictures, on which score errors are measured.
    warm_start : bool
        Go on from the last network instead of a new one.
    model : DiffusionSettings
        Network, training and sampler.
    """

    alpha: float = 0.3
    num_rounds: int = 5
    pool_rows: int = 4096
    num_paths: int = 1000
    warm_start: bool = False
    model: DiffusionSettings = field(default_factory=DiffusionSettings)

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        if self.num_rounds < 1 or self.pool_rows < 50 or self.num_paths < 100:
            raise DataError(
                f"num_rounds = {self.num_rounds}, pool_rows = {self.pool_rows}, num_paths = {self.num_paths}: at least "
                f"1 round, 50 rows and 100 paths are needed"
            )


@dataclass(frozen=True)
class PathMeasures:
    """Score errors of one round.

    Parameters
    ----------
    eps2, eps2_error : float
        Energy along ideal paths and its standard error.
    epshat2, epshat2_error : float
        Along learned paths that start in q_{i,T} and take the same steps.
    eta : float
        Held-out share of M that the end point explains, a lower estimate, cut to [0, 1].
    sampler_energy, sampler_error : float
        Energy of the sampler as it is run, its frozen drift against the exact one at random times within each step:
        what the bound on KL needs when time steps are not small. NaN for the ODE sampler, which has no such bound.
    start_kl : float
        KL(N(0, I)||q_{i,T}), what the start adds.
    """

    eps2: float
    eps2_error: float
    epshat2: float
    epshat2_error: float
    eta: float
    sampler_energy: float
    sampler_error: float
    start_kl: float


@dataclass(frozen=True)
class LoopStep:
    """One round: the model, its pool and what was measured."""

    model: ScoreModel
    pool: np.ndarray
    paths: PathMeasures
    plane: PlaneRound


def run_loop(
    data: Kernels,
    settings: LoopSettings,
    seeds: Seeds,
    *,
    done: Sequence[LoopStep] = (),
    plane: Plane | None = None,
    progress: Told | None = None,
    measuring: Told | None = None,
) -> Iterator[LoopStep]:
    """Train, sample and measure, one round after the other.

    Parameters
    ----------
    data : Kernels
        p_data.
    settings : LoopSettings
        How.
    seeds : Seeds
        Randomness; each round has streams of its own, so a resumed loop gives the same numbers.
    done : sequence of LoopStep
        Rounds that are finished already.
    plane : Plane, optional
        Grid of the divergences; one that holds all of `data` by default.
    progress, measuring : callable (round, step, steps), optional
        Told after every training step, and after every step of the paths that score errors are measured on.

    Yields
    ------
    LoopStep
        Round len(done), len(done) + 1, ...
    """
    if settings.model.side or settings.model.log_steps:
        raise DataError("a loop on a known density takes rows of numbers and even time steps; leave side and log_steps")
    plane = plane or covering_plane(data)
    steps = list(done[-1:])
    for k in range(len(done), settings.num_rounds):
        old = points(steps[-1].pool) if steps else data
        mix, node = data.blended(old, settings.alpha), seeds.child("round", k)
        model = train_score(
            mix.sample,
            data.dim,
            settings.model,
            node.child("train"),
            start=steps[-1].model if steps and settings.warm_start else None,
            progress=None if progress is None else lambda step, of, k=k: progress(k, step, of),  # type: ignore[misc]
        )
        pool = model.sample(settings.pool_rows, node.numpy("pool"))
        measured = measure_paths(
            model,
            mix,
            settings.num_paths,
            node.child("paths"),
            progress=None if measuring is None else lambda step, of, k=k: measuring(k, step, of),  # type: ignore[misc]
        )
        on_grid = measure_plane(plane, data, old, points(pool), alpha=settings.alpha, t0=settings.model.t0)
        steps = [LoopStep(model, pool, measured, on_grid)]
        yield steps[0]


def covering_plane(data: Kernels) -> Plane:
    """A grid that ends four standard deviations beyond the outermost modes."""
    return Plane(float(np.max(np.abs(data.centers[:, :2])) + 4 * math.sqrt(data.variances.max() + 0.1)))


class MixScore:
    """Score of q_t that remembers its last answer, as ideal score and error are asked for at the same rows."""

    def __init__(self, mix: Kernels) -> None:
        self.mix, self.last = mix, (np.empty(0), 0.0, np.empty(0))

    def __call__(self, rows: np.ndarray, t: float) -> np.ndarray:
        """Score at rows (n, d) at time t."""
        if self.last[0] is not rows or self.last[1] != t:
            self.last = (rows, t, self.mix.noised(t).score(rows))
        return self.last[2]


def measure_paths(
    model: Callable[[np.ndarray, float], np.ndarray],
    mix: Kernels,
    num_paths: int,
    seeds: Seeds,
    settings: DiffusionSettings | None = None,
    progress: Progress | None = None,
) -> PathMeasures:
    """Score errors of a model against the exact score of its training mix.

    Parameters
    ----------
    model : ScoreModel or callable (y (n, d), t) -> (n, d)
        Learned score.
    mix : Kernels
        q_i.
    num_paths : int
        Simulated paths.
    seeds : Seeds
        Randomness.
    settings : DiffusionSettings, optional
        Times and steps; those of the model by default.
    progress : callable (step, steps), optional
        Told after every step of all paths.
    """
    s = settings or model.settings  # type: ignore[attr-defined]
    steps = s.sampling_steps * (2 if s.sampler == "sde" else 1)
    exact, rng = MixScore(mix), seeds.numpy("start")
    found = simulate_round(
        mix.noised(s.horizon).sample(num_paths, rng),
        exact,
        lambda y, t: model(y, t) - exact(y, t),
        horizon=s.horizon,
        num_steps=s.sampling_steps,
        seeds=seeds,
        t0=s.t0,
        progress=None if progress is None else lambda step: progress(step, steps),
    )
    begin = rng.standard_normal((num_paths, mix.dim))
    log_normal = -(begin**2).sum(axis=1) / 2 - mix.dim / 2 * math.log(2 * math.pi)
    start_kl = float(np.mean(log_normal - mix.noised(s.horizon).evaluate(begin)[0]))
    told = None if progress is None else lambda step: progress(s.sampling_steps + step, steps)
    energy = sampler_energy(model, mix, begin, s, rng, told) if s.sampler == "sde" else np.full(num_paths, np.nan)
    return PathMeasures(
        found.eps2,
        found.eps2_error,
        found.epshat2,
        found.epshat2_error,
        float(np.clip(found.eta, 0, 1)),
        float(energy.mean()),
        float(energy.std(ddof=1) / math.sqrt(num_paths)),
        max(0.0, start_kl),
    )


def sampler_energy(
    model: Callable[[np.ndarray, float], np.ndarray],
    mix: Kernels,
    begin: np.ndarray,
    s: DiffusionSettings,
    rng: np.random.Generator,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Girsanov energy of the Euler-Maruyama sampler itself against the exact reverse process, by path (n,).

    Within a step the sampler's drift is frozen, so its error is judged at one random time of the step, which is
    unbiased for the integral. KL(phat||q_{t0}) is at most half the mean of this plus KL(start||q_T), whatever the step.
    """
    y, dt = begin.copy(), (s.horizon - s.t0) / s.sampling_steps
    energy = np.zeros(len(y))
    for k in range(s.sampling_steps):
        t = s.horizon - k * dt
        drift = y / 2 + model(y, t - dt / 2)
        share = float(rng.random())
        first = math.sqrt(share * dt) * rng.standard_normal(y.shape)
        inside = y + drift * share * dt + first
        exact = inside / 2 + mix.noised(t - share * dt).score(inside)
        energy += ((drift - exact) ** 2).sum(axis=1) * dt
        y = inside + drift * (1 - share) * dt + math.sqrt((1 - share) * dt) * rng.standard_normal(y.shape)
        if progress is not None:
            progress(k + 1)
    return energy
