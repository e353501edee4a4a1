"""The four figures of docs/plan.md and the numbers beside them: ``python -m benchmarks.plan_figures``.

Curves are predictions, dots are simulations (drawn afresh: data generated, models trained) with two standard errors.
The command draws docs/figures/plan-*.svg and fills the marked blocks of docs/plan.md; about two minutes on one core.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from synthsift.report.canvas import ACCENT, INK, MUTED, WARM, new_figure, place_axes, theme, to_svg
from synthsift.report.plan_figures import legend_above, short_number, standalone
from synthsift.theory.collapse import predict_error, simulate_error
from synthsift.theory.collapse_closed import error_floor, onset_size
from synthsift.theory.collapse_stages import rank_remedies, simulate_two_stages
from synthsift.theory.collapse_width import best_width, predict_width_curve
from synthsift.theory.mixing import predict_accuracy, simulate_accuracy
from synthsift.theory.mixing_advice import break_even_rows, largest_keep_wrong
from synthsift.writing import write_text

DOCS = Path(__file__).parents[1] / "docs"
COLORS = (WARM, ACCENT, INK, MUTED)
SEED = 1000


def main() -> None:
    """Draw every figure and write its block."""
    (DOCS / "figures").mkdir(exist_ok=True)
    page = DOCS / "plan.md"
    text = page.read_text(encoding="utf-8")
    for name, draw in (("verifier", verifier), ("percent", percent), ("rescue", rescue), ("size", size)):
        with theme(9.0):
            figure = new_figure(5.4, 3.5)
            caption = draw(place_axes(figure, 0.9, 0.55, 4.3, 2.5))
            write_text(DOCS / "figures" / f"plan-{name}.svg", standalone(to_svg(figure, name, caption[0])))
        block = f"![{caption[0]}](figures/plan-{name}.svg)\n\n{caption[1]}"
        begin, end = f"<!-- {name}: written by benchmarks.plan_figures -->", f"<!-- end of {name} -->"
        text = re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n{block}\n{end}", text, flags=re.DOTALL)  # noqa: B023
        print(f"{name}: {caption[1]}", flush=True)
    write_text(page, text)


def verifier(axes: Any) -> tuple[str, str]:
    """Accuracy against amount for three verifiers."""
    world, options = (200, 200, 1.5, 1.0), {"label_noise": 0.3, "generator_size": 4000}
    rates = {"no verifier": (1.0, 1.0), "keeps 90 % right, 30 % wrong": (0.9, 0.3), "perfect": (1.0, 0.0)}
    sizes, some = np.geomspace(10, 20000, 60), np.array([50, 200, 800, 3200])
    for color, (label, (right, wrong)) in zip(COLORS, rates.items(), strict=False):
        keep = {"keep_right": right, "keep_wrong": wrong}
        axes.plot(sizes, 100 * predict(sizes, world, **options, **keep), color=color, label=label)
        seen = simulate_accuracy(200, some, *world[1:], seeds=SEED, repeats=20, **options, **keep)
        _dots(axes, some, 100 * seen.mean, 100 * seen.terms["SE"], color)
    alone = 100 * float(predict(np.zeros(1), world)[0])
    axes.axhline(alone, color=MUTED, linestyle=(0, (4, 3)), linewidth=0.9, label="real rows alone")
    _axes(axes, "synthetic rows", "accuracy in %", log_up=False)
    back = break_even_rows(*world, label_noise=0.3, generator_size=4000)
    limit = largest_keep_wrong(200, 200, *world[1:], keep_right=0.9, **options)
    dip = alone - 100 * predict(sizes, world, **options).min()
    return (
        "Accuracy against the number of synthetic rows for three verifiers",
        f"200 real rows, 200 features, 30 % of the synthetic labels wrong, a generator that saw 4,000 other rows. "
        f"Unverified rows cost up to {dip:.1f} points and break even only at {back:,.0f} rows. For 200 rows not to hurt, "
        f"a verifier that keeps 90 % of the right labels must reject {100 * (1 - float(limit or 0)):.0f} % of the wrong "
        "ones. Dots: 20 trained classifiers each.",
    )


def predict(sizes: np.ndarray, world: tuple[float, int, float, float], **options: Any) -> np.ndarray:
    """Predicted accuracy for a world (num_real, dim, mean_norm, ridge)."""
    return predict_accuracy(world[0], sizes, *world[1:], **options).mean


def percent(axes: Any) -> tuple[str, str]:
    """Error against all rows for several synthetic shares."""
    dim, rows, some = 100, np.geomspace(150, 1e7, 80), np.array([200, 1000, 5000])
    for color, share in zip((WARM, ACCENT, INK), (0.1, 0.01, 0.0), strict=True):
        curve = predict_error((1 - share) * rows, share * rows, dim, mismatch=1.0).mean
        axes.plot(rows, curve, color=color, label=f"{100 * share:g} % synthetic")
        seen = simulate_error((1 - share) * some, share * some, dim, mismatch=1.0, seeds=SEED, repeats=20)
        _dots(axes, some, seen.mean, seen.terms["total_se"], color)
    _axes(axes, "all rows", "excess error")
    onset, floor = onset_size(0.01, dim, 1.0), error_floor(0.01, dim, mismatch=1.0)
    at = [float(predict_error((1 - p) * 1e7, p * 1e7, dim, mismatch=1.0).mean) for p in (0.01, 0.0)]
    return (
        "Error against all rows with ten, one and no percent of synthetic rows",
        f"100 features, label noise 1, mismatch c² = 1. At 1,000 rows one percent is invisible; at {onset:,.0f} rows the "
        f"clean error has come down to the floor of {floor:.4g}, and at ten million rows one percent of synthetic rows makes "
        f"the error {at[0] / at[1]:.1f} times as large. Ten times fewer synthetic rows lower the floor a hundredfold.",
    )


def rescue(axes: Any) -> tuple[str, str]:
    """Error against real rows for every way of using 2,000 synthetic rows."""
    dim, options = 200, {"mismatch": 0.3, "real_noise_variance": 0.5}
    real = np.geomspace(40, 20000, 14)
    ranked = [{r.name: r.error for r in rank_remedies(n, 2000, dim, **options)} for n in real]
    for color, (name, label) in zip(
        COLORS,
        {
            "pooled": "pooled",
            "two stages": "two stages",
            "weighted": "best weight",
            "real only": "real rows alone",
        }.items(),
        strict=True,
    ):
        style = (0, (4, 3)) if name == "real only" else (0, (1, 1.5)) if name == "weighted" else "-"
        axes.plot(real, [row[name] for row in ranked], color=color, label=label, linestyle=style)
    best = next(r for r in rank_remedies(300, 2000, dim, **options) if r.name == "two stages")
    seen = simulate_two_stages(
        300, 2000, dim, synth_ridge=best.synth_ridge, real_ridge=best.ridge, seeds=SEED, repeats=20, **options
    )
    _dots(axes, np.array([300]), np.atleast_1d(seen.mean), np.atleast_1d(seen.terms["total_se"]), ACCENT)
    _axes(axes, "real rows", "excess error")
    many = {r.name: r.error for r in rank_remedies(2000, 2000, dim, **options)}
    return (
        "Error against real rows: pooled, weighted, two stages, real rows alone",
        f"200 features, 2,000 synthetic rows with mismatch 0.3, each way at its best ridge. With 2,000 real rows pooling "
        f"has error {many['pooled']:.4f}, real rows alone {many['real only']:.4f}, the best weight {many['weighted']:.4f} "
        f"and two stages (first synthetic, then real) {many['two stages']:.4f}. Weights and two stages never lose to real "
        "rows alone; pooling does as soon as real rows are plenty.",
    )


def size(axes: Any) -> tuple[str, str]:
    """Error against model size for three mismatches."""
    dim, options = 500, {"ridge": 1e-3, "real_noise_variance": 0.1}
    widths, some, told = np.geomspace(20, 2000, 80), np.array([100, 300, 700]), []
    for color, c2 in zip((WARM, ACCENT, INK), (16.0, 1.0, 0.0), strict=True):
        curve = predict_width_curve(widths, 700, 300, dim, size_alone=False, mismatch=c2, **options).mean
        axes.plot(widths, curve, color=color, label=f"mismatch {c2:g}")
        seen = simulate_error(700, 300, dim, width=some, mismatch=c2, seeds=SEED, repeats=10, **options)
        _dots(axes, some, seen.mean, seen.terms["total_se"], color)
        told.append((float(curve[0]), float(curve[-1])))
    _axes(axes, "model size (width)", "excess error")
    tail = np.arange(1, 1001) ** -1.2
    shift = np.full(1000, 0.1 / tail.sum())
    signal = np.arange(1, 1001) ** -1.0
    signal = signal / (tail @ signal)
    inner = best_width(1000, 1000, 1000, size_alone=True, spectrum=tail, signal=signal, shift=shift, ridge=1e-6,
                       real_noise_variance=0.01)  # fmt: skip
    return (
        "Error against model size for three mismatches",
        f"700 real and 300 synthetic rows, 500 features. Without mismatch a model of width 2,000 has error {told[2][1]:.2f} "
        f"where one of width 20 has {told[2][0]:.2f}; with mismatch 1 {told[1][1]:.2f} against {told[1][0]:.2f}; with "
        f"mismatch 16 the bigger model is worse, {told[0][1]:.2f} against {told[0][0]:.2f}. Where the generator errs in rare "
        f"directions the best size lies in between (1,000 features of decaying variance: width {inner.width}).",
    )


def _dots(axes: Any, x: np.ndarray, mean: np.ndarray, error: np.ndarray, color: str) -> None:
    axes.errorbar(x, mean, yerr=2 * error, fmt="o", color=color, markersize=3.5, elinewidth=1)


def _axes(axes: Any, across: str, up: str, *, log_up: bool = True) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set_xscale("log")
    scales = [axes.xaxis]
    if log_up:
        axes.set_yscale("log")
        scales.append(axes.yaxis)
    for scale in scales:
        scale.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
        scale.set_minor_formatter(NullFormatter())
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    legend_above(axes)


if __name__ == "__main__":
    main()
