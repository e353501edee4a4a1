"""Columns of a table that a source leaves empty more or less often than real rows do, or has in another unit (SS156).

Another mix of classes is no reason for either: the real rows are weighted to the mix of the source.
"""

from __future__ import annotations

from collections.abc import Iterator

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
    pairs = list(_columns(mixture))
    level = CHANCE / max(2 * len(pairs), 1)
    seen: dict[str, list[tuple[float, str]]] = {}
    for source, name, first, second in pairs:
        for told in (_gaps(first, second, level), _spread(first, second, level)):
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


Rows = tuple[np.ndarray, np.ndarray]  # of one column: its values (n,), NaN where missing, and the classes (n,)


def _columns(mixture: Mixture) -> Iterator[tuple[str, str, Rows, Rows]]:
    """Yield every source and column with the real rows and those of the source; categories are numbers 0."""
    x = mixture.real.x
    if not isinstance(x, Table) or not len(mixture.synth):
        return
    y, is_synth = mixture.y, mixture.is_synth
    _, first = np.unique(mixture.family[~is_synth], return_index=True)  # rows of a group may share what they hold
    real = np.flatnonzero(~is_synth)[first]
    names, code = np.unique(mixture.synth.source.astype(str), return_inverse=True)
    rows = np.split(np.argsort(code, kind="stable"), np.cumsum(np.bincount(code))[:-1])
    sources = [(str(name), np.flatnonzero(is_synth)[own]) for name, own in zip(names, rows, strict=True)]
    for k, texts in enumerate(x.categories):
        values = np.concatenate([part.x.values[k] for part in mixture.parts])
        if texts is not None:
            values = np.where(values < 0, np.nan, 0.0)
        for name, own in sources:
            yield name, x.names[k], (values[real], y[real]), (values[own], y[own])


def _gaps(first: Rows, second: Rows, level: float) -> tuple[float, str] | None:
    """Return how far the shares of missing cells differ, and both in words; None where chance explains it."""
    there = np.intersect1d(first[1], second[1])
    counts = [_marked(np.isnan(values), y, there) for values, y in (first, second)]
    size = counts[1].sum(axis=0)
    if not counts[1][0].any():  # a source without any value is SS146
        return None
    own = counts[1][1].sum() / size.sum()
    usual = float(counts[0][1] / counts[0].sum(axis=0) @ (size / size.sum()))
    if abs(own - usual) < OTHER_SHARE or other_share_p_value(*counts) >= level:
        return None
    return abs(own - usual), f"is missing in {percent(own)} of the rows (real rows: {percent(usual)})"


def _spread(first: Rows, second: Rows, level: float) -> tuple[float, str] | None:
    """Return how unlikely the ratio of two spreads is, and both in words; None where chance explains it."""
    (real, real_y), (own, own_y) = ((v[~np.isnan(v)], y[~np.isnan(v)]) for v, y in (first, second))
    there = np.intersect1d(real_y, own_y)
    if not len(there):
        return None
    mine = np.isin(own_y, there)
    own, own_y = own[mine], own_y[mine]
    mix = np.bincount(own_y, minlength=there[-1] + 1) / len(own)
    usual = np.isin(real_y, there)
    real, real_y = real[usual], real_y[usual]
    weight = (mix / np.maximum(np.bincount(real_y, minlength=len(mix)), 1))[real_y]
    points = [0.5, *(p for pair in RANGES for p in pair)]
    center, *ends = _quantiles(real, weight, points)
    own_center, *own_ends = _quantiles(own, np.full(len(own), 1 / len(own)), points)
    widths, own_widths = np.diff(np.reshape(ends, (-1, 2)))[:, 0], np.diff(np.reshape(own_ends, (-1, 2)))[:, 0]
    if min(widths.min(), own_widths.min()) <= 0:
        return None
    ratios = own_widths / widths
    times = ratios.min() if ratios[0] > 1 else 1 / ratios.max()
    if times < TIMES:
        return None
    apart, own_apart = np.abs(real - center), np.abs(own - own_center)
    cut = np.median(np.concatenate([apart, own_apart]))
    counts = [_marked(far > cut, y, there) for far, y in ((apart, real_y), (own_apart, own_y))]
    if other_share_p_value(*counts) >= level:
        return None
    return 1 - 1 / times, f"has a middle half {own_widths[0]:.3g} wide (real rows: {widths[0]:.3g})"


def _marked(mark: np.ndarray, y: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Count rows (2, classes) of some classes, without and with the mark."""
    length = int(y.max(initial=0)) + 1
    return np.stack([np.bincount(y[mark == m], minlength=length)[there] for m in (False, True)])


def _quantiles(values: np.ndarray, weight: np.ndarray, points: list[float]) -> np.ndarray:
    """Return quantiles of values (n,) with weights of sum 1."""
    order = np.argsort(values)
    place = np.searchsorted(np.cumsum(weight[order]), np.subtract(points, 1e-12))
    return values[order[np.minimum(place, len(values) - 1)]]


def _first(found: list[tuple[float, str]]) -> str:
    """Join the worst columns of a source."""
    more = f" and {len(found) - 3} more columns" if len(found) > 3 else ""
    return f"{', '.join(text for _, text in found[:3])}{more}"
