"""Raw columns of several files into one consistent table per part.

The columns are those of the real files. A column is numeric when every cell of every file is a number or missing, or
every one a date or missing, and categorical otherwise; a category seen only in synthetic rows is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synthsift.data import notices
from synthsift.data.columns import Column, NumberColumn, are_numbers, describe_names, finite_cells
from synthsift.data.dates import as_dates, odd_date
from synthsift.data.files import is_unnamed
from synthsift.data.parts import Part
from synthsift.records import DataError, Finding, Table

TEXT_LENGTH = 30  # mean number of characters above which mostly distinct cells look like running text
OWN_LEVEL = 3  # rows from which on the encoder of tables tells a category from others
FEWEST_VALUES = 10  # rarer ones from which on a column may hold anything but categories

Cells = tuple[list[np.ndarray], tuple[str, ...] | None]


def build_tables(parts: Sequence[Part], keys: frozenset[str]) -> tuple[list[Table], list[Finding]]:
    """Turn the features of all parts into tables with the same columns and categories.

    Parameters
    ----------
    parts : sequence of Part
        All parts, real ones among them.
    keys : frozenset of str
        Columns that are no features.

    Returns
    -------
    tables : list of Table
        One a part, in order.
    findings : list of Finding
        Columns that were kept out, changed their kind, or differ between files.

    Raises
    ------
    DataError
        If no column with values is left, or a file shares none with the real files.
    """
    names, findings = _feature_names(parts, keys)
    kept: list[str] = []
    cells: list[Cells] = []
    empty, infinite = [], dict[str, int]()
    for name in names:
        columns = [part.raw.columns.get(name) for part in parts]
        if not any(_has_value(c) for c, part in zip(columns, parts, strict=True) if part.role in ("real", "valid")):
            empty.append(name)
            continue
        kept.append(name)
        known = [column for column in columns if column is not None]
        if not are_numbers(known) and (dates := as_dates(known)) is not None:
            known = list(dates)
            columns = [None if column is None else dates.pop(0) for column in columns]
        cells.append(_numeric(name, parts, columns, infinite) if are_numbers(known) else _categorical(parts, columns))
        findings += _spoiled(name, parts, columns)
    if not kept:
        raise DataError(f"no column of the real rows has values beside the label; they have {describe_names(names)}.")
    if empty:
        findings.append(notices.empty_columns(empty))
    if infinite:
        findings.append(notices.infinite_numbers(infinite))
    tables = [
        Table(tuple(kept), tuple(values[i] for values, _ in cells), tuple(categories for _, categories in cells))
        for i in range(len(parts))
    ]
    return tables, findings + _texts(tables, parts)


def _feature_names(parts: Sequence[Part], keys: frozenset[str]) -> tuple[list[str], list[Finding]]:
    """Return the columns of the real training files, and what the other files lack or have beside them."""
    real = dict.fromkeys(name for part in parts if part.role == "real" for name in part.raw.names)
    unnamed = [name for name in real if is_unnamed(name)]
    names = [name for name in real if name not in keys and name not in unnamed]
    if not names:
        raise DataError(f"{parts[0].raw.file} has no column beside the label and the named ones to learn from.")
    lacking, extra = dict[str, list[str]](), dict[str, list[str]]()
    for part in parts:
        theirs = {name for name in part.raw.names if name not in keys and not is_unnamed(name)}
        if not theirs & set(names):
            raise DataError(
                f"{part.raw.file} shares no feature column with the real rows: it has "
                f"{describe_names(part.raw.names)}, they have {describe_names(names)}. Give all files the same columns."
            )
        if lost := [name for name in names if name not in theirs]:
            lacking[part.raw.file] = lost
        if part.role == "synthetic" and theirs - set(names):
            extra[part.raw.file] = sorted(theirs - set(names))
    findings = [notices.unnamed_columns(unnamed)] if unnamed else []
    findings += [notices.lacking_columns(lacking)] if lacking else []
    return names, findings + ([notices.only_synthetic_columns(extra)] if extra else [])


def _has_value(column: Column | None) -> bool:
    """Tell whether any cell is not missing."""
    if column is None:
        return False
    return column.has_number if isinstance(column, NumberColumn) else bool((column.codes >= 0).any())


def _numeric(name: str, parts: Sequence[Part], columns: Sequence[Column | None], infinite: dict[str, int]) -> Cells:
    """Return float64 (n,) for each part, NaN where missing; endless cells are counted under `name`."""
    arrays = []
    for part, column in zip(parts, columns, strict=True):
        values, lost = (np.full(len(part), np.nan), 0) if column is None else finite_cells(column)
        if lost:
            infinite[name] = infinite.get(name, 0) + lost
        arrays.append(values)
    return arrays, None


def _categorical(parts: Sequence[Part], columns: Sequence[Column | None]) -> Cells:
    """Return int32 codes (n,) for each part, -1 where missing, and the categories sorted as text."""
    coded = [
        (np.full(len(p), -1, np.int32), []) if c is None else c.as_codes() for p, c in zip(parts, columns, strict=True)
    ]
    categories = tuple(sorted({value for _, values in coded for value in values}))
    place = {value: code for code, value in enumerate(categories)}
    arrays = [np.array([*(place[v] for v in values), -1], np.int32)[codes] for codes, values in coded]
    return arrays, categories


def _spoiled(name: str, parts: Sequence[Part], columns: Sequence[Column | None]) -> list[Finding]:
    """Report a column of numbers or dates in the real rows that another file turned into categories."""
    pairs = [(part, column) for part, column in zip(parts, columns, strict=True) if column is not None]
    real = [column for part, column in pairs if part.role == "real"]
    if not are_numbers(real):
        odd = [] if as_dates(real) is None else [(p, odd_date(c)) for p, c in pairs if as_dates([c]) is None]
        told = [(f"{part.raw.file} ({part.source})", cell) for part, cell in odd if cell]
        return [notices.spoiled_numbers(name, where, cell, "dates") for where, cell in told[:1]]
    return [notices.spoiled_numbers(name, f"{p.raw.file} ({p.source})", c.odd) for p, c in pairs if not c.is_number][:1]


def _texts(tables: Sequence[Table], parts: Sequence[Part]) -> list[Finding]:
    """Report categorical columns of the real training rows that look like running text, or hardly have categories."""
    real = [table for table, part in zip(tables, parts, strict=True) if part.role == "real"]
    seen = [table for table, part in zip(tables, parts, strict=True) if part.role != "test"]
    texts, rare = [], {}
    for column, categories in enumerate(real[0].categories):
        if categories is None:
            continue
        codes, name = np.concatenate([table.values[column] for table in real]), real[0].names[column]
        used, count = np.unique(codes[codes >= 0], return_counts=True)
        if len(used) > 0.5 * len(codes) and np.mean([len(categories[code]) for code in used]) > TEXT_LENGTH:
            texts.append(name)
            continue
        if are_numbers([part.raw.columns[name] for part in parts if part.role == "real"]):
            continue  # spoiled by another file
        known = np.concatenate([table.values[column] for table in seen])
        few = np.bincount(known[known >= 0], minlength=len(categories))[used] < OWN_LEVEL
        if few.sum() >= FEWEST_VALUES and count[few].sum() > 0.5 * count.sum():
            rare[name] = categories[used[few][0]]
    found = [notices.texts_as_categories(texts)] if texts else []
    return found + ([notices.values_that_hardly_repeat(rare)] if rare else [])
