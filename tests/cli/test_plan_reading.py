"""What intervals support: directions, bands over many amounts, limits of a verifier."""

from __future__ import annotations

import numpy as np
import pytest

from synthsift.cli.plan_reading import (
    band,
    curve_of,
    direction,
    enough_rows,
    keep_limit,
    reading_of,
    smallest_told,
    target_direction,
)


@pytest.mark.parametrize(
    ("ends", "slack", "told"),
    [
        ((0.03, 0.01, 0.05), 0.0, "up"),
        ((0.03, 0.01, 0.05), 0.04, "open"),  # the predictions were off by more
        ((-0.03, -0.05, -0.01), 0.0, "down"),
        ((-0.03, -0.06, 0.001), 0.0, "open"),
        ((0.0, -0.02, 0.02), 0.0, "open"),
        ((0.001, -0.004, 0.005), 0.0, "same"),
        ((0.001, -0.004, 0.005), 0.02, "open"),  # half a point is not known so well
        ((0.0005, 0.0005, 0.0005), 0.0, "same"),  # nothing uncertain
        ((0.002, 0.002, 0.002), 0.0, "up"),
        ((0.0, 0.0, 0.0), smallest_told(None, 40), "open"),  # 40 rows that are all right
        ((0.0, 0.0, 0.0), smallest_told(None, 2000), "same"),
    ],
)
def test_what_an_interval_supports(ends: tuple[float, float, float], slack: float, told: str) -> None:
    assert direction(dict(zip(("value", "low", "high"), ends, strict=True)), slack) == told


def test_smallest_gain_is_the_larger_of_the_errors() -> None:
    assert smallest_told(0.02, 300) == 0.02
    assert smallest_told(0.002, 300) == pytest.approx(0.01)  # the rule of three
    assert smallest_told(None, None) == 0.0


def test_a_band_holds_all_amounts_together_where_pointwise_intervals_do_not() -> None:
    rng = np.random.default_rng(0)
    scale = np.linspace(0.5, 3.0, 12)[:, None]
    joint = single = 0
    for _ in range(300):
        off = scale * rng.standard_normal((12, 1))  # of the estimate from the truth, which is 0
        low, high = band(np.hstack([off, off + scale * rng.standard_normal((12, 1000))]))
        joint += bool(((low <= 0) & (high >= 0)).all())
        single += bool((np.abs(off) <= 1.96 * scale).all())
    assert 0.92 <= joint / 300 <= 0.98
    assert single / 300 < 0.7


def test_a_band_of_certain_values_is_the_values() -> None:
    values = np.array([[0.0], [1.0]])
    for found in (band(values), band(np.hstack([values, values, values]))):
        assert np.array_equal(found, (values[:, 0], values[:, 0]))


def test_enough_rows_have_the_range_of_the_draws() -> None:
    sizes = np.array([0.0, 10.0, 100.0, 1000.0])
    values = np.array([[0.7, 0.7, 0.7], [0.78, 0.74, 0.8], [0.8, 0.79, 0.8], [0.8, 0.8, 0.8]])
    reading = reading_of(sizes, values, at=1)
    each = [enough_rows(sizes, drawn) for drawn in values.T]
    assert reading["enough_rows"] == each[0]
    assert min(each) <= reading["enough_low"] < reading["enough_high"] <= max(each)
    assert (
        reading["rise"]["value"] == pytest.approx(0.02)
        and reading["rise"]["low"] < 0.01 < 0.04 < reading["rise"]["high"]
    )
    certain = reading_of(sizes, values[:, :1])
    assert certain["enough_low"] == certain["enough_rows"] == certain["enough_high"]


def test_keep_limit_and_its_range() -> None:
    keeps = np.linspace(0, 1, 11)
    lead = np.stack([0.35 - keeps, 0.15 - keeps, 0.75 - keeps], axis=1)
    limit = keep_limit(keeps, lead)
    assert limit["keep_wrong"] == pytest.approx(0.35) and 0.15 < limit["low"] < 0.2 and 0.7 < limit["high"] < 0.75
    assert keep_limit(keeps, -1 - keeps[:, None])["keep_wrong"] is None
    assert keep_limit(keeps, 2 - keeps[:, None])["keep_wrong"] == 1.0


def test_models_trained_at_the_target_count_and_a_refuted_plan_has_no_direction() -> None:
    curve = curve_of(np.array([[0.8, 0.8, 0.8], [0.85, 0.84, 0.86]]))
    plan = {
        "real_only": 0.8, "own": "none", "curves": {"none": curve}, "target": {"index": 1}, "num_judges": 1000,
        "at_hand": None,
    }  # fmt: skip
    good, bad = {"grade": "good", "largest": 0.01}, {"grade": "bad", "largest": 0.2}
    assert target_direction(plan, good) == "up" and target_direction(plan, bad) == "none"
    assert target_direction(plan, {"grade": "rough", "largest": 0.06}) == "open"
    loss = {"value": -0.05, "low": -0.07, "high": -0.03}
    assert target_direction({**plan, "at_hand": loss}, good) == "down"
    assert target_direction({**plan, "real_only": None}, good) == "none"
