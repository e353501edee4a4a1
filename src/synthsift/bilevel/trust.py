"""Which real rows steer the meta-training, and which rows may train before them."""

from __future__ import annotations

import numpy as np

from synthsift.records import DataError, Mixture
from synthsift.seeds import Seeds


def trusted_rows(mixture: Mixture, seeds: Seeds) -> np.ndarray:
    """Choose the rows that steer the meta-network: the user's validation rows first, then real training rows.

    About half of the real rows are trusted, evenly over the classes; at least two real rows stay in training. A family
    is trusted whole or not at all, unless all real rows are one.

    Returns
    -------
    ndarray
        Places in the order of `Mixture.ids`.

    Raises
    ------
    DataError
        If there are fewer than 10 real rows.
    """
    num_real, total = len(mixture.real), len(mixture.real) + len(mixture.valid)
    if total < 10:
        raise DataError(
            f"LearnedWeights saw {total} real rows; it needs at least 10, half to train on and half to trust. Leave it "
            "out with --policies, or add real rows"
        )
    family = mixture.family[:total]
    trusted = np.isin(family, family[num_real:])
    if np.count_nonzero(~trusted) < 2:  # the validation rows would leave nothing to train on
        trusted[:] = False
    wanted = total // 2
    if trusted.sum() < 0.8 * wanted:
        rest = np.flatnonzero(~trusted)
        share = min((wanted - trusted.sum()) / len(rest), 0.5)
        trusted[rest] = _evenly(mixture.y[rest], family[rest], share, seeds.numpy("trusted"))
    return np.flatnonzero(trusted)


def _evenly(y: np.ndarray, family: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a share of the rows (n,), walking through the classes and taking families whenever they are due."""
    order = rng.permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    names, first, size = np.unique(family[order], return_index=True, return_counts=True)
    if len(names) == 1:
        names, first, size = order, np.arange(len(order)), np.ones(len(order), dtype=np.int64)
        family = np.arange(len(y))
    chosen, seen, taken = [], 0, 0
    for k in np.argsort(first):
        seen += size[k]
        if taken + size[k] <= share * seen + 0.5:
            chosen.append(names[k])
            taken += size[k]
    return np.isin(family, chosen or names[[np.argmin(size)]])


def training_rows(mixture: Mixture, trusted: np.ndarray) -> np.ndarray:
    """Return the rows that train: neither trusted nor, unless all real rows are one family, related to trusted rows."""
    free = np.setdiff1d(np.arange(len(mixture.ids)), relatives(mixture, trusted))
    return free if not mixture.is_synth[free].all() else np.setdiff1d(np.arange(len(mixture.ids)), trusted)


def relatives(mixture: Mixture, trusted: np.ndarray) -> np.ndarray:
    """Return the trusted rows and all rows of their families: a row must not be rewarded for resembling its judge."""
    of_trusted = np.unique(mixture.family[trusted])
    return np.flatnonzero(np.isin(mixture.family, of_trusted[of_trusted >= 0]))


def draw(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return a batch without replacement, or all rows where the batch would hold them."""
    return rows if len(rows) <= count else rng.choice(rows, count, replace=False)
