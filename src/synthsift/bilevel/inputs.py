"""What the meta-network is told about a row: its scaled features, its class, its source, and roughly where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synthsift.numerics.leading import leading_eigen
from synthsift.records import REAL, Features, Mixture

MAX_SOURCES = 20  # that get a code of their own; rows of smaller ones count as of an unknown source
UNKNOWN, OF_REAL = 0, 1  # codes; the named sources follow
PLACE_INPUTS = 8  # leading directions of the encoded rows
CLIP = 5.0  # standard deviations
NARROW = 512  # columns above which a decomposition of all their products would take seconds, and then minutes


def source_names(mixture: Mixture) -> tuple[str, ...]:
    """Return the synthetic sources that get a code of their own: the largest ones, sorted by name."""
    names, sizes = np.unique(mixture.synth.source.astype(str), return_counts=True)
    kept = np.argsort(-sizes, kind="stable")[:MAX_SOURCES]
    return tuple(sorted(str(name) for name in names[kept]))


def source_codes(source: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Return the code (n,) of each row's source: `UNKNOWN`, `OF_REAL`, or 2 + its place in `names`."""
    code = {REAL: OF_REAL, **{name: 2 + k for k, name in enumerate(names)}}
    distinct, place = np.unique(source.astype(str), return_inverse=True)
    return np.array([code.get(str(name), UNKNOWN) for name in distinct], dtype=np.int64)[place]


@dataclass(frozen=True)
class NetworkInputs:
    """Scales and codes that turn a row into the network's inputs.

    Parameters
    ----------
    center, scale : ndarray (k + p,)
        Mean and standard deviation of features and place inputs over the rows of the mixture.
    directions : ndarray (d, p)
        Leading directions of the encoded rows; with p = 0 the network is not told where a row lies.
    num_classes : int
    sources : tuple of str
        Sources with a code of their own.
    """

    center: np.ndarray
    scale: np.ndarray
    directions: np.ndarray
    num_classes: int
    sources: tuple[str, ...]

    @staticmethod
    def fit(mixture: Mixture, features: Features, place_inputs: int) -> NetworkInputs:
        """Learn the constants from all rows of the mixture."""
        directions = leading_directions(features.embedding, place_inputs)
        values = np.concatenate([features.values, features.embedding @ directions], axis=1)
        center, scale = values.mean(axis=0), values.std(axis=0)
        scale = np.where(scale > 1e-9, scale, 1.0)
        return NetworkInputs(center, scale, directions, mixture.num_classes, source_names(mixture))

    @property
    def num_sources(self) -> int:
        """Codes of sources, those of unknown and of real ones included."""
        return 2 + len(self.sources)

    def __call__(self, values: np.ndarray, x: np.ndarray, y: np.ndarray, source: np.ndarray) -> np.ndarray:
        """Return the inputs (n, k + p + c + sources) in single precision; class and source are one-hot.

        Parameters
        ----------
        values, x : ndarray (n, k), (n, d)
            Features and encoded rows.
        y, source : ndarray (n,)
            Label codes and names of sources.
        """
        numbers = np.concatenate([values, x @ self.directions], axis=1)
        scaled = np.clip((numbers - self.center) / self.scale, -CLIP, CLIP)
        out = np.zeros((len(y), scaled.shape[1] + self.num_classes + self.num_sources), dtype=np.float32)
        out[:, : scaled.shape[1]] = scaled
        rows = np.arange(len(y))
        out[rows, scaled.shape[1] + y] = 1
        out[rows, scaled.shape[1] + self.num_classes + source_codes(source, self.sources)] = 1
        return out

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the constants as arrays; the names of the sources are not among them."""
        return {"center": self.center, "scale": self.scale, "directions": self.directions}

    @staticmethod
    def restore(arrays: Mapping[str, np.ndarray], num_classes: int, sources: tuple[str, ...]) -> NetworkInputs:
        """Rebuild from `arrays` and what goes with them."""
        return NetworkInputs(arrays["center"], arrays["scale"], arrays["directions"], num_classes, sources)


def leading_directions(x: np.ndarray, count: int) -> np.ndarray:
    """Return the directions (d, p) of the largest variance of rows (n, d); the columns themselves if there are few."""
    d = x.shape[1]
    if count >= d:
        return np.eye(d)
    if count == 0:
        return np.zeros((d, 0))
    centered = x - x.mean(axis=0)
    if d > NARROW:
        return leading_eigen(centered, count)[1]
    _, vectors = np.linalg.eigh((centered.T @ centered).astype(np.float64))
    return vectors[:, ::-1][:, :count].copy()
