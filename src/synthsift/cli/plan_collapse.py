"""The collapse plan: error against synthetic rows, against all rows of one mix, and against model size.

The error is linear in c^2, so that one call with c^2 = 1 gives every draw of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from synthsift.cli.plan_mixing import plan_sizes
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.theory.collapse import predict_error
from synthsift.theory.collapse_advice import first_rows_limit, helpful_fractions
from synthsift.theory.collapse_closed import error_floor
from synthsift.theory.collapse_inputs import PoleError
from synthsift.theory.collapse_stages import rank_remedies
from synthsift.theory.collapse_weights import best_weight, marginal_values, worth_in_real_rows
from synthsift.theory.collapse_width import best_width, predict_width_curve
from synthsift.theory.measure import Estimate

NUM_WIDTHS = 60
#: A width curve without ridge has a pole; this share of the mean variance of a feature rounds it off.
WIDTH_RIDGE = 1e-3
#: The error counts as at its floor where it is within this share of it, looked for up to so many rows.
NEAR_FLOOR = 0.1
MOST_ROWS = 1e12
#: Amounts at which the best weight is looked for, and how far from a pole a curve keeps.
NUM_WEIGHTED = 14
POLE = 0.03


@dataclass(frozen=True)
class CollapseAsk:
    """What is known and asked.

    Parameters
    ----------
    num_real, num_synth : float
        Rows n_1 and n_2, both above 0.
    dim : int
    mismatch : Estimate
        c^2; with its standard error the curves have intervals.
    options : dict
        Of `predict_error`: ridge, real_noise_variance, synth_noise_variance, spectrum, signal.
    width : int, optional
        Model size at hand.
    num_draws : int
    """

    num_real: float
    num_synth: float
    dim: int
    mismatch: Estimate
    options: dict[str, Any] = field(default_factory=dict)
    width: int | None = None
    num_draws: int = 300

    def __post_init__(self) -> None:
        for name in ("num_real", "num_synth"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise DataError(
                    f"--{name.replace('_', '-')} is {value:g}; rows of both kinds are needed, finitely many"
                )
        if self.mismatch.value < 0 and self.mismatch.high < 0:
            raise DataError(f"--mismatch is {self.mismatch.value:g}; c^2 is a mean square, at least 0")
        if self.width is not None and self.width < 1:
            raise DataError(f"--width is {self.width}; a model has at least 1 feature")

    @property
    def c2(self) -> float:
        """c^2, not below 0."""
        return max(self.mismatch.value, 0.0)

    @property
    def fraction(self) -> float:
        """Synthetic share p_2."""
        return self.num_synth / (self.num_real + self.num_synth)

    @property
    def ridge(self) -> float:
        """Lam."""
        return float(self.options.get("ridge", 0.0))

    @property
    def noise(self) -> float:
        """sigma_1^2."""
        return float(self.options.get("real_noise_variance", 1.0))

    @property
    def plain(self) -> dict[str, Any]:
        """Options without the ridge."""
        return {name: value for name, value in self.options.items() if name != "ridge"}


def plan_collapse(ask: CollapseAsk, seeds: Seeds) -> dict[str, Any]:
    """Compute the whole plan as a dictionary that JSON can hold.

    Raises
    ------
    DataError
        For impossible numbers, and where the numbers given lie on a pole of the error.
    """
    here = predict_error(ask.num_real, ask.num_synth, ask.dim, mismatch=ask.c2, **ask.options)
    real_only = _or_pole(ask, ask.num_real, 0.0)
    c2_draws = _c2_draws(ask, seeds)
    sizes = _off_pole(ask, plan_sizes(ask.num_real, ask.num_synth), np.full(40, ask.num_real))
    curves = {"pooled": _linear_curve(ask, np.full(len(sizes), ask.num_real), sizes, c2_draws)}
    curves["perfect"] = _linear_curve(ask, np.full(len(sizes), ask.num_real), sizes, np.zeros(1))
    curves["weighted"] = _weighted_curve(ask, sizes, c2_draws)
    place = _nearest(sizes, ask)
    floor = error_floor(ask.fraction, ask.dim, mismatch=ask.c2, **ask.options)
    mix = _mix_curve(ask, c2_draws, floor)
    return {
        "num_real": ask.num_real,
        "num_synth": ask.num_synth,
        "dim": ask.dim,
        "ridge": ask.ridge,
        "real_noise_variance": ask.noise,
        "synth_fraction": ask.fraction,
        "mismatch": vars(ask.mismatch),
        "num_draws": len(c2_draws) - 1,
        "sizes": sizes.tolist(),
        "target": {"rows": float(sizes[place]), "index": place},
        "here": {name: float(here.terms[name]) for name in ("total", "bias", "variance", "collapse")},
        "real_only": real_only,
        "curves": curves,
        "mix": mix,
        "size": _size_curve(ask),
        "remedies": _remedies(ask),
        "weight": vars(best_weight(ask.num_real, ask.num_synth, ask.dim, mismatch=ask.c2, **ask.options)),
        "floor": floor,
        "near_floor_rows": _near_floor(mix, floor),
        "worth": _worth(ask),
        "helpful": _helpful(ask),
        "marginal": _marginal(ask),
    }


def _remedies(ask: CollapseAsk) -> list[dict[str, Any]]:
    """Every way of using the rows at its best ridge; none where the search meets what doubles cannot resolve."""
    try:
        ranked = rank_remedies(ask.num_real, ask.num_synth, ask.dim, mismatch=ask.c2, **ask.plain)
    except ArithmeticError:  # weights of e^-16 on ten million rows
        return []
    return [vars(remedy) for remedy in ranked]


def _c2_draws(ask: CollapseAsk, seeds: Seeds) -> np.ndarray:
    """c^2 (1 + draws,), the estimate first; one value where nothing is uncertain."""
    error = ask.mismatch.standard_error
    if not 0 < error < math.inf:
        return np.array([ask.c2])
    drawn = seeds.numpy("mismatch").normal(ask.mismatch.value, error, ask.num_draws)
    return np.concatenate([[ask.c2], np.maximum(drawn, 0.0)])


def _linear_curve(
    ask: CollapseAsk, real: np.ndarray, synth: np.ndarray, c2_draws: np.ndarray
) -> dict[str, list[float]]:
    """Pooled error with its range over the draws of c^2."""
    unit = predict_error(real, synth, ask.dim, mismatch=1.0, **ask.options).terms
    values = (unit["bias"] + unit["variance"])[:, None] + unit["collapse"][:, None] * c2_draws
    low, high = np.quantile(values, [0.025, 0.975], axis=1)
    mean = values[:, 0]
    return {"mean": mean.tolist(), "low": np.minimum(low, mean).tolist(), "high": np.maximum(high, mean).tolist()}


def _weighted_curve(ask: CollapseAsk, sizes: np.ndarray, c2_draws: np.ndarray) -> dict[str, list[float]]:
    """Error at the best weight; it grows with c^2, so the range of c^2 gives its range."""
    ends = [c2_draws[0], *np.quantile(c2_draws, [0.025, 0.975])]
    inner = np.flatnonzero(sizes > 0)
    some = np.unique(np.append(inner[np.linspace(0, len(inner) - 1, NUM_WEIGHTED).astype(int)], _nearest(sizes, ask)))
    first = _or_pole(ask, ask.num_real, 0.0)
    found = []
    for c2 in ends:
        errors = [
            best_weight(ask.num_real, float(sizes[k]), ask.dim, mismatch=float(c2), **ask.options).error for k in some
        ]
        # Between them the logarithm is a straight line in the logarithm of the rows to the width of a printed digit.
        between = np.exp(np.interp(np.log(sizes[inner]), np.log(sizes[some]), np.log(np.maximum(errors, 1e-300))))
        start = [] if len(inner) == len(sizes) else [first if first is not None else float(between[0])]
        found.append(np.concatenate([start, between]))
    mean, low, high = found
    return {"mean": mean.tolist(), "low": np.minimum(low, mean).tolist(), "high": np.maximum(high, mean).tolist()}


def _nearest(sizes: np.ndarray, ask: CollapseAsk) -> int:
    return int(np.argmin(np.abs(sizes - ask.num_synth)))


def _mix_curve(ask: CollapseAsk, c2_draws: np.ndarray, floor: float) -> dict[str, Any]:
    """Error against all rows at this synthetic share, beside the same rows without mismatch; it ends at the floor."""
    total = ask.num_real + ask.num_synth
    ends = max(1e3 * total, 1e2 * ask.dim) * 10.0 ** np.arange(20)
    ends = ends[: max(1, int((ends <= MOST_ROWS).sum()))]
    at_ends = predict_error((1 - ask.fraction) * ends, ask.fraction * ends, ask.dim, mismatch=ask.c2, **ask.options)
    near = np.abs(at_ends.mean - floor) <= NEAR_FLOOR * floor
    top = float(ends[int(near.argmax())] if near.any() and floor > 0 else ends[0])
    rows = np.geomspace(max(total / 20.0, 1.1 * ask.dim if ask.ridge == 0 else 2.0), top, 40)
    rows = _off_pole(ask, rows, np.zeros(len(rows)))
    real, synth = (1 - ask.fraction) * rows, ask.fraction * rows
    return {
        "rows": rows.tolist(),
        "mixed": _linear_curve(ask, real, synth, c2_draws),
        "clean": _linear_curve(ask, real, synth, np.zeros(1)),
    }


def _near_floor(mix: dict[str, Any], floor: float) -> float | None:
    """Rows of this mix from which on its error is within a tenth of its floor; None where that is out of reach."""
    rows, error = np.array(mix["rows"]), np.array(mix["mixed"]["mean"])
    outside = np.flatnonzero(np.abs(error - floor) > NEAR_FLOOR * floor)
    if floor <= 0 or len(outside) == len(rows) or (len(outside) and outside[-1] == len(rows) - 1):
        return None
    if not len(outside):
        return float(rows[0])
    # What is above the floor falls like a power of the rows, a straight line of its logarithm.
    here = slice(outside[-1], outside[-1] + 2)
    distance = np.log(np.maximum(np.abs(error[here] / floor - 1), 1e-12))
    share = (distance[0] - math.log(NEAR_FLOOR)) / (distance[0] - distance[1])
    return float(rows[here][0] * (rows[here][1] / rows[here][0]) ** share)


def _size_curve(ask: CollapseAsk) -> dict[str, Any]:
    """Error against the width of a random first layer, and whether a bigger model helps."""
    total = ask.num_real + ask.num_synth
    spectrum = ask.options.get("spectrum")
    unit = 1.0 if spectrum is None else float(np.mean(spectrum))
    ridge = ask.ridge if ask.ridge > 0 else WIDTH_RIDGE * unit
    settings = {**ask.plain, "ridge": ridge, "mismatch": ask.c2}
    top = int(5 * max(ask.dim, total))
    widths = np.unique(np.geomspace(max(1, ask.dim // 50), top, NUM_WIDTHS).astype(int))
    if ask.width is not None:
        widths = np.unique(np.append(widths, [ask.width, 2 * ask.width]))
    curve = predict_width_curve(widths, ask.num_real, ask.num_synth, ask.dim, **settings)
    best = best_width(ask.num_real, ask.num_synth, ask.dim, high=max(top, int(widths[-1])), **settings)
    found: dict[str, Any] = {
        "widths": widths.tolist(),
        "error": curve.mean.tolist(),
        "collapse": curve.terms["collapse"].tolist(),
        "clean": (curve.mean - curve.terms["collapse"]).tolist(),
        "ridge": ridge,
        "best": vars(best),
        "at": None,
    }
    if ask.width is not None:
        now, double = (int(np.flatnonzero(widths == w)[0]) for w in (ask.width, 2 * ask.width))
        found["at"] = {"width": ask.width, "error": float(curve.mean[now]), "double": float(curve.mean[double])}
    return found


def _worth(ask: CollapseAsk) -> dict[str, float | None]:
    """Real rows that the synthetic ones are worth, at hand and at most; None without limit."""
    noise = {name: ask.options[name] for name in ("real_noise_variance", "synth_noise_variance") if name in ask.options}
    now = worth_in_real_rows(ask.dim, ask.c2, num_synth=ask.num_synth, **noise)
    most = worth_in_real_rows(ask.dim, ask.c2, **noise)
    least = (
        worth_in_real_rows(ask.dim, max(ask.mismatch.high, 0.0), **noise) if math.isfinite(ask.mismatch.high) else 0.0
    )
    return {"rows": _finite(now), "most": _finite(most), "most_low": _finite(least)}


def _helpful(ask: CollapseAsk) -> dict[str, float] | None:
    """How much plain pooling helps; only for least squares with more real rows than features."""
    if ask.ridge > 0 or ask.num_real <= ask.dim + 1:
        return None
    noise = {name: ask.options[name] for name in ("real_noise_variance", "synth_noise_variance") if name in ask.options}
    found = vars(helpful_fractions(ask.num_real, ask.dim, mismatch=ask.c2, **noise))
    return {**found, "first_rows_limit": first_rows_limit(ask.num_real, ask.dim, **noise)}


def _marginal(ask: CollapseAsk) -> dict[str, float] | None:
    """What one more row of each kind takes off the error; None next to a pole."""
    try:
        real, synth = marginal_values(ask.num_real, ask.num_synth, ask.dim, mismatch=ask.c2, **ask.options)
    except PoleError:
        return None
    return {"real": real, "synth": synth}


def _or_pole(ask: CollapseAsk, real: float, synth: float) -> float | None:
    """The error, None where it is infinite."""
    try:
        return float(predict_error(real, synth, ask.dim, mismatch=ask.c2, **ask.options).mean)
    except PoleError:
        return None


def _off_pole(ask: CollapseAsk, sizes: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Amounts moved away from the interpolation threshold, where the error without ridge is infinite."""
    if ask.ridge > 0:
        return sizes
    total = sizes + real
    near = np.abs(total / ask.dim - 1.0) < POLE
    return np.where(near & (sizes != ask.num_synth), ask.dim * (1.0 + POLE) - real, sizes).clip(min=0.0)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
