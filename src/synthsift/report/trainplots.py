"""Pictures of the meta-training: its curves, and what the trained network goes by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synthsift.report import wording
from synthsift.report.canvas import ACCENT, GRID, MUTED, WARM, WIDE, label_room, new_figure, place_axes
from synthsift.report.lines import MAX_BARS, few_ticks, note_at_end, row_axes

TREND = 0.1  # rank correlation from which a direction is shown
MIN_SHARE, MIN_INPUTS = 0.005, 5  # what rounds to 0 % is folded into one line, unless hardly any input would be left
LONG = 2  # curves, above which their short names stand in one line
TOGETHER = {  # curves that are read beside each other, on a logarithmic scale
    "signal over noise": {"gsnr": "as it is", "gsnr_rows": "noise of rows alone"},
    "rows of a batch": {"batch_rows": "used", "rows_wanted": "wanted", "rows_there": "there are"},
    "trusted rows": {"trusted_rows": "used", "trusted_wanted": "wanted", "trusted_there": "there are"},
}


def draw_importance(report: Mapping[str, Any], width: float) -> Any:
    """One bar for each input of the meta-network: its share of the variance of the log-weights."""
    rows, _ = main_inputs(report["importance"])
    if not rows:
        return None
    names = [wording.title(row["name"])[: 36 if width == WIDE else 20] for row in rows]
    right = 1.95 if width == WIDE else 0.75
    figure, axes = row_axes(names, width, label_room(names, width), right)
    for y, row in enumerate(rows):
        tone = trend_tone(row.get("direction"))
        axes.barh(y, row["share"], height=0.62, color=tone)
        if wording.is_number(row.get("low")) and wording.is_number(row.get("high")):
            axes.plot([row["low"], row["high"]], [y, y], color=GRID, linewidth=1.4)
        note_at_end(axes, y, wording.percent(row["share"], int(row["share"] < 0.01)), color=tone)
        if width == WIDE:
            note_at_end(axes, y, trend_words(row.get("direction")), at=right * 72 - 2, ha="right")
    axes.set_xlim(0, max(1e-6, *(row["share"] for row in rows)) * 1.05)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")  # ticks may lie at 2.5 %
    axes.set_xlabel("share of the spread of the log-weights")
    return figure


def main_inputs(importance: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], str]:
    """Return the inputs that matter, and what is to be said of the others.

    Parameters
    ----------
    importance : sequence of dict
        ``name`` and ``share`` of each input, highest first.

    Returns
    -------
    rows : list of dict
        At most `MAX_BARS` inputs: those with a share of at least `MIN_SHARE`, and the first `MIN_INPUTS` in any case.
    rest : str
        Such as "13 further inputs of 0.5 % at most"; "" when nothing is left out.
    """
    known = [row for row in importance if wording.is_number(row.get("share"))]
    num = max(MIN_INPUTS, sum(row["share"] >= MIN_SHARE for row in known))
    rows, rest = known[: min(num, MAX_BARS)], known[min(num, MAX_BARS) :]
    if not rest:
        return rows, ""
    most = wording.percent(max(row["share"] for row in rest), 1)
    return rows, f"{len(rest)} further input{'s' * (len(rest) > 1)} of {most} at most"


def share_words(importance: Sequence[Mapping[str, Any]]) -> str:
    """Say what all shares sum to, and why that is not 100 %; "" where none is known."""
    known = [row["share"] for row in importance if wording.is_number(row.get("share"))]
    if not known:
        return ""
    return (
        f"all shares together are {wording.percent(sum(known))}. Inputs that say the same hide one another, for while "
        "one is shuffled the others still tell it, and the sum stays below 100 %; inputs that act only together each "
        "get the credit for both, and it goes above"
    )


def trend_tone(direction: Any) -> str:
    """Color of an input: higher values get more weight, less weight, or neither."""
    if not wording.is_number(direction) or abs(direction) < TREND:
        return MUTED
    return ACCENT if direction > 0 else WARM


def trend_words(direction: Any) -> str:
    """The same in words; "" where nothing can be said."""
    if not wording.is_number(direction):
        return ""
    if abs(direction) < TREND:
        return "no clear trend"
    return "higher, more weight" if direction > 0 else "higher, less weight"


def draw_history(report: Mapping[str, Any], width: float) -> Any:
    """A panel for the losses and one for every other curve of the meta-training."""
    history = report["history"]
    panels = _history_panels(history["curves"]) if history else []
    if not panels:
        return None
    from matplotlib.ticker import SymmetricalLogLocator

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
            axes.plot(
                *zip(*known, strict=True), color=tone, linestyle=style, linewidth=1.4, label=label_of(title, name)
            )
        if title in TOGETHER and any(value for _, values in curves for value in values):
            axes.set_yscale("symlog", linthresh=1.0)  # a ratio may be 0
            axes.yaxis.set_major_formatter(  # powers would need signs of mathematics
                lambda value, _: f"{value:g}" if value < 1e6 else f"{value / 1e6:,g}M"
            )
            axes.margins(y=0.1)
            low, high = max(axes.get_ylim()[0], 0), axes.get_ylim()[1]
            decades = SymmetricalLogLocator(base=10, linthresh=1.0)
            decades.set_params(numticks=5)
            axes.yaxis.set_major_locator(decades)
            room = 0.3 * (1 if len(curves) > LONG else len(curves))  # above, for each line of the legend
            axes.set_ylim(low, high * (max(high, 10) / max(low, 1)) ** room)
        axes.tick_params(labelcolor=MUTED)
        axes.grid(axis="y", color=GRID, linewidth=0.6, alpha=0.5)
        axes.set_title(title if len(curves) > 1 else wording.title(curves[0][0]), pad=6)
        axes.xaxis.set_major_locator(few_ticks(4))
        if axes.get_yscale() == "linear":
            axes.yaxis.set_major_locator(few_ticks(4))
        if len(curves) > 1:
            beside: dict[str, Any] = {"ncols": len(curves), "columnspacing": 0.7, "handletextpad": 0.4}
            legend = axes.legend(
                frameon=False, handlelength=1.2, borderpad=0, labelcolor=MUTED, **(beside if len(curves) > LONG else {})
            )
            if axes.get_yscale() != "linear":
                legend.set_loc("upper right")
    return figure


def label_of(title: str, name: str) -> str:
    """Name of a curve in the panel with this title."""
    return TOGETHER.get(title, {}).get(name, wording.title(name))


def _history_panels(curves: Mapping[str, Sequence[Any]]) -> list[tuple[str, list[tuple[str, Sequence[Any]]]]]:
    """At most three losses in one panel, some curves together, at most eight others in one each; no empty ones."""
    filled = {name: values for name, values in curves.items() if any(value is not None for value in values)}
    losses = [(name, values) for name, values in filled.items() if "loss" in name][:3]
    joint = {title: [(name, filled.pop(name)) for name in names if name in filled] for title, names in TOGETHER.items()}
    others = [(name, [(name, values)]) for name, values in filled.items() if "loss" not in name][:8]
    together = [(title, found) for title, found in joint.items() if found]
    return ([("losses", losses)] if losses else []) + together + others
