"""Exported rows are the chosen ones, in their own format, with their weights beside them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_files import csv_text, rows, two_files, write, write_npz

from synthsift.data.export import write_selected
from synthsift.data.load import DataSpec, load
from synthsift.records import DataError

ROWS, WEIGHTS = np.array([11, 0, 5]), np.array([0.25, 1.5, 3.0])


def read_text(path: Path) -> str:
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode()


@pytest.mark.parametrize("ending", ["csv", "tsv", "csv.gz"])
def test_lines_are_copied_as_they_stand(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"made.{ending}"
    source = write(path, rows(12, a=lambda i: f" {i}.50"))
    lines = read_text(path).splitlines()
    out = write_selected(source, ROWS, WEIGHTS, tmp_path / f"out.{ending}")
    mark = "\t" if ending == "tsv" else ","
    wanted = [f"{lines[0]}{mark}weight"]
    wanted += [f"{lines[row + 1]}{mark}{weight!r}" for row, weight in ((0, 1.5), (5, 3.0), (11, 0.25))]
    assert read_text(out).splitlines() == wanted


def test_byte_order_mark_line_ends_and_line_ends_in_cells_are_kept(tmp_path: Path) -> None:
    text = '\ufeff"a, b",label\r\n\r\n1,no\r\n"2\r\n3",yes\r\n4,no'
    (tmp_path / "made.csv").write_bytes(text.encode())
    out = write_selected(str(tmp_path / "made.csv"), np.array([1, 2]), np.array([1.0, 2.0]), tmp_path / "out.csv")
    assert out.read_bytes().decode() == '\ufeff"a, b",label,weight\r\n"2\r\n3",yes,1.0\r\n4,no,2.0\n'


def test_json_lines_keep_their_text(tmp_path: Path) -> None:
    (tmp_path / "made.jsonl").write_text('{"a":1.50,  "b": "\\u00e9"}\n\n{}\n{"a": 2 }  \n')
    out = write_selected(str(tmp_path / "made.jsonl"), np.array([0, 1, 2]), np.arange(3.0), tmp_path / "out.jsonl")
    lines = out.read_text().splitlines()
    assert lines == ['{"a":1.50,  "b": "\\u00e9", "weight": 0.0}', '{"weight": 1.0}', '{"a": 2, "weight": 2.0}']
    assert all(json.loads(line) is not None for line in lines)


@pytest.mark.parametrize("ending", ["parquet", "parquet.gz"])
def test_parquet_keeps_schema_metadata_and_compression(tmp_path: Path, ending: str) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([("a", pa.int8()), ("d", pa.dictionary(pa.int32(), pa.string()))], metadata={"who": "me"})
    table = pa.table(
        {"a": pa.array(range(12), pa.int8()), "d": pa.array(["x", "y"] * 6).dictionary_encode()}, schema=schema
    )
    parquet.write_table(table, tmp_path / "made.parquet", compression="zstd")
    source = tmp_path / f"made.{ending}"
    if ending.endswith("gz"):
        source.write_bytes(gzip.compress((tmp_path / "made.parquet").read_bytes()))
    out = write_selected(str(source), ROWS, WEIGHTS, tmp_path / f"out.{ending}")
    if ending.endswith("gz"):
        (tmp_path / "plain.parquet").write_bytes(gzip.decompress(out.read_bytes()))
        out = tmp_path / "plain.parquet"
    file = parquet.ParquetFile(out)
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    result = file.read()
    file.close()
    assert result.schema.field("a").type == pa.int8() and pa.types.is_dictionary(result.schema.field("d").type)
    assert result.schema.metadata[b"who"] == b"me"
    assert result.to_pydict() == {"a": [0, 5, 11], "d": ["x", "y", "y"], "weight": [1.5, 3.0, 0.25]}


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_keep_their_dtype_and_arrays_that_are_no_rows_stay_whole(tmp_path: Path, compressed: bool) -> None:
    arrays = {
        "x": np.arange(24, dtype=np.uint8).reshape(12, 2),
        "y": np.arange(12) % 2,
        "classes": np.array(["n", "y"]),
    }
    (np.savez_compressed if compressed else np.savez)(tmp_path / "made.npz", **arrays)
    out = write_selected(str(tmp_path / "made.npz"), ROWS, WEIGHTS, tmp_path / "out.npz")
    with np.load(out) as result:
        assert result["x"].dtype == np.uint8 and result["x"].tolist() == [[0, 1], [10, 11], [22, 23]]
        assert result["classes"].tolist() == ["n", "y"] and result["weight"].tolist() == [1.5, 3.0, 0.25]


def test_a_weight_column_that_is_there_keeps_its_name(tmp_path: Path) -> None:
    for ending in ("csv", "jsonl", "parquet"):
        source = write(tmp_path / f"made.{ending}", rows(12, weight=7))
        out = write_selected(source, ROWS, WEIGHTS, tmp_path / f"out.{ending}")
        again = write_selected(str(out), np.array([1]), np.array([9.0]), tmp_path / f"again.{ending}")
        loaded = load(DataSpec(two_files(tmp_path).real, synthetic=(str(again),), label="label"))
        (finding,) = loaded.findings
        assert finding.code == "SS108" and "'synthsift_weight', 'synthsift_weight2', 'weight'" in finding.seen


CELLS = st.text('ab,"\n; é', max_size=5)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CELLS, min_size=10, max_size=25), st.data())
def test_a_loaded_row_number_finds_its_line_again(tmp_path: Path, cells: list[str], data: st.DataObject) -> None:
    made = [{"b": cell, "k": i, "label": "no"} for i, cell in enumerate(cells)]
    (tmp_path / "made.csv").write_bytes(csv_text(made).encode())
    real = write(tmp_path / "real.csv", [{"b": "", "k": 0, "label": label} for label in ("no", "yes") * 9])
    synth = load(DataSpec((real,), synthetic=(str(tmp_path / "made.csv"),), label="label")).mixture.synth
    chosen = np.array(data.draw(st.lists(st.sampled_from(range(len(cells))), min_size=1, unique=True)))
    assert synth.row is not None
    out = write_selected(str(tmp_path / "made.csv"), synth.row[chosen], chosen + 0.5, tmp_path / "out.csv")
    again = load(DataSpec((real,), synthetic=(str(out),), label="label")).mixture.synth
    assert again.x.values[1 if len(again.x.names) > 1 else 0].tolist() == sorted(chosen.tolist())


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "npz"])
def test_rows_beyond_the_end_leave_no_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"made.{ending}"
    source = write_npz(path, 12) if ending == "npz" else write(path, rows(12))
    with pytest.raises(DataError, match="ends before row 12"):
        write_selected(source, np.array([12, 3]), np.ones(2), tmp_path / f"out.{ending}")
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("call", "pattern"),
    [
        (lambda f: write_selected(f, np.array([1, 1]), np.ones(2), Path(f"{f}.csv")), "rows must differ"),
        (lambda f: write_selected(f, np.array([1, 2]), np.ones(3), Path(f"{f}.csv")), "2 rows of .* with 3 weights"),
        (lambda f: write_selected(f, np.array([-1]), np.ones(1), Path(f"{f}.csv")), "rows must differ"),
        (lambda f: write_selected(f, np.array([1]), np.ones(1), Path(f)), "is the data file itself"),
        (lambda f: write_selected(f"{f}.gone.csv", np.array([1]), np.ones(1), Path(f)), "does not exist"),
    ],
)
def test_bad_requests_are_refused(tmp_path: Path, call: Callable[[str], Path], pattern: str) -> None:
    source = write(tmp_path / "made.csv", rows(12))
    before = Path(source).read_bytes()
    with pytest.raises(DataError, match=pattern):
        call(source)
    assert [entry.name for entry in tmp_path.iterdir()] == ["made.csv"] and Path(source).read_bytes() == before


def test_an_old_file_stays_when_writing_fails(tmp_path: Path) -> None:
    source = write(tmp_path / "made.csv", rows(12))
    out = tmp_path / "out.csv"
    out.write_text("old")
    with pytest.raises(DataError):
        write_selected(source, np.array([99]), np.ones(1), out)
    assert out.read_text() == "old"
    write_selected(source, ROWS, WEIGHTS, out)
    assert len(out.read_text().splitlines()) == 4
