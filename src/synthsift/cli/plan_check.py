"""Whether a plan is to be believed: the grade of its differences to trained models, and that grade in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


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


def no_advice(check: Mapping[str, Any], what: str) -> list[str]:
    """Return what stands in place of advice where trained models contradict the plan; empty where they do not."""
    if check["grade"] != "bad":
        return []
    return [f"No advice: trained models contradict the predictions by up to {100 * check['largest']:.1f} {what}."]


def check_sentence(check: Mapping[str, Any], what: str, *, of_run: bool = False) -> str:
    """Say whether the prediction is to be believed.

    Parameters
    ----------
    check : dict
        From `check_verdict`, in accuracy or in shares of the error.
    what : str
        "points of accuracy", or "% of the error".
    of_run : bool
        True for the rows of a run, which has measured what the plan could not predict.
    """
    if check["grade"] == "none":
        return "Not checked: there were no rows to train on and compare with. This is a model, not a measurement."
    sizes = " / ".join(f"{point['rows']:,.0f}" for point in check["points"])
    seen = (
        f"Checked on your own rows (five folds, {sizes} synthetic rows): predictions and trained models differ by at "
        f"most {100 * check['largest']:.1f} {what}."
    )
    instead = "the verdict of the run was measured and counts" if of_run else "measure instead, with synthsift run"
    end = {
        "good": "Believe it within that.",
        "rough": "Believe the direction, not the digits.",
        "bad": f"Do not believe this plan: your data is too far from the theory; {instead}.",
    }
    return f"{seen} {end[check['grade']]}"
