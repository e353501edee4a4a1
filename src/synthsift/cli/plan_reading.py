"""What the curves of a mixing plan say, and which of it their intervals support.

An interval at one amount is no proof for an amount that was picked because its gain is the largest. What is said of
amounts and weights that were picked rests on bands that hold at all of them together: as many standard deviations wide
as the largest deviation among all has in 95 % of the draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

#: A gain below this is not worth more rows: 0.1 points.
TOLERANCE = 0.001
#: An accuracy this close to that of the real rows alone counts as the same: 0.01 points.
SAME = 1e-4
#: An interval of a gain within half a point to either side shows that there is no difference to speak of.
NO_DIFFERENCE = 0.005
#: Something that happens to none of n rows happens to less than 3/n of all with 95 % confidence.
RULE_OF_THREE = 3.0


def direction(gain: Mapping[str, float], slack: float = 0.0) -> str:
    """Tell what an interval of a gain supports.

    Parameters
    ----------
    gain : dict
        ``value``, ``low`` and ``high`` of a gain in accuracy; equal where nothing is uncertain.
    slack : float
        Gains up to this cannot be told, whatever the interval says: how far the predictions were off.

    Returns
    -------
    str
        "up", "down", "same" (no difference to speak of) or "open" (it cannot be told).
    """
    low, high = gain["low"], gain["high"]
    if abs(gain["value"]) >= TOLERANCE and abs(gain["value"]) > slack:
        if low > 0:
            return "up"
        if high < 0:
            return "down"
    return "same" if max(-low, high, slack) <= NO_DIFFERENCE else "open"


def smallest_told(largest_error: float | None, num_judges: int | None) -> float:
    """Smallest gain that can be told where predictions were off by `largest_error` and `num_judges` rows judged.

    A bootstrap of rows that are all right has no spread; three in n rows is what so many rows can show.
    """
    counted = RULE_OF_THREE / num_judges if num_judges else 0.0
    return max(largest_error or 0.0, counted)


def slack_of(plan: Mapping[str, Any], check: Mapping[str, Any]) -> float:
    """Smallest predicted gain that a plan can tell."""
    return smallest_told(check["largest"], plan["num_judges"])


def slack_at_target(plan: Mapping[str, Any], slack: float) -> float:
    """Smallest gain that can be told at the amount asked about: where models were trained, no prediction can be off."""
    return slack if plan["at_hand"] is None else smallest_told(None, plan["num_judges"])


def gain_at(curve: Mapping[str, Any], place: int) -> dict[str, float]:
    """Gain of a curve over the real rows alone at one of its amounts, with its interval."""
    return {"value": curve["gain"][place], "low": curve["gain_low"][place], "high": curve["gain_high"][place]}


def predicted_gain(plan: Mapping[str, Any]) -> dict[str, float]:
    """Gain at the amount asked about, as predicted."""
    return gain_at(plan["curves"][plan["own"]], plan["target"]["index"])


def target_gain(plan: Mapping[str, Any]) -> dict[str, float]:
    """Gain at the amount asked about: of trained models where these are the rows at hand, else as predicted."""
    return dict(plan["at_hand"] or predicted_gain(plan))


def target_direction(plan: Mapping[str, Any], check: Mapping[str, Any]) -> str:
    """What the gain at the amount asked about is shown to be.

    "up", "down", "same", "open", or "none" for a plan without real rows and for one that its check contradicts.
    """
    if plan["real_only"] is None or check["grade"] == "bad":
        return "none"
    return direction(target_gain(plan), slack_at_target(plan, slack_of(plan, check)))


def ranges(values: np.ndarray) -> tuple[list[float], list[float], list[float]]:
    """First column and the 2.5 and 97.5 % quantiles of the others, (t,) each."""
    mean = values[:, 0]
    if values.shape[1] == 1:
        return mean.tolist(), mean.tolist(), mean.tolist()
    low, high = np.quantile(values[:, 1:], [0.025, 0.975], axis=1)
    return mean.tolist(), np.minimum(low, mean).tolist(), np.maximum(high, mean).tolist()


def band(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends (t,) of the 95 % band that holds all rows of `values` (t, 1 + draws) together; the first column is known."""
    mean = values[:, 0]
    off = values[:, 1:] - mean[:, None]
    scale = off.std(axis=1) if off.shape[1] else np.zeros(len(mean))
    live = scale > 1e-12
    if not live.any():
        return mean, mean
    width = float(np.quantile(np.abs(off[live] / scale[live, None]).max(axis=0), 0.95))
    return mean - width * scale, mean + width * scale


def curve_of(values: np.ndarray) -> dict[str, Any]:
    """Plug-in values with 95 % ranges of the draws, of accuracy and of its gain over the first amount.

    ``sure_low`` and ``sure_high`` are the band of the gain at all amounts together.
    """
    gain = values - values[:1]
    low, high = band(gain)
    return {
        **dict(zip(("mean", "low", "high"), ranges(values), strict=True)),
        **dict(zip(("gain", "gain_low", "gain_high"), ranges(gain), strict=True)),
        "sure_low": low.tolist(),
        "sure_high": high.tolist(),
    }


def reading_of(sizes: np.ndarray, values: np.ndarray, at: int | None = None) -> dict[str, Any]:
    """What one curve (t, 1 + draws) says: best amount, enough rows, where it is back at the real rows alone.

    Intervals over the draws: of enough rows, and of what the best amount brings beyond amount number `at`.
    """
    accuracy = values[:, 0]
    best = int(np.argmax(accuracy))
    helps = accuracy[best] - accuracy[0] > SAME
    enough = enough_rows(sizes, accuracy)
    still_rising = best == len(sizes) - 1 and enough > sizes[-1] / 2.0
    ends = np.quantile([enough_rows(sizes, drawn) for drawn in values.T[1:]] or [enough], [0.025, 0.975])
    rise, rise_low, rise_high = (part[0] for part in ranges((values[best] - values[at or 0])[None]))
    return {
        "helps": bool(helps),
        "best_rows": float(sizes[best]) if helps else 0.0,
        "best_gain": float(accuracy[best] - accuracy[0]),
        "best_index": best,
        "still_rising": bool(still_rising),
        "enough_rows": enough if helps else 0.0,
        "enough_low": float(min(ends[0], enough)),
        "enough_high": float(max(ends[1], enough)),
        "rise": {"value": rise, "low": rise_low, "high": rise_high},
        "dips": bool(accuracy[1:].min() < accuracy[0] - SAME),
        "worst_gain": float(accuracy.min() - accuracy[0]),
        "worst_index": int(np.argmin(accuracy)),
        "break_even_rows": _break_even(sizes, accuracy),
    }


def enough_rows(sizes: np.ndarray, accuracy: np.ndarray) -> float:
    """Fewest rows with an accuracy within 0.1 points of the best on the curve (t,)."""
    return crossing(sizes, accuracy - (accuracy.max() - TOLERANCE)) or 0.0


def crossing(sizes: np.ndarray, lead: np.ndarray) -> float | None:
    """First amount at which `lead` is at least 0, between grid points in proportion; None if it never is."""
    reached = np.flatnonzero(lead >= 0)
    if not len(reached):
        return None
    right = int(reached[0])
    if right == 0:
        return float(sizes[0])
    share = lead[right - 1] / (lead[right - 1] - lead[right])
    return float(sizes[right - 1] + share * (sizes[right] - sizes[right - 1]))


def keep_limit(keeps: np.ndarray, lead: np.ndarray) -> dict[str, Any]:
    """Largest share of wrong labels that a verifier may keep so that the rows do not hurt.

    Parameters
    ----------
    keeps : ndarray (q,)
        Shares kept, from 0 to 1.
    lead : ndarray (q, 1 + draws)
        Accuracy above what it must reach at least.

    Returns
    -------
    dict
        ``keep_wrong``: None where even a perfect verifier is not enough; ``low`` and ``high``: range over the draws, in
        which "not enough" counts as 0.
    """
    found = [_largest_kept(keeps, drawn) for drawn in lead.T]
    value = found[0]
    drawn = [limit or 0.0 for limit in found[1:]] or [value or 0.0]
    low, high = np.quantile(drawn, [0.025, 0.975])
    reason = ""
    if value is None:
        reason = "even without a wrong label these rows lower the accuracy"
    elif value == 1.0:
        reason = "no verification is needed for these rows not to hurt"
    ends = {"low": float(min(low, value or 0.0)), "high": float(max(high, value or 0.0))}
    return {"keep_wrong": value, **ends, "reason": reason}


def _largest_kept(keeps: np.ndarray, lead: np.ndarray) -> float | None:
    """Share at which `lead` (q,) first falls below 0: None where it starts there, 1 where it never does."""
    if lead[0] < 0:
        return None
    fails = crossing(keeps, -lead)
    return 1.0 if fails is None else fails


def _break_even(sizes: np.ndarray, accuracy: np.ndarray) -> float | None:
    """Amount at which the curve is back at its start after a dip at the beginning; None if it is not, or never dips."""
    lead = accuracy - accuracy[0]
    below = np.flatnonzero(lead < -SAME)
    if not len(below) or (lead[1 : below[0]] > SAME).any():
        return None
    return crossing(sizes[below[0] :], lead[below[0] :])
