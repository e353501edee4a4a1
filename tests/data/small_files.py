"""Small data files for the loader's tests: rows as dicts, written in any format."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthsift.data.load import DataSpec, load
from synthsift.records import DataError

Row = dict[str, Any]
Build = Callable[[Path], DataSpec]


def rows(count: int = 20, **changes: Any) -> list[Row]:
    """Rows with a number, a category and two classes; a change is a value, or a function of the row number."""
    made: list[Row] = []
    for i in range(count):
        row: Row = {"a": i * 0.5, "b": "xyz"[i % 3], "label": ("no", "yes")[i % 2]}
        row |= {name: value(i) if callable(value) else value for name, value in changes.items()}
        made.append(row)
    return made


def without(name: str, table: list[Row]) -> list[Row]:
    return [{key: value for key, value in row.items() if key != name} for row in table]


def csv_text(table: list[Row], delimiter: str = ",") -> str:
    buffer = io.StringIO()
    names = list(dict.fromkeys(name for row in table for name in row))
    writer = csv.DictWriter(buffer, names, delimiter=delimiter, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(table)
    return buffer.getvalue()


def write(path: Path, table: list[Row]) -> str:
    """Write `table` in the format that the file's name says; return the path as text."""
    bare = path.name.removesuffix(".gz")
    if bare.endswith((".csv", ".tsv")):
        content = csv_text(table, "," if bare.endswith(".csv") else "\t").encode()
    elif bare.endswith(".jsonl"):
        content = "".join(json.dumps(row) + "\n" for row in table).encode()
    else:
        content = parquet_bytes(table)
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return str(path)


def parquet_bytes(table: list[Row]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(table), buffer)
    return buffer.getvalue()


def write_npz(
    path: Path, count: int = 20, shape: tuple[int, ...] = (3,), dtype: Any = np.float32, **arrays: Any
) -> str:
    """Write `count` rows of increasing numbers with labels 0 and 1; a given array replaces or joins them."""
    x = np.arange(count * int(np.prod(shape))).reshape(count, *shape) % 100
    np.savez(path, **({"x": x.astype(dtype), "y": np.arange(count) % 2} | arrays))
    return str(path)


def two_files(
    folder: Path, real: list[Row] | None = None, synthetic: list[Row] | None = None, **flags: Any
) -> DataSpec:
    """Write real.csv and made.csv and return the spec that names them."""
    return DataSpec(
        **{
            "real": (write(folder / "real.csv", rows() if real is None else real),),
            "synthetic": (write(folder / "made.csv", rows(30) if synthetic is None else synthetic),),
            "label": "label",
            **flags,
        }
    )


def one_table(folder: Path, table: list[Row] | None = None, name: str = "all.jsonl", **flags: Any) -> DataSpec:
    """Write one table with real splits train, val, test, other and two sources, and return its spec."""
    made = mixed_table() if table is None else table
    data = write(folder / name, made)
    return DataSpec(**{"data": data, "source_column": "source", "split_column": "split", "label": "label", **flags})


def mixed_table() -> list[Row]:
    splits = [("train", 20), ("val", 6), ("test", 5), ("other", 4)]
    real = [row | {"source": "Real", "split": split} for split, count in splits for row in rows(count)]
    made = [row | {"source": name, "split": "made"} for name in ("gpt", "vae") for row in rows(10)]
    return [row for pair in zip(made, real[: len(made)], strict=True) for row in pair] + real[len(made) :]


def real_file(folder: Path, name: str, content: bytes, **flags: Any) -> DataSpec:
    """The usual two files, but the real one is called `name` and holds `content`."""
    (folder / name).write_bytes(content)
    return replace(two_files(folder), real=(str(folder / name),), **flags)


def real_csv(text: str) -> Build:
    return lambda folder: real_file(folder, "input.csv", text.encode())


def real_npz(**arrays: Any) -> Build:
    def build(folder: Path) -> DataSpec:
        made = write_npz(folder / "made.npz")
        return DataSpec((write_npz(folder / "real.npz", **arrays),), synthetic=(made,))

    return build


def changed_table(change: Callable[[Row], Row]) -> Build:
    """The usual single table with some cells of each row replaced."""
    return lambda folder: one_table(folder, [row | change(row) for row in mixed_table()])


def refuses(spec: DataSpec, pattern: str) -> None:
    """Assert that loading raises a `DataError` whose message matches."""
    with pytest.raises(DataError, match=f"(?s){pattern}") as caught:
        load(spec)
    assert "np." not in str(caught.value), "values are shown as the user wrote them"
