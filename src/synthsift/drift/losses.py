"""What a generation has lost or gained against real data: modes, classes, categories, tails, spread.

Shares are compared by a two-proportion z-test, means and spreads by a large-sample one; p-values are multiplied by the
number of comparisons of the generation. This is for reading: the alarm comes from the test of the whole rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import log_ndtr

from synthsift.drift.columns import Column, ColumnSummary

SIGNIFICANT = 0.01
OVERWHELMING = 1e-6  # below that neither a tail of a z-test nor the number of generations is an excuse
STILL = 1e-9  # of its mean: a column that varies less is constant but for rounding
MOST_SHOWN = 12
CALLED = {
    "tail": "rows with {}",
    "missing": "missing cells of {}",
    "mean": "mean of {}",
    "spread": "spread of {}",
}


@dataclass(frozen=True)
class Change:
    """One share, mean or spread that differs.

    Parameters
    ----------
    kind : str
        "mode", "class", "category", "missing", "tail", "mean" or "spread".
    name : str
        Which one.
    real, synth : float
        Its value in the reference and in the generation.
    p_value : float
        Times the number of comparisons of the generation, at most 1.
    """

    kind: str
    name: str
    real: float
    synth: float
    p_value: float

    @property
    def is_loss(self) -> bool:
        """Whether there is less of it than there should be."""
        return self.kind != "mean" and self.synth < self.real


def name_change(change: Change, mode_names: Mapping[str, str]) -> str:
    """Return what has changed as a reader calls it; `mode_names` are those of the reference."""
    if change.kind == "mode":
        return mode_names.get(change.name, f"cluster {change.name}")
    return CALLED.get(change.kind, f"{change.kind} {{}}").format(change.name)


def overwhelming(changes: Sequence[Change]) -> list[Change]:
    """Return the changes that are certain beyond any number of comparisons, the most certain first."""
    return sorted((c for c in changes if c.p_value < OVERWHELMING), key=lambda c: c.p_value)


def _two_sided(z: float) -> float:
    """P(|N(0, 1)| > |z|), without rounding to 0 before 1e-300."""
    return min(1.0, 2 * math.exp(float(log_ndtr(-abs(z)))))


def share_change(kind: str, name: str, real: float, n: int, synth: float, m: int) -> Change:
    """Compare a share of n real rows with one of m generated rows, pooled under the null."""
    pooled = (real * n + synth * m) / (n + m)
    error = math.sqrt(max(pooled * (1 - pooled), 0.0) * (1 / n + 1 / m))
    return Change(kind, name, real, synth, _two_sided((synth - real) / error) if error > 0 else 1.0)


def count_changes(kind: str, real: Mapping[str, float], n: int, labels: np.ndarray) -> list[Change]:
    """Compare the shares of named groups with those among `labels` (m,); a name that real rows lack has share 0."""
    names, counts = np.unique(labels.astype(str), return_counts=True)
    synth = dict(zip(names.tolist(), (counts / len(labels)).tolist(), strict=True))
    return [
        share_change(kind, name, real.get(name, 0.0), n, synth.get(name, 0.0), len(labels))
        for name in dict.fromkeys([*real, *synth])
    ]


def column_changes(summary: ColumnSummary, column: Column) -> list[Change]:
    """Compare one column of a generation with what is remembered of the reference."""
    n, m = summary.num_rows, len(column.values)
    if summary.shares is not None:
        texts = column.values.astype(str)
        found = [
            share_change("category", f"{summary.name} = {name}", share, n, float((texts == name).mean()), m)
            for name, share in summary.shares.items()
        ]
        return [*found, share_change("missing", summary.name, summary.missing, n, float((texts == "").mean()), m)]
    known = column.values[np.isfinite(column.values)]
    found = [share_change("missing", summary.name, summary.missing, n, 1 - len(known) / m, m)]
    if len(known) < 2:
        return found
    for side, share, seen in (
        ("below", summary.below, known < summary.low),
        ("above", summary.above, known > summary.high),
    ):
        edge = summary.low if side == "below" else summary.high
        found.append(share_change("tail", f"{summary.name} {side} {edge:.4g}", share, n, float(seen.sum() / m), m))
    mean, spread = float(known.mean()), float(known.std())
    error = math.sqrt(summary.spread**2 / n + spread**2 / len(known))
    still = STILL * max(1.0, abs(summary.mean))
    if max(summary.spread, spread) > still:
        found.append(Change("mean", summary.name, summary.mean, mean, _two_sided((mean - summary.mean) / error)))
    if summary.spread <= still:
        # A constant column: rows of one law that differ would all be generated ones by chance only.
        differ = int((np.abs(known - summary.mean) > still).sum())
        found.append(Change("spread", summary.name, 0.0, spread, max((m / (n + m)) ** differ, 1e-300)))
    elif spread > 0:
        # Var log s = (kurtosis - 1)/(4n); the generation's kurtosis stands for both.
        kurtosis = float(np.mean(((known - mean) / spread) ** 4))
        error = math.sqrt(max(kurtosis - 1, 1e-3) / 4 * (1 / n + 1 / len(known)))
        z = math.log(spread / summary.spread) / error
        found.append(Change("spread", summary.name, summary.spread, spread, _two_sided(z)))
    return found


def rank_changes(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Significant changes after correcting for their number: losses first, the most certain first among each."""
    corrected = [replace(c, p_value=min(1.0, c.p_value * len(changes))) for c in changes]
    kept = [c for c in corrected if c.p_value < SIGNIFICANT]
    kept.sort(key=lambda c: (not c.is_loss, c.p_value))
    return tuple(kept[:MOST_SHOWN])
