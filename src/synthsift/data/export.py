"""The chosen rows of one data file, in the format it came in, with a weight beside each.

Nothing is interpreted: CSV lines and JSON lines are copied as they stand, Parquet keeps its schema and .npz its arrays.
The rows counted here are the rows that the readers count, so `row` of a loaded example finds its line again.
"""

from __future__ import annotations

import gzip
import os
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from synthsift.data.arrays import safe_numpy
from synthsift.data.columnar import opened_parquet
from synthsift.data.delimited import DELIMITERS, opened_text, records
from synthsift.data.jsonlines import json_lines, parse_object
from synthsift.data.paths import existing_file, is_gzipped, known_format, opened
from synthsift.records import DataError

_BOM = "\ufeff"


def write_selected(file: str, rows: np.ndarray, weights: np.ndarray, out: Path) -> Path:
    """Write the chosen rows of one data file with an added weight column.

    Parameters
    ----------
    file : str
        The data file, as in `Examples.file`.
    rows : ndarray (k,) of int
        0-based rows of that file, each at most once; they are written in file order.
    weights : ndarray (k,)
        Their weights; higher counts more.
    out : Path
        The file to write. It appears complete or not at all.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    DataError
        If rows repeat or lie beyond the end of the file, or `out` is the data file itself.
    """
    path = existing_file(file)
    if os.path.realpath(path) == os.path.realpath(out):
        raise DataError(f"{out} is the data file itself; it must not be overwritten. Name another output.")
    order = np.argsort(rows, kind="stable")
    chosen, values = np.asarray(rows)[order], np.asarray(weights, np.float64)
    if len(chosen) != len(values) or len(np.unique(chosen)) != len(chosen) or (len(chosen) and chosen[0] < 0):
        raise DataError(
            f"{len(chosen)} rows of {file} with {len(values)} weights: rows must differ and have one weight each."
        )
    values = values[order]
    writers = {"jsonl": _write_jsonl, "parquet": _write_parquet, "npz": _write_npz}
    kind = known_format(path)
    with _replaced(out, zipped=is_gzipped(path)) as stream:
        if kind in DELIMITERS:
            _write_delimited(path, DELIMITERS[kind], chosen, values, stream)
        else:
            writers[kind](path, chosen, values, stream)
    return out


@contextmanager
def _replaced(out: Path, zipped: bool) -> Iterator[BinaryIO]:
    """Open a temporary file in the folder of `out` that takes its place when the block ends well."""
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as stream:
            if zipped:
                with gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as packed:
                    yield cast(BinaryIO, packed)
            else:
                yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, out)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def free_name(names: Collection[str]) -> str:
    """Return the name of the weight column: "weight", or "synthsift_weight" where that is taken."""
    later = (f"synthsift_weight{k}" for k in count(2))
    return next(name for name in ("weight", "synthsift_weight", *[next(later) for _ in names]) if name not in names)


def _all_found(path: Path, found: int, wanted: np.ndarray) -> None:
    """Refuse rows beyond the end of the file."""
    if found < len(wanted):
        raise DataError(
            f"{path} ends before row {wanted[-1]} (counted from 0); has it changed since the weights were made? Put "
            "the old file back or run again."
        )


def _write_delimited(path: Path, delimiter: str, rows: np.ndarray, weights: np.ndarray, stream: BinaryIO) -> None:
    """Copy the header and the chosen lines, with one more cell."""
    with opened(path) as source:
        has_mark = source.read(3) == _BOM.encode()
    found = 0
    with opened_text(path) as text:
        lines = records(text, delimiter)
        _, raw, header = next(lines, (0, "", []))
        name = free_name([cell.strip() for cell in header])
        stream.write(((_BOM if has_mark else "") + _with_cell(raw, delimiter, name)).encode())
        for row, (_, raw, _) in enumerate(lines):
            if found < len(rows) and rows[found] == row:
                stream.write(_with_cell(raw, delimiter, repr(float(weights[found]))).encode())
                found += 1
    _all_found(path, found, rows)


def _with_cell(raw: str, delimiter: str, cell: str) -> str:
    """Put one more cell before the line end of a record."""
    body = raw.rstrip("\r\n")
    return f"{body}{delimiter}{cell}{raw[len(body) :] or chr(10)}"


def _write_jsonl(path: Path, rows: np.ndarray, weights: np.ndarray, stream: BinaryIO) -> None:
    """Copy the chosen lines, with one more key."""
    keys: set[str] = set()
    for number, line in json_lines(path):
        keys.update(parse_object(path, number, line))
    name = free_name(keys)
    found = 0
    for row, (_, line) in enumerate(json_lines(path)):
        if found < len(rows) and rows[found] == row:
            body = line.rstrip().removesuffix(b"}").rstrip()
            comma = "" if body.endswith(b"{") else ", "
            stream.write(body + f'{comma}"{name}": {float(weights[found])!r}}}\n'.encode())
            found += 1
    _all_found(path, found, rows)


def _write_parquet(path: Path, rows: np.ndarray, weights: np.ndarray, stream: BinaryIO) -> None:
    """Take the chosen rows and append a column; schema, metadata and compression stay, pages get a checksum."""
    import pyarrow as pa
    from pyarrow import parquet

    with opened_parquet(path) as file:
        table = file.read()
        packed = (
            str(file.metadata.row_group(0).column(0).compression).lower() if file.metadata.num_columns else "snappy"
        )
    _all_found(path, int((rows < table.num_rows).sum()), rows)
    chosen = table.take(pa.array(rows))
    chosen = chosen.append_column(pa.field(free_name(table.column_names), pa.float64()), pa.array(weights))
    packing = {"uncompressed": "none", "lz4_raw": "lz4"}.get(packed, packed)
    parquet.write_table(chosen, stream, compression=packing, write_page_checksum=True)


def _write_npz(path: Path, rows: np.ndarray, weights: np.ndarray, stream: BinaryIO) -> None:
    """Take the chosen rows of every array that has one entry a row; other arrays stay whole."""
    with safe_numpy(path), zipfile.ZipFile(path) as packed, np.load(path, allow_pickle=False) as archive:
        method = packed.infolist()[0].compress_type
        arrays = {name: archive[name] for name in archive.files}
    total = len(arrays["x"])
    _all_found(path, int((rows < total).sum()), rows)
    kept = {name: a[rows] if a.ndim and len(a) == total else a for name, a in arrays.items()}
    kept[free_name(list(arrays))] = weights
    with zipfile.ZipFile(stream, "w", method) as target:
        for name, values in kept.items():
            with target.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(values), allow_pickle=False)
