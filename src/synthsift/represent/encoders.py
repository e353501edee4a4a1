"""Rows to vectors, without labels, with state that can be saved and applied to new rows.

One small protocol: ``fit(x) -> fitted``, ``fitted.transform(x) -> (n, d) float array``, ``fitted.state() -> (arrays,
settings)`` and `restore(arrays, settings)`. Because no label is used, the encoding is computed once and shared by all
policies and splits: every policy then sees the same inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from synthsift.records import DataError, Images, Table
from synthsift.represent.gradients import GradientEncoder
from synthsift.represent.tones import ToneEncoder

TEXTS_A_DIRECTION = 15  # distinct ones at least; with fewer, single texts get directions of their own
FEWEST_DIRECTIONS = 20
MAX_CATEGORIES = 50  # of one column; rarer ones share a column, or one-hot width would follow the size of the file


class Encoder(Protocol):
    """A fitted encoder."""

    def transform(self, x: Any) -> np.ndarray:
        """Return the vectors (n, d) of rows `x`."""
        ...

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return what `restore` needs: arrays and JSON-safe settings."""
        ...


@dataclass(frozen=True)
class TableEncoder:
    """Standardized numbers, missing-value flags and one-hot categories, optionally projected by PCA.

    Parameters
    ----------
    names : tuple of str
        Columns, in order.
    center, scale : ndarray (number of numeric columns,)
        Median and standard deviation; missing values become the median.
    flagged : ndarray of bool
        Numeric columns with missing values get a 0/1 column.
    squeezed : ndarray of bool
        Heavy-tailed numeric columns (absolute skewness above 2, as money and counts have) pass through a signed
        logarithm first; a linear model could not undo the tail.
    categories : tuple of (tuple of str or None)
        For categorical columns, the categories that have a column of their own; all others share one.
    components : ndarray (d, k), optional
        PCA directions; `offset` (d,) is subtracted first.
    """

    names: tuple[str, ...]
    center: np.ndarray
    scale: np.ndarray
    flagged: np.ndarray
    squeezed: np.ndarray
    categories: tuple[tuple[str, ...] | None, ...]
    components: np.ndarray | None = None
    offset: np.ndarray | None = None

    @staticmethod
    def fit(x: Table, pca: int | None = None) -> TableEncoder:
        """Learn scales and categories from all rows of `x`; `pca` is the number of directions kept."""
        center, scale, flagged, squeezed = [], [], [], []
        categories: list[tuple[str, ...] | None] = []
        for values, names in zip(x.values, x.categories, strict=True):
            if names is not None:
                counts = np.bincount(values[values >= 0], minlength=len(names))
                common = np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]
                categories.append(tuple(names[k] for k in sorted(common) if counts[k] >= 3))
                continue
            categories.append(None)
            known = values[~np.isnan(values)]
            heavy = _skewness(known) > 2
            used = _squeeze(known) if heavy else known
            center.append(float(np.median(used)) if len(known) else 0.0)
            spread = float(used.std()) if len(known) else 0.0
            scale.append(spread if spread > 1e-12 else 1.0)
            squeezed.append(heavy)
            flagged.append(bool(len(known) < len(values)))
        plain = TableEncoder(
            x.names,
            np.array(center),
            np.array(scale),
            np.array(flagged, bool),
            np.array(squeezed, bool),
            tuple(categories),
        )
        if pca is None:
            return plain
        dense = plain.transform(x)
        offset = dense.mean(axis=0)
        _, _, directions = np.linalg.svd(dense - offset, full_matrices=False)
        return replace(plain, components=directions[:pca].T.copy(), offset=offset)

    def transform(self, x: Table) -> np.ndarray:
        """Return vectors (n, d) of a table with the same columns."""
        if x.names != self.names:
            raise DataError(f"the encoder knows the columns {list(self.names)} but the table has {list(x.names)}")
        blocks, number = [], 0
        for values, names, known in zip(x.values, x.categories, self.categories, strict=True):
            if known is None:
                blocks.append(self._numeric(values, number))
                number += 1
            else:
                blocks.append(_one_hot(values, names or (), known))
        dense = np.concatenate(blocks, axis=1) if blocks else np.zeros((len(x), 0))
        if self.components is None or self.offset is None:
            return dense
        return (dense - self.offset) @ self.components

    def _numeric(self, values: np.ndarray, number: int) -> np.ndarray:
        missing = np.isnan(values)
        filled = np.where(missing, self.center[number], _squeeze(values) if self.squeezed[number] else values)
        column = np.clip((filled - self.center[number]) / self.scale[number], -10, 10)[:, None]
        return np.concatenate([column, missing[:, None]], axis=1) if self.flagged[number] else column

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays and settings for `restore`."""
        arrays = {"center": self.center, "scale": self.scale}
        arrays |= {"flagged": self.flagged.astype(np.uint8), "squeezed": self.squeezed.astype(np.uint8)}
        if self.components is not None and self.offset is not None:
            arrays |= {"components": self.components, "offset": self.offset}
        categories = [None if c is None else list(c) for c in self.categories]
        return arrays, {"kind": "table", "names": list(self.names), "categories": categories}


def _skewness(values: np.ndarray) -> float:
    """Absolute third standardized moment, 0 for a constant."""
    spread = values.std() if len(values) else 0.0
    return 0.0 if spread < 1e-12 else abs(float(np.mean(((values - values.mean()) / spread) ** 3)))


def _squeeze(values: np.ndarray) -> np.ndarray:
    """Signed logarithm of 1 + |value|."""
    return np.sign(values) * np.log1p(np.abs(values))


def _one_hot(codes: np.ndarray, names: tuple[str, ...], known: tuple[str, ...]) -> np.ndarray:
    """One column a known category, one for all others, none set where the value is missing."""
    place = {name: k for k, name in enumerate(known)}
    column = np.array([place.get(name, len(known)) for name in names] + [len(known) + 1])
    wide = np.eye(len(known) + 2)[:, : len(known) + 1]
    return wide[column[codes]]


@dataclass(frozen=True)
class TextEncoder:
    """TF-IDF of words and word pairs, reduced by a truncated SVD (latent semantic analysis).

    Parameters
    ----------
    vocabulary : tuple of str
        Terms, sorted.
    idf : ndarray (v,)
        Inverse document frequencies.
    components : ndarray (v, d)
        SVD directions in which the fitted rows vary, scaled: the spread of a column is the root of its share of the
        largest one.
    center : ndarray (d,)
        Subtracted after the projection.
    """

    vocabulary: tuple[str, ...]
    idf: np.ndarray
    components: np.ndarray
    center: np.ndarray

    @staticmethod
    def fit(x: np.ndarray, dim: int = 200, seed: int = 0) -> TextEncoder:
        """Learn vocabulary and directions from all texts `x` (n,); fewer than `dim` directions from few texts.

        A direction that few of the fitted texts point in means nothing to others. Rows that judge models were fitted,
        too, so with too many directions they lie where no other row does, and look harder than new texts are.
        """
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.utils.extmath import randomized_svd

        vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, max_features=30_000, sublinear_tf=True)
        try:
            terms = vectorizer.fit_transform(x)
        except ValueError as error:
            raise DataError(
                f"no word occurs in two of the {len(x)} texts ({error}); give texts with words in them, or vectors by "
                "--embeddings"
            ) from error
        dim = min(dim, max(len(set(x.tolist())) // TEXTS_A_DIRECTION, FEWEST_DIRECTIONS))
        k = max(1, min(dim, min(terms.shape) - 1))
        _, _, directions = randomized_svd(terms, n_components=k, random_state=seed)
        components = np.ascontiguousarray(directions.T)
        raw = terms @ components
        spread = raw.std(axis=0)
        # A direction in which no fitted text varies is rounding noise; scaled up, it would throw other texts far away.
        live = spread > 1e-6 * max(float(spread.max()), 1e-6)
        if not live.any():
            raise DataError(f"all {len(x)} texts have the same words; nothing can be learned from them")
        components, raw, spread = components[:, live], raw[:, live], spread[live]
        # A power between whitening (0) and plain SVD (1): the leading topics keep some of their size.
        factor = 1.0 / np.sqrt(spread * spread.max())
        vocabulary = tuple(sorted(vectorizer.vocabulary_, key=vectorizer.vocabulary_.__getitem__))
        return TextEncoder(vocabulary, vectorizer.idf_, components * factor, raw.mean(axis=0) * factor)

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return vectors (n, d) of texts, in single precision."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(
            ngram_range=(1, 2), sublinear_tf=True, vocabulary={term: k for k, term in enumerate(self.vocabulary)}
        )
        vectorizer.idf_ = self.idf
        return (vectorizer.transform(x) @ self.components - self.center).astype(np.float32)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays and settings for `restore`."""
        arrays = {"idf": self.idf, "components": self.components, "center": self.center}
        return arrays, {"kind": "text", "vocabulary": list(self.vocabulary)}


@dataclass(frozen=True)
class ArrayEncoder:
    """Numbers as they are, with columns centered and divided by one common scale.

    One scale for all columns keeps the geometry of embeddings and of histograms; columns on very different scales
    (largest spread more than 30 times the median one) are standardized one by one.

    Parameters
    ----------
    center, scale : ndarray (d,)
    """

    center: np.ndarray
    scale: np.ndarray

    @staticmethod
    def fit(x: np.ndarray) -> ArrayEncoder:
        """Learn the scale from all rows of `x` (n, d)."""
        spread = x.std(axis=0, dtype=np.float64)
        live = spread[spread > 1e-12]
        if not len(live):
            raise DataError(f"all {x.shape[1]} columns of the array are constant; nothing can be learned from them")
        common = np.full_like(spread, np.sqrt(np.mean(live**2)))
        own = np.where(spread > 1e-12, spread, 1.0)
        return ArrayEncoder(x.mean(axis=0, dtype=np.float64), own if live.max() > 30 * np.median(live) else common)

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return vectors (n, d), float32 where the input is."""
        if x.ndim != 2 or x.shape[1] != len(self.center):
            raise DataError(f"the encoder knows {len(self.center)} columns but the array has shape {x.shape}")
        return (x - self.center.astype(x.dtype)) / self.scale.astype(x.dtype)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays and settings for `restore`."""
        return {"center": self.center, "scale": self.scale}, {"kind": "array"}


def fit_encoder(x: Any, *, pca: int | None = None, seed: int = 0, name: str | None = None) -> Encoder:
    """Choose the encoder by the kind of `x`: a table, an object array of texts, images, or a float array (n, d).

    Parameters
    ----------
    x : Table, ndarray or Images
        Rows to learn scales from.
    pca : int, optional
        Directions kept of a table.
    seed : int
        Of the directions of texts.
    name : str, optional
        A pretrained network instead, see `PretrainedEncoder`.
    """
    if name is not None:
        from synthsift.represent.pretrained import PretrainedEncoder

        return PretrainedEncoder.fit(name, x)
    if isinstance(x, Images):
        return GradientEncoder.fit(x)
    if isinstance(x, Table):
        return TableEncoder.fit(x, pca)
    if isinstance(x, np.ndarray) and x.dtype == object:
        return TextEncoder.fit(x, seed=seed)
    if isinstance(x, np.ndarray) and x.dtype.kind == "f":
        return ArrayEncoder.fit(x)
    raise DataError(f"no encoder for inputs of type {type(x).__name__}; give a table, texts, images or a float array")


def restore(arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> Encoder:
    """Rebuild an encoder from `Encoder.state`.

    Raises
    ------
    DataError
        If the kind is unknown.
    """
    if settings["kind"] == "table":
        categories = tuple(None if c is None else tuple(c) for c in settings["categories"])
        flags = (arrays["flagged"].astype(bool), arrays["squeezed"].astype(bool))
        pca = (arrays.get("components"), arrays.get("offset"))
        return TableEncoder(tuple(settings["names"]), arrays["center"], arrays["scale"], *flags, categories, *pca)
    if settings["kind"] == "text":
        vocabulary = tuple(settings["vocabulary"])
        return TextEncoder(vocabulary, arrays["idf"], arrays["components"], arrays["center"])
    if settings["kind"] == "array":
        return ArrayEncoder(arrays["center"], arrays["scale"])
    if settings["kind"] == "gradients":
        return GradientEncoder(settings["pixels"], arrays["center"], settings["scale"])
    if settings["kind"] == "tones":
        return ToneEncoder(settings["pixels"], arrays["center"], arrays["scale"])
    if settings["kind"] == "pretrained":
        from synthsift.represent.pretrained import PretrainedEncoder

        return PretrainedEncoder(settings["name"], arrays["center"], settings["scale"])
    raise DataError(f"the saved encoder is of kind {settings['kind']!r}, which this version does not know")
