"""The records of the drift folder: what was measured on one generation, on a stream of them, and what follows.

All arrays are float64; every record checks its invariants once, when it is made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from synthsift.records import DataError

Verdict = Literal["random", "systematic", "unknown"]


@dataclass(frozen=True)
class Measured:
    """One measure of one generation against the real reference.

    Parameters
    ----------
    value : float
        The estimate, with the null bias removed where one is known (it can then be negative).
    null : float
        What `value` is expected to be when both samples come from one law.
    low, high : float
        Interval; infinite on a side that was not computed. ``low <= value <= high`` unless the value is NaN.
    raw : float
        The estimate before any correction.
    num_rows : tuple of int
        Real and synthetic rows it rests on.
    """

    value: float
    null: float
    low: float = -math.inf
    high: float = math.inf
    raw: float = math.nan
    num_rows: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if self.low > self.value or self.value > self.high:
            raise ValueError(f"an interval must contain its value: {self.low} <= {self.value} <= {self.high}")


@dataclass(frozen=True)
class Track:
    """One measure over all generations.

    Parameters
    ----------
    value, low, high, null : ndarray (g,)
        As in `Measured`, one entry per generation.
    higher_is_better : bool
        True for precision, recall, density and coverage.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    null: np.ndarray
    higher_is_better: bool = False

    def __post_init__(self) -> None:
        shapes = {np.shape(a) for a in (self.value, self.low, self.high, self.null)}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise DataError(f"a track needs four arrays of one length; the shapes are {sorted(shapes)}")


@dataclass(frozen=True)
class DriftTrace:
    """A stream of generations in one fixed feature space.

    Parameters
    ----------
    names : tuple of str (g,)
        The generations, oldest first.
    alpha : ndarray (g-1,)
        Fresh fraction of the mix between each generation and the next.
    delta : ndarray (g, k)
        Mean features of each generation minus those of the reference.
    noise : ndarray (g,)
        Sampling variance of each generation's mean, tr Cov(f)/n.
    reference_noise : float
        The same of the reference; shared by all rows of `delta`.
    noise_rank : float
        Effective number of independent directions of that noise, (tr C)^2 / tr C^2, at least 1.
    tracks : mapping of str to Track
        Further measures.
    p_value, alarm : ndarray (g,), optional
        Permutation p-value of each generation and whether it raised an alarm.
    accumulate : bool
        True if every training set holds the rows of all generations before it, in equal numbers, beside the real ones;
        False if those of the last generation only. `alpha` is the real share of the whole set either way.
    """

    names: tuple[str, ...]
    alpha: np.ndarray
    delta: np.ndarray
    noise: np.ndarray
    reference_noise: float
    noise_rank: float
    tracks: Mapping[str, Track] = field(default_factory=dict)
    p_value: np.ndarray | None = None
    alarm: np.ndarray | None = None
    accumulate: bool = False

    def __post_init__(self) -> None:
        g = len(self.names)
        if g < 1 or self.delta.ndim != 2 or len(self.delta) != g or self.noise.shape != (g,):
            raise DataError(f"{g} names, delta {self.delta.shape} and noise {self.noise.shape} do not fit together")
        if self.alpha.shape != (g - 1,):
            raise DataError(
                f"{g} generations have {g - 1} training mixes between them but {self.alpha.size} fresh fractions were "
                f"given; give one per step"
            )
        if not np.all((self.alpha >= 0) & (self.alpha <= 1)):
            raise DataError(f"fresh fractions must lie in [0, 1]; they are {self.alpha.tolist()}")
        if not np.isfinite(self.delta).all() or not np.isfinite(self.noise).all() or (self.noise < 0).any():
            raise DataError("mean features and their noise must be finite, and the noise not negative")
        if not (self.reference_noise >= 0 and self.noise_rank >= 1):
            raise DataError(
                f"reference noise {self.reference_noise} must be >= 0 and noise rank {self.noise_rank} >= 1"
            )
        for name, values in (("p_value", self.p_value), ("alarm", self.alarm)):
            if values is not None and values.shape != (g,):
                raise DataError(f"{name} has shape {values.shape}; {g} generations need ({g},)")
        if any(len(track.value) != g for track in self.tracks.values()):
            raise DataError(f"every track needs {g} entries, one per generation")

    @property
    def drift(self) -> np.ndarray:
        """Squared mean-feature distance of each generation, noise subtracted (g,); 0 in the mean at no drift."""
        return (self.delta**2).sum(axis=1) - self.noise - self.reference_noise


@dataclass(frozen=True)
class Innovation:
    """What each round of training adds, with sampling noise subtracted.

    Parameters
    ----------
    num_rounds : int
        Rounds it was measured on.
    J : float
        Mean |b_i|^2 per round (never negative).
    mean_bias_sq, random_trace : float
        |bbar|^2, the part that repeats, and tr Sigma, the part that changes; estimates, which may be negative.
    kappa, kappa_low, kappa_high : float
        Coherence to use (0 unless significantly positive) and its interval.
    p_value : float
        Of the test that errors of different rounds are unrelated.
    verdict : {"random", "systematic", "unknown"}
        "unknown" with fewer than two rounds or no measurable innovation.
    rank : float
        Effective number of independent directions of the errors.
    """

    num_rounds: int
    J: float
    mean_bias_sq: float
    random_trace: float
    kappa: float
    kappa_low: float
    kappa_high: float
    p_value: float
    verdict: Verdict
    rank: float


@dataclass(frozen=True)
class Forecast:
    """Where a loop is heading if it goes on like this.

    Parameters
    ----------
    ahead : ndarray (h,)
        Generations after the last one seen, 1..h.
    alpha : ndarray (h,)
        Fresh fractions assumed for them.
    drift, low, high : ndarray (h,)
        Squared mean-feature drift and the range that holds it with probability `level`.
    level : float
        Coverage of all intervals.
    innovation : Innovation
        What it rests on.
    steady, steady_low, steady_high : float
        Mean drift in the long run at the last alpha; infinite at alpha = 0.
    memory : float
        Mean age of the data a generation has learned from, in rounds; infinite where all rows are kept, as it then
        grows with the rounds unless alpha is 1.
    notes : tuple of str
        What a reader must know.
    """

    ahead: np.ndarray
    alpha: np.ndarray
    drift: np.ndarray
    low: np.ndarray
    high: np.ndarray
    level: float
    innovation: Innovation
    steady: float
    steady_low: float
    steady_high: float
    memory: float
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len({a.shape for a in (self.ahead, self.alpha, self.drift, self.low, self.high)}) != 1:
            raise ValueError("ahead, alpha, drift, low and high must have one length")
        if not (np.all(self.low <= self.drift) and np.all(self.drift <= self.high)):
            raise ValueError("an interval must contain its mean: low <= drift <= high")


@dataclass(frozen=True)
class FreshFraction:
    """The smallest fresh-data fraction that keeps the drift at a target, or why there is none.

    Parameters
    ----------
    alpha : float or None
        Fraction in [0, 1]; None when no fraction is enough.
    is_possible : bool
        Whether any fraction keeps the target.
    reason : str
        One sentence for the user.
    """

    alpha: float | None
    is_possible: bool
    reason: str


@dataclass(frozen=True)
class Plan:
    """What keeps the drift of a loop under a target.

    Parameters
    ----------
    target : float
        Largest acceptable squared mean-feature drift.
    confidence : float
        Probability with which the recommendation is to hold.
    alpha : float or None
        Smallest fresh fraction that does it with that probability; None when none does.
    alpha_reason : str
        One sentence.
    data_factor : float or None
        Times the rows per round that do it at the present fresh fraction; None when no amount does.
    data_reason : str
        One sentence.
    alpha_median, data_median : float or None
        The same for the median forecast, that is for even odds; None when no fraction, or no number of rows, does.
    alpha_chance, data_chance : float or None
        Probability of keeping the target on fresh data only, and with 10,000 times the rows at the present fraction;
        None for rows without fresh data. Below 0.05 the reasons say impossible.
    """

    target: float
    confidence: float
    alpha: float | None
    alpha_reason: str
    data_factor: float | None
    data_reason: str
    alpha_median: float | None
    alpha_chance: float | None
    data_median: float | None
    data_chance: float | None
