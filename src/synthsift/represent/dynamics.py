"""How hard a row is to learn, and what it looks like to a model that did not train on it.

K probes are cross-fitted over all rows, real and synthetic, without any selection. A row of the mixture is described by
the probe of its own fold, which saw neither the row nor its family; a new row by the mean over the probes. Inputs 1-4
(penultimate space) and 15-17 (training dynamics) of Du, Zhao, Li 2026 (arXiv 2606.00571), made functions of the row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synthsift.numerics.neighbors import Pairs, chunks, related_pairs
from synthsift.records import Mixture
from synthsift.represent.probes import NUM_PROBES, Probes, family_split, softmax, train_probes
from synthsift.seeds import Seeds

MAX_REFERENCES = 500  # real rows that others are compared with in the penultimate space
TOP = 3
NAMES = ("probe_top1", "probe_top2", "probe_top3", "probe_center", "gradient_norm", "el2n", "forgetting")


@dataclass(frozen=True)
class Dynamics:
    """Trained probes and the real rows that serve as references.

    Parameters
    ----------
    probes : Probes
    references : ndarray (m, d)
        Encoded real rows.
    """

    probes: Probes
    references: np.ndarray

    @staticmethod
    def fit(x: np.ndarray, mixture: Mixture, seeds: Seeds) -> tuple[Dynamics, np.ndarray]:
        """Train the probes; return them with the columns (n, 7) of all rows of the mixture, each held out.

        Parameters
        ----------
        x : ndarray (n, d) of float32
            Encoded rows, in the order of ``mixture.ids``.
        mixture : Mixture
        seeds : Seeds
        """
        family, y = mixture.family, mixture.y
        fold = family_split(y, family, NUM_PROBES, seeds.numpy("folds"))
        probes = train_probes(x, y, mixture.num_classes, fold, seeds)
        real = np.flatnonzero(~mixture.is_synth)
        if len(real) > MAX_REFERENCES:
            real = np.sort(seeds.numpy("references").choice(real, MAX_REFERENCES, replace=False))
        dynamics = Dynamics(probes, x[real])
        values = np.empty((len(y), len(NAMES)))
        for k in range(probes.num_probes):
            rows = np.flatnonzero(fold == k)
            related = related_pairs(family[rows], rows, family[real], real)
            values[rows] = dynamics.by_probe(k, x[rows], y[rows], related)
        return dynamics, values

    def describe(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the columns (n, 7) of new rows: the mean over the probes."""
        return np.mean([self.by_probe(k, x, y) for k in range(self.probes.num_probes)], axis=0)

    def by_probe(
        self, k: int, x: np.ndarray, y: np.ndarray, related: Callable[[slice], Pairs] | None = None
    ) -> np.ndarray:
        """Return the columns (n, 7) as probe `k` sees them; `related` finds (row, reference) that do not count."""
        activations = self.probes.penultimate(x, k)
        return np.concatenate([self._likeness(k, activations, related), self._difficulty(k, x, y)], axis=1)

    def _likeness(self, k: int, activations: np.ndarray, related: Callable[[slice], Pairs] | None) -> np.ndarray:
        """Top-3 cosines (n, 4) to references, and the cosine to their mean, in the penultimate space of probe `k`."""
        bank = self.probes.penultimate(self.references, k)
        mine, theirs = _unit(activations), _unit(bank)
        out = np.zeros((len(mine), TOP + 1))
        total = bank.sum(axis=0)
        for rows in chunks(len(mine), len(theirs)):
            cosine = mine[rows] @ theirs.T
            mine_too, known = (np.zeros(0, dtype=np.int64),) * 2 if related is None else related(rows)
            cosine[mine_too, known] = -np.inf
            out[rows, :TOP] = largest(cosine)
            middle = np.broadcast_to(total, (len(cosine), bank.shape[1])).copy()
            np.subtract.at(middle, mine_too, bank[known])  # a mean without the row itself
            out[rows, TOP] = np.einsum("ij,ij->i", mine[rows], _unit(middle))
        return out

    def _difficulty(self, k: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Gradient norm and EL2N, means over the checkpoints, and how often the label was lost again, (n, 3).

        The squared norm of the gradient of one row is |r|^2 (1 + |h|^2) + |(W r) 1[h > 0]|^2 (1 + |x|^2) with residual
        r and activations h.
        """
        size = 1 + np.einsum("ij,ij->i", x, x)
        norm, error, lost = (np.zeros(len(x)) for _ in range(3))
        before = np.zeros(len(x), dtype=bool)
        rows = np.arange(len(y))
        for t in range(self.probes.num_checkpoints):
            activations = self.probes.penultimate(x, k, t)
            residual = softmax(self.probes.logits(activations, k, t))
            right = residual.argmax(axis=1) == y
            residual[rows, y] -= 1
            squared = np.einsum("ij,ij->i", residual, residual)
            back = (residual @ self.probes.slope[t, k].T) * (activations > 0)
            inside = np.einsum("ij,ij->i", back, back)
            norm += np.sqrt(squared * (1 + np.einsum("ij,ij->i", activations, activations)) + inside * size)
            error += np.sqrt(squared)
            lost += before & ~right
            before = right
        steps = self.probes.num_checkpoints
        return np.stack([norm / steps, error / steps, lost], axis=1)


def largest(similarity: np.ndarray, count: int = TOP) -> np.ndarray:
    """Return the `count` largest values (n, count) of each row, largest first.

    Where fewer are finite, the smallest of them is repeated; where none is, the values are 0.
    """
    width = similarity.shape[1]
    if width == 0:
        return np.zeros((len(similarity), count))
    top = -np.sort(np.partition(-similarity, min(count, width) - 1, axis=1)[:, :count], axis=1)
    if top.shape[1] < count:
        top = np.concatenate([top, np.full((len(top), count - top.shape[1]), -np.inf)], axis=1)
    for j in range(1, count):
        top[:, j] = np.where(np.isfinite(top[:, j]), top[:, j], top[:, j - 1])
    return np.where(np.isfinite(top), top, 0.0)


def _unit(x: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1; zeros stay."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
