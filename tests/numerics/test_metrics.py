"""Every metric against scikit-learn with sample weights and against counting; counts are repetitions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics

from reference import auc_by_pairs, macro_f1_by_counting
from synthsift.numerics.metrics import FLOOR, METRICS, class_balance, metric_value, metric_values, row_hits, row_losses

BY_SKLEARN: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
    "accuracy": lambda y, p, w: metrics.accuracy_score(y, p.argmax(axis=1), sample_weight=w),
    "balanced_accuracy": lambda y, p, w: metrics.balanced_accuracy_score(y, p.argmax(axis=1), sample_weight=w),
    "macro_f1": lambda y, p, w: metrics.f1_score(y, p.argmax(axis=1), sample_weight=w, average="macro"),
    "auc": lambda y, p, w: (
        metrics.roc_auc_score(y, p[:, 1], sample_weight=w)
        if p.shape[1] == 2
        else metrics.roc_auc_score(y, p, sample_weight=w, multi_class="ovr", labels=range(p.shape[1]))
    ),
    "log_loss": lambda y, p, w: -metrics.log_loss(y, p, sample_weight=w, labels=range(p.shape[1])),
}


def draw(num_classes: int, n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities rounded to one digit before they are normalized (so that scores tie), and counts."""
    rng = np.random.default_rng(num_classes)
    y = np.concatenate([np.arange(num_classes), rng.integers(num_classes, size=n - num_classes)])
    raw = np.round(rng.random((n, num_classes)) + 0.6 * np.eye(num_classes)[y], 1) + 0.05
    return y, raw / raw.sum(axis=1, keepdims=True), rng.integers(0, 4, size=n).astype(float)


@pytest.mark.parametrize("num_classes", [2, 3, 5])
@pytest.mark.parametrize("name", METRICS)
def test_metrics_agree_with_sklearn(name: str, num_classes: int) -> None:
    y, prob, counts = draw(num_classes)
    assert metric_value(name, y, prob, counts) == pytest.approx(BY_SKLEARN[name](y, prob, counts), abs=1e-12)


@pytest.mark.parametrize("num_classes", [2, 4])
@pytest.mark.parametrize("name", METRICS)
def test_a_count_is_a_repetition(name: str, num_classes: int) -> None:
    y, prob, counts = draw(num_classes)
    rows = np.repeat(np.arange(len(y)), counts.astype(int))
    plain = metric_value(name, y[rows], prob[rows], np.ones(len(rows)))
    assert metric_value(name, y, prob, counts) == pytest.approx(plain, abs=1e-12)


@pytest.mark.parametrize("num_classes", [2, 4])
@pytest.mark.parametrize("name", METRICS)
def test_many_samples_at_once_are_one_after_the_other(name: str, num_classes: int) -> None:
    """More than a chunk of them; in some a class is missing, in one all but one class."""
    y, prob, _ = draw(num_classes)
    counts = np.random.default_rng(1).integers(0, 2, size=(120, len(y))).astype(float)
    counts[7] = y == 1
    counts[8:40, y == 0] = 0
    values = metric_values(name, y, prob, counts)
    assert values.shape == (120,)
    checked = 0
    for b, c in enumerate(counts):
        kept = c > 0
        if name in ("accuracy", "log_loss") or len(np.unique(y[kept])) == num_classes:  # else scikit-learn objects
            assert values[b] == pytest.approx(BY_SKLEARN[name](y, prob, c), abs=1e-12), b
            checked += 1
    assert checked > 80
    if name == "balanced_accuracy":
        assert values[7] == pytest.approx(np.mean(prob[y == 1].argmax(axis=1) == 1))
    assert name != "auc" or np.isnan(values[7])
    assert np.isfinite(np.delete(values, 7)).all() or (name == "auc" and num_classes == 2)


def test_metrics_agree_with_counting() -> None:
    y, prob, counts = draw(3)
    assert metric_value("macro_f1", y, prob, np.ones(60)) == pytest.approx(macro_f1_by_counting(y, prob.argmax(axis=1)))
    one = y == 1
    two = np.stack([1 - prob[:, 1], prob[:, 1]], axis=1)
    assert metric_value("auc", one.astype(int), two, counts) == pytest.approx(auc_by_pairs(one, prob[:, 1], counts))


def test_f1_is_the_mean_over_the_classes_that_occur() -> None:
    # class 2 is told but never true: scikit-learn would count its F1 as 0
    y, prob = np.array([0, 0, 1, 1]), np.eye(3)[[0, 2, 1, 1]]
    assert metric_value("macro_f1", y, prob, np.ones(4)) == pytest.approx((2 / 3 + 1) / 2)


def test_auc_needs_two_classes_that_occur() -> None:
    prob = np.full((3, 2), 0.5)
    assert np.isnan(metric_value("auc", np.zeros(3, dtype=int), prob, np.ones(3)))
    assert metric_value("auc", np.array([0, 1, 1]), prob, np.ones(3)) == 0.5


def test_one_confident_error_is_charged_no_more_than_the_floor() -> None:
    assert row_losses(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1])).tolist() == [0.0, -np.log(FLOOR)]


def test_hits_and_balance() -> None:
    prob, y = np.array([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]]), np.array([0, 1, 1])
    assert row_hits(prob, y).tolist() == [1.0, 1.0, 0.0]
    counts = np.array([3.0, 1.0, 2.0])
    weight = class_balance(y, counts)
    assert np.bincount(y, weights=weight).tolist() == [1.0, 1.0]
    assert class_balance(np.array([0, 2]), np.array([0.0, 5.0])).tolist() == [0.0, 1.0]


def test_an_unknown_metric_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'f2'.*known are accuracy, balanced_accuracy, macro_f1, auc, log_loss"):
        metric_value("f2", np.zeros(1, dtype=int), np.ones((1, 2)), np.ones(1))
