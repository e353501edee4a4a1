"""Which real rows are judged when, and which other rows give them away and may not train then.

Training and validation rows are pooled and judged in folds; children, group members, and exact or near copies of judged
rows leave the training part of their split.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from synthsift.numerics.closeness import COARSE, close_pairs, space_of_copies
from synthsift.numerics.fingerprints import fingerprint_rows
from synthsift.numerics.resampling import group_folds, members, stratified_folds
from synthsift.records import DataError, Examples, Images, Mixture
from synthsift.seeds import Seeds

NUM_FOLDS = 5  # fewer where there are fewer groups: `fold_count`
MAX_COPIES = 1000  # of one row that are looked for, to bound memory
TWINS = "\x00twins "  # begins the names of groups that are made; no file has such a name


def pooled(mixture: Mixture) -> Examples:
    """Return the real rows that are judged in turn, training rows first, then validation rows; inputs are left out."""
    real, valid = mixture.real, mixture.valid

    def join(name: str) -> np.ndarray | None:
        a, b = getattr(real, name), getattr(valid, name)
        if a is None and b is None:
            return None
        blank = [np.full(len(part), "") if column is None else column for part, column in ((real, a), (valid, b))]
        return np.concatenate(blank)

    ids = np.concatenate([real.ids, valid.ids])
    y, source = np.concatenate([real.y, valid.y]), np.concatenate([real.source, valid.source])
    return Examples(np.zeros((len(ids), 0)), y, ids, source, group=join("group"))


def fold_count(pool: Examples) -> int:
    """Return the number of folds: `NUM_FOLDS`, or that of the groups where there are fewer.

    Raises
    ------
    DataError
        If all rows are of one group, so that none can be judged by models without it.
    """
    if pool.group is None or not np.any(pool.group != ""):
        return NUM_FOLDS
    groups = int(members(pool.group).max()) + 1
    if groups < 2:
        raise DataError(
            f"all {len(pool):,} real rows are of one group, {pool.group[0]}; a group is judged by models that have not "
            "seen it, so at least 2 are needed. Give finer groups, or leave the group column out"
        )
    return min(NUM_FOLDS, groups)


def distinct_repetitions(pool: Examples, wanted: int) -> int:
    """Return how many of the wanted repetitions differ: where every group is a fold of its own, none does."""
    if pool.group is None or not np.any(pool.group != ""):
        return wanted
    return 1 if int(members(pool.group).max()) + 1 <= NUM_FOLDS else wanted


def make_folds(pool: Examples, seed: int) -> np.ndarray:
    """Return the fold (n,) that judges each pooled row in repetition `seed`, below `fold_count`."""
    rng, num_folds = Seeds(seed).child("folds").numpy("rows"), fold_count(pool)
    if pool.group is not None and np.any(pool.group != ""):
        return group_folds(pool.y, pool.group, num_folds, rng)
    return stratified_folds(pool.y, num_folds, rng)


@dataclass(frozen=True)
class Leaks:
    """Which training rows give away which pooled rows.

    Parameters
    ----------
    row, judged : ndarray (k,)
        Pairs: place among all rows of the mixture, place in the pool.
    group : ndarray (n,)
        Group of every row of the mixture, "" for none: while a pooled row of it is judged, none of its rows trains.
    num_copies, num_parents : int
        Pairs found by content and by the parent column.
    coarse : bool
        Real rows repeat each other so often that equal content proves nothing; copies were not looked for.
    """

    row: np.ndarray
    judged: np.ndarray
    group: np.ndarray
    num_copies: int
    num_parents: int
    coarse: bool

    def keep(self, num_rows: int, is_judged: np.ndarray) -> np.ndarray:
        """Return the rows (n,) that may train while the pooled rows `is_judged` are judged."""
        keep = np.ones(num_rows, dtype=bool)
        keep[: len(is_judged)] = ~is_judged
        keep[self.row[is_judged[self.judged]]] = False
        groups = self.group[: len(is_judged)][is_judged]
        keep[np.isin(self.group, groups[groups != ""])] = False
        return keep


def find_leaks(mixture: Mixture, embedding: np.ndarray) -> Leaks:
    """Find parents, and exact or near copies: by the look of pictures, the wording of texts, else in `embedding`.

    Near is 2 % of the usual distance between neighbors, 12 % of it between thumbnails, half of the wording of texts.
    Whether there are more near copies than chance makes does not matter here: a row left out in vain costs little, a
    copy kept a false verdict.
    """
    num_pool = len(mixture.real) + len(mixture.valid)
    inputs = [part.x for part in mixture.parts if len(part)]
    rows, spacing = space_of_copies(
        embedding.astype(np.float64),  # the distance of a copy must come out as 0
        [x for x in inputs if isinstance(x, Images)],
        num_pool,
        Seeds(0).numpy("spacing"),
        texts=[x for x in inputs if isinstance(x, np.ndarray) and x.dtype == object],
    )
    row, judged = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    if not spacing.coarse:
        most = min(
            max(10, int(COARSE * num_pool) + 1), MAX_COPIES
        )  # a cluster of equals is smaller, or data are coarse
        row, judged = close_pairs(rows, rows[:num_pool], spacing.limit, most=most)
        row, judged = row[row != judged], judged[row != judged]
    num_copies = len(row)
    parent = mixture.synth.parent
    num_parents = 0
    if parent is not None:
        place = {name: k for k, name in enumerate(mixture.ids[:num_pool])}
        pairs = [(num_pool + k, place[name]) for k, name in enumerate(parent) if name in place]
        num_parents = len(pairs)
        if pairs:
            made, real = np.array(pairs).T
            row, judged = np.concatenate([row, made]), np.concatenate([judged, real])
    group = np.concatenate([np.full(len(p), "") if p.group is None else p.group.astype(str) for p in mixture.parts])
    return Leaks(row, judged, group, num_copies, num_parents, spacing.coarse)


def name_relatives(mixture: Mixture, leaks: Leaks, embedding: np.ndarray) -> Mixture:
    """Return the mixture with copies as children, and with synthetic twins in groups of their own.

    A synthetic copy that names no parent gets a real row it copies; synthetic rows that are equal in `embedding` (n, d)
    and name neither parent nor group get one group. So copies are kept apart from their originals and twins from one
    another not only in the splits, but wherever a training part judges its own rows: regularization, sources, trusted
    rows, features. Source: docs/decisions/0003-families.md.

    Parameters
    ----------
    mixture : Mixture
    leaks : Leaks
        Found in it.
    embedding : ndarray (n, d)
        Encoded rows, in the order of ``mixture.ids``.

    Returns
    -------
    Mixture
        The same rows in the same order; the very same object if there are neither copies nor twins.
    """
    num_pool, synth = len(mixture.real) + len(mixture.valid), mixture.synth
    row, judged = leaks.row[: leaks.num_copies], leaks.judged[: leaks.num_copies]
    copies, first = np.unique(row[row >= num_pool], return_index=True)
    parent = np.full(len(synth), "", dtype=object) if synth.parent is None else synth.parent.astype(object)
    known = np.isin(parent.astype(str), mixture.ids[:num_pool].astype(str))
    found, originals = np.full(len(synth), "", dtype=object), mixture.ids[judged[row >= num_pool][first]]
    found[copies - num_pool] = originals
    parent = np.where(~known & (found != ""), found, parent)
    group = np.full(len(synth), "", dtype=object) if synth.group is None else synth.group.astype(object)
    _, twin, count = np.unique(fingerprint_rows(list(embedding[num_pool:].T)), return_inverse=True, return_counts=True)
    alone = ~known & (found == "") & (group == "") & (count[twin] > 1) & (not leaks.coarse)
    group[alone] = [f"{TWINS}{number}" for number in twin[alone].tolist()]
    if not (found != "").any() and not alone.any():
        return mixture
    return replace(mixture, synth=replace(synth, parent=parent.astype(str), group=group.astype(str)))


def all_copies(mixture: Mixture, leaks: Leaks) -> bool:
    """Return whether every synthetic row equals, or almost equals, a real row, as `find_leaks` has found copies."""
    num_pool = len(mixture.real) + len(mixture.valid)
    copies = np.unique(leaks.row[: leaks.num_copies])
    return len(mixture.synth) > 0 and int((copies >= num_pool).sum()) == len(mixture.synth)


def restrict(mixture: Mixture, keep: np.ndarray) -> Mixture:
    """Return the mixture of the rows (n,) where `keep` is true."""
    first, second = len(mixture.real), len(mixture.real) + len(mixture.valid)
    return replace(
        mixture,
        real=mixture.real[np.flatnonzero(keep[:first])],
        valid=mixture.valid[np.flatnonzero(keep[first:second])],
        synth=mixture.synth[np.flatnonzero(keep[second:])],
    )
