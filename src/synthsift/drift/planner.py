"""The smallest fresh-data fraction, or the most modest increase of data, that keeps a loop's drift under a target.

The answer must hold with a stated probability, given what a few noisy rounds say about the training error. So the
future is simulated from the posterior, with the same random numbers for every candidate, and the candidates bisected.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from synthsift.drift.forecast import learn_errors
from synthsift.drift.posterior import DriftDraws, simulate_ahead, steady_draws
from synthsift.drift.traces import DriftTrace, Plan
from synthsift.records import DataError
from synthsift.seeds import Seeds, as_seeds

MOST_DATA = 1e4  # times the present rows per round, for "any number"
HARDLY = 0.05  # a target that holds with less than this probability is called impossible
NUM_DRAWS = 1000
STEADY_WINDOW = 5  # generations that a steady loop is averaged over
FRESH, SHARE_OF_ALL = "a fresh fraction of {:.2f}", "a real share of {:.2f} of the whole set"


@dataclass(frozen=True)
class _Asked:
    """What is to hold, and how a fresh fraction with a factor on the rows per round fares."""

    target: float
    confidence: float
    share: str
    chance: Callable[[float, float], float]
    median: Callable[[float, float], float]


@dataclass(frozen=True)
class _Answer:
    """Least that keeps the target as surely as asked, its sentence, what the median needs, the chance of the most."""

    enough: float | None
    reason: str
    median: float | None = None
    chance: float | None = None


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
    every = learn_errors(trace, node)[1]
    draws = _first(every, NUM_DRAWS)

    def chance(alpha: float, data_factor: float) -> float:
        """Probability that the mean drift stays under the target."""
        means = _window_means(_with_more_rows(draws, data_factor), alpha, window, node.numpy("plan"))
        return float((means <= target).mean())

    def median(alpha: float, data_factor: float) -> float:
        """Median forecast of the mean drift; in the steady state that of `forecast.what_if`."""
        if window is None:
            return float(np.median(steady_draws(_with_more_rows(every, data_factor), alpha)))
        means = _window_means(_with_more_rows(draws, data_factor), alpha, window, node.numpy("plan"))
        return float(np.median(means))

    asked = _Asked(target, confidence, SHARE_OF_ALL if trace.accumulate else FRESH, chance, median)
    by_fresh = _plan_alpha(asked)
    by_data = _plan_data(asked, float(trace.alpha[-1]), accumulate=trace.accumulate)
    return Plan(
        target,
        confidence,
        alpha=by_fresh.enough,
        alpha_reason=by_fresh.reason,
        data_factor=by_data.enough,
        data_reason=by_data.reason,
        alpha_median=by_fresh.median,
        alpha_chance=by_fresh.chance,
        data_median=by_data.median,
        data_chance=by_data.chance,
    )


def _with_more_rows(draws: DriftDraws, data_factor: float) -> DriftDraws:
    """The draws with the random part of the error that so many times the rows per round leave."""
    return replace(draws, random_trace=draws.random_trace / data_factor)


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


def _smallest(holds: Callable[[float], bool], low: float, high: float, step: float) -> float:
    """Smallest value, to within a step, at which what fails at `low` and holds at `high` holds."""
    while high - low > step:
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _plan_alpha(asked: _Asked) -> _Answer:
    """Smallest fresh fraction that reaches the target, to 0.002."""
    chance, median, target = asked.chance, asked.median, asked.target
    most, least = chance(1.0, 1.0), 1e-3
    typical = None
    if median(1.0, 1.0) <= target:
        holds = median(least, 1.0) <= target
        typical = least if holds else _smallest(lambda a: median(a, 1.0) <= target, least, 1.0, 2e-3)
    if most >= asked.confidence:
        if chance(least, 1.0) >= asked.confidence:
            return _Answer(least, f"hardly any fresh data (0.1 %) keeps the drift under {target:.4g}", typical, most)
        enough = _smallest(lambda a: chance(a, 1.0) >= asked.confidence, least, 1.0, 2e-3)
        share = asked.share.format(_up(enough, 2))
        reason = f"{share} keeps the mean drift under {target:.4g} with probability {_percent(asked.confidence)}"
        return _Answer(enough, reason, typical, most)
    if typical is not None:
        reason = (
            f"{_no_promise(asked, most)} even on fresh data only; the median forecast reaches it from "
            f"{asked.share.format(_up(typical, 2))} on (there with probability {_percent(chance(typical, 1.0))})"
        )
    elif most >= HARDLY:
        reason = (
            f"{_no_promise(asked, most)} even on fresh data only, where the median forecast is "
            f"{median(1.0, 1.0):.3g}; train on more data or improve the model"
        )
    else:
        reason = (
            f"impossible, because one round of training alone almost surely (probability above "
            f"{_percent(1 - HARDLY)}) adds more than the target {target:.4g}, even on fresh data only; train on more "
            f"data or improve the model"
        )
    return _Answer(None, reason, typical, most)


def _plan_data(asked: _Asked, alpha: float, *, accumulate: bool) -> _Answer:
    """Smallest factor on the rows per round that reaches the target at the present fraction, to 2 %."""
    chance, median, target, share = asked.chance, asked.median, asked.target, asked.share.format(alpha)
    if alpha == 0:
        reason = "no amount of data replaces fresh data: " + (
            "at alpha = 0 a repeating error, which is never excluded, grows without end even where all rows are kept"
            if accumulate
            else "alpha = 0 has no steady state"
        )
        return _Answer(None, reason)
    most = chance(alpha, MOST_DATA)
    typical = None
    if median(alpha, MOST_DATA) <= target:
        typical = 1.0 if median(alpha, 1.0) <= target else _least_factor(lambda f: median(alpha, f) <= target)
    if chance(alpha, 1.0) >= asked.confidence:
        reason = f"the present number of rows per round keeps the drift under {target:.4g} already"
        return _Answer(1.0, reason, typical, most)
    if most >= asked.confidence:
        enough = _least_factor(lambda f: chance(alpha, f) >= asked.confidence)
        reason = f"{_up(enough, 1):.1f} times the rows per round keep the drift under {target:.4g} at {share}"
        return _Answer(enough, reason, typical, most)
    why = "more rows do not shrink the part of the error that may repeat, a better model or more fresh data does"
    if typical is not None:
        rows = "the present number of" if typical == 1 else f"{_up(typical, 1):.1f} times the"
        reason = (
            f"{_no_promise(asked, most)} with any number of rows at {share}; the median forecast reaches it with "
            f"{rows} rows per round (there with probability {_percent(chance(alpha, typical))}); {why}"
        )
    elif most >= HARDLY:
        reason = (
            f"{_no_promise(asked, most)} with any number of rows at {share}, where the median forecast stays at "
            f"{median(alpha, MOST_DATA):.3g}; {why}"
        )
    else:
        reason = (
            f"impossible, because the part of the error that may repeat almost surely (probability above "
            f"{_percent(1 - HARDLY)}) exceeds {target:.4g} by itself at {share}; {why}"
        )
    return _Answer(None, reason, typical, most)


def _least_factor(holds: Callable[[float], bool]) -> float:
    """Smallest factor on the rows at which what fails at 1 and holds at the most holds."""
    return math.exp(_smallest(lambda power: holds(math.exp(power)), 0.0, math.log(MOST_DATA), 0.02))


def _no_promise(asked: _Asked, chance: float) -> str:
    """Start of the sentence of a target that may be met but cannot be relied on."""
    return (
        f"cannot be promised with {_percent(asked.confidence)}; it holds with probability {_percent(chance)} at most,"
    )


def _up(value: float, digits: int) -> float:
    """The value with so many digits after the point, rounded up lest what is printed miss the target."""
    return math.ceil(value * 10**digits - 1e-9) / 10**digits


def _percent(share: float) -> str:
    """A probability in whole percent, rounded down lest 89.6 % be called 90 %."""
    return f"{math.floor(100 * share + 1e-9)} %"
