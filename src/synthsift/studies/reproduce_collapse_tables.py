"""Further tables of the strong-collapse specification: errors in the tail, remedies, generations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from synthsift.seeds import Seeds
from synthsift.studies.reproduction import COLORS, Check, Rebuilt, Table, label_axes
from synthsift.theory.collapse import predict_error, simulate_error
from synthsift.theory.collapse_chain import simulate_generations
from synthsift.theory.collapse_generations import predict_accumulate, predict_fresh_real, predict_replace
from synthsift.theory.collapse_stages import rank_remedies

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TAIL_WIDTHS = (10, 30, 100, 300, 1000, 2000, 4000, 12_000, 100_000)
TAIL_PRINTED = {
    0.0: (0.3430, 0.1412, 0.0423, 0.0125, 0.0053, 0.0079, 0.0097, 0.0099, 0.0100),
    0.1: (0.3511, 0.1538, 0.0598, 0.0349, 0.0372, 0.0523, 0.0589, 0.0598, 0.0600),
    0.5: (0.3835, 0.2043, 0.1299, 0.1246, 0.1648, 0.2297, 0.2555, 0.2591, 0.2599),
}
REMEDIES = ("real only", "synthetic only", "pooled", "weighted", "two stages")
REMEDIES_PRINTED = {
    50: (0.84307, 0.26588, 0.25720, 0.24479, 0.24407),
    100: (0.70711, 0.26588, 0.24892, 0.22584, 0.22466),
    300: (0.36603, 0.26588, 0.21942, 0.16795, 0.16633),
    2000: (0.05234, 0.26588, 0.09541, 0.04549, 0.04525),
    20_000: (0.00502, 0.26588, 0.00724, 0.00496, 0.00496),
}
GENERATIONS_PRINTED = {
    "replace": {1: 0.33445, 4: 1.33779, 8: 2.67559},
    "accumulate": {4: 0.47612, 8: 0.51084},
    "fresh real": {1: 0.33333, 2: 0.14815, 6: 0.07735},
}


def rebuild_tails(seeds: Seeds, *, quick: bool = False) -> Rebuilt:
    """When the generator errs in the tail of the inputs the best width is interior and moves down as c^2 grows."""
    dim, table, checks = 2000, Table(), []
    spectrum = np.arange(1, dim + 1) ** -1.2
    weight = 1.0 / np.arange(1, dim + 1)
    fine = np.unique(np.round(np.geomspace(10, 1e5, 60)))
    for mismatch, values in TAIL_PRINTED.items():
        options: dict[str, Any] = {
            "spectrum": spectrum,
            "signal": weight / (spectrum @ weight),
            "shift": np.full(dim, mismatch / spectrum.sum()),
            "real_noise_variance": 0.01,
            "ridge": 1e-6,
        }
        for width, error in zip(fine, predict_error(2000, 2000, dim, width=fine, **options).mean, strict=True):
            table.add(mismatch=mismatch, width=float(width), curve="predicted", error=float(error))
        for width, printed in zip(TAIL_WIDTHS, values, strict=True):
            ours = float(predict_error(2000, 2000, dim, width=width, **options).mean)
            drawn: tuple[float | None, float | None] = (None, None)
            if not quick and width in (30, 300):
                node = seeds.child("tails", mismatch, width)
                got = simulate_error(2000, 2000, dim, width=width, **options, seeds=node, repeats=5)
                drawn = float(got.mean), float(got.terms["total_se"])
                table.add(mismatch=mismatch, width=float(width), curve="simulated", error=drawn[0])
            checks.append(Check(f"c2 = {mismatch:g}, width {width}", printed, ours, *drawn))
    return Rebuilt(
        "tails",
        "Errors in the tail: the best width is interior and falls as c^2 grows",
        table.columns,
        lambda figure: _draw_tails(figure, table),
        checks=tuple(checks),
        slack=0.05,
    )


def _draw_tails(figure: Figure, table: Table) -> None:
    axes = figure.subplots()
    for color, mismatch in zip(COLORS, TAIL_PRINTED, strict=False):
        x, y = table.where("width", "error", mismatch=mismatch, curve="predicted")
        axes.plot(x, y, color=color, label=f"c^2 = {mismatch:g}")
        axes.plot(x[int(np.argmin(y))], min(y), "v", color=color)
        axes.plot(*table.where("width", "error", mismatch=mismatch, curve="simulated"), "o", color=color)
    axes.plot([], [], "v", color="#555555", label="best width")
    label_axes(axes, "Power law 1.2, d = 2000, 2000 real + 2000 synthetic rows", "width m", "excess error", logs="xy")
    axes.legend()


def rebuild_remedies() -> Rebuilt:
    """Real only, synthetic only, pooled, weighted and two stages, each at its best settings."""
    table, checks = Table(), []
    for real, values in REMEDIES_PRINTED.items():
        found = {r.name: r.error for r in rank_remedies(real, 2000, 200, real_noise_variance=0.5, mismatch=0.3)}
        for name, printed in zip(REMEDIES, values, strict=True):
            table.add(num_real=real, remedy=name, error=found[name])
            checks.append(Check(f"{real} real rows, {name}", printed, found[name]))
    return Rebuilt(
        "remedies",
        "What to do with 2,000 synthetic rows of c^2 = .3, each way at its best (isotropic, d = 200)",
        table.columns,
        lambda figure: _draw_remedies(figure, table),
        checks=tuple(checks),
    )


def _draw_remedies(figure: Figure, table: Table) -> None:
    axes = figure.subplots()
    for color, name in zip(COLORS, REMEDIES, strict=False):
        style = "--" if name == "two stages" else "-"
        axes.plot(*table.where("num_real", "error", remedy=name), f"o{style}", color=color, label=name)
    label_axes(axes, "Excess error, best ridge and weight of each", "real rows", "excess error", logs="xy")
    axes.legend()


def rebuild_generations(seeds: Seeds, *, quick: bool = False) -> Rebuilt:
    """Rounds of training on own labels: replace grows without end, accumulate is bounded, fresh real rows forget."""
    table, checks, repeats = Table(), [], 20 if quick else 40
    curves = {
        "replace": predict_replace(8, 400, 100).mean,
        "accumulate": predict_accumulate(8, 400, 100).mean,
        "fresh real": predict_fresh_real(8, 500, 500, 100, mismatch=1.0, real_noise_variance=0.5).mean,
    }
    drawn = {
        "replace": simulate_generations("replace", 8, 0, 400, 100, seeds=seeds.child("replace"), repeats=repeats),
        "accumulate": simulate_generations(
            "accumulate", 8, 0, 400, 100, seeds=seeds.child("accumulate"), repeats=repeats
        ),
        "fresh real": simulate_generations(
            "fresh_real",
            8,
            500,
            500,
            100,
            mismatch=1.0,
            real_noise_variance=0.5,
            seeds=seeds.child("fresh"),
            repeats=repeats,
        ),
    }
    for name, curve in curves.items():
        got, first = drawn[name], 0 if name == "fresh real" else 1
        for i, (ours, mean, error) in enumerate(zip(curve, got.mean, got.terms["total_se"], strict=True)):
            row = {"simulated": float(mean), "standard_error": float(error)}
            table.add(scheme=name, generation=i + first, predicted=float(ours), **row)
            if i + first in GENERATIONS_PRINTED[name]:
                checks.append(
                    Check(
                        f"{name}, round {i + first}", GENERATIONS_PRINTED[name][i + first], float(ours), *row.values()
                    )
                )
    return Rebuilt(
        "generations",
        "Generations that train on own labels (d = 100; replace and accumulate 400 rows, fresh real 500 + 500)",
        table.columns,
        lambda figure: _draw_generations(figure, table),
        checks=tuple(checks),
        slack=0.03,
    )


def _draw_generations(figure: Figure, table: Table) -> None:
    axes = figure.subplots()
    for color, name in zip(COLORS, GENERATIONS_PRINTED, strict=False):
        axes.plot(*table.where("generation", "predicted", scheme=name), color=color, label=name)
        axes.plot(*table.where("generation", "simulated", scheme=name), "o", color=color)
    label_axes(axes, "Excess error by round (dots: simulated)", "round", "excess error", logs="y")
    axes.legend()
