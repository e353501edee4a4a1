"""The mixing plan: accuracy against the number of synthetic rows for every verifier, and the numbers advice rests on.

One call of the world answers for all amounts: plug-in rates and posterior draws for three verifiers and a grid of label
noise (phase diagram). Another one answers for the amount asked about: a grid of keep rates (how strict must a verifier
be) and a grid of weights, both with draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from synthsift.cli.plan_reading import SAME, TOLERANCE, band, curve_of, enough_rows, keep_limit, ranges, reading_of
from synthsift.cli.plan_worlds import NumberWorld, Rates, RowWorld
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.theory.measure_audit import RATES, Audit
from synthsift.theory.mixing_limits import critical_label_noise

NUM_SIZES = 40
NOISES = np.linspace(0.0, 0.48, 25)
KEEPS = np.linspace(0.0, 1.0, 41)
WEIGHTS = np.concatenate([[0.0], np.geomspace(1e-3, 10.0, 25)])
RETUNED = np.geomspace(1e-4, 1e3, 22)
#: Draws behind the intervals of weights and of verifiers, which are asked for many at once.
FEWER_DRAWS = 100


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
        ``sizes``, ``curves`` (none, yours, perfect: mean, low, high, gain...), ``advice`` (what each curve says),
        ``phase``, ``target``, ``at_hand`` (gain of models trained with the rows at hand), ``keep_wrong_limit``,
        ``weight``, ``perfect``, ``retuned``, ``ridge``, ``rates``. Every ``gain`` is over the real rows alone.
        ``worth`` is filled in by `synthsift.cli.plan_worth`.

    Raises
    ------
    DataError
        For rates that no verifier has, or a world that cannot answer.
    """
    sizes = plan_sizes(world.num_real, ask.num_synth, ask.num_sizes)
    columns = _columns(ask, world.has_own_draws, seeds)
    parts = _answered(world, sizes, _questions(ask, columns))
    curves: dict[str, Any] = {name: curve_of(parts[name]) for name in ("none", "yours", "perfect") if name in parts}
    own = "yours" if "yours" in curves else "none"
    at = _target(sizes, parts[own], ask.num_synth)
    rows = float(sizes[at])
    has_real = world.num_real > 0
    at_hand = world if isinstance(world, RowWorld) and own == "none" and rows == len(world.t) else None
    alone = parts["none"][:1, : FEWER_DRAWS + 1] if has_real else None
    there = _answered(world, sizes[at : at + 1], _target_questions(ask, columns))
    plan: dict[str, Any] = {
        "num_real": world.num_real,
        "num_judges": world.num_judges,
        "ridge": world.ridge,
        "rates": {name: _rate(ask, name) for name in RATES} if ask.knows_noise else None,
        "has_verifier": ask.has_verifier,
        "num_draws": ask.num_draws if len(columns["draw"]) > 1 else 0,
        "own": own,
        "synth_weight": ask.synth_weight,
        "sizes": sizes.tolist(),
        "real_only": float(parts["none"][0, 0]) if has_real else None,
        "curves": curves,
        "target": {"rows": rows, "index": at},
        "told_up_to": world.told_up_to,
        "advice": {name: reading_of(sizes, parts[name], at) for name in curves} if has_real else {},
        "weight": _best_weight(there["weight"][0], alone, parts[own][at, : FEWER_DRAWS + 1]),
        "perfect": _more(parts["perfect"][at] - parts[own][at]) if "perfect" in parts else None,
        "at_hand": None if at_hand is None else _trained(at_hand, ask, world.ridge, world.ridge)["gain"],
        "retuned": _retuned(world, columns, ask, rows, at_hand=at_hand) if ask.retune else None,
        "phase": None,
        "keep_wrong_limit": None,
        "critical_noise": None,
        "worth": None,
    }
    if ask.knows_noise:
        phi, rho = ask.rates[1:]
        plan["phase"] = {"noise": NOISES.tolist(), "gain": (parts["phase"] - parts["phase"][:1]).T.tolist()}
        slack = TOLERANCE if isinstance(world, RowWorld) else SAME  # judged rows are counted, not integrated over
        if alone is not None:
            keep = there["keep"][0].reshape(len(KEEPS), -1)
            plan["keep_wrong_limit"] = keep_limit(KEEPS, keep - alone + slack)
        plan["critical_noise"] = float(critical_label_noise(phi, rho)) if phi + rho > 0 else None
    return plan


def _answered(world: NumberWorld | RowWorld, sizes: np.ndarray, blocks: dict[str, Rates]) -> dict[str, np.ndarray]:
    """Accuracy (t, D) for every block of questions."""
    answer = world.accuracy(sizes, Rates.join(list(blocks.values())))
    if not np.isfinite(answer).all():
        raise DataError("the theory gives no finite accuracy at these numbers; use a larger --ridge")
    return dict(zip(blocks, np.split(answer, np.cumsum([len(b) for b in blocks.values()])[:-1], axis=1), strict=True))


def _columns(ask: MixingAsk, has_own_draws: bool, seeds: Seeds) -> dict[str, np.ndarray]:
    """Number of every draw (1 + draws,), the plug-in first, and its rates; without a known noise the rows are right."""
    uncertain = ask.audit is not None or has_own_draws
    draw = np.arange(ask.num_draws + 1) if uncertain else np.zeros(1, dtype=int)
    columns = {name: np.full(len(draw), value) for name, value in zip(RATES, ask.rates, strict=True)}
    if ask.audit is not None:
        drawn = ask.audit.draw_rates(ask.num_draws, seeds)
        columns = {name: np.concatenate([values[:1], drawn[name]]) for name, values in columns.items()}
    if not ask.knows_noise:
        columns["label_noise"] = np.zeros(len(draw))
    return {**columns, "draw": draw}


def _questions(ask: MixingAsk, columns: dict[str, np.ndarray]) -> dict[str, Rates]:
    """What is asked at every amount, by what it is for."""
    noise, right, wrong = (columns[name] for name in RATES)
    settings = {"weight": ask.synth_weight, "draw": columns["draw"]}
    blocks = {"none": Rates.of(noise, **settings)}
    if ask.knows_noise:
        if ask.has_verifier:
            blocks["yours"] = Rates.of(noise, right, wrong, **settings)
        blocks["perfect"] = Rates.of(noise, 1.0, 0.0, **settings)
        keep = ask.rates[1:] if ask.has_verifier else (1.0, 1.0)
        blocks["phase"] = Rates.of(NOISES, *keep, weight=ask.synth_weight, batch=ask.rates[0])
    return blocks


def _target_questions(ask: MixingAsk, columns: dict[str, np.ndarray]) -> dict[str, Rates]:
    """What is asked at one amount: weights and keep rates, each with its draws in a row."""
    noise, right, wrong, draw = (columns[name][: FEWER_DRAWS + 1] for name in (*RATES, "draw"))
    if not ask.has_verifier:
        right, wrong = np.ones(len(draw)), np.ones(len(draw))
    blocks = {"weight": Rates.of(noise, right, wrong, weight=WEIGHTS[:, None], draw=draw)}
    if ask.knows_noise:
        blocks["keep"] = Rates.of(noise, right, KEEPS[:, None], weight=ask.synth_weight, draw=draw)
    return blocks


def _target(sizes: np.ndarray, values: np.ndarray, num_synth: float | None) -> int:
    """Place of the amount asked about, else of where to stop, else (they never help) of ten times the real rows."""
    if num_synth:
        return int(np.argmin(np.abs(sizes - num_synth)))
    accuracy = values[:, 0]
    if accuracy.max() - accuracy[0] <= SAME:
        return int(np.argmin(np.abs(sizes - 10.0 * max(sizes[1] * 20.0, 1.0))))
    return 1 + int(np.argmin(np.abs(np.log(sizes[1:] / max(enough_rows(sizes, accuracy), 1e-300)))))


def _best_weight(answer: np.ndarray, alone: np.ndarray | None, pooled: np.ndarray) -> dict[str, Any]:
    """Weight with the best accuracy at the amount asked about; of equal ones that closest to 1.

    Parameters
    ----------
    answer : ndarray (weights * (1 + draws),)
    alone : ndarray (1, 1 + draws), optional
        Accuracy of the real rows alone; None without any.
    pooled : ndarray (1 + draws,)
        Accuracy at the weight that was asked for.

    Returns
    -------
    dict
        ``weight``, ``accuracy``, ``gain`` over the real rows alone (None without any), ``over_pooled`` and
        ``over_none`` (weight 0: rows that only strengthen the penalty), each with its ends of a band that holds for all
        weights, because this one was picked among them.
    """
    values = answer.reshape(len(WEIGHTS), -1)  # (weights, 1 + draws)
    top = np.flatnonzero(values[:, 0] >= values[:, 0].max() - SAME)
    best = int(top[np.argmin(np.abs(WEIGHTS[top] - 1.0))])

    def lead(other: np.ndarray) -> dict[str, float]:
        low, high = band(values - other)
        return {"value": float(values[best, 0] - other.ravel()[0]), "low": float(low[best]), "high": float(high[best])}

    return {
        "weight": float(WEIGHTS[best]),
        "accuracy": float(values[best, 0]),
        "gain": None if alone is None else lead(alone),
        "over_pooled": lead(pooled[None]),
        "over_none": lead(values[:1]),
    }


def _retuned(
    world: NumberWorld | RowWorld,
    columns: dict[str, np.ndarray],
    ask: MixingAsk,
    rows: float,
    *,
    at_hand: RowWorld | None,
) -> dict[str, Any]:
    """Best ridge with and without the synthetic rows: the fair comparison; trained where these are the rows at hand."""
    noise, right, wrong, draw = (columns[name] for name in (*RATES, "draw"))
    keep = (right, wrong) if ask.has_verifier else (1.0, 1.0)
    asked = Rates.of(noise, *keep, weight=ask.synth_weight, draw=draw)
    first = Rates.of(noise[:1], *(np.ravel(rate)[:1] for rate in keep), weight=ask.synth_weight)
    ridges = np.unique(np.append(RETUNED, world.ridge))
    found: dict[str, Any] = {}
    drawn = {}
    for name, size in (("mixed", rows), *([("real", 0.0)] if world.num_real > 0 else [])):
        values = world.accuracy(np.full(len(ridges), size), first, ridges)[:, 0]
        best = int(np.argmax(values))
        found |= {f"{name}_ridge": float(ridges[best]), "real_only" if name == "real" else name: float(values[best])}
        if world.num_real > 0 and at_hand is None:
            drawn[name] = world.accuracy(np.array([size]), asked, ridges[best : best + 1])[0]
    if at_hand is not None:
        return found | _trained(at_hand, ask, found["real_ridge"], found["mixed_ridge"])
    return found | {"gain": _more(drawn["mixed"] - drawn["real"]) if drawn else None}


def _trained(world: RowWorld, ask: MixingAsk, real_ridge: float, mixed_ridge: float) -> dict[str, Any]:
    """Accuracy of models trained with and without the rows at hand, and the gain."""
    alone, mixed = world.trained(ask.synth_weight, real_ridge, mixed_ridge)
    return {"real_only": float(alone[0]), "mixed": float(mixed[0]), "gain": _more(mixed - alone)}


def _more(values: np.ndarray) -> dict[str, float]:
    """A difference (1 + draws,) with its interval."""
    return dict(zip(("value", "low", "high"), (part[0] for part in ranges(values[None])), strict=True))


def _rate(ask: MixingAsk, name: str) -> dict[str, Any]:
    """One rate with its interval."""
    value = dict(zip(RATES, ask.rates, strict=True))[name]
    if ask.audit is None:
        return {"value": value, "low": value, "high": value, "num_rows": None, "note": ""}
    rate = ask.audit.rate(name)
    return {"value": rate.value, "low": rate.low, "high": rate.high, "num_rows": rate.num_rows, "note": rate.note}
