"""The numbers of a mixing plan as advice: sentences that each carry the number they rest on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

LARGE_NOISE = 0.10
WORTH_SAYING = 0.001


def about(number: float) -> str:
    """Return a count to two digits, with separators: 12,345 -> 12,000."""
    if number < 10:
        return f"{number:.0f}"
    digits = 1 - math.floor(math.log10(number))
    return f"{round(number, digits):,.0f}"


def points(gain: float) -> str:
    """Return a difference of accuracies in points with its sign."""
    text = f"{100 * gain:+.1f}"
    return "0.0" if float(text) == 0 else text


def spread(curve: Mapping[str, Any], place: int, name: str = "gain") -> str:
    """Return the interval of a gain at one amount in points, "" where there is none."""
    low, high = curve[f"{name}_low"][place], curve[f"{name}_high"][place]
    return "" if high - low < 1e-12 else f" [{points(low)}, {points(high)}]"


def mixing_sentences(plan: Mapping[str, Any]) -> list[str]:
    """Advice, most important first."""
    own = plan["own"]
    curve, place, rows = plan["curves"][own], plan["target"]["index"], plan["target"]["rows"]
    told: list[str] = []
    if plan["real_only"] is not None:
        told += _amount(plan, plan["advice"][own], curve, place, rows)
        told += _verifier(plan)
    else:
        told.append(
            f"Without real rows, {about(rows)} synthetic rows reach {100 * curve['mean'][place]:.1f} % accuracy."
        )
    return told + _noise(plan) + _worth(plan) + _settings(plan, curve, place, rows)


def _amount(
    plan: Mapping[str, Any], reading: Mapping[str, Any], curve: Mapping[str, Any], place: int, rows: float
) -> list[str]:
    """How many rows, and what they bring."""
    told = []
    gain = f"{points(curve['gain'][place])} points{spread(curve, place)}"
    best = f"{points(reading['best_gain'])}{spread(curve, reading['best_index'])}"
    if not reading["helps"]:
        told.append(f"Do not add them as they are: at this ridge no number of these rows helps; {about(rows)}: {gain}.")
    elif reading["best_gain"] < WORTH_SAYING and curve["gain"][place] > -WORTH_SAYING:
        told.append(
            f"They change nothing: no number of these rows brings more than {best} points; {about(rows)}: {gain}."
        )
    elif reading["best_gain"] < WORTH_SAYING:
        told.append(f"They hardly help at any number (at best {best} points); {about(rows)}: {gain}.")
    elif reading["still_rising"]:
        told.append(
            f"More rows keep helping up to {about(plan['sizes'][-1])}, the end of the range: "
            f"{best} points there; {about(rows)} bring {gain}."
        )
    else:
        told.append(
            f"Stop at about {about(reading['enough_rows'])}: beyond that you gain less than 0.1 points "
            f"(the best is {best} points over the real rows alone; {about(rows)} bring {gain})."
        )
    if reading["break_even_rows"] is not None and reading["worst_gain"] < -WORTH_SAYING:
        told.append(
            f"The first rows lower the accuracy, by up to {abs(100 * reading['worst_gain']):.1f} points; you break "
            f"even at about {about(reading['break_even_rows'])} rows, so a small trial would mislead."
        )
    if reading["hurts_from"] is not None:
        told.append(f"Above about {about(reading['hurts_from'])} rows you are worse off than with none.")
    return told


def _verifier(plan: Mapping[str, Any]) -> list[str]:
    """How strict a verifier must be, and what a perfect one would add."""
    limit, rates = plan["keep_wrong_limit"], plan["rates"]
    if rates is None:
        return [
            "How many labels are wrong is not known, so nothing can be said about verifiers: look at 100 synthetic "
            "rows and give `synthsift plan mixing` an --audit file with a column right (and kept)."
        ]
    if limit is None:
        return []
    rows, told = about(plan["target"]["rows"]), []
    if rates["label_noise"]["value"] == 0:
        return []
    if limit["keep_wrong"] is None:
        told.append(f"No verifier makes {rows} rows safe at weight 1: {limit['reason']}.")
    elif limit["keep_wrong"] < 1:
        has = ""
        if plan["has_verifier"]:
            rejects = 1 - rates["keep_wrong"]["value"]
            low, high = 1 - rates["keep_wrong"]["high"], 1 - rates["keep_wrong"]["low"]
            has = f"; yours rejects {100 * rejects:.0f} %"
            has += f" [{100 * low:.0f}, {100 * high:.0f}]" if high - low > 1e-9 else ""
        told.append(
            f"Your verifier must reject at least {math.ceil(100 * (1 - limit['keep_wrong']) - 1e-9)} % of the wrong "
            f"labels for {rows} rows not to hurt{has}."
        )
    if "perfect" in plan["curves"]:
        place = plan["target"]["index"]
        more = plan["curves"]["perfect"]["mean"][place] - plan["curves"][plan["own"]]["mean"][place]
        if abs(more) >= WORTH_SAYING:
            told.append(f"A perfect verifier would change {rows} rows by another {points(more)} points.")
    return told


def _noise(plan: Mapping[str, Any]) -> list[str]:
    """What is left of the noise, and how far it is from breaking down."""
    rates = plan["rates"]
    if rates is None:
        return []
    eps, phi, rho = (rates[name]["value"] for name in ("label_noise", "keep_right", "keep_wrong"))
    if not plan["has_verifier"]:
        phi, rho = 1.0, 1.0
    kept = phi * (1 - eps) + rho * eps
    if kept == 0:
        return ["This verifier keeps nothing."]
    left = rho * eps / kept
    told = []
    if left > LARGE_NOISE:
        which = "labels that the verifier keeps" if plan["has_verifier"] else "synthetic labels"
        told.append(f"Verify better first: {100 * left:.0f} % of the {which} are wrong.")
    if plan["critical_noise"] is not None and eps > 0.7 * plan["critical_noise"]:
        told.append(
            f"Danger: at a label noise of {100 * plan['critical_noise']:.0f} % synthetic rows alone teach nothing, "
            f"beyond it they teach the opposite; yours is {100 * eps:.0f} %."
        )
    return told


def _worth(plan: Mapping[str, Any]) -> list[str]:
    """What the rows are worth in real ones."""
    worth = plan["worth"]
    if worth is None:
        return []
    if worth["most"] == 0:
        return ["A generator fitted on the same real rows adds no information: get other real rows for it."]
    now = f"{about(worth['of'])} rows are worth {about(worth['rows'])} clean real ones"
    if worth["most"] is None:
        each = (
            "" if worth["per_kept_row"] is None else f"; a kept row counts as {worth['per_kept_row']:.2f} of a real one"
        )
        return [f"At their best weight {now}{each}."]
    return [f"This synthetic set is worth at most {about(worth['most'])} real examples; at their best weight {now}."]


def _settings(plan: Mapping[str, Any], curve: Mapping[str, Any], place: int, rows: float) -> list[str]:
    """Weight and ridge."""
    told = []
    weight = plan["weight"]
    if weight["accuracy"] - curve["mean"][place] >= WORTH_SAYING:
        gain = f"{points(weight['accuracy'] - curve['mean'][place])} points at {about(rows)} rows"
        if weight["weight"] == 0:
            told.append(f"No weight above 0 helps at {about(rows)} rows: leave them out ({gain}).")
        else:
            told.append(f"Weigh a synthetic row {weight['weight']:.2g} where a real one has 1: {gain}.")
    retuned = plan["retuned"]
    if retuned is not None and "real_only" in retuned:
        change = retuned["mixed"] - retuned["real_only"]
        end = "they help" if change > WORTH_SAYING else "they hurt" if change < -WORTH_SAYING else "they change nothing"
        told.append(
            f"With the ridge tuned for each {end}: real rows alone {100 * retuned['real_only']:.1f} % (ridge "
            f"{retuned['real_ridge']:.2g}), with {about(rows)} synthetic rows {100 * retuned['mixed']:.1f} % (ridge "
            f"{retuned['mixed_ridge']:.2g})."
        )
    return told


def check_sentence(check: Mapping[str, Any], what: str) -> str:
    """Say whether the prediction is to be believed.

    Parameters
    ----------
    check : dict
        From `check_verdict`, in accuracy or in shares of the error.
    what : str
        "points of accuracy", or "% of the error".
    """
    if check["grade"] == "none":
        return "Not checked: there were no rows to train on and compare with. This is a model, not a measurement."
    sizes = " / ".join(about(point["rows"]) for point in check["points"])
    seen = (
        f"Checked on your own rows (five folds, {sizes} synthetic rows): predictions and trained models differ by at "
        f"most {100 * check['largest']:.1f} {what}."
    )
    end = {
        "good": "Believe it within that.",
        "rough": "Believe the direction, not the digits.",
        "bad": "Do not believe this plan: your data is too far from the theory; use `synthsift run`.",
    }
    return f"{seen} {end[check['grade']]}"
