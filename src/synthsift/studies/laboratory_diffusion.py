"""The loop of trained diffusion models as a simulation: its table, its verdict on every bound, its figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from synthsift.drift.diffusion_loop import LoopStep
from synthsift.drift.diffusion_trace import LoopTrace, trace_loop
from synthsift.drift.kernels import Kernels
from synthsift.seeds import Seeds
from synthsift.studies.laboratory import Simulated
from synthsift.studies.reproduction import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, RED, GREEN = COLORS[:3]
GRAY = "#777777"
SHOWN = 1500


def describe_loop(data: Kernels, alpha: float, steps: Sequence[LoopStep]) -> Simulated:
    """Return the finished rounds of a loop with every bound checked.

    Parameters
    ----------
    data : Kernels
        p_data.
    alpha : float
        Fresh fraction.
    steps : sequence of LoopStep
        Its rounds.
    """
    trace = trace_loop(alpha, steps)
    verdicts = judge_bounds(trace)
    held = sum(all(rows) for rows in verdicts.values())
    broken = [name for name, rows in verdicts.items() if not all(rows)]
    sentence = (
        f"After {len(steps)} generations with {100 * alpha:g} % fresh data the drift (chi2, sampling noise subtracted) "
        f"is {trace.drift[-1]:.3g}; the discounted sum of its innovations is {trace.discounted[-1]:.3g} and the "
        f"coherent law {trace.coherent[-1]:.3g}. {held} of {len(verdicts)} bounds hold in every generation"
        + (f"; not: {'; '.join(broken)}." if broken else ".")
    )
    title = f"Retrained diffusion models, {data.dim}-D mixture, {100 * alpha:g} % fresh data"
    real = data.sample(SHOWN, Seeds(0).numpy("shown"))
    return Simulated(
        "diffusion",
        title,
        trace.columns(),
        sentence,
        lambda figure: _draw(figure, title, trace, real, [s.pool[:SHOWN] for s in steps]),
        (10.5, 6.6),
        {"bounds": verdicts, "heat": trace.heat, "recursion_gap": trace.recursion_gap},
    )


def judge_bounds(trace: LoopTrace) -> Mapping[str, list[bool]]:
    """Whether each statement holds, by round. Rigorous ones first; the last two are leading terms for small errors.

    Measured energies get 3 standard errors, plug-in divergences their own sampling part (half of it for KL, its root
    for total variation).
    """
    low, high = trace.step_band
    noise, room = trace.grid("one_round_noise"), 1.5 * trace.path("sampler_error")
    clean = trace.grid("one_round") - noise
    found: dict[str, np.ndarray] = {
        "exact recursion of drift": np.abs(trace.recursion_gap) <= 1e-9 * np.maximum(1, trace.grid("drift")),
        "drift within its step bounds": (trace.grid("drift") >= low - 1e-9) & (trace.grid("drift") <= high + 1e-9),
        "drift under the coherent ceiling": trace.grid("drift") <= trace.coherent * (1 + 1e-9),
        "pair floor of Prop. 4.1": trace.pair_margin >= -1e-9,
    }
    if np.isfinite(trace.kl_ceilings).all():
        found["KL <= half the sampler's energy + start"] = trace.grid("kl") - noise / 2 <= trace.kl_ceilings + room
        found["TV under its guarantee"] = trace.grid("tv") <= trace.tv_ceilings + np.sqrt(noise) / 2
    found["KL <= epshat^2/2 (small steps)"] = trace.grid("kl") - noise / 2 <= trace.kl_small_step + 1.5 * trace.path(
        "epshat2_error"
    )
    found["eta eps^2/4 <= I <= 4 eps^2 (small errors)"] = (trace.bands[:, 0] <= clean) & (clean <= trace.bands[:, 1])
    return {name: rows.tolist() for name, rows in found.items()}


def _draw(figure: Figure, title: str, trace: LoopTrace, real: np.ndarray, pools: Sequence[np.ndarray]) -> None:
    """Samples, drift with its laws, KL and TV with their ceilings, and the heat map."""
    figure.suptitle(title)
    axes = figure.subplots(2, 3)
    rounds = np.arange(1, len(pools) + 1)
    for place, rows, name in (
        (axes[0, 0], pools[0], "generation 1"),
        (axes[0, 1], pools[-1], f"generation {rounds[-1]}"),
    ):
        place.plot(real[:, 0], real[:, 1], ".", color=GRAY, markersize=1.5, alpha=0.5, label="real")
        place.plot(rows[:, 0], rows[:, 1], ".", color=RED, markersize=1.5, alpha=0.5, label=name)
        place.set(title=f"real (gray) and {name}", aspect="equal", xlabel="x1", ylabel="x2")
    draw_lines(
        axes[0, 2],
        rounds,
        "drift D (chi2)",
        [
            ("measured", trace.drift, BLUE, "o-"),
            ("discounted sum of J", trace.discounted, GREEN, "--"),
            ("coherent law, ceiling", trace.coherent, RED, ":"),
        ],
    )
    draw_lines(
        axes[1, 0],
        rounds,
        "one round, KL to the mix",
        [
            ("measured", trace.grid("kl"), BLUE, "o-"),
            ("epshat^2/2", trace.kl_small_step, GREEN, "--"),
            ("with start and steps", trace.kl_ceilings, RED, ":"),
        ],
    )
    draw_lines(
        axes[1, 1],
        rounds,
        "total variation to real data",
        [
            ("measured", trace.grid("tv"), BLUE, "o-"),
            ("from eps* alone", trace.tv_small_step, GREEN, "--"),
            ("with start, steps, end", trace.tv_ceilings, RED, ":"),
        ],
    )
    _heat(figure, axes[1, 2], trace.heat)


def draw_lines(
    axes: Axes,
    rounds: np.ndarray,
    title: str,
    lines: Sequence[tuple[str, Any, str, str]],
    *,
    floor: float | None = 0.0,
) -> None:
    """Draw lines (name, values, color, style) by generation; the axis begins at `floor` where one is given."""
    for name, values, color, style in lines:
        axes.plot(rounds, values, style, color=color, markersize=4, label=name)
    axes.set(title=title, xlabel="generation", xticks=rounds[:: max(1, len(rounds) // 8)])
    if floor is not None:
        axes.set_ylim(bottom=floor)
    axes.legend(frameon=False, fontsize=7.5)


def _heat(figure: Figure, axes: Axes, heat: np.ndarray) -> None:
    """Share of the discounted sum of every generation (rows) that comes from every past round (columns)."""
    n = len(heat)
    share = heat / np.maximum(heat.sum(axis=1, keepdims=True), 1e-300)
    shown = np.where(np.tri(n) > 0, share, np.nan)
    image = axes.imshow(shown, vmin=0, vmax=1, cmap="viridis", extent=(0.5, n + 0.5, n + 0.5, 0.5))
    figure.colorbar(image, ax=axes, shrink=0.8)
    ticks = np.arange(1, n + 1)[:: max(1, n // 8)]
    axes.set(title="part of D by the round it came from", xlabel="round of the error", ylabel="generation")
    axes.set(xticks=ticks, yticks=ticks)
