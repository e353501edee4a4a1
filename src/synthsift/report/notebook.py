"""The verdict as a notebook shows it: one small block without styles of its own for light or dark.

All colors come from the page (``currentColor`` and its shades), so that it reads on any theme; nothing is fetched and
no script is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthsift.report import wording

MAX_POLICIES = 8
TEMPLATE = """\
<div style="font:14px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;max-width:52em;\
font-variant-numeric:tabular-nums;overflow-wrap:break-word">
<p style="font-size:17px;line-height:1.35;margin:.4em 0 .5em;font-weight:600">{{ sentence }}</p>
<p style="margin:0 0 .8em"><span style="border:1.5px {{ border }} currentColor;border-radius:9px;padding:1px 8px;\
font-size:12px;font-weight:600">{{ evidence }}</span>
<span style="opacity:.75">&nbsp;best bet {{ policy }}; keeps {{ keep }} of the synthetic rows
(effective {{ effective }})</span></p>
<div style="overflow-x:auto"><table style="border-collapse:collapse;margin:0 0 .6em;background:none;color:inherit;\
font:inherit;font-size:13.5px">
<thead><tr style="background:none">
{% for title in ("policy", "gain", "95 % interval", "", "log-loss", "splits") %}
<th style="font-weight:400;opacity:.75;text-align:{{ 'left' if loop.first else 'right' }};padding:2px 12px 2px 0;\
background:none">{{ title }}</th>
{% endfor %}
</tr></thead><tbody>
{% for row in rows %}
<tr style="background:none;border-top:1px solid rgba(128,128,128,.35);\
{{ 'font-weight:600' if row.is_chosen else 'opacity:.55' if row.stopped else '' }}">
<td style="text-align:left;padding:2px 12px 2px 0">{{ row.name }}</td>
<td style="text-align:right;padding:2px 12px 2px 0;white-space:nowrap">{{ row.gain }}</td>
<td style="text-align:right;padding:2px 12px 2px 0;white-space:nowrap">{{ row.interval }}</td>
<td style="padding:2px 12px 2px 0">{{ row.bar }}</td>
<td style="text-align:right;padding:2px 12px 2px 0">{{ row.loss }}</td>
<td style="text-align:right;padding:2px 12px 2px 0">{{ row.splits }}</td></tr>
{% endfor %}
</tbody></table></div>
<p style="opacity:.75;font-size:12.5px;margin:0 0 .4em">Points of {{ metric }} over the real data alone, on the same \
held-out real rows; single policies are not corrected for having picked the best, the sentence is.\
{% if num_more %} {{ num_more }} more in <code>policies_</code>.{% endif %}\
{% if findings %} Findings: {{ findings }}.{% endif %}</p>
<details style="opacity:.75;font-size:12.5px"><summary>settings</summary><code>{{ settings }}</code></details>
</div>
"""
BAR = """<svg width="120" height="14" viewBox="0 0 120 14" role="img" aria-label="interval" style="display:block">\
<line x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="14" stroke="currentColor" stroke-opacity=".45"/>\
<line x1="{low:.1f}" x2="{high:.1f}" y1="7" y2="7" stroke="currentColor" stroke-width="2"/>\
<circle cx="{mean:.1f}" cy="7" r="3.2" fill="currentColor"/></svg>"""


def render_notebook(summary: Mapping[str, Any], settings: str) -> str:
    """Return HTML of the verdict and the best policies.

    Parameters
    ----------
    summary : dict
        ``verdict``, ``metric``, ``splits``, ``policies`` (name, gain, low, high, log_loss, splits, stopped; best gain
        first) and ``findings`` (titles).
    settings : str
        How the estimator prints itself.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, finalize=_printable)
    verdict = summary["verdict"]
    shown = _shown(summary["policies"], verdict["policy"])
    ends = _ends(shown)
    return environment.from_string(TEMPLATE).render(
        sentence=wording.one_line(verdict["sentence"]),
        evidence=verdict["evidence"],
        border={"proven": "solid", "likely": "solid"}.get(verdict["evidence"], "dashed"),
        policy=wording.one_line(verdict["policy"], 60),
        keep=wording.percent(verdict["keep_fraction"]),
        effective=wording.percent(verdict["effective_fraction"]),
        metric=wording.title(summary["metric"]),
        rows=[_row(row, verdict["policy"], ends) for row in shown],
        num_more=len(summary["policies"]) - len(shown),
        findings="; ".join(wording.one_line(title, 80) for title in summary["findings"][:5]),
        settings=settings,
    )


def _printable(value: Any) -> Any:
    """Text without control characters; escaped by the template afterwards."""
    return value if hasattr(value, "__html__") else wording.printable(value)


def _shown(policies: list[dict[str, Any]], chosen: str) -> list[dict[str, Any]]:
    """The best policies, and wherever they stand the chosen one and the two that every sentence compares with."""
    always = {chosen, "RealOnly", "Everything"}
    free = MAX_POLICIES - sum(row["name"] in always for row in policies)
    best = [row["name"] for row in policies if row["name"] not in always and not row["stopped"]][:free]
    return [row for row in policies if row["name"] in always or row["name"] in best]


def _ends(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """Ends of the axis of the small bars."""
    values = [row[name] for row in rows for name in ("low", "high") if wording.is_number(row[name])]
    low, high = min(0.0, *values, -0.05), max(0.0, *values, 0.05)
    return low, high


def _row(row: Mapping[str, Any], chosen: str, ends: tuple[float, float]) -> dict[str, Any]:
    """One policy as printed."""
    from markupsafe import Markup

    def place(value: float) -> float:
        return 4 + 112 * (value - ends[0]) / (ends[1] - ends[0])

    bar = BAR.format(zero=place(0.0), low=place(row["low"]), high=place(row["high"]), mean=place(row["gain"]))
    return {
        "name": wording.one_line(row["name"], 60),
        "gain": wording.signed(row["gain"]),
        "interval": wording.interval({"low": row["low"], "high": row["high"]}),
        "bar": Markup(bar),
        "loss": wording.measured(row["log_loss"], "log_loss"),
        "splits": wording.count(row["splits"]),
        "is_chosen": row["name"] == chosen,
        "stopped": bool(row["stopped"]),
    }
