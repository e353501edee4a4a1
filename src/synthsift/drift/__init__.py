"""Retraining loops: laws, simulations, measures of drift; a monitor, its forecast and a planner.

A public name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthsift.drift.audit import ScoreAudit, audit_score
    from synthsift.drift.forecast import forecast_drift, measure_innovation
    from synthsift.drift.monitor import Alarms, trace_of, watch_generation
    from synthsift.drift.planner import plan_loop
    from synthsift.drift.reference import learn_reference
    from synthsift.drift.traces import DriftTrace

_HOME = {
    "Alarms": "monitor",
    "DriftTrace": "traces",
    "ScoreAudit": "audit",
    "audit_score": "audit",
    "forecast_drift": "forecast",
    "learn_reference": "reference",
    "measure_innovation": "forecast",
    "plan_loop": "planner",
    "trace_of": "monitor",
    "watch_generation": "monitor",
}

__all__ = [
    "Alarms",
    "DriftTrace",
    "ScoreAudit",
    "audit_score",
    "forecast_drift",
    "learn_reference",
    "measure_innovation",
    "plan_loop",
    "trace_of",
    "watch_generation",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'synthsift.drift' has no attribute {name!r}")
    return getattr(import_module(f"synthsift.drift.{_HOME[name]}"), name)
