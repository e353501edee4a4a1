"""Real rows and the generations of a retraining loop: no synthetic source and, mostly, no labels.

The real file decides once what every later file must look like: its kind, width, columns and which of them are
numbers. So a generation that is added next month is read exactly as those of today.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthsift.data.arrays import NUMERIC, flat_inputs, read_npz, safe_numpy, unsound_rows
from synthsift.data.columns import Column, NumberColumn, RawFile, describe_names, finite_cells, key_texts
from synthsift.data.dates import as_dates
from synthsift.data.files import need_column, read_file, refuse_columns_of_images
from synthsift.data.folders import list_sample
from synthsift.data.images import decode_parts
from synthsift.data.notices import infinite_numbers
from synthsift.data.parts import Part, numbered_ids
from synthsift.data.paths import existing_file
from synthsift.data.spec import PIXELS
from synthsift.data.tables import build_tables
from synthsift.records import DataError, Finding, Table


@dataclass(frozen=True)
class Shape:
    """What every file of a stream must look like.

    Parameters
    ----------
    kind : str
        "array", "table", "text" or "image".
    label, text : str or None
        Columns of classes and of documents.
    columns : tuple of (str, bool)
        Columns of a table, and whether each is numbers.
    row_shape : tuple of int
        Shape of one row of an array.
    is_bytes : bool
        Whether an array holds 0-255, which are divided by 255.
    pixels : int
        Side that images are scaled to; 0 for other kinds.
    """

    kind: str
    label: str | None = None
    text: str | None = None
    columns: tuple[tuple[str, bool], ...] = ()
    row_shape: tuple[int, ...] = ()
    is_bytes: bool = False
    pixels: int = 0

    def plain(self) -> dict[str, Any]:
        """JSON-safe form."""
        return {
            "kind": self.kind,
            "label": self.label,
            "text": self.text,
            "columns": [list(column) for column in self.columns],
            "row_shape": list(self.row_shape),
            "is_bytes": self.is_bytes,
            "pixels": self.pixels,
        }

    @staticmethod
    def of(plain: dict[str, Any]) -> Shape:
        """Rebuild from `plain`."""
        columns = tuple((str(name), bool(is_number)) for name, is_number in plain["columns"])
        return Shape(**{**plain, "columns": columns, "row_shape": tuple(plain["row_shape"])})


@dataclass(frozen=True)
class Rows:
    """Rows of one file.

    Parameters
    ----------
    file : str
        Its path, or that of the folder, as the user gave it.
    x : Table, ndarray (n, d) of float32, object ndarray (n,) of texts, or Images
        The rows.
    labels : ndarray (n,) of str, or None
        Their classes, where there are any.
    """

    file: str
    x: Any
    labels: np.ndarray | None


def read_real(
    path: str | Path, *, label: str | None = None, text: str | None = None, pixels: int | None = None
) -> tuple[Rows, Shape, list[Finding]]:
    """Read the real rows and what they ask of every other file.

    Parameters
    ----------
    path : str or Path
        A table, or .npy, or .npz with ``x``, or a folder of images.
    label, text : str, optional
        Columns of classes and of documents; without `text` all columns of a table are inputs. Images have the classes
        of their folders.
    pixels : int, optional
        Side that images are scaled to, 32 (the default) or 64.

    Returns
    -------
    Rows, Shape, list of Finding
        The rows, the shape for `read_generations`, and what was left out.

    Raises
    ------
    DataError
        Whatever is wrong with the file: what was seen, what was needed, what to do next.
    """
    if Path(path).expanduser().is_dir():
        refuse_columns_of_images(path, {"--label": label, "--text": text})
        shape = Shape("image", pixels=PIXELS[0] if pixels is None else pixels)
        if shape.pixels not in PIXELS:
            raise DataError(f"--pixels is {pixels}; images are scaled to {' or '.join(map(str, PIXELS))} pixels.")
        (rows,), left_out = _read_folders([path], shape.pixels)
        return rows, shape, left_out
    if pixels is not None:
        raise DataError(f"--pixels {pixels} is given, but {path} is no folder of images. Leave it out.")
    return _read_rows(path, label, text)


def _read_rows(path: str | Path, label: str | None, text: str | None) -> tuple[Rows, Shape, list[Finding]]:
    """The real rows of a file, their shape, and what is strange about its columns."""
    raw = _read(path, label, text)
    if raw.x is not None:
        shape = Shape("array", label, None, (), tuple(raw.x.shape[1:]), raw.x.dtype == np.uint8)
        return _array_rows(raw, shape), shape, []
    if text is not None:
        shape = Shape("text", label, text)
        return _text_rows(raw, shape), shape, []
    part = Part("real", "real", raw, np.arange(raw.total), numbered_ids("real", np.arange(raw.total)))
    (table,), found = build_tables([part], frozenset({label} if label else ()))
    numbers = [(name, categories is None) for name, categories in zip(table.names, table.categories, strict=True)]
    return Rows(raw.file, table, _labels(raw, label)), Shape("table", label, None, tuple(numbers)), found


def read_generations(paths: Sequence[str | Path], shape: Shape) -> tuple[list[Rows], list[Finding]]:
    """Read generations, as the real rows were read.

    Parameters
    ----------
    paths : sequence of str or Path
        Files or folders of the kind of the real one.
    shape : Shape
        From `read_real`.

    Returns
    -------
    list of Rows, list of Finding
        With the columns and kinds of the real rows, and what was left out.

    Raises
    ------
    DataError
        If kind, width, columns or types differ, or something cannot be read.
    """
    if shape.kind == "image":
        return _read_folders(paths, shape.pixels)
    infinite: dict[str, int] = {}
    samples = [_read_generation(path, shape, infinite) for path in paths]
    return samples, [infinite_numbers(infinite)] if infinite else []


def _read_folders(paths: Sequence[str | Path], pixels: int) -> tuple[list[Rows], list[Finding]]:
    """The images of folders, decoded into one store, and what was left out of them."""
    parts = []
    for path in paths:
        folder = list_sample(path)
        raw = RawFile(str(path), (), {}, len(folder.names), folder=folder)
        parts.append(Part("generation", str(path), raw, np.arange(raw.total), np.array(folder.names, dtype=str)))
    decoded, left_out = decode_parts(parts, pixels)
    found = []
    for part in decoded:
        assert part.raw.folder is not None
        labels = np.array(part.raw.folder.labels, dtype=object)[part.rows]
        found.append(Rows(part.raw.file, part.raw.x, labels if labels.astype(bool).any() else None))
    return found, left_out


def _read_generation(path: str | Path, shape: Shape, infinite: dict[str, int]) -> Rows:
    """One generation that is a file; cells that count as missing are added to `infinite`, by file and column."""
    if Path(path).expanduser().is_dir():
        raise DataError(f"{path} is a folder but the real rows are {shape.kind}s of a file; give all in one kind")
    raw = _read(path, shape.label, shape.text)
    if (raw.x is not None) != (shape.kind == "array"):
        seen, needed = ("an array", "a table") if raw.x is not None else ("a table", "an array")
        raise DataError(f"{raw.file} is {seen} but the real rows are {needed}; give all files in one kind")
    if shape.kind == "array":
        return _array_rows(raw, shape)
    if shape.kind == "text":
        return _text_rows(raw, shape)
    lacking = [name for name, _ in shape.columns if name not in raw.columns]
    if lacking:
        raise DataError(
            f"{raw.file} lacks {describe_names(lacking)}, which the real rows have; it has "
            f"{describe_names(raw.names)}. Give every generation the columns of the real rows"
        )
    values, categories = [], []
    for name, is_number in shape.columns:
        cells, names, lost = _cells(raw.file, name, raw.columns[name], is_number)
        if lost:
            infinite[f"{name} of {raw.file}"] = lost
        values.append(cells)
        categories.append(names)
    table = Table(tuple(name for name, _ in shape.columns), tuple(values), tuple(categories))
    return Rows(raw.file, table, _labels(raw, shape.label))


def _read(path: str | Path, label: str | None, text: str | None) -> RawFile:
    """One file into columns or an array."""
    keys = {label} if label else set()
    if Path(path).suffix.lower() == ".npy":
        raw = _read_npy(existing_file(path))
    elif Path(path).suffix.lower() == ".npz":
        raw = read_npz(existing_file(path), keys)
    else:
        raw = read_file(path, keys, text)
    if raw.x is not None and text is not None:
        raise DataError(f"{path} holds arrays, but --text {text} asks for documents. Drop --text.")
    if raw.total == 0:
        raise DataError(f"{raw.file} has no rows; at least 50 are needed. Was it written completely?")
    for name, flag in ((label, "--label"), (text, "--text")):
        if name is not None:
            need_column(raw, name, flag)
    return raw


def _read_npy(path: Path) -> RawFile:
    """The one array of an .npy file, its rows along the first axis."""
    with safe_numpy(path), open(path, "rb") as stream:
        x = np.load(stream, allow_pickle=False)
    if isinstance(x, np.lib.npyio.NpzFile):
        raise DataError(f"{path} is an .npz archive named .npy; rename it.")
    if x.dtype.kind not in NUMERIC or x.ndim == 0 or x.size == 0:
        raise DataError(
            f"{path} has shape {x.shape} and dtype {x.dtype}; at least one row of numbers is needed (n, ...)."
        )
    return RawFile(str(path), (), {}, len(x), x)


def _array_rows(raw: RawFile, shape: Shape) -> Rows:
    """Flattened float32 rows of the expected shape."""
    assert raw.x is not None
    if raw.x.shape[1:] != shape.row_shape:
        raise DataError(
            f"rows of {raw.file} have shape {raw.x.shape[1:]} but real rows have {shape.row_shape}; all files need "
            "the same width. Embed or flatten them in one way."
        )
    if (raw.x.dtype == np.uint8) != shape.is_bytes:
        needed = "uint8 (0-255)" if shape.is_bytes else "numbers that are not bytes"
        raise DataError(
            f"{raw.file} has dtype {raw.x.dtype} but the real rows are {needed}; bytes are divided by 255 and others "
            "are not, so the two cannot be compared. Write all files with one dtype."
        )
    bad, what = unsound_rows(raw.x)
    if len(bad):
        raise DataError(
            f"{len(bad):,} of {raw.total:,} rows of {raw.file} hold {what}, the first is row {bad[0]} (counted "
            "from 0). A generator that makes them is broken; remove these rows to watch the others."
        )
    return Rows(raw.file, flat_inputs(raw.x), _labels(raw, shape.label))


def _text_rows(raw: RawFile, shape: Shape) -> Rows:
    """Documents; missing ones are empty texts."""
    assert shape.text is not None
    column = raw.columns[shape.text]
    if isinstance(column, NumberColumn):
        raise DataError(f"column {shape.text!r} of {raw.file} holds numbers, not documents; name another with --text.")
    return Rows(raw.file, key_texts(column), _labels(raw, shape.label))


def _cells(file: str, name: str, column: Column, is_number: bool) -> tuple[np.ndarray, tuple[str, ...] | None, int]:
    """Cells of one column as the real rows have them; infinite numbers count as missing, and how many there are."""
    if not is_number:
        codes, names = column.as_codes()
        return codes, tuple(names), 0
    if not column.is_number:  # the real rows may hold dates
        dates = as_dates([column])
        column = column if dates is None else dates[0]
    if not column.is_number:
        raise DataError(
            f"column {name!r} of {file} holds text such as {column.odd!r} but is numeric in the real rows; give all "
            "files one type of cells, or mend the generator"
        )
    values, lost = finite_cells(column)
    return values, None, lost


def _labels(raw: RawFile, label: str | None) -> np.ndarray | None:
    """Classes as text (n,), "" where missing."""
    return None if label is None else key_texts(raw.columns[label])
