"""Rows that lie almost on top of one another: exact and near copies among hundreds of thousands of rows.

A distance far below the usual one makes the search cheap. Projections on orthonormal directions never lengthen a
difference, so all true pairs are found among the pairs that are close in a few directions of large spread; a k-d tree
finds those, and each is checked in full. Texts are compared by their wording
instead (`synthsift.numerics.resemblance`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import poisson

from synthsift.numerics.fingerprints import fingerprint_rows
from synthsift.numerics.neighbors import nearest
from synthsift.numerics.resemblance import has_near, near_pairs, resembles_other
from synthsift.numerics.shingles import Wordings, wordings
from synthsift.numerics.thumbnails import thumbnails

NEAR_COPY = 0.02  # of the median distance between neighboring real rows
WIDER = 10.0  # times that distance, at which closeness by chance is counted
LOOK_ALIKE = 0.12  # the same for thumbnails: altered copies lie below, others above .15 (docs/findings.md, SS131)
LOOK_WIDER = 2.0  # pictures have many dimensions: half the distance makes chance far rarer than a tenth
NEAR_WORDING = 0.5  # share of the runs of characters of two texts that only one has; others lie above .6 (SS131)
LOOSER = 1.3  # times that share; in halves of real texts kept for choosing, ten times as many others lie within it
LEVEL = 1e-3  # of the test that near copies are more frequent than chance makes them
COARSE = 0.05  # share of real rows with an equal from which on equal content proves nothing
SPACING_ROWS = 1000  # rows whose nearest neighbor is looked for; more would move the median by a few percent at most
DIRECTIONS = 12  # enough that unrelated rows hardly ever come close in all of them
CANDIDATES = (8, 32, 128)  # rows close in the projection that `has_close` checks for one row before it says no
CELL = 4.0  # width of a cell in units of the reach: most pairs that are far closer than that share one
CHUNK = 1 << 16  # pairs that are checked at a time, to bound memory


@dataclass(frozen=True)
class Spacing:
    """How far neighbors usually are apart.

    Parameters
    ----------
    limit : float
        Distance up to which a row counts as a near copy: `NEAR_COPY` of the median distance to the nearest other row,
        `LOOK_ALIKE` of it for thumbnails. For texts `NEAR_WORDING`, or 0 where more than `COARSE` of the real ones have
        such a near copy among themselves, as texts of one template do: it proves nothing then.
    coarse : bool
        More than `COARSE` of the rows have an equal, so equal content proves nothing.
    chance : float
        Upper estimate of the probability that a row comes that near to one of `num_rows` others by chance. In at least
        one dimension a tenth of the distance makes it ten times rarer or more, so it is a tenth of the share at ten
        times the limit (of thumbnails, in more than three dimensions: at twice the limit; of texts at `LOOSER` times),
        or the share at the limit where values on a grid make that the larger one.
    num_rows : int
    looks : bool
        The distances are those of thumbnails.
    """

    limit: float
    coarse: bool
    chance: float = 0.0
    num_rows: int = 1
    looks: bool = False

    def is_excess(self, pairs: float, num_queries: int, num_bank: int) -> bool:
        """Tell whether so many near pairs of queries and bank rows are more than chance gives (level `LEVEL`)."""
        expected = num_queries * self.chance * num_bank / self.num_rows
        return bool(poisson.sf(pairs - 1, expected) < LEVEL)


def usual_spacing(rows: np.ndarray, rng: np.random.Generator, *, looks: bool = False) -> Spacing:
    """Measure the distance of rows (n, d) to their nearest other row, on `SPACING_ROWS` drawn ones at most.

    `looks` says that they are thumbnails.
    """
    near_copy, wider = (LOOK_ALIKE, LOOK_WIDER) if looks else (NEAR_COPY, WIDER)
    if len(rows) < 2:
        return Spacing(near_copy, False, looks=looks)
    drawn = np.arange(len(rows))
    if len(rows) > SPACING_ROWS:
        drawn = np.sort(rng.choice(len(rows), SPACING_ROWS, replace=False))
    near = nearest(rows[drawn], rows, 1, skip=drawn)[1][:, 0]
    # The difference itself: distances from inner products leave rounding where there should be 0.
    own = np.linalg.norm(rows[drawn].astype(np.float64) - rows[near], axis=1)
    limit, apart = near_copy * float(np.median(own)), own > 1e-9
    wide, here = (np.count_nonzero(apart & (own <= factor * limit)) for factor in (wider, 1))
    chance = max((wide + 1) / 10, here) / len(drawn)
    return Spacing(limit, bool(1 - apart.mean() > COARSE), chance, len(rows), looks)


def usual_wording(rows: Wordings, rng: np.random.Generator) -> Spacing:
    """Count near copies among the texts of real rows, of `SPACING_ROWS` drawn ones at most."""
    texts, first = np.unique(rows.text, return_index=True)
    drawn = first if len(first) <= SPACING_ROWS else np.sort(rng.choice(first, SPACING_ROWS, replace=False))
    near, wide = (resembles_other(rows[drawn], rows, factor * NEAR_WORDING).sum() for factor in (1.0, LOOSER))
    coarse, few = 1 - len(texts) / max(len(rows), 1) > COARSE, near <= COARSE * len(drawn)
    chance = max((wide + 1) / 10, near) / max(len(drawn), 1)
    return Spacing(NEAR_WORDING if few else 0.0, coarse, chance, max(len(rows), 1))


def space_of_copies(
    vectors: np.ndarray,
    pictures: Sequence[Any],
    num_pool: int,
    rng: np.random.Generator,
    *,
    texts: Sequence[np.ndarray] = (),
) -> tuple[Any, Spacing]:
    """Choose in what copies are looked for, and measure how far real rows are apart there.

    Parameters
    ----------
    vectors : ndarray (n, d)
        What the learner sees of all rows, the `num_pool` real ones first.
    pictures : sequence of array-like (k, p, p, 3)
        The same rows as pictures, one piece a part; empty where they are none.
    num_pool : int
    rng : Generator
    texts : sequence of ndarray (k,) of str
        The same rows as texts, and behind them further ones that are to be compared; empty where they are none.

    Returns
    -------
    rows : ndarray (n, e) or Wordings
        The wording of texts; thumbnails of pictures (`Spacing.looks`), unless so many of those are equal that they
        prove nothing, as of plain colors; else `vectors`.
    spacing : Spacing
    """
    if texts:
        worded = wordings(texts)
        return worded, usual_wording(worded[:num_pool], rng)
    if pictures:
        small = np.concatenate([thumbnails(part) for part in pictures])
        spacing = usual_spacing(small[:num_pool], rng, looks=True)
        if not spacing.coarse:
            return small, spacing
    return vectors, usual_spacing(vectors[:num_pool], rng)


def close_pairs(queries: Any, bank: Any, limit: float, *, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the pairs of a query and a bank row that are at most `limit` apart.

    Parameters
    ----------
    queries, bank : ndarray (n, d), (m, d), or Wordings
    limit : float
        Euclidean distance, small against the usual one; the search is slow otherwise. Of texts as in `near_pairs`.
    most : int
        Bank rows that are looked at for one query at most, to bound memory.

    Returns
    -------
    row, place : ndarray (k,), (k,)
        Places in `queries` and `bank`, in no order.
    """
    if isinstance(queries, Wordings):
        return near_pairs(queries, bank, limit, most=most)
    search = _Search.over(queries, bank, limit)
    rows, k = np.arange(len(queries)), min(8, most)
    row, place = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    while len(rows):
        near = search.candidates(rows, k)
        found = near < len(bank)
        done = ~found[:, -1] | (k >= min(most, len(bank)))
        own, other = np.repeat(rows[done], found[done].sum(axis=1)), near[done][found[done]]
        close = search.is_close(own, other)
        row.append(own[close])
        place.append(other[close])
        rows, k = rows[~done], min(4 * k, most)
    return np.concatenate(row), np.concatenate(place)


def has_close(queries: Any, bank: Any, limit: float, *, same: bool = False) -> np.ndarray:
    """Tell which queries (n,) have a bank row at most `limit` away.

    Parameters
    ----------
    queries, bank : ndarray (n, d), (m, d), or Wordings
    limit : float
        Euclidean distance, small against the usual one. Of texts as in `near_pairs`.
    same : bool
        `queries` is `bank`, and a row is no neighbor of itself.

    Returns
    -------
    ndarray (n,) of bool
        A row with more than 128 rows beside it in the projection, all of them further away in full, is False without
        looking at the rest.
    """
    if isinstance(queries, Wordings):
        return has_near(queries, bank, limit, same=same)
    result = np.zeros(len(queries), dtype=bool)
    if not len(bank):
        return result
    search = _Search.over(queries, bank, limit)
    # Rows of dense heaps of near copies first, for among those a tree is no faster than comparing all with all.
    for offset in (0.0, 0.5):
        own, other = search.cell_mates(np.flatnonzero(~result), offset)
        if same:
            own, other = own[own != other], other[own != other]
        result[own[search.is_close(own, other)]] = True
    rows = np.flatnonzero(~result)
    for k in CANDIDATES:
        near = search.candidates(rows, k)
        found = near < len(bank)
        own, other = np.repeat(rows, found.sum(axis=1)), near[found]
        if same:
            own, other = own[own != other], other[own != other]
        result[own[search.is_close(own, other)]] = True
        rows = rows[found[:, -1] & ~result[rows]]
        if not len(rows) or k >= len(bank):
            break
    return result


@dataclass(frozen=True)
class _Search:
    """Candidates by a tree over projected bank rows, and the check of the full distance."""

    queries: np.ndarray
    bank: np.ndarray
    shadow: np.ndarray
    lying: np.ndarray
    tree: cKDTree
    limit: float
    reach: float

    @staticmethod
    def over(queries: np.ndarray, bank: np.ndarray, limit: float) -> _Search:
        directions = _directions(bank)
        shadow, lying = queries @ directions, bank @ directions
        # Rounding of the projection, far below any distance that matters, must not lose a pair of equal rows.
        scale = max(float(np.abs(shadow).max(initial=0)), float(np.abs(lying).max(initial=0)), 1e-300)
        reach = limit + scale * 1e3 * float(np.finfo(bank.dtype).eps)
        # Cutting at the middle of the box, not at the median: many equal rows would otherwise be sorted in vain.
        return _Search(queries, bank, shadow, lying, cKDTree(lying, balanced_tree=False), limit, reach)

    def candidates(self, rows: np.ndarray, k: int) -> np.ndarray:
        """Return places (n, k) in the bank, nearest in the projection first; its length where there are fewer."""
        k = min(k, len(self.bank))
        places = self.tree.query(self.shadow[rows], k=k, distance_upper_bound=self.reach)[1]
        return np.asarray(places, dtype=np.int64).reshape(len(rows), k)

    def cell_mates(self, rows: np.ndarray, offset: float) -> tuple[np.ndarray, np.ndarray]:
        """Return pairs (p,), (p,): each row with up to three bank rows of its cell in the projection."""
        mine, theirs = (fingerprint_rows(list(self._cells(x, offset).T)) for x in (self.shadow[rows], self.lying))
        order = np.argsort(theirs, kind="stable")
        first = np.searchsorted(theirs[order], mine)
        place = np.minimum(first[:, None] + np.arange(3), len(order) - 1)  # (n, 3)
        there = theirs[order][place] == mine[:, None]
        return np.repeat(rows, there.sum(axis=1)), order[place][there]

    def _cells(self, projected: np.ndarray, offset: float) -> np.ndarray:
        """Return whole numbers (n, k) that name the cell of each row."""
        return np.floor(projected / (CELL * self.reach) + offset)

    def is_close(self, row: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Tell for pairs (p,) whether the rows are at most `limit` apart."""
        close = np.zeros(len(row), dtype=bool)
        for first in range(0, len(row), CHUNK):
            pairs = slice(first, first + CHUNK)
            apart = self.queries[row[pairs]].astype(np.float64) - self.bank[place[pairs]]
            close[pairs] = np.einsum("ij,ij->i", apart, apart) <= self.limit**2
        return close


def _directions(bank: np.ndarray) -> np.ndarray:
    """Return orthonormal directions (d, k) of large spread: two steps of subspace iteration on some rows.

    Any such directions give the same answers; the draw decides the time alone, so it need not come from the caller.
    """
    d = bank.shape[1]
    if d <= DIRECTIONS:
        return np.eye(d)
    some = bank[:: max(1, len(bank) // 4096)].astype(np.float64)
    some = some - some.mean(axis=0)
    found = np.random.default_rng(0).standard_normal((d, DIRECTIONS))
    for _ in range(2):
        found = np.linalg.qr(some.T @ (some @ found))[0]
    return found
