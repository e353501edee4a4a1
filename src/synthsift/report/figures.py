"""The pictures of a report, each drawn from the report's dictionary for a wide page and for a narrow one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from synthsift.records import REAL
from synthsift.report import wording
from synthsift.report.canvas import (
    ACCENT,
    GRID,
    MUTED,
    NARROW,
    WIDE,
    label_room,
    new_figure,
    place_axes,
    theme,
    to_svg,
)
from synthsift.report.gainplots import draw_comparison, draw_per_class, draw_per_group
from synthsift.report.lines import MAX_BARS, ROW, few_ticks, note_at_end, short_name, style_rows
from synthsift.report.plan_figures import draw_what_if
from synthsift.report.trainplots import draw_history, draw_importance


def draw_figures(report: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Draw every picture that the report has the numbers for.

    Parameters
    ----------
    report : dict
        From `collect`.

    Returns
    -------
    dict
        Name -> {"wide": svg, "narrow": svg}, for ``comparison``, ``per_class``, ``per_group``, ``kept``, ``weights``,
        ``importance``, ``history``, ``what_if``.
    """
    drawers: dict[str, tuple[str, Callable[[Mapping[str, Any], float], Any]]] = {
        "comparison": ("Gain of every policy over real data alone, with 95 % intervals", draw_comparison),
        "per_class": ("Gain or harm for each class", draw_per_class),
        "per_group": ("Gain or harm for each group", draw_per_group),
        "kept": ("Share of synthetic rows kept, by source and by class", draw_kept),
        "weights": ("Distribution of the weights in each source", draw_weights),
        "importance": ("What the meta-network goes by", draw_importance),
        "history": ("Curves of the meta-training", draw_history),
        "what_if": ("Predicted accuracy against the number of synthetic rows", draw_what_if),
    }
    figures: dict[str, dict[str, str]] = {}
    for name, (title, draw) in drawers.items():
        for form, width, size in (("wide", WIDE, 9.0), ("narrow", NARROW, 8.5)):
            with theme(size):
                figure = draw(report, width)
                if figure is not None:
                    figures.setdefault(name, {})[form] = to_svg(figure, f"{name}-{form}", title)
    return figures


def draw_kept(report: Mapping[str, Any], width: float) -> Any:
    """Two groups of bars, sources and classes: rows there are (pale) and rows kept (full)."""
    kept = report["kept"]
    if not kept or not kept["sources"]:
        return None
    groups = [
        ("by source", [{"name": row["name"], **row} for row in kept["sources"]]),
        ("by class", [{"name": row["label"], **row} for row in kept["classes"] if row["rows"]]),
    ]
    groups = [(title, sorted(rows, key=lambda row: -row["rows"])[:MAX_BARS]) for title, rows in groups if rows]
    is_wide = width == WIDE
    column = (width - 0.3) / 2 if is_wide else width
    heights = [len(rows) * ROW + 0.85 for _, rows in groups]
    height = max(heights) if is_wide else sum(heights)
    figure = new_figure(width, height)
    top = height
    for i, (title, rows) in enumerate(groups):
        names = [short_name(row["name"], NARROW) for row in rows]
        room = label_room(names, NARROW)
        start = i * (column + 0.3) if is_wide else 0.0
        axes = place_axes(figure, start + room, top - heights[i] + 0.4, column - room - 0.62, len(rows) * ROW)
        style_rows(axes, names)
        axes.barh(range(len(rows)), [row["rows"] for row in rows], height=0.62, color=GRID, alpha=0.55)
        axes.barh(range(len(rows)), [row["kept"] for row in rows], height=0.62, color=ACCENT)
        for y, row in enumerate(rows):
            note_at_end(axes, y, wording.percent(row["kept"] / row["rows"]))
        axes.set_title(title, pad=6)
        axes.xaxis.set_major_locator(few_ticks())
        if not is_wide:
            top -= heights[i]
    return figure


def draw_weights(report: Mapping[str, Any], width: float) -> Any:
    """A small histogram for each source: the verdict's weight and, beside it, the learned weight."""
    weights = {kind: histogram for kind, histogram in (report["weights"] or {}).items() if _has_synthetic(histogram)}
    if not weights:
        return None
    titles = {"weight": "weight of the verdict", "learned_weight": "learned weight"}
    is_wide = width == WIDE
    names = [row["name"] for row in next(iter(weights.values()))["sources"]][:MAX_BARS]
    labels = [short_name(name, NARROW) for name in names]
    room = label_room(labels, NARROW)
    tall, panel_height = 0.46, len(names) * 0.46
    column = (width - room - 0.4) / 2 if is_wide else width - room
    height = (panel_height + 0.85) * (1 if is_wide else len(weights))
    figure = new_figure(width, height)
    for i, (kind, histogram) in enumerate(weights.items()):
        start = room + (i * (column + 0.4) if is_wide else 0)
        bottom = 0.4 if is_wide else height - (i + 1) * (panel_height + 0.85) + 0.4
        axes = place_axes(figure, start, bottom, column - 0.85, len(names) * tall)
        style_rows(axes, labels if i == 0 or not is_wide else [""] * len(names))
        _draw_ridges(axes, histogram, names)
        axes.set_title(titles[kind], pad=6)
        axes.xaxis.set_major_locator(few_ticks())
    return figure


def _has_synthetic(histogram: Mapping[str, Any]) -> bool:
    """Whether any synthetic row has weight; of the real rows alone there is no distribution to see."""
    return any(any(row["counts"]) for row in histogram["sources"] if row["name"] != REAL)


def _draw_ridges(axes: Any, histogram: Mapping[str, Any], names: Sequence[str]) -> None:
    """One filled histogram on each line, each as high as its line; how many rows have weight 0 beside it."""
    edges = histogram["edges"]
    rows = {row["name"]: row for row in histogram["sources"]}
    for y, name in enumerate(names):
        counts = rows[name]["counts"]
        top = max(max(counts), 1)
        tone = MUTED if y == 0 else ACCENT
        heights = [y + 0.5 - 0.86 * value / top for value in counts]
        axes.stairs(heights, edges, baseline=y + 0.5, fill=True, color=tone, alpha=0.75, linewidth=0)
        axes.plot(edges[:: len(edges) - 1], [y + 0.5, y + 0.5], color=GRID, linewidth=0.8)
        if rows[name]["zero"]:
            note_at_end(axes, y, f"{wording.percent(rows[name]['zero'] / rows[name]['rows'])} at 0")
    axes.set_xlim(0, edges[-1])
    axes.spines["left"].set_visible(False)
