"""Exchanged labels are named; labels that are wrong at random, or right, are not called exchanged."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from planted import changed, clean, found

from synthsift.check.relabeling import told_relabeling
from synthsift.numerics.counts import best_relabeling

WIDE = {"num_real": 500, "num_valid": 100, "num_synth": 400, "dim": 12}


def seen(num_classes: int, relabel: object, **shape: object) -> str:
    """What SS150 says when synthetic labels are changed by a function, or "" where it says nothing."""
    loaded = clean(**{**WIDE, "num_classes": num_classes, "separation": 4.0, **shape})
    findings = found(changed(loaded, "synth", y=relabel))
    return findings["SS150"].seen + findings["SS150"].advice if "SS150" in findings else ""


def moved(mapping: dict[int, int]) -> object:
    return lambda y: np.array([mapping.get(k, k) for k in y.tolist()])


def test_two_swapped_classes_are_named() -> None:
    text = seen(2, moved({0: 1, 1: 0}))
    assert "its labels may be exchanged: swapping 0 and 1 would agree with 100 % of them" in text
    assert "if labels are exchanged, put them right in the file" in text


def test_two_swapped_classes_of_ten_are_named() -> None:
    text = seen(10, moved({3: 7, 7: 3}))
    assert "exchanged: swapping 3 and 7 would agree" in text


def test_a_swap_is_named_where_contradictions_alone_would_not_be_told() -> None:
    """Two of twelve classes: a sixth of the labels, and among 200 real rows no excess of 5 points for sure."""
    few = {"num_real": 200, "num_valid": 0, "num_synth": 600, "separation": 3.0}
    for seed in range(4):
        text = seen(12, moved({3: 7, 7: 3}), seed=seed, **few)
        assert "exchanged: swapping 3 and 7 would agree" in text
        assert int(text.split("points [")[1].split(",")[0]) < 5
        assert seen(12, lambda y: y, seed=seed, **few) == ""


def test_a_relabeling_of_all_ten_classes_is_named() -> None:
    """Codes that start at 1, the last of which became 0: label k stands for k - 1."""
    text = seen(10, lambda y: (y + 1) % 10)
    assert (
        "exchanged: reading 0 as 9, reading 1 as 0, reading 2 as 1, reading 3 as 2, reading 4 as 3 and 5 more" in text
    )


@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_labels_dealt_anew_row_by_row_are_not_called_exchanged(num_classes: int) -> None:
    for seed in range(5):
        text = seen(num_classes, lambda y, seed=seed: np.random.default_rng(seed).permutation(y))
        assert text and "exchanged" not in text


def test_right_labels_say_nothing() -> None:
    assert all(seen(num_classes, lambda y: y) == "" for num_classes in (2, 3, 10))


def test_a_third_of_wrong_labels_is_not_called_exchanged() -> None:
    text = seen(2, lambda y: np.where(np.random.default_rng(0).random(len(y)) < 0.35, 1 - y, y))
    assert text and "exchanged" not in text


def test_random_labels_of_few_rows_and_many_classes_never_win_by_chance() -> None:
    """Of 10! permutations some agree with a third of 30 random labels; halves that judge each other are not fooled."""
    rng, told = np.random.default_rng(0), 0
    for _ in range(300):
        said, labels = rng.integers(10, size=(2, 30))
        told += told_relabeling(labels, said, 0.05, range(10), rng) != ""
    assert told == 0


def test_the_best_relabeling_is_that_of_all_permutations() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        confusion = rng.integers(0, 6, size=(4, 4))
        best = max(confusion[range(4), order].sum() for order in permutations(range(4)))
        assert confusion[range(4), best_relabeling(confusion)].sum() == best
    assert best_relabeling(np.zeros((5, 5), dtype=int)).tolist() == [0, 1, 2, 3, 4]


def test_a_label_without_its_partner_is_read_as_another() -> None:
    """All rows of class 0 and none of class 1 came, as label 1."""
    said, labels = np.repeat([0, 2], 50), np.repeat([1, 2], 50)
    told = told_relabeling(labels, said, 0.02, ("a", "b", "c"), np.random.default_rng(0))
    assert told == "reading b as a would agree with 100 % of them"
