"""Acceptance rows of the collapse theory: printed value, formula and a simulation drawn afresh.

    python -m benchmarks.theory_collapse_rows --repeats 60 --seed 1000

Every row must agree with its simulation within max(4 SE, 3 %).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthsift.records import Prediction
from synthsift.seeds import Seeds
from synthsift.theory.collapse import predict_error, simulate_error
from synthsift.theory.collapse_chain import predict_ridge_chain, simulate_generations
from synthsift.theory.collapse_generations import (
    predict_accumulate,
    predict_fixed_real,
    predict_fresh_real,
    predict_replace,
)
from synthsift.theory.collapse_master import predict_sources
from synthsift.theory.collapse_simulate import simulate_sources
from synthsift.theory.collapse_sources import Source
from synthsift.theory.collapse_stages import predict_two_stages, simulate_two_stages

TOLERANCE = 0.03


def power(dim: int, exponent: float) -> np.ndarray:
    """Diagonal i^-exponent."""
    return np.arange(1, dim + 1.0) ** -exponent


def scaled(diagonal: np.ndarray, spectrum: np.ndarray, size: float = 1.0) -> np.ndarray:
    """Second moment proportional to `diagonal` with tr(Sigma .) = size."""
    return diagonal * size / (spectrum @ diagonal)


@dataclass(frozen=True)
class Case:
    """A row of the acceptance table: printed values, the formula and its simulation."""

    printed: tuple[str, ...]
    predict: Callable[[], Prediction]
    simulate: Callable[..., Prediction]
    places: tuple[int, ...] = ()

    def pick(self, values: np.ndarray) -> np.ndarray:
        """The printed generations of a curve, or the single value."""
        return values[list(self.places)] if self.places else np.atleast_1d(values)


def table_cases() -> dict[str, Case]:
    """Acceptance rows by name."""
    cases: dict[str, Case] = {}

    def add(name: str, printed: str, *sizes: int, **options: Any) -> None:
        cases[name] = Case(
            (printed,),
            lambda: predict_error(*sizes, **options),
            lambda **draws: simulate_error(*sizes, **options, **draws),
        )

    _add_equal(add)
    _add_other_inputs(add, cases)
    _add_projections(add)
    _add_chains(cases)
    return cases


def _add_equal(add: Callable[..., None]) -> None:
    """Rows 1-11 and 16-18: equal covariances without a projection."""
    add("1", "0.416667", 400, 400, 200, mismatch=1, real_noise_variance=0.25)
    add("2", "0.086733", 792, 8, 200, mismatch=1, real_noise_variance=0.25)
    add("3", "0.028978", 1980, 20, 200, mismatch=1, real_noise_variance=0.25)
    add("4", "0.112505", 640, 160, 200, ridge=0.1, mismatch=0.5, real_noise_variance=0.25)
    add("5", "0.584254", 40, 360, 200, ridge=0.5, mismatch=1, real_noise_variance=0.25)
    add("6", "0.398199", 210, 90, 200, ridge=0.05, mismatch=0.3, real_noise_variance=0.25)
    add("7", "0.920000", 90, 60, 300, mismatch=1, real_noise_variance=0.1)
    noises = {"real_noise_variance": 0.05, "synth_noise_variance": 0.1}
    rows = [
        ("8", "0.040419", 480, 120, 1.5, 1e-3, 0.5),
        ("9", "0.028335", 594, 6, 1.5, 1e-4, 0.5),
        ("10", "0.528830", 150, 150, 1.0, 1e-3, 1.0),
        ("11", "0.015555", 950, 50, 2.0, 1e-5, 0.2),
    ]
    for name, printed, real, synth, exponent, ridge, mismatch in rows:
        spectrum = power(400, exponent)
        world = {"spectrum": spectrum, "signal": scaled(power(400, 0.5), spectrum), **noises}
        add(name, printed, real, synth, 400, ridge=ridge, mismatch=mismatch, **world)
    for name, printed, alpha in (("16", "0.440000", 0.8), ("17", "0.363460", 0.3), ("18", "0.723647", 0.05)):
        add(name, printed, 400, 1600, 200, mismatch=0.5, synth_weight=alpha / 0.8 / ((1 - alpha) / 0.2))


def _add_other_inputs(add: Callable[..., None], cases: dict[str, Case]) -> None:
    """Rows 12, 13 and 15: synthetic inputs with their own covariance, three sources."""
    spectrum = power(200, 1.0)
    cut = np.where(np.arange(200) < 40, spectrum, 0.1 * spectrum)
    flat = scaled(np.ones(200), spectrum)
    world = {"spectrum": spectrum, "synth_spectrum": cut, "signal": flat, "mismatch": 0.3}
    noises = {"real_noise_variance": 0.1, "synth_noise_variance": 0.02}
    add("12", "0.164162", 300, 300, 200, ridge=1e-3, **world, **noises)
    # The printed weights are (1.6, .4); dividing both and the ridge by 1.6 changes nothing.
    add("13", "0.111220", 300, 300, 200, ridge=1e-3 / 1.6, synth_weight=0.25, **world, **noises)
    sources = (
        Source(300, spectrum, 0.1, weight=1.5),
        Source(200, spectrum, 0.1, flat * 0.05, weight=1.0),
        Source(400, cut, 0.0, scaled(spectrum, spectrum, 0.5), weight=0.5),
    )
    cases["15"] = Case(
        ("0.108204",),
        lambda: predict_sources(sources, flat, ridge=2e-3),
        lambda **draws: simulate_sources(sources, flat, ridge=2e-3, **draws),
    )


def _add_projections(add: Callable[..., None]) -> None:
    """Rows 19-34: behind a random projection."""
    shared: dict[str, Any] = {"mismatch": 1, "real_noise_variance": 0.1}
    for name, printed, width, ridge in (
        ("19", "1.000706", 60, 0.0),
        ("20", "0.966667", 200, 0.0),
        ("21", "0.711485", 340, 1e-3),
        ("22", "0.795987", 600, 1e-3),
        ("23", "0.811704", 1200, 1e-3),
    ):
        add(name, printed, 320, 80, 300, width=width, ridge=ridge, **shared)
    for name, printed, width in (("24", "1.900000", 100), ("25", "2.557333", 300), ("26", "1.084000", 800)):
        add(name, printed, 160, 40, 500, width=width, **shared)
    spectrum = power(400, 1.2)
    flat = scaled(np.ones(400), spectrum)
    world = {"spectrum": spectrum, "signal": flat, "mismatch": 0.5, "real_noise_variance": 0.05}
    add("27", "0.396743", 400, 100, 400, width=50, ridge=1e-6, **world)
    add("28", "0.286433", 400, 100, 400, width=200, ridge=1e-6, **world)
    add("29", "0.426049", 150, 50, 400, width=800, ridge=1e-6, **world)
    add("30", "0.329490", 150, 50, 400, width=200, ridge=1e-3, **world)
    tail = {**world, "signal": scaled(power(400, 1.0), spectrum), "real_noise_variance": 0.01}
    for name, printed, width in (("31", "0.195835", 30), ("32", "0.145257", 100), ("33", "0.204014", 380)):
        add(name, printed, 500, 500, 400, width=width, ridge=1e-6, **tail)
    cut = np.where(np.arange(400) < 60, spectrum, 0.2 * spectrum)
    other = {**world, "synth_spectrum": cut, "real_noise_variance": 0.1, "synth_noise_variance": 0.05}
    add("34", "0.240756", 250, 250, 400, width=300, ridge=1e-3 / 1.5, synth_weight=0.5 / 1.5, **other)


def _add_chains(cases: dict[str, Case]) -> None:
    """Rows 35-42: generations and two stages."""
    chain, half = simulate_generations, {"real_noise_variance": 0.5}
    cases["35"] = Case(
        ("0.33445", "1.33779", "2.67559"),
        lambda: predict_replace(8, 400, 100),
        lambda **draws: chain("replace", 8, 0, 400, 100, **draws),
        (0, 3, 7),
    )
    cases["36"] = Case(
        ("0.47612", "0.51084"),
        lambda: predict_accumulate(8, 400, 100),
        lambda **draws: chain("accumulate", 8, 0, 400, 100, **draws),
        (3, 7),
    )
    cases["37"] = Case(
        ("0.33333", "0.14815", "0.07735"),
        lambda: predict_fresh_real(6, 500, 500, 100, mismatch=1, **half),
        lambda **draws: chain("fresh_real", 6, 500, 500, 100, mismatch=1, **half, **draws),
        (1, 2, 6),
    )
    cases["38"] = Case(
        ("0.094802",),
        lambda: predict_fixed_real(800, 800, 100, **half),
        lambda **draws: _last(chain("fixed_real", 12, 800, 800, 100, **half, **draws)),
    )
    spectrum = power(200, 1.2)
    world: dict[str, Any] = {"spectrum": spectrum, "signal": scaled(np.ones(200), spectrum)}
    ridge: dict[str, Any] = {"ridge": 1e-3, "real_noise_variance": 0.2, **world}
    cases["39"] = Case(
        ("0.09707", "0.15098", "0.19826", "0.21387"),
        lambda: predict_ridge_chain(5, 100, 300, 200, **ridge),
        lambda **draws: chain("fresh_real", 5, 100, 300, 200, **ridge, **draws),
        (0, 1, 3, 5),
    )
    stages: dict[str, Any] = {"mismatch": 0.3, "synth_ridge": 0.0, **half}
    tuned = {**world, "mismatch": 0.2, "real_noise_variance": 0.1, "synth_ridge": 1e-3}
    for name, printed, sizes, options in (
        ("40", "0.56970", (300, 2000, 200), {**stages, "real_ridge": 0.05}),
        ("40b", "0.21836", (300, 2000, 200), {**stages, "real_ridge": 0.5}),
        ("41", "0.053105", (2000, 2000, 200), {**stages, "real_ridge": 0.02}),
        ("42", "0.078675", (150, 400, 200), {**tuned, "real_ridge": 5e-3}),
    ):
        _add_stages(cases, name, printed, sizes, options)


def _add_stages(cases: dict[str, Case], name: str, printed: str, sizes: tuple[int, ...], options: Any) -> None:
    """One two-stage row."""
    cases[name] = Case(
        (printed,),
        lambda: predict_two_stages(*sizes, **options),
        lambda **draws: simulate_two_stages(*sizes, **options, **draws),
    )


def _last(curve: Prediction) -> Prediction:
    """The last point of a simulated curve."""
    terms = {name: value[-1] for name, value in curve.terms.items()}
    return Prediction(curve.at[-1], curve.mean[-1], curve.low[-1], curve.high[-1], terms)


def run_table(seed: int, repeats: int) -> int:
    """Simulate every acceptance row afresh within max(4 SE, 3 %), and return how many failed."""
    failures = 0
    for name, case in table_cases().items():
        predicted = case.pick(case.predict().mean)
        drawn = case.simulate(seeds=Seeds(seed).child("table", name), repeats=repeats)
        simulated, spread = case.pick(drawn.mean), case.pick(drawn.terms["total_se"])
        is_right = bool((np.abs(predicted - simulated) <= np.maximum(4 * spread, TOLERANCE * predicted)).all())
        failures += not is_right
        rows = ", ".join(f"{p:.5f} / {s:.5f}({e:.5f})" for p, s, e in zip(predicted, simulated, spread, strict=True))
        print(f"{name}: predicted / simulated(SE) {rows} {'ok' if is_right else 'FAILED'}", flush=True)
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=60)
    options = parser.parse_args()
    return int(run_table(options.seed, options.repeats) > 0)


if __name__ == "__main__":
    raise SystemExit(main())
