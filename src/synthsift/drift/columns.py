"""Named columns of raw rows, in which a person can read what drifts: a table's, an array's, facts of texts and images.

The encoded rows decide whether there is drift; these say where. A `ColumnSummary` of the reference is all that is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthsift.records import Images, Table
from synthsift.represent.tones import picture_facts

MOST_COLUMNS = 200  # of an array; wider rows are embeddings, whose single places mean nothing to anybody
MOST_CATEGORIES = 50
TAIL = 0.025  # of the reference on each side


@dataclass(frozen=True)
class Column:
    """One named column: numbers (n,) with NaN for missing, or texts (n,) with "" for missing."""

    name: str
    values: np.ndarray

    @property
    def is_number(self) -> bool:
        """Whether the cells are numbers."""
        return self.values.dtype.kind == "f"


@dataclass(frozen=True)
class ColumnSummary:
    """What is remembered of a column of the reference.

    Parameters
    ----------
    name : str
        The column.
    num_rows : int
        Rows it was read from.
    missing : float
        Share of missing cells.
    mean, spread, low, high : float
        Mean, standard deviation and the 2.5 % and 97.5 % quantiles of numbers; 0 for categories.
    below, above : float
        Shares strictly below `low` and above `high`; with ties not 2.5 %.
    shares : dict of str to float, or None
        Share of each category among the rows, most frequent first; None for numbers.
    """

    name: str
    num_rows: int
    missing: float
    mean: float = 0.0
    spread: float = 0.0
    low: float = 0.0
    high: float = 0.0
    below: float = 0.0
    above: float = 0.0
    shares: dict[str, float] | None = None


def name_columns(x: Any) -> list[Column]:
    """Return the columns of a table, an array (n, d), texts or images; none for arrays wider than `MOST_COLUMNS`."""
    if isinstance(x, Images):
        return [Column(name, values) for name, values in picture_facts(x).items()]
    if isinstance(x, Table):
        return [
            Column(name, values if names is None else x.texts(k))
            for k, (name, values, names) in enumerate(zip(x.names, x.values, x.categories, strict=True))
        ]
    if x.dtype == object:
        return _text_columns(x)
    if x.shape[1] > MOST_COLUMNS:
        return []
    return [Column(f"column {k}", x[:, k].astype(np.float64)) for k in range(x.shape[1])]


def _text_columns(texts: np.ndarray) -> list[Column]:
    """Length and variety of every text."""
    words = [str(text).split() for text in texts]
    facts = {
        "characters": [len(str(text)) for text in texts],
        "words": [len(w) for w in words],
        "characters a word": [np.mean([len(v) for v in w]) if w else np.nan for w in words],
        "share of different words": [len(set(w)) / len(w) if w else np.nan for w in words],
    }
    return [Column(name, np.array(values, dtype=np.float64)) for name, values in facts.items()]


def summarize(columns: Sequence[Column]) -> tuple[ColumnSummary, ...]:
    """Summaries of the reference's columns; a column without values is left out."""
    found = []
    for column in columns:
        n = len(column.values)
        if column.is_number:
            known = column.values[np.isfinite(column.values)]
            if not len(known):
                continue
            low, high = np.quantile(known, [TAIL, 1 - TAIL])
            found.append(
                ColumnSummary(
                    column.name,
                    n,
                    1 - len(known) / n,
                    float(known.mean()),
                    float(known.std()),
                    float(low),
                    float(high),
                    float((known < low).sum() / n),
                    float((known > high).sum() / n),
                )
            )
            continue
        names, counts = np.unique(column.values.astype(str), return_counts=True)
        order = [k for k in np.argsort(-counts, kind="stable").tolist() if names[k] != ""][:MOST_CATEGORIES]
        missing = float(counts[names == ""].sum() / n)
        found.append(
            ColumnSummary(column.name, n, missing, shares={str(names[k]): float(counts[k] / n) for k in order})
        )
    return tuple(found)
