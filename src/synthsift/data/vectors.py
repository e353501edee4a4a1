"""The user's own embeddings: by id from a Parquet file, or row by row beside a data file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from synthsift.data.arrays import LARGEST, read_vectors, single, unsound_rows
from synthsift.data.columnar import opened_parquet
from synthsift.data.columns import column_of, describe_names, key_texts
from synthsift.data.paths import existing_file, table_format
from synthsift.records import DataError, Examples

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Vectors:
    """Vectors that were read: ``by_file[file]`` (rows of the file, d), and ``matrix`` (k, d) for the sorted ``ids``."""

    by_file: Mapping[str, np.ndarray]
    ids: np.ndarray
    matrix: np.ndarray


def load_vectors(entries: tuple[str, ...], totals: Mapping[str, int], id_column: str | None) -> Vectors | None:
    """Read the files of ``--embeddings``.

    Parameters
    ----------
    entries : tuple of str
        ``FILE.parquet`` with an id column, ``DATAFILE=VECTORS`` row by row, or ``VECTORS.npy`` for one data file.
    totals : mapping of str to int
        Rows of each data file.
    id_column : str, optional
        Name of the id column in the Parquet file; "id" otherwise.

    Returns
    -------
    Vectors or None
        None when there are no entries.

    Raises
    ------
    DataError
        If an entry cannot be read or does not fit its data file.
    """
    if not entries:
        return None
    by_file: dict[str, np.ndarray] = {}
    by_id: list[tuple[np.ndarray, np.ndarray]] = []
    for entry in entries:
        if _is_by_id(entry):
            by_id.append(_read_by_id(existing_file(entry), id_column))
        else:
            file, path = _data_file(entry, list(totals))
            if file in by_file:
                raise DataError(f"{file} has two files of vectors, the second is {path}; name one --embeddings for it.")
            by_file[file] = _row_by_row(path, file, totals[file])
    width = {matrix.shape[1]: f"those of {file}" for file, matrix in by_file.items()}
    width |= {matrix.shape[1]: "those by id" for _, matrix in by_id}
    if len(width) > 1:
        (few, first), *_, (many, last) = sorted(width.items())
        raise DataError(
            f"embeddings have {few} dimensions ({first}) and {many} ({last}); all must come from the same encoder."
        )
    ids = np.concatenate([ids for ids, _ in by_id]) if by_id else np.empty(0, dtype="U1")
    matrix = np.concatenate([m for _, m in by_id]) if by_id else np.empty((0, *width), np.float32)
    order = np.argsort(ids, kind="stable")
    if (ids[order][1:] == ids[order][:-1]).any():
        twice = ids[order][1:][ids[order][1:] == ids[order][:-1]][0]
        raise DataError(
            f"the id {str(twice)!r} has several embeddings; each id may occur once in the --embeddings files."
        )
    return Vectors(by_file, ids[order], matrix[order])


def entries_of(entries: tuple[str, ...], file: str, files: Sequence[str]) -> tuple[str, ...]:
    """Return the entries of ``--embeddings`` that hold vectors of one of several data files: by id, or its own.

    Raises
    ------
    DataError
        If there are none, or an entry names no file of `files` (those with rows; folders of images have none).
    """
    kept = tuple(entry for entry in entries if _is_by_id(entry) or _data_file(entry, files)[0] == file)
    if entries and not kept:
        raise DataError(f"{file} has no vectors; the run had own ones. Add --embeddings {file}=VECTORS.npy.")
    return kept


def _is_by_id(entry: str) -> bool:
    """Tell whether an entry is one Parquet file of ids and vectors."""
    return table_format(Path(entry)) == "parquet" and ("=" not in entry or Path(entry).exists())


def vectors_of(vectors: Vectors, examples: Examples) -> np.ndarray:
    """Return the vectors (n, d) of `examples`, float32.

    Raises
    ------
    DataError
        If a row has none, or one that is not finite.
    """
    assert examples.file is not None and examples.row is not None
    found = np.full((len(examples), vectors.matrix.shape[1]), np.nan, np.float32)
    has = np.zeros(len(examples), bool)
    for file, matrix in vectors.by_file.items():
        mine = examples.file == file
        found[mine], has[mine] = matrix[examples.row[mine]], True
    if len(vectors.ids):
        place = np.minimum(np.searchsorted(vectors.ids, examples.ids), len(vectors.ids) - 1)
        mine = ~has & (vectors.ids[place] == examples.ids)
        found[mine], has[mine] = vectors.matrix[place[mine]], True
    if not has.all():
        first = int(np.flatnonzero(~has)[0])
        raise DataError(
            f"{(~has).sum():,} of {len(has):,} rows have no embedding, for instance {str(examples.ids[first])!r} of "
            f"{examples.file[first]}. Every data file needs its vectors: by these ids, or as DATAFILE=VECTORS."
        )
    bad, what = unsound_rows(found)
    if len(bad):
        raise DataError(
            f"the embeddings of {len(bad):,} row{'s' * (len(bad) > 1)} hold {what} in single precision, such as that "
            f"of {str(examples.ids[bad[0]])!r}. They must be finite and within ±{LARGEST:g}; compute them again."
        )
    return found


def _data_file(entry: str, files: Sequence[str]) -> tuple[str, Path]:
    """Split ``DATAFILE=VECTORS``; a path alone belongs to the only data file."""
    if not files:
        raise DataError(
            f"--embeddings {entry}: images have no row numbers that vectors could follow. Give one .parquet with the "
            "column id (real:cat/1.png, or SOURCE:cat/1.png) and the vectors."
        )
    if "=" not in entry or Path(entry).exists():
        if len(files) > 1:
            raise DataError(
                f"--embeddings {entry} does not say which of {len(files)} data files it belongs to. Write "
                f"DATAFILE={entry}, once for each data file."
            )
        return files[0], _vector_file(entry)
    for at, mark in enumerate(entry):
        if mark == "=" and (file := _same_file(entry[:at], files)):
            if not entry[at + 1 :]:
                raise DataError(f"--embeddings {entry!r} names no file of vectors after '='; {file} needs one.")
            return file, _vector_file(entry[at + 1 :])
    for at, mark in enumerate(entry):
        alike = [file for file in files if mark == "=" and Path(file).name == entry[:at]]
        if alike:
            raise DataError(
                f"--embeddings {entry!r} may mean any of {describe_names(alike)}. Write the path before '='."
            )
    raise DataError(f"--embeddings {entry!r} names no data file before '='; there are {describe_names(files)}.")


def _same_file(name: str, files: Sequence[str]) -> str | None:
    """Return the data file that `name` means: the same path, or the only one with this file name."""
    same = [file for file in files if Path(file).resolve() == Path(name).expanduser().resolve()]
    same = same or [file for file in files if Path(file).name == name]
    return same[0] if len(same) == 1 else None


def _vector_file(text: str) -> Path:
    """Return the path of a file of vectors."""
    path = existing_file(text)
    if path.suffix not in (".npy", ".npz"):
        raise DataError(
            f"{path} is no file of vectors: needed is .npy or .npz row by row, or .parquet with an id column."
        )
    return path


def _row_by_row(path: Path, file: str, total: int) -> np.ndarray:
    """Read vectors that follow the rows of a data file."""
    matrix = read_vectors(path)
    if len(matrix) != total:
        raise DataError(
            f"{path} has {len(matrix):,} vectors but {file} has {total:,} rows; one vector a row is needed."
        )
    return single(matrix)


def _read_by_id(path: Path, id_column: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Read ids (k,) and vectors (k, d) from a Parquet file of an id column and numbers, or one column of lists."""
    with opened_parquet(path) as file:
        table = file.read()
    names = [name for name in table.column_names if not name.startswith("__index_level_")]
    key = next((name for name in (id_column, "id") if name in names), None)
    if key is None:
        raise DataError(
            f"{path} has no column 'id' that says which row a vector belongs to; it has {describe_names(names)}."
        )
    ids = key_texts(column_of(table.column(key).chunks)).astype(str)
    return ids, _matrix(path, table, [name for name in names if name != key])


def _matrix(path: Path, table: pa.Table, names: list[str]) -> np.ndarray:
    """Return the numbers of one list column, or of all columns side by side."""
    import pyarrow as pa

    kinds = [table.schema.field(name).type for name in names]
    if len(names) == 1 and pa.types.is_nested(kinds[0]):
        rows = table.column(names[0]).to_pylist()
        if any(row is None or len(row) != len(rows[0]) for row in rows):
            raise DataError(
                f"the lists in column {names[0]!r} of {path} differ in length; every vector needs the same."
            )
        return single(np.array(rows, np.float64))
    if not names or not all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds):
        raise DataError(f"{path} must hold an id column and columns of numbers, or one column of lists of numbers.")
    return np.column_stack([single(table.column(name).to_numpy()) for name in names])
