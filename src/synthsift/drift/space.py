"""The fixed feature space in which a stream of generations is watched.

It is learned once, from real rows that take no further part, and never again: real and generated rows are then
treated alike, so that relabelling them is an exact test and the drift obeys delta_{i+1} = (1-alpha) delta_i + b_i.
Random Fourier features at three bandwidths make the mean-feature distance an MMD^2 with a sum of Gaussian kernels (it
lies between 0 and 2 whatever the data); principal directions carry the fitted functions; k-means centers name modes.

References
----------
Rahimi, Recht 2007 (random Fourier features); Gretton et al. 2012 (MMD, median heuristic).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthsift.drift.measures import FourierFeatures, median_bandwidth
from synthsift.drift.modes import assign_modes, find_modes
from synthsift.seeds import Seeds

BANDWIDTHS = (0.5, 1.0, 2.0)  # times the median distance: fine, middle and coarse differences
FEATURES = 128  # of each bandwidth
COMPACT = 32
MOST_MODES = 12
MODE_ROWS = 5000  # rows that the modes are found among
ROWS_A_MODE = 15  # a center that fewer rows stand behind is noise


@dataclass(frozen=True)
class FeatureSpace:
    """A map from encoded rows (n, d) to features.

    Parameters
    ----------
    fourier : FourierFeatures
        k random cosines, `FEATURES` for each bandwidth.
    center : ndarray (d,)
        Mean of the rows it was learned from.
    directions : ndarray (d, c)
        Leading principal directions, scaled to unit variance.
    modes : ndarray (q, c)
        Centers among the rows it was learned from, largest first.
    mode_share : ndarray (q,)
        Their shares of those rows.
    """

    fourier: FourierFeatures
    center: np.ndarray
    directions: np.ndarray
    modes: np.ndarray
    mode_share: np.ndarray

    def compact(self, rows: np.ndarray) -> np.ndarray:
        """Whitened principal coordinates (n, c)."""
        return (_single(rows) - self.center) @ self.directions

    def blocks(self, rows: np.ndarray) -> list[np.ndarray]:
        """Features in groups that are tested one beside the other: one a bandwidth, and the modes (n, ...)."""
        cosines = self.fourier(_single(rows))
        place = assign_modes(self.compact(rows), self.modes)
        hits = np.zeros((len(rows), len(self.modes)), np.float32)
        hits[np.arange(len(rows)), place] = 1.0
        # Dividing by the root of the share turns the squared gap into Pearson's chi-squared.
        hits /= np.sqrt(np.maximum(self.mode_share, 1e-3)).astype(np.float32)
        return [*np.split(cosines, len(BANDWIDTHS), axis=1), hits]


def _single(rows: np.ndarray) -> np.ndarray:
    """Rows as they come back from single precision, in which the reference is kept.

    Otherwise a row that lies as far from two modes would fall to one when it is real and to the other when generated.
    """
    return rows.astype(np.float32).astype(np.float64)


def learn_space(rows: np.ndarray, seeds: Seeds) -> FeatureSpace:
    """Learn the space from encoded real rows (n, d) that are used for nothing else.

    Parameters
    ----------
    rows : ndarray (n, d)
        Encoded rows, finite.
    seeds : Seeds
        Randomness of features and seeding.

    Returns
    -------
    FeatureSpace
        The map.
    """
    values = rows.astype(np.float64)
    width = median_bandwidth(values, seeds.numpy("bandwidth"))
    scales = np.repeat(np.array(BANDWIDTHS) * width, FEATURES)
    frequencies = seeds.numpy("frequencies").standard_normal((values.shape[1], len(scales))) / scales
    phases = 2 * np.pi * seeds.numpy("phases").random(len(scales))
    center = values.mean(axis=0)
    spread, basis = np.linalg.eigh((values - center).T @ (values - center) / len(values))
    order = np.argsort(-spread)[: min(COMPACT, max(1, len(values) // 4))]
    live = order[spread[order] > 1e-10 * max(float(spread.max()), 1e-300)]
    # In the order in which a state gives them back: products then agree to the last digit.
    directions = np.ascontiguousarray(basis[:, live] / np.sqrt(spread[live]))
    compact = (values - center) @ directions
    count = int(np.clip(len(values) // ROWS_A_MODE, 2, MOST_MODES))
    modes = find_modes(compact[:MODE_ROWS], count, seeds.numpy("modes"))
    share = np.bincount(assign_modes(compact, modes), minlength=len(modes)) / len(values)
    return FeatureSpace(FourierFeatures(frequencies, phases), center, directions, modes, share)
