"""plan.json of a run for its report: the plan if it is whole, else None."""

from __future__ import annotations

from typing import Any

NEEDED = {"sizes", "curves", "real_only", "target", "sentences", "check", "notes", "positive", "negative", "num_synth"}


def collect_plan(record: Any) -> dict[str, Any] | None:
    """Return the plan that a run's report shows; None where there is none or the file holds something else."""
    if not isinstance(record, dict) or record.get("schema") != 1 or record.get("plan") != "mixing":
        return None
    if record.get("curves") is None:
        return {"curves": None, "reason": str(record.get("reason") or "no reason was stored")}
    return record if set(record) >= NEEDED else None
