"""The numbers of a mixing plan as advice: sentences that each carry the number they rest on.

Every gain is over the real rows alone. What an interval does not support is said to be open, or not said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthsift.cli.plan_check import no_advice
from synthsift.cli.plan_label_words import breakdown, noise_left, unknown_noise, verifier
from synthsift.cli.plan_phrases import BASELINE, POINTS, about, at_weight, points, setting
from synthsift.cli.plan_reading import (
    SAME,
    TOLERANCE,
    direction,
    gain_at,
    predicted_gain,
    slack_at_target,
    slack_of,
    target_direction,
    target_gain,
)
from synthsift.report.wording import signed

#: Amounts to stop at that differ by more than this factor over the draws are no answer.
WIDE_STOP = 10.0


def mixing_sentences(plan: Mapping[str, Any], check: Mapping[str, Any], *, of_run: bool = False) -> list[str]:
    """Advice, most important first; of a plan that its check contradicts, only what does not rest on it."""
    own, rows = plan["own"], about(plan["target"]["rows"])
    curve, place = plan["curves"][own], plan["target"]["index"]
    told = no_advice(check, POINTS)
    if told:
        return told + unknown_noise(plan, of_run=of_run) + noise_left(plan)
    if plan["real_only"] is None:
        told = [f"Without real rows, {rows} synthetic rows reach {100 * curve['mean'][place]:.1f} % accuracy."]
        return told + noise_left(plan) + breakdown(plan)
    slack, towards = slack_of(plan, check), target_direction(plan, check)
    told = [_amount(plan, curve, towards, slack), *_other_amounts(plan, curve, towards, slack)]
    told += _worth(plan, towards) + _weight(plan, towards, slack) + _ridge(plan, towards, slack)
    return told + unknown_noise(plan, of_run=of_run) + verifier(plan, slack) + noise_left(plan) + breakdown(plan)


def _amount(plan: Mapping[str, Any], curve: Mapping[str, Any], towards: str, slack: float) -> str:
    """What the amount asked about brings over the real rows alone, and how many more to get."""
    rows, how = about(plan["target"]["rows"]), at_weight(plan)
    gain = f"{points(target_gain(plan))} points {BASELINE}"
    if plan["at_hand"] is not None:
        gain += " (by models trained with them)"
    if towards == "down":
        rest = ""
        if max(curve["sure_high"]) <= SAME and plan["told_up_to"] is None:
            rest = "; no number of these rows helps"
        elif not _shown(plan, curve, slack, "up"):
            rest = "; no number of these rows was shown to help"
        return f"Do not add them {how}: {rows} rows change the accuracy by {gain}{rest}."
    if towards == "same":
        return f"They make no difference to speak of: {rows} rows {how} bring {gain}."
    if towards == "open":
        return f"Whether they help cannot be told: {rows} rows {how} bring {gain}{_why_open(plan, slack)}."
    reading, most = plan["advice"][plan["own"]], plan["told_up_to"]
    beyond = most is not None and max(reading["best_rows"], reading["enough_high"]) >= most
    if beyond or reading["best_index"] not in _shown(plan, curve, slack, "up"):
        return f"They help: {rows} rows {how} bring {gain}. What more of them would bring cannot be told."
    return _where_to_stop(plan, curve, gain, slack)


def _why_open(plan: Mapping[str, Any], slack: float) -> str:
    """Why an interval of a gain that lies on one side of 0 does not tell; "" for one that holds 0."""
    gain, least = target_gain(plan), slack_at_target(plan, slack)
    if gain["low"] <= 0 <= gain["high"]:
        return ""
    return f"; less than {100 * least:.1f} points cannot be told here"


def _where_to_stop(plan: Mapping[str, Any], curve: Mapping[str, Any], gain: str, slack: float) -> str:
    """How many rows to get where they help: an amount, unless its own range is no answer."""
    reading, rows, end = plan["advice"][plan["own"]], about(plan["target"]["rows"]), about(plan["sizes"][-1])
    best, rise, helped = points(gain_at(curve, reading["best_index"])), reading["rise"], f"They help: {rows} rows"
    if reading["still_rising"] and direction(rise, slack) == "up":
        return f"More rows keep helping up to {end}, the end of the range: {best} points there; {rows} bring {gain}."
    if reading["still_rising"] and rise["value"] >= TOLERANCE:
        return f"{helped} {at_weight(plan)} bring {gain}. Whether more of them help more cannot be told."
    low, high = reading["enough_low"], reading["enough_high"]
    if high > WIDE_STOP * max(low, 1.0):
        return (
            f"{helped} {at_weight(plan)} bring {gain}. Where more of them stop helping cannot be told: somewhere "
            f"from {about(low)} to {about(high)} rows."
        )
    span = f" ({about(low)} to {about(high)})" if high - low > 0.05 * high else ""
    return (
        f"Stop at about {about(reading['enough_rows'])}{span}: beyond that you gain less than 0.1 points (the best is "
        f"{best} points; {rows} bring {gain})."
    )


def _shown(plan: Mapping[str, Any], curve: Mapping[str, Any], slack: float, towards: str) -> list[int]:
    """Places of the amounts whose gain is shown to go this way, in a band that holds for all amounts together.

    Beyond a batch of few rows the curve is a lower bound with a top and a fall of its own: nothing is shown there.
    """
    columns = zip(curve["gain"], curve["sure_low"], curve["sure_high"], strict=True)
    gains = [{"value": value, "low": low, "high": high} for value, low, high in columns]
    most = plan["told_up_to"] or float("inf")
    told = zip(gains, plan["sizes"], strict=True)
    return [k for k, (gain, size) in enumerate(told) if size <= most and direction(gain, slack) == towards]


def _other_amounts(plan: Mapping[str, Any], curve: Mapping[str, Any], towards: str, slack: float) -> list[str]:
    """Amounts other than the one asked about where the gain is shown to be another."""
    reading, sizes = plan["advice"][plan["own"]], plan["sizes"]
    up, down = _shown(plan, curve, slack, "up"), _shown(plan, curve, slack, "down")
    worst, best, told = reading["worst_index"], reading["best_index"], []
    back = reading["break_even_rows"]
    if back is not None and worst in down and any(place > worst for place in up):
        told.append(
            f"A few of them lower the accuracy: about {about(sizes[worst])} change it by "
            f"{points(gain_at(curve, worst))} points {BASELINE}. You break even at about {about(back)} rows, so that a "
            "small trial would mislead."
        )
    elif towards == "down" and best in up:
        told.append(f"About {about(sizes[best])} rows bring {points(gain_at(curve, best))} points {BASELINE}.")
    elif towards != "down" and worst in down:
        start = worst
        while start - 1 in down:
            start -= 1
        cost = f"about {about(sizes[worst])} rows change it by {points(gain_at(curve, worst))} points {BASELINE}."
        ends = len(sizes) - 1 in down
        told.append(
            f"From about {about(sizes[start])} rows on they cost accuracy: {cost}"
            if ends
            else f"Some amounts cost accuracy: {cost}"
        )
    return told


def _worth(plan: Mapping[str, Any], towards: str) -> list[str]:
    """What the rows asked about are worth in real ones, by the accuracy of the gain."""
    worth = plan["worth"]
    if worth is None:
        return []
    told, equal, real = [], worth["equal_rows"], worth["num_real"]
    if towards == "down":
        left = "fewer real rows than can be trained on" if equal is None else f"about {about(equal)} real rows alone"
        least = "a few" if worth["low"] is None else about(worth["low"])
        span = _span(least, None if worth["high"] is None else about(worth["high"]), equal)
        told.append(f"The mixture is as accurate as {left}{span}; you have {about(real)}.")
    elif equal is not None and equal > real:
        ends = [None if worth[name] is None else about(max(worth[name] - real, 0.0)) for name in ("low", "high")]
        span = _span(ends[0], ends[1] or "any number", equal)
        told.append(f"The same gain without them would take about {about(equal - real)} more real rows{span}.")
    most = worth["most"]
    if most == 0:
        also = "; what they gain at this ridge, a better ridge gains too" if towards == "up" else ""
        told.append(f"A generator fitted on the same real rows adds no information{also}: get other real rows for it.")
    elif towards == "up" and most is not None and equal is not None and equal - real <= most:
        told.append(f"This synthetic set is worth at most {about(most)} real examples, however large it grows.")
    return told


def _span(low: str | None, high: str | None, value: float | None) -> str:
    """Ends of a range in words; "" where they say no more than the value."""
    if value is None or low is None or high is None or low == high:
        return ""
    return f" ({low} to {high})"


def _weight(plan: Mapping[str, Any], towards: str, slack: float) -> list[str]:
    """Another weight, where it is shown to be better than the real rows alone and than the weight at hand."""
    weight, rows = plan["weight"], about(plan["target"]["rows"])
    gain = weight["gain"]
    better = all(direction(weight[name], slack) == "up" for name in ("gain", "over_none"))
    if better and direction(weight["over_pooled"], slack) == "up":
        told = (
            f"Weigh a synthetic row {weight['weight']:.2g} where a real one has 1: {rows} rows then bring "
            f"{points(gain)} points {BASELINE} (at weight {plan['synth_weight']:.2g}: "
            f"{signed(100 * predicted_gain(plan)['value'])})."
        )
        return [told + (f" {_why_more(plan)}" if weight["weight"] > 1 else "")]
    if towards == "down" and not better:
        return [f"No weight was shown to make {rows} rows better than the real rows alone."]
    return []


def _why_more(plan: Mapping[str, Any]) -> str:
    """Why a synthetic row may count for more than a real one.

    The best weight of a row is its share of the signal over its noise (rmt: lam/alpha for clean real rows; sigma_1^2 /
    sigma_2^2 for two linear rules that agree), so it is above 1 where real labels are noisier. The penalty grows with
    all rows, so a larger weight also takes back a ridge that has become too strong.
    """
    trusted, left = "A synthetic row is then trusted more than a real one", plan["left_over"]
    if left is None:
        return f"{trusted}."
    if left["real"] > left["synth"]:
        return (
            f"{trusted}, because the real labels are noisier in this model ({left['what']} {left['real']:.2f}, of the "
            f"synthetic ones {left['synth']:.2f})."
        )
    return (
        f"{trusted}, though the real labels are no noisier: it makes up for a ridge that is too strong for the mixture."
    )


def _ridge(plan: Mapping[str, Any], towards: str, slack: float) -> list[str]:
    """The comparison with the best ridge of either side."""
    tuned, rows = plan["retuned"], about(plan["target"]["rows"])
    if tuned is None or tuned["gain"] is None:
        return []
    found = direction(tuned["gain"], slack_at_target(plan, slack))
    if found == "open" and towards not in ("up", "down"):
        return []
    end = {
        "up": "they help", "down": "they hurt", "same": "they change nothing to speak of",
        "open": "it cannot be told whether they help",
    }[found]  # fmt: skip
    return [
        f"With the ridge tuned for each, {end}: real rows alone reach {100 * tuned['real_only']:.1f} % (ridge "
        f"{setting(tuned['real_ridge'])}), with {rows} synthetic rows {100 * tuned['mixed']:.1f} % (ridge "
        f"{setting(tuned['mixed_ridge'])}): {points(tuned['gain'])} points."
    ]
