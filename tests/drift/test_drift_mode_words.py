"""Words for modes: the class, column, category or word that was planted in them, and none where nothing was."""

from __future__ import annotations

import numpy as np
import pytest

from synthsift.drift.columns import Column
from synthsift.drift.losses import Change, name_change
from synthsift.drift.mode_words import describe_modes
from synthsift.drift.reference import learn_reference
from synthsift.records import Table

PLACES = np.repeat([0, 1, 2], [300, 200, 100])
RNG = np.random.default_rng(0)
NOISE = Column("noise", RNG.standard_normal(600))


def describe(*columns: Column, classes: np.ndarray | None = None, texts: np.ndarray | None = None) -> tuple[str, ...]:
    return describe_modes(PLACES, 4, classes=classes, texts=texts, columns=columns)


def test_numbers_and_categories_that_mark_a_mode() -> None:
    size = Column("size", np.where(PLACES == 2, 9.0, 1.0) + 0.1 * RNG.standard_normal(600))
    assert describe(NOISE, size)[2].startswith("size about 9") and describe(NOISE)[:3] == ("", "", "")
    color = np.where(PLACES == 1, "red", "blue").astype(object)
    assert describe(NOISE, Column("color", color))[1] == "color = red"
    color[(PLACES == 1) & (RNG.random(600) < 0.2)] = "blue"
    assert describe(Column("color", color))[1].startswith("color = red in 8")
    assert describe(size)[3] == ""  # a mode without a row


def test_the_class_comes_first_and_the_rest_marks_modes_within_it() -> None:
    classes = np.where(PLACES < 2, "cat", "dog").astype(object)
    age = Column("age", np.choose(PLACES, [2.0, 12.0, 2.0]) + 0.1 * RNG.standard_normal(600))
    told = describe(age, classes=classes)
    assert told[0].startswith("mostly class cat, age about 2") or told[0] == "mostly class cat"
    assert told[1].startswith("mostly class cat, age about 12") and told[2] == "mostly class dog"
    mixed = np.resize(np.array(["a", "b", "c"], dtype=object), 600)
    assert describe(NOISE, classes=mixed)[0] == ""


def test_words_of_texts() -> None:
    texts = np.array([f"the {('stone', 'river', 'cloud')[k]} {RNG.integers(99)}" for k in PLACES], dtype=object)
    assert describe(texts=texts)[:3] == ('often "stone"', 'often "river"', 'often "cloud"')
    pairs = np.array([f"the {('grey stone', 'cold river', 'dark cloud')[k]}" for k in PLACES], dtype=object)
    assert describe(texts=pairs)[1] == 'often "cold" and "river"'


@pytest.mark.parametrize("values", [np.full(600, np.nan), np.full(600, 3.0), np.full(600, 1e99)])
def test_columns_that_tell_nothing_are_passed_over(values: np.ndarray) -> None:
    assert describe(Column("odd", values))[:3] == ("", "", "")


def test_a_reference_names_its_clusters_from_one() -> None:
    mode = RNG.choice(3, 600, p=[0.5, 0.3, 0.2])
    table = Table(("a", "b"), (mode * 10 + RNG.standard_normal(600), (mode == 2).astype(np.int32)), (None, ("n", "y")))
    reference = learn_reference(table, np.array(["x", "y", "z"])[mode], seeds=0)
    assert len(reference.mode_words) == len(reference.space.modes)
    assert all(name.startswith(f"cluster {int(key) + 1} (mostly class ") for key, name in reference.mode_names.items())
    change = Change("mode", "1", 0.2, 0.1, 1e-3)
    assert name_change(change, reference.mode_names) == reference.mode_names["1"]
    assert name_change(Change("tail", "age below 3", 0.02, 0.1, 1e-3), {}) == "rows with age below 3"
    assert name_change(Change("class", "x", 0.2, 0.1, 1e-3), {}) == "class x"
