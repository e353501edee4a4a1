"""What must hold for the files of every finished run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_data import columns_of, read
from cli_runner import synthsift


def check_keep(weights: dict[str, np.ndarray], summary: dict[str, Any]) -> None:
    """Kept is a synthetic row above a tenth of the mean positive synthetic weight; real rows are kept."""
    synth = weights["split"] == "synthetic"
    values = weights["weight"][synth]
    positive = values[values > 0]
    kept = values > 0.1 * positive.mean() if len(positive) else np.zeros(len(values), bool)
    np.testing.assert_array_equal(weights["keep"][synth], kept)
    assert weights["keep"][~synth].all()
    assert summary["verdict"]["keep_fraction"] == pytest.approx(kept.mean())
    effective = values.sum() ** 2 / (len(values) * (values**2).sum()) if len(positive) else 0.0
    assert summary["verdict"]["effective_fraction"] == pytest.approx(effective)


def rows_of(file: Path) -> list[dict[str, Any]]:
    """Rows of an exported table, as text."""
    if file.suffix == ".csv":
        return read(file)
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_text().splitlines()]
    columns = columns_of(file)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def check_export(run: Path, out: Path) -> None:
    """The exported files hold the kept rows in file order with their weights, and nothing else is changed."""
    assert synthsift("export", run, "--out", out).code == 0
    weights = columns_of(run / "weights.parquet")
    rows = list(zip(*(weights[name] for name in ("file", "row", "keep", "weight")), strict=True))
    files = {file for file, _, keep, _ in rows if keep}
    mean = np.mean([weight for _, _, keep, weight in rows if keep])
    assert {file.name for file in out.iterdir()} == {Path(file).name for file in files}
    for file in files:
        kept = sorted((row, weight) for name, row, keep, weight in rows if name == file and keep)
        before, after = rows_of(Path(file)), rows_of(out / Path(file).name)
        assert [float(row.pop("weight")) for row in after] == pytest.approx([weight / mean for _, weight in kept])
        assert after == [before[row] for row, _ in kept]
