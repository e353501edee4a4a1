"""One file of any format, or a folder of images, into columns."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from synthsift.data.arrays import read_npz
from synthsift.data.columnar import read_parquet
from synthsift.data.columns import Column, RawFile, describe_names, text_column
from synthsift.data.delimited import DELIMITERS, read_delimited
from synthsift.data.folders import list_images
from synthsift.data.jsonlines import read_jsonl
from synthsift.data.paths import existing_file, known_format
from synthsift.data.spec import nearest
from synthsift.records import DataError

_UNNAMED = re.compile(r"(Unnamed: \d+)?")  # an index that pandas wrote with the data; row numbers are no feature


def read_file(path: str | Path, keys: Collection[str], text: str | None = None) -> RawFile:
    """Read one data file.

    Parameters
    ----------
    path : str or Path
        CSV, TSV, JSON lines, Parquet (each also .gz) or .npz.
    keys : collection of str
        Columns that are no features: label, ids, sources and so on.
    text : str, optional
        The column of documents. When given, only it and `keys` are read; otherwise all columns are.

    Returns
    -------
    RawFile

    Raises
    ------
    DataError
        Whatever is wrong with the file, in one sentence with what to do.
    """
    path = existing_file(path)
    kind = known_format(path)
    wanted = None if text is None else {*keys, text}
    if kind == "npz":
        if text is not None:
            raise DataError(f"{path} holds arrays, but --text {text} asks for documents. Drop --text.")
        return read_npz(path, keys)
    if kind == "jsonl":
        return read_jsonl(path, wanted, text)
    if kind == "parquet":
        return read_parquet(path, wanted, text)
    return read_delimited(path, DELIMITERS[kind], wanted)


def read_folder(path: str | Path, label: str) -> RawFile:
    """List a folder of images; its only column, called `label`, holds the names of its class folders."""
    import pyarrow as pa

    folder = list_images(path)
    labels = text_column(pa.chunked_array([pa.array(folder.labels, pa.string())]))
    return RawFile(str(path), (label,), {label: labels}, len(folder.names), folder=folder)


def refuse_columns_of_images(path: str | Path, columns: Mapping[str, str | None]) -> None:
    """Refuse flags that name a column where the rows are files.

    Raises
    ------
    DataError
        For the first flag of `columns` (flag -> column) that names one.
    """
    for flag, name in columns.items():
        if name:
            raise DataError(f"{flag} {name} names a column, but {path} is a folder of images and has none. Drop it.")


def need_column(raw: RawFile, name: str, flag: str) -> Column:
    """Return the column called `name`, which the user named with `flag`.

    Raises
    ------
    DataError
        If the file lacks it; its columns are listed and the nearest is suggested.
    """
    if name in raw.columns:
        return raw.columns[name]
    what = "array" if raw.x is not None else "column"
    hint = nearest(name, list(raw.names))
    seen = describe_names(raw.names) if raw.names else "inputs only"
    raise DataError(f"{raw.file} has no {what} {name!r} ({flag}); it has {seen}.{hint}")


def is_unnamed(name: str) -> bool:
    """Tell whether a column has no name of its own, as a stored row index."""
    return _UNNAMED.fullmatch(name.strip()) is not None
