"""Rows that come after a run: their cells as the run's encoder and classes understand them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from synthsift.data.arrays import SOUND, flat_inputs, unsound_rows
from synthsift.data.columns import RawFile, describe_names, documents, finite_cells
from synthsift.data.dates import as_dates
from synthsift.data.files import need_column
from synthsift.data.labels import codes_of, label_keys
from synthsift.data.spec import nearest
from synthsift.records import DataError, Table


def fresh_table(raw: RawFile, names: Sequence[str], numeric: Sequence[bool]) -> Table:
    """Return the columns of a run from a new file.

    Parameters
    ----------
    raw : RawFile
    names : sequence of str
        The run's columns, in order.
    numeric : sequence of bool
        Which of them held numbers.

    Returns
    -------
    Table
        Categories are those of this file; an encoder matches them by their text.

    Raises
    ------
    DataError
        If a column is missing, or holds text where the run had numbers.
    """
    values: list[np.ndarray] = []
    categories: list[tuple[str, ...] | None] = []
    for name, is_number in zip(names, numeric, strict=True):
        if name not in raw.columns:
            raise DataError(
                f"{raw.file} has no column {name!r}, which the run learned from; it has {describe_names(raw.names)}."
                f"{nearest(name, list(raw.names))}"
            )
        column = raw.columns[name]
        if is_number and not column.is_number:  # the run may have read dates
            dates = as_dates([column])
            column = column if dates is None else dates[0]
        if is_number and not column.is_number:
            raise DataError(
                f"the column {name!r} held numbers in the run, but {raw.file} has {column.odd!r} in it. Write numbers, "
                "or leave the cell empty."
            )
        if is_number:
            values.append(finite_cells(column)[0])
            categories.append(None)
        else:
            codes, texts = column.as_codes()
            values.append(codes)
            categories.append(tuple(texts))
    return Table(tuple(names), tuple(values), tuple(categories))


def fresh_texts(raw: RawFile, text: str) -> np.ndarray:
    """Return the documents (n,) of a new file, "" where missing."""
    return documents(need_column(raw, text, "--text"))


def fresh_array(raw: RawFile, first_row: int) -> np.ndarray:
    """Return the inputs (n, d) of an .npz file in single precision.

    Raises
    ------
    DataError
        If the file is no archive of arrays, or a value is not finite.
    """
    if raw.x is None:
        raise DataError(f"{raw.file} is a table, but the run learned from arrays; give an .npz file with x and y.")
    bad, what = unsound_rows(raw.x)
    if len(bad):
        raise DataError(f"row {first_row + bad[0]} of {raw.file} (counted from 0) holds {what} in 'x'. {SOUND}")
    return flat_inputs(raw.x)


def fresh_labels(raw: RawFile, label: str, classes: Sequence[Any], first_row: int) -> np.ndarray:
    """Return the codes (n,) of the labels of a new file.

    Raises
    ------
    DataError
        If the column is missing, a cell is empty, or a label is none of the run's classes.
    """
    column = need_column(raw, label, "--label")
    is_number = not any(isinstance(name, str) for name in classes)
    if is_number and not column.is_number:
        where = f"in {label!r}" if raw.folder is None else "among its class folders"
        raise DataError(
            f"the labels of the run are numbers, but {raw.file} has {column.odd!r} {where}. The run's classes "
            f"are {_listed(classes)}."
        )
    keys = label_keys(column, is_number)
    codes = codes_of(keys, classes)
    if (codes < 0).any():
        place = int(np.flatnonzero(codes < 0)[0])
        seen = keys[place]
        if raw.folder is not None:
            raise DataError(
                f"{raw.file} has a class folder {raw.folder.labels[place]!r}, which is no class of the run: "
                f"{_listed(classes)}. Only images of these classes can be weighed; move the others elsewhere."
            )
        what = "no label" if seen == "" or seen != seen else f"the label {seen!r}"
        raise DataError(
            f"data row {first_row + place + 1} of {raw.file} has {what}, which is no class of the run: "
            f"{_listed(classes)}. Only rows of these classes can be weighed; remove the others."
        )
    return codes


def _listed(classes: Sequence[Any]) -> str:
    return ", ".join(map(str, classes[:20])) + (f" and {len(classes) - 20} more" if len(classes) > 20 else "")
