"""How wide a generation is beside real data in its widest direction: from twice the variance on, chi2 is infinite.

For Gaussians chi2(N(., S1) || N(., S0)) is finite exactly when S1 stays below 2 S0 in every direction. The widest
direction of noisy samples looks too wide, so it is found on one half of the rows and measured on the other. It is
looked for in several places: among all directions where the rows allow that, among the leading ones of real data, among
the columns, and in what lies outside of the leading directions as a whole. Where real data do not vary at all and the
generation does, the ratio is infinite.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigh
from scipy.special import ndtri

from synthsift.drift.traces import Measured

NEAR = 1.6  # of the variance of real data; chi2 is infinite from 2 on
ROWS_A_DIRECTION = 4  # below that the narrowest real direction is mostly noise
MOST_DIRECTIONS = 1024  # more would take longer than everything else together
STILL = 1e-8  # of the mean variance of a column: rounding
RARE = 10  # a column in which fewer real rows differ from the others may be still in the other half by chance
HANDFUL = 5  # most extreme rows of a sample, which must not decide alone: with heavy tails they make the variance
CHANCE = 1e-4  # that real rows only by chance lack what the generation has

Halves = tuple[np.ndarray, np.ndarray]


def spread_ratios(
    real: np.ndarray, synth: np.ndarray, directions: np.ndarray, rng: np.random.Generator, level: float = 0.95
) -> tuple[Measured, Measured]:
    """Variance of the generation over that of real data, in its widest and in its narrowest direction.

    Parameters
    ----------
    real, synth : ndarray (n, d), (m, d)
        Encoded rows.
    directions : ndarray (d, c)
        Leading directions of real data, orthogonal, of any length.
    rng : Generator
        Halves.
    level : float
        Coverage of the intervals (normal, for the logarithm), for all places that are looked at together.

    Returns
    -------
    widest, narrowest : Measured
        Null 1. Each is the ratio in one direction found on other rows: the true extreme is at least as extreme. Of
        several places the one whose interval is the most extreme counts. An interval holds also without the few most
        extreme rows. Infinite where a column, or what lies outside
        of `directions`, is constant in real rows and varies in so many generated ones that chance is ruled out.
    """
    x, y = _halves(real, rng), _halves(synth, rng)
    live = np.flatnonzero((x[0] != np.median(x[0], axis=0)).sum(axis=0) >= RARE)
    found = _found_on_other_rows(x, y, live, directions)
    outside = _outside(real, directions, real), _outside(synth, directions, synth)
    floor = STILL * float(real.var(axis=0).mean())
    if (outside[0] > floor).any():
        found.append((outside, outside, True))
    z = float(ndtri(1 - (1 - level) / 2 / max(1, len(found))))
    measured = [(_ratio(*ends[0], z, whole), _ratio(*ends[1], z, whole)) for *ends, whole in found]
    # What lies outside of the leading directions is no direction: it counts only where it is wide or narrow as a whole.
    wide = [w for (w, _), (*_, whole) in zip(measured, found, strict=True) if w and (not whole or w.low > 1)]
    narrow = [n for (_, n), (*_, whole) in zip(measured, found, strict=True) if n and (not whole or n.high < 1)]
    widest = max(wide, key=lambda m: m.low, default=Measured(np.nan, 1.0))
    narrowest = min(narrow, key=lambda m: m.high, default=Measured(np.nan, 1.0))
    if _leaves_what_real_rows_never_leave(real, synth, directions, floor):
        widest = Measured(np.inf, 1.0, np.inf, np.inf, np.inf, (len(real), len(synth)))
    return widest, narrowest


def _halves(rows: np.ndarray, rng: np.random.Generator) -> Halves:
    """Two halves of shuffled rows: to find directions, and to measure in them."""
    order = rng.permutation(len(rows))
    return rows[order[::2]], rows[order[1::2]]


def _found_on_other_rows(
    x: Halves, y: Halves, live: np.ndarray, directions: np.ndarray
) -> list[tuple[Halves, Halves, bool]]:
    """Values (real, generated) along the widest and the narrowest direction of each place, and that they are plain."""
    found: list[tuple[Halves, Halves, bool]] = []

    def add(see: Callable[[np.ndarray], np.ndarray]) -> None:
        ends = _extremes(see(x[0]), see(y[0]))
        wide, narrow = ((see(x[1]) @ ends[:, k], see(y[1]) @ ends[:, k]) for k in (-1, 0))
        found.append((wide, narrow, False))

    every = 2 * min(len(x[1]), len(y[1])) >= ROWS_A_DIRECTION * len(live) and 0 < len(live) <= MOST_DIRECTIONS
    if every:
        scale = x[0][:, live].std(axis=0)
        add(lambda rows: rows[:, live] / scale)
    if not every or directions.shape[1] < len(live):
        add(lambda rows: rows @ directions)
    if len(live) > 1:
        ratio = y[0][:, live].var(axis=0) / x[0][:, live].var(axis=0)
        ends = live[[int(ratio.argmax()), int(ratio.argmin())]].tolist()
        wide, narrow = ((x[1][:, k], y[1][:, k]) for k in ends)
        found.append((wide, narrow, False))
    return found


def _extremes(real: np.ndarray, synth: np.ndarray) -> np.ndarray:
    """Directions (c, c) by rising ratio of variances."""
    base = np.atleast_2d(np.cov(real, rowvar=False))
    base = base + 1e-6 * np.trace(base) / len(base) * np.eye(len(base))
    return np.asarray(eigh(np.atleast_2d(np.cov(synth, rowvar=False)), base)[1])


def _outside(rows: np.ndarray, directions: np.ndarray, around: np.ndarray) -> np.ndarray:
    """Squared distance (n,) of each row from the mean row of `around`, in what `directions` leave out."""
    basis = directions / np.linalg.norm(directions, axis=0)
    centered = rows - around.mean(axis=0)
    rest = centered - (centered @ basis) @ basis.T
    return np.asarray((rest**2).sum(axis=1))


def _ratio(x: np.ndarray, y: np.ndarray, z: float, is_square: bool) -> Measured | None:
    """Ratio of the variances of two samples, or of the means of two samples of squares; None without real variance."""
    squares = [v if is_square else (v - v.mean()) ** 2 * (len(v) / (len(v) - 1)) for v in (x, y)]
    below, above = (float(s.mean()) for s in squares)
    if below <= STILL * above:
        return None  # `_leaves_what_real_rows_never_leave` judges
    if above <= 0:
        return Measured(0.0, 1.0, 0.0, 0.0, 0.0, (len(x), len(y)))
    low, high = _interval(squares, z)
    few = [np.sort(v)[: -min(HANDFUL, len(v) // 10) or None] for v in squares]
    if min(float(v.mean()) for v in few) > 0:
        without = _interval(few, z)
        low, high = min(low, without[0]), max(high, without[1])
    return Measured(above / below, 1.0, low, high, above / below, (len(x), len(y)))


def _interval(squares: list[np.ndarray], z: float) -> tuple[float, float]:
    """Interval of the ratio of two means of squares; the logarithm of a variance has the error (kurtosis - 1)/n."""
    error = np.sqrt(sum(float(v.var()) / float(v.mean()) ** 2 / len(v) for v in squares))
    ratio = float(squares[1].mean()) / float(squares[0].mean())
    return float(ratio * np.exp(-z * error)), float(ratio * np.exp(z * error))


def _leaves_what_real_rows_never_leave(
    real: np.ndarray, synth: np.ndarray, directions: np.ndarray, floor: float
) -> bool:
    """Whether generated rows differ in a column, or outside of the leading directions, where no two real rows do.

    If both came from one law, all k rows that stick out would lie among the generated ones with probability
    (m/(n+m))^k at most.
    """
    still = np.flatnonzero(np.ptp(real, axis=0) == 0)
    most = int(((synth[:, still] - real[0, still]) ** 2 > floor).sum(axis=0).max(initial=0))
    if not (_outside(real, directions, real) > floor).any():
        most = max(most, int((_outside(synth, directions, real) > floor).sum()))
    return bool((len(still) + 1) * (len(synth) / (len(real) + len(synth))) ** most < CHANCE)
