"""Numbers of the drift table and page."""

from __future__ import annotations

import math

import pytest

from synthsift.report.drift_table import small


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.01234, "0.0123"),
        (-0.5, "−0.5"),
        (1.2e-5, "1.2e−05"),
        (999.4, "999"),
        (999.6, "1,000"),
        (1570.3, "1,570"),
        (-84427.0, "−84,400"),
        (3.2e11, "3.2e+11"),
        (math.inf, "–"),
        (None, "–"),
    ],
)
def test_numbers_are_readable(value: float | None, text: str) -> None:
    assert small(value) == text
