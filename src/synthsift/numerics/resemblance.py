"""Near copies among texts: all pairs of two sets of texts that have most of their runs of characters in common.

A pair within the limit has rare runs in common: if all runs are ordered by rarity, and two texts share at least a of
them, the first q that they share stand among the first |A| - a + q of each (prefix filter: Bayardo, Ma, Srikant 2007,
"Scaling up all pairs similarity search"; Xiao and others 2008, "Efficient similarity joins for near duplicate
detection"). So a sparse product of the beginnings, where few texts meet, finds the candidates; those that cannot share
enough any more are left out, and the others are counted in full. Nothing is lost by it, except pairs whose beginnings
share only runs that stand in the beginnings of more than `COMMON` texts of the bank: these are not looked up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse

from synthsift.numerics.fingerprints import mix
from synthsift.numerics.shingles import NAMES, Wordings

SHORT = 40  # characters of normalized text, about 8 words
STRICTER = 0.5  # of the limit, for pairs with a short text
FIRST = 16  # runs that a near pair shares at the beginnings; fewer leave more candidates, more take longer
COMMON = 2000  # beginnings of the bank with a run; one in more is not looked up, to bound time beside common phrases
CHUNK = 1 << 22  # products of the search, or runs that are counted, at a time, to bound memory
ALL_PAIRS = 1_000_000  # of texts, up to which the search may look at all of them
SAMPLES = 12  # numberings of the runs by which `resembles_other` first looks for mates, at most
WORTH = 0.01  # of the texts still without a mate: a numbering that finds fewer is the last one


def near_pairs(queries: Wordings, bank: Wordings, limit: float, *, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the pairs of a query and a bank row whose texts are equal or near copies.

    Parameters
    ----------
    queries, bank : Wordings
        Cut together.
    limit : float
        Greatest share of runs, of all that either text has, that only one of them has; 0 finds equal texts alone. Where
        one text has fewer than `SHORT` characters, half of it: such texts are stock phrases more often than copies
        ("happy mothers day to all moms"), and a word that is changed changes what they say.
    most : int
        Bank rows that are returned for one query at most, to bound memory.

    Returns
    -------
    row, place : ndarray (k,), (k,)
        Places in `queries` and `bank`, in no order.
    """
    asked, kept = np.unique(queries.text), np.unique(bank.text)
    both = np.intersect1d(asked, kept)
    held = np.minimum(np.bincount(bank.text, minlength=len(bank.start) - 1), most)
    # All pairs with one query come together, so each piece is cut before the next one is searched.
    pairs = [(both, both), *(_first_few(*found, held, most) for found in _near(queries, asked, kept, limit))]
    query, other = (np.concatenate(column) for column in zip(*pairs, strict=True))
    query, other = _first_few(query, other, held, most)
    # From pairs of texts to pairs of rows: first the rows of the bank, then those of the queries.
    pair, place = _members(other, bank.text, most)
    query = query[pair]
    few = np.arange(len(query)) - np.searchsorted(query, query) < most
    pair, row = _members(query[few], queries.text, len(queries))
    return row, place[few][pair]


def has_near(queries: Wordings, bank: Wordings, limit: float, *, same: bool = False) -> np.ndarray:
    """Tell which queries (n,) have a bank row whose text is equal or a near copy.

    Parameters
    ----------
    queries, bank : Wordings
        Cut together.
    limit : float
        As in `near_pairs`.
    same : bool
        `queries` is `bank`, and a row is no neighbor of itself.
    """
    text, count = np.unique(queries.text, return_counts=True)
    equal = count > 1 if same else np.isin(text, bank.text)
    return equal[np.searchsorted(text, queries.text)] | resembles_other(queries, bank, limit)


def resembles_other(queries: Wordings, bank: Wordings, limit: float) -> np.ndarray:
    """Tell which queries (n,) have a bank row of another text that is a near copy; arguments as in `near_pairs`."""
    asked, kept = np.unique(queries.text), np.unique(bank.text)
    near = np.zeros(len(asked), dtype=bool)
    if limit > 0 and len(kept):
        # Heaps of near copies first, where the search would look at all pairs: nearly every text of one finds a mate.
        for number in range(SAMPLES if len(asked) * len(kept) > ALL_PAIRS else 0):
            left = np.flatnonzero(~near)
            own, other = _mates(queries, asked[left], kept, number)
            near[left[own[_is_near(queries, asked[left][own], other, limit)]]] = True
            # A round finds about half of those in heaps or more: where it finds few, few are left in heaps.
            if near[left].sum() < WORTH * len(left):
                break
        for query, _ in _near(queries, asked[~near], kept, limit):
            near[np.searchsorted(asked, query)] = True
    return near[np.searchsorted(asked, queries.text)]


def _near(rows: Wordings, asked: np.ndarray, kept: np.ndarray, limit: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs (k,), (k,) of different texts, one of `asked` and one of `kept`, that are near copies."""
    if limit <= 0 or not len(asked) or not len(kept):
        return
    share = 1 - limit
    left, right = _Beginnings.of(rows, asked, share), _Beginnings.of(rows, kept, share)
    bank = right.runs.T.tocsr()
    frequent = np.diff(bank.indptr)
    looked_up = np.where(frequent > COMMON, 0, frequent)
    work = np.concatenate([[0], np.cumsum(looked_up[left.runs.indices], dtype=np.int64)])[left.runs.indptr]
    cuts = [0, *(np.flatnonzero(np.diff(work // CHUNK)) + 1).tolist(), len(asked)]
    common = (frequent > COMMON).astype(np.int32)
    left_out, right_out = left.runs @ common, right.runs @ common
    queries = left.runs @ sparse.diags_array(1 - common, dtype=np.int32)
    queries.eliminate_zeros()
    for first, last in pairwise(cuts):
        shared = (queries[first:last] @ bank).tocoo()
        own, other = shared.coords[0] + first, shared.coords[1]
        # Beyond its beginning, the text whose beginning ends with the rarer run holds all else that the pair can share.
        rest = np.where(left.end[own] <= right.end[other], left.rest[own], right.rest[other])
        most = shared.data + np.minimum(left_out[own], right_out[other]) + rest
        likely = most >= share / (1 + share) * (left.size[own] + right.size[other]) - 1e-9
        query, place = asked[own[likely]], kept[other[likely]]
        close = (query != place) & _is_near(rows, query, place, limit)
        yield query[close], place[close]


@dataclass(frozen=True)
class _Beginnings:
    """The rarest runs of each text: a matrix (n, v) of ones.

    Parameters
    ----------
    runs : sparse array (n, v)
    end : ndarray (n,)
        Number of the last run that is in the beginning.
    rest, size : ndarray (n,)
        How many runs are not in the beginning, and all of the text.
    """

    runs: sparse.csr_array
    end: np.ndarray
    rest: np.ndarray
    size: np.ndarray

    @staticmethod
    def of(rows: Wordings, texts: np.ndarray, share: float) -> _Beginnings:
        """Take so many that texts which have `share` of all their runs in common share `FIRST` or all of them there."""
        size = rows.start[texts + 1] - rows.start[texts]
        least = np.ceil(share * size - 1e-9).astype(np.int64)
        taken = np.maximum(size - least + np.minimum(least, FIRST), 0)
        indices, ends = rows.runs[_spans(rows.start[texts], taken)], np.concatenate([[0], np.cumsum(taken)])
        matrix = sparse.csr_array((np.ones(len(indices), np.int32), indices, ends), shape=(len(texts), rows.num_runs))
        end = np.where(taken > 0, rows.runs[np.maximum(rows.start[texts] + taken - 1, 0)] if len(rows.runs) else 0, -1)
        return _Beginnings(matrix, end, size - taken, size)


def _mates(rows: Wordings, asked: np.ndarray, kept: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return places (p,) in `asked` and texts (p,): up to three others of `kept` with the same first run.

    First in a random order of all runs, so that two texts have the same one with the probability that is their
    resemblance (Broder 1997).
    """
    mine, theirs = _first_runs(rows, asked, number), _first_runs(rows, kept, number)
    order = np.argsort(theirs, kind="stable")
    first = np.searchsorted(theirs[order], mine)
    # Not always the same three: which of the equal ones depends on the text that asks.
    count = np.searchsorted(theirs[order], mine, side="right") - first
    step = (mix(asked.astype(np.uint64) + np.uint64(number)) % np.maximum(count, 1).astype(np.uint64)).astype(np.int64)
    place = first[:, None] + (step[:, None] + np.arange(3)) % np.maximum(count, 1)[:, None]
    own = np.repeat(np.arange(len(asked)), 3)
    other = kept[order[np.minimum(place, len(kept) - 1)]].ravel()
    there = np.repeat(count > 0, 3) & (asked[own] != other)
    return own[there], other[there]


def _first_runs(rows: Wordings, texts: np.ndarray, number: int) -> np.ndarray:
    """Return of each text (n,) the least hash of its runs in the numbering `number`."""
    size = rows.start[texts + 1] - rows.start[texts]
    least = mix(texts.astype(np.uint64))  # a text without runs has no mate
    filled = np.flatnonzero(size)
    work = np.cumsum(size[filled])
    cuts = [0, *(np.flatnonzero(np.diff(work // CHUNK)) + 1).tolist(), len(filled)]
    for first, last in pairwise(cuts if len(filled) else []):
        some = filled[first:last]
        runs = rows.runs[_spans(rows.start[texts[some]], size[some])].astype(np.uint64)
        hashed = mix(runs + np.uint64(NAMES * (number + 1)))
        least[some] = np.minimum.reduceat(hashed, np.cumsum(size[some]) - size[some])
    return least


def _is_near(rows: Wordings, one: np.ndarray, other: np.ndarray, limit: float) -> np.ndarray:
    """Tell for pairs of texts (p,), (p,) whether they are near copies."""
    size = np.diff(rows.start)
    near = np.zeros(len(one), dtype=bool)
    short = np.minimum(rows.length[one], rows.length[other]) < SHORT
    share = 1 - np.where(short, STRICTER, 1.0) * limit
    # Sizes that differ too much first: they cost nothing.
    small, large = np.minimum(size[one], size[other]), np.maximum(size[one], size[other])
    likely = np.flatnonzero((small >= share * large - 1e-9) & (small > 0))
    work = np.cumsum(size[one[likely]])
    cuts = [0, *(np.flatnonzero(np.diff(work // CHUNK)) + 1).tolist(), len(likely)]
    for first, last in pairwise(cuts):
        pairs = likely[first:last]
        both = _overlap(rows, one[pairs], other[pairs])
        near[pairs] = both >= share[pairs] * (size[one[pairs]] + size[other[pairs]] - both) - 1e-9
    return near


def _overlap(rows: Wordings, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Count the runs that two texts have in common, for pairs (p,), (p,)."""
    sides = []
    for texts in (one, other):
        size = rows.start[texts + 1] - rows.start[texts]
        runs, ends = rows.runs[_spans(rows.start[texts], size)], np.concatenate([[0], np.cumsum(size)])
        sides.append(sparse.csr_array((np.ones(len(runs), np.int8), runs, ends), shape=(len(texts), rows.num_runs)))
    return np.diff(sides[0].multiply(sides[1]).indptr)


def _spans(first: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return first[0], ..., first[0] + size[0] - 1, first[1], ... in one array."""
    ends = np.cumsum(size)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(first - ends + size, size)


def _first_few(query: np.ndarray, other: np.ndarray, held: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of texts in the order of queries, of each the first that hold `most` rows of the bank.

    Text i holds ``held[i]`` rows of the bank, `most` at most; so fewer than twice as many are kept for one query.
    """
    order = np.argsort(query, kind="stable")
    query, other = query[order], other[order]
    before = np.cumsum(held[other]) - held[other]
    few = before - before[np.searchsorted(query, query)] < most
    return query[few], other[few]


def _members(texts: np.ndarray, of: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs (k,), (k,) of a place in `texts` and each of the first `most` rows with that text, of `of` (n,)."""
    order = np.argsort(of, kind="stable")
    first, last = (np.searchsorted(of[order], texts, side=side) for side in ("left", "right"))
    size = np.minimum(last - first, most)
    return np.repeat(np.arange(len(texts)), size), order[_spans(first, size)]
