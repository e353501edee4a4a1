"""One column of one file, before it is known what the other files hold.

A column is either numbers (the file said so) or text (CSV cells, JSON strings). Whether text means numbers is decided
over all files together, so a text column carries what its file says about that: `is_number` (every cell is a number
or missing) and the first cell that is not one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from synthsift.data.folders import ImageFolder

if TYPE_CHECKING:
    import pyarrow as pa

MISSING_TOKENS = ("NA", "N/A", "nan", "NaN", "null", "None", "?")
"""Cells that mean "missing", but only where every other cell of the column is a number."""

ENDLESS = 1e100
"""Numeric cells of a table beyond it count as infinite: sums of their squares may overflow in double precision, and
marks for "no value" such as 1.8e308 are among them."""

_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class NumberColumn:
    """Cells that the file itself stores as numbers: ``numbers`` (n,) int64, or float64 with NaN for missing.

    With `is_date` it stores them as dates, and they are seconds since 1970.
    """

    numbers: np.ndarray
    is_number: bool = True
    odd: str = ""
    is_date: bool = False

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def has_number(self) -> bool:
        """Whether any cell is not missing."""
        return len(self.numbers) > 0 and not np.isnan(self.numbers).all()

    def take(self, rows: np.ndarray) -> NumberColumn:
        """Return the cells at `rows`."""
        return replace(self, numbers=self.numbers[rows])

    def judged(self) -> NumberColumn:
        """Return itself; numbers stay numbers in every part of a file."""
        return self

    def as_numbers(self) -> np.ndarray:
        """Return float64 (n,), NaN where missing; infinite cells stay infinite."""
        return self.numbers.astype(np.float64, copy=False)

    def as_codes(self) -> tuple[np.ndarray, list[str]]:
        """Return int32 codes (n,), -1 where missing, and the text of each code."""
        known = ~np.isnan(self.numbers)
        distinct, inverse = np.unique(self.numbers[known], return_inverse=True)
        codes = np.full(len(self.numbers), -1, np.int32)
        codes[known] = inverse
        return codes, [number_text(value) for value in distinct.tolist()]


@dataclass(frozen=True)
class TextColumn:
    """Cells of text: int32 ``codes`` (n,) into the distinct, trimmed ``values``; -1 = missing."""

    codes: np.ndarray
    values: pa.Array
    is_number: bool
    has_number: bool
    odd: str = ""

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: np.ndarray) -> TextColumn:
        """Return the cells at `rows`; values that no row uses any more are let go."""
        codes = self.codes[rows]
        used = np.bincount(codes[codes >= 0], minlength=len(self.values)) > 0
        rank = np.append(np.cumsum(used) - 1, -1).astype(np.int32)
        return replace(self, codes=rank[codes], values=self.values.filter(_mask(used)))

    def judged(self) -> TextColumn:
        """Look again whether the cells are numbers, now only at those that are there."""
        return _without_empty(self.codes, self.values)

    def as_numbers(self) -> np.ndarray:
        """Return float64 (n,), NaN where missing; only for a column that `is_number`."""
        numbers, _ = _parse(self.values)
        assert numbers is not None
        return np.append(numbers, np.nan)[self.codes]

    def as_codes(self) -> tuple[np.ndarray, list[str]]:
        """Return int32 codes (n,), -1 where missing, and the text of each code."""
        return self.codes, self.values.to_pylist()


Column = NumberColumn | TextColumn


@dataclass(frozen=True)
class RawFile:
    """What one file holds.

    Parameters
    ----------
    file : str
        Its path, as the user gave it.
    names : tuple of str
        All columns (or arrays) of the file, in its order.
    columns : mapping of str to Column
        Those that were read.
    total : int
        Rows in the file, whatever was taken of them.
    x : ndarray (n, ...) or Images, optional
        The inputs of an .npz, or of a folder of images once they are decoded.
    folder : ImageFolder, optional
        What was listed, where the "file" is a folder of images; its rows are the images in this order.
    """

    file: str
    names: tuple[str, ...]
    columns: Mapping[str, Column]
    total: int
    x: Any = field(default=None, repr=False)
    folder: ImageFolder | None = field(default=None, repr=False)

    def take(self, rows: np.ndarray) -> RawFile:
        """Return the given rows of every column."""
        columns = {name: column.take(rows) for name, column in self.columns.items()}
        return replace(self, columns=columns, x=None if self.x is None else self.x[rows])

    def divide(self, rows: np.ndarray) -> RawFile:
        """Return the given rows as if they were a file of their own: whether text means numbers is looked at anew."""
        taken = self.take(rows)
        return replace(taken, columns={name: column.judged() for name, column in taken.columns.items()})


def finite_cells(column: Column) -> tuple[np.ndarray, int]:
    """Return numeric cells as float64 (n,), NaN where missing or beyond +-`ENDLESS`, and how many are beyond it."""
    values = column.as_numbers()
    lost = np.abs(values) > ENDLESS
    num_lost = int(lost.sum())
    return (np.where(lost, np.nan, values) if num_lost else values), num_lost


def are_numbers(columns: Sequence[Column]) -> bool:
    """Tell whether columns of several files are numbers: every cell is a number or missing, and one is a number."""
    return all(column.is_number for column in columns) and any(column.has_number for column in columns)


def number_text(value: float) -> str:
    """Return the one text that stands for a number: ``1`` for 1 and 1.0, the shortest exact decimal otherwise."""
    if isinstance(value, int):
        return str(value)
    return str(int(value)) if math.isfinite(value) and value == int(value) and abs(value) < 1e15 else repr(value)


def key_texts(column: Column) -> np.ndarray:
    """Return the cells as text (n,) of object, "" where missing: for labels, ids, sources, groups."""
    codes, values = column.as_codes()
    return np.array([*values, ""], dtype=object)[codes]


def documents(column: Column) -> np.ndarray:
    """Return the texts (n,) of object, "" where missing; a column of numbers holds no text at all."""
    return np.full(len(column), "", dtype=object) if isinstance(column, NumberColumn) else key_texts(column)


def text_column(chunks: pa.ChunkedArray) -> TextColumn:
    """Encode text cells: trimmed, distinct values numbered, empty and null cells missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    encoded = chunks.dictionary_encode()
    if encoded.num_chunks == 0:
        return TextColumn(np.empty(0, np.int32), pa.array([], pa.string()), True, False)
    codes = np.concatenate([_indices(chunk) for chunk in encoded.chunks])
    values = encoded.chunk(0).dictionary
    bare = pc.utf8_trim_whitespace(values)
    if not bare.equals(values):
        trimmed = bare.dictionary_encode()
        codes = np.append(trimmed.indices.to_numpy(zero_copy_only=False), -1)[codes]
        values = trimmed.dictionary
    return _without_empty(codes.astype(np.int32, copy=False), values)


def _indices(chunk: pa.DictionaryArray) -> np.ndarray:
    """Return the codes of an encoded piece, -1 where null."""
    codes = chunk.indices if chunk.null_count == 0 else chunk.indices.fill_null(-1)
    return codes.to_numpy(zero_copy_only=False)


def _without_empty(codes: np.ndarray, values: pa.Array) -> TextColumn:
    """Make the empty text a missing cell and look whether the rest are numbers."""
    import pyarrow.compute as pc

    full = pc.not_equal(values, "").to_numpy(zero_copy_only=False)
    if not full.all():
        codes = np.append(np.where(full, np.cumsum(full) - 1, -1), -1).astype(np.int32)[codes]
        values = values.filter(_mask(full))
    numbers, odd = _parse(values)
    return TextColumn(
        codes=codes,
        values=values,
        is_number=numbers is not None,
        has_number=numbers is not None and bool((~np.isnan(numbers)).any()),
        odd=odd,
    )


def _mask(keep: np.ndarray) -> pa.Array:
    """Return a boolean array as a filter."""
    import pyarrow as pa

    return pa.array(keep, pa.bool_())


def _parse(values: pa.Array) -> tuple[np.ndarray | None, str]:
    """Return distinct texts as float64 (k,) with NaN for missing tokens, or None and the first that is no number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    token = pc.is_in(values, pa.array(MISSING_TOKENS))
    cells = pc.if_else(token, pa.scalar(None, pa.string()), values) if pc.any(token).as_py() else values
    try:
        return pc.cast(cells, pa.float64()).to_numpy(zero_copy_only=False), ""
    except pa.ArrowInvalid:
        texts = (cell.as_py() for cell in cells if cell.is_valid)  # one by one: the first is as a rule near the start
        return None, next((text for text in texts if not _NUMBER.fullmatch(text)), str(values[0]))


def column_of(chunks: Sequence[pa.Array]) -> Column:
    """Return the column that consecutive typed pieces of a file make: all numbers, or text.

    Whole numbers stay exact; booleans become the texts "False" and "True"; pieces of different kinds become text.
    """
    import pyarrow as pa

    full = [chunk for chunk in chunks if not pa.types.is_null(chunk.type)]
    kinds = {_kind(chunk.type) for chunk in full}
    if kinds and kinds <= {"int", "float"}:
        exact = _exact_numbers(chunks)
        if exact is not None:
            return NumberColumn(exact)
    texts = [_as_text(chunk) for chunk in chunks]
    return text_column(pa.chunked_array(texts, type=pa.string()))


def _kind(arrow_type: pa.DataType) -> str:
    """Name the kind of a typed piece."""
    import pyarrow as pa

    if pa.types.is_integer(arrow_type):
        return "int"
    return "float" if pa.types.is_floating(arrow_type) else "text"


def _exact_numbers(chunks: Sequence[pa.Array]) -> np.ndarray | None:
    """Return int64 or float64 (n,), or None where float64 would not hold a large whole number exactly."""
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = all(pa.types.is_integer(chunk.type) and chunk.null_count == 0 for chunk in chunks)
    try:
        parts = [pc.cast(chunk, pa.int64() if whole else pa.float64()) for chunk in chunks]
    except pa.ArrowInvalid:
        return None
    return np.concatenate([part.to_numpy(zero_copy_only=False) for part in parts])


def _as_text(chunk: pa.Array) -> pa.Array:
    """Return a typed piece as text; 1.0 is "1" and true is "True"."""
    import pyarrow as pa

    if pa.types.is_floating(chunk.type):
        return pa.array([None if v is None or v != v else number_text(v) for v in chunk.to_pylist()], pa.string())
    if pa.types.is_boolean(chunk.type):
        return pa.array([None if v is None else str(v) for v in chunk.to_pylist()], pa.string())
    return chunk.cast(pa.string())


def describe_names(names: Sequence[str], limit: int = 20) -> str:
    """List column names for a message: the first `limit` of them, and the last one, which often is the label."""
    if len(names) <= limit + 1:
        return ", ".join(map(repr, names))
    return f"{', '.join(map(repr, names[:limit]))} and {len(names) - limit} more, the last of them {names[-1]!r}"
