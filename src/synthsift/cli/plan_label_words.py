"""What a mixing plan says of wrong labels and of verifiers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from synthsift.cli.plan_phrases import BASELINE, about, at_weight, points
from synthsift.cli.plan_reading import direction, gain_at, predicted_gain
from synthsift.report.wording import signed

LARGE_NOISE = 0.10


def unknown_noise(plan: Mapping[str, Any], *, of_run: bool) -> list[str]:
    """What to do where nobody has looked at the labels."""
    if plan["rates"] is not None:
        return []
    how = "synthsift plan mixing RUN" if of_run else "synthsift plan mixing"
    return [
        "How many labels are wrong is not known, so that nothing can be said about verifiers. Look at 100 synthetic "
        f"rows, write down for each whether its label is right, and give {how} that file: --audit audited.csv, with "
        "the line right,kept and then lines such as 1,1 (without a verifier only right)."
    ]


def verifier(plan: Mapping[str, Any], slack: float) -> list[str]:
    """How strict a verifier must be, and what a perfect one brings."""
    limit, rates = plan["keep_wrong_limit"], plan["rates"]
    if rates is None or limit is None or rates["label_noise"]["value"] == 0:
        return []
    rows, told = about(plan["target"]["rows"]), []
    perfect, place = plan["curves"]["perfect"], plan["target"]["index"]
    clean = direction(gain_at(perfect, place), slack)
    low, high = 1 - limit["high"], 1 - limit["low"]
    if limit["keep_wrong"] is None:
        if clean == "down":
            told.append(f"No verifier makes {rows} rows safe {at_weight(plan)}: {limit['reason']}.")
    elif high - low > 0.9:
        told.append(f"How strict a verifier must be for {rows} rows not to hurt cannot be told.")
    elif limit["keep_wrong"] < 1:
        least = math.ceil(100 * (1 - limit["keep_wrong"]) - 1e-9)
        span = f" [{100 * low:.0f}, {100 * high:.0f}]" if high - low > 0.01 else ""
        told.append(
            f"Your verifier must reject at least {least} %{span} of the wrong labels for {rows} rows not to hurt"
            f"{_rejects(plan)}."
        )
    if direction(plan["perfect"], slack) in ("up", "down"):
        has = "with yours" if plan["has_verifier"] else "without one"
        own = signed(100 * predicted_gain(plan)["value"])
        told.append(
            f"With a perfect verifier {rows} rows bring {points(gain_at(perfect, place))} points {BASELINE}; "
            f"{has}, {own}."
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


def noise_left(plan: Mapping[str, Any]) -> list[str]:
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


def breakdown(plan: Mapping[str, Any]) -> list[str]:
    """How far the noise is from where synthetic labels teach the opposite."""
    critical = plan["critical_noise"]
    if plan["rates"] is None or critical is None or plan["rates"]["label_noise"]["value"] <= 0.7 * critical:
        return []
    return [
        f"Danger: at a label noise of {100 * critical:.0f} % synthetic rows alone teach nothing, and beyond it they "
        f"teach the opposite; yours is {100 * plan['rates']['label_noise']['value']:.0f} %."
    ]
