"""The pictures of a drift page: the drift and its forecast, the other measures, ways to build a training set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from synthsift.report import wording
from synthsift.report.canvas import (
    ACCENT,
    GRID,
    INK,
    MUTED,
    NARROW,
    PAPER,
    WARM,
    WIDE,
    new_figure,
    place_axes,
    theme,
    to_svg,
)

PANELS = {
    "energy": "energy distance",
    "frechet": "Frechet distance",
    "chi2_bound": "chi2, lower bound",
    "tv_bound": "total variation, lower bound",
    "sliced_wasserstein": "sliced Wasserstein",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "widest": "variance, widest direction",
    "narrowest": "variance, narrowest direction",
}
REGIMES = {"replace": WARM, "fresh": ACCENT, "fixed real": INK, "accumulate": MUTED, "fresh, kept": ACCENT}
DASHED = {"fresh, kept"}
MAX_TICKS = 12


def draw_drift_figures(record: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Draw every picture that the record has the numbers for.

    Parameters
    ----------
    record : dict
        Content of drift.json.

    Returns
    -------
    dict
        Name -> {"wide": svg, "narrow": svg}, for ``drift``, ``measures`` and ``regimes``.
    """
    drawers: dict[str, tuple[str, Callable[[Mapping[str, Any], float], Any]]] = {
        "drift": ("Drift of each generation with its interval, and the forecast", draw_drift),
        "measures": ("Other measures of every generation beside what they would be without drift", draw_measures),
        "regimes": ("Drift by rounds for five ways to build the training set", draw_regimes),
    }
    figures: dict[str, dict[str, str]] = {}
    for name, (title, draw) in drawers.items():
        for form, width, size in (("wide", WIDE, 9.0), ("narrow", NARROW, 8.5)):
            with theme(size):
                figure = draw(record, width)
                if figure is not None:
                    figures.setdefault(name, {})[form] = to_svg(figure, f"{name}-{form}", title)
    return figures


def draw_drift(record: Mapping[str, Any], width: float) -> Any:
    """Points with intervals for what was measured, a band for what is forecast, a line for the target."""
    generations = record["generations"]
    figure = new_figure(width, 3.2)
    axes = place_axes(figure, 0.75, 0.55, width - 0.95, 2.4)
    axes.axhline(0, color=GRID, linewidth=1, zorder=1)
    for k, generation in enumerate(generations):
        drift, color = generation["measures"]["mmd2"], WARM if generation["alarm"] else ACCENT
        axes.plot([k, k], [drift["low"], drift["high"]], color=color, linewidth=1.6, zorder=3)
        axes.plot(k, drift["value"], "o", markersize=5, markerfacecolor=color, markeredgecolor=PAPER, zorder=4)
    forecast, last = record["forecast"], len(generations) - 1
    if forecast is not None:
        start = generations[-1]["measures"]["mmd2"]["value"]
        x = [last, *(last + a for a in forecast["ahead"])]
        axes.fill_between(
            x, [start, *forecast["low"]], [start, *forecast["high"]], color=MUTED, alpha=0.2, linewidth=0, zorder=1
        )
        axes.plot(x, [start, *forecast["drift"]], color=MUTED, linewidth=1.4, linestyle=(0, (4, 3)), zorder=2)
    if wording.is_number(record["target"]):
        axes.axhline(record["target"], color=WARM, linewidth=1, linestyle=(0, (2, 2)), zorder=2)
        axes.annotate(
            "target", (0, record["target"]), xytext=(2, 3), textcoords="offset points", color=WARM, fontsize="small"
        )
    _name_generations(axes, [g["name"] for g in generations], 0 if forecast is None else len(forecast["ahead"]), width)
    axes.set_ylabel("drift (MMD2)")
    axes.set_xlabel("generation")
    return figure


def _name_generations(axes: Any, names: list[str], ahead: int, width: float) -> None:
    """Names below measured generations where they fit, numbers ahead of the last one below the others."""
    labels = [wording.one_line(name, 10) for name in names] + [f"+{k}" for k in range(1, ahead + 1)]
    most = MAX_TICKS if width == WIDE else 5
    step = max(1, -(-len(labels) // most))
    places = list(range(0, len(labels), step))
    axes.set_xticks(places, [labels[k] for k in places])
    axes.set_xlim(-0.5, len(labels) - 0.5)


def draw_measures(record: Mapping[str, Any], width: float) -> Any:
    """One small panel a measure; the pale line is its value without drift."""
    generations = record["generations"]
    names = [n for n in PANELS if any(wording.is_number(g["measures"][n]["value"]) for g in generations)]
    columns = 3 if width == WIDE else 1
    rows = -(-len(names) // columns)
    height, cell = 1.55, (width - 0.2) / columns
    figure = new_figure(width, rows * height + 0.1)
    for k, name in enumerate(names):
        left, bottom = 0.6 + (k % columns) * cell, 0.35 + (rows - 1 - k // columns) * height
        axes = place_axes(figure, left, bottom, cell - 0.75, height - 0.75)
        for x, generation in enumerate(generations):
            _draw_point(axes, x, generation["measures"][name])
        axes.set_title(PANELS[name], fontsize="medium")
        axes.set_xlim(-0.5, len(generations) - 0.5)
        axes.set_xticks(sorted({0, len(generations) - 1}))
        axes.locator_params(axis="y", nbins=4)
    return figure


def _draw_point(axes: Any, x: int, measure: Mapping[str, Any]) -> None:
    """A value with as much of its interval as there is, and its null."""
    if not wording.is_number(measure["value"]):
        return
    low, high = (measure[s] if wording.is_number(measure[s]) else measure["value"] for s in ("low", "high"))
    axes.plot([x, x], [low, high], color=ACCENT, linewidth=1.4, zorder=3)
    axes.plot(x, measure["value"], "o", markersize=4, markerfacecolor=ACCENT, markeredgecolor=PAPER, zorder=4)
    if wording.is_number(measure["null"]):
        axes.plot([x - 0.5, x + 0.5], [measure["null"]] * 2, color=MUTED, linewidth=1, alpha=0.7, zorder=2)


def draw_regimes(record: Mapping[str, Any], width: float) -> Any:
    """One line for each way to build the training set; None without a forecast or where nothing drifts."""
    regimes = record["regimes"]
    if not regimes or not any(value for values in regimes.values() for value in values if wording.is_number(value)):
        return None
    from matplotlib.ticker import LogLocator

    figure = new_figure(width, 3.0)
    axes = place_axes(figure, 0.75, 0.55, width - 0.75 - 1.1, 2.25)
    finite = {n: v for n, v in regimes.items() if v and all(wording.is_number(x) for x in v)}
    ends = []
    for name, values in finite.items():
        style = (0, (4, 2)) if name in DASHED else "solid"
        axes.plot(range(1, len(values) + 1), values, color=REGIMES.get(name, MUTED), linewidth=1.6, linestyle=style)
        ends.append((values[-1], len(values), name))
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high / low < 200:  # hardly a tick would have a number with powers of ten alone
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(lambda value, place: f"{value:.3g}")
    axes.yaxis.set_minor_formatter(lambda value, place: "")
    for y, x, name in _apart(sorted(ends), (high / low) ** 0.08):
        axes.annotate(
            name, (x, y), xytext=(6, 0), textcoords="offset points", va="center", color=REGIMES.get(name, MUTED)
        )
    axes.set_xlabel("rounds from a start without drift")
    axes.set_ylabel("mean drift (MMD2)")
    return figure


def _apart(ends: list[tuple[float, int, str]], factor: float) -> list[tuple[float, int, str]]:
    """Heights of the names at the ends of lines, each at least `factor` times the one below."""
    placed: list[tuple[float, int, str]] = []
    for y, x, name in ends:
        placed.append((max(y, placed[-1][0] * factor) if placed else y, x, name))
    return placed
