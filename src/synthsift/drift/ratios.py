"""Functions that tell two samples apart, fitted in closed form or by a few Newton steps: scores and density ratios.

`discriminate` evaluates them on held-out rows only, so a poor fit costs sharpness and never honesty.

References
----------
Kanamori, Hido, Sugiyama 2009 (fitting the ratio itself); Fisher 1936 (the discriminant).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.linalg import solve
from scipy.special import expit

BIN_COUNTS = (1, 6, 12, 24, 48)  # one bin is the constant 1, a bound of 0
NEWTON_STEPS = 8
SCORE_ROWS = 10_000  # rows of each sample that a discriminant is fitted to; the callers hand them over in random order
PSEUDO_ROWS = 2.0

Samples = tuple[np.ndarray, np.ndarray]
Ratio = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class RidgeScore:
    """A least-squares discriminant; higher means more synthetic.

    Parameters
    ----------
    center, scale : ndarray (k,)
        Standardize the inputs.
    slope : ndarray (k,) or (2k,)
        Weights of the inputs, and of their squares where there are 2k.
    """

    center: np.ndarray
    scale: np.ndarray
    slope: np.ndarray

    def inputs(self, rows: np.ndarray) -> np.ndarray:
        """Standardized rows, with clipped squares if the score uses them."""
        z = (rows - self.center) / self.scale
        return z if len(self.slope) == z.shape[1] else np.concatenate([z, np.minimum(z**2, 25.0)], axis=1)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Score of each row (n,)."""
        return self.inputs(rows) @ self.slope


def fit_score(real: np.ndarray, synth: np.ndarray, *, quadratic: bool, penalty: float = 1e-3) -> RidgeScore:
    """Fisher's discriminant with a ridge, both samples weighing the same; `SCORE_ROWS` rows suffice."""
    scale = real.std(axis=0)
    width = real.shape[1] * (2 if quadratic else 1)
    real, synth = real[:SCORE_ROWS], synth[:SCORE_ROWS]
    blank = RidgeScore(real.mean(axis=0), np.where(scale > 0, scale, 1.0), np.zeros(width))
    x, y = blank.inputs(real), blank.inputs(synth)
    within = (np.atleast_2d(np.cov(x, rowvar=False)) + np.atleast_2d(np.cov(y, rowvar=False))) / 2
    within[np.diag_indices_from(within)] += penalty * max(float(np.trace(within)) / width, 1e-12)
    slope = solve(within, y.mean(axis=0) - x.mean(axis=0), assume_a="pos")
    return RidgeScore(blank.center, blank.scale, slope)


@dataclass(frozen=True)
class RatioFit:
    """A step function of one variable, fitted to the density ratio synth/real.

    Parameters
    ----------
    edges : ndarray (b-1,)
        Inner edges of the bins.
    heights : ndarray (b,)
        Ratio in each bin, shrunk towards 1.
    """

    edges: np.ndarray
    heights: np.ndarray

    def __call__(self, s: np.ndarray) -> np.ndarray:
        """Fitted ratio (n,)."""
        return self.heights[np.searchsorted(self.edges, s)]


def _fit_steps(real: np.ndarray, synth: np.ndarray, num_bins: int) -> RatioFit:
    """Bins of equal mass of the pooled rows; pseudo-rows keep the ratio near 1 where there are few."""
    edges = np.unique(np.quantile(np.concatenate([real, synth]), np.arange(1, num_bins) / num_bins))
    shares = []
    for sample in (real, synth):
        counts = np.bincount(np.searchsorted(edges, sample), minlength=len(edges) + 1)
        shares.append(counts / len(sample))
    extra = PSEUDO_ROWS / min(len(real), len(synth))
    return RatioFit(edges, (shares[1] + extra) / (shares[0] + extra))


@dataclass(frozen=True)
class RatioCurve:
    """The ratio exp(a + b s + c s^2), which is exact for Gaussians, kept constant outside the fitted range.

    Parameters
    ----------
    coefficients : ndarray (3,)
        a, b, c for the standardized s.
    center, scale, low, high : float
        Standardization and range of s.
    """

    coefficients: np.ndarray
    center: float
    scale: float
    low: float
    high: float

    def __call__(self, s: np.ndarray) -> np.ndarray:
        """Fitted ratio (n,)."""
        z = (np.clip(s, self.low, self.high) - self.center) / self.scale
        return np.exp(np.clip(np.polynomial.polynomial.polyval(z, self.coefficients), -20, 20))


def _fit_curve(real: np.ndarray, synth: np.ndarray) -> RatioCurve:
    """Logistic regression of the label on s and s^2, both samples weighing the same; Newton's method."""
    pool = np.concatenate([real, synth])
    center, scale = float(pool.mean()), float(pool.std()) or 1.0
    z = (pool - center) / scale
    basis = np.stack([np.ones_like(z), z, z**2], axis=1)
    label = np.repeat([0.0, 1.0], [len(real), len(synth)])
    weight = np.repeat([0.5 / len(real), 0.5 / len(synth)], [len(real), len(synth)])
    beta, ridge = np.zeros(3), 1.0 / len(pool)
    for _ in range(NEWTON_STEPS):
        chance = expit(basis @ beta)
        slope = basis.T @ (weight * (label - chance)) - ridge * beta
        bend = (basis * (weight * chance * (1 - chance))[:, None]).T @ basis + ridge * np.eye(3)
        beta = beta + solve(bend, slope, assume_a="pos")
    low, high = np.quantile(real, [0.001, 0.999])
    return RatioCurve(beta, center, scale, float(low), float(high))


def fit_ratio(real: np.ndarray, synth: np.ndarray, rng: np.random.Generator) -> Ratio:
    """The candidate that reaches the highest bound on a third of the rows, refitted on all of them."""
    judges = [rng.permutation(len(s)) % 3 == 0 for s in (real, synth)]
    candidates: list[Callable[[np.ndarray, np.ndarray], Ratio]] = [
        _fit_curve,
        *(partial(_fit_steps, num_bins=count) for count in BIN_COUNTS),
    ]

    def bound(fit: Callable[[np.ndarray, np.ndarray], Ratio]) -> float:
        f = fit(real[~judges[0]], synth[~judges[1]])
        return float(2 * f(synth[judges[1]]).mean() - np.mean(f(real[judges[0]]) ** 2))

    return max(candidates, key=bound)(real, synth)


def project_scores(train: Samples, held: Samples, rng: np.random.Generator) -> tuple[Samples, Samples]:
    """Discriminant scores of training and held-out rows; training rows are scored by the fit to the other half."""
    halves = [rng.permutation(len(rows)) % 2 == 0 for rows in train]
    scores = [np.empty(len(rows)) for rows in train]
    for side in (True, False):
        fit = fit_score(train[0][halves[0] == side], train[1][halves[1] == side], quadratic=True)
        for score, rows, half in zip(scores, train, halves, strict=True):
            score[half != side] = fit(rows[half != side])
    final = fit_score(*train, quadratic=True)
    return (scores[0], scores[1]), (final(held[0]), final(held[1]))
