"""What `synthsift drift` says on a terminal: a line a generation, what is lost, and the sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from synthsift.report import wording

HEADINGS = ("generation", "rows", "fresh", "drift (MMD2)", "95 % interval", "p", "coverage", "lost most")
LEFT = (0, 7)


def drift_text(record: Mapping[str, Any]) -> str:
    """Return the table, the findings in one line each, and the verdict's sentence.

    Parameters
    ----------
    record : dict
        Content of drift.json.
    """
    lines = [HEADINGS, *(_cells(generation) for generation in record["generations"])]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
    text = [
        "  ".join(c.ljust(w) if i in LEFT else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]
    alarms = record["alarms"]
    text.append("")
    above = f" and drift proven above the target {small(alarms['tolerated'])}" if alarms["tolerated"] else ""
    text.append(
        f"* alarm: p at most {alarms['level']:.2g}{above}, so that {alarms['horizon']} quiet generations give one with "
        f"probability {wording.percent(alarms['rate'])} at most"
    )
    if record.get("accumulate"):
        text.append("Training sets keep the rows of all rounds: fresh is the real share of the whole set.")
    if any(change["kind"] == "mode" for generation in record["generations"] for change in _losses(generation)[:1]):
        text.append("Clusters are groups of alike real rows, numbered from the largest.")
    text += [f"{f['code']} {f['severity']}: {minus(wording.one_line(f['seen']))}" for f in record["findings"]]
    text += ["", minus(wording.one_line(record["verdict"]["sentence"]))]
    return "\n".join(line.rstrip() for line in text)


def _cells(generation: Mapping[str, Any]) -> Sequence[str]:
    """One line of the table."""
    drift, coverage = generation["measures"]["mmd2"], generation["measures"]["coverage"]
    fresh = generation["fresh_fraction"]
    losses = _losses(generation)
    return (
        wording.one_line(generation["name"], 24) + (" *" if generation["alarm"] else ""),
        wording.count(generation["num_rows"]),
        wording.UNKNOWN if fresh is None else f"{fresh:.2g}",
        small(drift["value"]),
        f"{small(drift['low'])} to {small(drift['high'])}",
        f"{generation['p_value']:.2g}",
        f"{coverage['value']:.2f} of {coverage['null']:.2f}",
        change_text(losses[0]) if losses else "",
    )


def _losses(generation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Changes of a generation that are losses, the most certain first."""
    return [change for change in generation["changes"] if change["is_loss"]]


def minus(text: str) -> str:
    """Return a sentence whose negative numbers and exponents have the sign of the tables, as in −1.2e−05."""
    return re.sub(r"(?<=\de)-(?=\d)", wording.MINUS, wording.true_minus(text))


def small(value: Any) -> str:
    """Return a number with three significant digits, as in 0.0123, 1.2e-05 or 1,570; beyond a billion in powers."""
    if not wording.is_number(value):
        return wording.UNKNOWN
    rounded = float(f"{value:.3g}")
    digits = f"{rounded:,.0f}" if 1000 <= abs(rounded) < 1e9 else f"{value:.3g}"
    return digits.replace("-", wording.MINUS)


def change_text(change: Mapping[str, Any]) -> str:
    """Return one loss or gain in words, as in ``class 7: 4.9 % (real 10 %)``."""
    name = wording.one_line(change.get("what") or f"{change['kind']} {change['name']}", 60)
    if change["kind"] in ("mean", "spread"):
        return f"{name}: {small(change['synth'])} (real {small(change['real'])})"
    return f"{name}: {100 * change['synth']:.2g} % (real {100 * change['real']:.2g} %)"
