"""predictions.parquet, written a part at a time, holds what it would hold if it were written at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from comparisons import random_comparison
from synthsift.cli import outputs
from synthsift.records import Comparison
from synthsift.writing import write_parquet_parts


def at_once(comparison: Comparison) -> dict[str, list[object]]:
    """Slow twin: row by row."""
    rows: dict[str, list[object]] = {}
    for policy, prob in comparison.probabilities.items():
        for k, seed in enumerate(comparison.seeds[: len(prob)]):
            for row, code in enumerate(comparison.y):
                cell = {"policy": policy, "seed": seed, "fold": comparison.fold[k, row], "id": comparison.ids[row]}
                if comparison.group is not None:
                    cell["group"] = comparison.group[row]
                cell["label"] = str(comparison.classes[code])
                cell |= {f"p_{name}": prob[k, row, code] for code, name in enumerate(comparison.classes)}
                for name, value in cell.items():
                    rows.setdefault(name, []).append(value)
    return rows


@pytest.mark.parametrize("part_rows", [1, 250, 10**6])
@pytest.mark.parametrize("grouped", [False, True])
def test_parts_of_the_predictions_hold_what_the_whole_would(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, part_rows: int, grouped: bool
) -> None:

    monkeypatch.setattr(outputs, "PART_ROWS", part_rows)
    comparison = random_comparison()
    comparison = replace(comparison, classes=("a", 2, "c"), group=comparison.ids if grouped else None)
    narrow = {name: prob.astype(np.float32) for name, prob in comparison.probabilities.items()}
    comparison = replace(comparison, probabilities=narrow)
    file = tmp_path_factory.mktemp("run") / "predictions.parquet"
    write_parquet_parts(file, outputs._prediction_rows(comparison))
    table = pq.read_table(file)
    assert table.to_pydict() == at_once(comparison)
    types = {"policy": "string", "seed": "int64", "fold": "int64", "id": "string", "group": "string", "label": "string"}
    assert {str(field.name): str(field.type) for field in table.schema} == {
        name: types.get(name, "float") for name in at_once(comparison)
    }
    assert pq.ParquetFile(file).num_row_groups == {1: 7, 250: 4, 10**6: 1}[part_rows]
