"""Where rows come from and what they belong to: parents of synthetic rows, and groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synthsift.data import notices
from synthsift.data.columns import Column, describe_names, key_texts
from synthsift.data.parts import Part
from synthsift.data.spec import DataSpec
from synthsift.records import DataError, Finding


def find_parents(
    parts: Sequence[Part], real_ids: dict[str, np.ndarray], spec: DataSpec
) -> tuple[list[np.ndarray | None], list[Finding]]:
    """Return for every part the id of the real row that each row was made from.

    Parameters
    ----------
    parts : sequence of Part
        All parts; only synthetic ones have parents.
    real_ids : dict of str to ndarray
        Ids of all real rows that were read, by split, in file order, before sampling. A parent may thus be a row that
        was not drawn, or a test row.
    spec : DataSpec
        `parent` names the column; with `parent_split` it holds row numbers of that split, otherwise ids.

    Returns
    -------
    parents : list of (ndarray (n,) of str, or None)
        "" where unknown; None for all parts when no column is named.
    findings : list of Finding
        Entries that name no real row.

    Raises
    ------
    DataError
        If the split is unknown, or row numbers are wanted and text is found.
    """
    if spec.parent is None:
        return [None] * len(parts), []
    parents: list[np.ndarray | None] = []
    lost = total = 0
    for part in parts:
        column = part.raw.columns.get(spec.parent) if part.role == "synthetic" else None
        if column is None:
            parents.append(np.full(len(part), "", dtype=str))
            continue
        found, given = _resolve(part, column, real_ids, spec)
        parents.append(found)
        total += int(given.sum())
        lost += int((given & (found == "")).sum())
    return parents, [notices.unknown_parents(lost, total, spec.parent)] if lost else []


def _resolve(
    part: Part, column: Column, real_ids: dict[str, np.ndarray], spec: DataSpec
) -> tuple[np.ndarray, np.ndarray]:
    """Return the parents' ids and where an entry is given at all."""
    if spec.parent_split is None:
        named = key_texts(column).astype(str)
        known = np.isin(named, np.concatenate(list(real_ids.values())))
        return np.where(known, named, ""), named != ""
    ids = _split_ids(real_ids, spec)
    if not column.is_number:
        raise DataError(
            f"--parent-split {spec.parent_split} needs row numbers in {spec.parent!r}, but {part.raw.file} has "
            f"{column.odd!r} there. Leave --parent-split out if the column holds ids."
        )
    numbers = column.as_numbers()
    valid = np.isfinite(numbers) & (numbers == np.floor(numbers)) & (numbers >= 0) & (numbers < len(ids))
    return np.where(valid, ids[np.where(valid, numbers, 0).astype(np.int64)], ""), ~np.isnan(numbers)


def _split_ids(real_ids: dict[str, np.ndarray], spec: DataSpec) -> np.ndarray:
    """Return the ids of the split that parents refer to; "train" also means the file given with --real."""
    assert spec.parent_split is not None
    name = "real" if spec.parent_split == "train" and "train" not in real_ids else spec.parent_split
    if name not in real_ids:
        raise DataError(
            f"--parent-split {spec.parent_split!r} names no split whose real rows were read; there are "
            f"{describe_names(list(real_ids))}. Name one of them."
        )
    return real_ids[name]


def find_groups(parts: Sequence[Part], column: str | None) -> tuple[list[np.ndarray | None], list[Finding]]:
    """Return every row's group (n,) of str, "" where it has none; None for all parts when no column is named."""
    if column is None:
        return [None] * len(parts), []
    groups: list[np.ndarray | None] = []
    real = missing = 0
    for part in parts:
        named = part.raw.columns.get(column)
        group = np.full(len(part), "", dtype=str) if named is None else key_texts(named).astype(str)
        groups.append(group)
        if part.role in ("real", "valid"):
            real, missing = real + len(group), missing + int((group == "").sum())
    return groups, [notices.missing_groups(missing, real, column)] if missing else []
