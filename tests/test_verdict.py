"""The verdict: who is chosen, what is claimed about the chosen one, how sure, and in which words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from comparisons import compared, random_comparison, two_class
from synthsift import verdict
from synthsift.baselines.scored import TrustedMargin
from synthsift.baselines.simple import Everything, RealOnly
from synthsift.compare import Study, compare
from synthsift.data.worlds import World, harmful_labels, same_law
from synthsift.numerics.choice import recommend
from synthsift.numerics.intervals import few_units
from synthsift.numerics.resampling import bootstrap_counts
from synthsift.paired import Paired, metric_gains
from synthsift.records import Comparison, Interval
from synthsift.represent.table import FeatureTable
from synthsift.seeds import Seeds
from synthsift.sentence import METRIC_WORDS, with_weights
from synthsift.training.learners import Logistic
from synthsift.verdict import (
    WIDEN_FIXED,
    at_full_size,
    bias_corrected,
    decide,
    independent_rows,
    one_row,
    only_copies,
    paired_interval,
    seen_before,
    small_sample,
    trained_share,
)


def paired_of(loss: np.ndarray, hits: np.ndarray) -> Paired:
    names = ("RealOnly", "Everything", *(f"P{k}" for k in range(2, loss.shape[1])))
    return Paired(names, loss, hits, np.ones(len(names), dtype=bool))


def counts_of(num: int, draws: int = 200, seed: int = 0, group: np.ndarray | None = None) -> np.ndarray:
    return bootstrap_counts(num, draws, np.random.default_rng(seed), group)


# --------------------------------------------------------------------------------------------------- paired differences


def test_paired_interval_is_centered_on_the_gain_and_widened() -> None:
    comparison = random_comparison()
    paired = Paired.of(comparison, "accuracy")
    counts = counts_of(120, 400)
    found = paired_interval(comparison, paired, "accuracy", 1, counts)
    assert found.mean == pytest.approx(100 * paired.hits[:, 1].mean())
    error = 100 * paired.hits[:, 1].std() / np.sqrt(120)
    half = 1.96 * WIDEN_FIXED * np.hypot(error, 100 / 120)
    assert found.high - found.mean == pytest.approx(found.mean - found.low)
    assert found.high - found.mean == pytest.approx(half, rel=0.15)  # 4 standard errors of an SD over 400 draws


def test_paired_interval_covers() -> None:
    """300 studies of 150 rows: hits differ with known probabilities; coverage inside the binomial band."""
    rng, num, studies = np.random.default_rng(0), 150, 300
    truth = 100 * (0.22 - 0.15)
    counts = counts_of(num, 200)
    y = np.zeros(num, dtype=int)
    comparison = compared(y, {"RealOnly": two_class(y, np.full(num, 0.5)), "Everything": two_class(y, np.ones(num))})
    covered = 0
    for _ in range(studies):
        hits = np.zeros((num, 2))
        hits[:, 1] = rng.choice([1.0, 0.0, -1.0], num, p=[0.22, 0.63, 0.15])
        found = paired_interval(comparison, paired_of(np.zeros((num, 2)), hits), "accuracy", 1, counts)
        covered += found.low <= truth <= found.high
    error, more = np.sqrt((0.37 - 0.07**2) / num), 1 / num  # `one_row` widens, by 1 % here
    promised = 2 * norm.cdf(1.96 * WIDEN_FIXED * np.hypot(error, more) / error) - 1
    assert abs(covered / studies - promised) < 3 * np.sqrt(promised * (1 - promised) / studies) + 0.005
    assert covered / studies > 0.95 - 3 * np.sqrt(0.95 * 0.05 / studies)


def test_copies_within_groups_widen_the_interval() -> None:
    """Five copies of each row carry the information of one: sqrt(5) times the half-width once groups are drawn."""
    rng = np.random.default_rng(2)
    y = np.repeat(rng.integers(2, size=60), 5)
    own = np.repeat(rng.random((2, 60)), 5, axis=1)
    group = np.repeat(np.arange(60), 5).astype(str)
    comparison = compared(y, {"RealOnly": two_class(y, own[0]), "Everything": two_class(y, own[1])}, group)
    paired = Paired.of(comparison, "accuracy")
    for metric in ("accuracy", "log_loss"):
        plain, grouped = (
            paired_interval(comparison, paired, metric, 1, counts_of(300, 400, group=names)) for names in (None, group)
        )
        assert plain.mean == grouped.mean
        ratio = (grouped.high - grouped.low) / (plain.high - plain.low)
        assert ratio == pytest.approx(np.sqrt(5), rel=0.15)  # two standard deviations over 400 draws, 3.5 % each
    apart = decide(compared(y, comparison.probabilities), "accuracy", Seeds(0)).everything
    together = decide(comparison, "accuracy", Seeds(0)).everything
    assert together.high - together.low > 1.7 * (apart.high - apart.low)


@pytest.mark.parametrize("num_groups", [3, 5])
@pytest.mark.parametrize("way", ["fixed", "chosen"])
def test_intervals_of_few_groups_cover(num_groups: int, way: str) -> None:
    """300 studies whose groups differ more than their rows: plain normal limits would miss the truth once in five."""
    rng, studies, truth = np.random.default_rng(5), 300, 40.0
    group = np.repeat(np.arange(num_groups), 12).astype(str)
    y, num = np.zeros(len(group), dtype=int), len(group)
    comparison = compared(
        y, {"RealOnly": two_class(y, np.full(num, 0.5)), "Everything": two_class(y, np.ones(num))}, group
    )
    counts = counts_of(num, 200, group=group)
    missed, plain = 0, 0
    for _ in range(studies):
        loss = np.zeros((num, 2))
        loss[:, 1] = 0.4 + np.repeat(rng.normal(0, 0.1, num_groups), 12) + rng.normal(0, 0.1, num)
        paired = paired_of(loss, np.zeros((num, 2)))
        if way == "fixed":
            found = paired_interval(comparison, paired, "log_loss", 1, counts)
        else:
            corrected = bias_corrected(comparison, paired, "log_loss", counts, 1)
            assert (corrected.chosen == 1).all()
            found = corrected.loss
        missed += not found.low <= truth <= found.high
        near = (found.high - found.mean) / few_units(num_groups)
        plain += abs(found.mean - truth) > near
    assert missed / studies < 0.05 + 2 * np.sqrt(0.05 * 0.95 / studies)
    assert plain > 2 * missed


@pytest.mark.parametrize("spread", [0.0, 0.15])
def test_gains_in_accuracy_on_three_groups_cover_and_are_not_boundless(spread: float) -> None:
    """200 studies of 3 x 40 rows in which a policy is right 3 points more often, in groups that differ by `spread`."""
    rng, missed, halves = np.random.default_rng(3), 0, []
    group, y = np.repeat(["a", "b", "c"], 40), np.zeros(120, dtype=int)
    for _ in range(200):
        base = np.repeat(rng.uniform(0.6 - spread, 0.6 + spread, 3), 40)
        gain = 0.03 + np.repeat(rng.uniform(-0.3, 0.3, 3) * spread, 40)
        first = rng.random(120)
        second = np.where(rng.random(120) < 0.8, first, rng.random(120))
        real, policy = np.where(first < base, 0.7, 0.3), np.where(second < base + gain, 0.7, 0.3)
        comparison = compared(y, {"RealOnly": two_class(y, real), "Everything": two_class(y, policy)}, group)
        found = paired_interval(
            comparison, Paired.of(comparison, "accuracy"), "accuracy", 1, counts_of(120, 100, group=group)
        )
        missed += not found.low <= 3.0 <= found.high
        halves.append((found.high - found.low) / 2)
    assert missed / 200 < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)
    assert np.median(halves) < (17 if spread == 0 else 35)  # 6.1 points for 120 rows, times 2.7 for three groups


def test_rows_are_worth_as_many_as_they_differ_within_groups() -> None:
    rng, group = np.random.default_rng(0), np.repeat(np.arange(20), 10).astype(str)
    y = np.zeros(200, dtype=int)

    def worth(own: np.ndarray, group: np.ndarray | None) -> float:
        return independent_rows(compared(y, dict.fromkeys(("RealOnly", "Everything"), two_class(y, own)), group))

    apart, together = rng.random(200), np.repeat(rng.random(20), 10)
    assert worth(apart, None) == worth(apart, np.full(200, "")) == 200
    assert worth(apart, group) > 120 and worth(together, group) == pytest.approx(20, rel=0.01)
    assert worth(np.ones(200), group) == 20, "rows that are all right tell nothing of each other"
    assert worth(apart, np.full(200, "one")) == 1


def test_the_share_of_rows_that_train_is_that_of_folds_of_any_size() -> None:
    """Slow twin: what a gain of 1 / n, at the rows that each judged row's model saw, is of the one at all rows."""
    fold = np.array([[0] * 6 + [1] * 3 + [2], [0] * 5 + [1] * 5])
    measured = [10 / np.sum(one != one[row]) for one in fold for row in range(10)]
    assert trained_share(fold) == pytest.approx(1 / np.mean(measured))
    assert trained_share(np.arange(100)[None] % 5) == pytest.approx(0.8)


def rows_of(sizes: list[int], group: np.ndarray | None = None) -> Comparison:
    """A comparison of policies that agree on every row, `sizes` rows of each class."""
    y = np.repeat(np.arange(len(sizes)), sizes)
    prob = np.full((1, len(y), len(sizes)), 1 / len(sizes))
    prob[0, :, 0] += 1e-6
    return compared(y, {"RealOnly": prob, "Everything": prob}, group, len(sizes))


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy"])
@pytest.mark.parametrize("sizes", [[10, 10], [3, 17], [2, 5, 40]])
def test_one_row_is_what_the_metric_moves_by_if_a_row_changes_sides(metric: str, sizes: list[int]) -> None:
    comparison = rows_of(sizes)
    n, moves = len(comparison.y), []
    for row in range(n):
        hits = np.zeros((n, 2))
        hits[row, 1] = 1.0
        moves.append(metric_gains(comparison, paired_of(np.zeros((n, 2)), hits), metric, np.ones((1, n)), 1)[0])
    assert one_row(comparison, metric) == pytest.approx(np.sqrt(np.mean(np.square(moves))))
    assert one_row(comparison, "log_loss") == 0.0


def test_rows_of_a_group_change_sides_together() -> None:
    group = np.repeat(np.arange(5), 8).astype(str)
    assert one_row(rows_of([20, 20], group), "accuracy") == pytest.approx(100 / 5)
    assert one_row(rows_of([20, 20], group), "macro_f1") == pytest.approx(100 / 5)
    assert one_row(rows_of([20, 20], np.full(40, "")), "accuracy") == pytest.approx(100 / 40)


def test_rows_that_all_agree_are_no_proof_that_others_do() -> None:
    """A policy that wins 4 % of rows shows none of them in a sample of 12 more often than not."""
    rng, missed, widths = np.random.default_rng(8), 0, []
    y = np.arange(12) % 2
    for _ in range(200):
        win = rng.random(12) < 0.04
        own = np.where(win, 0.6, 0.4)
        comparison = compared(y, {"RealOnly": two_class(y, np.full(12, 0.4)), "Everything": two_class(y, own)})
        found = paired_interval(comparison, Paired.of(comparison, "accuracy"), "accuracy", 1, counts_of(12, 100))
        missed += not found.low <= 4.0 <= found.high
        widths.append(found.high - found.low)
    assert min(widths) > 30 and missed <= 20  # a bootstrap alone misses in all samples without a win, 61 %


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "macro_f1", "auc"])
def test_ten_rows_that_agree_are_too_few_to_tell(metric: str) -> None:
    found = decide(rows_of([5, 5]), metric, Seeds(0))
    assert (found.policy, found.use, found.reason) == ("RealOnly", False, "too little real data")
    assert found.everything.low < -10 and found.everything.high > 10
    assert decide(rows_of([200, 200]), metric, Seeds(0)).reason == "useless"


def test_no_interval_leaves_the_range_of_a_gain() -> None:
    y = np.arange(10) % 2
    right, wrong = two_class(y, np.full(10, 0.9)), two_class(y, np.full(10, 0.1))
    comparison = compared(y, {"RealOnly": wrong, "Everything": right})
    found = paired_interval(comparison, Paired.of(comparison, "accuracy"), "accuracy", 1, counts_of(10, 50))
    assert found.mean == found.high == 100.0 and found.low > 70


def test_a_gain_of_the_folds_is_brought_to_the_size_of_all_rows() -> None:
    """Two learning curves a + b_i / n: their gap at n is (K - 1) / K of the gap at the folds' size, whatever n is."""
    y = np.zeros(100, dtype=int)
    for num_folds in (2, 5, 10):
        prob = two_class(y, np.full(100, 0.5))
        comparison = replace(compared(y, {"RealOnly": prob, "Everything": prob}), fold=np.arange(100)[None] % num_folds)
        n, at = 700.0, 700.0 * (1 - 1 / num_folds)
        measured = 100 * ((0.2 + 30 / at) - (0.2 + 9 / at))
        found = at_full_size(Interval(measured, measured - 1.0, measured + 2.0), comparison)
        s = 1 - 1 / num_folds
        assert found.mean == pytest.approx(100 * 21 / n)
        law = measured * (1 - s**2) / 2
        assert found.mean - found.low == pytest.approx(np.hypot(s * 1.0, law))
        assert found.high - found.mean == pytest.approx(np.hypot(s * 2.0, law))
    nothing = at_full_size(Interval(0.0, -1.0, 1.0), comparison)
    assert (nothing.mean, nothing.low, nothing.high) == pytest.approx((0.0, -0.9, 0.9))


def test_a_rare_class_leaves_every_interval_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws without a row of the class (one in seven here) have no AUC; the others do."""
    monkeypatch.setattr(verdict, "NUM_DRAWS", 100)
    rng = np.random.default_rng(3)
    y = (np.arange(100) < 2).astype(int)
    own = rng.random((3, 100))
    names = ("RealOnly", "Everything", "P2")
    comparison = compared(y, {name: two_class(y, row) for name, row in zip(names, own, strict=True)})
    for metric in METRIC_WORDS:
        found = decide(comparison, metric, Seeds(0))
        numbers = [found.gain, found.gain_over_everything, found.everything]
        assert np.isfinite([(x.mean, x.low, x.high) for x in numbers]).all()


# ------------------------------------------------------------------------------------------- the gain of the chosen one


def test_left_out_rows_remove_the_bias_of_choosing() -> None:
    """Twelve policies, none truly better, 300 comparisons: the naive gain of the chosen is positive, BBC's is 0."""
    rng, num = np.random.default_rng(4), 100
    y = rng.integers(2, size=num)
    half = two_class(y, np.full(num, 0.5))
    comparison = compared(y, {"RealOnly": half, "Everything": half})
    counts = counts_of(num, 60)
    naive, corrected = [], []
    for _ in range(300):
        loss = np.concatenate([np.zeros((num, 1)), rng.standard_normal((num, 11))], axis=1)
        paired = paired_of(loss, np.sign(loss))
        chosen = int(recommend(loss, np.ones((1, num)))[0])
        naive.append(100 * np.sign(loss[:, chosen]).mean())
        corrected.append(bias_corrected(comparison, paired, "accuracy", counts, chosen).metric.mean)
    taken_off = np.array(naive) - np.array(corrected)
    for values, sign in ((corrected, 0), (naive, 1), (taken_off, 1)):
        z = np.mean(values) / (np.std(values, ddof=1) / np.sqrt(len(values)))
        assert abs(z) < 3 if sign == 0 else z > 3


def test_a_policy_that_was_stopped_is_not_recommended() -> None:
    """In its one repetition it looks better than all others, and simpler than what is better in all of them."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 2
    own = {"RealOnly": np.full((2, 120), 0.5), "Everything": np.full((2, 120), 0.45), "Early": np.full((1, 120), 0.8)}
    own["Late"] = 0.7 + 0.05 * rng.standard_normal((2, 120))
    prob = {name: np.concatenate([two_class(y, row) for row in rows]) for name, rows in own.items()}
    found = decide(compared(y, prob), "log_loss", Seeds(0))
    assert (found.policy, found.num_splits) == ("Late", 10)
    prob["Early"] = np.concatenate([prob["Early"]] * 2)  # not stopped: the same numbers, and it is chosen
    assert decide(compared(y, prob), "log_loss", Seeds(0)).policy == "Early"


def test_bias_corrected_by_hand() -> None:
    comparison = random_comparison(classes=2)
    paired = Paired.of(comparison, "accuracy")
    counts = counts_of(120, 50)
    found = bias_corrected(comparison, paired, "accuracy", counts, 1)
    gains, losses, beyond = [], [], []
    for count, chosen in zip(counts, found.chosen, strict=True):
        out = count == 0
        assert chosen == recommend(paired.loss[:, :2], count[None])[0], "the third was stopped"
        gains.append(100 * paired.hits[out, chosen].mean())
        losses.append(100 * paired.loss[out, chosen].mean())
        beyond.append(gains[-1] - 100 * paired.hits[out, 1].mean())
    for interval, values, row in (
        (found.metric, gains, 100 / 120),
        (found.loss, losses, 0.0),
        (found.over_everything, beyond, 100 / 120),
    ):
        assert interval.mean == pytest.approx(np.mean(values))
        half = 1.96 * verdict.WIDEN_CHOSEN * np.hypot(np.std(values, ddof=1) * np.sqrt(0.368), row)
        assert interval.high - interval.mean == pytest.approx(half, rel=1e-4)


def test_the_factor_on_the_spread_is_that_of_the_policy_chosen_on_all_rows() -> None:
    """Not of one that only some draws choose: here its hits differ in the rare class, those of the chosen do not."""
    rng = np.random.default_rng(0)
    y = (np.arange(80) < 6).astype(int)
    half = two_class(y, np.full(80, 0.5))
    comparison = compared(y, {"RealOnly": half, "Everything": half, "P2": half})
    loss, hits = np.zeros((80, 3)), np.zeros((80, 3))
    loss[:, 1:] = rng.normal(0.5, 1.0, (80, 2))
    hits[:, 1] = np.where(y == 0, rng.choice([-1.0, 1.0], 80), 0.0)
    hits[:, 2] = np.where(y == 1, rng.choice([-1.0, 1.0], 80), 0.0)
    paired, counts = paired_of(loss, hits), counts_of(80, 200)
    factor = [small_sample(comparison, paired, "balanced_accuracy", policy) for policy in (1, 2)]
    assert factor[1] > 1.1 * factor[0]
    half_width = []
    for policy in (1, 2):
        found = bias_corrected(comparison, paired, "balanced_accuracy", counts, policy)
        assert set(found.chosen) == {1, 2}
        half_width.append(found.loss.high - found.loss.mean)  # no `one_row` in the log-loss
    assert half_width[1] / half_width[0] == pytest.approx(factor[1] / factor[0])


def test_rare_rows_are_left_out_as_often_as_others() -> None:
    """Draws are not discarded for leaving out one class only: the left-out gain stays that of a row drawn at random."""
    y = (np.arange(12) == 0).astype(int)
    half = two_class(y, np.full(12, 0.5))
    comparison = compared(y, {"RealOnly": half, "Everything": half})
    hits = np.zeros((12, 2))
    hits[0, 1] = 1.0  # the gain is all in the one row of its class
    paired = paired_of(np.column_stack([np.zeros(12), np.ones(12)]), hits)
    found = bias_corrected(comparison, paired, "accuracy", counts_of(12, 2000), 1)
    assert set(found.chosen) == {1}
    assert found.metric.mean == pytest.approx(100 / 12, abs=1.5)  # 4 standard errors; 24 if such draws were discarded


# --------------------------------------------------------------------------------------------------------- the decision


def planted(better: float, sharper: float, num: int = 400, noise: float = 0.0, seed: int = 0) -> Comparison:
    """Everything hits more often by `better`, and is surer of its hits by `sharper`."""
    rng = np.random.default_rng(seed)
    y, luck = rng.integers(2, size=num), rng.random(num)
    own = np.where(luck < 0.7, 0.6, 0.4)
    all_rows = np.where(luck < 0.7 + better, 0.6 + sharper, 0.4)
    all_rows = np.clip(all_rows + noise * rng.standard_normal(num), 0.01, 0.99)
    return compared(y, {"RealOnly": two_class(y, own), "Everything": two_class(y, all_rows)})


def test_a_gain_in_the_metric_is_proven() -> None:
    found = decide(planted(0.1, 0.0), "accuracy", Seeds(0))
    assert (found.policy, found.use, found.evidence, found.reason) == ("Everything", True, "proven", "")
    assert found.gain.low > 0 and found.num_splits == 5 and found.metric == "accuracy"


def test_a_gain_in_log_loss_only_is_likely() -> None:
    found = decide(planted(0.0, 0.1), "accuracy", Seeds(0))
    assert (found.policy, found.use, found.evidence) == ("Everything", True, "likely")
    assert found.gain.mean == 0.0 and -0.7 < found.gain.low < 0 < found.gain.high < 0.7  # no row of 400 changes sides
    assert found.gain_over_everything == Interval(0.0, 0.0, 0.0)  # it is Everything
    assert decide(planted(0.0, 0.1), "log_loss", Seeds(0)).evidence == "proven"


def test_a_small_gain_is_an_unproven_best_bet() -> None:
    """The loss is better by about 1.5 standard errors: enough to be preferred, too little to be recommended."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=400)
    noise = rng.standard_normal(400)
    noise = (noise - noise.mean()) / noise.std()
    own = two_class(y, np.exp(-1.0 + 0.2 * (noise + 1.5 / np.sqrt(400))))
    comparison = compared(y, {"RealOnly": two_class(y, np.full(400, np.exp(-1.0))), "Everything": own})
    found = decide(comparison, "log_loss", Seeds(0))
    assert (found.policy, found.use, found.evidence, found.reason) == ("Everything", False, "unproven", "")


def test_harm_is_proven() -> None:
    found = decide(planted(-0.2, 0.0), "accuracy", Seeds(0))
    assert (found.policy, found.use, found.evidence, found.reason) == ("RealOnly", False, "proven", "harmful")
    assert found.gain == Interval(0.0, 0.0, 0.0) and found.everything.high < 0
    assert found.gain_over_everything.mean == -found.everything.mean
    assert found.gain_over_everything.low == -found.everything.high > 0


def test_copies_are_not_recommended_whatever_they_gain() -> None:
    found = decide(planted(0.1, 0.0), "accuracy", Seeds(0))
    copies = only_copies(found)
    assert (copies.policy, copies.use, copies.evidence, copies.reason) == ("RealOnly", False, "unproven", "copies")
    assert copies.gain == Interval(0.0, 0.0, 0.0) and copies.everything == found.everything
    assert copies.gain_over_everything.low == -found.everything.high < 0


def test_gains_on_rows_that_the_generator_knew_are_no_evidence() -> None:
    found = decide(planted(0.0, 0.1), "accuracy", Seeds(0))
    assert found.use
    seen = seen_before(found)
    assert (seen.policy, seen.use, seen.evidence, seen.reason) == (found.policy, False, "unproven", "seen")
    assert seen.gain == found.gain


def test_no_difference_is_useless() -> None:
    found = decide(planted(0.0, 0.0, noise=0.01), "accuracy", Seeds(0))
    assert (found.policy, found.use, found.evidence, found.reason) == ("RealOnly", False, "unproven", "useless")


def test_a_few_rows_cannot_tell() -> None:
    """40 rows and predictions at random: some look good, none is shown to be."""
    y, found = np.arange(40) % 2, []
    for seed in range(12):
        own = np.random.default_rng(seed).uniform(0.2, 0.9, (2, 40))
        comparison = compared(y, {"RealOnly": two_class(y, own[0]), "Everything": two_class(y, own[1])})
        found.append(decide(comparison, "accuracy", Seeds(0)))
    assert "too little real data" in {v.reason for v in found}
    for v in found:
        if v.reason == "too little real data":
            assert v.policy == "RealOnly" and not v.use and v.everything.low < 0 < v.everything.high
            assert v.everything.high - v.everything.low > verdict.UNDECIDED


def test_decide_is_repeatable() -> None:
    comparison = random_comparison()
    assert decide(comparison, "accuracy", Seeds(0)) == decide(comparison, "accuracy", Seeds(0))
    assert decide(comparison, "accuracy", Seeds(0)) != decide(comparison, "accuracy", Seeds(1))


def judged(world: World) -> Comparison:
    """A comparison of three policies, one repetition."""
    mixture = world.mixture
    x = np.concatenate([part.x for part in mixture.parts])
    policies = {"RealOnly": RealOnly(), "Everything": Everything(), "TrustedMarginFilter": TrustedMargin("filter")}
    describe = FeatureTable(x, {name: k for k, name in enumerate(mixture.ids)})
    return compare(Study(policies, mixture, x, describe, Logistic(), 1))


def test_a_world_of_wrong_labels_is_not_used() -> None:
    world = harmful_labels(Seeds(0), num_real=150, num_valid=0, num_synth=400, dim=10)
    found = decide(judged(world), "accuracy", Seeds(0))
    assert not found.use and found.everything.high < 0


def test_a_large_world_of_the_same_law_is_used() -> None:
    shape = {"num_real": 300, "num_valid": 0, "num_synth": 1200, "dim": 60, "num_classes": 4, "separation": 2.5}
    comparison = judged(same_law(Seeds(0), **shape))
    found = decide(comparison, "accuracy", Seeds(0))
    assert found.use and found.policy == "Everything" and found.evidence == "proven"
    assert found.gain.low > 0 and found.num_splits == 5
    final = with_weights(found, np.ones(1200), 1, comparison, "equal weights")
    assert final.sentence.startswith("Use 100 % of the synthetic rows with equal weights: +")
