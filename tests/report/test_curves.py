from __future__ import annotations

from typing import Any

import pytest

from synthsift.records import Outcome
from synthsift.report.curves import curve_meanings, explain_curves


def told(curves: dict[str, list[Any]], **diagnostics: Any) -> str:
    length = max((len(values) for values in curves.values()), default=0)
    return " ".join(explain_curves({"step": list(range(length)), "curves": curves}, diagnostics))


def test_without_curves_nothing_is_said() -> None:
    assert explain_curves(None, {"temper": 1.0}) == []
    assert explain_curves({"step": [], "curves": {}}, {}) == []
    assert told({"gsnr": [None, None], "effective_fraction": [None, None]}) == "The meta-network took 2 steps."


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.05, "a small part of the rows decides"), (0.2, "gathered on a part"), (0.8, "no small group of rows decides")],
)
def test_concentration(share: float, words: str) -> None:
    text = told(
        {"effective_fraction": [1.0, share], "effective_batch": [100.0, 100 * share], "largest_share": [0, 0.5]}
    )
    assert words in text and f"{100 * share:.0f} % of a batch" in text and "holds 50 % of its batch" in text


def test_the_noise_is_told_in_the_words_of_the_terminal() -> None:
    assert told({"gsnr": [2.0, 3.0]}, noise="The meta-gradient has a ratio of 3.").count("ratio of 3.") == 1
    assert "ratio" not in told({"gsnr": [2.0, 3.0]}), "an older run does not say"


def test_losses_fall_and_rise_but_the_objective_is_left_alone() -> None:
    fall = [1.0 - k / 20 for k in range(10)]
    text = told({"valid_loss": fall, "train_loss": fall[::-1], "loss": fall, "short_loss": [1.0, 0.0]})
    assert "valid loss fell from 0.975 to 0.575" in text and "train loss rose from 0.575 to 0.975" in text
    assert text.count("The ") == 3, "the meta-objective is a price less a gain: no fall is claimed"


@pytest.mark.parametrize(
    ("temper", "words"),
    [(0, "all rows weigh alike"), (1.0, "taken as they are"), (0.5, "to the power 0.5"), (None, "")],
)
def test_the_power_of_the_weights(temper: Any, words: str) -> None:
    assert words in told({"gsnr": [2.0]}, temper=temper)


def test_every_known_curve_has_a_meaning_and_an_unknown_one_none() -> None:
    names = ["loss", "train_loss", "gsnr", "effective_batch", "largest_share", "mean_weight"]
    names += ["effective_fraction", "gsnr_rows", "batch_rows", "trusted_rows", "rows_wanted", "trusted_wanted"]
    meanings = {row["name"]: row["meaning"] for row in curve_meanings(dict.fromkeys([*names, "something"]))}
    assert list(meanings) == names and len(set(meanings.values())) == len(names)


def test_a_training_that_never_told_rows_apart_has_words_of_its_own() -> None:
    text = told(
        {"gsnr": [0.0, 0.0], "effective_fraction": [1.0, 1.0], "effective_batch": [90.0, 90.0]},
        learned_outcome=Outcome.alike.value,
        temper=1.0,
        noise="No signal shows.",
    )
    assert "the scores never told one row from another, so all weights stayed equal" in text
    assert "every row was worth the same to the trusted rows" in text
    assert not any(words in text for words in ("too few rows", "really counts", "No signal", "predicted best"))


def test_a_low_ratio_at_the_end_is_not_called_chance() -> None:
    meaning = curve_meanings({"gsnr": []})[0]["meaning"]
    assert "while the weights move" in meaning and "low for good weights, too" in meaning
