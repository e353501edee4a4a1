"""What synthetic rows are worth in real ones, by the accuracy of their gain: so many rows, at their weight and ridge.

Rows that lower the accuracy leave as much as fewer real rows alone give; rows that raise it bring as much as more real
rows would. A worth of another measure (of the squared error, at the best weight) could say "worth 30 real rows" of a
set that a classifier is better off without.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from synthsift.cli.plan_reading import crossing, target_gain
from synthsift.cli.plan_rows import PlanRows, least_squares_rows
from synthsift.cli.plan_worlds import FOLDS, NumberWorld, Rates, RowWorld
from synthsift.records import DataError
from synthsift.theory.measure_audit import RATES
from synthsift.theory.measure_mismatch import mismatch_by_fit
from synthsift.theory.mixing_simulation import ridge_weights
from synthsift.theory.mixing_worth import clean_row_worth

NUM_POINTS = 60
MOST_REAL = 1e4  # times the real rows at hand
SHARES = np.geomspace(0.03, 1.0, 9)
SUBSETS = 4
LEAST_ROWS = 8


def row_worth(world: NumberWorld | RowWorld, plan: Mapping[str, Any], towards: str) -> dict[str, Any] | None:
    """Real rows alone with the accuracy of the mixture at the amount asked about.

    Parameters
    ----------
    world : NumberWorld or RowWorld
    plan : dict
        From `plan_mixing`.
    towards : str
        What the gain there is shown to be, "up" or "down" (see `plan_reading.direction`).

    Returns
    -------
    dict or None
        ``equal_rows`` with ``low`` and ``high`` (each None where no number of real rows has that accuracy),
        ``num_real`` and ``most``. None where the gain cannot be told, and for rows that raise the accuracy of rows at
        hand: what more real rows would give is not known there.
    """
    if towards not in ("up", "down") or plan["real_only"] is None:
        return None
    if isinstance(world, RowWorld):
        if towards == "up":
            return None
        sizes, accuracy = _measured_curve(world)
        most = None
    else:
        sizes = _amounts(world.num_real, towards)
        accuracy = np.array([_alone(world, size) for size in sizes])
        most = _most(world, plan)
    value, low, high = (
        _equal(sizes, accuracy, plan["real_only"] + gain, towards) for gain in target_gain(plan).values()
    )
    return {"equal_rows": value, "low": low, "high": high, "num_real": world.num_real, "most": most}


def label_noises(
    world: NumberWorld | RowWorld, plan: Mapping[str, Any], rows: PlanRows | None
) -> dict[str, Any] | None:
    """How noisy real and synthetic labels are, where the best weight of a synthetic row is above 1; else None."""
    if plan["weight"]["weight"] <= 1:
        return None
    if isinstance(world, NumberWorld):
        rates = {name: plan["rates"][name]["value"] for name in RATES}
        right, wrong = (rates["keep_right"], rates["keep_wrong"]) if plan["has_verifier"] else (1.0, 1.0)
        kept_wrong, kept_right = wrong * rates["label_noise"], right * (1 - rates["label_noise"])
        noise = kept_wrong / (kept_wrong + kept_right) if kept_wrong + kept_right > 0 else 0.0
        return {"what": "share of wrong labels", "real": world.options.get("real_label_noise", 0.0), "synth": noise}
    if rows is None:
        return None
    try:
        x, z, _ = least_squares_rows(rows)
    except DataError:  # synthetic rows that do not vary; the plan does not need this fit
        return None
    fitted = mismatch_by_fit(x, rows.y, z, rows.t)
    real, synth = fitted.real_noise_variance, fitted.synth_noise_variance
    return {"what": "mean squared error of a linear rule", "real": real, "synth": synth}


def _amounts(num_real: float, towards: str) -> np.ndarray:
    """Numbers of real rows, away from those at hand."""
    end = num_real * MOST_REAL if towards == "up" else min(1.0, num_real / 2.0)
    return np.geomspace(num_real, end, NUM_POINTS)


def _alone(world: NumberWorld, size: float) -> float:
    """Accuracy of so many real rows without synthetic ones, at the ridge of the plan."""
    options = {name: value for name, value in world.options.items() if not name.startswith("generator")}
    other = NumberWorld(float(size), world.dim, options, world.mean_norm, world.ridge)
    return float(other.accuracy(np.zeros(1), Rates.of(0.0))[0, 0])


def _measured_curve(world: RowWorld) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy (k,) of parts of the real rows, most first, on the rows that judge; never rising with fewer rows."""
    place, n = world.rows.fold, len(world.y)
    shares = SHARES[SHARES * n >= LEAST_ROWS][::-1]
    hits = np.zeros(len(shares))
    for fold in range(FOLDS):
        train, judge = np.flatnonzero(place != fold), place == fold
        for k, share in enumerate(shares):
            repeats = 1 if share == 1.0 else SUBSETS
            for repeat in range(repeats):
                order = world.seeds.numpy(f"real-{fold}-{repeat}").permutation(train)
                some = order[: max(round(share * len(train)), 1)]
                w = ridge_weights(world.x[some], world.y[some], np.ones(len(some)), world.ridge * len(some))
                hits[k] += (world.y[judge] * (world.x[judge] @ w) > 0).sum() / repeats
    return n * shares, np.minimum.accumulate(hits / (place >= 0).sum())


def _equal(sizes: np.ndarray, accuracy: np.ndarray, wanted: float, towards: str) -> float | None:
    """Number of rows, from the first of `sizes` on, where the curve has come to `wanted`; None where it never does."""
    lead = accuracy - wanted if towards == "up" else wanted - accuracy
    found = crossing(np.log(sizes), lead)
    return None if found is None else math.exp(found)


def _most(world: NumberWorld, plan: Mapping[str, Any]) -> float | None:
    """Clean real rows that any number of these rows is worth at most; None without limit."""
    kind = world.options.get("generator", "fresh")
    if kind == "self":
        return 0.0
    if plan["rates"] is None:
        return None
    eps, phi, rho = (plan["rates"][name]["value"] for name in ("label_noise", "keep_right", "keep_wrong"))
    behind = math.inf if kind == "exact" else float(world.options.get("generator_size", math.inf))
    keep = (phi, rho) if plan["has_verifier"] else (1.0, 1.0)
    most = float(
        clean_row_worth(math.inf, label_noise=eps, keep_right=keep[0], keep_wrong=keep[1], generator_size=behind)
    )
    return most if math.isfinite(most) else None
