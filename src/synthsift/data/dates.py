"""Dates and times written as text, read as a typed file holds them: seconds since 1970."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from synthsift.data.columns import MISSING_TOKENS, Column, NumberColumn, TextColumn

if TYPE_CHECKING:
    import pyarrow as pa

ISO_DATE = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?)?$"


def as_dates(columns: Sequence[Column]) -> list[NumberColumn] | None:
    """Return the same column of several files as numbers, if it holds dates in all of them.

    Parameters
    ----------
    columns : sequence of Column
        Text in which every cell is missing or a date such as 2024-03-01, with or without a time such as 14:30:05 and a
        zone; or numbers that a typed file holds as dates.

    Returns
    -------
    list of NumberColumn, or None
        Seconds since 1970, UTC where no zone is named; NaN where missing. None if any cell is something else, or no
        text is a date.
    """
    found = [column if isinstance(column, NumberColumn) else _text_as_dates(column) for column in columns]
    told = [one for one, column in zip(found, columns, strict=True) if isinstance(column, TextColumn) and one]
    dates = [one for one in found if one is not None and (one.is_date or not one.has_number)]
    return dates if len(dates) == len(columns) and any(one.has_number for one in told) else None


def odd_date(column: Column) -> str:
    """Return the first cell of a column that is no date, "" if all are."""
    if isinstance(column, NumberColumn):
        return "" if column.is_date else next((f"{value:g}" for value in column.as_numbers() if value == value), "")
    texts = (text for text in column.values.to_pylist() if text not in MISSING_TOKENS)
    return next((text for text in texts if not _is_date(text)), "")


def _is_date(text: str) -> bool:
    try:
        return bool(re.match(ISO_DATE, text, re.ASCII) and datetime.fromisoformat(text))
    except ValueError:
        return False


def _text_as_dates(column: TextColumn) -> NumberColumn | None:
    """Return the cells as seconds, None where one that is there is no date."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pc.if_else(pc.is_in(column.values, pa.array(MISSING_TOKENS)), pa.scalar(None, pa.string()), column.values)
    if not pc.all(pc.match_substring_regex(values, ISO_DATE)).as_py():
        return None if len(values) > values.null_count else NumberColumn(np.full(len(column), np.nan))
    seconds = _seconds(values)
    return None if seconds is None else NumberColumn(np.append(seconds, np.nan)[column.codes], is_date=True)


def _seconds(values: pa.Array) -> np.ndarray | None:
    """Parse texts of that form; None for a 30th of February, or where only some cells name a zone."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            whole = pc.cast(pc.cast(values, kind), pa.int64())
        except pa.ArrowInvalid:
            continue
        return pc.divide(pc.cast(whole, pa.float64(), safe=False), 1e6).to_numpy(zero_copy_only=False)
    return None
