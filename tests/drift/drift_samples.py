"""Small real samples and generations for the tests of the monitor."""

from __future__ import annotations

import numpy as np

CENTERS = np.random.default_rng(99).standard_normal((5, 6)) * 2.5
SHARES = np.array([0.3, 0.3, 0.2, 0.1, 0.1])


def mixture(rng: np.random.Generator, n: int, lost: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, 6) of five modes and the mode of each; `lost` is the share of the last mode that is gone."""
    shares = SHARES.copy()
    shares[4] *= 1 - lost
    mode = rng.choice(5, n, p=shares / shares.sum())
    return (CENTERS[mode] + rng.standard_normal((n, 6))).astype(np.float32), np.array([f"c{k}" for k in mode])
