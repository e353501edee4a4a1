"""The inputs of all parts: one table each, or texts, or arrays of numbers, or images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from synthsift.data import notices
from synthsift.data.arrays import SOUND, flat_inputs, unsound_rows
from synthsift.data.columns import documents
from synthsift.data.files import is_unnamed
from synthsift.data.parts import Part
from synthsift.data.spec import DataSpec
from synthsift.data.tables import build_tables
from synthsift.records import DataError, Finding, Images


def build_inputs(parts: Sequence[Part], spec: DataSpec) -> tuple[list[Any], list[Finding]]:
    """Return the inputs of every part, of one kind and width.

    Parameters
    ----------
    parts : sequence of Part
        All parts.
    spec : DataSpec
        Says whether a text column is wanted and which columns are no features.

    Returns
    -------
    inputs : list
        `Table`, object ndarray of str (n,), float32 ndarray (n, d), or `Images`, one a part.
    findings : list of Finding
        What was odd.

    Raises
    ------
    DataError
        If inputs of different kinds are mixed, shapes differ, or values are not finite or too large.
    """
    kinds = {_kind(part): part.raw.file for part in parts}
    if len(kinds) > 1:
        (one, its), (other, theirs) = list(kinds.items())[:2]
        raise DataError(f"{its} holds {one} but {theirs} holds {other}; all files must be of one kind.")
    if "images" in kinds:
        return [part.raw.x for part in parts], []
    if "arrays" in kinds:
        return _arrays(parts)
    return _documents(parts, spec.text, spec.keys) if spec.text else build_tables(parts, spec.keys)


def share_columns(parts: Sequence[Part], spec: DataSpec) -> bool:
    """Whether every file has inputs to learn from: arrays, images, texts, or a column that the real rows have too."""
    if spec.text or any(part.raw.x is not None for part in parts):
        return True
    real = {name for part in parts if part.role == "real" for name in part.raw.names}
    features = {name for name in real - spec.keys if not is_unnamed(name)}
    return all(features & set(part.raw.names) for part in parts)


def _kind(part: Part) -> str:
    """Name what a file holds."""
    if part.raw.x is None:
        return "a table"
    return "images" if isinstance(part.raw.x, Images) else "arrays"


def _documents(parts: Sequence[Part], text: str, keys: frozenset[str]) -> tuple[list[Any], list[Finding]]:
    """Return texts; missing ones are empty and counted by file."""
    inputs, missing = [], dict[str, int]()
    for part in parts:
        texts = documents(part.raw.columns[text])
        lost = int((texts == "").sum())
        if lost == len(texts):
            raise DataError(
                f"no {part.role} row of {part.raw.file} has text in {text!r}. Name the column that holds the "
                "documents with --text, or leave --text out to use the columns as a table."
            )
        if lost:
            missing[part.raw.file] = missing.get(part.raw.file, 0) + lost
        inputs.append(texts)
    unused = list(dict.fromkeys(n for part in parts for n in part.raw.names if n not in keys and n != text))
    findings = [notices.unused_columns(unused, text)] if unused else []
    return inputs, findings + ([notices.missing_texts(missing, sum(map(len, inputs)), text)] if missing else [])


def _arrays(parts: Sequence[Part]) -> tuple[list[Any], list[Finding]]:
    """Return flattened float32 arrays."""
    shapes = {part.raw.file: part.raw.x.shape[1:] for part in parts if part.raw.x is not None}
    if len(set(shapes.values())) > 1:
        (one, its), (other, theirs) = _two_that_differ(shapes)
        raise DataError(
            f"rows of {one} have shape {its} but rows of {other} have {theirs}; all files need the same shape."
        )
    raw = [(part, part.raw.x) for part in parts if part.raw.x is not None]
    for part, x in raw:
        _refuse_unsound(part, x)
    inputs = [flat_inputs(x) for _, x in raw]
    files = {
        is_byte: list(dict.fromkeys(p.raw.file for p, x in raw if (x.dtype == np.uint8) == is_byte))
        for is_byte in (True, False)
    }
    return inputs, [notices.mixed_scales(files[True], files[False])] if all(files.values()) else []


def _two_that_differ(shapes: dict[str, tuple[int, ...]]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return the first file and the first one of another shape."""
    items = list(shapes.items())
    return items[0], next(item for item in items if item[1] != items[0][1])


def _refuse_unsound(part: Part, x: np.ndarray) -> None:
    """Refuse rows with a value that is no number, or too large a one."""
    bad, what = unsound_rows(x)
    if len(bad):
        raise DataError(
            f"{len(bad):,} of {len(x):,} {part.role} rows of {part.raw.file} hold {what} in 'x', the first is row "
            f"{part.rows[bad[0]]} (counted from 0). {SOUND}"
        )
