"""Splits and bootstrap draws of rows or of groups of rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from synthsift.numerics.intervals import few_units

PART = 2**24  # numbers that are worked on at once, 128 MB of them, where all draws of many rows would be many GB


def stratified_folds(y: np.ndarray, num_folds: int, rng: np.random.Generator) -> np.ndarray:
    """Assign every row to one of `num_folds` folds (n,): within a class, as even as can be."""
    fold = np.empty(len(y), dtype=np.int64)
    offset = 0
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        fold[rows] = (np.arange(len(rows)) + offset) % num_folds
        offset += len(rows)
    return fold


def group_folds(y: np.ndarray, group: np.ndarray, num_folds: int, rng: np.random.Generator) -> np.ndarray:
    """Assign rows to folds (n,) so that no group straddles two; large groups first, each to the emptiest fold.

    Parameters
    ----------
    y : ndarray (n,)
        Class codes; among equally full folds the one with fewest rows of the group's classes is taken.
    group : ndarray (n,) of str
        "" means that the row is a group of its own.
    num_folds : int
    rng : Generator

    Raises
    ------
    ValueError
        If there are fewer groups than folds.
    """
    member = members(group)
    size = np.bincount(member)
    if len(size) < num_folds:
        raise ValueError(f"there are {len(size)} groups; {num_folds} folds need at least as many")
    order = rng.permutation(len(size))
    order = order[np.argsort(-size[order], kind="stable")]
    classes = np.zeros((len(size), y.max() + 1))
    np.add.at(classes, (member, y), 1)
    filled = np.zeros((num_folds, y.max() + 1))
    fold_of = np.empty(len(size), dtype=np.int64)
    for g in order:
        crowding = filled.sum(axis=1) + (filled * (classes[g] > 0)).sum(axis=1)
        fold_of[g] = int(np.argmin(crowding))
        filled[fold_of[g]] += classes[g]
    return fold_of[member]


def members(group: np.ndarray) -> np.ndarray:
    """Return the number (n,) of each row's group, from 0; "" is a group of its own."""
    names = np.where(group == "", np.char.add("\0row", np.arange(len(group)).astype(str)), group)
    return np.unique(names, return_inverse=True)[1]


def error_of_mean(values: np.ndarray, member: np.ndarray | None = None) -> float:
    """Return the standard error of the mean of `values` (n,), of rows or of whole groups that were drawn.

    Parameters
    ----------
    values : ndarray (n,)
    member : ndarray (n,) of int, optional
        The number of each row's group (`members`). Rows of a group are not independent, so its sum is what varies, and
        few groups tell it badly: `numerics.intervals.few_units` is in the error then.
    """
    if member is None:
        return float(values.std(ddof=1) / np.sqrt(len(values)))
    sums = np.bincount(member, weights=values - values.mean())
    return few_units(len(sums)) * float(np.sqrt(sums @ sums)) / len(values)


def bootstrap_counts(
    num_rows: int, num_draws: int, rng: np.random.Generator, group: np.ndarray | None = None
) -> np.ndarray:
    """Return how often each row is drawn in each of `num_draws` bootstrap samples (num_draws, n) of uint8.

    With `group`, whole groups are drawn ("" is a group of its own), so rows of a group share their counts.
    """
    member = None if group is None else members(group)
    k = num_rows if member is None else int(member.max()) + 1
    counts = np.empty((num_draws, k), dtype=np.uint8)  # one of k is drawn 256 times with probability 1 / 256! at most
    for part in draw_parts(num_draws, k):
        counts[part] = rng.multinomial(k, np.full(k, 1.0 / k), size=len(counts[part]))
    return counts if member is None else np.take(counts, member, axis=1)


def draw_parts(num_draws: int, num_rows: int) -> Iterator[slice]:
    """Return consecutive draws that have about `PART` numbers together, or one draw each."""
    step = max(1, PART // num_rows)
    return (slice(first, first + step) for first in range(0, num_draws, step))
