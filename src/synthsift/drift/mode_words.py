"""What marks the rows of a mode, in a few words that a person can look up in the data.

A mode is a cluster in a feature space and has no name. Its commonest class says most; beside it, or without it, the
column, category or word in which its rows differ most from all rows (of that class), in standard deviations of one row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from synthsift.drift.columns import Column

MOSTLY = 0.5  # share of a mode's rows that a class needs to name it
LEAST_EFFECT = 0.7  # standard deviations below which a difference does not mark a mode
MOST_WORDS, MOST_TEXTS, MOST_CATEGORIES = 300, 2000, 50


def describe_modes(
    places: np.ndarray,
    count: int,
    *,
    classes: np.ndarray | None,
    texts: np.ndarray | None,
    columns: Sequence[Column],
) -> tuple[str, ...]:
    """Describe every mode by the real rows in it.

    Parameters
    ----------
    places : ndarray (n,) of int
        Mode of each row.
    count : int
        Number of modes.
    classes : ndarray (n,) of str, optional
        Class of each row.
    texts : ndarray (n,) of str, optional
        The rows themselves, where they are texts.
    columns : sequence of Column
        Named columns of the rows.

    Returns
    -------
    tuple of str
        One a mode, as in ``mostly class cat, age about 3``, ``color = red in 93 %`` or ``often "river"``; "" where
        nothing marks it.
    """
    marks = [] if texts is None else _word_marks(texts[:MOST_TEXTS])
    for column in columns:
        marks += _column_marks(column)
    return tuple(_describe(places == k, classes, marks) for k in range(count))


Mark = tuple[str, str, np.ndarray]  # kind ("number", "category" or "word"), name, and a value for each row


def _word_marks(texts: np.ndarray) -> list[Mark]:
    """Whether each of the commonest words occurs."""
    held = [set(str(text).lower().split()) for text in texts]
    common = Counter(word for words in held for word in sorted(words)).most_common(MOST_WORDS)
    return [("word", word, np.array([word in words for words in held], float)) for word, _ in common]


def _column_marks(column: Column) -> list[Mark]:
    """The numbers of a column, or whether a row holds each of its commonest categories."""
    if column.is_number:
        return [("number", column.name, column.values)]
    texts = column.values.astype(str)
    names, counts = np.unique(texts, return_counts=True)
    order = [k for k in np.argsort(-counts, kind="stable").tolist() if names[k] != ""][:MOST_CATEGORIES]
    return [("category", f"{column.name} = {names[k]}", (texts == names[k]).astype(float)) for k in order]


def _describe(inside: np.ndarray, classes: np.ndarray | None, marks: Sequence[Mark]) -> str:
    """The words for the rows that are `inside` (n,)."""
    if not inside.any():
        return ""
    found, around = [], np.ones(len(inside), bool)
    if classes is not None:
        names, counts = np.unique(classes[inside].astype(str), return_counts=True)
        if counts.max() >= MOSTLY * inside.sum():
            name = str(names[counts.argmax()])
            found, around = [f"mostly class {name}"], inside | (classes.astype(str) == name)
    effects = [_effect(inside, around, kind, values) for kind, _, values in marks]
    if effects and max(effects) >= LEAST_EFFECT:
        kind, name, values = marks[int(np.argmax(effects))]
        if kind == "word":
            strongest = sorted(range(len(marks)), key=lambda k: -effects[k])[:2]
            words = [marks[k][1] for k in strongest if marks[k][0] == "word" and effects[k] >= LEAST_EFFECT]
            return ", ".join([*found, "often " + " and ".join(f'"{word}"' for word in words)])
        mean = float(np.nanmean(values[inside[: len(values)]]))
        share = "" if mean > 0.995 else f" in {100 * mean:.0f} %"
        found.append(f"{name} about {mean:.3g}" if kind == "number" else f"{name}{share}")
    return ", ".join(found)


def _effect(inside: np.ndarray, around: np.ndarray, kind: str, values: np.ndarray) -> float:
    """Distance of the mean inside from the mean around it, in standard deviations; of words and categories upward."""
    known = np.isfinite(values) & around[: len(values)]
    chosen = known & inside[: len(values)]
    if not chosen.any():
        return 0.0
    center, spread = float(values[known].mean()), float(values[known].std())
    gap = float(values[chosen].mean()) - center
    if not (np.isfinite(gap) and np.isfinite(spread)) or spread <= 1e-9 * abs(center):
        return 0.0
    return (abs(gap) if kind == "number" else gap) / spread
