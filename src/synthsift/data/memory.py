"""Arrays and data frames in memory to `Loaded`, the way files go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from synthsift.data.columnar import is_flat, typed
from synthsift.data.columns import Column, NumberColumn, RawFile, text_column
from synthsift.data.load import assemble
from synthsift.data.parts import Part, numbered_ids
from synthsift.data.reading import divide_table
from synthsift.data.spec import DataSpec
from synthsift.records import REAL, DataError, Loaded

# Names of the arguments beside the features; written so that messages read well and no data frame has such columns.
LABEL, SOURCE, PARENT, GROUP, TEXT = "y=", "source=", "parent=", "group=", "X="
NUMERIC = "buif"


def load_arrays(
    x: Any,
    y: Any,
    source: Any,
    *,
    x_valid: Any = None,
    y_valid: Any = None,
    parent: Any = None,
    group: Any = None,
) -> Loaded:
    """Bring rows in memory to the form that files are brought to.

    Parameters
    ----------
    x : array-like of numbers (n, ...), sequence of str (n,), or pandas.DataFrame (n, columns)
        Inputs of real and synthetic rows; columns of a data frame may be numbers, texts, categories, dates and times
        (as in Parquet: numbers of seconds), and missing.
    y : array-like (n,)
        Labels.
    source : array-like of str (n,)
        "real" for real rows, the name of the generator for others.
    x_valid, y_valid : optional
        Real rows that validate.
    parent : array-like of int (n,), optional
        Place in `x` of the real row that a synthetic one was made from; negative or missing where unknown.
    group : array-like (n,), optional
        Rows of one group never straddle a split; missing: a group of its own.

    Returns
    -------
    Loaded
        ``row`` of its examples is the place in `x`, in `x_valid` for validation rows.

    Raises
    ------
    DataError
        Whatever is wrong with the rows.
    """
    raw, is_text = _raw("X", x, y, _text("source", source))
    num_rows = raw.total
    columns = dict(raw.columns)
    if parent is not None:
        columns[PARENT] = _text("parent", _parent_ids(parent, num_rows))
    if group is not None:
        columns[GROUP] = _text("group", group)
    _check_lengths({name: len(column) for name, column in columns.items()}, num_rows)
    spec = DataSpec(
        data="X",
        source_column=SOURCE,
        label=LABEL,
        text=TEXT if is_text else None,
        parent=None if parent is None else PARENT,
        group=None if group is None else GROUP,
    )
    reading = divide_table(replace(raw, columns=columns, names=(*raw.names, *columns.keys() - set(raw.names))), spec)
    if x_valid is not None:
        reading = replace(reading, parts=_with_valid(reading.parts, x_valid, y_valid, is_text))
    loaded = assemble(reading, spec)
    truths = {str(value): value for value in (False, True)}
    if np.asarray(y).dtype.kind != "b" or not set(loaded.mixture.classes) <= set(truths):
        return loaded
    classes = tuple(truths[name] for name in loaded.mixture.classes)  # which files would hold as texts
    return replace(loaded, mixture=replace(loaded.mixture, classes=classes))


def _with_valid(parts: tuple[Part, ...], x: Any, y: Any, is_text: bool) -> tuple[Part, ...]:
    """The parts with the validation rows behind the real ones."""
    if y is None:
        raise DataError("X_valid was given without y_valid. Give the labels of the validation rows.")
    raw, also_text = _raw("X_valid", x, y, None)
    if also_text != is_text:
        raise DataError(f"X holds {_kind(is_text)} but X_valid {_kind(also_text)}; both must be of one kind.")
    rows = np.arange(raw.total)
    valid = Part("valid", REAL, raw, rows, numbered_ids("valid", rows))
    real = [part for part in parts if part.source == REAL]
    return (*real, valid, *(part for part in parts if part.source != REAL))


def _kind(is_text: bool) -> str:
    return "texts" if is_text else "a table or numbers"


def _raw(name: str, x: Any, y: Any, source: Column | None) -> tuple[RawFile, bool]:
    """Inputs, labels and sources as if they came from a file; and whether the inputs are texts."""
    inputs, array = _inputs(name, x)
    total = len(array) if array is not None else len(next(iter(inputs.values())))
    reserved = {LABEL, SOURCE, PARENT, GROUP} & set(inputs)
    if reserved:
        raise DataError(f"{name} has a column called {sorted(reserved)[0]!r}, which is reserved. Rename it.")
    columns = {**inputs, LABEL: _labels(y)}
    if source is not None:
        columns[SOURCE] = source
    _check_lengths({label: len(column) for label, column in columns.items()}, total)
    return RawFile(name, tuple(columns), columns, total, array), list(inputs) == [TEXT]


def _check_lengths(lengths: dict[str, int], total: int) -> None:
    """Refuse arguments that do not have one entry a row."""
    for name, length in lengths.items():
        if length != total:
            raise DataError(
                f"Found input variables with inconsistent numbers of samples: {name.rstrip('=')} has {length:,} "
                f"entries for {total:,} rows. One entry a row is needed."
            )


def _inputs(name: str, x: Any) -> tuple[dict[str, Column], np.ndarray | None]:
    """Columns of a table or the one of texts, or an array of numbers."""
    if hasattr(x, "columns") and hasattr(x, "dtypes"):
        labels = [str(label) for label in x.columns]
        twice = {label for label in labels if labels.count(label) > 1} if len(set(labels)) < len(labels) else set()
        if twice:
            raise DataError(f"{name} has two columns called {sorted(twice)[0]!r}. Give every column its own name.")
        if not labels or not len(x):
            raise DataError(f"{name} has shape {x.shape}; at least one row and one column are needed.")
        return {label: _column(name, label, x.iloc[:, k]) for k, label in enumerate(labels)}, None
    if holds_texts(name, x):
        return {TEXT: _text(name, x)}, None
    array = np.asarray(x)
    if array.ndim == 2 and array.dtype.kind in "UO":
        return {f"x{k}": _column(name, f"x{k}", array[:, k]) for k in range(array.shape[1])}, None
    if array.dtype.kind not in NUMERIC or array.ndim < 2 or not array.size:
        raise DataError(
            f"{name} has shape {array.shape} and dtype {array.dtype}; needed are numbers (rows, columns), texts "
            "(rows,), or a data frame."
        )
    return {}, array


def holds_texts(name: str, x: Any) -> bool:
    """Tell whether `x` is a flat sequence of texts, some of which may be missing.

    Raises
    ------
    DataError
        If some entries are texts and others neither text nor missing.
    """
    if isinstance(x, str) or not hasattr(x, "__len__") or hasattr(x, "todense") or hasattr(x, "columns"):
        return False
    array = np.asarray(x, dtype=object) if isinstance(x, list | tuple) else np.asarray(x)
    if array.ndim != 1 or array.dtype.kind not in "UOST":
        return False
    entries = array.tolist()
    if not any(isinstance(entry, str | bytes) for entry in entries):
        return False
    for place, entry in enumerate(entries):
        if not isinstance(entry, str) and not _is_missing(entry):
            raise DataError(
                f"{name} holds texts, but entry {place} is {entry!r:.40} ({type(entry).__name__}). Give str in every "
                "place, None where a text is missing."
            )
    return True


def _column(name: str, label: str, values: Any) -> Column:
    """One column of a data frame: what Parquet made of it would be read as, else anything that has a text."""
    import pyarrow as pa

    try:
        column = pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return _text(f"column {label!r} of {name}", values)  # numbers and texts in one column
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    stored = [chunk.storage if isinstance(chunk.type, pa.BaseExtensionType) else chunk for chunk in chunks]
    if not is_flat(stored[0].type):
        raise DataError(
            f"column {label!r} of {name} holds {column.type}; numbers, texts or dates are needed. Drop the column, or "
            "make texts of it with astype(str)."
        )
    return typed(pa.chunked_array(stored), len(values), only_text=False)


def _text(name: str, values: Any) -> Column:
    """Plain values as a column of texts, missing ones empty."""
    import pyarrow as pa

    array = np.asarray(values, dtype=object)
    if array.ndim != 1:
        raise DataError(f"{name} has shape {array.shape}; one entry a row is needed.")
    texts = [None if _is_missing(value) else _whole_text(value) for value in array.tolist()]
    return text_column(pa.chunked_array([pa.array(texts, pa.string())]))


def _is_missing(value: Any) -> bool:
    """True for None, NaN and what pandas writes for missing."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or bool(value != value)


def _whole_text(value: Any) -> str:
    """Return a value as text; halves of surrogate pairs, which UTF-8 cannot hold, are replaced as in files."""
    text = str(value)
    return text if text.isascii() else text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _labels(y: Any) -> Column:
    """Labels as numbers where they are numbers, else as texts."""
    values = np.asarray(y)
    if values.ndim != 1:
        raise DataError(f"y has shape {values.shape}; one label a row is needed.")
    if values.dtype.kind in "iuf":
        return NumberColumn(values.astype(np.int64 if values.dtype.kind in "iu" else np.float64))
    return _text("y", values)


def _parent_ids(parent: Any, num_rows: int) -> np.ndarray:
    """Ids that real rows of `X` at these places get; "" where the place is no row."""
    places = np.asarray(parent, dtype=object)
    numbers = np.array([-1 if _is_missing(place) else place for place in places.tolist()], dtype=object)
    try:
        rows = numbers.astype(np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"parent must hold places in X (0, 1, ...), -1 where unknown: {error}") from error
    for number, row in zip(numbers.tolist(), rows.tolist(), strict=True):
        if not isinstance(number, str) and number != row:
            raise DataError(f"parent holds {number!r}, which is no place in X. Give 0, 1, ..., or -1 where unknown.")
    if (rows >= num_rows).any():
        raise DataError(f"parent names row {rows.max()} but X has {num_rows} rows, counted from 0.")
    ids = numbered_ids(DataSpec.train_split, np.maximum(rows, 0))
    return np.where(rows >= 0, ids, "")
