from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from synthsift.data.worlds import same_law
from synthsift.report.glossary import policy_meaning
from synthsift.report.reasons import beside_test, claims_beside_test, doubted_sources, subset_words, why_policy
from synthsift.seeds import Seeds
from synthsift.studies.policies import on_request, policy_names


def told(policy: str, near: tuple[str, ...], **verdict: Any) -> str:
    names = ("RealOnly", "Everything", "TrustedMargin", "LearnedWeights")
    rows = [{"name": name, "near": name in near} for name in names]
    return why_policy({"verdict": {"policy": policy, **verdict}, "comparison": rows})


def test_the_page_says_why_this_policy() -> None:
    assert "3 of them cannot be told from the best" in told(
        "Everything", ("Everything", "TrustedMargin", "LearnedWeights")
    )
    assert "it is the best, and no simpler one" in told("TrustedMargin", ("TrustedMargin",))
    assert "none is ahead of the real data alone" in told("RealOnly", ("RealOnly",))


def test_it_says_nothing_where_the_reason_is_another_one() -> None:
    assert told("RealOnly", ("RealOnly",), reason="copies") == "", "every synthetic row copies a real one"
    assert told("Everything", ()) == "", "a run of an earlier version does not say what was near"


@pytest.mark.parametrize(
    ("num", "up", "down", "words"),
    [
        (0, 0, [], ""),
        (10, 0, [], "None of the 10 classes gains or loses for sure: every interval holds 0."),
        (10, 0, list("9876"), "None of the 10 classes gains for sure; 4 lose for sure: 9, 8, 7 and 6."),
        (10, 0, list("98765"), "None of the 10 classes gains for sure; 5 lose for sure: 9, 8, 7 and 2 more classes."),
        (10, 1, ["9"], "1 of the 10 classes gains for sure; 1 loses for sure: 9."),
        (12, 3, [], "3 of the 12 classes gain for sure; none loses."),
    ],
)
def test_gains_and_losses_of_classes(num: int, up: int, down: list[str], words: str) -> None:
    assert subset_words("class", num, up, down) == words


def test_many_groups_are_told_how_many_chance_would_show() -> None:
    assert subset_words("group", 40, 2, []).endswith("By chance alone about 1 would seem to, either way.")


def test_every_policy_has_a_meaning_and_an_unknown_one_none() -> None:
    mixture = same_law(Seeds(0), num_real=60, num_valid=20, num_synth=60).mixture
    assert all(policy_meaning(name) for name in (*policy_names("logistic", mixture), "BestSources+Real5"))
    assert all(policy_meaning(name) for name in on_request("logistic", mixture))
    assert policy_meaning("RealTimes20") == "all rows, real ones counted 20 times"
    assert policy_meaning("KNNShapley+Real5").endswith("; real rows counted 5 times")
    assert policy_meaning("Mine") == policy_meaning("Mine+Real5") == ""


def doubted(everything: tuple[float, float], over: tuple[float, float] = (0.0, 0.0), **sources: str) -> list[str]:
    """Lines for a verdict with these intervals and a finding on these sources."""
    verdict = {
        "everything_over_real_only": dict(zip(("low", "high"), everything, strict=True)),
        "gain": {"over_everything": dict(zip(("low", "high"), over, strict=True))},
    }
    return doubted_sources(verdict, [{"code": "SS143"}, {"code": "SS150", "sources": sources}])


def test_a_source_is_called_harmful_only_where_harm_is_shown() -> None:
    assert doubted((-3.0, -1.0), broken="60 % wrong") == ["Harmful source: broken: 60 % wrong."]
    assert doubted((-3.0, 1.0), (0.4, 2.0), broken="60 % wrong") == ["Harmful source: broken: 60 % wrong."]
    assert doubted((-3.0, 1.0), (-0.4, 2.0), broken="60 % wrong") == ["Source to look at: broken: 60 % wrong."]
    assert doubted((-3.0, -1.0)) == [], "no finding, no name"


def test_many_doubted_sources_and_incomplete_files() -> None:
    lines = doubted((-3.0, -1.0), **{f"s{k}": "wrong" for k in range(5)})
    assert len(lines) == 4 and lines[-1] == "and 2 more sources like these; see the findings."
    assert doubted_sources({}, [{"code": "SS150", "sources": None}, {"code": "SS150"}]) == []
    assert doubted_sources({"gain": None}, [{"code": "SS150", "sources": {"a\x1b[1m\nb": "x\ny"}}]) == [
        "Source to look at: a\ufffd[1m b: x y."
    ]


def test_harm_of_all_rows_does_not_tell_which_of_several_doubted_sources_it_comes_from() -> None:
    lines = doubted((-3.0, -1.0), lying="60 % wrong", sound="22 % wrong")
    assert lines == ["Source to look at: lying: 60 % wrong.", "Source to look at: sound: 22 % wrong."]


def beside(policy: str, ours: float, alone: float = 0.6, num: Any = 4000, metric: str = "accuracy") -> str:
    """With an interval of the gain from 2 to 8 points, and of Everything from -6 to -1."""
    gain = {"metric": metric, "over_real_only": {"mean": 5.0, "low": 2.0, "high": 8.0}}
    verdict = {"policy": policy, "gain": gain, "everything_over_real_only": {"mean": -3.5, "low": -6.0, "high": -1.0}}
    names = {policy: ours, "RealOnly": alone} if policy != "RealOnly" else {"RealOnly": alone, "Everything": ours}
    return beside_test(verdict, [{"name": n, "metric": "accuracy", "value": v} for n, v in names.items()], num)


def test_a_gain_that_the_test_rows_contradict_is_told() -> None:
    told = beside("Mine", 0.575)
    assert told.startswith("On them Mine gains −2.5 points, outside of its interval [2.0, 8.0] by more than chance")
    assert beside("Mine", 0.75) and beside("RealOnly", 0.65).startswith("On them Everything gains +5.0 points")
    assert beside("Mine", 0.65) == beside("RealOnly", 0.57) == "", "inside"
    assert beside("Mine", 0.605) == "" and beside("Mine", 0.575, num=100) == "", "within the chance of the test rows"
    for unknown in (0, None, "many"):
        assert beside("Mine", 0.575, num=unknown) == ""
    assert beside("Mine", 0.575, metric="auc") == "" and beside_test({"policy": "Mine"}, [], 50) == ""


def test_a_single_test_row_contradicts_nothing() -> None:
    assert [beside("Mine", ours, alone, num=1) for ours in (0.0, 1.0) for alone in (0.0, 1.0)] == [""] * 4


@pytest.mark.parametrize("num", [1, 2, 3, 10, 100])
def test_chance_seldom_looks_like_more_than_chance(num: int) -> None:
    """The true gain is that of the middle of the interval, and models err on different rows."""
    rng = np.random.default_rng(0)
    for low in (0.45, 0.7, 0.9):
        hits = rng.binomial(num, [[low + 0.05], [low]], (2, 2000)) / num
        assert np.mean([bool(beside("Mine", ours, alone, num=num)) for ours, alone in hits.T]) < 0.05


@pytest.mark.parametrize(
    ("everything", "mine", "high", "use", "words"),
    [
        (0.514, 0.514, -0.3, False, ["RealTimes20 gains +4.2 points", "Everything gains +4.2 points", "[−5.8, −0.3]"]),
        (0.514, 0.475, -0.3, False, ["Everything gains +4.2 points", "the splits alone."]),
        (0.440, 0.475, -0.3, False, []),
        (0.514, 0.475, 0.3, False, []),  # not called harmful
        (0.514, 0.475, -0.3, True, []),
    ],
)
def test_harm_of_all_rows_that_the_test_rows_contradict_is_told_beside_another_policy(
    everything: float, mine: float, high: float, use: bool, words: list[str]
) -> None:
    gain = {"metric": "accuracy", "over_real_only": {"mean": -0.2, "low": -1.9, "high": 1.6}}
    of_all = {"mean": -3.0, "low": -5.8, "high": high}
    verdict = {"policy": "RealTimes20", "use": use, "gain": gain, "everything_over_real_only": of_all}
    values = {"RealTimes20": mine, "Everything": everything, "RealOnly": 0.472}
    rows = [{"name": name, "metric": "accuracy", "value": value} for name, value in values.items()]
    told = claims_beside_test(verdict, rows, 12_284)
    assert all(word in told for word in words) and bool(told) == bool(words), told
    assert told.count("another law") == bool(words)
