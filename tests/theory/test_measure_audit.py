"""Label noise and verifier quality from an audited sample."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from synthsift.records import DataError
from synthsift.theory.measure_audit import RATES, Audit, count_audit, rates_from_precision
from synthsift.theory.mixing import predict_accuracy


def test_example_of_the_specification() -> None:
    """100 audited, 80 right (72 kept), 20 wrong (6 kept): 90 % interval of accuracy .895-.912 around .9065."""
    audit = Audit(72, 8, 6, 14)
    rates = {name: audit.rate(name).value for name in RATES}
    assert rates == pytest.approx({"label_noise": 0.2, "keep_right": 0.9, "keep_wrong": 0.3})
    at = predict_accuracy(200, 800, 200, 1.5, 1.0, generator_size=4000, **rates).mean
    assert at == pytest.approx(0.9065, abs=5.1e-5)
    drawn = predict_accuracy(200, 800, 200, 1.5, 1.0, generator_size=4000, **audit.draw_rates(2000, 0)).mean
    np.testing.assert_allclose(np.quantile(drawn, [0.05, 0.95]), [0.895, 0.912], atol=1.5e-3)


def test_posteriors_are_beta_and_cover() -> None:
    rng = np.random.default_rng(0)
    truth = {"label_noise": 0.25, "keep_right": 0.85, "keep_wrong": 0.3}
    covered = dict.fromkeys(RATES, 0)
    for _ in range(300):
        right = rng.random(120) > truth["label_noise"]
        kept = rng.random(120) < np.where(right, truth["keep_right"], truth["keep_wrong"])
        audit = count_audit(right, kept)
        for name in RATES:
            rate = audit.rate(name)
            covered[name] += rate.low <= truth[name] <= rate.high
    # .95 less four standard errors over 300 studies; counts are discrete
    assert min(covered.values()) > 300 * (0.95 - 4 * np.sqrt(0.95 * 0.05 / 300))
    audit = Audit(72, 8, 6, 14)
    assert audit.rate("keep_wrong").low == pytest.approx(beta.ppf(0.025, 7, 15))
    drawn = audit.draw_rates(4000, 1)
    assert drawn["keep_wrong"].mean() == pytest.approx(7 / 22, abs=4 * drawn["keep_wrong"].std() / np.sqrt(4000))


def test_no_wrong_rows_leave_keep_wrong_unknown() -> None:
    audit = count_audit([1] * 50, [1] * 40 + [0] * 10)
    rate = audit.rate("keep_wrong")
    assert (rate.value, rate.num_rows) == (0.5, 0)
    assert rate.low == pytest.approx(0.025) and rate.high == pytest.approx(0.975)
    assert "unknown" in rate.note and rate.note in audit.notes
    assert audit.rate("label_noise").value == 0 and audit.rate("label_noise").high > 0.05


def test_nothing_kept_and_everything_kept_are_said() -> None:
    assert any("keep nothing" in note for note in count_audit([1, 0, 1], [0, 0, 0]).notes)
    assert any("before verification" in note for note in count_audit([1, 0, 1], [1, 1, 1]).notes)


def test_without_a_verifier_every_row_is_kept() -> None:
    audit = count_audit([True, False, True, True])
    assert audit.rate("keep_wrong").value == audit.rate("keep_right").low == 1.0
    assert (audit.draw_rates(5, 0)["keep_right"] == 1).all() and audit.notes == ()


def test_draws_are_repeatable() -> None:
    audit = Audit(7, 1, 2, 3)
    for name in RATES:
        np.testing.assert_array_equal(audit.draw_rates(5, 3)[name], audit.draw_rates(5, 3)[name])
        assert (audit.draw_rates(5, 3)[name] != audit.draw_rates(5, 4)[name]).any()


@pytest.mark.parametrize(
    ("right", "kept", "word"),
    [
        ([], [], "no row"),
        ([1, 0], [1], "kept has 1"),
        ([1, 2], [1, 1], "holds"),
        (["yes", "no"], [1, 1], "only 1"),
        ([1.0, np.nan], [1, 1], "nan"),
        ([[1, 0]], None, "shape"),
    ],
)
def test_bad_audits_are_refused(right: list, kept: list | None, word: str) -> None:
    with pytest.raises(DataError, match=word):
        count_audit(right, kept)


def test_bad_counts_are_refused() -> None:
    with pytest.raises(DataError, match="whole numbers"):
        Audit(-1, 2, 3, 4)
    with pytest.raises(DataError, match="no verifier"):
        Audit(3, 2, 3, 4, has_verifier=False)
    with pytest.raises(DataError, match="not known"):
        Audit(1, 1, 1, 1).rate("precision")


def test_precision_and_recall_give_the_same_rates() -> None:
    assert rates_from_precision(72 / 78, 0.9, 0.2) == pytest.approx((0.9, 0.3))
    for bad, word in (((0.0, 0.5, 0.2), "precision of 0"), ((0.1, 0.9, 0.2), "> 1"), ((0.5, 1.2, 0.2), "between")):
        with pytest.raises(DataError, match=word):
            rates_from_precision(*bad)
