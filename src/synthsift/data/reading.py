"""Two layouts of files into parts: one file a part, or one table with a source and a split column.

Rows get their ids before anything is sampled, so an id does not depend on how many rows are taken.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from synthsift.data import notices
from synthsift.data.columns import RawFile, describe_names, key_texts
from synthsift.data.files import need_column, read_file, read_folder, refuse_columns_of_images
from synthsift.data.folders import is_image_folder
from synthsift.data.images import decode_parts
from synthsift.data.labels import refuse_regression
from synthsift.data.parts import Part, numbered_ids, own_ids, refuse_shared_ids, sample
from synthsift.data.paths import synthetic_files
from synthsift.data.spec import DataSpec, nearest
from synthsift.records import REAL, DataError, Finding
from synthsift.seeds import Seeds


@dataclass(frozen=True)
class Reading:
    """All parts, sampled, and what is needed to find parents.

    Parameters
    ----------
    parts : tuple of Part
        Real parts first, synthetic sources in the order of the files.
    real_ids : dict of str to ndarray
        Ids of all real rows that were read, by split, in file order, before sampling.
    findings : tuple of Finding
        What was odd.
    """

    parts: tuple[Part, ...]
    real_ids: dict[str, np.ndarray]
    findings: tuple[Finding, ...] = ()


def read_parts(spec: DataSpec) -> Reading:
    """Read and sample every file that `spec` names.

    Raises
    ------
    DataError
        If files cannot be read, lack a column that a flag names, or a part is missing.
    """
    reading = _from_table(spec) if spec.data else _from_files(spec)
    parts, about_images = decode_parts(reading.parts, spec.pixels)
    reading = replace(reading, parts=tuple(parts), findings=(*reading.findings, *about_images))
    synthetic = [part for part in reading.parts if part.role == "synthetic"]
    for flag, name, where in (
        ("--id", spec.id, reading.parts),
        ("--parent", spec.parent, synthetic),
        ("--group", spec.group, reading.parts),
    ):
        if name and not any(name in part.raw.columns for part in where):
            need_column(where[-1].raw, name, flag)
    refuse_shared_ids(reading.parts)
    return reading


def _read(path: str | Path, spec: DataSpec) -> RawFile:
    """Read one file and check the columns that every file must have."""
    if is_image_folder(Path(path).expanduser()):
        return _read_folder(path, spec)
    raw = read_file(path, spec.keys, spec.text)
    if spec.label is None and raw.x is None:
        raise DataError(f"--label is missing: name the column to predict. {raw.file} has {describe_names(raw.names)}.")
    need_column(raw, spec.label_column, "--label")
    if spec.text:
        need_column(raw, spec.text, "--text")
    return raw


def _read_folder(path: str | Path, spec: DataSpec) -> RawFile:
    """List a folder of images; it has no columns that flags could name."""
    given = {"--text": spec.text, "--id": spec.id, "--parent": spec.parent, "--group": spec.group}
    refuse_columns_of_images(path, given)
    return read_folder(path, spec.label_column)


def _from_files(spec: DataSpec) -> Reading:
    """Read one file a part."""
    _refuse_two_roles(spec)
    seeds = Seeds(spec.seed).child("load")
    real = [_read(path, spec) for path in spec.real]
    starts = np.cumsum([raw.total for raw in real]) - [raw.total for raw in real]
    pool = [_whole("real", REAL, raw, spec, start) for raw, start in zip(real, starts.tolist(), strict=True)]
    refuse_regression([part.raw.columns[spec.label_column] for part in pool], spec.label_column)
    real_ids = {"real": np.concatenate([part.ids for part in pool])}
    parts = sample(pool, spec.max_real, seeds.child("real"))
    for role, path in spec.held_out.items():
        part = _whole(role, REAL, _read(path, spec), spec)
        real_ids[role] = part.ids
        parts += sample([part], spec.limit(role), seeds.child(role))
    for name, file in synthetic_files(spec.synthetic):
        part = _whole("synthetic", name, _read(file, spec), spec)
        parts += sample([part], spec.max_rows_per_source, seeds.child("synthetic", name))
    return Reading(tuple(parts), real_ids)


def _whole(role: str, source: str, raw: RawFile, spec: DataSpec, start: int = 0) -> Part:
    """Make a part of all rows of a file; numbering goes on from `start` over several real files.

    Images are named by their paths below the folder, after the folder where there are several real ones.
    """
    rows = np.arange(raw.total)
    prefix = source if role == "synthetic" else role
    if raw.folder is not None:
        below = f"{prefix}:{raw.file}/" if role == "real" and len(spec.real) > 1 else f"{prefix}:"
        return Part(role, source, raw, rows, np.array([below + name for name in raw.folder.names], dtype=str))
    ids = own_ids(raw, spec.id)
    return Part(role, source, raw, rows, numbered_ids(prefix, rows + start) if ids is None else ids)


def _refuse_two_roles(spec: DataSpec) -> None:
    """Refuse one file in two roles, most often a slip in a command line."""
    named = [("--real", Path(path)) for path in spec.real]
    named += [(f"--{role}", Path(path)) for role, path in spec.held_out.items()]
    named += [("--synthetic", path) for _, path in synthetic_files(spec.synthetic)]
    seen: dict[str, str] = {}
    for flag, path in named:
        place = os.path.realpath(path.expanduser())  # unlike Path.resolve, it lets a circle of links pass
        if place in seen:
            raise DataError(
                f"{path} is given twice, as {seen[place]} and as {flag}. Each file has one role; name another."
            )
        seen[place] = flag


def _from_table(spec: DataSpec) -> Reading:
    """Read one table and divide it."""
    assert spec.data is not None and spec.source_column is not None
    raw = _read(spec.data, spec)
    need_column(raw, spec.source_column, "--source-column")
    return divide_table(raw, spec)


def divide_table(raw: RawFile, spec: DataSpec) -> Reading:
    """Divide one table by its source and split columns.

    Raises
    ------
    DataError
        If a row names no source, a part is empty, or the label is a measurement.
    """
    source = _sources(raw, spec)
    split = _splits(raw, spec, source == REAL)
    names = own_ids(raw, spec.id)
    parts, real_ids = [], {}
    seeds = Seeds(spec.seed).child("load")
    for value, role in spec.split_roles.items():
        part = _some_rows(role, REAL, raw, (source == REAL) & (split == value), names, value)
        if not len(part):
            _refuse_empty_split(spec, value, role, split[source == REAL])
            continue
        if role == "real":
            refuse_regression([part.raw.columns[spec.label_column]], spec.label_column)
        real_ids[value] = part.ids
        parts += sample([part], spec.limit(role), seeds.child(role))
    for name in dict.fromkeys(source[source != REAL].tolist()):
        part = _some_rows("synthetic", name, raw, source == name, names, name)
        parts += sample([part], spec.max_rows_per_source, seeds.child("synthetic", name))
    ignored = Counter(value for value in split[source == REAL].tolist() if value not in spec.split_roles)
    return Reading(tuple(parts), real_ids, (notices.ignored_splits(ignored),) if ignored else ())


def _some_rows(role: str, source: str, raw: RawFile, keep: np.ndarray, ids: np.ndarray | None, prefix: str) -> Part:
    """Make a part of the rows where `keep` is true."""
    rows = np.flatnonzero(keep)
    return Part(role, source, raw.divide(rows), rows, numbered_ids(prefix, rows) if ids is None else ids[rows])


def _sources(raw: RawFile, spec: DataSpec) -> np.ndarray:
    """Return each row's source (n,) of object, "real" for real rows.

    Raises
    ------
    DataError
        If a row names no source, or real or synthetic rows are lacking altogether.
    """
    assert spec.source_column is not None
    source = key_texts(raw.columns[spec.source_column])
    missing = np.flatnonzero(source == "")
    if len(missing):
        raise DataError(
            f"{len(missing):,} rows of {raw.file} have no entry in the source column {spec.source_column!r}, the "
            f"first is data row {missing[0] + 1}. Write {spec.real_source!r} for real rows, the generator's name for "
            "others."
        )
    values = list(dict.fromkeys(source.tolist()))
    real = [value for value in values if value.casefold() == spec.real_source.casefold()]
    if not real or len(real) == len(values):
        lacking = "real" if not real else "synthetic"
        raise DataError(
            f"the source column {spec.source_column!r} of {raw.file} marks no {lacking} rows: it holds "
            f"{describe_names(values)}. Real rows must say {spec.real_source!r}, all others name their generator."
        )
    if REAL in values and REAL not in real:
        raise DataError(
            f"the source column {spec.source_column!r} of {raw.file} has rows that say {REAL!r}, but real rows are "
            f"to say {spec.real_source!r}. {REAL!r} is a word kept for real rows; rename that source."
        )
    source[np.isin(source, real)] = REAL
    return source


def _splits(raw: RawFile, spec: DataSpec, is_real: np.ndarray) -> np.ndarray:
    """Return each row's split (n,) of object; without a split column all real rows are training rows.

    Raises
    ------
    DataError
        If synthetic rows lie in the validation or test split.
    """
    if spec.split_column is None:
        return np.full(raw.total, spec.train_split, dtype=object)
    need_column(raw, spec.split_column, "--split-column")
    split = key_texts(raw.columns[spec.split_column])
    for value, role in spec.split_roles.items():
        wrong = np.flatnonzero(~is_real & (split == value))
        if role != "real" and len(wrong):
            raise DataError(
                f"{len(wrong):,} synthetic rows of {raw.file} are in the split {value!r}, the first is data row "
                f"{wrong[0] + 1}; {role} rows must all be real. Give them another split, such as 'synthetic'."
            )
    return split


def _refuse_empty_split(spec: DataSpec, value: str, role: str, splits: np.ndarray) -> None:
    """Refuse a split without real rows, unless it is a default that the user did not name."""
    if role != "real" and value in (DataSpec.valid_split, DataSpec.test_split):
        return
    there: Sequence[str] = sorted(set(splits.tolist()))
    raise DataError(
        f"no real row is in the split {value!r} (--{'train' if role == 'real' else role}-split); the split column "
        f"{spec.split_column!r} of real rows holds {describe_names(there)}.{nearest(value, list(there))}"
    )
