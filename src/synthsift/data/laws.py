"""Laws that toy worlds draw their real rows from, and recipes that plant a known kind of harm.

A law lives in whitened coordinates z, where a row of class y is ``center[y, cluster] + N(0, I)``; the user is shown
``x = z @ root``, rotated and with a decaying spectrum. A recipe draws rows of a law, spoils some, and says which.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Rows = tuple[np.ndarray, np.ndarray]  # inputs (n, d), codes (n,)
Planted = tuple[np.ndarray, np.ndarray, np.ndarray]  # whitened inputs (n, d), codes (n,), planted as harmful (n,)


@dataclass(frozen=True)
class Shape:
    """Settings that all worlds share: numbers of rows, width, classes and difficulty.

    Parameters
    ----------
    num_real, num_valid, num_synth : int
        Rows in each part.
    dim, num_classes : int
        Width d and number of classes c.
    separation : float
        Distance of a class mean from the origin in units of the within-class standard deviation.
    clusters : int
        Clusters a class; with two or more a linear model is not perfect.
    decay : float
        Eigenvalue j of the covariance is ``j ** -decay``.
    label_noise : float
        Share of *real* labels (test rows included) replaced by another class.
    imbalance : float
        Size of the largest class over the smallest; synthetic rows share the real class sizes.
    """

    num_real: int = 300
    num_valid: int = 100
    num_synth: int = 600
    dim: int = 16
    num_classes: int = 3
    separation: float = 1.6
    clusters: int = 1
    decay: float = 0.5
    label_noise: float = 0.0
    imbalance: float = 1.0


@dataclass(frozen=True)
class Law:
    """The distribution of the real rows: centers (c, k, d) and root (d, d), class prior (c,), share of wrong labels."""

    centers: np.ndarray
    root: np.ndarray
    prior: np.ndarray
    label_noise: float

    def draw_white(self, num: int, rng: np.random.Generator) -> Rows:
        """Draw `num` rows in whitened coordinates, with right labels."""
        num_classes, clusters, dim = self.centers.shape
        y = rng.choice(num_classes, num, p=self.prior)
        return self.centers[y, rng.integers(clusters, size=num)] + rng.standard_normal((num, dim)), y

    def draw(self, num: int, rng: np.random.Generator) -> Rows:
        """Draw `num` rows as the user sees them: mapped inputs, labels with the real rows' noise."""
        z, y = self.draw_white(num, rng)
        return z @ self.root, change_labels(y, rng.random(num) < self.label_noise, len(self.prior), rng)


def draw_law(shape: Shape, rng: np.random.Generator) -> Law:
    """Draw a law of the given shape: random class directions, random rotation, decaying spectrum."""
    directions = rng.standard_normal((shape.num_classes, shape.clusters, shape.dim))
    directions[:, 1:] += directions[:, :1]  # clusters of a class lie on the same side of the origin
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    rotation = np.linalg.qr(rng.standard_normal((shape.dim, shape.dim)))[0]
    scales = np.arange(1, shape.dim + 1) ** (-shape.decay / 2)
    prior = np.geomspace(shape.imbalance, 1.0, shape.num_classes)
    return Law(shape.separation * directions, scales[:, None] * rotation, prior / prior.sum(), shape.label_noise)


def change_labels(y: np.ndarray, chosen: np.ndarray, num_classes: int, rng: np.random.Generator) -> np.ndarray:
    """Give the rows where `chosen` (n,) is True another label, uniformly among the other classes."""
    steps = rng.integers(1, num_classes, size=len(y)) if num_classes > 1 else np.zeros(len(y), dtype=np.int64)
    return np.where(chosen, (y + steps) % num_classes, y)


def plant_labels(law: Law, num: int, rng: np.random.Generator, *, wrong: float, cyclic: bool = False) -> Planted:
    """Draw rows of the law and change a share `wrong` of labels, uniformly or (`cyclic`) from y to y + 1."""
    z, y = law.draw_white(num, rng)
    bad = rng.random(num) < wrong
    c = len(law.prior)
    return z, np.where(bad, (y + 1) % c, y) if cyclic else change_labels(y, bad, c, rng), bad


def plant_rule(law: Law, num: int, rng: np.random.Generator, *, share: float) -> Planted:
    """Draw rows whose labels follow another rule in a half space that holds a share `share` of them.

    The other rule is the label y + 1, so inside the region the error depends on x alone and does not average out.
    """
    z, y = law.draw_white(num, rng)
    side = z @ rng.standard_normal(z.shape[1])
    bad = side > np.quantile(side, 1 - share)
    return z, np.where(bad, (y + 1) % len(law.prior), y), bad


def plant_shift(law: Law, num: int, rng: np.random.Generator, *, share: float, shift: float, spread: float) -> Planted:
    """Move a share of rows by one common vector of length `shift` and blow up their noise `spread` times."""
    z, y = law.draw_white(num, rng)
    bad = rng.random(num) < share
    center = law.centers.mean(axis=1)[y]
    toward = law.centers[0].mean(axis=0) - law.centers[-1].mean(axis=0)
    moved = center + spread * (z - center) + shift * toward / np.linalg.norm(toward)
    return np.where(bad[:, None], moved, z), y, bad


def plant_noise(law: Law, num: int, rng: np.random.Generator) -> Planted:
    """Draw inputs that know nothing of the class, as widely spread as the real ones, with uniform labels."""
    z = law.draw_white(num, rng)[0]
    shuffled = np.column_stack([rng.permutation(column) for column in z.T])
    return shuffled, rng.integers(len(law.prior), size=num), np.ones(num, dtype=bool)
