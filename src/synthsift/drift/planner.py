"""The smallest fresh-data fraction, or the most modest increase of data, that keeps a loop's drift under a target.

The answer must hold with a stated probability, given what a few noisy rounds say about the training error. So the
future is simulated from the posterior, with the same random numbers for every candidate, and the candidates bisected.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from synthsift.drift.forecast import learn_errors
from synthsift.drift.posterior import DriftDraws, simulate_ahead
from synthsift.drift.traces import DriftTrace, Plan
from synthsift.records import DataError
from synthsift.seeds import Seeds, as_seeds

MOST_DATA = 1e4  # times the present rows per round; needing more is called impossible
NUM_DRAWS = 1000
STEADY_WINDOW = 5  # generations that a steady loop is averaged over
FRESH, SHARE_OF_ALL = "a fresh fraction of {:.2f}", "a real share of {:.2f} of the whole set"


def plan_loop(
    trace: DriftTrace,
    target: float,
    *,
    seeds: Seeds | int,
    window: tuple[int, int] | None = None,
    confidence: float = 0.9,
) -> Plan:
    """Recommend a fresh fraction, and the rows per round that would do instead.

    Parameters
    ----------
    trace : DriftTrace
        What was measured, at least two generations.
    target : float
        Largest acceptable squared mean-feature drift.
    seeds : Seeds or int
        Randomness.
    window : (int, int), optional
        First and last generation ahead over which the mean drift is to stay under the target, from where the loop is
        now; without it five generations in the steady state.
    confidence : float
        Probability, over what is not known and over luck, with which it is to hold.

    Returns
    -------
    Plan
        Recommendations, or the sentence why there is none.

    Raises
    ------
    DataError
        If the target is not positive, the confidence not in (0, 1), or the window not ordered.
    """
    if not (math.isfinite(target) and target > 0) or not 0 < confidence < 1:
        raise DataError(f"target = {target!r} and confidence = {confidence!r}: a positive target and a level in (0, 1)")
    if window is not None and not 1 <= window[0] <= window[1]:
        raise DataError(f"the window {window} must run from a first to a last generation ahead, 1 or later")
    node = as_seeds(seeds)
    draws = _first(learn_errors(trace, node)[1], NUM_DRAWS)
    present = float(trace.alpha[-1])

    def reaches(alpha: float, data_factor: float) -> bool:
        """Whether the target holds with the wanted probability."""
        shrunk = replace(draws, random_trace=draws.random_trace / data_factor)
        means = _window_means(shrunk, alpha, window, node.numpy("plan"))
        return float(np.quantile(means, confidence)) <= target

    kept = trace.accumulate
    alpha, alpha_reason = _plan_alpha(reaches, target, confidence, SHARE_OF_ALL if kept else FRESH)
    factor, data_reason = _plan_data(reaches, present, target, accumulate=kept)
    return Plan(target, confidence, alpha, alpha_reason, factor, data_reason)


def _first(draws: DriftDraws, count: int) -> DriftDraws:
    """The first draws; enough for a quantile, and a bisection repeats the simulation."""
    return DriftDraws(
        draws.carried[:count],
        draws.bias[:count],
        draws.random_trace[:count],
        draws.J[:count],
        draws.kappa[:count],
        draws.response[:count],
        draws.num_kept,
    )


def _window_means(
    draws: DriftDraws, alpha: float, window: tuple[int, int] | None, rng: np.random.Generator
) -> np.ndarray:
    """Mean drift of every draw (s,) over the window, or in the steady state."""
    if window is not None:
        return simulate_ahead(draws, np.full(window[1], alpha), rng)[:, window[0] - 1 :].mean(axis=1)
    left = draws.response * (1 - alpha)
    variance = 0 * left if draws.num_kept else draws.random_trace / (draws.carried.shape[1] * (1 - left**2))
    wander = np.sqrt(variance)[:, None] * rng.standard_normal(draws.carried.shape)
    settled = replace(draws, carried=draws.bias / (1 - left)[:, None] + wander)
    return simulate_ahead(settled, np.full(STEADY_WINDOW, alpha), rng).mean(axis=1)


def _plan_alpha(
    reaches: Callable[[float, float], bool], target: float, confidence: float, share: str
) -> tuple[float | None, str]:
    """Smallest fresh fraction that reaches the target, to 0.002, with its sentence."""
    if not reaches(1.0, 1.0):
        return None, (
            f"impossible, because one round of training alone is likely to add more than the target {target:.4g}, "
            f"even on fresh data only; train on more data or improve the model"
        )
    low, high = 1e-3, 1.0
    if reaches(low, 1.0):
        return low, f"hardly any fresh data (0.1 %) keeps the drift under {target:.4g}"
    while high - low > 2e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if reaches(middle, 1.0) else (middle, high)
    return (
        high,
        f"{share.format(high)} keeps the mean drift under {target:.4g} with probability {100 * confidence:.0f} %",
    )


def _plan_data(
    reaches: Callable[[float, float], bool], alpha: float, target: float, *, accumulate: bool
) -> tuple[float | None, str]:
    """Smallest factor on the rows per round that reaches the target at the present fraction, with its sentence."""
    if alpha == 0:
        return None, "no amount of data replaces fresh data: " + (
            "at alpha = 0 a repeating error, which is never excluded, grows without end even where all rows are kept"
            if accumulate
            else "alpha = 0 has no steady state"
        )
    share = SHARE_OF_ALL if accumulate else FRESH
    if reaches(alpha, 1.0):
        return 1.0, f"the present number of rows per round keeps the drift under {target:.4g} already"
    if not reaches(alpha, MOST_DATA):
        return None, (
            f"impossible, because the part of the error that may repeat exceeds {target:.4g} by itself at "
            f"{share.format(alpha)}; more rows do not shrink it, a better model or more fresh data does"
        )
    low, high = 0.0, math.log(MOST_DATA)
    while high - low > 0.02:
        middle = (low + high) / 2
        low, high = (low, middle) if reaches(alpha, math.exp(middle)) else (middle, high)
    factor = math.exp(high)
    return (
        factor,
        f"{factor:.1f} times the rows per round keep the drift under {target:.4g} at {share.format(alpha)}",
    )
