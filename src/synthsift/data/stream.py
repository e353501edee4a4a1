"""One file of any format, piece by piece, so that memory does not grow with the file."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from synthsift.data import arrays, columnar, delimited, jsonlines
from synthsift.data.columns import Column, RawFile, column_of, text_column
from synthsift.data.paths import existing_file, known_format, opened
from synthsift.records import DataError

if TYPE_CHECKING:
    pass

CHUNK_ROWS = 20_000


def read_pieces(path: str | Path, wanted: Collection[str], text: str | None = None) -> Iterator[RawFile]:
    """Yield consecutive rows of one data file.

    Parameters
    ----------
    path : str or Path
        CSV, TSV, JSON lines, Parquet (each also .gz) or .npz.
    wanted : collection of str
        Columns to read, as far as the file has them.
    text : str, optional
        The column of documents.

    Yields
    ------
    RawFile
        Its `total` is the number of rows of the piece.

    Raises
    ------
    DataError
        Whatever is wrong with the file, in one sentence with what to do.
    """
    path = existing_file(path)
    kind = known_format(path)
    if kind == "npz":
        pieces = _npz(path, wanted)
    elif kind == "jsonl":
        pieces = _jsonl(path, wanted, text)
    elif kind == "parquet":
        pieces = _parquet(path, wanted, text)
    else:
        pieces = _csv(path, delimited.DELIMITERS[kind], wanted)
    empty = True
    for piece in pieces:
        if piece.total:
            empty = False
            yield piece
    if empty:
        raise DataError(f"{path} holds no rows. Rows are needed; was the file written completely?")


def _csv(path: Path, delimiter: str, wanted: Collection[str]) -> Iterator[RawFile]:
    """Read cells as text, a block of bytes and then some rows at a time."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    header = delimited.read_header(path, delimiter)
    delimited.check_header(path, header, delimiter)
    kept = [name for name in header if name in wanted]
    try:
        with opened(path) as stream:
            reader = arrow_csv.open_csv(
                stream,
                read_options=arrow_csv.ReadOptions(block_size=delimited.BLOCK_BYTES),
                parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                convert_options=arrow_csv.ConvertOptions(
                    column_types={name: pa.string() for name in header}, include_columns=kept, strings_can_be_null=False
                ),
            )
            for batch in reader:
                for first in range(0, batch.num_rows, CHUNK_ROWS):  # a block of narrow rows holds a million of them
                    table = pa.Table.from_batches([batch.slice(first, CHUNK_ROWS)])
                    columns: dict[str, Column] = {name: text_column(table.column(name)) for name in kept}
                    yield RawFile(str(path), tuple(header), columns, table.num_rows)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise delimited.diagnose(path, delimiter, len(header), error) from error


def _parquet(path: Path, wanted: Collection[str], text: str | None) -> Iterator[RawFile]:
    """Read typed columns, some rows at a time."""
    import pyarrow as pa

    with columnar.opened_parquet(path) as file:
        names = columnar.column_names(path, file.schema_arrow)
        kept = [name for name in names if name in wanted]
        columnar.refuse_types(path, file.schema_arrow, kept)
        for batch in file.iter_batches(batch_size=CHUNK_ROWS, columns=kept):
            table = pa.Table.from_batches([batch])
            rows = table.num_rows
            columns = {n: columnar.typed(table.column(n), rows, only_text=n == text) for n in kept}
            yield RawFile(str(path), tuple(names), columns, rows)


def _jsonl(path: Path, wanted: Collection[str], text: str | None) -> Iterator[RawFile]:
    """Parse some ten thousand lines at a time; a key that no line of a piece has is missing there."""
    import pyarrow as pa

    for lines, objects in jsonlines.batches(path):
        names = tuple(dict.fromkeys(key for item in objects for key in item))
        cells = {
            n: jsonlines.cells_of(path, n, lines, objects, n == text) if n in names else pa.nulls(len(objects))
            for n in wanted
        }
        columns = {n: column_of([chunk]) for n, chunk in cells.items()}
        yield RawFile(str(path), tuple(dict.fromkeys((*names, *wanted))), columns, len(objects))


def _npz(path: Path, wanted: Collection[str]) -> Iterator[RawFile]:
    """Read the inputs row by row from inside the archive; arrays of one number a row are read whole."""
    with arrays.safe_numpy(path), zipfile.ZipFile(path) as archive:
        members = {name.removesuffix(".npy"): name for name in archive.namelist()}
        if "x" not in members:
            raise DataError(f"{path} has no array 'x' of inputs; it has {', '.join(members) or 'none'}.")
        with np.load(path, allow_pickle=False) as loaded:
            others = {n: arrays.whole_array(path, loaded, n) for n in members if n in wanted and n != "x"}
        with archive.open(members["x"]) as stream:
            shape, dtype = _header(path, stream)
            arrays.check_claim(path, "'x'", shape, dtype, archive.getinfo(members["x"]).file_size - stream.tell())
            columns = {name: arrays.column_of_array(path, name, values, shape[0]) for name, values in others.items()}
            width = math.prod(shape[1:]) * dtype.itemsize
            for first in range(0, shape[0], CHUNK_ROWS):
                rows = min(CHUNK_ROWS, shape[0] - first)
                raw = stream.read(rows * width)
                if len(raw) < rows * width:
                    raise DataError(f"{path} is cut off: 'x' ends before its last row. Copy or write it again.")
                x = np.frombuffer(raw, dtype).reshape(rows, *shape[1:])
                places = np.arange(first, first + rows)
                some = {name: column.take(places) for name, column in columns.items()}
                yield RawFile(str(path), tuple(n for n in members if n != "x"), some, rows, x)


def _header(path: Path, stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Read shape and dtype of an array inside an archive; only numbers in row order can be read piece by piece."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_column, dtype = read(stream)
    if dtype.kind not in arrays.NUMERIC or not shape or (by_column and len(shape) > 1):
        what = "column order" if by_column else f"dtype {dtype} and shape {shape}"
        raise DataError(f"'x' of {path} is stored with {what}; save it with np.savez as plain numbers, row by row.")
    return shape, dtype
