"""Where the metric counts classes alike, so does the log-loss that chooses, and so do race, table and sentence."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from comparisons import compared, two_class
from synthsift.numerics.metrics import BY_CLASS, METRICS, loss_weights, row_losses
from synthsift.paired import Paired
from synthsift.race import Race
from synthsift.records import Comparison
from synthsift.seeds import Seeds
from synthsift.studies.gains import policy_rows
from synthsift.verdict import decide

RARE = 0.1


def said(y: np.ndarray, common: float, rare: float, rng: np.random.Generator, noise: float = 0.05) -> np.ndarray:
    """Probabilities (1, n, 2) that give the true class about `common` if it is 0, `rare` if it is 1."""
    right = np.clip(np.where(y == 0, common, rare) + noise * rng.standard_normal(len(y)), 0.02, 0.98)
    return two_class(y, right)


def unbalanced(seed: int, common: float, rare: float, num: int = 400) -> Comparison:
    """RealOnly, which hardly sees the rare class, beside a policy; Everything is as the policy, a little worse."""
    rng = np.random.default_rng(seed)
    y = (rng.random(num) < RARE).astype(int)
    prob = {
        "RealOnly": said(y, 0.95, 0.3, rng),
        "Everything": said(y, common - 0.1, rare - 0.1, rng),
        "P2": said(y, common, rare, rng),
    }
    return compared(y, prob)


@pytest.mark.parametrize("metric", METRICS)
def test_weights_make_the_mean_one_over_classes_or_rows(metric: str) -> None:
    rng = np.random.default_rng(0)
    y, values = rng.choice(4, 300, p=[0.6, 0.3, 0.08, 0.02]), rng.standard_normal(300)
    weights = loss_weights(metric, y)
    by_class = np.mean([values[y == k].mean() for k in np.unique(y)])
    assert weights.mean() == pytest.approx(1.0)
    assert np.mean(weights * values) == pytest.approx(by_class if metric in BY_CLASS else values.mean())


def test_a_class_without_rows_weighs_nothing() -> None:
    weights = loss_weights("balanced_accuracy", np.array([0, 0, 0, 2]))
    assert weights.tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2.0])


def test_what_serves_the_rare_class_is_chosen_where_the_metric_hears_it() -> None:
    """It costs log-loss over all rows (.78 against .95 for nine rows in ten), and gains over classes."""
    comparison = unbalanced(0, 0.78, 0.8)
    assert decide(comparison, "accuracy", Seeds(0)).policy == "RealOnly"
    assert decide(comparison, "auc", Seeds(0)).policy == "RealOnly"
    for metric in BY_CLASS:
        verdict = decide(comparison, metric, Seeds(0))
        assert verdict.policy == "P2" and verdict.metric == metric
    assert decide(comparison, "balanced_accuracy", Seeds(0)).evidence == "proven"


def test_two_policies_of_the_same_law_are_seldom_told_apart() -> None:
    """Negative control: RealOnly's law for all three; synthetic rows are recommended in few of 100 draws."""
    uses = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        y = (rng.random(300) < RARE).astype(int)
        prob = {name: said(y, 0.8, 0.55, rng, 0.2) for name in ("RealOnly", "Everything", "P2")}
        uses += decide(compared(y, prob), "balanced_accuracy", Seeds(seed)).use
    assert uses <= 10  # 5 % and three standard errors of a share of 100


def test_the_table_tells_the_loss_that_chooses() -> None:
    comparison = unbalanced(1, 0.78, 0.8)
    for metric in ("accuracy", "balanced_accuracy"):
        _, gains = policy_rows(comparison, metric)
        weights = loss_weights(metric, comparison.y)
        for row in gains:
            right = np.mean(weights * row_losses(comparison.probabilities[row["name"]][0], comparison.y))
            assert row["log_loss"] == pytest.approx(float(right))
        paired = Paired.of(comparison, metric)
        told = {row["name"]: row["log_loss"] for row in gains}
        assert told["RealOnly"] - told["P2"] == pytest.approx(float(paired.loss[:, 2].mean()))


@pytest.mark.parametrize(("metric", "stays"), [("accuracy", False), ("balanced_accuracy", True)])
def test_the_race_stops_by_the_same_loss(metric: str, stays: bool) -> None:
    comparison = unbalanced(2, 0.78, 0.8)
    study: Any = SimpleNamespace(metric=metric, budget_seconds=np.inf, workers=1, num_seeds=1, refitted=None)
    pool: Any = SimpleNamespace(y=comparison.y, group=None)
    race = Race(study, pool, list(comparison.probabilities))
    race.prob = dict(comparison.probabilities)
    race.stop_losers(0)
    assert ("P2" in race.active) is stays
