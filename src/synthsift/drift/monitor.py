"""Each generation of a retraining loop against real data: how far, how sure, and what is being lost.

    reference = learn_reference(real, None, seeds=0)
    seen = watch_generation(reference, rows, index=0, name="gen0", seeds=0)
    trace = trace_of(reference, [seen, ...], alpha)     # for forecast_drift and plan_loop

Costs are bounded: mean features, their interval and the permutation test use all rows, everything else at most 10,000
of them, and what needs all pairs at most 5,000; `Measured.num_rows` says which.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from synthsift.drift.arguments import LEAST_ROWS, as_labels, as_rows, check_features, per_step_alpha
from synthsift.drift.columns import name_columns
from synthsift.drift.discriminate import chi2_lower_bound, tv_lower_bound
from synthsift.drift.losses import Change, column_changes, count_changes, rank_changes
from synthsift.drift.measures import (
    energy_distance,
    frechet_distance,
    mean_feature_distance,
    sliced_wasserstein,
    thinned,
)
from synthsift.drift.modes import assign_modes
from synthsift.drift.neighborhoods import SCORES, neighborhood_scores
from synthsift.drift.reference import Reference, shared_columns
from synthsift.drift.spread import spread_ratios
from synthsift.drift.streamtest import block_p_value, stream_level
from synthsift.drift.traces import DriftTrace, Measured, Track
from synthsift.records import DataError
from synthsift.seeds import Seeds, as_seeds

PAIR_ROWS = 5_000  # for measures that need all pairs of rows
HORIZON, FALSE_ALARMS = 20, 0.05
LEAST_FITTED = 100  # rows of each sample that a held-out function can be fitted with
NOTHING = Measured(np.nan, np.nan)
HIGHER_IS_BETTER = frozenset(SCORES)


@dataclass(frozen=True)
class Alarms:
    """What the stream promises about false alarms.

    Parameters
    ----------
    horizon : int
        Generations that the rate holds for.
    rate : float
        Probability of any false alarm among them when no generation drifts.
    tolerated : float
        Drift (squared mean-feature distance) that is no reason to alarm; 0 alarms at any difference.
    """

    horizon: int = HORIZON
    rate: float = FALSE_ALARMS
    tolerated: float = 0.0

    def __post_init__(self) -> None:
        stream_level(self.horizon, self.rate)

    @property
    def level(self) -> float:
        """Level of each generation's test."""
        return stream_level(self.horizon, self.rate)

    def sounds(self, seen: Seen) -> bool:
        """Whether a generation alarms: its test rejects and, where drift is tolerated, its lower bound exceeds that."""
        return seen.p_value <= self.level and (self.tolerated == 0 or seen.lowest > self.tolerated)


@dataclass(frozen=True)
class Seen:
    """One generation, measured.

    Parameters
    ----------
    name, digest : str
        Its name, and a fingerprint of its encoded rows.
    num_rows : int
        Rows it had.
    delta : ndarray (k,)
        Mean feature minus that of the reference.
    noise : float
        Sampling variance of its mean feature.
    measures : mapping of str to Measured
        All measures.
    p_value : float
        Of the permutation test.
    lowest : float
        Lower confidence bound of its drift, at the level of the stream's tests.
    changes : tuple of Change
        What is lost or gained, losses first.
    row_set : str
        Fingerprint of its encoded rows in any order; "" in states of older versions.
    """

    name: str
    digest: str
    num_rows: int
    delta: np.ndarray
    noise: float
    measures: Mapping[str, Measured]
    p_value: float
    lowest: float
    changes: tuple[Change, ...]
    row_set: str = ""


def watch_generation(
    reference: Reference,
    x: Any,
    *,
    index: int,
    name: str,
    seeds: Seeds | int,
    labels: ArrayLike | None = None,
    alarms: Alarms | None = None,
) -> Seen:
    """Measure one generation against the reference.

    Parameters
    ----------
    reference : Reference
        The real side.
    x : Table, Images, sequence of str (m,), or numbers (m, d) as array, nested list or pandas.DataFrame
        Generated rows, of the kind of the real ones.
    index : int
        Its number in the stream, from 0; keys the randomness.
    name : str
        What it is called.
    seeds : Seeds or int
        Randomness.
    labels : array_like (m,) of str, optional
        Classes of the rows.
    alarms : Alarms, optional
        What the stream promises.

    Returns
    -------
    Seen
        The measurement.

    Raises
    ------
    DataError
        If there are fewer than 50 rows, they are of another kind or width, or an entry is not finite.
    """
    x = as_rows(name, x)
    classes = as_labels(name, labels, len(x))
    promise, node = alarms or Alarms(), as_seeds(seeds).child("generation", index)
    rows = check_features(name, reference.encoder.transform(x), reference.rows.shape[1], LEAST_ROWS)
    blocks = reference.space.blocks(rows)
    features = np.concatenate(blocks[:-1], axis=1)
    rng = node.numpy("permutations")
    p_value = block_p_value(reference.blocks, blocks, rng=rng, level=promise.level)
    measures = measure_all(reference, rows, features, node)
    delta = features.mean(axis=0) - reference.features.mean(axis=0)
    changes = count_changes("mode", reference.mode_shares, len(reference.rows), _modes(reference, rows))
    if classes is not None and reference.class_shares is not None:
        changes += count_changes("class", reference.class_shares, reference.num_labelled, classes)
    for summary, column in shared_columns(reference, name_columns(x)):
        changes += column_changes(summary, column)
    return Seen(
        name=name,
        digest=digest_rows(rows),
        num_rows=len(rows),
        delta=delta,
        noise=float(features.var(axis=0, ddof=1).sum() / len(features)),
        measures=measures,
        p_value=p_value,
        lowest=lowest_drift(reference.features, features, promise.level),
        changes=rank_changes(changes),
        row_set=digest_set(rows),
    )


def _modes(reference: Reference, rows: np.ndarray) -> np.ndarray:
    """Mode of each row (m,)."""
    return assign_modes(reference.space.compact(rows), reference.space.modes)


def digest_rows(rows: np.ndarray) -> str:
    """Fingerprint of encoded rows, in single precision."""
    return hashlib.sha256(np.ascontiguousarray(rows, dtype=np.float32).tobytes()).hexdigest()


def digest_set(rows: np.ndarray) -> str:
    """Fingerprint of encoded rows, in single precision, that does not depend on their order."""
    plain = np.ascontiguousarray(rows, dtype=np.float32)
    each = sorted(hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in plain)
    return hashlib.sha256(b"".join(each)).hexdigest()


def measure_all(reference: Reference, rows: np.ndarray, features: np.ndarray, node: Seeds) -> dict[str, Measured]:
    """Every measure of one generation; NaN where its rows do not suffice for one."""
    rng = node.numpy("measures")
    real, some = reference.rows.astype(np.float64), thinned(rows, rng)
    pairs = thinned(real, rng, PAIR_ROWS), thinned(some, rng, PAIR_ROWS)
    compact = reference.compact, reference.space.compact(some)
    enough = min(len(real), len(some)) >= LEAST_FITTED
    found = {"mmd2": mean_feature_distance(reference.features, features, rng=rng)}
    found["energy"] = energy_distance(*pairs, rng=rng)
    found["sliced_wasserstein"] = sliced_wasserstein(real, some, rng=rng)
    found["frechet"] = frechet_distance(real, some) if min(len(real), len(some)) > real.shape[1] else NOTHING
    found["chi2_bound"] = chi2_lower_bound(*compact, rng=rng) if enough else NOTHING
    found["tv_bound"] = tv_lower_bound(real, some, rng=rng) if enough else NOTHING
    found |= neighborhood_scores(*pairs, rng=rng)
    found["widest"], found["narrowest"] = spread_ratios(real, some, reference.space.directions, rng)
    return found


def lowest_drift(real: np.ndarray, synth: np.ndarray, level: float) -> float:
    """One-sided lower bound of the squared mean-feature distance at confidence 1 - `level` (normal law).

    The variance of |d|^2 - noise is 4 d'Vd + 2 tr V^2 with V = C_r/n + C_s/m.
    """
    gap = synth.mean(axis=0) - real.mean(axis=0)
    cov = np.cov(real, rowvar=False) / len(real) + np.cov(synth, rowvar=False) / len(synth)
    error = np.sqrt(4 * gap @ cov @ gap + 2 * np.sum(cov**2))
    return float(gap @ gap - np.trace(cov) - ndtri(1 - level) * error)


def trace_of(reference: Reference, seen: Sequence[Seen], alpha: Any, alarms: Alarms | None = None) -> DriftTrace:
    """The stream so far as a `DriftTrace`.

    Parameters
    ----------
    reference : Reference
        The real side.
    seen : sequence of Seen
        Generations, oldest first.
    alpha : float or array_like (g-1,)
        Fresh fraction of the mix between each generation and the next.
    alarms : Alarms, optional
        What the stream promises.

    Returns
    -------
    DriftTrace
        With a track for every measure, p-values and alarms.

    Raises
    ------
    DataError
        If there is no generation, a fraction is outside [0, 1] or their number does not fit.
    """
    if not seen:
        raise DataError("no generation was given; watch at least one with watch_generation first")

    def track(name: str) -> Track:
        parts = {p: np.array([getattr(s.measures[name], p) for s in seen]) for p in ("value", "low", "high", "null")}
        return Track(**parts, higher_is_better=name in HIGHER_IS_BETTER)

    return DriftTrace(
        names=tuple(s.name for s in seen),
        alpha=per_step_alpha(alpha, len(seen) - 1) if len(seen) > 1 else np.empty(0),
        delta=np.array([s.delta for s in seen]),
        noise=np.array([s.noise for s in seen]),
        reference_noise=reference.noise,
        noise_rank=reference.noise_rank,
        tracks={name: track(name) for name in seen[0].measures},
        p_value=np.array([s.p_value for s in seen]),
        alarm=np.array([(alarms or Alarms()).sounds(s) for s in seen]),
    )
