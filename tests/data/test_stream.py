"""Files that are read piece by piece: a piece has few rows, however narrow they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from synthsift.data.stream import CHUNK_ROWS, read_pieces


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_pieces_of_narrow_rows_are_small_and_whole(tmp_path: Path, ending: str) -> None:
    """One block of bytes holds all of these rows, and memory goes by rows."""
    count = 2 * CHUNK_ROWS + 7
    delimiter = "," if ending == "csv" else "\t"
    rows = "".join(f"{k}{delimiter}{k % 3}\n" for k in range(count))
    (tmp_path / f"narrow.{ending}").write_text(f"a{delimiter}y\n{rows}")
    pieces = list(read_pieces(tmp_path / f"narrow.{ending}", {"a", "y"}))
    assert [piece.total for piece in pieces] == [CHUNK_ROWS, CHUNK_ROWS, 7]
    values = np.concatenate([piece.columns["a"].as_numbers() for piece in pieces])
    assert np.array_equal(values, np.arange(count))
