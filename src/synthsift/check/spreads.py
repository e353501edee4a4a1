"""Columns of a table that a source leaves empty more or less often than real rows do, or has in another unit (SS156).

Another mix of classes is no reason for either: the real rows are weighted to the mix of the source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from synthsift.check.contents import percent, worst
from synthsift.numerics.counts import other_share_p_value
from synthsift.records import Finding, Mixture, Severity, Table

CHANCE = 1e-3  # of a false alarm in a data set, over all its columns and sources
OTHER_SHARE = 0.05  # difference of the shares of missing cells from which on it is said
TIMES = 3.0  # ratio of spreads from which on it is said
#: Both ranges must differ: where a value is frequent, the inner one may be its width or none.
RANGES = ((0.25, 0.75), (0.1, 0.9))


def other_spreads(mixture: Mixture) -> Finding | None:
    """SS156: the share of missing cells of a column, or its spread, differs between a source and the real rows."""
    num_columns = len(mixture.real.x.names) if isinstance(mixture.real.x, Table) else 0
    level = CHANCE / max(2 * num_columns * len(mixture.rows_of), 1)
    seen: dict[str, list[tuple[float, str]]] = {}
    for source, name, usual, own in _columns(mixture):
        for told in (_gaps(usual, own, level), _spread(usual, own, level)):
            if told:
                seen.setdefault(source, []).append((told[0], f"{name} {told[1]}"))
    if not seen:
        return None
    ranked = {source: sorted(found, key=lambda item: -item[0]) for source, found in seen.items()}
    ranked = dict(sorted(ranked.items(), key=lambda item: -item[1][0][0]))
    return Finding(
        "SS156",
        Severity.warning,
        "Another unit, or other missing cells",
        f"Beyond chance, {worst([(found[0][0], f'in {s}: {_first(found)}') for s, found in ranked.items()])}.",
        "The column does not mean the same in real and in synthetic rows: what is learned of it from the synthetic "
        "ones is wrong on real rows, and it tells the two apart.",
        "Bring the column to one unit in all files, or take it out; generate cells where real rows have them, and "
        "leave them empty as often. Nothing, if the source is meant to vary more.",
        {source: _first(found) for source, found in ranked.items()},
    )


@dataclass(frozen=True)
class Cells:
    """A column of some rows.

    Parameters
    ----------
    values : ndarray (n,)
        Those that are not missing, in order of size.
    y : ndarray (n,)
        Their classes.
    rows : ndarray (2, c)
        Rows of each class with a value and without one.
    """

    values: np.ndarray
    y: np.ndarray
    rows: np.ndarray

    @staticmethod
    def of(values: np.ndarray, y: np.ndarray, num_classes: int) -> Cells:
        """Sort out values (m,), NaN where missing, of rows of classes (m,)."""
        lost = np.isnan(values)
        order = np.argsort(values)[: len(values) - np.count_nonzero(lost)]
        return Cells(values[order], y[order], _marked(lost, y, num_classes))

    def quantiles(self, weight: np.ndarray) -> tuple[float, np.ndarray]:
        """Return median and the widths of `RANGES`, each value with the weight of its class (c,), 1 in all."""
        points = np.array([0.5, *np.ravel(RANGES)])
        place = np.searchsorted(np.cumsum(weight[self.y]), points - 1e-12)
        center, *ends = self.values[np.minimum(place, len(self.values) - 1)]
        return center, np.diff(np.reshape(ends, (-1, 2)))[:, 0]


def _columns(mixture: Mixture) -> Iterator[tuple[str, str, Cells, Cells]]:
    """Yield every source and column with the cells of the real rows and of the source; categories are numbers 0."""
    x = mixture.real.x
    if not isinstance(x, Table) or not len(mixture.synth):
        return
    y, is_synth, num = mixture.y, mixture.is_synth, mixture.num_classes
    _, first = np.unique(mixture.family[~is_synth], return_index=True)  # rows of a group may share what they hold
    real = np.flatnonzero(~is_synth)[first]
    for k, texts in enumerate(x.categories):
        values = np.concatenate([part.x.values[k] for part in mixture.parts])
        if texts is not None:
            values = np.where(values < 0, np.nan, 0.0)
        usual = Cells.of(values[real], y[real], num)
        for name, own in mixture.rows_of.items():
            rows = len(y) - len(mixture.synth) + own
            yield str(name), x.names[k], usual, Cells.of(values[rows], y[rows], num)


def _gaps(usual: Cells, own: Cells, level: float) -> tuple[float, str] | None:
    """Return how far the shares of missing cells differ, and both in words; None where chance explains it."""
    there = usual.rows.any(axis=0) & own.rows.any(axis=0)
    first, second = usual.rows[:, there], own.rows[:, there]
    if not second[0].any():  # a source without any value is SS146
        return None
    size = second.sum(axis=0)
    share = second[1].sum() / size.sum()
    expected = float(first[1] / first.sum(axis=0) @ (size / size.sum()))
    if abs(share - expected) < OTHER_SHARE or other_share_p_value(first, second) >= level:
        return None
    return abs(share - expected), f"is missing in {percent(share)} of the rows (real rows: {percent(expected)})"


def _spread(usual: Cells, own: Cells, level: float) -> tuple[float, str] | None:
    """Return how unlike two spreads are, from 0 to 1, and both in words; None where chance explains it."""
    count = np.where(usual.rows[0] > 0, own.rows[0], 0)  # of classes that both have
    if not count.any():
        return None
    mix = count / count.sum()
    center, widths = usual.quantiles(mix / np.maximum(usual.rows[0], 1))
    own_center, own_widths = own.quantiles(mix / np.maximum(own.rows[0], 1))
    if min(widths.min(), own_widths.min()) <= 0:
        return None
    ratios = own_widths / widths
    times = ratios.min() if ratios[0] > 1 else 1 / ratios.max()
    if times < TIMES:
        return None
    sides = [
        (np.abs(cells.values - middle)[mine], cells.y[mine])
        for cells, middle in ((usual, center), (own, own_center))
        for mine in [count[cells.y] > 0]
    ]
    cut = np.median(np.concatenate([far for far, _ in sides]))
    if other_share_p_value(*(_marked(far > cut, y, len(count)) for far, y in sides)) >= level:
        return None
    return 1 - 1 / times, f"has a middle half {_digits(own_widths[0])} wide (real rows: {_digits(widths[0])})"


def _marked(mark: np.ndarray, y: np.ndarray, num_classes: int) -> np.ndarray:
    """Count rows (2, c) of each class, without and with the mark."""
    return np.stack([np.bincount(y[mark == m], minlength=num_classes) for m in (False, True)])


def _digits(width: float) -> str:
    """A width to three digits, without powers of ten where it is large."""
    rounded = float(f"{width:.3g}")
    return f"{rounded:,.0f}" if 1e3 <= rounded < 1e12 else f"{rounded:g}"


def _first(found: list[tuple[float, str]]) -> str:
    """Join the worst columns of a source."""
    more = f" and {len(found) - 3} more columns" if len(found) > 3 else ""
    return f"{', '.join(text for _, text in found[:3])}{more}"
