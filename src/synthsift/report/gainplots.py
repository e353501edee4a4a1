"""Gains over the real data alone, as points with intervals: of the policies, of classes and of groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synthsift.report import wording
from synthsift.report.canvas import ACCENT, GRID, INK, MUTED, PAPER, WARM, WIDE, label_room
from synthsift.report.lines import MAX_BARS, note_at_end, row_axes, short_name

EVERYTHING = "Everything"
MIN_ROWS = 10


def draw_comparison(report: Mapping[str, Any], width: float) -> Any:
    """One line for each policy: gain over RealOnly in points with its interval; None without gains."""
    rows = [row for row in report["comparison"] if wording.is_number((row["gain"] or {}).get("mean"))]
    if not rows:
        return None
    names = [short_name(row["name"], width) for row in rows]
    left, right = label_room(names, width), 2.35 if width == WIDE else 0.55
    figure, axes = row_axes(names, width, left, right)
    axes.axvline(0, color=MUTED, linewidth=1, zorder=1)
    for y, row in enumerate(rows):
        _draw_gain(axes, y, row)
        tone = ACCENT if row["is_chosen"] else GRID if row["stopped"] else MUTED
        note_at_end(axes, y, _gain_text(row, width), color=MUTED if tone == GRID else tone)
        if width == WIDE and wording.is_number(row["n_splits"]):
            note_at_end(axes, y, f"{row['n_splits']} splits", at=right * 72 - 2, ha="right")
        axes.get_yticklabels()[y].set_color(MUTED if row["stopped"] else ACCENT if row["is_chosen"] else INK)
        axes.get_yticklabels()[y].set_fontweight("bold" if row["is_chosen"] else "normal")
    axes.set_xlim(*_gain_range(rows))
    axes.set_xlabel(f"{wording.points(report['metric'])} over RealOnly")
    return figure


def draw_per_class(report: Mapping[str, Any], width: float) -> Any:
    """One line for each class: gain in recall with its interval."""
    return _draw_subsets(report["per_class"], width, "points of recall over RealOnly")


def draw_per_group(report: Mapping[str, Any], width: float) -> Any:
    """One line for each group of at least `MIN_ROWS` rows: gain in accuracy with its interval."""
    return _draw_subsets(large_groups(report["per_group"]), width, "points of accuracy over RealOnly")


def large_groups(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Groups that have enough rows to say anything of; the smallest ones would fill both ends of a chart by chance."""
    return [row for row in rows if not wording.is_number(row.get("n")) or row["n"] >= MIN_ROWS]


def _draw_subsets(subsets: Sequence[Mapping[str, Any]], width: float, unit: str) -> Any:
    """Gains of parts of the rows, best first; of many only the best and the worst."""
    rows = [row for row in subsets if wording.is_number((row["gain"] or {}).get("mean"))]
    if not rows:
        return None
    rows.sort(key=lambda row: -row["gain"]["mean"])
    if len(rows) > MAX_BARS:
        rows = rows[: MAX_BARS // 2] + rows[-MAX_BARS // 2 :]
    names = [short_name(row["label"], width) for row in rows]
    right = 1.65 if width == WIDE else 0.6
    figure, axes = row_axes(names, width, label_room(names, width), right)
    axes.axvline(0, color=MUTED, linewidth=1, zorder=1)
    for y, row in enumerate(rows):
        gain, tone = row["gain"], subset_tone(row["gain"])
        if wording.is_number(gain.get("low")) and wording.is_number(gain.get("high")):
            axes.plot([gain["low"], gain["high"]], [y, y], color=tone, linewidth=2.2, zorder=2)
        axes.plot(gain["mean"], y, marker="o", markersize=5.5, color=tone, zorder=4)
        note_at_end(axes, y, wording.signed(gain["mean"]), color=tone)
        if width == WIDE and wording.is_number(row.get("n")):
            note_at_end(axes, y, f"{wording.count(row['n'])} row{'s' * (row['n'] != 1)}", at=right * 72 - 2, ha="right")
    axes.set_xlim(*_gain_range([{**row, "stopped": None} for row in rows]))
    axes.set_xlabel(unit)
    return figure


def subset_tone(gain: Mapping[str, Any]) -> str:
    """Color of a gain: shown to be above 0, shown to be below, or neither."""
    if wording.is_number(gain.get("low")) and gain["low"] > 0:
        return ACCENT
    return WARM if wording.is_number(gain.get("high")) and gain["high"] < 0 else MUTED


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
    return f"{mean} {ends}" if ends and width == WIDE else mean


def _gain_range(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Ends of the gain axis; policies stopped early do not count, their few splits give wide intervals."""
    ends = [0.0]
    for row in [row for row in rows if not row["stopped"]] or rows:
        ends += [row["gain"][name] for name in ("low", "mean", "high") if wording.is_number(row["gain"].get(name))]
    reach = max(max(ends) - min(ends), 0.1)
    return min(ends) - 0.06 * reach, max(ends) + 0.06 * reach
