"""Charts with a line for each name: how the lines are placed, named and annotated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synthsift.report import wording
from synthsift.report.canvas import GRID, MUTED, WIDE, new_figure, place_axes

ROW = 0.3  # inches for a line of a chart
MAX_BARS = 24


def row_axes(names: Sequence[str], width: float, left: float, right: float) -> tuple[Any, Any]:
    """A figure with one axes whose lines are called `names`, from the top."""
    height = len(names) * ROW
    figure = new_figure(width, height + 0.65)
    axes = place_axes(figure, left, 0.55, width - left - right, height)
    style_rows(axes, names)
    axes.xaxis.set_major_locator(few_ticks(7 if width == WIDE else 5))
    return figure, axes


def style_rows(axes: Any, names: Sequence[str]) -> None:
    """Lines from the top with their names, a quiet grid, no frame."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x", color=GRID, linewidth=0.6, alpha=0.5)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)


def note_at_end(axes: Any, y: int, text: str, *, at: float = 6.0, color: str = MUTED, ha: str = "left") -> None:
    """A few words right of line `y`, `at` points from the axes."""
    place = {"xy": (1, y), "xycoords": ("axes fraction", "data"), "xytext": (at, 0), "textcoords": "offset points"}
    axes.annotate(text, **place, va="center", ha=ha, color=color)


def few_ticks(n: int = 5) -> Any:
    """At most `n` round ticks."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=n, steps=[1, 2, 2.5, 5, 10])


def short_name(value: Any, width: float) -> str:
    """A name that fits the label column; the longest of our own policies does."""
    return wording.one_line(value, 36 if width == WIDE else 26)
