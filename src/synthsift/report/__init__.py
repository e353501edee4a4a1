"""Results to a plain dictionary, to figures, to one self-contained page."""

from __future__ import annotations

from synthsift.report.collect import collect as collect
from synthsift.report.render import render_html as render_html
from synthsift.report.render import render_json as render_json
from synthsift.report.render import render_markdown as render_markdown
from synthsift.report.render import write_report as write_report
from synthsift.report.terminal import closing_table as closing_table
from synthsift.report.terminal import closing_text as closing_text

__all__ = [
    "closing_table",
    "closing_text",
    "collect",
    "render_html",
    "render_json",
    "render_markdown",
    "write_report",
]
