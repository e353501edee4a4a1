"""The mixing plan: accuracy against the number of synthetic rows for every verifier, and the numbers advice rests on.

One call of the world answers everything: plug-in rates and posterior draws for three verifiers, a grid of label noise
(phase diagram), a grid of keep rates (how strict must a verifier be) and a grid of weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthsift.cli.plan_worlds import NumberWorld, Rates, RowWorld
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.theory.measure_audit import RATES, Audit
from synthsift.theory.mixing_limits import critical_label_noise
from synthsift.theory.mixing_worth import clean_row_worth

NUM_SIZES = 40
NOISES = np.linspace(0.0, 0.48, 25)
KEEPS = np.linspace(0.0, 1.0, 41)
WEIGHTS = np.concatenate([[0.0], np.geomspace(1e-3, 10.0, 25)])
RETUNED = np.geomspace(1e-4, 1e3, 22)
#: A gain below this is not worth more rows: 0.1 points.
TOLERANCE = 0.001
#: An accuracy this close to that of the real rows alone counts as the same: 0.01 points.
SAME = 1e-4


@dataclass(frozen=True)
class MixingAsk:
    """What is known and what is asked, beside the world.

    Parameters
    ----------
    label_noise, keep_right, keep_wrong : float
        Rates; used where there is no audit.
    audit : Audit, optional
        Replaces them by its posteriors.
    knows_noise : bool
        False where synthetic rows are at hand but nobody said how many labels are wrong: then nothing can be told about
        verifiers.
    has_verifier : bool
    num_synth : float, optional
        How many rows the user thinks of, or has.
    synth_weight : float
    num_draws, num_sizes : int
    retune : bool
        Also look for the best ridge with and without the rows.
    """

    label_noise: float = 0.0
    keep_right: float = 1.0
    keep_wrong: float = 1.0
    audit: Audit | None = None
    knows_noise: bool = True
    has_verifier: bool = False
    num_synth: float | None = None
    synth_weight: float = 1.0
    num_draws: int = 300
    num_sizes: int = NUM_SIZES
    retune: bool = True

    @property
    def rates(self) -> tuple[float, float, float]:
        """Plug-in eps, phi, rho."""
        if self.audit is not None:
            eps, phi, rho = (self.audit.rate(name).value for name in RATES)
            return eps, phi, rho
        return self.label_noise, self.keep_right, self.keep_wrong


def plan_sizes(num_real: float, num_synth: float | None, count: int = NUM_SIZES) -> np.ndarray:
    """Amounts (count,) of synthetic rows that a plan looks at, 0 first."""
    scale = max(num_real, 1.0)
    top = max(1000.0 * scale, 20.0 * (num_synth or 0.0))
    sizes = np.geomspace(max(scale / 20.0, 1.0), top, count - 1)
    if num_synth:  # the amount asked about is one of them
        sizes[int(np.argmin(np.abs(np.log(sizes / num_synth))))] = num_synth
    first = 0.0 if num_real > 0 else max(top * 1e-4, 1.0) / 2.0
    return np.concatenate([[first], sizes])


def plan_mixing(world: NumberWorld | RowWorld, ask: MixingAsk, seeds: Seeds) -> dict[str, Any]:
    """Compute the whole plan as a dictionary that JSON can hold.

    Returns
    -------
    dict
        ``sizes``, ``curves`` (none, yours, perfect: mean, low, high, gain...), ``phase``, ``target``, ``best``,
        ``keep_wrong_limit``, ``weight``, ``ridge``, ``worth``, ``rates``.

    Raises
    ------
    DataError
        For rates that no verifier has, or a world that cannot answer.
    """
    sizes = plan_sizes(world.num_real, ask.num_synth, ask.num_sizes)
    eps, phi, rho = ask.rates
    blocks = _questions(ask, world.has_own_draws, seeds)
    answer = world.accuracy(sizes, Rates.join(list(blocks.values())))
    if not np.isfinite(answer).all():
        raise DataError("the theory gives no finite accuracy at these numbers; use a larger --ridge")
    parts = dict(zip(blocks, np.split(answer, np.cumsum([len(b) for b in blocks.values()])[:-1], axis=1), strict=True))
    curves: dict[str, Any] = {name: _curve(parts[name]) for name in ("none", "yours", "perfect") if name in parts}
    own = "yours" if "yours" in curves else "none"
    at = _target(sizes, curves, own, ask.num_synth)
    plan: dict[str, Any] = {
        "num_real": world.num_real,
        "ridge": world.ridge,
        "rates": {name: _rate(ask, name) for name in RATES} if ask.knows_noise else None,
        "has_verifier": ask.has_verifier,
        "num_draws": ask.num_draws if len(blocks["none"]) > 1 else 0,
        "own": own,
        "sizes": sizes.tolist(),
        "real_only": float(parts["none"][0, 0]) if world.num_real > 0 else None,
        "curves": curves,
        "target": {"rows": float(sizes[at]), "index": at},
        "advice": {name: _reading(sizes, parts[name][:, 0]) for name in curves} if world.num_real > 0 else {},
        "weight": _best_weight(parts["weight"][at]),
        "retuned": _retuned(world, (eps, phi, rho), ask, float(sizes[at])) if ask.retune else None,
        "phase": None,
        "keep_wrong_limit": None,
        "critical_noise": None,
        "worth": None,
    }
    if ask.knows_noise:
        plan["phase"] = {"noise": NOISES.tolist(), "gain": (parts["phase"] - parts["phase"][:1]).T.tolist()}
        slack = TOLERANCE if isinstance(world, RowWorld) else SAME  # judged rows are counted, not integrated over
        plan["keep_wrong_limit"] = _keep_limit(parts["keep"][at], plan["real_only"], slack)
        plan["critical_noise"] = float(critical_label_noise(phi, rho)) if phi + rho > 0 else None
        if isinstance(world, NumberWorld):  # the worth of rows at hand is measured, because their generator may be off
            plan["worth"] = _worth(world, (eps, phi, rho), float(sizes[at]))
    return plan


def _questions(ask: MixingAsk, has_own_draws: bool, seeds: Seeds) -> dict[str, Rates]:
    """All columns that the world is asked, by what they are for."""
    eps, phi, rho = ask.rates
    uncertain = ask.audit is not None or has_own_draws
    draw = np.arange(ask.num_draws + 1) if uncertain else np.zeros(1, dtype=int)
    columns = [np.full(len(draw), value) for value in (eps, phi, rho)]
    if ask.audit is not None:
        drawn = ask.audit.draw_rates(ask.num_draws, seeds)
        columns = [np.concatenate([[v], drawn[name]]) for v, name in zip((eps, phi, rho), RATES, strict=True)]
    weight = ask.synth_weight
    noise, right, wrong = columns if ask.knows_noise else [np.zeros(len(draw)), *columns[1:]]
    blocks = {"none": Rates.of(noise, weight=weight, draw=draw)}
    if ask.knows_noise:
        if ask.has_verifier:
            blocks["yours"] = Rates.of(noise, right, wrong, weight=weight, draw=draw)
        blocks["perfect"] = Rates.of(noise, 1.0, 0.0, weight=weight, draw=draw)
        keep = (phi, rho) if ask.has_verifier else (1.0, 1.0)
        blocks["phase"] = Rates.of(NOISES, *keep, weight=weight, batch=eps)
        blocks["keep"] = Rates.of(eps, phi if ask.has_verifier else 1.0, KEEPS, weight=weight)
        blocks["weight"] = Rates.of(eps, *keep, weight=WEIGHTS)
    else:
        blocks["weight"] = Rates.of(0.0, weight=WEIGHTS)
    return blocks


def _curve(values: np.ndarray) -> dict[str, Any]:
    """Plug-in values with 95 % ranges of the draws, of accuracy and of its gain over the first amount."""
    gain = values - values[:1]
    return {
        **dict(zip(("mean", "low", "high"), _ranges(values), strict=True)),
        **dict(zip(("gain", "gain_low", "gain_high"), _ranges(gain), strict=True)),
    }


def _ranges(values: np.ndarray) -> tuple[list[float], list[float], list[float]]:
    """First column and the 2.5 and 97.5 % quantiles of the others."""
    mean = values[:, 0]
    if values.shape[1] == 1:
        return mean.tolist(), mean.tolist(), mean.tolist()
    low, high = np.quantile(values[:, 1:], [0.025, 0.975], axis=1)
    return mean.tolist(), np.minimum(low, mean).tolist(), np.maximum(high, mean).tolist()


def _target(sizes: np.ndarray, curves: dict[str, Any], own: str, num_synth: float | None) -> int:
    """Place of the amount asked about, else of where to stop, else (they never help) of ten times the real rows."""
    if num_synth:
        return int(np.argmin(np.abs(sizes - num_synth)))
    stop = _reading(sizes, np.array(curves[own]["mean"]))["enough_rows"]
    if not stop:
        return int(np.argmin(np.abs(sizes - 10.0 * max(sizes[1] * 20.0, 1.0))))
    return 1 + int(np.argmin(np.abs(np.log(sizes[1:] / stop))))


def _reading(sizes: np.ndarray, accuracy: np.ndarray) -> dict[str, Any]:
    """What one curve says: best amount, enough rows, where it is back at the real rows alone."""
    best = int(np.argmax(accuracy))
    helps = accuracy[best] - accuracy[0] > SAME
    enough = _crossing(sizes, accuracy - (accuracy[best] - TOLERANCE))
    still_rising = best == len(sizes) - 1 and (enough or 0.0) > sizes[-1] / 2.0
    return {
        "helps": bool(helps),
        "best_rows": float(sizes[best]) if helps else 0.0,
        "best_gain": float(accuracy[best] - accuracy[0]),
        "best_index": best,
        "still_rising": bool(still_rising),
        "enough_rows": enough if helps else 0.0,
        "dips": bool(accuracy[1:].min() < accuracy[0] - SAME),
        "worst_gain": float(accuracy.min() - accuracy[0]),
        "break_even_rows": _break_even(sizes, accuracy),
        "hurts_from": _hurts_from(sizes, accuracy),
    }


def _break_even(sizes: np.ndarray, accuracy: np.ndarray) -> float | None:
    """Amount at which the curve is back at its start after a dip at the beginning; None if it is not, or never dips."""
    lead = accuracy - accuracy[0]
    below = np.flatnonzero(lead < -SAME)
    if not len(below) or (lead[1 : below[0]] > SAME).any():
        return None
    return _crossing(sizes[below[0] :], lead[below[0] :])


def _hurts_from(sizes: np.ndarray, accuracy: np.ndarray) -> float | None:
    """Amount from which on more rows are worse than none, after having been better; None if there is none."""
    lead = accuracy - accuracy[0]
    best = int(np.argmax(lead))
    if lead[best] <= SAME or lead[-1] >= -SAME:
        return None
    return _crossing(sizes[best:], -lead[best:] - SAME)


def _crossing(sizes: np.ndarray, lead: np.ndarray) -> float | None:
    """First amount at which `lead` is at least 0, between grid points in proportion; None if it never is."""
    reached = np.flatnonzero(lead >= 0)
    if not len(reached):
        return None
    right = int(reached[0])
    if right == 0:
        return float(sizes[0])
    share = lead[right - 1] / (lead[right - 1] - lead[right])
    return float(sizes[right - 1] + share * (sizes[right] - sizes[right - 1]))


def _keep_limit(accuracy: np.ndarray, real_only: float | None, slack: float) -> dict[str, Any] | None:
    """Largest share of wrong labels that a verifier may keep so that the rows cost at most `slack` of accuracy.

    None without real rows.
    """
    if real_only is None:
        return None
    lead = accuracy - real_only + slack
    if lead[0] < 0:
        return {"keep_wrong": None, "reason": "even without a wrong label these rows lower the accuracy"}
    fails = np.flatnonzero(lead < 0)
    if not len(fails):
        return {"keep_wrong": 1.0, "reason": "no verification is needed for these rows not to hurt"}
    right = int(fails[0])
    share = lead[right - 1] / (lead[right - 1] - lead[right])
    limit = float(KEEPS[right - 1] + share * (KEEPS[right] - KEEPS[right - 1]))
    return {"keep_wrong": limit, "reason": ""}


def _best_weight(accuracy: np.ndarray) -> dict[str, float]:
    """Weight with the best accuracy at the amount asked about; of equal ones that closest to 1."""
    top = np.flatnonzero(accuracy >= accuracy.max() - SAME)
    best = int(top[np.argmin(np.abs(WEIGHTS[top] - 1.0))])
    return {"weight": float(WEIGHTS[best]), "accuracy": float(accuracy[best])}


def _retuned(
    world: NumberWorld | RowWorld, rates: tuple[float, float, float], ask: MixingAsk, rows: float
) -> dict[str, float]:
    """Best ridge with and without the synthetic rows: the fair comparison."""
    keep = rates[1:] if ask.has_verifier else (1.0, 1.0)
    column = Rates.of(rates[0] if ask.knows_noise else 0.0, *keep, weight=ask.synth_weight)
    ridges = np.unique(np.append(RETUNED, world.ridge))
    mixed = world.accuracy(np.full(len(ridges), rows), column, ridges)[:, 0]
    found = {"mixed_ridge": float(ridges[int(np.argmax(mixed))]), "mixed": float(mixed.max())}
    if world.num_real > 0:
        alone = world.accuracy(np.zeros(len(ridges)), column, ridges)[:, 0]
        found |= {"real_ridge": float(ridges[int(np.argmax(alone))]), "real_only": float(alone.max())}
    return found


def _worth(world: NumberWorld, rates: tuple[float, float, float], rows: float) -> dict[str, float | None]:
    """Clean real rows that the synthetic ones are worth: at this amount, each kept row, and at most."""
    eps, phi, rho = rates
    kind = world.options.get("generator", "fresh")
    if kind == "self":
        return {"of": rows, "rows": 0.0, "most": 0.0, "per_kept_row": None}
    behind = math.inf if kind == "exact" else float(world.options.get("generator_size", math.inf))
    settings = {"label_noise": eps, "keep_right": phi, "keep_wrong": rho, "generator_size": behind}
    now, most = (float(clean_row_worth(size, **settings)) for size in (rows, math.inf))
    kept, lam = phi * (1 - eps) + rho * eps, phi * (1 - eps) - rho * eps
    each = max(lam, 0.0) ** 2 / kept**2 if kept > 0 else 0.0
    return {"of": rows, "rows": now, "most": most if math.isfinite(most) else None, "per_kept_row": each}


def _rate(ask: MixingAsk, name: str) -> dict[str, Any]:
    """One rate with its interval."""
    value = dict(zip(RATES, ask.rates, strict=True))[name]
    if ask.audit is None:
        return {"value": value, "low": value, "high": value, "num_rows": None, "note": ""}
    rate = ask.audit.rate(name)
    return {"value": rate.value, "low": rate.low, "high": rate.high, "num_rows": rate.num_rows, "note": rate.note}


def check_verdict(checks: Sequence[dict[str, float]], *, good: float = 0.01, rough: float = 0.03) -> dict[str, Any]:
    """Grade a prediction by its differences to trained models.

    "good": all within `good`, or within two standard errors where they are larger, but never beyond twice `good`;
    "rough": within `rough`; "bad" otherwise; "none" without checks.
    """
    if not checks:
        return {"grade": "none", "points": [], "largest": None}
    worst = max(abs(check["difference"]) for check in checks)
    slack = max(check["standard_error"] for check in checks)
    grade = "good" if worst <= max(good, min(2.0 * slack, 2.0 * good)) else "rough" if worst <= rough else "bad"
    return {"grade": grade, "points": list(checks), "largest": worst}
