"""Categories of a table that only synthetic rows have (SS152), and common ones that a source lacks (SS153).

A rare category is missed by chance on either side. So both ask how likely the rows are if real and synthetic rows of a
class follow one law (`numerics.counts.new_level_p_value`); another mix of classes is no reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from synthsift.check.contents import percent, worst
from synthsift.numerics.counts import new_level_p_value
from synthsift.numerics.fingerprints import normalize_text
from synthsift.records import Finding, Mixture, Severity, Table

CHANCE = 1e-3  # of a false alarm in a data set, over all its columns and sources
MANY = 0.01  # share of the rows of a source from which on a note is a warning
COMMON = 0.01  # share of the real rows at lacking categories from which on it is said
UNIQUE = 0.5  # share of real rows whose value no other real row has, above which a column is none of categories


Seen = dict[str, list[tuple[float, str]]]  # of each source: share of rows, and words, of each column


@dataclass(frozen=True)
class Levels:
    """A column of categories, in the real rows and in a source.

    Parameters
    ----------
    source, name : str
    texts : tuple of str
        The categories (k,).
    real : ndarray (k,)
        Rows of each among all real rows.
    drawn, made : ndarray (k, c)
        Rows of each category and class: one real row of each group, and all rows of the source.
    """

    source: str
    name: str
    texts: tuple[str, ...]
    real: np.ndarray
    drawn: np.ndarray
    made: np.ndarray

    def told(self, levels: np.ndarray, counts: np.ndarray, total: float) -> str:
        """List the most frequent of some categories, each with its share of `total` rows."""
        ranked = levels[np.argsort(-counts[levels], kind="stable")]
        shown = ", ".join(f"{self.texts[k]!r} ({percent(counts[k] / total)})" for k in ranked[:3])
        return f"{self.name} {shown}{f' and {len(ranked) - 3:,} more' if len(ranked) > 3 else ''}"


def new_levels(mixture: Mixture) -> Finding | None:
    """SS152: categories that no real row has, in more rows of a source than chance explains."""
    columns, many = list(_columns(mixture)), False
    seen: Seen = {}
    for column in columns:
        made = column.made.sum(axis=1)
        is_new = (column.real == 0) & (made > 0)
        if new_level_p_value(column.drawn, column.made, is_new) >= CHANCE / len(columns):
            continue
        new, rows, total = np.flatnonzero(is_new), int(made[is_new].sum()), int(made.sum())
        many |= rows >= MANY * total
        text = column.told(new, made, total) + _other_spelling(column, new[np.argmax(made[new])])
        seen.setdefault(column.source, []).append((rows / total, text))
    if not seen:
        return None
    return Finding(
        "SS152",
        Severity.warning if many else Severity.note,
        "Categories that no real row has",
        f"Values that no real row has, with their share of the rows of a source: {_by_source(seen)}.",
        "A model meets such a value in synthetic rows alone, so it learns nothing of use from it, or to treat the rows "
        "apart.",
        "Map the values to those of real rows (spelling, old names) or leave the rows out; nothing if rows to come may "
        "have them.",
    )


def lacking_levels(mixture: Mixture) -> Finding | None:
    """SS153: categories that a source lacks although so many real rows have them that chance does not explain it."""
    columns, nowhere = list(_columns(mixture)), False
    seen: Seen = {}
    anywhere: dict[str, np.ndarray] = {}
    for column in columns:
        anywhere[column.name] = anywhere.get(column.name, 0) + column.made.sum(axis=1)
    for column in columns:
        made, real = column.made.sum(axis=1), column.drawn.sum(axis=1)
        is_lacking = (made == 0) & (real > 0)
        lacks, rows, total = np.flatnonzero(is_lacking), int(real[is_lacking].sum()), int(real.sum())
        # a source with a single value in the column is SS146
        if rows < COMMON * total or np.count_nonzero(made) < 2:
            continue
        if new_level_p_value(column.made, column.drawn, is_lacking) >= CHANCE / len(columns):
            continue
        nowhere |= bool((anywhere[column.name][lacks] == 0).any())
        seen.setdefault(column.source, []).append((rows / total, column.told(lacks, real, total)))
    if not seen:
        return None
    return Finding(
        "SS153",
        Severity.warning if nowhere else Severity.note,
        "Categories that a source lacks",
        f"Values that a source lacks altogether, with their share of the real rows: {_by_source(seen)}.",
        "The source covers only a part of what the model will meet, and says the rest does not exist.",
        "Generate rows with these values, or use the source beside real rows only; nothing if other sources fill in.",
    )


def _columns(mixture: Mixture) -> Iterator[Levels]:
    """Yield every column of categories for every source that has a value in it."""
    x = mixture.real.x
    if not isinstance(x, Table):
        return
    real_y = mixture.y[~mixture.is_synth]
    _, first = np.unique(
        mixture.family[~mixture.is_synth], return_index=True
    )  # rows of a group may share what they hold
    for k, texts in enumerate(x.categories):
        if texts is None:
            continue
        real, synth = np.concatenate([mixture.real.x.values[k], mixture.valid.x.values[k]]), mixture.synth.x.values[k]
        drawn = _table(real[first], real_y[first], len(texts), mixture.num_classes)
        once = np.count_nonzero(drawn.sum(axis=1) == 1)
        if not drawn.any() or once > UNIQUE * drawn.sum():
            continue
        counts = np.bincount(real[real >= 0], minlength=len(texts))
        for source, rows in mixture.rows_of.items():
            made = _table(synth[rows], mixture.synth.y[rows], len(texts), mixture.num_classes)
            if made.any():
                yield Levels(source, x.names[k], texts, counts, drawn, made)


def _table(code: np.ndarray, y: np.ndarray, num_levels: int, num_classes: int) -> np.ndarray:
    """Count rows (levels, classes); missing cells do not count."""
    there = code >= 0
    flat = code[there].astype(np.int64) * num_classes + y[there]
    return np.bincount(flat, minlength=num_levels * num_classes).reshape(num_levels, num_classes)


def _other_spelling(column: Levels, level: int) -> str:
    """Say which category of the real rows differs from this one in case or signs alone, if one does."""
    said = normalize_text(column.texts[level])
    for k in np.flatnonzero(column.real):
        if normalize_text(column.texts[k]) == said:
            return f", spelled {column.texts[k]!r} in real rows"
    return ""


def _by_source(seen: Seen) -> str:
    """Join the first columns of each source, the worst first."""
    told = []
    for source, found in seen.items():
        ranked = sorted(found, key=lambda item: -item[0])
        more = f" and {len(ranked) - 3} more columns" if len(ranked) > 3 else ""
        told.append((ranked[0][0], f"{source}: {', '.join(text for _, text in ranked[:3])}{more}"))
    return worst(told)
