"""A loop that retrains a U-Net on alpha real pictures and (1-alpha) of its own, with what can be measured of it.

The density of pictures is unknown, so the exact score error, KL and total variation of `diffusion_loop` have no
counterpart here. What remains: on the same noised held-out pictures, the denoising loss of generation i minus that of
generation 1 is the difference of their score errors on real data, eps_i^2 - eps_1^2 (`audit`). Half of it is also how
much the likelihood bound of a held-out picture has fallen, in nats. The samples themselves go to the monitor.

References
----------
Song, Durkan, Murray, Ermon, "Maximum likelihood training of score-based diffusion models", NeurIPS 2021 (the bound:
denoising loss with unit weight for this process); Section 5 of the specification of drift.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from synthsift.drift.audit import audit_score
from synthsift.drift.diffusion import Draw, ScoreModel, train_score
from synthsift.drift.diffusion_loop import LoopSettings, Told
from synthsift.records import DataError
from synthsift.seeds import Seeds

LEAST_PICTURES = 150  # held out; a third teaches the monitor's feature space
FAR = 50.0  # standard deviations of the pixels; a sampler that goes there has run away


@dataclass(frozen=True)
class ScoreGap:
    """Score error of a generation on held-out real pictures above that of generation 1.

    Parameters
    ----------
    gap, error : float
        eps_i^2 - eps_1^2 and its standard error; exactly 0 for generation 1.
    low, high : float
        95 % interval.
    """

    gap: float
    error: float
    low: float
    high: float


@dataclass(frozen=True)
class PictureStep:
    """One generation: the model, the pictures it made (n, d) as float32, and its score error."""

    model: ScoreModel
    pool: np.ndarray
    audit: ScoreGap


def run_pictures(
    train: np.ndarray,
    held: np.ndarray,
    settings: LoopSettings,
    seeds: Seeds,
    *,
    done: Sequence[PictureStep] = (),
    progress: Told | None = None,
) -> Iterator[PictureStep]:
    """Train, sample and audit, one generation after the other.

    Parameters
    ----------
    train : ndarray (n, d)
        Real pictures that fresh rows are drawn from, again and again; flattened, of mean about 0 and variance about 1.
    held : ndarray (m, d)
        Real pictures that no generation sees.
    settings : LoopSettings
        How; `num_paths` is the number of noised pictures of an audit.
    seeds : Seeds
        Randomness; each generation has streams of its own, so a resumed loop gives the same numbers.
    done : sequence of PictureStep
        Generations that are finished already.
    progress : callable (generation, step, steps), optional
        Told after every training step.

    Yields
    ------
    PictureStep
        Generation len(done), len(done) + 1, ... (from 0).

    Raises
    ------
    DataError
        If the network is none for such pictures, too few are held out, or a sampler runs away.
    """
    model = settings.model
    if model.side**2 != train.shape[1]:
        raise DataError(f"rows of {train.shape[1]} numbers are no pictures of {model.side} x {model.side} pixels")
    if len(held) < LEAST_PICTURES:
        raise DataError(f"{len(held)} pictures are held out; at least {LEAST_PICTURES} are needed. Give more pictures")
    first, last = (done[0].model, done[-1]) if done else (None, None)
    for k in range(len(done), settings.num_rounds):
        node = seeds.child("round", k)
        learned = train_score(
            mixed_draw(train, None if last is None else last.pool, settings.alpha),
            train.shape[1],
            model,
            node.child("train"),
            start=last.model if last is not None and settings.warm_start else None,
            progress=None if progress is None else lambda step, of, k=k: progress(k, step, of),  # type: ignore[misc]
        )
        first = first or learned
        pool = learned.sample(settings.pool_rows, node.numpy("pool")).astype(np.float32)
        if not (np.abs(pool) < FAR).all():
            raise DataError(
                f"the samples of generation {k + 1} run to {np.abs(pool).max():.3g} standard deviations; train longer "
                "(--steps) or take more --sampling-steps"
            )
        last = PictureStep(learned, pool, score_gap(learned, first, held, settings.num_paths, node.child("audit")))
        yield last


def mixed_draw(real: np.ndarray, own: np.ndarray | None, alpha: float) -> Draw:
    """Draws rows, each from `real` with probability alpha and from `own` otherwise; from `real` where `own` is None."""

    def draw(n: int, rng: np.random.Generator) -> np.ndarray:
        fresh = real[rng.integers(len(real), size=n)]
        if own is None:
            return fresh
        old = own[rng.integers(len(own), size=n)]
        return np.where((rng.random(n) < alpha)[:, None], fresh, old)

    return draw


def score_gap(model: ScoreModel, first: ScoreModel, held: np.ndarray, num_rows: int, seeds: Seeds) -> ScoreGap:
    """Score error of `model` on held-out pictures (m, d) minus that of `first`, on the same noised pictures."""
    s = model.settings
    found = audit_score(model, held, first, t0=s.t0, horizon=s.horizon, num_rows=num_rows, seeds=seeds)
    return ScoreGap(found.eps2, found.error, found.low, found.high)
