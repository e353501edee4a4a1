"""One-dimensional Gaussian mixtures and what the noising process makes of them, in closed form.

Under dX = -X/2 dt + dB a component N(m, v) becomes N(e^{-t/2} m, e^{-t} v + 1 - e^{-t}), so densities and scores of the
noised data are exact at every time: the ground truth of the grid solver and of the sampled loops.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthsift.records import DataError


@dataclass(frozen=True)
class Mixture1D:
    """A Gaussian mixture on the line.

    Parameters
    ----------
    weights, means, variances : tuple of float (c,)
        Component weights (sum 1), means and variances (positive).
    """

    weights: tuple[float, ...]
    means: tuple[float, ...]
    variances: tuple[float, ...]

    def __post_init__(self) -> None:
        if not (len(self.weights) == len(self.means) == len(self.variances) > 0):
            raise DataError("a mixture needs as many weights and variances as means, and at least one of each")
        if min(self.weights) < 0 or abs(sum(self.weights) - 1) > 1e-9 or min(self.variances) <= 0:
            raise DataError("mixture weights must be non-negative with sum 1 and variances positive")

    def noised(self, t: float) -> Mixture1D:
        """Law of X_t when X_0 has this law."""
        shrink = np.exp(-t)
        means = tuple(float(np.sqrt(shrink) * m) for m in self.means)
        return Mixture1D(self.weights, means, tuple(float(shrink * v + 1 - shrink) for v in self.variances))

    def blended(self, other: Mixture1D, share: float) -> Mixture1D:
        """The mix (1-share) self + share other."""
        weights = tuple((1 - share) * w for w in self.weights) + tuple(share * w for w in other.weights)
        return Mixture1D(weights, self.means + other.means, self.variances + other.variances)

    def _parts(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weighted component densities and scores, each (..., c)."""
        w, m, v = (np.asarray(a) for a in (self.weights, self.means, self.variances))
        offset = m - np.asarray(x, dtype=np.float64)[..., None]
        return w * np.exp(-(offset**2) / (2 * v)) / np.sqrt(2 * np.pi * v), offset / v

    def density(self, x: np.ndarray) -> np.ndarray:
        """Density at x, same shape."""
        return self._parts(x)[0].sum(axis=-1)

    def score(self, x: np.ndarray) -> np.ndarray:
        """Gradient of the log density at x, same shape."""
        densities, scores = self._parts(x)
        return (densities * scores).sum(axis=-1) / densities.sum(axis=-1)

    def sample(self, num_rows: int, rng: np.random.Generator) -> np.ndarray:
        """Draw rows (num_rows,)."""
        which = rng.choice(len(self.weights), size=num_rows, p=np.asarray(self.weights) / sum(self.weights))
        return np.asarray(self.means)[which] + np.sqrt(self.variances)[which] * rng.standard_normal(num_rows)


BIMODAL = Mixture1D((0.5, 0.5), (-1.2, 1.2), (0.36, 0.36))
LOPSIDED = Mixture1D((0.3, 0.7), (-1.0, 1.4), (0.49, 0.3025))
