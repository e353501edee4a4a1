"""How the result pages write a share or a mean: with its 95 % interval and its n."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats


def share(hits: pd.Series | np.ndarray) -> str:
    """A share with its 95 % Wilson interval and n."""
    hits = np.asarray(hits, dtype=float)
    n = len(hits)
    if n == 0:
        return "no such world"
    p, z = hits.mean(), 1.959964
    center = (p + z * z / 2 / n) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / 4 / n / n) / (1 + z * z / n)
    return f"{100 * p:.1f} % [{max(0, 100 * (center - half)):.1f}, {min(100, 100 * (center + half)):.1f}], n = {n}"


def mean(values: pd.Series | np.ndarray) -> str:
    """A mean with its 95 % interval over seeds and n."""
    values = np.asarray(values, dtype=float)
    n = len(values)
    if n < 2:
        return f"{values.mean():.1f} (n = {n})"
    half = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return f"{values.mean():.1f} [{values.mean() - half:.1f}, {values.mean() + half:.1f}], n = {n}"
