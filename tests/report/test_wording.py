from __future__ import annotations

import math

import pytest

from synthsift.report import wording


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain ö 日本 👩‍💻", "plain ö 日本 👩‍💻"),
        ("a\x1b[31m\x00\r", "a\ufffd[31m\ufffd\ufffd"),
        ("turn \u202e ed", "turn \ufffd ed"),
        ("bad \udce9", "bad \ufffd"),
        ("two\nlines\there", "two\nlines\there"),
        (None, wording.UNKNOWN),
        (3, "3"),
    ],
)
def test_printable_replaces_what_does_harm_and_nothing_else(text: object, seen: str) -> None:
    assert wording.printable(text) == seen
    wording.printable(text).encode()


def test_printable_cuts_and_one_line_joins() -> None:
    assert wording.printable("abcdef", 4) == "abc…"
    assert wording.printable("abcd", 4) == "abcd"
    assert wording.one_line(" a\n\t b ") == "a b"
    assert wording.one_line(None) == wording.UNKNOWN


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (2.14, "+2.1"),
        (-0.9, "−0.9"),
        (0.04, "0.0"),
        (-0.04, "0.0"),
        (0, "0.0"),
        (None, "–"),
        (math.nan, "–"),
        (True, "–"),
    ],
)
def test_signed(value: object, seen: str) -> None:
    assert wording.signed(value) == seen


def test_numbers_in_words() -> None:
    assert wording.percent(0.625, 1) == "62.5 %"
    assert wording.percent(None) == "–"
    assert wording.count(12_345) == "12,345"
    assert wording.measured(0.8312, "accuracy") == "83.1 %"
    assert wording.measured(0.4561, "log_loss") == "0.456"
    assert wording.measured(-0.4561, "log_loss") == "0.456"
    assert wording.measured(None, "accuracy") == "–"
    assert wording.interval({"low": -1.0, "high": 2.0}) == "[−1.0, 2.0]"
    assert wording.interval({"low": 0.0, "high": 0.0}) == "", "the reference against itself"
    assert wording.interval(None) == wording.interval({"low": None, "high": 1}) == ""
    assert wording.title("log_loss") == "log-loss"
    assert wording.title("balanced_accuracy") == "balanced accuracy"
    assert wording.title("num_real") == "real"
    assert wording.points("accuracy") == "points of accuracy"
    assert wording.points("log_loss") == "points of log-loss (x100)"


def test_negative_numbers_in_a_sentence_get_the_sign_of_the_tables() -> None:
    assert wording.true_minus("-0.2 [-1.1, 0.7] (-3) of gpt-4, 3-5 rows, a - b") == (
        "−0.2 [−1.1, 0.7] (−3) of gpt-4, 3-5 rows, a - b"
    )


def test_setting_prints_every_plain_value_on_one_line() -> None:
    value = {"a": [1, 2.5, None], "b": {"c": True}, "d": [], "e": "x\ny"}
    assert wording.setting(value) == "a: 1, 2.5, –, b: c: yes, e: x y"
    assert wording.setting({"a": None}) == wording.setting([]) == "none"
    assert wording.setting(list(range(25))).endswith("19 and 5 more")


def test_prose_has_one_minus_and_keeps_numbers_by_their_sign() -> None:
    assert wording.prose("-0.8 points, 12 % of row-5 -x") == "\u22120.8 points, 12\u00a0% of row-5 -x"
    assert wording.prose(None) == wording.UNKNOWN


def test_weights_next_to_nothing_have_no_digits() -> None:
    seen = [wording.weight(value) for value in (0, 1.94e-06, 0.00999, 0.01, 1.234, 120.5, None, math.nan)]
    assert seen == ["0.00", "< 0.01", "< 0.01", "0.01", "1.23", "120.50", wording.UNKNOWN, wording.UNKNOWN]
