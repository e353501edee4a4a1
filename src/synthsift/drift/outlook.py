"""All that a measured stream says about its future, in one record: forecast, plan, exchange rates, regimes, weight."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from synthsift.drift.forecast import forecast_drift, learn_errors
from synthsift.drift.planner import plan_loop
from synthsift.drift.posterior import steady_draws
from synthsift.drift.regimes import predict_regimes
from synthsift.drift.traces import DriftTrace, Forecast, Plan
from synthsift.drift.weighting import best_fresh_weight
from synthsift.seeds import Seeds, as_seeds

FRACTIONS = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
DATA_FACTORS = (1.0, 2.0, 4.0, 10.0)


@dataclass(frozen=True)
class Outlook:
    """Where a loop is heading and what would change that.

    Parameters
    ----------
    forecast : Forecast
        The next generations if nothing changes.
    plan : Plan or None
        How to keep a target; None without one.
    exchange : dict of float to dict of float to float
        Steady drift (posterior median) by fresh fraction, then by rows per round in multiples of the present number.
    regimes : dict of str to tuple of float
        Drift after 1, 2, ... rounds for five ways to build the training set, from a start without drift.
    fresh_weight, pooled_weight : float or None
        Best weight of the fresh rows' mean, and the one that pooling gives; None at alpha 0 or 1, and where all rows
        are kept, as the formula is that of generations that replace one another.
    """

    forecast: Forecast
    plan: Plan | None
    exchange: dict[float, dict[float, float]]
    regimes: dict[str, tuple[float, ...]]
    fresh_weight: float | None
    pooled_weight: float | None


def look_ahead(trace: DriftTrace, horizon: int, *, seeds: Seeds | int, target: float | None = None) -> Outlook:
    """Forecast, plan and compare, all from the same posterior.

    Parameters
    ----------
    trace : DriftTrace
        At least two generations.
    horizon : int
        Generations ahead.
    seeds : Seeds or int
        Randomness.
    target : float, optional
        Largest acceptable squared mean-feature drift.

    Returns
    -------
    Outlook
        The whole.

    Raises
    ------
    DataError
        If there is only one generation or an argument is out of its range.
    """
    node, alpha = as_seeds(seeds), float(trace.alpha[-1])
    forecast = forecast_drift(trace, horizon, seeds=node)
    draws = learn_errors(trace, node)[1]
    fractions = sorted({*FRACTIONS, round(alpha, 6)} - {0.0})
    exchange = {
        a: {
            factor: float(np.median(steady_draws(replace(draws, random_trace=draws.random_trace / factor), a)))
            for factor in DATA_FACTORS
        }
        for a in fractions
    }
    found = forecast.innovation
    regimes = predict_regimes(alpha, found.J, found.kappa, horizon, float(trace.noise[-1]))
    inside = 0 < alpha < 1 and not trace.accumulate
    return Outlook(
        forecast=forecast,
        plan=None if target is None else plan_loop(trace, target, seeds=node),
        exchange=exchange,
        regimes={name: tuple(values.tolist()) for name, values in regimes.items()},
        fresh_weight=best_fresh_weight((1 - alpha) / alpha) if inside else None,
        pooled_weight=alpha if inside else None,
    )
