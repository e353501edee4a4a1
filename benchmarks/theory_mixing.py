"""Does the mixing theory agree with training? Random settings and the acceptance table, drawn afresh.

    python -m benchmarks.theory_mixing --settings 200 --seed 1000
    python -m benchmarks.theory_mixing --table --repeats 250 --seed 1000

A setting is excluded (counted, printed) when it lies at an interpolation pole: |(num_real + kept)/dim - 1| <= .15 with
a ridge below .05. All others must agree within max(4 SE, .01), twice that below dim 200. `--minutes` stops early. The
settings are stored as docs/results/theory-settings-mixing.parquet; `python -m benchmarks.tables` tells them.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np

from benchmarks.theory_settings import Call, Theory, check_settings, store
from synthsift.seeds import Seeds
from synthsift.theory.mixing import predict_accuracy, simulate_accuracy

POLE_WIDTH, POLE_RIDGE = 0.15, 0.05
TOLERANCE = 0.01
SMALL_DIM = 200


def decaying_spectrum(dim: int, power: float = 1.0) -> np.ndarray:
    """Eigenvalues i^-power + 0.1, rescaled to sum to dim."""
    values = np.arange(1, dim + 1) ** -power + 0.1
    return values * dim / values.sum()


def draw_setting(rng: np.random.Generator, dims: tuple[int, int] = (50, 600)) -> Call:
    """Draw the arguments of one prediction, all options included."""
    dim = int(rng.integers(dims[0], dims[1] + 1))
    num_real = int(dim * math.exp(rng.uniform(math.log(0.2), math.log(3.0))))
    num_synth = int(dim * math.exp(rng.uniform(math.log(0.2), math.log(6.0))))
    generator = str(rng.choice(["fresh", "fresh", "fresh", "exact", "self"]))
    empty = rng.random()
    num_real = 0 if empty < 0.1 and generator != "self" else num_real
    num_synth = 0 if empty > 0.95 else num_synth
    mean_norm = rng.uniform(0.5, 2.5)
    options: dict[str, Any] = {
        "label_noise": rng.uniform(0.0, 0.5),
        "keep_right": rng.uniform(0.4, 1.0),
        "keep_wrong": rng.uniform(0.0, 1.0),
        "synth_weight": rng.choice([1.0, rng.uniform(0.1, 2.0)]),
        "real_label_noise": rng.choice([0.0, rng.uniform(0.0, 0.3)]),
        "generator": generator,
    }
    if generator == "fresh":
        options["generator_size"] = int(dim * math.exp(rng.uniform(math.log(0.3), math.log(8.0))))
        options["exact_mean"] = bool(rng.random() < 0.2)
        options["generator_covariance"] = str(rng.choice(["estimated", "estimated", "exact", "isotropic"]))
    if rng.random() < 0.5:
        options["spectrum"] = decaying_spectrum(dim, rng.uniform(0.3, 1.0))
        direction = rng.standard_normal(dim) if rng.random() < 0.5 else np.ones(dim)
        options["mean"] = direction * mean_norm / np.linalg.norm(direction)
    ridge = math.exp(rng.uniform(math.log(1e-3), math.log(10.0)))
    return (num_real, num_synth, dim, mean_norm, ridge), options


def is_at_pole(call: Call) -> bool:
    """Whether finite-size fluctuations are too large for any mean to be a fair prediction."""
    (num_real, num_synth, dim, _, ridge), options = call
    noise = options.get("label_noise", 0.0)
    alpha = options.get("keep_right", 1.0) * (1.0 - noise) + options.get("keep_wrong", 1.0) * noise
    return abs((num_real + alpha * num_synth) / dim - 1.0) <= POLE_WIDTH and ridge < POLE_RIDGE


def compare(call: Call, seeds: Seeds, repeats: int, floor: float = TOLERANCE) -> tuple[float, float, float, float]:
    """Predicted accuracy, simulated accuracy, its standard error and the allowed difference."""
    arguments, options = call
    predicted = predict_accuracy(*arguments, **options)
    simulated = simulate_accuracy(*arguments, **options, seeds=seeds, repeats=repeats)
    error = float(simulated.terms["SE"])
    allowed = max(4.0 * error, floor) * (2.0 if arguments[2] < SMALL_DIM else 1.0)
    return float(predicted.mean), float(simulated.mean), error, allowed


def describe(call: Call) -> str:
    """One line that names the setting."""
    (num_real, num_synth, dim, mean_norm, ridge), options = call
    shown = {k: v for k, v in options.items() if k not in ("spectrum", "mean")}
    text = " ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in shown.items())
    shape = "decaying" if "spectrum" in options else "isotropic"
    return f"n={num_real} m={num_synth} dim={dim} |mu|={mean_norm:.2f} ridge={ridge:.3g} {shape} {text}"


def table_cases() -> dict[str, Call]:
    """Acceptance cases of the specification: name -> arguments."""
    iso = {"dim": 200, "mean_norm": 1.5}
    cases: dict[str, Call] = {}

    def add(name: str, data: dict[str, Any], num_real: int, num_synth: int, ridge: float, **options: Any) -> None:
        data = dict(data)
        dim, mean_norm = data.pop("dim"), data.pop("mean_norm")
        cases[name] = ((num_real, num_synth, dim, mean_norm, ridge), {**data, **options})

    def dec(dim: int, mean_norm: float) -> dict[str, Any]:
        mean = np.full(dim, mean_norm / math.sqrt(dim))
        return {"dim": dim, "mean_norm": mean_norm, "spectrum": decaying_spectrum(dim), "mean": mean}

    def rates(eps: float, phi: float = 1.0, rho: float = 1.0) -> dict[str, float]:
        return {"label_noise": eps, "keep_right": phi, "keep_wrong": rho}

    add("A1", iso, 400, 0, 1.0)
    add("A2", iso, 200, 0, 0.01)
    add("A3", dec(200, 1.5), 400, 0, 0.05)
    add("B1", iso, 0, 600, 1.0, **rates(0.3))
    add("B2", iso, 0, 600, 1.0, **rates(0.3, 0.8, 0.4))
    add("B3", iso, 0, 600, 1.0, **rates(0.3, 1.0, 0.0))
    add("B4", iso, 0, 400, 0.1, **rates(0.2, 0.4, 0.1))
    add("B5", iso, 0, 600, 1.0, **rates(0.5))
    add("B6", iso, 0, 2000, 1.0, **rates(0.85, 0.8, 0.3))
    add("C1", iso, 200, 800, 1.0, **rates(0.2, 1.0, 0.0), generator_size=60)
    add("C2", iso, 200, 800, 1.0, **rates(0.2, 0.9, 0.5), generator_size=400)
    add("C3", iso, 200, 800, 1.0, **rates(0.4), generator_size=3000)
    add("C4", iso, 200, 800, 0.01, **rates(0.2, 0.9, 0.2), generator_size=200)
    add("C5", iso, 200, 800, 0.1, **rates(0.2, 0.9, 0.2), generator_size=130, exact_mean=True)
    add("C6", iso, 200, 800, 0.1, **rates(0.2, 0.9, 0.2), generator_size=130, generator_covariance="exact")
    weighted = {"synth_weight": 0.3, "real_label_noise": 0.1}
    add("C7", iso, 400, 800, 0.3, **rates(0.3, 0.9, 0.3), generator_size=270, **weighted)
    add("C8", {"dim": 400, "mean_norm": 1.0}, 400, 2000, 1.0, generator_size=5000)
    add("D1", dec(200, 1.5), 200, 600, 0.1, **rates(0.2, 0.9, 0.2), generator_size=100)
    add("D2", dec(200, 1.5), 200, 600, 0.1, **rates(0.3), generator_size=2000)
    add(
        "D3",
        dec(200, 1.5),
        200,
        600,
        0.1,
        **rates(0.1, 1.0, 0.0),
        generator_size=400,
        generator_covariance="isotropic",
    )
    add("D4", dec(400, 2.0), 300, 1200, 0.2, **rates(0.4, 0.8, 0.3), generator_size=400)
    add("E1", iso, 400, 800, 0.1, generator="self")
    add("E2", iso, 270, 1350, 0.1, **rates(0.2, 0.9, 0.2), generator="self")
    add("E3", dec(200, 1.5), 130, 660, 0.1, **rates(0.3, 0.8, 0.3), generator="self")
    add("E4", iso, 270, 540, 1.0, **rates(0.4), generator="self")
    return cases


def run_table(seed: int, repeats: int) -> int:
    """Simulate every acceptance case afresh within max(4 SE, .002), and return how many failed."""
    failures = 0
    for name, call in table_cases().items():
        predicted, simulated, error, _ = compare(call, Seeds(seed).child("table", name), repeats)
        is_right = abs(predicted - simulated) <= max(4.0 * error, 0.002)
        failures += not is_right
        outcome = "ok" if is_right else "FAILED"
        print(f"{name} predicted {predicted:.5f} simulated {simulated:.5f} +- {error:.5f} {outcome}")
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--start", type=int, default=0, help="number of the first setting drawn")
    parser.add_argument("--table", action="store_true", help="simulate the acceptance cases instead")
    options = parser.parse_args()
    if options.table:
        return int(run_table(options.seed, options.repeats) > 0)
    theory = Theory(draw_setting, is_at_pole, describe, lambda call, node: compare(call, node, options.repeats))
    rows = check_settings(theory, options.settings, options.seed, options.minutes, options.start)
    return int(store(rows, "mixing") > 0)


if __name__ == "__main__":
    raise SystemExit(main())
