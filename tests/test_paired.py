"""Paired differences to RealOnly and gains in drawn rows, against the metrics of another library."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss, roc_auc_score

from comparisons import compared, random_comparison, two_class
from synthsift.numerics import resampling
from synthsift.numerics.resampling import bootstrap_counts
from synthsift.paired import Paired, check_metric, metric_gains
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.sentence import METRIC_WORDS
from synthsift.verdict import decide


def direct(metric: str, y: np.ndarray, prob: np.ndarray) -> float:
    """The metric by scikit-learn."""
    said = prob.argmax(axis=1)
    if metric == "accuracy":
        return float(np.mean(said == y))
    if metric == "balanced_accuracy":
        return float(balanced_accuracy_score(y, said))
    if metric == "macro_f1":
        return float(f1_score(y, said, average="macro"))
    if metric == "log_loss":
        return -float(log_loss(y, prob, labels=range(prob.shape[1])))
    if prob.shape[1] == 2:
        return float(roc_auc_score(y, prob[:, 1]))
    return float(roc_auc_score(y, prob, multi_class="ovr"))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("metric", list(METRIC_WORDS))
def test_metric_gains_against_direct_computation(metric: str, classes: int) -> None:
    """For whole data and for drawn rows; a policy that was stopped is compared on the repetitions it has."""
    comparison = random_comparison(classes=classes)
    paired = Paired.of(comparison, "accuracy")
    assert paired.names == ("RealOnly", "Everything", "P2")
    counts = np.concatenate([np.ones((1, 120), dtype=int), bootstrap_counts(120, 1, np.random.default_rng(0))])
    for policy, name in enumerate(paired.names):
        prob = comparison.probabilities[name]
        found = metric_gains(comparison, paired, metric, counts, policy)
        for count, gain in zip(counts, found, strict=True):
            rows = np.repeat(np.arange(120), count)
            y = comparison.y[rows]
            base = comparison.probabilities["RealOnly"][: len(prob)]
            pairs = zip(prob, base, strict=True)
            right = np.mean([direct(metric, y, p[rows]) - direct(metric, y, q[rows]) for p, q in pairs])
            assert gain == pytest.approx(100 * right, abs=1e-9)


@pytest.mark.parametrize(
    ("classes", "group", "message"),
    [
        ([0] * 6 + [1] * 6, "a" * 6 + "b" * 6, "and each of the 2 groups has rows of one class only; needed are two"),
        ([2] * 12, "abcabcabcabc", "and all real rows are of one class; needed are two"),
        ([1] * 12, None, "and all real rows are of one class; needed are two"),
    ],
)
def test_an_area_under_the_curve_needs_two_classes_among_rows_left_out(
    classes: list[int], group: str | None, message: str
) -> None:
    y, member = np.array(classes), None if group is None else np.array(list(group))
    with pytest.raises(DataError, match=message):
        check_metric("auc", y, member)
    prob = np.full((1, 12, 3), 1 / 3)
    comparison = compared(y, {"RealOnly": prob, "Everything": prob}, member, 3)
    with pytest.raises(DataError, match=message):
        decide(comparison, "auc", Seeds(0))
    check_metric("accuracy", y, member)


@pytest.mark.parametrize(
    ("classes", "group"),
    [
        ([0] * 6 + [1] * 6, "a" * 3 + "b" * 9),  # where the one is drawn, the other has both classes
        ([0] * 6 + [1] * 6, "a" * 9 + "b" * 3),
        ([0] * 8 + [1] * 4, "a" * 4 + "b" * 4 + "c" * 4),  # of one class each
        ([1] + [0] * 11, None),
    ],
)
def test_where_a_draw_can_leave_out_two_classes_the_verdict_is_finite(classes: list[int], group: str | None) -> None:
    y, member = np.array(classes), None if group is None else np.array(list(group))
    own = np.random.default_rng(0).random((2, 12))
    prob = {name: two_class(y, one) for name, one in zip(("RealOnly", "Everything"), own, strict=True)}
    found = decide(compared(y, prob, member), "auc", Seeds(0))
    assert np.isfinite([found.gain.low, found.gain.high, found.everything.low, found.everything.high]).all()


@pytest.mark.parametrize("metric", list(METRIC_WORDS))
def test_gains_do_not_depend_on_the_parts_they_are_computed_in(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    comparison = random_comparison()
    paired = Paired.of(comparison, metric)
    for counts in (bootstrap_counts(120, 30, np.random.default_rng(0)), np.eye(30, 120) == 0):
        whole = metric_gains(comparison, paired, metric, counts, 2)
        wide = metric_gains(comparison, paired, metric, counts.astype(np.float64, order="F"), 2)
        assert np.array_equal(whole, wide)
        with monkeypatch.context() as context:
            context.setattr(resampling, "PART", 500)
            np.testing.assert_allclose(metric_gains(comparison, paired, metric, counts, 2), whole, rtol=1e-12)
