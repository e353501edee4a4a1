"""A plan as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

ROWS = 10
TITLES = {"none": "no verifier", "yours": "your verifier", "perfect": "perfect verifier"}


def plan_table(report: Mapping[str, Any]) -> Table:
    """Return the table of a mixing or of a collapse plan."""
    return _mixing_table(report) if report["plan"] == "mixing" else _collapse_table(report)


def _mixing_table(report: Mapping[str, Any]) -> Table:
    """Accuracy in percent for some amounts; intervals where something is uncertain."""
    from rich.table import Table

    table = Table(title="Predicted accuracy in %", title_justify="left")
    table.add_column("synthetic rows", justify="right")
    names = [name for name in TITLES if name in report["curves"]]
    for name in names:
        table.add_column(TITLES[name], justify="right")
    for place in _places(report["sizes"], report["target"]["index"]):
        style = "bold" if place == report["target"]["index"] else None
        cells = [_percent(report["curves"][name], place) for name in names]
        table.add_row(f"{report['sizes'][place]:,.0f}", *cells, style=style)
    return table


def _collapse_table(report: Mapping[str, Any]) -> Table:
    """Excess error for some amounts."""
    from rich.table import Table

    table = Table(title="Predicted excess error (mean squared, label noise not included)", title_justify="left")
    for name in ("synthetic\nrows", "pooled", "best weight", "no\nmismatch"):
        table.add_column(name, justify="right")
    curves = report["curves"]
    for place in _places(report["sizes"], report["target"]["index"]):
        style = "bold" if place == report["target"]["index"] else None
        cells = [_error(curves[name], place) for name in ("pooled", "weighted", "perfect")]
        table.add_row(f"{report['sizes'][place]:,.0f}", *cells, style=style)
    return table


def _places(sizes: Sequence[float], target: int) -> list[int]:
    """Places of about ten amounts, the first, the target and the last among them."""
    step = max(1, (len(sizes) - 1) // (ROWS - 1))
    return sorted({0, target, len(sizes) - 1, *range(0, len(sizes), step)})


def _percent(curve: Mapping[str, Any], place: int) -> str:
    mean, low, high = (100 * curve[name][place] for name in ("mean", "low", "high"))
    return f"{mean:.1f}" if high - low < 1e-9 else f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def _error(curve: Mapping[str, Any], place: int) -> str:
    mean, low, high = (curve[name][place] for name in ("mean", "low", "high"))
    sure = high - low < 1e-12 * max(high, 1e-300)
    return f"{mean:.3g}" if sure else f"{mean:.3g} [{low:.3g}, {high:.3g}]"
