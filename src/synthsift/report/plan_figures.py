"""The pictures of a plan: accuracy or error against rows, the phase diagram, error against model size.

Each panel is drawn from the plan's dictionary into given axes, so that the same panel serves the plan's own picture and
a section of a run's report.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from synthsift.report.canvas import (
    ACCENT,
    GRID,
    INK,
    MUTED,
    NARROW,
    WARM,
    WIDE,
    new_figure,
    place_axes,
    theme,
    to_svg,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Panel = Callable[["Axes", Mapping[str, Any]], None]
VERIFIERS = {"none": ("no verifier", WARM), "yours": ("yours", ACCENT), "perfect": ("perfect", INK)}
AS_GIVEN = "rows as they are"
PANEL = (3.0, 2.6)  # inches of the axes of one panel
MARGINS = (0.75, 0.55, 0.3, 0.6)  # left, bottom, right, top of a panel; the legend stands above, off curves and bands
#: Gains in points at which the phase diagram changes its shade.
LEVELS = (-100.0, -5.0, -2.0, -0.5, 0.0, 0.5, 2.0, 5.0, 100.0)
DEPTHS = (0.75, 0.5, 0.28, 0.1)
SHADES = (*((WARM, depth) for depth in DEPTHS), *((ACCENT, depth) for depth in reversed(DEPTHS)))


def draw_plan(report: Mapping[str, Any]) -> str:
    """Return all panels of a plan as one SVG file that needs no page around it."""
    if report["plan"] == "mixing":
        panels: list[Panel] = [draw_accuracy, *([draw_phase] if report["phase"] else [])]
        title = "Predicted accuracy against the number of synthetic rows"
    else:
        panels = [draw_error, draw_mix, draw_size]
        title = "Predicted error against rows and model size"
    return standalone(draw_panels(report, panels, "plan", title))


def draw_panels(report: Mapping[str, Any], panels: Sequence[Panel], name: str, title: str) -> str:
    """Return panels side by side as an SVG element for a page."""
    left, bottom, right, top = MARGINS
    width = len(panels) * (left + PANEL[0] + right)
    with theme(9.0):
        figure = new_figure(width, bottom + PANEL[1] + top)
        for k, draw in enumerate(panels):
            draw(place_axes(figure, k * (left + PANEL[0] + right) + left, bottom, *PANEL), report)
        return to_svg(figure, name, title)


def draw_what_if(report: Mapping[str, Any], width: float) -> Any:
    """The section figure of a run: accuracy against synthetic rows, wide or narrow; None without a plan."""
    plan = report.get("plan")
    if not plan or not plan.get("curves"):
        return None
    left, bottom, right, top = MARGINS
    width = min(width, WIDE if width > NARROW else NARROW)
    figure = new_figure(width, bottom + PANEL[1] + top)
    draw_accuracy(place_axes(figure, left, bottom, width - left - right, PANEL[1]), plan)
    return figure


def standalone(svg: str) -> str:
    """Return an SVG element as a file: colors written out, white behind it."""
    svg = re.sub(r"var\(--\w+, (#\w+)\)", r"\1", svg)
    head = '<svg style="background:#ffffff" '
    if 'xmlns="http://www.w3.org/2000/svg"' not in svg[: svg.index(">")]:
        head += 'xmlns="http://www.w3.org/2000/svg" '
    svg = svg.replace("<svg ", head, 1)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + svg.replace("<text ", '<text font-family="sans-serif" ') + "\n"


def draw_accuracy(axes: Axes, plan: Mapping[str, Any]) -> None:
    """Accuracy in percent against synthetic rows for every verifier, with 95 % ranges."""
    sizes = np.array(plan["sizes"])
    for name, curve in plan["curves"].items():
        label, color = VERIFIERS[name] if len(plan["curves"]) > 1 else (AS_GIVEN, ACCENT)
        _line(axes, sizes, curve, color, label, 100.0)
    if plan["real_only"] is not None:
        axes.axhline(
            100 * plan["real_only"], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), label="real rows alone"
        )
    _mark(axes, plan["target"]["rows"])
    _finish(axes, sizes, "synthetic rows", "predicted accuracy in %")


def draw_phase(axes: Axes, plan: Mapping[str, Any]) -> None:
    """Gain in points over label noise and amount; the line is where nothing is gained."""
    sizes, noise = np.array(plan["sizes"][1:]), np.array(plan["phase"]["noise"])
    gain = 100 * np.array(plan["phase"]["gain"])[:, 1:]  # (noise, sizes)
    for k, (color, alpha) in enumerate(SHADES):
        axes.contourf(sizes, 100 * noise, gain, levels=LEVELS[k : k + 2], colors=[color], alpha=alpha, antialiased=True)
    if gain.min() < 0 < gain.max():
        axes.contour(sizes, 100 * noise, gain, levels=[0.0], colors=[INK], linewidths=1.1)
    if plan["rates"]:
        rate = plan["rates"]["label_noise"]
        axes.plot([plan["target"]["rows"]], [100 * rate["value"]], "o", color=INK, markersize=5)
        axes.vlines(plan["target"]["rows"], 100 * rate["low"], 100 * rate["high"], color=INK, linewidth=1)
    axes.set_ylim(0, 100 * noise[-1])
    _finish(axes, sizes, "synthetic rows", "wrong labels before verification in %", legend=False)
    axes.set_title("gain (green) and loss (brown); the dot is you")


def draw_error(axes: Axes, plan: Mapping[str, Any]) -> None:
    """Excess error against synthetic rows: pooled, at the best weight, without mismatch."""
    sizes = np.array(plan["sizes"])
    for name, (label, color) in {
        "pooled": ("pooled", WARM), "weighted": ("best weight", ACCENT), "perfect": ("without mismatch", INK),
    }.items():  # fmt: skip
        _line(axes, sizes, plan["curves"][name], color, label)
    if plan["real_only"] is not None:
        axes.axhline(plan["real_only"], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), label="real rows alone")
    _mark(axes, plan["target"]["rows"])
    axes.set_yscale("log")
    _finish(axes, sizes, "synthetic rows", "predicted excess error")


def draw_mix(axes: Axes, plan: Mapping[str, Any]) -> None:
    """Excess error against all rows at this share of synthetic ones: the floor, and the rows that come near it."""
    mix, rows = plan["mix"], np.array(plan["mix"]["rows"])
    _line(axes, rows, mix["mixed"], WARM, f"{100 * plan['synth_fraction']:.3g} % synthetic")
    _line(axes, rows, mix["clean"], INK, "without mismatch")
    if plan["floor"] > 0:
        label = "floor (10 % off at line)" if plan["near_floor_rows"] else "floor"
        axes.axhline(plan["floor"], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), label=label)
    if plan["near_floor_rows"]:
        _mark(axes, plan["near_floor_rows"])
    axes.set_yscale("log")
    _finish(axes, rows, "all rows of this mix", "predicted excess error")


def draw_size(axes: Axes, plan: Mapping[str, Any]) -> None:
    """Excess error against model size, and the part that the mismatch makes."""
    size, widths = plan["size"], np.array(plan["size"]["widths"])
    for name, label, color in (
        ("error", "with these rows", WARM), ("collapse", "of it: mismatch", ACCENT), ("clean", "without mismatch", INK),
    ):  # fmt: skip
        values = np.array(size[name])
        if (values > 0).any():
            axes.plot(widths, np.where(values > 0, values, np.nan), color=color, linewidth=1.5, label=label)
    if size["at"]:
        _mark(axes, size["at"]["width"])
    axes.set_yscale("log")
    _finish(axes, widths, "model size (width)", "predicted excess error")


def _line(
    axes: Axes, x: np.ndarray, curve: Mapping[str, Sequence[float]], color: str, label: str, scale: float = 1.0
) -> None:
    """A curve with its range, from the first amount above 0 on."""
    shown = x > 0
    mean, low, high = (scale * np.array(curve[name])[shown] for name in ("mean", "low", "high"))
    if (high - low).max() > 0:
        axes.fill_between(x[shown], low, high, color=color, alpha=0.15, linewidth=0)
    axes.plot(x[shown], mean, color=color, linewidth=1.5, label=label)


def _mark(axes: Axes, x: float) -> None:
    """A thin line at the amount that is talked about."""
    axes.axvline(x, color=GRID, linewidth=1, zorder=0)


def _finish(axes: Axes, x: np.ndarray, across: str, up: str, *, legend: bool = True) -> None:
    """Logarithmic axis across, words, legend."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set_xscale("log")
    axes.set_xlim(x[x > 0][0], x[-1])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if axes.get_yscale() == "log":
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    if legend:
        legend_above(axes)


def legend_above(axes: Axes) -> None:
    """Legend over the axes, where it hides no curve and no band."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.01),
        borderaxespad=0.0,
        ncols=2,
        frameon=False,
        fontsize=8,
        labelcolor=INK,
    )


def short_number(value: float) -> str:
    """1000 as 1k, 1000000 as 1M, 0.00001 as it is and not as 1e-05."""
    for unit, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{sign}"
    return f"{value:.10f}".rstrip("0").rstrip(".") if 1e-8 <= value < 1 else f"{value:g}"
