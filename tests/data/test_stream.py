"""Files that are read piece by piece: a piece has few rows, however narrow they are."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from synthsift.data.stream import CHUNK_ROWS, read_pieces
from synthsift.records import DataError


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


@pytest.mark.parametrize(("name", "claimed"), [("x", (10**14, 2)), ("x", (3, 10**30)), ("y", (10**14,))])
def test_an_array_that_claims_more_than_the_file_holds_is_refused_before_memory_is_taken(
    tmp_path: Path, name: str, claimed: tuple[int, ...]
) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for key, shape in (("x", (3, 2)), ("y", (3,))):
            header = io.BytesIO()
            told = {"descr": "<f8", "fortran_order": False, "shape": claimed if key == name else shape}
            np.lib.format.write_array_header_1_0(header, told)
            archive.writestr(f"{key}.npy", header.getvalue() + np.zeros(shape).tobytes())
    with pytest.raises(DataError, match=f"cut off or damaged: '{name}'"):
        list(read_pieces(tmp_path / "a.npz", {"y"}))
