"""`export` and `report`: what a finished run can be asked for afterwards."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from synthsift.cli.drift_files import write_page
from synthsift.cli.whole_folder import whole_folder
from synthsift.data.export import write_selected
from synthsift.data.export_images import copy_selected
from synthsift.data.paths import table_format
from synthsift.numerics.metrics import class_balance
from synthsift.records import DataError
from synthsift.report.collect import collect
from synthsift.report.drift_page import RECORD, read_drift
from synthsift.report.drift_table import drift_text
from synthsift.report.render import render_json, render_markdown, write_report
from synthsift.report.wording import printable
from synthsift.runs import read_summary

# Columns of weights.parquet that are read, and the Arrow type that each is brought to.
COLUMNS = {
    **dict.fromkeys(("file", "source", "split", "label"), "string"),
    **{"row": "int64", "weight": "float64", "keep": "bool"},
}


def execute_export(run: Path, out: Path) -> int:
    """Write the kept rows of every file of the run into `out`, with their weights; images into class folders.

    Weights are those that models were trained with: where the metric is balanced accuracy, every class has the same
    total.

    The folder appears complete or not at all, and nothing is told before it is there.

    Raises
    ------
    DataError
        If the run is not finished or damaged, a source file is gone or named from another folder, or `out` holds files
        already or cannot be written.
    """
    summary = read_summary(run)
    sentence = summary["verdict"]["sentence"]
    columns = _read_weights(run / "weights.parquet")
    _refuse_elsewhere(dict.fromkeys(columns["file"][columns["keep"]].tolist()), run)
    by_class = summary.get("balanced_training") is True
    if by_class:  # as the models of the run were trained
        _, codes = np.unique(columns["label"], return_inverse=True)
        columns["weight"] = class_balance(codes, np.where(columns["keep"], columns["weight"], 0.0))
    with whole_folder(out) as begun:
        told = _write_files(columns, begun, out)
    if by_class:
        told.append("weights: every class has the same total, as in the run, whose metric counts classes alike")
    if summary["verdict"].get("use") is False and summary["verdict"].get("policy") != "RealOnly":
        told.append("these are the rows of the best bet; the verdict recommends none of the synthetic ones:")
    sys.stderr.write("".join(f"{printable(line)}\n" for line in told))  # a name may hold what a terminal acts on
    sys.stdout.write(f"{printable(sentence)}\n")
    return 0


def _refuse_elsewhere(files: Iterable[str], run: Path) -> None:
    """Refuse a folder from which no relative path of the run leads to its file, and say which one is meant."""
    named = [file for file in files if not Path(file).expanduser().is_absolute()]
    if not named or any(Path(file).exists() for file in named):
        return
    around = [run.resolve(), *run.resolve().parents]
    found = next((folder for folder in around if all((folder / file).exists() for file in named)), None)
    seems = "" if found is None else f"; by what lies there that was {found}"
    raise DataError(
        f"{named[0]} does not exist in {Path.cwd()}. The run was given relative paths, and they hold from the folder "
        f"in which `synthsift run` was called{seems}. Export from there."
    )


def _read_weights(file: Path) -> dict[str, np.ndarray]:
    """Columns of weights.parquet, each of the kind that it must have."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        data = pa.BufferReader(file.read_bytes())  # pyarrow takes no path that is not UTF-8
        table = pq.ParquetFile(data, page_checksum_verification=True).read(columns=list(COLUMNS))
        lacking = [name for name in COLUMNS if name not in table.column_names]
        if lacking:
            raise DataError(
                f"{file} lacks the column {lacking[0]!r}. A whole weights.parquet is needed; repeat the run."
            )
        typed = {name: table.column(name).cast(kind) for name, kind in COLUMNS.items()}
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file} cannot be read ({error}). A whole Parquet file is needed; repeat the run.") from error
    empty = [name for name, column in typed.items() if column.null_count]
    if empty or not len(table):
        seen = f"has empty cells in {empty[0]!r}" if empty else "has no rows"
        raise DataError(f"{file} {seen}. A whole file is needed; repeat the run.")
    return {name: np.array(column.to_pylist()) for name, column in typed.items()}


def _write_files(columns: dict[str, np.ndarray], folder: Path, out: Path) -> list[str]:
    """Write the kept rows of every file into `folder`, which will be called `out`; return what to tell of each.

    Weights have mean 1 over the rows that are written: a learner with a penalty would take larger ones for more rows.
    """
    names: set[str] = set()
    told = []
    mean = columns["weight"][columns["keep"]].mean() if columns["keep"].any() else 1.0
    is_image = np.array([table_format(Path(file)) is None for file in columns["file"].tolist()])
    if is_image.all():
        return _copy_images(columns, folder, out)
    for file in dict.fromkeys(columns["file"].tolist()):
        rows = (columns["file"] == file) & columns["keep"]
        if not rows.any():
            told.append(f"{file}: nothing kept")
            continue
        name = _free_name(Path(file).name, names)
        write_selected(file, columns["row"][rows], columns["weight"][rows] / mean, folder / name)
        told.append(f"{file}: {int(rows.sum()):,} rows -> {out / name}")
    return told


def _copy_images(columns: dict[str, np.ndarray], folder: Path, out: Path) -> list[str]:
    """Copy the kept images; validation images get a folder of their own."""
    kept = {name: column[columns["keep"]] for name, column in columns.items()}
    if len(kept["weight"]):
        kept["weight"] = kept["weight"] / kept["weight"].mean()
    kept["source"] = np.where(kept["split"] == "valid", "valid", kept["source"])
    return [f"{count:,} images -> {out / name}" for name, count in copy_selected(kept, folder).items()]


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
