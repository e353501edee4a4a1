"""`export` and `report`: what a finished run can be asked for afterwards."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from synthsift.data.export import write_selected
from synthsift.records import DataError
from synthsift.report.collect import collect
from synthsift.report.render import render_json, render_markdown, write_report
from synthsift.runs import read_summary


def execute_export(run: Path, out: Path) -> int:
    """Write the kept rows of every file of the run into `out`, with their weights.

    Raises
    ------
    DataError
        If the run is not finished, a source file is gone, or `out` holds files already.
    """
    import pyarrow.parquet as pq

    summary = read_summary(run)
    if out.exists() and any(out.iterdir()):
        raise DataError(f"{out} is not empty; name a new folder, so that nothing is mixed up")
    table = pq.read_table(run / "weights.parquet").to_pydict()
    columns = {name: np.array(values) for name, values in table.items()}
    out.mkdir(parents=True, exist_ok=True)
    names: set[str] = set()
    for file in dict.fromkeys(table["file"]):
        rows = (columns["file"] == file) & columns["keep"].astype(bool)
        if not rows.any():
            sys.stderr.write(f"{file}: nothing kept\n")
            continue
        name = _free_name(Path(file).name, names)
        written = write_selected(file, columns["row"][rows], columns["weight"][rows], out / name)
        sys.stderr.write(f"{file}: {int(rows.sum()):,} rows -> {written}\n")
    sys.stdout.write(summary["verdict"]["sentence"] + "\n")
    return 0


def _free_name(name: str, used: set[str]) -> str:
    """Return `name`, numbered if another file of that name was written."""
    candidate, number = name, 2
    while candidate in used:
        candidate, number = f"{number}-{name}", number + 1
    used.add(candidate)
    return candidate


def execute_report(run: Path, *, as_json: bool, markdown: bool) -> int:
    """Rebuild report.html, or print the report in another form."""
    if as_json or markdown:
        report = collect(run)
        sys.stdout.write((render_json(report) if as_json else render_markdown(report)) + "\n")
        return 0
    sys.stdout.write(f"{write_report(run)}\n")
    return 0
