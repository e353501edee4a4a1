"""The last thing a run says on the terminal: the sentence and the comparison, as a table or as plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synthsift.report import wording

if TYPE_CHECKING:
    from rich.table import Table

HEADINGS = ("policy", "gain", "95 % interval", "log-loss", "splits", "")
REFERENCE = "RealOnly"


def closing_table(summary: Mapping[str, Any]) -> Table:
    """Return the comparison as a table that fits 80 columns: the verdict's policy in bold, then the best gain first.

    Parameters
    ----------
    summary : dict
        Content of summary.json.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim", title=Text(_title(summary)), title_justify="left")
    table.title_style = "dim"
    for i, heading in enumerate(HEADINGS):
        table.add_column(Text(heading), justify="left" if i in (0, 5) else "right", overflow="fold")
    for row, cells in _rows(summary):
        style = (
            "bold" if row["name"] == summary["verdict"]["policy"] else "dim" if row["name"] in _stopped(summary) else ""
        )
        table.add_row(*(Text(cell) for cell in cells), style=style)
    return table


def closing_text(summary: Mapping[str, Any]) -> str:
    """Return the verdict's sentence and the comparison as aligned plain lines, for a pipe or a log."""
    lines = [list(HEADINGS), *(cells for _, cells in _rows(summary))]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
    text = [
        "  ".join(
            cell.ljust(width) if i in (0, 5) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([wording.one_line(summary["verdict"]["sentence"]), "", _title(summary), *text])


def _title(summary: Mapping[str, Any]) -> str:
    """What the numbers are, and why the verdict's own gain is another one."""
    metric = (summary["verdict"].get("gain") or {}).get("metric") or summary.get("metric") or "the metric"
    return f"Points of {wording.title(metric)} over {REFERENCE}, before correcting for choice:"


def _stopped(summary: Mapping[str, Any]) -> Mapping[str, Any]:
    """Policies that racing stopped early, with the reason."""
    return summary.get("stopped") or {}


def _rows(summary: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], list[str]]]:
    """Rows of the comparison with their printed cells: the verdict's, then best gain first, stopped policies last."""
    stopped, chosen = _stopped(summary), summary["verdict"]["policy"]

    def rank(row: Mapping[str, Any]) -> tuple[bool, bool, float]:
        """Place in the table, lowest first."""
        gain = _number((row.get("gain") or {}).get("mean"), -1e9)
        return (row["name"] != chosen, row["name"] in stopped, -gain)

    compared = list(summary.get("comparison") or [])
    left_out = [{"name": name} for name in stopped if name not in {row["name"] for row in compared}]
    rows = sorted([*compared, *left_out], key=rank)
    return [(row, _cells(row, summary)) for row in rows]


def _cells(row: Mapping[str, Any], summary: Mapping[str, Any]) -> list[str]:
    """One policy's printed cells; plain ASCII signs, because a pipe may know no others."""
    gain = row.get("gain") or {}
    note = "<- verdict" if row["name"] == summary["verdict"]["policy"] else ""
    if row["name"] in _stopped(summary):
        note = "stopped" if row.get("n_splits") else "left out"  # the reason, in the report, would break the lines
    cells = [
        wording.one_line(row["name"], 40),
        wording.signed(gain.get("mean")),
        "" if row["name"] == REFERENCE else wording.interval(gain),
        wording.measured(row.get("log_loss"), "log_loss"),
        wording.count(row.get("n_splits")),
    ]
    return [cell.replace(wording.MINUS, "-").replace(wording.UNKNOWN, "-") for cell in cells] + [note]


def _number(value: Any, default: float) -> float:
    """`value` when it is a number, else `default`."""
    return float(value) if wording.is_number(value) else default


def finding_lines(finding: Mapping[str, Any], width: int) -> list[str]:
    """Return a finding as lines of at most `width` characters: severity, code and title, then three paragraphs.

    Parameters
    ----------
    finding : dict
        An entry of findings.json.
    width : int
    """
    lines = [f"{finding['severity'].upper()} {finding['code']} {wording.one_line(finding['title'])}"]
    for name, key in (("Seen", "seen"), ("Why", "why"), ("Do", "advice")):
        indent = " " * 8
        text = textwrap.wrap(wording.one_line(finding[key]), width, initial_indent=indent, subsequent_indent=indent)
        lines += [f"  {name:<6}{text[0].strip()}", *text[1:]] if text else []
    return lines
