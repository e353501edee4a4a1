"""The numbers of a mixing plan as advice: sentences that each carry the number they rest on.

Every gain is over the real rows alone. What an interval does not support is said to be open, or not said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from synthsift.cli.plan_check import no_advice
from synthsift.cli.plan_reading import SAME, TOLERANCE, direction, smallest_told
from synthsift.report.wording import signed

LARGE_NOISE = 0.10
#: Amounts to stop at that differ by more than this factor over the draws are no answer.
WIDE_STOP = 10.0
POINTS = "points of accuracy"
BASELINE = "over the real rows alone"


def about(number: float) -> str:
    """Return a count to two digits, with separators: 12,345 -> 12,000."""
    if number < 10:
        return f"{number:.0f}"
    digits = 1 - math.floor(math.log10(number))
    return f"{round(number, digits):,.0f}"


def points(gain: float, low: float | None = None, high: float | None = None) -> str:
    """Return a difference of accuracies in points with its sign, and its interval where there is one."""
    if low is None or high is None or high - low < 1e-12:
        return signed(100 * gain)
    return f"{signed(100 * gain)} [{signed(100 * low)}, {signed(100 * high)}]"


def gain_at(curve: Mapping[str, Any], place: int) -> str:
    """Return the gain of a curve at one of its amounts in points, with its interval."""
    return points(*(curve[name][place] for name in ("gain", "gain_low", "gain_high")))


def slack_of(plan: Mapping[str, Any], check: Mapping[str, Any]) -> float:
    """Smallest gain that this plan can tell."""
    return smallest_told(check["largest"], plan["num_judges"])


def target_direction(plan: Mapping[str, Any], check: Mapping[str, Any]) -> str:
    """What the gain at the amount asked about is shown to be.

    "up", "down", "same", "open", or "none" for a plan without real rows and for one that its check contradicts.
    """
    if plan["real_only"] is None or check["grade"] == "bad":
        return "none"
    curve, place = plan["curves"][plan["own"]], plan["target"]["index"]
    return direction(*(curve[name][place] for name in ("gain", "gain_low", "gain_high")), slack_of(plan, check))


def mixing_sentences(plan: Mapping[str, Any], check: Mapping[str, Any], *, of_run: bool = False) -> list[str]:
    """Advice, most important first; of a plan that its check contradicts, only what does not rest on it."""
    own, rows = plan["own"], about(plan["target"]["rows"])
    curve, place = plan["curves"][own], plan["target"]["index"]
    told = no_advice(check, POINTS)
    if told:
        return told + _unknown_noise(plan, of_run=of_run) + _noise_left(plan)
    if plan["real_only"] is None:
        told = [f"Without real rows, {rows} synthetic rows reach {100 * curve['mean'][place]:.1f} % accuracy."]
        return told + _noise_left(plan) + _breakdown(plan)
    slack, towards = slack_of(plan, check), target_direction(plan, check)
    told = [_amount(plan, curve, towards, slack), *_other_amounts(plan, curve, towards, slack)]
    told += _worth(plan, towards) + _weight(plan, towards, slack) + _ridge(plan, slack)
    return told + _unknown_noise(plan, of_run=of_run) + _verifier(plan, slack) + _noise_left(plan) + _breakdown(plan)


def _at_weight(plan: Mapping[str, Any]) -> str:
    """The weight of the rows, in words."""
    weight = plan["synth_weight"]
    return "as they are" if weight == 1 else f"at weight {weight:.2g}"


def _amount(plan: Mapping[str, Any], curve: Mapping[str, Any], towards: str, slack: float) -> str:
    """What the amount asked about brings over the real rows alone, and how many more to get."""
    rows, place = about(plan["target"]["rows"]), plan["target"]["index"]
    reading, how = plan["advice"][plan["own"]], _at_weight(plan)
    gain = f"{gain_at(curve, place)} points"
    if towards == "down":
        rest = ""
        if max(curve["sure_high"]) <= SAME:
            rest = "; no number of these rows helps"
        elif not _shown(curve, slack, "up"):
            rest = "; no number of these rows was shown to help"
        return f"Do not add them {how}: {rows} rows change the accuracy by {gain} {BASELINE}{rest}."
    if towards == "same":
        return f"They make no difference to speak of: {rows} rows {how}, {gain} {BASELINE}."
    if towards == "open":
        least = f"; less than {100 * slack:.1f} points cannot be told here" if slack > 0 else ""
        return f"Whether they help cannot be told: {rows} rows {how}, {gain} {BASELINE}{least}."
    best, rise = gain_at(curve, reading["best_index"]), reading["rise"]
    end = about(plan["sizes"][-1])
    if reading["still_rising"] and direction(*rise.values(), slack) == "up":
        return f"More rows keep helping up to {end}, the end of the range: {best} points there, {rows} {gain} {BASELINE}."
    if reading["still_rising"] and rise["value"] >= TOLERANCE:
        return f"They help: {rows} rows {how}, {gain} {BASELINE}. That more of them help more cannot be told."
    low, high = reading["enough_low"], reading["enough_high"]
    if high > WIDE_STOP * max(low, 1.0):
        return (
            f"They help: {rows} rows {how}, {gain} {BASELINE}. Where more of them stop helping cannot be told: at "
            f"{about(low)} to {about(high)} rows."
        )
    span = f" ({about(low)} to {about(high)})" if high - low > 0.05 * high else ""
    return (
        f"Stop at about {about(reading['enough_rows'])}{span}: beyond that you gain less than 0.1 points (the best is "
        f"{best} points {BASELINE}; {rows} bring {gain})."
    )


def _shown(curve: Mapping[str, Any], slack: float, towards: str) -> list[int]:
    """Places of the amounts whose gain is shown to go this way, in a band that holds for all amounts together."""
    columns = zip(curve["gain"], curve["sure_low"], curve["sure_high"], strict=True)
    return [place for place, ends in enumerate(columns) if direction(*ends, slack) == towards]


def _other_amounts(plan: Mapping[str, Any], curve: Mapping[str, Any], towards: str, slack: float) -> list[str]:
    """Amounts other than the one asked about where the gain is shown to be another."""
    reading, sizes = plan["advice"][plan["own"]], plan["sizes"]
    up, down = _shown(curve, slack, "up"), _shown(curve, slack, "down")
    worst, best, told = reading["worst_index"], reading["best_index"], []
    back = reading["break_even_rows"]
    if back is not None and worst in down and any(place > worst for place in up):
        told.append(
            f"Few of them lower the accuracy, about {about(sizes[worst])} by {gain_at(curve, worst)} points {BASELINE}; "
            f"you break even at about {about(back)} rows, so a small trial would mislead."
        )
    elif towards == "down" and best in up:
        told.append(f"About {about(sizes[best])} rows bring {gain_at(curve, best)} points {BASELINE}.")
    elif towards != "down" and worst in down:
        start = worst
        while start - 1 in down:
            start -= 1
        ends = len(sizes) - 1 in down
        which = f"From about {about(sizes[start])} rows on they" if ends else "Other amounts"
        told.append(
            f"{which} cost accuracy: about {about(sizes[worst])} rows change it by {gain_at(curve, worst)} points {BASELINE}."
        )
    return told


def _worth(plan: Mapping[str, Any], towards: str) -> list[str]:
    """What the rows asked about are worth in real ones, by the accuracy of the gain."""
    worth, rows = plan["worth"], about(plan["target"]["rows"])
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
        told.append(f"That is what about {about(equal - real)} more real rows would bring{span}.")
    most = worth["most"]
    if most == 0:
        also = "; what they gain at this ridge, a better ridge gains too" if towards == "up" else ""
        told.append(
            f"A generator fitted on the same real rows adds no information{also}: get other real rows for it."
        )
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
    gain, over = weight["gain"], weight["over_pooled"]
    better = weight["weight"] > 0 and direction(*gain.values(), slack) == "up"
    if better and direction(*over.values(), slack) == "up":
        place, curve = plan["target"]["index"], plan["curves"][plan["own"]]
        told = (
            f"Weigh a synthetic row {weight['weight']:.2g} where a real one has 1: {rows} rows then bring "
            f"{points(**_named(gain))} points {BASELINE}, at weight {plan['synth_weight']:.2g} "
            f"{points(curve['gain'][place])}."
        )
        return [told + (f" {_why_more(plan)}" if weight["weight"] > 1 else "")]
    if towards == "down" and not better:
        return [f"No weight was shown to make {rows} rows better than the real rows alone."]
    return []


def _named(difference: Mapping[str, float]) -> dict[str, float]:
    """A difference as the arguments of `points`."""
    return {"gain": difference["value"], "low": difference["low"], "high": difference["high"]}


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
    return f"{trusted}, though the real labels are no noisier: it makes up for a ridge that is too strong for the mixture."


def _ridge(plan: Mapping[str, Any], slack: float) -> list[str]:
    """The comparison with the best ridge of either side."""
    tuned, rows = plan["retuned"], about(plan["target"]["rows"])
    if tuned is None or tuned["gain"] is None:
        return []
    end = {
        "up": "they help", "down": "they hurt", "same": "they change nothing to speak of",
        "open": "it cannot be told whether they help",
    }[direction(*tuned["gain"].values(), slack)]  # fmt: skip
    return [
        f"With the ridge tuned for each {end}: real rows alone {100 * tuned['real_only']:.1f} % (ridge "
        f"{tuned['real_ridge']:.2g}), with {rows} synthetic rows {100 * tuned['mixed']:.1f} % (ridge "
        f"{tuned['mixed_ridge']:.2g}), {points(**_named(tuned['gain']))} points."
    ]


def _unknown_noise(plan: Mapping[str, Any], *, of_run: bool) -> list[str]:
    """What to do where nobody has looked at the labels."""
    if plan["rates"] is not None:
        return []
    how = "synthsift plan mixing RUN" if of_run else "synthsift plan mixing"
    return [
        "How many labels are wrong is not known, so nothing can be said about verifiers: look at 100 synthetic rows and "
        f"give {how} an --audit file with a column right (and kept)."
    ]


def _verifier(plan: Mapping[str, Any], slack: float) -> list[str]:
    """How strict a verifier must be, and what a perfect one brings."""
    limit, rates = plan["keep_wrong_limit"], plan["rates"]
    if rates is None or limit is None or rates["label_noise"]["value"] == 0:
        return []
    rows, told = about(plan["target"]["rows"]), []
    perfect, place = plan["curves"]["perfect"], plan["target"]["index"]
    clean = direction(*(perfect[name][place] for name in ("gain", "gain_low", "gain_high")), slack)
    low, high = 1 - limit["high"], 1 - limit["low"]
    if limit["keep_wrong"] is None:
        if clean == "down":
            told.append(f"No verifier makes {rows} rows safe {_at_weight(plan)}: {limit['reason']}.")
    elif high - low > 0.9:
        told.append(f"How strict a verifier must be for {rows} rows not to hurt cannot be told.")
    elif limit["keep_wrong"] < 1:
        least = math.ceil(100 * (1 - limit["keep_wrong"]) - 1e-9)
        span = f" [{100 * low:.0f}, {100 * high:.0f}]" if high - low > 0.01 else ""
        told.append(
            f"Your verifier must reject at least {least} %{span} of the wrong labels for {rows} rows not to hurt"
            f"{_rejects(plan)}."
        )
    if direction(*plan["perfect"].values(), slack) in ("up", "down"):
        has = "your verifier" if plan["has_verifier"] else "none"
        own = points(plan["curves"][plan["own"]]["gain"][place])
        told.append(
            f"With a perfect verifier {rows} rows bring {gain_at(perfect, place)} points {BASELINE}, with {has} {own}."
        )
    return told


def _rejects(plan: Mapping[str, Any]) -> str:
    """How much the verifier at hand rejects."""
    if not plan["has_verifier"]:
        return ""
    kept = plan["rates"]["keep_wrong"]
    low, high = 1 - kept["high"], 1 - kept["low"]
    span = f" [{100 * low:.0f}, {100 * high:.0f}]" if high - low > 1e-9 else ""
    return f"; yours rejects {100 * (1 - kept['value']):.0f} %{span}"


def _noise_left(plan: Mapping[str, Any]) -> list[str]:
    """What is left of the noise after verification: counted in the audit, or given."""
    if plan["rates"] is None:
        return []
    eps, phi, rho = (plan["rates"][name]["value"] for name in ("label_noise", "keep_right", "keep_wrong"))
    if not plan["has_verifier"]:
        phi, rho = 1.0, 1.0
    kept = phi * (1 - eps) + rho * eps
    if kept == 0:
        return ["This verifier keeps nothing."]
    left = rho * eps / kept
    if left <= LARGE_NOISE:
        return []
    which = "labels that the verifier keeps" if plan["has_verifier"] else "synthetic labels"
    return [f"Verify better first: {100 * left:.0f} % of the {which} are wrong."]


def _breakdown(plan: Mapping[str, Any]) -> list[str]:
    """How far the noise is from where synthetic labels teach the opposite."""
    critical = plan["critical_noise"]
    if plan["rates"] is None or critical is None or plan["rates"]["label_noise"]["value"] <= 0.7 * critical:
        return []
    return [
        f"Danger: at a label noise of {100 * critical:.0f} % synthetic rows alone teach nothing, beyond it they teach "
        f"the opposite; yours is {100 * plan['rates']['label_noise']['value']:.0f} %."
    ]
