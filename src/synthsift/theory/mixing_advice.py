"""Decisions from the mixing theory: does adding help, how much, when to stop, how strict, with what weight and ridge.

Nothing here has a hard-coded threshold: every answer is found on the curve of `predict_accuracy` itself, because the
noise at which synthetic rows stop helping depends on the ridge, the number of real rows and the generator.

Equations (29) to (34) of docs/methods/theory.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Unpack

import numpy as np
from scipy.optimize import brentq

from synthsift.records import DataError
from synthsift.theory.mixing import predict_accuracy
from synthsift.theory.mixing_settings import MixingOptions

#: Points of a first look over a range, and of each closer look around the best one.
LOOK, CLOSER, ROUNDS = 121, 41, 4
#: Where the numbers of rows, the ridge and the weight are searched.
MAX_ROWS = 1e8
RIDGES = (1e-6, 1e6)
WEIGHTS = (1e-4, 1e2)

Curve = Callable[[np.ndarray], np.ndarray]


class Choice(NamedTuple):
    """A best or limiting value, and the accuracy it gives (higher is better)."""

    value: float
    accuracy: float


def accuracy_ceiling(
    num_real: float, dim: int, mean_norm: float | None, ridge: float, **options: Unpack[MixingOptions]
) -> float:
    """Accuracy that infinitely many synthetic rows would give at this ridge.

    A fresh generator is worth at most its own rows, so the ceiling may lie below the accuracy of the real rows alone.

    Source: docs/methods/theory.md, eq. (29); derived there.
    """
    return _scalar(predict_accuracy(num_real, math.inf, dim, mean_norm, ridge, **_single(options)).mean)


def gain_per_row(
    num_real: float, dim: int, mean_norm: float | None, ridge: float, **options: Unpack[MixingOptions]
) -> float:
    """Accuracy gained per row by the first synthetic rows (the derivative at none); positive means that adding helps.

    Needs real rows. The sign is about a few rows: later rows may help where the first ones hurt (`break_even_rows`).

    Source: docs/methods/theory.md, eq. (30); derived there.
    """
    return float(_first_gain(num_real, dim, mean_norm, ridge, np.zeros(1), _single(options), "real_label_noise")[0])


def largest_helpful_noise(
    num_real: float, dim: int, mean_norm: float | None, ridge: float, **options: Unpack[MixingOptions]
) -> float:
    """Largest label noise up to which the first synthetic rows raise accuracy; 0 where even clean ones lower it.

    In the limit of a large ridge it is phi/(phi + 3 rho): 25 % wrong labels among the kept rows.

    Source: docs/methods/theory.md, eq. (31); derived there.
    """
    fixed = _without(options, "label_noise")

    def gain(noise: np.ndarray) -> np.ndarray:
        return _first_gain(num_real, dim, mean_norm, ridge, noise, fixed, "label_noise")

    return _first_crossing(gain, np.linspace(0.0, 1.0, LOOK))


def break_even_rows(
    num_real: float, dim: int, mean_norm: float | None, ridge: float, **options: Unpack[MixingOptions]
) -> float:
    """Number of synthetic rows at which accuracy is back at that of the real rows alone, after a dip.

    Source: docs/methods/theory.md, eq. (32); derived there.

    Returns
    -------
    float
        0 where the first rows already help (or change nothing), infinity where the accuracy never comes back.
    """
    fixed = _single(options)
    alone = _scalar(predict_accuracy(num_real, 0, dim, mean_norm, ridge, **fixed).mean)

    def loss(rows: np.ndarray) -> np.ndarray:
        return alone - predict_accuracy(num_real, rows, dim, mean_norm, ridge, **fixed).mean

    if gain_per_row(num_real, dim, mean_norm, ridge, **options) >= 0:
        return 0.0
    rows = _row_grid(num_real)
    return _first_crossing(loss, np.append(rows[1:], math.inf))


def best_num_synth(
    num_real: float, dim: int, mean_norm: float | None, ridge: float, **options: Unpack[MixingOptions]
) -> Choice:
    """Number of synthetic rows with the best accuracy: 0 where none help, infinity where more always helps.

    Source: docs/methods/theory.md, eq. (32); derived there.
    """
    fixed = _single(options)

    def accuracy(rows: np.ndarray) -> np.ndarray:
        return predict_accuracy(num_real, rows, dim, mean_norm, ridge, **fixed).mean

    best = _maximize(accuracy, _row_grid(num_real))
    ceiling = accuracy_ceiling(num_real, dim, mean_norm, ridge, **options)
    return Choice(math.inf, ceiling) if ceiling > best.accuracy else best


def enough_rows(
    num_real: float,
    dim: int,
    mean_norm: float | None,
    ridge: float,
    *,
    tolerance: float = 0.001,
    **options: Unpack[MixingOptions],
) -> Choice:
    """Fewest synthetic rows whose accuracy is within `tolerance` of the best that any number of them can give.

    Source: docs/methods/theory.md, eq. (32); derived there.
    """
    fixed = _single(options)
    best = best_num_synth(num_real, dim, mean_norm, ridge, **options)

    def missing(rows: np.ndarray) -> np.ndarray:
        return best.accuracy - tolerance - predict_accuracy(num_real, rows, dim, mean_norm, ridge, **fixed).mean

    rows = _row_grid(num_real)
    end = best.value if math.isfinite(best.value) else math.inf
    value = _first_crossing(missing, np.append(rows[rows < end], end))
    return Choice(value, _scalar(predict_accuracy(num_real, value, dim, mean_norm, ridge, **fixed).mean))


def best_ridge(
    num_real: float, num_synth: float, dim: int, mean_norm: float | None, **options: Unpack[MixingOptions]
) -> Choice:
    """Ridge with the best accuracy, between 1e-6 and 1e6; with `num_synth` 0 the fair opponent of any mixture.

    For isotropic features the best ridge is infinite, and the upper end is returned.

    Source: docs/methods/theory.md, eq. (34); derived there.
    """
    fixed = _single(options)

    def accuracy(ridge: np.ndarray) -> np.ndarray:
        return predict_accuracy(num_real, num_synth, dim, mean_norm, ridge, **fixed).mean

    return _maximize(accuracy, np.geomspace(*RIDGES, LOOK))


def best_synth_weight(
    num_real: float, num_synth: float, dim: int, mean_norm: float | None, ridge: float, **options: Unpack[MixingOptions]
) -> Choice:
    """Weight of a synthetic row with the best accuracy at this ridge: 0 (rows count in N only), or 1e-4 to 100.

    Source: docs/methods/theory.md, eq. (34); derived there.
    """
    fixed = _without(options, "synth_weight")

    def accuracy(weight: np.ndarray) -> np.ndarray:
        varied: MixingOptions = {**fixed, "synth_weight": weight}
        return predict_accuracy(num_real, num_synth, dim, mean_norm, ridge, **varied).mean

    return _maximize(accuracy, np.append(0.0, np.geomspace(*WEIGHTS, LOOK)))


def largest_keep_wrong(
    num_real: float,
    num_synth: float,
    dim: int,
    mean_norm: float | None,
    ridge: float,
    *,
    target: float | None = None,
    **options: Unpack[MixingOptions],
) -> float | None:
    """Largest fraction rho of wrong labels the verifier may keep so that accuracy is at least `target`.

    `target` is by default the accuracy of the real rows alone at the same ridge. 1 - rho is the fraction of wrong
    labels that must be rejected.

    Source: docs/methods/theory.md, eq. (33); derived there.

    Returns
    -------
    float or None
        1 where no verification is needed, None where even rejecting every wrong label is not enough.
    """
    fixed = _without(options, "keep_wrong")
    if target is None:
        target = _scalar(predict_accuracy(num_real, 0, dim, mean_norm, ridge, **fixed).mean)

    def lead(keep_wrong: np.ndarray) -> np.ndarray:
        varied: MixingOptions = {**fixed, "keep_wrong": keep_wrong}
        return predict_accuracy(num_real, num_synth, dim, mean_norm, ridge, **varied).mean - target

    grid = np.linspace(0.0, 1.0, LOOK)
    return _first_crossing(lead, grid) if lead(grid[:1])[0] >= 0 else None


def _first_gain(
    num_real: float,
    dim: int,
    mean_norm: float | None,
    ridge: float,
    values: np.ndarray,
    fixed: MixingOptions,
    name: str,
) -> np.ndarray:
    """Derivative of accuracy in num_synth at 0 for each of `values` of option `name` (t,)."""
    if num_real < 1:
        raise DataError(f"num_real is {num_real:g}; to ask whether adding helps there must be a real row")
    options: Any = {**fixed, name: values[:, None]} if name == "label_noise" else fixed
    step = 1e-4 * num_real
    rows = np.array([0.0, step / 2.0, step])
    at = predict_accuracy(num_real, rows, dim, mean_norm, ridge, **options).mean.reshape(-1, 3)
    return (4.0 * at[:, 1] - at[:, 2] - 3.0 * at[:, 0]) / step


def _first_crossing(curve: Curve, grid: np.ndarray) -> float:
    """Return where `curve` first stops being positive: the first grid point, a root, or the end of `grid`."""
    values = curve(grid)
    stops = np.flatnonzero(values <= 0)
    if len(stops) == 0:
        return float(grid[-1])
    right = stops[0]
    if right == 0 or not math.isfinite(grid[right]):
        return float(grid[right])
    return float(brentq(lambda x: float(curve(np.array([x]))[0]), grid[right - 1], grid[right], rtol=1e-10))


def _maximize(curve: Curve, grid: np.ndarray) -> Choice:
    """Largest value of `curve` on `grid`, then looked at closer around it."""
    values = curve(grid)
    for _ in range(ROUNDS):
        best = int(np.argmax(values))
        if best == 0 or best == len(grid) - 1:
            break
        grid = np.linspace(grid[best - 1], grid[best + 1], CLOSER)
        values = curve(grid)
    best = int(np.argmax(values))
    return Choice(float(grid[best]), float(values[best]))


def _row_grid(num_real: float) -> np.ndarray:
    """0 and numbers of synthetic rows from a hundredth of the real ones to a hundred million."""
    return np.append(0.0, np.geomspace(max(num_real, 1.0) / 100.0, MAX_ROWS, LOOK))


def _single(options: MixingOptions) -> MixingOptions:
    """Refuse options that are arrays: one decision is made at a time."""
    for name, value in options.items():
        if name not in ("spectrum", "mean") and np.ndim(value) > 0:  # type: ignore[arg-type]
            raise DataError(f"{name} is an array; a decision needs one number, call once per value")
    return options


def _without(options: MixingOptions, name: str) -> MixingOptions:
    """Refuse option `name`, which is what is being looked for."""
    if name in options:
        raise DataError(f"{name} is what is looked for; leave it out")
    return _single(options)


def _scalar(value: np.ndarray) -> float:
    """A 0-d array as a number."""
    return float(np.asarray(value))
