"""The pictures of a report, each drawn from the report's dictionary for a wide page and for a narrow one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    label_room,
    new_figure,
    place_axes,
    theme,
    to_svg,
)
from synthsift.report.plan_figures import draw_what_if

EVERYTHING = "Everything"
ROW = 0.3  # inches for a line of a chart
MAX_BARS = 24


def draw_figures(report: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Draw every picture that the report has the numbers for.

    Parameters
    ----------
    report : dict
        From `collect`.

    Returns
    -------
    dict
        Name -> {"wide": svg, "narrow": svg}, for ``comparison``, ``per_class``, ``kept``, ``weights``, ``history``,
        ``what_if``.
    """
    drawers: dict[str, tuple[str, Callable[[Mapping[str, Any], float], Any]]] = {
        "comparison": ("Gain of every policy over real data alone, with 95 % intervals", draw_comparison),
        "per_class": ("Gain or harm for each class", draw_per_class),
        "kept": ("Share of synthetic rows kept, by source and by class", draw_kept),
        "weights": ("Distribution of the weights in each source", draw_weights),
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


def draw_comparison(report: Mapping[str, Any], width: float) -> Any:
    """One line for each policy: gain over RealOnly in points with its interval; None without gains."""
    rows = [row for row in report["comparison"] if wording.is_number((row["gain"] or {}).get("mean"))]
    if not rows:
        return None
    names = [_name(row["name"], width) for row in rows]
    left, right = label_room(names, width), 2.35 if width == WIDE else 0.55
    figure, axes = _row_axes(names, width, left, right)
    axes.axvline(0, color=MUTED, linewidth=1, zorder=1)
    for y, row in enumerate(rows):
        _draw_gain(axes, y, row)
        tone = ACCENT if row["is_chosen"] else GRID if row["stopped"] else MUTED
        _note_at_end(axes, y, _gain_text(row, width), color=MUTED if tone == GRID else tone)
        if width == WIDE and wording.is_number(row["n_splits"]):
            _note_at_end(axes, y, f"{row['n_splits']} splits", at=right * 72 - 2, ha="right")
        axes.get_yticklabels()[y].set_color(MUTED if row["stopped"] else ACCENT if row["is_chosen"] else INK)
        axes.get_yticklabels()[y].set_fontweight("bold" if row["is_chosen"] else "normal")
    axes.set_xlim(*_gain_range(rows))
    axes.set_xlabel(f"points of {wording.title(report['metric'])} over RealOnly")
    return figure


def draw_per_class(report: Mapping[str, Any], width: float) -> Any:
    """One bar for each class: recall of the verdict's policy minus recall of RealOnly, in points."""
    rows = [
        {"label": row.get("label"), "n": row.get("n"), "gain": row["policy"] - row["real_only"]}
        for row in report["per_class"]
        if wording.is_number(row.get("policy")) and wording.is_number(row.get("real_only"))
    ]
    if not rows:
        return None
    rows.sort(key=lambda row: -row["gain"])
    if len(rows) > MAX_BARS:
        rows = rows[: MAX_BARS // 2] + rows[-MAX_BARS // 2 :]
    names = [_name(row["label"], width) for row in rows]
    figure, axes = _row_axes(names, width, label_room(names, width), 0.9)
    axes.axvline(0, color=MUTED, linewidth=1, zorder=3)
    gains = [row["gain"] for row in rows]
    axes.barh(range(len(rows)), gains, height=0.62, color=[ACCENT if gain >= 0 else WARM for gain in gains])
    for y, row in enumerate(rows):
        _note_at_end(axes, y, wording.signed(row["gain"]))
    _widen(axes, gains)
    axes.set_xlabel("points of recall over RealOnly")
    return figure


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
        names = [_name(row["name"], NARROW) for row in rows]
        room = label_room(names, NARROW)
        start = i * (column + 0.3) if is_wide else 0.0
        axes = place_axes(figure, start + room, top - heights[i] + 0.4, column - room - 0.62, len(rows) * ROW)
        _style_rows(axes, names)
        axes.barh(range(len(rows)), [row["rows"] for row in rows], height=0.62, color=GRID, alpha=0.55)
        axes.barh(range(len(rows)), [row["kept"] for row in rows], height=0.62, color=ACCENT)
        for y, row in enumerate(rows):
            _note_at_end(axes, y, wording.percent(row["kept"] / row["rows"]))
        axes.set_title(title, pad=6)
        axes.xaxis.set_major_locator(_few_ticks())
        if not is_wide:
            top -= heights[i]
    return figure


def draw_weights(report: Mapping[str, Any], width: float) -> Any:
    """A small histogram for each source: the verdict's weight and, beside it, the learned weight."""
    weights = report["weights"]
    if not weights:
        return None
    titles = {"weight": "weight of the verdict", "learned_weight": "learned weight"}
    is_wide = width == WIDE
    names = [row["name"] for row in next(iter(weights.values()))["sources"]][:MAX_BARS]
    labels = [_name(name, NARROW) for name in names]
    room = label_room(labels, NARROW)
    tall, panel_height = 0.46, len(names) * 0.46
    column = (width - room - 0.4) / 2 if is_wide else width - room
    height = (panel_height + 0.85) * (1 if is_wide else len(weights))
    figure = new_figure(width, height)
    for i, (kind, histogram) in enumerate(weights.items()):
        start = room + (i * (column + 0.4) if is_wide else 0)
        bottom = 0.4 if is_wide else height - (i + 1) * (panel_height + 0.85) + 0.4
        axes = place_axes(figure, start, bottom, column - 0.85, len(names) * tall)
        _style_rows(axes, labels if i == 0 or not is_wide else [""] * len(names))
        _draw_ridges(axes, histogram, names)
        axes.set_title(titles[kind], pad=6)
        axes.xaxis.set_major_locator(_few_ticks())
    return figure


def draw_history(report: Mapping[str, Any], width: float) -> Any:
    """A panel for the losses and one for every other curve of the meta-training."""
    history = report["history"]
    panels = _history_panels(history["curves"]) if history else []
    if not panels:
        return None
    num_columns = 3 if width == WIDE else 1
    num_rows = -(-len(panels) // num_columns)
    cell_width, cell_height = width / num_columns, 1.75
    figure = new_figure(width, num_rows * cell_height)
    for i, (title, curves) in enumerate(panels):
        line, column = divmod(i, num_columns)
        axes = place_axes(
            figure,
            column * cell_width + 0.55,
            (num_rows - 1 - line) * cell_height + 0.35,
            cell_width - 0.75,
            cell_height - 0.75,
        )
        for tone, style, (name, values) in zip((ACCENT, WARM, MUTED), ("-", "--", ":"), curves, strict=False):
            known = [(s, v) for s, v in zip(history["step"], values, strict=True) if v is not None]
            axes.plot(*zip(*known, strict=True), color=tone, linestyle=style, linewidth=1.4, label=wording.title(name))
        axes.tick_params(labelcolor=MUTED)
        axes.grid(axis="y", color=GRID, linewidth=0.6, alpha=0.5)
        axes.set_title(title if len(curves) > 1 else wording.title(curves[0][0]), pad=6)
        axes.xaxis.set_major_locator(_few_ticks(4))
        axes.yaxis.set_major_locator(_few_ticks(4))
        if len(curves) > 1:
            axes.legend(frameon=False, handlelength=1.6, borderpad=0, labelcolor=MUTED)
    return figure


def _history_panels(curves: Mapping[str, Sequence[Any]]) -> list[tuple[str, list[tuple[str, Sequence[Any]]]]]:
    """At most three losses in one panel, at most eight other curves in one each; empty ones are left out."""
    filled = {name: values for name, values in curves.items() if any(value is not None for value in values)}
    losses = [(name, values) for name, values in filled.items() if "loss" in name][:3]
    others = [(name, [(name, values)]) for name, values in filled.items() if "loss" not in name][:8]
    return ([("losses", losses)] if losses else []) + others


def _draw_gain(axes: Any, y: int, row: Mapping[str, Any]) -> None:
    """Interval and mean of one policy."""
    tone = GRID if row["stopped"] else ACCENT if row["is_chosen"] else MUTED
    gain = row["gain"]
    if row["is_chosen"]:
        axes.axhspan(y - 0.5, y + 0.5, color=ACCENT, alpha=0.09, linewidth=0, zorder=0)
    if wording.is_number(gain.get("low")) and wording.is_number(gain.get("high")):
        axes.plot([gain["low"], gain["high"]], [y, y], color=tone, linewidth=4 if row["is_chosen"] else 2.2, zorder=2)
    is_everything = row["name"] == EVERYTHING
    axes.plot(
        gain["mean"],
        y,
        marker="D" if is_everything else "o",
        markersize=7 if row["is_chosen"] or is_everything else 5.5,
        color=PAPER if is_everything else tone,
        markeredgecolor=tone if not is_everything else INK,
        markeredgewidth=1.6 if is_everything else 1.0,
        zorder=4,
    )


def _gain_text(row: Mapping[str, Any], width: float) -> str:
    """What stands right of a policy's line."""
    mean, ends = wording.signed(row["gain"]["mean"]), wording.interval(row["gain"])
    return f"{mean} [{ends.replace(' to ', ', ')}]" if ends and width == WIDE else mean


def _gain_range(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Ends of the gain axis; policies stopped early do not count, their few splits give wide intervals."""
    ends = [0.0]
    for row in [row for row in rows if not row["stopped"]] or rows:
        ends += [row["gain"][name] for name in ("low", "mean", "high") if wording.is_number(row["gain"].get(name))]
    reach = max(max(ends) - min(ends), 0.1)
    return min(ends) - 0.06 * reach, max(ends) + 0.06 * reach


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
            _note_at_end(axes, y, f"{wording.percent(rows[name]['zero'] / rows[name]['rows'])} at 0")
    axes.set_xlim(0, edges[-1])
    axes.spines["left"].set_visible(False)


def _row_axes(names: Sequence[str], width: float, left: float, right: float) -> tuple[Any, Any]:
    """A figure with one axes whose lines are called `names`, from the top."""
    height = len(names) * ROW
    figure = new_figure(width, height + 0.65)
    axes = place_axes(figure, left, 0.55, width - left - right, height)
    _style_rows(axes, names)
    axes.xaxis.set_major_locator(_few_ticks(7 if width == WIDE else 5))
    return figure, axes


def _style_rows(axes: Any, names: Sequence[str]) -> None:
    """Lines from the top with their names, a quiet grid, no frame."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x", color=GRID, linewidth=0.6, alpha=0.5)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)


def _note_at_end(axes: Any, y: int, text: str, *, at: float = 6.0, color: str = MUTED, ha: str = "left") -> None:
    """A few words right of line `y`, `at` points from the axes."""
    place = {"xy": (1, y), "xycoords": ("axes fraction", "data"), "xytext": (at, 0), "textcoords": "offset points"}
    axes.annotate(text, **place, va="center", ha=ha, color=color)


def _widen(axes: Any, values: Sequence[float]) -> None:
    """Axis from the lowest to the highest value and zero, with a margin."""
    low, high = min(0.0, *values), max(0.0, *values)
    margin = 0.06 * max(high - low, 0.1)
    axes.set_xlim(low - margin if low < 0 else 0, high + margin if high > 0 or low == 0 else 0)


def _few_ticks(n: int = 5) -> Any:
    """At most `n` round ticks."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=n, steps=[1, 2, 2.5, 5, 10])


def _name(value: Any, width: float) -> str:
    """A name that fits the label column."""
    return wording.one_line(value, 36 if width == WIDE else 20)
