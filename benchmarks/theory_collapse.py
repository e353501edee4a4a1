"""Does the collapse theory agree with training? Random settings, drawn afresh.

    python -m benchmarks.theory_collapse --settings 200 --seed 1000

A setting is excluded (counted, printed) when it lies at an interpolation pole: |n/d - 1|, |width/n - 1| or
|width/d - 1| <= .15 with a ridge below .05. All others must agree within max(4 SE, 3 %), twice that below dim 200.
Between 30 and `--most` designs are drawn a setting, for a standard error of .6 %. `--minutes` stops early. The settings are
stored as docs/results/theory-settings-collapse.parquet; `python -m benchmarks.tables` tells them.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np

from benchmarks.theory_settings import Call, Theory, check_settings, store
from synthsift.seeds import Seeds
from synthsift.theory.collapse import predict_error, simulate_error

POLE_WIDTH, POLE_RIDGE = 0.15, 0.05
TOLERANCE = 0.03
SMALL_DIM = 200
PILOT, FEWEST, PRECISION = 8, 30, 0.006


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


def compare(call: Call, seeds: Seeds, most: int) -> tuple[float, float, float, float]:
    """Predicted error, simulated error, its standard error and the allowed difference.

    A pilot says how many designs (at most `most`) bring the standard error down to PRECISION; the answer rests on new
    ones, so that the number of designs does not depend on how well they agree.
    """
    arguments, options = call
    predicted = float(predict_error(*arguments, **options).mean)
    pilot = simulate_error(*arguments, **options, seeds=seeds.child("pilot"), repeats=PILOT)
    wanted = PILOT * float(pilot.terms["total_se"] / (PRECISION * pilot.mean)) ** 2
    drawn = simulate_error(*arguments, **options, seeds=seeds, repeats=int(np.clip(wanted, FEWEST, most)))
    spread = float(drawn.terms["total_se"])
    allowed = max(4.0 * spread, TOLERANCE * predicted) * (2.0 if arguments[2] < SMALL_DIM else 1.0)
    return predicted, float(drawn.mean), spread, allowed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--most", type=int, default=80, help="most designs a setting")
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--start", type=int, default=0, help="number of the first setting drawn")
    options = parser.parse_args()
    theory = Theory(draw_setting, is_at_pole, describe, lambda call, node: compare(call, node, options.most))
    rows = check_settings(theory, options.settings, options.seed, options.minutes, options.start)
    return int(store(rows, "collapse") > 0)


if __name__ == "__main__":
    raise SystemExit(main())
