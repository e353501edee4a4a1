"""The last thing a run says: the comparison as a table or as plain lines, the test rows, and what was found."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synthsift.records import Outcome
from synthsift.report import wording
from synthsift.report.reasons import claims_beside_test, doubted_sources

if TYPE_CHECKING:
    from rich.console import Group

HEADINGS = ("policy", "gain", "95 % interval", "log-loss", "splits", "")
REFERENCE, EVERYTHING = "RealOnly", "Everything"
SEVERITIES = ("error", "warning", "note")
MAX_FINDINGS = 4
LEGEND = "~ log-loss cannot tell it from the best; the verdict is the simplest of these"


def closing_table(summary: Mapping[str, Any]) -> Group:
    """Return the comparison as a table that fits 80 columns: the verdict's policy in bold, then the best gain first.

    Parameters
    ----------
    summary : dict
        Content of summary.json.
    """
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for i, heading in enumerate(HEADINGS):
        table.add_column(Text(heading), justify="left" if i in (0, 5) else "right", overflow="fold")
    for row, cells in _rows(summary):
        style = (
            "bold" if row["name"] == summary["verdict"]["policy"] else "dim" if row["name"] in _stopped(summary) else ""
        )
        table.add_row(*(Text(cell) for cell in cells), style=style)
    legend = [Text(line, style="dim") for line in _legend(summary)]
    return Group(Text(_title(summary), style="dim"), table, *legend)  # a table's own title would be as narrow as it


def closing_text(summary: Mapping[str, Any]) -> str:
    """Return the same as aligned plain lines, for a pipe or a log."""
    lines = [list(HEADINGS), *(cells for _, cells in _rows(summary))]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
    text = [
        "  ".join(
            cell.ljust(width) if i in (0, 5) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([_title(summary), *text, *_legend(summary)])


def closing_notes(summary: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what stands under the verdict's sentence: doubted sources, test rows, learned weights, worst findings.

    Parameters
    ----------
    summary : dict
        Content of summary.json.
    findings : sequence of dict
        Entries of findings.json, worst first.

    Returns
    -------
    list of str
        At most 7 + `MAX_FINDINGS` lines of plain ASCII signs as far as the names of the user are.
    """
    test = _test_line(summary)
    counts = Counter(str(finding["severity"]) for finding in findings)
    told = [f"{counts[name]} {name}{'s' * (counts[name] > 1)}" for name in SEVERITIES if counts[name]]
    bad = [finding for finding in findings if finding["severity"] in SEVERITIES[:2]]
    worst = [f"  {str(f['severity']).upper()} {f['code']} {wording.one_line(f['title'], 60)}" for f in bad]
    if len(worst) > MAX_FINDINGS:
        worst = [*worst[: MAX_FINDINGS - 1], f"  and {len(worst) - MAX_FINDINGS + 1} more"]
    head = f"Findings: {', '.join(told)}; the report says what to do." if told else "Findings: none."
    learned = _learned_line(summary.get("diagnostics") or {})
    told = [line for line in (test, learned) if line]
    return [*doubted_sources(summary["verdict"], findings), *told, head, *worst]


def _learned_line(diagnostics: Mapping[str, Any]) -> str:
    """How the learned weights were trained, whatever the verdict; "" where they took no part."""
    if diagnostics.get("learned_outcome") == Outcome.alike.value:
        return "Learned weights: the real rows never told one row from another, so nothing was learned."
    if diagnostics.get("temper") == 0:
        return "Learned weights: all rows weigh alike, as real rows that had no part in them saw no gain from others."
    names = ("effective_batch", "batch_rows", "mean_weight", "largest_share", "gsnr")
    if not all(wording.is_number(diagnostics.get(name)) for name in names):
        return ""
    batch, rows, mean, largest, ratio = (diagnostics[name] for name in names)
    told = (
        f"Learned weights, before any power: effective batch {batch:,.0f} of {rows:,.0f} rows, mean weight {mean:.2g}, "
        f"largest share {100 * largest:.2g} %; "
    )
    lost = diagnostics.get("gsnr_lost")
    told += f"before step {wording.count(lost)}, " if wording.is_number(lost) else "while they moved, "
    if ratio >= 1:
        times = f"{float(f'{ratio:.2g}'):,.0f}" if ratio >= 10 else f"{ratio:.2g}"
        told += f"the signal of the trusted rows outweighed its noise {times} times"
        return f"{told}, and then no more, although they still moved." if wording.is_number(lost) else f"{told}."
    heard = "no signal of the trusted rows showed" if ratio == 0 else f"signal was {ratio:.2g} times the noise"
    advice = wording.one_line(diagnostics.get("noise_advice") or "", 200)
    return f"{told}{heard}{advice and ': '}{advice[:1].lower()}{advice[1:]}."


def _test_line(summary: Mapping[str, Any]) -> str:
    """The verdict's policy and the real rows alone (of the real rows alone: and everything) on the test rows."""
    chosen = summary["verdict"]["policy"]
    metric = _metric(summary)
    values = {row["name"]: row["value"] for row in summary.get("test") or [] if row["metric"] == metric}
    names = [name for name in (chosen, EVERYTHING if chosen == REFERENCE else REFERENCE) if name in values]
    if not names:
        return ""
    told = [f"{wording.one_line(name, 40)} {wording.measured(values[name], metric)}" for name in names]
    num = (summary.get("data") or {}).get("num_test")
    beside = claims_beside_test(summary["verdict"], summary.get("test") or [], num).replace(wording.MINUS, "-")
    return f"On {wording.count(num)} test rows, {wording.title(metric)}: {', '.join(told)}. {beside}".strip()


def _title(summary: Mapping[str, Any]) -> str:
    """What the numbers are, and why the verdict's own gain is another one."""
    points = wording.points(_metric(summary)).capitalize()
    return (
        f"{points} over {REFERENCE}, each as if it alone were tried\n"
        "(the verdict's own gain, below, is corrected for having been chosen):"
    )


def _legend(summary: Mapping[str, Any]) -> list[str]:
    """What stands under the table."""
    balanced = [wording.BALANCED_LOSS] if summary.get("balanced_loss") is True else []
    if summary.get("balanced_training") is True:
        balanced.append(wording.BALANCED_TRAINING)
    return balanced + ([LEGEND] if _rivals(summary) else [])


def _metric(summary: Mapping[str, Any]) -> str:
    """Name of the metric that the verdict is in."""
    return (summary["verdict"].get("gain") or {}).get("metric") or summary.get("metric") or "the metric"


def _stopped(summary: Mapping[str, Any]) -> Mapping[str, Any]:
    """Policies that racing stopped early, with the reason."""
    return summary.get("stopped") or {}


def _rivals(summary: Mapping[str, Any]) -> set[str]:
    """Other policies that cannot be told from the best; none where the verdict's is not one of these, as for copies."""
    near = {row["name"] for row in summary.get("comparison") or [] if row.get("near")}
    chosen = summary["verdict"]["policy"]
    return near - {chosen} if chosen in near else set()


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
    note = ""
    if row["name"] == summary["verdict"]["policy"]:
        note = "<- verdict"
    elif row["name"] in _rivals(summary):
        note = "~"
    if row["name"] in _stopped(summary):
        note = "stopped" if row.get("n_splits") else "left out"  # the reason, in the report, would break the lines
    cells = [
        wording.one_line(row["name"], 40),
        wording.signed(gain.get("mean")),
        wording.interval(gain),
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
