"""All features of a row in one table, made anew inside every split, with state that describes new rows the same way.

Scaling constants, banks, probes and models come from the rows of the mixture at hand. A row of the mixture is described
as if it were new; should it come again later, it is known by the hash of its encoded content and label and gets the
same description. Any other row is described from the stored state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from synthsift.numerics.fingerprints import fingerprint_rows
from synthsift.records import DataError, Features, Mixture
from synthsift.represent import dynamics, position, provenance, trusted, value
from synthsift.represent.probes import Probes
from synthsift.seeds import Seeds

PARTS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "trusted": (trusted.Trusted, trusted.NAMES),
    "position": (position.Position, position.NAMES),
    "value": (value.NeighborValue, value.NAMES),
    "provenance": (provenance.Provenance, provenance.NAMES),
    "dynamics": (dynamics.Dynamics, dynamics.NAMES),
}
NAMES = tuple(name for _, names in PARTS.values() for name in names)


@dataclass(frozen=True)
class Known:
    """Rows that were described inside the mixture.

    Parameters
    ----------
    keys : ndarray (n,) of uint64
        Hash of encoded content and label, ascending.
    values : ndarray (n, k) of float32
        Their features.
    """

    keys: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Description:
    """The state that describes a row: one entry a part.

    Parameters
    ----------
    parts : dict
        Name of the part -> its fitted state.
    rows : tuple of ndarray
        Encoded rows (n, d), labels (n,), features (n, k) and synthetic flags (n,) of the mixture.
    """

    parts: dict[str, Any]
    rows: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] = field(repr=False)

    @cached_property
    def known(self) -> Known:
        """The rows of the mixture; of several with the same content and label, a synthetic one."""
        x, y, values, is_synth = self.rows
        order = np.argsort(~is_synth, kind="stable")
        keys, first = np.unique(row_keys(x[order], y[order]), return_index=True)
        return Known(keys, values[order[first]].astype(np.float32))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all state as arrays, named ``part.field`` or ``part.probes.field``."""
        parts = {name: part.state() if isinstance(part, value.Game) else part for name, part in self.parts.items()}
        parts["known"] = self.known
        return {f"{name}.{key}": array for name, part in parts.items() for key, array in _flat(part)}


@dataclass(frozen=True)
class RowDescriber:
    """Describes rows from stored state.

    Parameters
    ----------
    parts : dict
        Name of the part -> its fitted state.
    known : Known
    """

    parts: dict[str, Any]
    known: Known

    @staticmethod
    def restore(arrays: Mapping[str, np.ndarray]) -> RowDescriber:
        """Rebuild from `Description.arrays`.

        Raises
        ------
        KeyError
            If an array is missing.
        """
        parts = {name: _build(made, arrays, name) for name, (made, _) in PARTS.items()}
        return RowDescriber(parts, _build(Known, arrays, "known"))

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the features (n, k) of encoded rows `x` (n, d) with labels `y` (n,), in the order of `NAMES`."""
        keys = row_keys(x, y)
        place = np.minimum(np.searchsorted(self.known.keys, keys), len(self.known.keys) - 1)
        is_known = self.known.keys[place] == keys
        values = np.empty((len(y), len(NAMES)), dtype=np.float32)
        values[is_known] = self.known.values[place[is_known]]
        new = np.flatnonzero(~is_known)
        if len(new):
            single = x[new].astype(np.float32)
            values[new] = np.concatenate([part.describe(single, y[new]) for part in self.parts.values()], axis=1)
        return values.astype(np.float64)


def row_keys(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return a hash (n,) of encoded rows (n, d) and their labels."""
    return fingerprint_rows([*x.T, y])


def _flat(part: Any) -> list[tuple[str, np.ndarray]]:
    """Fields of a part, those of its probes under their own names."""
    found: list[tuple[str, np.ndarray]] = []
    for f in fields(part):
        entry = getattr(part, f.name)
        inner = _flat(entry) if isinstance(entry, Probes) else [("", entry)]
        found += [(f"{f.name}.{key}".rstrip("."), array) for key, array in inner]
    return found


def _build(made: Any, arrays: Mapping[str, np.ndarray], prefix: str) -> Any:
    """The reverse of `_flat`."""
    return made(
        **{
            f.name: _build(Probes, arrays, f"{prefix}.{f.name}") if f.name == "probes" else arrays[f"{prefix}.{f.name}"]
            for f in fields(made)
        }
    )


@dataclass(frozen=True)
class FeatureTable:
    """Describe every row of a mixture; calling it returns `Features`, with a `Description` under ``state``.

    ======================  ============================================================================================
    margin                  trusted model's probability of the row's label minus the best other one, in [-1, 1]
    trusted_loss            trusted model's log-loss of the row's label (lower is better)
    real_center             cosine to the center of the real rows of the class, the row's family left out
    synth_center            cosine to the center of the synthetic rows of the class, the same
    real_top1 ... 3         largest cosines to real rows of the class, family left out
    synth_top1 ... 3        largest cosines to synthetic rows of the class, family left out
    mixed_agreement         share of the 5 most similar rows of both kinds, by similarity, with the label, in [0, 1]
    median_percentile       how unusual the distance to the class center is for the class, in [0, 1]
    knn_agreement           share of the 10 nearest real rows, weighted by closeness, that have the label, in [0, 1]
    own_class_distance      distance to the nearest real row of the class / median of it among real rows
    class_gap               log of (distance to the nearest other class / distance to the nearest own class)
    center_distance         distance to the real center of the class / median of it among real rows
    knn_shapley             exact KNN-Shapley value for predicting the real rows, times the number of rows
    density_ratio           log-odds that a network takes the row for real rather than synthetic
    probe_top1 ... 3        largest cosines to real rows in the penultimate space of a probe that did not see the row
    probe_center            cosine to their mean there
    gradient_norm           norm of the probe's gradient for the row, mean over its training
    el2n                    norm of the probe's error for the row, mean over its training, in [0, sqrt 2]
    forgetting              how often the probe lost the row's label again
    ======================  ============================================================================================

    Parameters
    ----------
    embedding : ndarray (n, d)
        Encoded rows of the whole study.
    place : dict
        Id -> place in `embedding`.
    """

    embedding: np.ndarray
    place: dict[str, int]
    last: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, mixture: Mixture, seeds: Seeds) -> Features:
        """Return the features of all rows of `mixture`, in the order of its ids.

        The last description is kept: the final fits and the files of a run ask for the same one.

        Raises
        ------
        DataError
            If there is no real row.
        """
        if self.last.get("mixture") is mixture and self.last.get("seeds") == seeds:
            return self.last["features"]
        if mixture.is_synth.all():
            raise DataError("there is no real row to compare synthetic ones with; give some with --real")
        x = self.embedding[[self.place[i] for i in mixture.ids]]
        single = x.astype(np.float32)
        parts, blocks = {}, []
        for name, (made, _) in PARTS.items():
            parts[name], block = made.fit(single, mixture, seeds.child(name))
            blocks.append(block)
        # Single precision, so that a stored description is the same one to the last digit.
        values = np.concatenate(blocks, axis=1).astype(np.float32).astype(np.float64)
        description = Description(parts, (x, mixture.y, values, mixture.is_synth))
        features = Features(values, NAMES, mixture.ids, x, {"description": description})
        self.last.update(mixture=mixture, seeds=seeds, features=features)
        return features
