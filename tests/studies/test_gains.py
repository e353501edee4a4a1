"""Gains of classes and groups: the right rows, the right sign, and intervals that hold for few rows."""

from __future__ import annotations

import numpy as np
import pytest

from synthsift.records import Comparison
from synthsift.studies.gains import class_gains, group_gains, mean_difference, policy_rows

NAMES = ("RealOnly", "Everything", "TrustedMargin")


def comparison(n: int = 40, repetitions: int = 2, group: np.ndarray | None = None) -> Comparison:
    """RealOnly errs on all of class 1, TrustedMargin on none, Everything on class 0 in the second repetition."""
    y = np.arange(n) % 2
    said = {name: np.tile(y, (repetitions, 1)) for name in NAMES}
    said["RealOnly"][:, y == 1] = 0
    said["Everything"][1, y == 0] = 1
    prob = {name: np.eye(3)[codes] for name, codes in said.items()}
    return Comparison(
        y, np.array([f"r{k}" for k in range(n)]), ("a", "b", "c"), tuple(range(repetitions)), prob,
        dict.fromkeys(NAMES, 1.0), {}, np.tile(np.arange(n) % 5, (repetitions, 1)), group,
    )  # fmt: skip


def test_recall_and_gain_of_every_class_that_occurs() -> None:
    rows = {row["label"]: row for row in class_gains(comparison(), "TrustedMargin")}
    assert list(rows) == ["a", "b"], "no judged row has class c"
    assert [rows["a"][name] for name in ("n", "real_only", "policy", "everything")] == [20, 100.0, 100.0, 50.0]
    assert [rows["b"][name] for name in ("n", "real_only", "policy", "everything")] == [20, 0.0, 100.0, 100.0]
    assert rows["a"]["gain"]["mean"] == 0 and rows["a"]["everything_gain"]["mean"] == -50
    assert rows["a"]["everything_gain"]["high"] < 0 < rows["b"]["gain"]["low"]
    assert rows["a"]["gain"]["low"] < 0 < rows["a"]["gain"]["high"], "20 rows that agree are no proof of equality"


def test_the_gain_of_real_only_over_itself_is_exactly_zero() -> None:
    for row in class_gains(comparison(), "RealOnly"):
        assert row["gain"] == {"mean": 0.0, "low": 0.0, "high": 0.0}


def test_groups_are_told_apart_and_rows_without_one_are_left_out() -> None:
    group = np.array(["x", "y", ""] * 20)[:40]
    rows = group_gains(comparison(group=group), "TrustedMargin")
    assert [(row["group"], row["n"]) for row in rows] == [("x", 14), ("y", 13)]
    for row in rows:
        share = np.mean((np.arange(40) % 2)[group == row["group"]])
        assert row["gain"]["mean"] == pytest.approx(100 * share)
    assert group_gains(comparison(), "TrustedMargin") == []


def test_only_the_largest_groups_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    from synthsift.studies import gains

    monkeypatch.setattr(gains, "MAX_GROUPS", 2)
    group = np.array(["c"] * 20 + ["a"] * 5 + ["b"] * 15)
    assert [row["group"] for row in group_gains(comparison(group=group), "RealOnly")] == ["b", "c"]


def test_every_policy_has_a_row_and_real_only_a_gain_of_zero() -> None:
    own, gains = policy_rows(comparison(), "accuracy")
    assert [row["name"] for row in own] == [row["name"] for row in gains] == list(NAMES)
    assert [row["mean"] for row in own] == [0.5, 0.75, 1.0]
    assert [row["gain"]["mean"] for row in gains] == pytest.approx([0.0, 20.0, 40.0]), (
        "four fifths: at the size of all rows"
    )
    assert all(row["gain"]["low"] <= row["gain"]["mean"] <= row["gain"]["high"] for row in gains)


@pytest.mark.parametrize("difference", [[0.0], [1.0], [-1.0], [0.0, 0.0], [1.0] * 5])
def test_few_rows_prove_nothing(difference: list[float]) -> None:
    found = mean_difference(np.array(difference))
    assert found.low <= found.mean <= found.high and found.low >= -100 and found.high <= 100
    assert found.high - found.low > 40 and (found.low < 0 or len(difference) == 5)


def test_a_group_counts_as_one_draw_where_that_is_wider() -> None:
    rng = np.random.default_rng(0)
    shared = np.repeat(rng.choice([-1.0, 0.0, 1.0], size=20), 10)
    group = np.repeat(np.arange(20).astype(str), 10)
    alone, together = mean_difference(shared), mean_difference(shared, group)
    assert together.high - together.low > 2 * (alone.high - alone.low)
    single = mean_difference(shared, np.full(200, ""))
    assert single.high - single.low == pytest.approx(alone.high - alone.low, rel=0.03)


@pytest.mark.parametrize(("n", "p"), [(8, (0.05, 0.9, 0.05)), (20, (0.1, 0.8, 0.1)), (30, (0.02, 0.83, 0.15))])
def test_the_interval_covers_in_simulated_studies(n: int, p: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(5)
    truth = 100 * (p[2] - p[0])
    drawn = rng.choice([-1.0, 0.0, 1.0], p=p, size=(2000, n))
    intervals = [mean_difference(row) for row in drawn]
    covered = np.mean([one.low <= truth <= one.high for one in intervals])
    # 2,000 studies: a standard error of .005 at .95. It is to be no less than promised; widened intervals hold more.
    assert covered >= 0.95 - 3 * 0.005, covered


def test_the_gain_of_a_class_whose_rows_are_of_three_groups_covers() -> None:
    """300 draws of three groups that gain differently, by 0 on the mean; normal limits would miss a quarter."""
    rng, missed = np.random.default_rng(0), 0
    group = np.repeat(["a", "b", "c"], 40)
    for _ in range(300):
        up = np.repeat(np.clip(0.2 + rng.normal(0, 0.15, 3), 0, 0.4), 40)
        drawn = rng.random(120)
        found = mean_difference(np.where(drawn < up, 1.0, np.where(drawn > 0.6 + up, -1.0, 0.0)), group)
        missed += not found.low <= 0 <= found.high
    assert missed / 300 < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)
