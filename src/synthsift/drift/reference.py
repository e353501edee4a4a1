"""Real data as a stream is held against: a fixed feature space, and rows that had no part in learning it.

A third of the real rows teach the encoder and the space; of the others at most 10,000 are kept and compared. Without
that division real rows would fit the space better than any honest generation could, and quiet streams would alarm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from synthsift.drift.arguments import LEAST_ROWS, as_labels, as_rows, check_features
from synthsift.drift.columns import Column, ColumnSummary, name_columns, summarize
from synthsift.drift.innovation import covariance_rank
from synthsift.drift.measures import MAX_ROWS
from synthsift.drift.mode_words import describe_modes
from synthsift.drift.modes import assign_modes
from synthsift.drift.space import FeatureSpace, learn_space
from synthsift.records import DataError, Images
from synthsift.represent.encoders import Encoder, fit_encoder
from synthsift.represent.tones import ToneEncoder
from synthsift.seeds import Seeds, as_seeds

LEAST_REAL = 3 * LEAST_ROWS // 2  # a third of them goes to the space


@dataclass(frozen=True)
class Reference:
    """The real side of every comparison.

    Parameters
    ----------
    encoder : Encoder
        Rows to vectors.
    space : FeatureSpace
        Vectors to features.
    rows : ndarray (n, d) of float32
        Encoded reference rows, at most 10,000.
    columns : tuple of ColumnSummary
        What is remembered of the raw columns.
    class_shares : dict of str to float, or None
        Share of each class where there are labels.
    num_labelled : int
        Rows those shares rest on.
    num_real : int
        Rows that were given.
    mode_words : tuple of str
        What marks the rows of each mode, "" where nothing does; empty in states of older versions.
    """

    encoder: Encoder
    space: FeatureSpace
    rows: np.ndarray
    columns: tuple[ColumnSummary, ...]
    class_shares: dict[str, float] | None
    num_labelled: int
    num_real: int
    mode_words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.mode_words and len(self.mode_words) != len(self.space.modes):
            raise ValueError(f"{len(self.mode_words)} descriptions for {len(self.space.modes)} modes")

    @cached_property
    def blocks(self) -> list[np.ndarray]:
        """Features of the reference rows, in blocks."""
        return self.space.blocks(self.rows)

    @cached_property
    def features(self) -> np.ndarray:
        """Fourier features of the reference rows (n, k)."""
        return np.concatenate(self.blocks[:-1], axis=1)

    @cached_property
    def compact(self) -> np.ndarray:
        """Principal coordinates of the reference rows (n, c)."""
        return self.space.compact(self.rows)

    @cached_property
    def mode_shares(self) -> dict[str, float]:
        """Share of the reference rows in each mode."""
        place = assign_modes(self.compact, self.space.modes)
        counts = np.bincount(place, minlength=len(self.space.modes))
        return {str(k): float(c / len(place)) for k, c in enumerate(counts)}

    @cached_property
    def mode_names(self) -> dict[str, str]:
        """What a reader is told for each mode, as in ``cluster 3 (mostly class cat)``."""
        words = self.mode_words or ("",) * len(self.space.modes)
        return {str(k): f"cluster {k + 1}" + (f" ({text})" if text else "") for k, text in enumerate(words)}

    @cached_property
    def noise(self) -> float:
        """Sampling variance of the mean feature of the reference, tr Cov(f)/n."""
        return float(self.features.var(axis=0, ddof=1).sum() / len(self.features))

    @cached_property
    def noise_rank(self) -> float:
        """Effective number of directions of that noise."""
        return covariance_rank(self.features)


def learn_reference(x: Any, labels: ArrayLike | None, *, seeds: Seeds | int, encoder: str | None = None) -> Reference:
    """Learn the encoder and the space from a third of the real rows and keep the others to compare with.

    Parameters
    ----------
    x : Table, Images, sequence of str (n,), or numbers (n, d) as array, nested list or pandas.DataFrame
        Real rows, best ones that no generation was trained on.
    labels : array_like (n,) of str, optional
        Their classes.
    seeds : Seeds or int
        Which rows, and the randomness of the space.
    encoder : str, optional
        A pretrained network for images or texts, see `PretrainedEncoder`.

    Returns
    -------
    Reference
        The real side.

    Raises
    ------
    DataError
        If there are fewer than 75 rows, nothing varies, or the rows are none of these.
    """
    x = as_rows("the real sample", x)
    node, n = as_seeds(seeds), len(x)
    classes = as_labels("the real sample", labels, n)
    if n < LEAST_REAL:
        raise DataError(
            f"the real sample has {n} rows; at least {LEAST_REAL} are needed (a third of them teaches the feature "
            f"space, {LEAST_ROWS} or more are compared). Give more real rows"
        )
    order = node.numpy("division").permutation(n)
    count = min(n // 3, MAX_ROWS)
    teach, keep = np.sort(order[:count]), np.sort(order[count : count + MAX_ROWS])
    fitted = _fit(x[teach], encoder, node.integer("encoder"))
    learned = check_features("the real sample", fitted.transform(x[teach]), least=1)
    if not (learned.std(axis=0) > 0).any():
        raise DataError("all real rows are the same; there is nothing to compare with. Check the file")
    shares = None if classes is None else _shares(classes)
    space, columns = learn_space(learned, node.child("space")), name_columns(x)
    rows = check_features("the real sample", fitted.transform(x[keep])).astype(np.float32)
    kept = [Column(column.name, column.values[keep]) for column in columns]
    return Reference(
        fitted,
        space,
        rows,
        summarize(columns),
        shares,
        0 if classes is None else n,
        n,
        describe_modes(
            assign_modes(space.compact(rows), space.modes),
            len(space.modes),
            classes=None if classes is None else classes[keep],
            texts=x[keep] if isinstance(x, np.ndarray) and x.dtype == object else None,
            columns=kept,
        ),
    )


def _fit(x: Any, name: str | None, seed: int) -> Encoder:
    """The encoder of the rows' kind; images are encoded with their colors and sharpness, not by shape alone."""
    return ToneEncoder.fit(x) if name is None and isinstance(x, Images) else fit_encoder(x, seed=seed, name=name)


def _shares(labels: np.ndarray) -> dict[str, float]:
    """Share of each label, most frequent first."""
    names, counts = np.unique(labels.astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable").tolist()
    return {str(names[k]): float(counts[k] / len(labels)) for k in order}


def shared_columns(reference: Reference, columns: Sequence[Column]) -> list[tuple[ColumnSummary, Column]]:
    """Pairs of what is remembered of the reference's columns and the same columns of a generation."""
    mine = {column.name: column for column in columns}
    return [(s, mine[s.name]) for s in reference.columns if s.name in mine]
