"""The two figures of docs/results/drift.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.drift_cases import LEVEL
from synthsift.studies.reproduction import COLORS, label_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_paths(figure: Figure, loops: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Drift by generation, one panel a world and kind; bars: the forecast interval, of the first seed."""
    places = list(loops.groupby(["world", "kind"]).groups)
    panels = figure.subplots(2, 3, squeeze=False).ravel()
    for panel in panels[len(places) :]:
        panel.set_axis_off()
    for panel, (world, kind) in zip(panels, places, strict=False):
        part = loops[(loops["world"] == world) & (loops["kind"] == kind)]
        for color, (alpha, lines) in zip(COLORS, part.groupby("alpha"), strict=False):
            for seed, line in lines.groupby("seed"):
                is_first = seed == part["seed"].min()
                panel.plot(line["generation"], line["drift"], color=color, linewidth=1.5 if is_first else 0.5, label=f"{alpha:g}" if is_first else None)  # fmt: skip
            made = rows[(rows["world"] == world) & (rows["kind"] == kind) & (rows["alpha"] == alpha)].iloc[0]
            x = 10.4 + 3 * alpha / 2
            panel.plot([x, x], [made["low"], made["high"]], color=color, linewidth=2.5, alpha=0.5)
            panel.plot([x], [made["forecast"]], "o", color=color, markersize=4)
        label_axes(panel, f"{world}, {kind}", "generation", "drift (MMD2)")
        panel.axvline(4, color="#555555", linewidth=0.7, linestyle=":")
        panel.set_ylim(bottom=0)
        panel.set_xticks(range(0, 11, 2))
        panel.legend(title="fresh", fontsize=6.5, title_fontsize=6.5)


def draw_forecasts(figure: Figure, rows: pd.DataFrame) -> None:
    """Forecast with its interval against what was measured."""
    axes = figure.subplots()
    least = 0.5 * float(np.minimum(rows["truth"], rows["forecast"])[rows["truth"] > 0].min())
    for color, (world, part) in zip(COLORS, rows.groupby("world"), strict=False):
        for kind, mark in (("replace", "o"), ("accumulate", "^")):
            some = part[part["kind"] == kind]
            if len(some):
                bars = np.abs(
                    np.array([some["forecast"] - np.maximum(some["low"], least), some["high"] - some["forecast"]])
                )
                axes.errorbar(some["truth"], some["forecast"], yerr=bars, fmt=mark, color=color, elinewidth=0.6, markersize=4, label=f"{world}, {kind}")  # fmt: skip
    ends = [least, 1.5 * float(rows["truth"].max())]
    axes.plot(ends, ends, color="#555555", linewidth=0.8)
    label_axes(
        axes, "Drift of generation 10, forecast at 4", "measured", f"forecast, {100 * LEVEL:.0f} % interval", logs="xy"
    )
    axes.legend()
