"""CSV and TSV: cells as the text that stands in the file.

pyarrow does the reading. When it fails, or when its result looks cut off, the file is walked through once more, record
by record, with the standard library, only to say what is wrong and in which line.
"""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from synthsift.data.columns import Column, RawFile, text_column
from synthsift.data.paths import encoding_error, opened
from synthsift.records import DataError

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 1 << 24  # a row that is longer than two blocks is not accepted by pyarrow, wherever it begins
MAX_HEADER = 1 << 22  # characters: 100,000 names of 40
DELIMITERS = {"csv": ",", "tsv": "\t"}
_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


def read_delimited(path: Path, delimiter: str, wanted: Collection[str] | None = None) -> RawFile:
    """Read a CSV or TSV file, compressed or not.

    Parameters
    ----------
    path : Path
        UTF-8, with or without byte order mark; any line ends; quoted cells may hold line ends.
    delimiter : str
        "," or a tab.
    wanted : collection of str, optional
        Columns to keep; all of them by default.

    Returns
    -------
    RawFile

    Raises
    ------
    DataError
        If the delimiter is another one, names repeat, rows are ragged, or the bytes are not UTF-8.
    """
    header = read_header(path, delimiter)
    check_header(path, header, delimiter)
    kept = [name for name in header if wanted is None or name in wanted]
    table = _read_table(path, delimiter, header, kept)
    columns: dict[str, Column] = {}
    total = table.num_rows
    for name in kept:
        columns[name] = text_column(table.column(name))
        table = table.drop_columns([name])  # lets go of the raw cells, so memory does not double
    if total == 0:
        raise DataError(f"{path} has a header but no rows. Rows are needed; was the file written completely?")
    return RawFile(str(path), tuple(header), columns, total)


def read_header(path: Path, delimiter: str) -> list[str]:
    """Return the column names, without a byte order mark.

    Raises
    ------
    DataError
        If the file holds no header or is not UTF-8.
    """
    with opened_text(path) as text:
        for _, _, cells in records(text, delimiter, MAX_HEADER):
            return cells
    raise DataError(f"{path} holds no header and no rows, only blank lines.")


@contextmanager
def opened_text(path: Path) -> Iterator[TextIO]:
    """Open a file as text without a byte order mark, line ends as they stand; other encodings become a `DataError`."""
    with opened(path) as stream, io.TextIOWrapper(stream, "utf-8-sig", newline="") as text:
        try:
            yield text
        except UnicodeDecodeError as error:
            raise encoding_error(path) or DataError(f"{path}: {error}") from error
        except EndlessRecord as error:
            raise DataError(
                f"the record that begins in line {error.line} of {path} goes on for more than {error.limit:,} "
                "characters. One line of column names and then one line a row are needed. Was the file written "
                'without line ends, is a quotation mark " not closed, or is it no CSV?'
            ) from error


class EndlessRecord(Exception):
    """A record that is longer than `limit` characters; it begins in line `line`, counted from 1."""

    def __init__(self, line: int, limit: int) -> None:
        super().__init__(line, limit)
        self.line, self.limit = line, limit


def records(text: TextIO, delimiter: str, limit: int = 2 * BLOCK_BYTES) -> Iterator[tuple[int, str, list[str]]]:
    """Yield (line number of its first line, raw text with line end, cells) for each record that is not blank.

    No more than `limit` characters of a record are held.

    Raises
    ------
    EndlessRecord
        If a record is longer.
    """
    taken = io.StringIO()  # not a list: an open quotation mark may swallow millions of short lines
    before, held = 0, 0

    def lines() -> Iterator[str]:
        nonlocal held
        while line := text.readline(limit + 1):
            held += len(line)
            if held > limit:
                raise EndlessRecord(before + 1, limit)
            taken.write(line)
            yield line

    with _any_cell():
        reader = csv.reader(lines(), delimiter=delimiter)
        for cells in reader:
            if cells:
                yield before + 1, taken.getvalue(), cells
            taken = io.StringIO()
            before, held = reader.line_num, 0


@contextmanager
def _any_cell() -> Iterator[None]:
    """Let the standard library read cells over 128 KiB, which documents have."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def check_header(path: Path, header: list[str], delimiter: str) -> None:
    """Refuse a header that another delimiter would split, and repeated names."""
    other = [mark for mark in _NAMES if mark != delimiter and mark in header[0]]
    if len(header) == 1 and other:
        mark = max(other, key=header[0].count)
        raise DataError(
            f"the header of {path} is one column, {header[0][:60]!r}: the file seems to be separated by "
            f"{_NAMES[mark]}, but its ending asks for {_NAMES[delimiter]}. Save it with commas as .csv or with tabs "
            "as .tsv."
        )
    repeated = sorted(name for name, count in Counter(header).items() if count > 1)
    if repeated:
        raise DataError(f"{path} has several columns called {repeated[0]!r}; names must differ. Rename one of them.")


def _read_table(path: Path, delimiter: str, header: list[str], kept: list[str]) -> pa.Table:
    """Read the wanted columns as text."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    try:
        with opened(path) as stream:
            table = arrow_csv.read_csv(
                stream,
                read_options=arrow_csv.ReadOptions(block_size=BLOCK_BYTES),
                parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                convert_options=arrow_csv.ConvertOptions(
                    column_types={name: pa.string() for name in header}, include_columns=kept, strings_can_be_null=False
                ),
            )
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise diagnose(path, delimiter, len(header), error) from error
    if table.num_rows and kept and _ends_in_open_quote(path, delimiter, table):
        raise DataError(
            f'{path} ends inside a quoted cell: a quotation mark is not closed. Look for a lone " and close it.'
        )
    return table


def diagnose(path: Path, delimiter: str, width: int, error: Exception) -> DataError:
    """Find out why the fast reader failed."""
    encoding = encoding_error(path)
    if encoding is not None:
        return encoding
    with opened_text(path) as text:
        for line, _, cells in records(text, delimiter):
            if len(cells) != width:
                return DataError(
                    f"line {line} of {path} has {len(cells)} cells where the header has {width}. Quote cells that hold "
                    f"the separator, or remove the line."
                )
    return DataError(f"{path} could not be read: {error}. Write it again as plain CSV or as Parquet.")


def _ends_in_open_quote(path: Path, delimiter: str, table: pa.Table) -> bool:
    """Tell whether the last row swallowed the rest of the file because a quotation mark was never closed."""
    last = [table.column(i)[-1].as_py() for i in range(table.num_columns)]
    if not any("\n" in cell or "\r" in cell for cell in last):
        return False
    with _any_cell(), opened_text(path) as text:
        try:
            for _ in csv.reader(text, delimiter=delimiter, strict=True):
                pass
        except csv.Error as error:
            return "unexpected end" in str(error)
    return False
