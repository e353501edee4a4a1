"""Parquet: typed columns, checked for types that a table of numbers and categories can hold."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from synthsift.data.columns import Column, NumberColumn, RawFile, column_of
from synthsift.data.paths import is_gzipped, opened
from synthsift.records import DataError

if TYPE_CHECKING:
    import pyarrow as pa

READ_BYTES = 2**20  # of a column chunk at a time
_A_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}  # divided by: 1e-3 is no exact number
_INDEX = "__index_level_"  # how pandas stores the index of a frame; row numbers are no feature


def read_parquet(path: Path, wanted: Collection[str] | None = None, text: str | None = None) -> RawFile:
    """Read a Parquet file.

    Parameters
    ----------
    path : Path
        Plain, or gzipped as a whole.
    wanted : collection of str, optional
        Columns to keep; all of them by default.
    text : str, optional
        The column that must be text; in another type all its cells count as missing.

    Returns
    -------
    RawFile
        Numbers, decimals, dates and times (seconds since 1970) are numbers; text, booleans and dictionaries are text.

    Raises
    ------
    DataError
        If the file is damaged, names repeat, or a column holds lists, structs or bytes.
    """
    with opened_parquet(path) as file:
        return _read(path, file, wanted, text)


@contextmanager
def opened_parquet(path: Path) -> Iterator[pa.parquet.ParquetFile]:
    """Open a Parquet file; what pyarrow meets in it inside the block becomes a `DataError`.

    A gzipped file is decompressed in memory, for Parquet is read from its end. Pages are checked against their CRC-32,
    so a flipped bit in them is found where it would be read as other numbers. Only pages whose writer stored a checksum
    can be checked: many writers (pyarrow by default) store none, and their files are read as before.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with opened(path) as stream:
            source = io.BytesIO(stream.read()) if is_gzipped(path) else stream
            # Without these two, a column of a whole row group is in memory before its first rows are handed out.
            part = {"pre_buffer": False, "buffer_size": READ_BYTES}
            yield parquet.ParquetFile(source, page_checksum_verification=True, **part)
    except pa.ArrowMemoryError as error:
        raise MemoryError(str(error)) from error
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not sound Parquet ({error}). Was it copied completely? Write it again.") from error


def _read(path: Path, file: pa.parquet.ParquetFile, wanted: Collection[str] | None, text: str | None) -> RawFile:
    """Check names and types, then read column by column."""
    schema = file.schema_arrow
    names = column_names(path, schema)
    total = file.metadata.num_rows
    if total == 0:
        raise DataError(f"{path} has columns but no rows. Rows are needed; was the file written completely?")
    kept = [name for name in names if wanted is None or name in wanted]
    refuse_types(path, schema, kept)
    table = file.read(columns=kept)
    columns: dict[str, Column] = {}
    for name in kept:
        column = table.column(name)
        columns[name] = typed(column, total, only_text=name == text)
        table = table.drop_columns([name])
    return RawFile(str(path), tuple(names), columns, total)


def column_names(path: Path, schema: pa.Schema) -> list[str]:
    """Return the names of the columns, without a stored index; refuse repeated ones."""
    names = [name for name in schema.names if not name.startswith(_INDEX)]
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise DataError(f"{path} has several columns called {repeated[0]!r}; names must differ. Rename one of them.")
    return names


def refuse_types(path: Path, schema: pa.Schema, kept: list[str]) -> None:
    """Refuse columns whose cells are neither a number nor a text."""
    bad = [name for name in kept if not is_flat(schema.field(name).type)]
    if bad:
        kinds = ", ".join(f"{name!r} ({schema.field(name).type})" for name in bad[:5])
        raise DataError(
            f"{path} has columns of a type that cannot be used: {kinds}. Needed are numbers, text, booleans, dates or "
            f"dictionaries; drop these columns, spread lists over columns, or give vectors with --embeddings."
        )


def is_flat(kind: pa.DataType) -> bool:
    """Tell whether a cell of this type is a number, a text, or missing."""
    import pyarrow as pa

    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    is_dictionary = pa.types.is_dictionary(kind) and is_flat(kind.value_type)
    # an interval is months, days and seconds
    is_single = pa.types.is_primitive(kind) and not pa.types.is_interval(kind)
    return is_text or is_dictionary or is_single or pa.types.is_null(kind) or pa.types.is_decimal(kind)


def typed(column: pa.ChunkedArray, total: int, only_text: bool) -> Column:
    """Return a column of a Parquet file, or of a data frame, as numbers or text."""
    import pyarrow as pa

    plain = [_plain(chunk) for chunk in column.chunks]
    if only_text and not all(pa.types.is_string(chunk.type) for chunk in plain):
        plain = [pa.nulls(total)]
    found = column_of(plain)
    is_date = pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)
    return replace(found, is_date=True) if is_date and isinstance(found, NumberColumn) else found


def _plain(chunk: pa.Array) -> pa.Array:
    """Bring a piece of a column to a string, boolean, whole number, float64 or null type."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = chunk.type
    if pa.types.is_dictionary(kind):
        return _plain(chunk.dictionary_decode())
    if pa.types.is_temporal(kind):
        return _seconds(chunk)
    if pa.types.is_decimal(kind) or pa.types.is_floating(kind):
        return pc.cast(chunk, pa.float64())
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pc.cast(chunk, pa.string())
    return chunk


def _seconds(chunk: pa.Array) -> pa.Array:
    """Return dates as seconds since 1970, times and durations as seconds."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = chunk.type
    if pa.types.is_date32(kind):
        return pc.multiply(pc.cast(pc.cast(chunk, pa.int32()), pa.float64()), 86400.0)
    unit = "ms" if pa.types.is_date64(kind) else kind.unit
    whole = pc.cast(chunk, pa.int32() if kind.bit_width == 32 else pa.int64())
    return pc.divide(pc.cast(whole, pa.float64(), safe=False), _A_SECOND[unit])
