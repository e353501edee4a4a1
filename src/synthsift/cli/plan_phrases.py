"""Numbers of a plan as they stand in its sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from synthsift.report.wording import interval, signed

POINTS = "points of accuracy"
BASELINE = "over the real rows alone"


def about(number: float) -> str:
    """Return a count to two digits, with separators: 12,345 -> 12,000."""
    if number < 10:
        return f"{number:.0f}"
    digits = 1 - math.floor(math.log10(number))
    return f"{round(number, digits):,.0f}"


def setting(number: float) -> str:
    """Return a setting such as a ridge to two digits, never as a power of ten: 1e+03 -> 1,000."""
    return about(number) if number >= 10 else f"{number:.2g}"


def points(gain: Mapping[str, float]) -> str:
    """Return a difference of accuracies in points with its sign, and its interval where there is one."""
    value, low, high = (100 * gain[name] for name in ("value", "low", "high"))
    return signed(value) if high - low < 1e-10 else f"{signed(value)} {interval({'low': low, 'high': high})}"


def at_weight(plan: Mapping[str, Any]) -> str:
    """The weight of the rows, in words."""
    weight = plan["synth_weight"]
    return "as they are" if weight == 1 else f"at weight {weight:.2g}"
