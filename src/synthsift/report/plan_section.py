"""plan.json of a run for its report: the plan if it is whole, else None, and how it stands beside the run's verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthsift.report import wording

NEEDED = {"sizes", "curves", "real_only", "target", "sentences", "check", "notes", "positive", "negative", "num_synth"}
EVERYTHING = "Everything"  # the policy that takes all synthetic rows at weight 1
PLANNED = {
    "up": "the plan expects that all synthetic rows together help",
    "down": "the plan expects that all synthetic rows together hurt",
    "same": "the plan expects no difference to speak of from all synthetic rows together",
    "open": "the plan cannot tell whether all synthetic rows together help",
}
MEASURED = {
    "up": "the run measured a gain",
    "down": "the run measured a loss",
    "open": "the run measured neither for sure",
}
WHY = (
    "Both can be right: the plan is about a linear model in the encoder's space{classes}; the verdict was measured "
    "with the run's own classifier and counts."
)


def collect_plan(record: Any, verdict: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the plan that a run's report shows; None where there is none or the file holds something else."""
    if not isinstance(record, dict) or record.get("schema") != 1 or record.get("plan") != "mixing":
        return None
    if record.get("curves") is None:
        return {"curves": None, "reason": str(record.get("reason") or "no reason was stored")}
    if not set(record) >= NEEDED or not isinstance(record["check"], dict):
        return None
    return {"subject": "", **record, "beside_verdict": beside_verdict(record, verdict)}


def beside_verdict(plan: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """Say in a few sentences why the plan differs from what the run measured; "" where they agree in the same metric.

    Parameters
    ----------
    plan : dict
        With ``direction``, of the gain of all synthetic rows together, and ``negative``.
    verdict : dict
        Of summary.json, with the measured gain of the same rows at weight 1.
    """
    differ, other = _difference(plan, verdict), _metric(verdict)
    if other in ("", "accuracy"):
        return differ
    about = f"The plan is about accuracy, the verdict about {wording.title(other)}: the two do not weigh classes alike."
    return f"{about} {differ}".strip()


def _difference(plan: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """The sentence for two directions that differ."""
    planned, measured = plan.get("direction"), _measured(verdict)
    if planned not in PLANNED or not isinstance(measured, Mapping):
        return ""
    ends: list[Any] = [measured.get(name) for name in ("mean", "low", "high")]
    if not all(map(wording.is_number, ends)):
        return ""
    mean, low, high = ends
    found = "up" if low > 0 else "down" if high < 0 else "open"
    seen = f"{wording.signed(mean)} {wording.interval(measured)} points"
    if planned != found and (planned, found) != ("same", "open"):
        classes = ", one class against the rest" if plan.get("negative") == "the rest" else ""
        differ = f"{PLANNED[planned]}, {MEASURED[found]} with them ({seen} over real data alone)."
        return f"{differ[0].upper()}{differ[1:]} {WHY.format(classes=classes)}"
    if planned != "up" and verdict.get("use") is True and verdict.get("policy") != EVERYTHING:
        return (
            f"This is no contradiction to the verdict: that is about {wording.one_line(verdict.get('policy'), 60)}, "
            "which does not take all synthetic rows at full weight, and this plan does."
        )
    return ""


def _metric(verdict: Mapping[str, Any]) -> str:
    """The name of the metric that the verdict is in; "" where it is not known."""
    gain = verdict.get("gain")
    return str(gain.get("metric") or "") if isinstance(gain, Mapping) else ""


def _measured(verdict: Mapping[str, Any]) -> Any:
    """The gain of all synthetic rows at weight 1: the verdict's own where it is about them, else the one beside it."""
    if verdict.get("policy") == EVERYTHING and isinstance(verdict.get("gain"), Mapping):
        return verdict["gain"].get("over_real_only")
    return verdict.get("everything_over_real_only")
