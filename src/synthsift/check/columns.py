"""Columns that are constant in the real rows (SS145) or in one source alone (SS146), and numbers that are none (SS147).

Tables by their columns; arrays by their places, flattened. Other inputs have no columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from synthsift.check.contents import flat, worst
from synthsift.records import Examples, Finding, Loaded, Mixture, Severity, Table

CHANCE = 1e-3  # that real rows would all show the one value that a source shows, over all columns and sources
MIN_ROWS = 2  # of a source; a single row varies in nothing


def constant_columns(mixture: Mixture) -> Finding | None:
    """SS145: columns with a single value in all real rows."""
    found, total = [], 0
    for name, parts in _columns([mixture.real.x, mixture.valid.x]):
        total += 1
        values = np.concatenate(parts)
        if (values == values[0]).all():
            found.append(name)
    if not found:
        return None
    return Finding(
        "SS145",
        Severity.note,
        "Columns that never change in the real rows",
        f"{len(found)} of {total} columns have one value in all real rows: {_names(found)}.",
        "They say nothing about the class; but where synthetic rows have other values there, they give them away.",
        "Take the columns out, unless the real rows are a narrow sample of what the model will meet.",
    )


def frozen_columns(mixture: Mixture) -> Finding | None:
    """SS146: columns that vary in the real rows but are constant, or empty, in a source."""
    sources = {name: rows for name, rows in mixture.rows_of.items() if len(rows) >= MIN_ROWS}
    single: dict[str, tuple[list[tuple[str, float]], ...]] = {name: ([], []) for name in sources}
    total, num_real = 0, len(mixture.real) + len(mixture.valid)
    for column, (real, valid, synth) in _columns([mixture.real.x, mixture.valid.x, mixture.synth.x]):
        total += 1
        for source, rows in sources.items():
            own = synth[rows]
            if (own != own[0]).any():
                continue
            # with one row more that shows it: what no real row has shown is not impossible
            usual = (np.count_nonzero(real == own[0]) + np.count_nonzero(valid == own[0]) + 1) / (num_real + 1)
            if usual < 1:
                single[source][int(np.isinf(own[0]))].append((column, usual ** len(rows)))
    seen = []
    for source, kinds in single.items():
        # All rows of the source show a value that only the share `usual` of the real rows shows.
        few = [[column for column, chance in found if chance < CHANCE / (total * len(sources))] for found in kinds]
        told = [f"{len(names)} {what} ({_names(names)})" for names, what in zip(few, WHAT, strict=True) if names]
        if told:
            seen.append((sum(map(len, few)), f"of {total} columns {source} has {' and '.join(told)}"))
    if not seen:
        return None
    return Finding(
        "SS146",
        Severity.warning,
        "Columns that a source does not vary",
        f"Although they vary in the real rows, {worst(seen)}.",
        "Rows of the source can be told from real ones at a glance, and what the column says is lost on them.",
        "Mend the generator or the export of these columns, or take them out of all files.",
    )


WHAT = ("with a single value", "without any value")


def nonfinite_values(loaded: Loaded) -> Finding | None:
    """SS147: arrays or vectors with NaN or infinity; in tables, NaN is a missing cell and infinity is SS103."""
    parts = [*zip(("real", "validation", "synthetic"), loaded.mixture.parts, strict=True)]
    if loaded.test is not None:
        parts.append(("test", loaded.test))
    seen = [text for name, part in parts if (text := _bad_rows(name, part))]
    given = [v for v in (loaded.embeddings, loaded.test_embeddings) if v is not None]
    bad = sum(int((~np.isfinite(vectors).all(axis=1)).sum()) for vectors in given)
    if bad:
        seen.append(f"the vectors of {bad:,} rows")
    if not seen:
        return None
    return Finding(
        "SS147",
        Severity.error,
        "Numbers that are not finite",
        f"NaN or infinity in {' and '.join(seen)}.",
        "No distance and no fit exists with them, so nothing that needs one was looked at.",
        "Replace them or take the rows out.",
    )


def _bad_rows(name: str, part: Examples) -> str:
    """Say how many rows of an array are not finite, or nothing."""
    x = part.x
    if not (isinstance(x, np.ndarray) and x.dtype.kind == "f"):
        return ""
    bad = np.flatnonzero(~np.isfinite(flat(x)).all(axis=1))
    return f"{len(bad):,} {name} rows (such as {part.ids[bad[0]]})" if len(bad) else ""


def _columns(inputs: list[Any]) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yield the name and, for each input, the values (n,) of every column; a missing cell is minus infinity."""
    first = inputs[0]
    if isinstance(first, Table):
        for k, name in enumerate(first.names):
            yield name, [_filled(x.values[k], x.categories[k] is None) for x in inputs]
    elif isinstance(first, np.ndarray) and first.dtype.kind == "f":
        matrices = [flat(x) for x in inputs]
        for k in range(matrices[0].shape[1]):
            yield str(k), [x[:, k] for x in matrices]


def _filled(values: np.ndarray, is_number: bool) -> np.ndarray:
    """Return float64 values (n,) in which equal means equal, missing cells too."""
    missing = np.isnan(values) if is_number else values < 0
    return np.where(missing, -np.inf, values).astype(np.float64)


def _names(names: list[str]) -> str:
    """List the first columns."""
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
