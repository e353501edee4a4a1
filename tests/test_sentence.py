"""Shares of the synthetic rows, and the closing sentence in all its forms."""

from __future__ import annotations

import re

import numpy as np
import pytest

from comparisons import compared, two_class
from synthsift.records import Interval, Verdict
from synthsift.sentence import METRIC_WORDS, effective_fraction, keep_fraction, keep_mask, with_weights

# ------------------------------------------------------------------------------------------------------------ fractions


def test_kept_rows_weigh_more_than_a_tenth_of_the_mean() -> None:
    weights = np.array([0.0, 1.0, 2.0, 3.0, 0.1, 0.2])  # positive mean 1.26
    assert np.array_equal(keep_mask(weights), [False, True, True, True, False, True])
    assert keep_fraction(weights) == pytest.approx(4 / 6)
    assert keep_fraction(np.ones(7)) == 1.0 and keep_fraction(5 * weights) == keep_fraction(weights)
    assert keep_fraction(np.zeros(3)) == 0.0 and keep_fraction(np.zeros(0)) == 0.0
    assert not keep_mask(np.zeros(3)).any()


def test_effective_fraction() -> None:
    assert effective_fraction(np.full(9, 0.3)) == pytest.approx(1.0)
    assert effective_fraction(np.array([1.0, 0, 0, 0])) == 0.25
    assert effective_fraction(np.array([3.0, 1.0])) == pytest.approx(16 / (2 * 10))
    assert effective_fraction(np.zeros(4)) == 0.0 and effective_fraction(np.zeros(0)) == 0.0


# -------------------------------------------------------------------------------------------------------- the sentence

WIDE, NARROW, BELOW = Interval(1.0, -4.0, 6.0), Interval(-0.2, -1.1, 0.7), Interval(-5.0, -6.5, -3.5)
CLEAR, SMALL_GAIN = Interval(2.4, 1.2, 3.6), Interval(0.1, -0.8, 1.0)


def worded(
    policy: str,
    use: bool,
    evidence: str,
    reason: str = "",
    gain: Interval = CLEAR,
    everything: Interval = NARROW,
    metric: str = "accuracy",
    times: float = 1,
    weights: np.ndarray | None = None,
    seen_by: tuple[str, ...] = ("llm",),
) -> Verdict:
    """A verdict with its sentence, for 250 real rows and 25 splits."""
    plain = Verdict(policy, use, evidence, reason, gain, CLEAR, everything, metric, 25)
    y = np.arange(250) % 2
    half = two_class(y, np.full(250, 0.5))
    synth = np.array([1.0, 1.0, 1.0, 0.0]) if weights is None else weights
    comparison = compared(y, {"RealOnly": half, "Everything": half})
    return with_weights(plain, synth, times, comparison, "TrustedMargin filter", seen_by)


CASES = {
    "proven": ("TrustedMarginFilter", True, "proven"),
    "likely": ("TrustedMarginFilter", True, "likely", "", SMALL_GAIN),
    "unproven": ("TrustedMarginFilter", False, "unproven", "", SMALL_GAIN),
    "everything": ("Everything", True, "proven"),
    "harmful": ("RealOnly", False, "proven", "harmful", Interval(0, 0, 0), BELOW),
    "useless": ("RealOnly", False, "unproven", "useless", Interval(0, 0, 0), NARROW),
    "too little": ("RealOnly", False, "unproven", "too little real data", Interval(0, 0, 0), WIDE),
    "copies": ("RealOnly", False, "unproven", "copies", Interval(0, 0, 0), NARROW),
    "behind": ("TrustedMarginFilter", False, "unproven", "", Interval(-1.3, -2.6, 0.1)),
    "seen": ("TrustedMarginFilter", False, "unproven", "seen"),
    "all harmful": ("TrustedMarginFilter", False, "unproven", "", SMALL_GAIN, BELOW),
}
NOT_SHOWN = (
    "The synthetic rows are not shown to help: stay with the real ones unless something else speaks for adding them. "
    "The best bet is "
)
SENTENCES = {
    "proven": "Use 75 % of the synthetic rows with TrustedMargin filter: +2.4 [1.2, 3.6] points accuracy over real "
    "data alone (proven; 25 paired splits). All of it unweighted: -0.2 [-1.1, 0.7].",
    "likely": "Use 75 % of the synthetic rows with TrustedMargin filter: +0.1 [-0.8, 1.0] points accuracy over real "
    "data alone (likely: better in log-loss, not proven in accuracy; 25 paired splits). All of it unweighted: "
    "-0.2 [-1.1, 0.7].",
    "unproven": NOT_SHOWN + "75 % of the synthetic rows with TrustedMargin filter: "
    "+0.1 [-0.8, 1.0] points accuracy over real data alone (unproven; 25 paired splits). All of it unweighted: "
    "-0.2 [-1.1, 0.7].",
    "behind": NOT_SHOWN.replace("bet is", "bet by log-loss is") + "75 % of the synthetic rows with TrustedMargin "
    "filter, which shows no gain: -1.3 [-2.6, 0.1] points accuracy over real data alone (unproven; 25 paired splits). "
    "All of it unweighted: -0.2 [-1.1, 0.7].",
    "seen": "The synthetic rows are not shown to help: the generator of llm was fitted on the very rows that "
    "judge them (SS154), so that gains are optimistic. The best bet is 75 % of the synthetic rows with TrustedMargin "
    "filter: +2.4 [1.2, 3.6] points accuracy over real data alone (optimistic; 25 paired splits). All of it "
    "unweighted: "
    "-0.2 [-1.1, 0.7].",
    "all harmful": "Do not use this synthetic data as it is: as a whole it is harmful, and no use of it was shown to "
    "help. The best bet is 75 % of the synthetic rows with TrustedMargin filter: +0.1 [-0.8, 1.0] points accuracy over "
    "real data alone (unproven; 25 paired splits). All of it unweighted: -5.0 [-6.5, -3.5].",
    "copies": "Do not use this synthetic data: every row of it copies a real row, so it holds nothing new. All of it "
    "unweighted: -0.2 [-1.1, 0.7] points accuracy against real data alone (25 paired splits).",
    "everything": "Use 75 % of the synthetic rows with TrustedMargin filter: +2.4 [1.2, 3.6] points accuracy over real "
    "data alone (proven; 25 paired splits).",
    "harmful": "Do not use this synthetic data: as a whole it is harmful, and no part of it was shown to help. All of "
    "it unweighted: -5.0 [-6.5, -3.5] points accuracy "
    "against real data alone (25 paired splits).",
    "useless": "Do not use this synthetic data: no way of using it was shown to be better. All of it unweighted: "
    "-0.2 [-1.1, 0.7] points accuracy against real data alone (25 paired splits).",
    "too little": "Do not use this synthetic data yet: 250 real rows are too few to tell. All of it unweighted: "
    "+1.0 [-4.0, 6.0] points accuracy against real data alone (25 paired splits). About 1,600 rows are needed to see a "
    "gain of 2 points.",
}


@pytest.mark.parametrize("case", list(CASES))
def test_sentences(case: str) -> None:
    assert worded(*CASES[case]).sentence == SENTENCES[case]  # type: ignore


@pytest.mark.parametrize("metric", list(METRIC_WORDS))
@pytest.mark.parametrize("case", list(CASES))
def test_every_sentence_names_metric_splits_and_interval(case: str, metric: str) -> None:
    found = worded(*CASES[case], metric=metric)  # type: ignore
    assert METRIC_WORDS[metric] in found.sentence and "25 paired splits" in found.sentence
    assert re.search(r"[+-]\d+\.\d \[-?\d+\.\d, -?\d+\.\d\]", found.sentence)
    assert not set("{}") & set(found.sentence) and "  " not in found.sentence and found.sentence.endswith(".")
    assert found.sentence.startswith("Use " if found.use else ("Do not use", "The synthetic rows are not shown"))


def test_all_rows_of_an_unproven_policy_and_too_few_real_rows() -> None:
    """Keeping everything is no selection; and a wide interval says which gain the real rows could show at all."""
    everything = worded("RealTimes5", False, "unproven", "", Interval(0.3, -6.2, 6.8), times=5, weights=np.ones(4))
    assert everything.sentence.startswith(
        NOT_SHOWN + "all of the synthetic rows with TrustedMargin filter and real rows x5: +0.3 [-6.2, 6.8] points"
    )
    assert "250 real rows can show no gain below about 6 points. All of it unweighted" in everything.sentence
    narrow = worded("RealTimes5", False, "unproven", "", Interval(0.3, -1.6, 2.2), weights=np.ones(4))
    assert "can show no gain" not in narrow.sentence
    used = worded("Everything", True, "proven", "", Interval(9.0, 1.0, 17.0), weights=np.ones(4))
    assert used.sentence.startswith("Use 100 % of") and "can show no gain" not in used.sentence


def test_real_rows_that_count_several_times_are_named() -> None:
    assert "filter and real rows x5: +2.4" in worded(*CASES["proven"], times=5.0).sentence  # type: ignore
    assert "real rows x" not in worded(*CASES["proven"], times=1.0).sentence  # type: ignore


def test_few_rows_are_not_none() -> None:
    for kept, words in ((1, "Use under 1 % of"), (2, "Use 1 % of")):
        found = worded(*CASES["proven"], weights=np.repeat([1.0, 0.0], [kept, 300 - kept]))  # type: ignore
        assert found.sentence.startswith(words)


def test_fractions_are_filled_in() -> None:
    found = worded(*CASES["proven"], weights=np.array([3.0, 1.0, 0.0, 0.0]))  # type: ignore
    assert found.keep_fraction == 0.5 and found.effective_fraction == pytest.approx(16 / 40)
    assert "Use 50 % of" in found.sentence


def test_sources_of_any_name_are_named() -> None:
    told = worded(*CASES["seen"], seen_by=("a\x1b[31m", "b" * 100, "c", "d", "e")).sentence
    assert f"the generators of a\\x1b[31m, {'b' * 40}, c and 2 more were fitted" in told and told.isprintable()
