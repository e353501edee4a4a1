"""What of the files a plan does not look at, and how the rest became numbers: notes that name the columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from synthsift.data.notices import some
from synthsift.records import Finding, Images, Table

#: Findings of the loader about columns that no model sees: empty, without a name, only in synthetic files, beside the
#: text.
KEPT_OUT = ("SS102", "SS105", "SS108", "SS115")
#: A category that occurs less often than this is no feature of its own (see `TableEncoder`).
LEAST_USE = 3


def column_notes(x: Any, is_synth: np.ndarray, findings: Sequence[Finding] = ()) -> list[str]:
    """Say which columns are not used, each once.

    Parameters
    ----------
    x : Table, ndarray or Images
        Inputs of all rows (n,).
    is_synth : ndarray (n,) of bool
    findings : sequence of Finding
        What the loader found odd.
    """
    notes = [f"{_lower(found.title)}: {_lower(found.seen.rstrip('.'))}" for found in findings if found.code in KEPT_OUT]
    if not isinstance(x, Table):
        return notes
    unique, constant = [], []
    for name, values, categories in zip(x.names, x.values, x.categories, strict=True):
        real = values[~is_synth]
        if categories is not None and np.bincount(values[values >= 0], minlength=1).max() < LEAST_USE:
            unique.append(name)
        elif _is_constant(real, missing=real < 0 if categories is not None else np.isnan(real)):
            constant.append(name)
    if unique:
        notes.append(
            f"not used: {some(unique)}, text with a value of its own in nearly every row; --text {unique[0]} reads "
            "such a column as text"
        )
    if constant:
        notes.append(f"not used: {some(constant)}, the same in all real rows")
    return notes


def encoding_note(x: Any, width: int, name: str | None, *, own_vectors: bool) -> list[str]:
    """Say what the features are where they are not the columns of a table.

    Parameters
    ----------
    x : Table, ndarray or Images
        Inputs.
    width : int
        Columns of the vectors.
    name : str, optional
        Pretrained network of the run.
    own_vectors : bool
        True for vectors given with --embeddings.
    """
    if own_vectors:
        return [f"features: your own vectors ({width} numbers a row)"]
    if name is not None:
        return [f"features: {name}, the encoder of the run ({width} numbers a row)"]
    if isinstance(x, Images):
        return [f"features: edges and their directions in every image ({width} numbers), without a pretrained network"]
    if isinstance(x, np.ndarray) and x.dtype == object:
        return [f"features: {width} main directions of words and word pairs (TF-IDF), without a pretrained network"]
    return []


def _is_constant(values: np.ndarray, missing: np.ndarray) -> bool:
    """Whether all cells are the same one, or all missing."""
    known = values[~missing]
    return bool(missing.all() or (not missing.any() and (known == known[0]).all()))


def _lower(text: str) -> str:
    """A sentence inside another one."""
    return text[:1].lower() + text[1:]
