"""One retraining loop, watched by the product's own monitor, and what the product forecast half-way.

Generation 0 learns real rows only. Every further one learns a mix of fresh real rows, which nothing has seen before while
they last, and of rows that the generator before it made; the rows that the monitor sees are drawn besides. The mean
features, which forecasts rest on, are taken of every generation; the monitor's test and its other measures, which
cost more than most of the training, of three.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.drift_cases import LEVEL, LoopCase, WorldCase
from benchmarks.drift_worlds import Draw, World, make_world
from synthsift.drift.forecast import forecast_drift
from synthsift.drift.innovation import watch_features
from synthsift.drift.monitor import Alarms, Seen, watch_generation
from synthsift.drift.outlook import look_ahead
from synthsift.drift.reference import Reference, learn_reference
from synthsift.drift.traces import DriftTrace
from synthsift.records import concat_x
from synthsift.seeds import Seeds

KEPT = ("energy", "frechet", "chi2_bound", "tv_bound", "precision", "recall", "density", "coverage", "widest", "narrowest")  # fmt: skip
Stored = dict[str, Any]


class Start(NamedTuple):
    """What all loops of a world and seed share."""

    world: World
    reference: Reference
    draw: Draw
    rows: Any
    seen: Seen
    seconds: float


class Fresh:
    """Real rows in random order; when all were given, they are given again in another order."""

    def __init__(self, num_rows: int, rng: np.random.Generator) -> None:
        self.rng, self.num_rows = rng, num_rows
        self.order = rng.permutation(num_rows)

    def take(self, count: int) -> np.ndarray:
        """Places of the next rows (count,)."""
        while len(self.order) < count:
            self.order = np.concatenate([self.order, self.rng.permutation(self.num_rows)])
        taken, self.order = self.order[:count], self.order[count:]
        return taken


@lru_cache(maxsize=2)
def begin(case: WorldCase, seed: int, data: Path) -> Start:
    """Rows, reference and first generation of a world and seed."""
    began, seeds = time.process_time(), Seeds(seed).child("loop", case.name)
    world = make_world(case, seeds, data)
    reference = learn_reference(world.reference, None, seeds=seeds.child("monitor"))
    first = Fresh(len(world.pool), seeds.numpy("fresh")).take(case.rows)
    draw = world.fit(world.pool[first], seeds.child("train", 0))
    rows = _watched(draw, case, seeds, 0)
    seen = _watch(reference, rows, seeds, 0)
    return Start(world, reference, draw, rows, seen, time.process_time() - began)


def _watched(draw: Draw, case: WorldCase, seeds: Seeds, generation: int) -> Any:
    """Rows of a generation for the monitor."""
    return draw(case.watched, seeds.child("watched", generation).numpy("rows"))


def _watch(reference: Reference, rows: Any, seeds: Seeds, generation: int) -> Seen:
    node = seeds.child("monitor")
    return watch_generation(reference, rows, index=generation, name=f"generation {generation}", seeds=node)


def generations(case: LoopCase, start: Start, seeds: Seeds) -> Iterator[tuple[float, Any]]:
    """Retrain: the real share of each training set, and rows of the generation that learned it."""
    world, size, draw = start.world, case.world.rows, start.draw
    fresh, num_fresh = Fresh(len(world.pool), seeds.numpy("fresh")), round(case.alpha * size)
    learned = [world.pool[fresh.take(size)]]
    for generation in range(1, case.last + 1):
        own = draw(size - num_fresh, seeds.child("own", generation).numpy("rows"))
        batch = concat_x([world.pool[fresh.take(num_fresh)], own])
        learned = [batch] if case.kind == "replace" else [*learned, batch]
        share = num_fresh / size
        if case.kind == "accumulate":
            share = (size + generation * num_fresh) / (size * (generation + 1))
        # A loop of its own for every fraction: the seeds of a trainer are not shared between loops.
        draw = world.fit(concat_x(learned), seeds.child("train", case.name, generation))
        yield share, _watched(draw, case.world, seeds.child(case.name), generation)


def run_loop(case: LoopCase, seed: int, data: Path) -> Stored:
    """Run a loop to its end: what the monitor saw, JSON-safe."""
    start, seeds = begin(case.world, seed, data), Seeds(seed).child("loop", case.world.name)
    shares, features, seconds = [], [features_of(start.reference, start.rows)], [start.seconds]
    thorough, began = {0: start.seen}, time.process_time()
    for generation, (share, rows) in enumerate(generations(case, start, seeds), start=1):
        shares.append(share)
        features.append(features_of(start.reference, rows))
        if generation in case.thorough:
            thorough[generation] = _watch(start.reference, rows, seeds.child(case.name), generation)
        seconds.append(time.process_time() - began)
        began = time.process_time()
    trace = watch_features(start.reference.features, features, shares)
    alarms = Alarms()
    return {
        "alpha": shares,
        "place": inner_places(trace.delta).tolist(),
        "noise": trace.noise.tolist(),
        "reference_noise": trace.reference_noise,
        "noise_rank": trace.noise_rank,
        "seconds": seconds,
        "thorough": {
            str(generation): {
                "low": seen.measures["mmd2"].low,
                "high": seen.measures["mmd2"].high,
                "p_value": seen.p_value,
                "alarm": alarms.sounds(seen),
                **{name: seen.measures[name].value for name in KEPT},
                "lost": "; ".join(f"{c.kind} {c.name}" for c in seen.changes[:3] if c.is_loss),
            }
            for generation, seen in thorough.items()
        },
    }


def features_of(reference: Reference, rows: Any) -> np.ndarray:
    """The features (n, k) whose means are watched, as `watch_generation` takes them."""
    return np.concatenate(reference.space.blocks(np.asarray(reference.encoder.transform(rows)))[:-1], axis=1)


def inner_places(delta: np.ndarray) -> np.ndarray:
    """Points (g, g) with the inner products of mean features (g, k): all that forecasts depend on."""
    left, sizes, _ = np.linalg.svd(delta, full_matrices=False)
    return left * sizes


def trace_until(case: LoopCase, stored: Stored, last: int, *, accumulate: bool | None = None) -> DriftTrace:
    """The stream as it was known after a generation; whether rows are kept is known, unless told otherwise."""
    place = np.array(stored["place"])
    return DriftTrace(
        names=tuple(f"generation {k}" for k in range(last + 1)),
        alpha=np.array(stored["alpha"][:last]),
        delta=place[: last + 1],
        noise=np.array(stored["noise"][: last + 1]),
        reference_noise=stored["reference_noise"],
        noise_rank=stored["noise_rank"],
        accumulate=case.kind == "accumulate" if accumulate is None else accumulate,
    )


def forecast_loop(case: LoopCase, seed: int, stored: Stored) -> Stored:
    """The forecast of the last generation made after the first few, and what happened."""
    known, whole = trace_until(case, stored, case.seen), trace_until(case, stored, case.last)
    ahead, seeds = np.array(stored["alpha"][case.seen :]), Seeds(seed).child("outlook", case.name)
    made = forecast_drift(known, len(ahead), seeds=seeds, alpha=ahead, level=LEVEL)
    truth, floor = float(whole.drift[-1]), float(whole.noise[-1] + whole.reference_noise)
    now = float(known.drift[-1])
    found = {
        "truth": truth,
        "truth_low": stored["thorough"][str(case.last)]["low"],
        "truth_high": stored["thorough"][str(case.last)]["high"],
        "floor": floor,
        "now": now,
        "forecast": float(made.drift[-1]),
        "low": float(made.low[-1]),
        "high": float(made.high[-1]),
        "J": made.innovation.J,
        "kappa": made.innovation.kappa,
        "p_coherence": made.innovation.p_value,
        "verdict": made.innovation.verdict,
        "path": made.drift.tolist(),
        "path_low": made.low.tolist(),
        "path_high": made.high.tolist(),
    }
    if case.kind == "replace":
        target = max(now, float(known.noise[-1] + known.reference_noise)) / 2
        outlook = look_ahead(known, case.last + 1, seeds=seeds, target=target)
        assert outlook.plan is not None
        found |= {
            "target": outlook.plan.target,
            "planned_alpha": float("nan") if outlook.plan.alpha is None else outlook.plan.alpha,
            "accumulate_after": outlook.regimes["accumulate"][-1],
        }
    return found
