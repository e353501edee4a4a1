"""How much a row looks like a real one, by networks that did not train on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthsift.records import Mixture
from synthsift.represent.probes import NUM_PROBES, Probes, family_split, train_probes
from synthsift.seeds import Seeds

NAMES = ("density_ratio",)
FEW = 6  # real or synthetic rows below which nothing is learned
LIMIT = 13.8  # log-odds of one in a million


@dataclass(frozen=True)
class Provenance:
    """Cross-fitted probes that tell real rows from synthetic ones; without any where there are too few rows.

    Parameters
    ----------
    probes : Probes
        Class 0 is real, class 1 synthetic; both are drawn equally often.
    """

    probes: Probes

    @staticmethod
    def fit(x: np.ndarray, mixture: Mixture, seeds: Seeds) -> tuple[Provenance, np.ndarray]:
        """Train the probes; return them with the column (n, 1) of all rows of the mixture, each held out."""
        origin = mixture.is_synth.astype(np.int64)
        if min(origin.sum(), len(origin) - origin.sum()) < FEW:
            made = Provenance(Probes(*(np.zeros(s, np.float32) for s in _no_probes(x.shape[1]))))
            return made, np.zeros((len(x), 1))
        fold = family_split(origin, mixture.family, NUM_PROBES, seeds.numpy("folds"))
        probes = train_probes(x, origin, 2, fold, seeds, balanced=True, num_checkpoints=1)
        made, values = Provenance(probes), np.zeros((len(x), 1))
        for k in range(probes.num_probes):
            rows = np.flatnonzero(fold == k)
            values[rows, 0] = made._odds(x[rows], k)
        return made, values

    def describe(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the column (n, 1) of new rows: the mean over the probes."""
        return np.mean([self._odds(x, k) for k in range(self.probes.num_probes)], axis=0)[:, None]

    def _odds(self, x: np.ndarray, k: int) -> np.ndarray:
        """Log-odds (n,) of real against synthetic."""
        logits = self.probes.logits(self.probes.penultimate(x, k), k).astype(np.float64)
        return np.clip(logits[:, 0] - logits[:, 1], -LIMIT, LIMIT)


def _no_probes(d: int) -> tuple[tuple[int, ...], ...]:
    """Shapes of one probe that says nothing."""
    return ((1, 1, d, 1), (1, 1, 1), (1, 1, 1, 2), (1, 1, 2))
