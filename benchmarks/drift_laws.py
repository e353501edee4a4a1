"""Do the drift laws agree with simulated loops? The larger tables, drawn afresh.

    python -m benchmarks.drift_laws                      # everything, about four minutes on one core
    python -m benchmarks.drift_laws tilt plane --scale 2 # some sections, with twice the runs
    python -m benchmarks.drift_laws --seed 1000 --store  # and docs/results/drift-laws.parquet, which results/drift.md shows

Every row prints what the law says, what was measured with its standard error, and whether they agree within the stated
number of standard errors (per cent, or digits of the specification, for rows without sampling). Exit code 1 if one does not.
The loop of learned scores is `benchmarks.drift_learned`.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.drift_exact import ALPHAS, EXACT, Row, solved, wave
from benchmarks.drift_laws_page import store
from synthsift.drift.closed_forms import chi2_gaussian, coverage_null, frechet_null, nearest_neighbor_null
from synthsift.drift.discriminate import chi2_lower_bound
from synthsift.drift.forecast import forecast_drift
from synthsift.drift.grid import ReverseGrid
from synthsift.drift.laws import next_delta
from synthsift.drift.loops import FirstOrderKind, GaussianLoop, first_order_drift, predict_gaussian, simulate_gaussian
from synthsift.drift.loops_blur import predict_truncation, simulate_truncation
from synthsift.drift.loops_grid import solve_recursion
from synthsift.drift.loops_tilt import Pattern, Quadrature, simulate_tilt
from synthsift.drift.measures import frechet_distance
from synthsift.drift.mixtures import BIMODAL, Mixture1D
from synthsift.drift.neighborhoods import nearest_neighbor_accuracy, neighborhood_scores
from synthsift.drift.paths import simulate_round
from synthsift.drift.planner import plan_loop
from synthsift.drift.traces import DriftTrace
from synthsift.records import Prediction
from synthsift.seeds import Seeds

SKEWED = Mixture1D((0.2, 0.8), (2.5, 0.2), (0.3, 0.3))  # none of its first four Hermite coefficients is small
WIDTH = 24


def sampled(name: str, law: float, values: np.ndarray, deviations: float) -> Row:
    error = float(np.std(values, ddof=1) / math.sqrt(len(values)))
    return Row(name, law, float(np.mean(values)), error, deviations * error, len(values))


def predicted(name: str, law: float, got: Prediction, runs: int, deviations: float = 3.5) -> Row:
    error = float(got.terms["standard_error"][-1])
    return Row(name, law, float(got.mean[-1]), error, deviations * error, runs)


def promised(name: str, low: float, high: float, hits: int, runs: int) -> Row:
    middle, error = (low + high) / 2, math.sqrt(max(low * (1 - low), 0.01) / runs)
    return Row(name, middle, hits / runs, error, (high - low) / 2 + 3 * error, runs)


def recursion(seeds: Seeds, scale: float) -> Iterator[Row]:
    grid = ReverseGrid(num_points=161, num_steps=100)
    for alpha, drift, tv in ((0.1, 0.7756, 0.385), (0.3, 0.2008, 0.2), (0.5, 0.08426, 0.129), (0.9, 0.02924, 0.075)):
        got = solve_recursion(grid, alpha, [wave(0.25)] * 15)
        yield solved(f"same sign, alpha {alpha}: D", drift, got.drift[-1], 0.03)
        yield solved(f"same sign, alpha {alpha}: TV", tv, got.tv[-1], 0.03)
    got = solve_recursion(grid, 0.1, [wave(0.25 * s) for s in ([1, -1] * 8)[:15]])
    yield solved("alternate, alpha 0.1: D", 0.00915, got.drift[-1], 0.03)
    rng = seeds.numpy("signs")
    for alpha in (0.1, 0.5, 0.9):
        runs = []
        for _ in range(max(4, int(10 * scale))):
            got = solve_recursion(grid, alpha, [wave(0.25 * s) for s in rng.choice([-1.0, 1.0], 15)])
            runs.append(got.drift[-1] - got.discounted[-1])
        yield sampled(
            f"random signs, alpha {alpha}: D - discounted sum", 0.0, np.array(runs), 4.1
        )  # 3 SE of a t with 9 degrees


def tilt_rows(data: Quadrature, seeds: Seeds, runs: int, waves: float, label: str) -> Iterator[Row]:
    for alpha in ALPHAS:
        got = simulate_tilt(data, alpha, 0.3, "random", 60, num_runs=runs, seeds=seeds.child(alpha), frequency=waves)
        yield predicted(f"{label} random, alpha {alpha}: D", float(got.terms["discounted"][-1]), got, runs, 3.0)


def tilt(seeds: Seeds, scale: float) -> Iterator[Row]:
    x = np.linspace(-5, 5, 121)
    masses = BIMODAL.density(x)
    data = Quadrature(x[:, None], masses / masses.sum())
    yield from tilt_rows(data, seeds, int(2000 * scale), 5.0, "1-D")
    for alpha in ALPHAS:
        # At alpha .1 the drift is of order 5, J still moves, and how much depends on the wave.
        share = 0.03 if alpha == 0.1 else 0.005
        # The skew of one wave moves the drift by about eps = 1 %, to either side: many waves are needed to see .3 %.
        cases: tuple[tuple[Pattern, float, float, int], ...] = (
            ("same", 0.3, share, 20),
            ("alternate", 0.01, 0.003, 400),
        )
        for pattern, eps, size, waves in cases:
            got = simulate_tilt(data, alpha, eps, pattern, 80, num_runs=waves, seeds=seeds.child(pattern))
            law = float(got.terms["innovation"][:, -1].mean()) / (alpha if pattern == "same" else 2 - alpha) ** 2
            yield solved(f"1-D {pattern}, alpha {alpha}: D", law, float(got.mean[-1]), size)._replace(n=waves)


def plane(seeds: Seeds, scale: float) -> Iterator[Row]:
    axis = np.linspace(-6.5, 6.5, 44)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    centers = np.array([[0, 0], [4, 4], [4, -4], [-4, 4], [-4, -4]])
    masses = np.exp(-((points[:, None] - centers) ** 2).sum(axis=2) / (2 * 0.36)).sum(axis=1)
    yield from tilt_rows(Quadrature(points, masses / masses.sum()), seeds, int(150 * scale), 2.5, "2-D five modes")


GAUSSIAN = {
    "replace": GaussianLoop(50),
    **{f"fresh {alpha}": GaussianLoop(50, alpha) for alpha in (0.1, 0.5, 0.9)},
    "n-1, .2": GaussianLoop(50, 0.2, ddof=1),
    "random composition .2": GaussianLoop(50, 0.2, random_composition=True),
    "accumulate": GaussianLoop(50, kind="accumulate"),
    "fixed real .2": GaussianLoop(50, 0.2, kind="fixed_real"),
    "fresh .2, d = 2": GaussianLoop(50, 0.2),
}


def gaussian(seeds: Seeds, scale: float) -> Iterator[Row]:
    for name, loop in GAUSSIAN.items():
        dim = 2 if "d = 2" in name else 1
        got = simulate_gaussian(loop, 40, num_runs=int(4000 * scale), seeds=seeds.child(name), dim=dim)
        yield predicted(f"{name}: V at round 40", float(predict_gaussian(loop, 40).mean[-1]), got, int(4000 * scale))


def first_order(seeds: Seeds, scale: float) -> Iterator[Row]:
    cases: tuple[tuple[FirstOrderKind, GaussianLoop, int, dict[str, Any]], ...] = (
        ("replace", GaussianLoop(500), 20, {"num_rounds": 20}),
        ("fresh", GaussianLoop(500, 0.1), 40, {"alpha": 0.1}),
        ("fresh", GaussianLoop(500, 0.5), 12, {"alpha": 0.5}),
        ("fixed_real", GaussianLoop(500, 0.2, kind="fixed_real"), 30, {"alpha": 0.2}),
    )
    for dim, params, runs in ((1, 2, 1200), (2, 5, 300)):
        for kind, loop, rounds, settings in cases:
            got = simulate_gaussian(loop, rounds, num_runs=int(runs * scale), seeds=seeds.child(kind, dim), dim=dim)
            law = first_order_drift(kind, params, 500, **settings)
            value, error = float(got.terms["two_kl"][-1]), float(got.terms["two_kl_error"][-1])
            yield Row(
                f"{kind} {settings}, k = {params}: E 2KL",
                law,
                value,
                error,
                3.5 * error + 0.05 * law,
                int(runs * scale),
            )


def truncation(seeds: Seeds, scale: float) -> Iterator[Row]:
    for alpha in (0.1, 0.5):
        for order in range(1, 5):
            law = float(predict_truncation(alpha, 0.2, order, 12).mean[-1])
            node, rows = seeds.child(alpha, order), int(200_000 * scale)
            got = simulate_truncation(SKEWED, alpha, 0.2, order, 12, num_rows=rows, seeds=node)
            yield predicted(f"alpha {alpha}, order {order}: share left", law, got, rows)


def null(seeds: Seeds, scale: float) -> Iterator[Row]:
    rng, runs = seeds.numpy("null"), int(60 * scale)
    draws = [frechet_distance(*rng.standard_normal((2, 500, 10))).raw for _ in range(runs)]
    yield sampled("Frechet, N(0, I), d 10, n = m = 500", frechet_null(np.eye(10), 500, 500), np.array(draws), 3.5)
    scores, accuracy = [], []
    for _ in range(runs):
        x, y = rng.standard_normal((200, 8)), rng.standard_normal((400, 8))
        scores.append(neighborhood_scores(x, y, rng=rng, k=3, num_null=0)["coverage"].value)
        accuracy.append(nearest_neighbor_accuracy(x, y).value)
    yield sampled("coverage, n 200, m 400, d 8, k 3", coverage_null(200, 400, 3), np.array(scores), 3.5)
    yield sampled("1-NN accuracy", nearest_neighbor_null(200, 400), np.array(accuracy), 3.5)


def estimators(seeds: Seeds, scale: float) -> Iterator[Row]:
    rng, truth = seeds.numpy("estimators"), chi2_gaussian(0.3, 1.2, 0, 1)
    for width, rows, seen, spread in ((1, 5000, 0.1295, 0.025), (10, 2000, 0.090, 0.044)):
        values = []
        for _ in range(int(30 * scale)):
            x, y = rng.standard_normal((2, rows, width))
            y[:, 0] = 0.3 + math.sqrt(1.2) * y[:, 0]
            values.append(chi2_lower_bound(x, y, rng=rng).value)
        row = sampled(f"chi2 bound, {width}-D (SD {np.std(values):.3f}, truth {truth:.4f})", seen, np.array(values), 3)
        yield row._replace(tolerance=row.tolerance + spread)  # the specification used another basis


def paths(seeds: Seeds, scale: float) -> Iterator[Row]:
    num = int(30_000 * scale)
    start = BIMODAL.noised(4.0).sample(num, seeds.numpy("start"))[:, None]
    grid = ReverseGrid(num_points=321, num_steps=400)
    exact = grid.one_round(wave(0.3))
    got = simulate_round(
        start,
        lambda y, t: BIMODAL.noised(t).score(y[:, 0])[:, None],
        wave(0.3),
        horizon=4.0,
        num_steps=250,
        seeds=seeds,
    )
    second, squares = float((grid.data_masses * exact.ratio) @ grid.x**2), got.learned_ends[:, 0] ** 2
    error = float(squares.std() / math.sqrt(num))
    for name, law, value, spread, steps in (
        ("eps2", exact.eps2, got.eps2, got.eps2_error, 6e-4),
        ("epshat2", exact.epshat2, got.epshat2, got.epshat2_error, 6e-4),
        ("E exp Z", 1.0, got.mean_weight, got.mean_weight_error, 0.0),
        ("E x^2 (1.9779 in the specification)", second, float(squares.mean()), error, 0.012),
    ):
        yield Row(f"wave .3: {name}", law, value, spread, 4 * spread + steps, num)
    yield Row("wave .3: eta by regression, biased low", exact.eta, got.eta, math.nan, 0.03, num)


def stream(
    rng: np.random.Generator, alpha: float, share: float, rounds: int, noise: float, bias: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True drift vectors, what was measured of them, and the error that repeats; J = .05 of which `share` repeats."""
    if bias is None:
        bias = rng.standard_normal(WIDTH)
        bias *= math.sqrt(share * 0.05) / np.linalg.norm(bias)
    delta, spread = [np.zeros(WIDTH)], math.sqrt((1 - share) * 0.05 / WIDTH)
    for _ in range(rounds):
        delta.append(next_delta(delta[-1], bias + spread * rng.standard_normal(WIDTH), alpha))
    truth = np.array(delta)
    return truth, truth + math.sqrt(noise / WIDTH) * rng.standard_normal(truth.shape), bias


def watched(seen: np.ndarray, alpha: float, noise: float) -> DriftTrace:
    g = len(seen)
    return DriftTrace(tuple(map(str, range(g))), np.full(g - 1, alpha), seen, np.full(g, noise), 0.0, WIDTH)


def monitor(seeds: Seeds, scale: float) -> Iterator[Row]:
    runs, noise = int(80 * scale), 0.0024
    for alpha in (0.5, 0.3, 0.1):
        for share in (0.0, 0.5, 1.0):
            rng, ends, forecasts, hits = seeds.numpy(f"{alpha} {share}"), [], [], 0
            for r in range(runs):
                truth, seen, _ = stream(rng, alpha, share, 20, noise)
                got = forecast_drift(watched(seen[:9], alpha, noise), 12, seeds=r)
                ends.append(float(truth[20] @ truth[20]))
                forecasts.append(float(got.drift[-1]))
                hits += bool(got.low[-1] <= ends[-1] <= got.high[-1])
            name = f"alpha {alpha}, bias share {share}"
            yield solved(f"{name}: mean |delta_20|^2", float(np.mean(ends)), float(np.mean(forecasts)), 0.3)._replace(
                n=runs
            )
            yield promised(f"{name}: 90 % interval", 0.83, 1.0, hits, runs)


def planner(seeds: Seeds, scale: float) -> Iterator[Row]:
    runs, noise, target = int(40 * scale), 0.001, 0.125
    for seen_rounds in (4, 8):
        for share in (0.0, 1.0):
            rng, kept, failed = seeds.numpy(f"{seen_rounds} {share}"), 0, 0
            for r in range(runs):
                _, seen, bias = stream(rng, 0.3, share, seen_rounds, noise)
                alpha = plan_loop(watched(seen, 0.3, noise), target, seeds=r).alpha
                if alpha is None:
                    continue
                for fraction in (alpha, alpha / 2):
                    path = stream(rng, fraction, share, 10, 0.0, bias)[0]
                    good = (path[6:] ** 2).sum(axis=1).mean() <= target
                    kept += bool(fraction == alpha and good)
                    failed += bool(fraction != alpha and not good)
            yield promised(f"{seen_rounds} rounds, bias share {share:.0f}: fraction keeps", 0.9, 1.0, kept, runs)
            yield promised(f"{seen_rounds} rounds, bias share {share:.0f}: half does not", 0.7, 1.0, failed, runs)


SECTIONS: dict[str, Callable[[Seeds, float], Iterator[Row]]] = {
    f.__name__: f
    for f in (
        *EXACT,
        *(recursion, tilt, plane, gaussian, first_order, truncation, null, estimators, paths, monitor, planner),
    )
}


def show(name: str, rows: list[Row], seconds: float) -> int:
    """Print a section; returns how many rows disagree."""
    print(f"\n{name} ({seconds:.0f} s)")
    for row in rows:
        error = "" if math.isnan(row.error) else f" +- {row.error:.4g}"
        print(
            f"  {'ok ' if row.agrees else 'NO '} {row.name:58s} {row.law:10.5g}   {row.measured:10.5g}{error}",
            flush=True,
        )
    return sum(not row.agrees for row in rows)


def main() -> int:
    """Print the chosen sections, and store them; 1 if a row disagrees."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", default=list(SECTIONS), metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the number of runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", action="store_true", help="write the sections into docs/results/drift-laws.parquet")
    arguments = parser.parse_args()
    if not set(arguments.sections) <= set(SECTIONS):
        parser.error(f"unknown section in {arguments.sections}; there are {', '.join(SECTIONS)}")
    wrong = 0
    for name in arguments.sections:
        began = time.perf_counter()
        rows = list(SECTIONS[name](Seeds(arguments.seed, (name,)), arguments.scale))
        wrong += show(name, rows, time.perf_counter() - began)
        if arguments.store:
            store(name, rows, arguments.seed)
    print(f"\n{wrong} rows disagree")
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
