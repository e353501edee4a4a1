"""Does the collapse theory agree with training? Random settings and the acceptance table, drawn afresh.

    python -m benchmarks.theory_collapse --settings 200 --seed 1000
    python -m benchmarks.theory_collapse --table --repeats 60 --seed 1000

A setting is excluded (counted, printed) when it lies at an interpolation pole: |n/d - 1|, |width/n - 1| or
|width/d - 1| <= .15 with a ridge below .05. All others must agree within max(4 SE, 3 %), twice that below dim 200.
`--minutes` stops early.
"""

from __future__ import annotations

import argparse
import math
import time
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

POLE_WIDTH, POLE_RIDGE = 0.15, 0.05
TOLERANCE = 0.03
SMALL_DIM = 200

Call = tuple[tuple[Any, ...], dict[str, Any]]


def power(dim: int, exponent: float) -> np.ndarray:
    """Diagonal i^-exponent."""
    return np.arange(1, dim + 1.0) ** -exponent


def scaled(diagonal: np.ndarray, spectrum: np.ndarray, size: float = 1.0) -> np.ndarray:
    """Second moment proportional to `diagonal` with tr(Sigma .) = size."""
    return diagonal * size / (spectrum @ diagonal)


def draw_setting(rng: np.random.Generator, dims: tuple[int, int] = (50, 600)) -> Call:
    """Draw the arguments of one prediction, all options included."""
    dim = int(rng.integers(dims[0], dims[1] + 1))
    spectrum = power(dim, rng.uniform(0.3, 1.6)) if rng.random() < 0.6 else np.ones(dim)
    signal = scaled(power(dim, rng.choice([0.0, rng.uniform(-0.5, 1.0)])), spectrum)
    mismatch = math.exp(rng.uniform(math.log(0.05), math.log(2.0)))
    shift = scaled(power(dim, rng.choice([0.0, rng.uniform(-0.5, 1.0)])), spectrum, mismatch)
    real, synth = (int(dim * math.exp(rng.uniform(math.log(0.1), math.log(2.5)))) for _ in range(2))
    empty = rng.random()
    options: dict[str, Any] = {
        "ridge": 0.0 if rng.random() < 0.25 else math.exp(rng.uniform(math.log(1e-4), 0.0)),
        "real_noise_variance": rng.uniform(0.02, 1.0),
        "synth_noise_variance": rng.choice([0.0, rng.uniform(0.0, 1.0)]),
        "spectrum": spectrum,
        "signal": signal,
        "shift": shift,
        "synth_weight": rng.choice([1.0, math.exp(rng.uniform(math.log(0.1), math.log(3.0)))]),
    }
    if rng.random() < 0.3:
        options["cross"] = rng.uniform(-0.8, 0.8) * np.sqrt(signal * shift)
    if rng.random() < 0.3:
        cut = np.where(np.arange(dim) < rng.uniform(0.1, 0.9) * dim, 1.0, rng.uniform(0.05, 0.5))
        options["synth_spectrum"] = spectrum * cut if rng.random() < 0.5 else rng.permutation(spectrum)
    if rng.random() < 0.45:
        options["width"] = max(1, int(dim * math.exp(rng.uniform(math.log(0.15), math.log(3.0)))))
        if rng.random() < 0.5:
            options["projection_variance"] = 1 / options["width"]
    return (0 if empty < 0.05 else real, 0 if empty > 0.95 else synth, dim), options


def is_at_pole(call: Call) -> bool:
    """Whether finite-size fluctuations are too large for any mean to be a fair prediction."""
    (real, synth, dim), options = call
    rows, width = real + synth, options.get("width")
    ratios = [rows / dim] if width is None else [rows / dim, width / rows, width / dim]
    return options["ridge"] < POLE_RIDGE and min(abs(ratio - 1) for ratio in ratios) <= POLE_WIDTH


def describe(call: Call) -> str:
    """One line that names the setting."""
    (real, synth, dim), options = call
    shown = {k: v for k, v in options.items() if np.ndim(v) == 0}
    text = " ".join(f"{k}={v:.3g}" for k, v in shown.items())
    extras = " ".join(name for name in ("cross", "synth_spectrum") if name in options)
    spread = options["spectrum"][0] / options["spectrum"][-1]
    return f"n1={real} n2={synth} dim={dim} spread={spread:.3g} {text} {extras}"


def compare(call: Call, seeds: Seeds, repeats: int) -> tuple[float, float, float, float]:
    """Predicted error, simulated error, its standard error and the allowed difference."""
    arguments, options = call
    predicted = float(predict_error(*arguments, **options).mean)
    drawn = simulate_error(*arguments, **options, seeds=seeds, repeats=repeats)
    spread = float(drawn.terms["total_se"])
    allowed = max(4.0 * spread, TOLERANCE * predicted) * (2.0 if arguments[2] < SMALL_DIM else 1.0)
    return predicted, float(drawn.mean), spread, allowed


def run_settings(settings: int, seed: int, repeats: int, minutes: float, start: int = 0) -> int:
    """Check random settings, print a summary, and return how many failed."""
    seeds, began = Seeds(seed), time.perf_counter()
    drawn, excluded, failed = start, 0, 0
    deviations: list[tuple[float, float, float, str]] = []
    while len(deviations) < settings and time.perf_counter() - began < 60.0 * minutes:
        node = seeds.child("setting", drawn)
        call = draw_setting(node.numpy("draw"))
        drawn += 1
        if is_at_pole(call):
            excluded += 1
            print(f"excluded (pole): {describe(call)}")
            continue
        predicted, simulated, spread, allowed = compare(call, node, repeats)
        gap = abs(predicted - simulated)
        line = f"predicted {predicted:.5f} simulated {simulated:.5f} +- {spread:.5f}: {describe(call)}"
        deviations.append((gap / predicted, gap / spread, spread / predicted, line))
        if gap > allowed:
            failed += 1
            print(f"FAILED {line}")
    _print_summary(deviations, drawn - start, excluded, failed)
    print(f"{time.perf_counter() - began:.0f} s, {repeats} designs per setting")
    return failed


def _print_summary(deviations: list[tuple[float, float, float, str]], drawn: int, excluded: int, failed: int) -> None:
    """Counts, typical and worst deviations."""
    print(f"drawn {drawn}, excluded at poles {excluded}, checked {len(deviations)}, passed {len(deviations) - failed}")
    if not deviations:
        return
    relative, scores, spreads, _ = zip(*deviations, strict=True)
    print(f"median |error| {100 * np.median(relative):.2f} %, median standard error {100 * np.median(spreads):.2f} %")
    print(f"root mean square z {math.sqrt(np.mean(np.square(scores))):.2f}, largest |z| {max(scores):.2f}")
    worst = max(deviations)
    print(f"worst {100 * worst[0]:.2f} % (|z| {worst[1]:.2f}): {worst[3]}")


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
    parser.add_argument("--settings", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=24)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--start", type=int, default=0, help="number of the first setting drawn")
    parser.add_argument("--table", action="store_true", help="simulate the acceptance rows instead")
    options = parser.parse_args()
    if options.table:
        return int(run_table(options.seed, options.repeats) > 0)
    return int(run_settings(options.settings, options.seed, options.repeats, options.minutes, options.start) > 0)


if __name__ == "__main__":
    raise SystemExit(main())
