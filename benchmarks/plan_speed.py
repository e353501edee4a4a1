"""Seconds of a full plan with intervals, 300 posterior draws x 40 sizes: ``python -m benchmarks.plan_speed``.

Processor seconds of one thread; the goal is 20.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from synthsift.cli.plan_collapse import CollapseAsk, plan_collapse
from synthsift.cli.plan_mixing import MixingAsk, plan_mixing
from synthsift.cli.plan_worlds import NumberWorld, RowWorld, best_real_ridge, measured_world, with_intercept
from synthsift.seeds import Seeds
from synthsift.theory.measure import Estimate, measure_geometry
from synthsift.theory.measure_audit import Audit

DIM, NUM_REAL, NUM_SYNTH = 200, 1000, 3000
SEEDS = Seeds(1000)


def draw(n: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two classes in 200 directions of decaying variance."""
    rng = SEEDS.numpy(name)
    spectrum = np.arange(1, DIM + 1) ** -0.7
    y = rng.choice([-1.0, 1.0], n)
    return rng.standard_normal((n, DIM)) * np.sqrt(spectrum * DIM / spectrum.sum()) + 0.1 * y[:, None], y


def timed(name: str, work: Any) -> None:
    """Print the seconds of one plan."""
    started = time.process_time()
    work()
    print(f"{name:55s} {time.process_time() - started:6.1f} s", flush=True)


def main() -> None:
    """Time every kind of plan."""
    (x, y), (z, t) = draw(NUM_REAL, "real"), draw(NUM_SYNTH, "synth")
    ask = MixingAsk(audit=Audit(72, 8, 6, 14), has_verifier=True, num_synth=float(NUM_SYNTH))
    numbers = NumberWorld(float(NUM_REAL), DIM, {"generator_size": 4000}, 1.5, 1.0)
    one = {"spectrum": np.arange(1, DIM + 1) ** -1.0, "ridge": 1e-3}

    def from_rows() -> None:
        wide, tall = with_intercept(x), with_intercept(z)
        world = RowWorld(wide, y, tall, t, best_real_ridge(wide, y, SEEDS), SEEDS)
        plan_mixing(world, ask, SEEDS)
        world.check()

    def from_real() -> None:
        plan_mixing(measured_world(measure_geometry(x, y), NUM_REAL, 0.2, {}, SEEDS, 300), ask, SEEDS)

    with threadpool_limits(1):
        timed("mixing from numbers", lambda: plan_mixing(numbers, ask, SEEDS))
        timed(f"mixing from {NUM_REAL} real rows, {DIM} features", from_real)
        timed(f"mixing from {NUM_REAL} real and {NUM_SYNTH} synthetic rows", from_rows)
        collapse = CollapseAsk(2000.0, 8000.0, DIM, Estimate.normal(0.5, 0.05, 100), one, 300)
        timed("collapse, spectrum of 200 values", lambda: plan_collapse(collapse, SEEDS))


if __name__ == "__main__":
    main()
