"""`export` and `report`: what a finished run can be asked for afterwards."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np

from synthsift.cli.drift_files import write_page
from synthsift.data.export import write_selected
from synthsift.data.export_images import copy_selected
from synthsift.data.paths import table_format
from synthsift.records import DataError
from synthsift.report.collect import collect
from synthsift.report.drift_page import RECORD, read_drift
from synthsift.report.drift_table import drift_text
from synthsift.report.render import render_json, render_markdown, write_report
from synthsift.runs import read_summary

COLUMNS = ["file", "row", "source", "split", "label", "weight", "keep"]


def execute_export(run: Path, out: Path) -> int:
    """Write the kept rows of every file of the run into `out`, with their weights; images into class folders.

    The folder appears complete or not at all.

    Raises
    ------
    DataError
        If the run is not finished, a source file is gone, or `out` holds files already.
    """
    summary = read_summary(run)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise DataError(
            f"{out} is {'not empty' if out.is_dir() else 'a file'}; name a new folder for the selected data"
        )
    columns = _read_weights(run / "weights.parquet")
    place = out.resolve()
    begun = place.with_name(f".{place.name}.{os.getpid()}.part")
    begun.mkdir(parents=True)
    try:
        _write_files(columns, begun, out)
        os.replace(begun, place)
    except BaseException:
        shutil.rmtree(begun, ignore_errors=True)
        raise
    sys.stdout.write(summary["verdict"]["sentence"] + "\n")
    return 0


def _read_weights(file: Path) -> dict[str, np.ndarray]:
    """Columns of weights.parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(file.read_bytes()), columns=COLUMNS).to_pydict()
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file} cannot be read ({error}). A whole Parquet file is needed; repeat the run.") from error
    return {name: np.array(values) for name, values in table.items()}


def _write_files(columns: dict[str, np.ndarray], folder: Path, out: Path) -> None:
    """Write the kept rows of every file into `folder`, which will be called `out`."""
    names: set[str] = set()
    is_image = np.array([table_format(Path(file)) is None for file in columns["file"].tolist()])
    if is_image.all():
        _copy_images(columns, folder, out)
        return
    for file in dict.fromkeys(columns["file"].tolist()):
        rows = (columns["file"] == file) & columns["keep"].astype(bool)
        if not rows.any():
            sys.stderr.write(f"{file}: nothing kept\n")
            continue
        name = _free_name(Path(file).name, names)
        write_selected(file, columns["row"][rows], columns["weight"][rows], folder / name)
        sys.stderr.write(f"{file}: {int(rows.sum()):,} rows -> {out / name}\n")


def _copy_images(columns: dict[str, np.ndarray], folder: Path, out: Path) -> None:
    """Copy the kept images; validation images get a folder of their own."""
    kept = {name: column[columns["keep"].astype(bool)] for name, column in columns.items()}
    kept["source"] = np.where(kept["split"] == "valid", "valid", kept["source"])
    for name, count in copy_selected(kept, folder).items():
        sys.stderr.write(f"{count:,} images -> {out / name}\n")


def _free_name(name: str, used: set[str]) -> str:
    """Return `name`, numbered if another file of that name was written."""
    candidate, number = name, 2
    while candidate in used:
        candidate, number = f"{number}-{name}", number + 1
    used.add(candidate)
    return candidate


def _report_drift(run: Path, *, as_json: bool, markdown: bool) -> int:
    """Rebuild the page of a watched loop, or print its record or its table."""
    if as_json or markdown:
        record = read_drift(run)
        sys.stdout.write((json.dumps(record, indent=1) if as_json else drift_text(record)) + "\n")
        return 0
    sys.stdout.write(f"{write_page(run)}\n")
    return 0


def execute_report(run: Path, *, as_json: bool, markdown: bool) -> int:
    """Rebuild report.html, or print the report in another form; of a watched loop (`drift --out`) its own page."""
    if (run / RECORD).exists():
        return _report_drift(run, as_json=as_json, markdown=markdown)
    if as_json or markdown:
        report = collect(run)
        sys.stdout.write((render_json(report) if as_json else render_markdown(report)) + "\n")
        return 0
    sys.stdout.write(f"{write_report(run)}\n")
    return 0
