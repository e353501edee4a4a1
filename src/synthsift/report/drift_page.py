"""The page of a watched retraining loop, made from drift.json alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthsift.records import DataError
from synthsift.report import wording
from synthsift.report.drift_figures import PANELS, draw_drift_figures
from synthsift.report.drift_table import change_text, minus, small

RECORD = "drift.json"
SCHEMA = 1
TEMPLATES = Path(__file__).parent / "templates"
MEASURES = {"mmd2": "drift (MMD2)", **PANELS}


def read_drift(folder: Path | str) -> dict[str, Any]:
    """Return the record of a watched loop.

    Raises
    ------
    DataError
        If there is none in the folder, or another version wrote it.
    """
    file = Path(folder) / RECORD
    try:
        record = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{file} cannot be read ({error}); give the folder that was --out of `synthsift drift`"
        ) from error
    if not isinstance(record, dict) or record.get("kind") != "drift" or record.get("schema") != SCHEMA:
        raise DataError(f"{file} is no record of `synthsift drift` that this version reads; repeat the command")
    return record


def render_files(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the page and the picture of the drift, by file name.

    Parameters
    ----------
    record : dict
        From `read_drift`.

    Returns
    -------
    dict
        ``report.html`` and ``drift.svg``.
    """
    figures = draw_drift_figures(record)
    return {"drift.svg": figures["drift"]["wide"], "report.html": render_drift(record, figures)}


def render_drift(record: Mapping[str, Any], figures: Mapping[str, Mapping[str, str]]) -> str:
    """Return one self-contained page: no script, nothing fetched, every name of the user's escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printed,
    )
    for name in ("one_line", "percent", "count"):
        environment.filters[name] = getattr(wording, name)
    environment.filters["small"] = small
    environment.filters["minus"] = minus
    environment.filters["change"] = change_text
    environment.tests["known"] = wording.is_number
    drawn = {name: {form: Markup(svg) for form, svg in forms.items()} for name, forms in figures.items()}
    style = Markup((TEMPLATES / "report.css").read_text("utf-8"))
    return environment.get_template("drift.html.j2").render(
        record=record, last=record["generations"][-1], measures=MEASURES, figures=drawn, style=style, grid=_grid(record)
    )


def _printed(value: Any) -> Any:
    """Text without signs that move a cursor; a number and its percent sign stay on one line."""
    if hasattr(value, "__html__"):
        return value
    return re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", wording.printable(value))


def _grid(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Steady drift as a table: fresh fractions down, rows per round across."""
    if not record["exchange"]:
        return None
    cells = {(row["fresh_fraction"], row["data_factor"]): row["steady_drift"] for row in record["exchange"]}
    factors = sorted({factor for _, factor in cells})
    fractions = sorted({fraction for fraction, _ in cells})
    return {"factors": factors, "rows": [(a, [cells.get((a, f)) for f in factors]) for a in fractions]}
