"""The figures of docs/drift.md, from the laws and from a loop that the monitor really watches.

    python -m benchmarks.drift_figures        # writes docs/figures/drift-*.svg, about a minute

The loop: 2-D data with five modes; each generation's "model" is a kernel density of its training mix, a trainer whose
error (blur) is the same every round, plus the sampling noise of 1,500 rows.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from synthsift.drift.laws import drift_law, steady_state
from synthsift.drift.monitor import Alarms, watch_generation
from synthsift.drift.outlook import look_ahead
from synthsift.drift.reference import learn_reference
from synthsift.drift.state import Stream

FIGURES = Path(__file__).parents[1] / "docs" / "figures"
CENTERS = np.array([[0, 0], [4, 4], [4, -4], [-4, 4], [-4, -4]], dtype=float)
ROWS, BLUR, SPREAD = 1500, 0.25, 0.6
INK, ACCENT, WARM, MUTED = "#1e2422", "#0b6e69", "#b4531f", "#656e6a"


def real_rows(rng: np.random.Generator, n: int) -> np.ndarray:
    return CENTERS[rng.integers(5, size=n)] + SPREAD * rng.standard_normal((n, 2))


def retrain(rng: np.random.Generator, own: np.ndarray, alpha: float) -> np.ndarray:
    """Next generation: a kernel density of alpha fresh and 1 - alpha own rows, sampled."""
    fresh = round(alpha * ROWS)
    mix = np.concatenate([real_rows(rng, fresh), own[rng.permutation(ROWS)[: ROWS - fresh]]])
    return mix[rng.integers(ROWS, size=ROWS)] + BLUR * rng.standard_normal((ROWS, 2))


def run_loop(alphas: list[float], seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    generations = [real_rows(rng, ROWS)]
    for alpha in alphas:
        generations.append(retrain(rng, generations[-1], alpha))
    return generations


def save(figure: Any, name: str) -> None:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    (FIGURES / f"drift-{name}.svg").write_text(buffer.getvalue(), encoding="utf-8")


def new_axes(columns: int, width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def draw_what() -> None:
    """Samples of generation 0, 3 and 10 at a small and at a large fresh fraction."""
    figure, axes = new_axes(4, 9.5, 2.7)
    loops = {alpha: run_loop([alpha] * 10, 1) for alpha in (0.05, 0.5)}
    panels = [(0.05, 0, "start"), (0.05, 3, "5 % fresh, round 3"), (0.05, 10, "5 % fresh, round 10"), (0.5, 10, "50 % fresh, round 10")]  # fmt: skip
    for ax, (alpha, generation, title) in zip(axes, panels, strict=True):
        rows = loops[alpha][generation]
        ax.plot(*rows[:300].T, ".", markersize=2, color=ACCENT if alpha == 0.5 or generation == 0 else WARM, alpha=0.6)
        ax.set(xlim=(-8, 8), ylim=(-8, 8), xticks=[], yticks=[], aspect="equal")
        ax.set_title(title, fontsize=9)
    save(figure, "what")


def draw_discount() -> None:
    """Weight of an error made m rounds ago in the drift of today."""
    figure, (ax,) = new_axes(1, 7, 3)
    ages = np.arange(16)
    for alpha, color in ((0.1, WARM), (0.3, MUTED), (0.5, INK), (0.9, ACCENT)):
        ax.plot(ages, (1 - alpha) ** ages, "o-", color=color, markersize=3.5, label=f"fresh fraction {alpha:g}")
    ax.set(xlabel="rounds since the error was made", ylabel="part of it that is left", ylim=(0, 1.03))
    ax.legend(frameon=False, fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
    save(figure, "discount")


def draw_systematic() -> None:
    """The same J, repeated or random: over rounds at alpha .1, and in the long run by alpha."""
    figure, (left, right) = new_axes(2, 9.5, 3.1)
    J, rounds, rng = 0.01, 40, np.random.default_rng(3)
    direction = rng.standard_normal(24)
    direction *= np.sqrt(J) / np.linalg.norm(direction)
    steps: dict[str, tuple[Callable[[], np.ndarray], float, str]] = {
        "the same error every round": (lambda: direction, 1.0, WARM),
        "a new error every round": (lambda: np.sqrt(J / 24) * rng.standard_normal(24), 0.0, ACCENT),
    }
    for name, (step, kappa, color) in steps.items():
        delta, path = np.zeros(24), []
        for _ in range(rounds):
            delta = 0.9 * delta + step()
            path.append(float(delta @ delta))
        left.plot(range(1, rounds + 1), path, ".", color=color, markersize=4)
        left.plot(range(1, rounds + 1), drift_law(0.1, [J] * rounds, kappa), color=color, label=name)
    left.set(xlabel="round", ylabel="drift, 10 % fresh", yscale="log")
    left.legend(frameon=False, fontsize=8)
    alphas = np.linspace(0.03, 1, 80)
    for kappa, color in ((1.0, WARM), (0.0, ACCENT)):
        right.plot(alphas, [steady_state(a, J, kappa) / J for a in alphas], color=color)
    right.set(xlabel="fresh fraction", ylabel="drift in the long run / J", yscale="log")
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
    save(figure, "systematic")


def draw_alarm() -> None:
    """A loop with 5 % fresh data is watched, alarms, is planned anew and comes back."""
    few, more = 0.05, 6
    first = run_loop([few] * 5, 1000)
    rng = np.random.default_rng(1001)
    reference = learn_reference(real_rows(rng, 4500), None, seeds=0)
    seen = [watch_generation(reference, g, index=k, name=f"gen{k}", seeds=0) for k, g in enumerate(first)]
    stream = Stream(reference, Alarms(), 0, {}, tuple(seen), (few,) * 5)
    target = 0.2 * float(stream.trace.drift[-1])
    outlook = look_ahead(stream.trace, more, seeds=0, target=target)
    assert outlook.plan is not None and outlook.plan.alpha is not None, outlook.plan
    now, later = first[-1], []
    for k in range(more):
        now = retrain(rng, now, outlook.plan.alpha)
        later.append(watch_generation(reference, now, index=6 + k, name=f"gen{6 + k}", seeds=0))
    figure, (ax,) = new_axes(1, 7.5, 3.2)
    ahead = 5 + outlook.forecast.ahead
    start = seen[-1].measures["mmd2"].value
    ax.fill_between([5, *ahead], [start, *outlook.forecast.low], [start, *outlook.forecast.high], color=MUTED, alpha=0.18, lw=0)  # fmt: skip
    ax.plot(
        [5, *ahead], [start, *outlook.forecast.drift], "--", color=MUTED, lw=1.2, label="forecast if nothing changes"
    )
    for k, s in enumerate([*seen, *later]):
        color = WARM if stream.alarms.sounds(s) else ACCENT
        ax.plot([k, k], [s.measures["mmd2"].low, s.measures["mmd2"].high], color=color)
        ax.plot(k, s.measures["mmd2"].value, "o", color=color, markersize=5)
    ax.axhline(target, color=INK, lw=0.8, ls=":", label="target")
    ax.annotate(
        f"fresh fraction {few:g} until here,\n{outlook.plan.alpha:.2f} from here on (the plan)",
        (5, start),
        xytext=(-8, 18),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color=INK,
    )
    ax.set(xlabel="generation", ylabel="drift (MMD2)", xticks=range(len(seen) + more))
    ax.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)  # above what is drawn
    ax.spines[["top", "right"]].set_visible(False)
    save(figure, "alarm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    import matplotlib

    matplotlib.rcParams.update({"svg.hashsalt": "synthsift", "svg.fonttype": "none", "font.size": 9})
    FIGURES.mkdir(parents=True, exist_ok=True)
    for draw in (draw_what, draw_discount, draw_systematic, draw_alarm):
        draw()


if __name__ == "__main__":
    main()
