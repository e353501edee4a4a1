"""The folder of `drift --out`: drift.json, drift.csv, drift.svg and report.html, each whole or absent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthsift.drift.monitor import digest_rows
from synthsift.drift.state import Stream
from synthsift.records import DataError
from synthsift.report.drift_page import RECORD, read_drift, render_files
from synthsift.writing import TEMPORARY, drop_stale, write_csv, write_json, write_text

FILES = (RECORD, "drift.csv", "drift.svg", "report.html")


def check_out(path: Path, stream: Stream, *, overwrite: bool) -> None:
    """Check that the folder may be made or written into; nothing is touched.

    Raises
    ------
    DataError
        If it holds other files, or the record of another stream and `overwrite` is False.
    """
    if path.exists() and not path.is_dir():
        raise DataError(f"{path} is a file and a folder is needed. Choose another --out")
    if path.is_dir():
        # What a killed command left half written is no file of the user's.
        names = (entry.name for entry in path.iterdir() if not entry.name.startswith(TEMPORARY))
        strange = sorted(name for name in names if name not in FILES)
        if strange:
            raise DataError(
                f"{path} holds files that are not of `synthsift drift` ({', '.join(strange[:3])}). Choose a new folder"
            )
        if (path / RECORD).exists() and not overwrite and read_drift(path).get("stream") != stream_id(stream):
            raise DataError(
                f"{path} holds the record of another stream (other real rows or settings). Choose another --out, or "
                "give --overwrite to replace it"
            )


def stream_id(stream: Stream) -> str:
    """What stays the same while a stream grows."""
    return f"{digest_rows(stream.reference.rows)[:20]}-{stream.seed}"


def write_out(path: Path, record: Mapping[str, Any]) -> None:
    """Write all files; the record first, as the page is made from it."""
    path.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        drop_stale(path / name)
    write_json(path / RECORD, record)
    write_csv(path / "drift.csv", _rows(record))
    write_page(path)


def write_page(path: Path) -> Path:
    """Rebuild the page and the picture from the record, and return where the page is."""
    for name, text in render_files(read_drift(path)).items():
        write_text(path / name, text)
    return path / "report.html"


def _rows(record: Mapping[str, Any]) -> dict[str, list[Any]]:
    """One row a generation and measure."""
    rows: dict[str, list[Any]] = {}
    for generation in record["generations"]:
        for name, measure in generation["measures"].items():
            cells = {
                "generation": generation["name"],
                "fresh_fraction": generation["fresh_fraction"],
                "p_value": generation["p_value"],
                "alarm": generation["alarm"],
                "measure": name,
                **{part: measure[part] for part in ("value", "low", "high", "null")},
                "num_real": measure["num_rows"][0],
                "num_synth": measure["num_rows"][1],
            }
            for column, cell in cells.items():
                rows.setdefault(column, []).append(cell)
    return rows
