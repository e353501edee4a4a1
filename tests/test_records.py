"""Records check their invariants once, when they are made."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

from synthsift.records import DataError, Examples, Features, Interval, Mixture, Prediction, Table, Weights, concat_x


def rows(n: int, source: str = "real", first: int = 0, **more: np.ndarray) -> Examples:
    ids = np.array([f"{source}:{k}" for k in range(first, first + n)])
    return Examples(np.arange(n, dtype=float)[:, None], np.arange(n) % 2, ids, np.full(n, source), **more)


def test_examples_refuse_unequal_lengths_and_repeated_ids() -> None:
    with pytest.raises(DataError, match="y has 2 rows but ids has 3"):
        Examples(np.zeros((3, 1)), np.zeros(2, int), np.array(["a", "b", "c"]), np.full(3, "real"))
    with pytest.raises(DataError, match="'a' occurs 2 times"):
        Examples(np.zeros((2, 1)), np.zeros(2, int), np.array(["a", "a"]), np.full(2, "real"))


def test_examples_keep_every_column_when_rows_are_taken() -> None:
    taken = rows(4, parent=np.array(["p", "q", "r", "s"]))[np.array([3, 1])]
    assert taken.ids.tolist() == ["real:3", "real:1"]
    assert taken.parent is not None
    assert taken.parent.tolist() == ["s", "q"]


def test_mixture_orders_rows_real_valid_synth_and_shares_no_id() -> None:
    mixture = Mixture(rows(3), rows(2, "gan"), rows(2, first=3), (0, 1))
    assert mixture.ids.tolist() == ["real:0", "real:1", "real:2", "real:3", "real:4", "gan:0", "gan:1"]
    assert mixture.is_synth.tolist() == [False] * 5 + [True] * 2
    with pytest.raises(DataError, match="must not share an id"):
        Mixture(rows(3), rows(2, "gan"), rows(2), (0, 1))
    with pytest.raises(DataError, match="must all be real"):
        Mixture(rows(3), rows(2, "gan"), rows(2, "other"), (0, 1))


def test_rows_of_a_source_are_those_that_bear_its_name() -> None:
    source = np.array(["b", "a", "b", "c", "a", "b"], dtype=object)
    mixture = Mixture(rows(3), replace(rows(6, "gan"), source=source), rows(0), (0, 1))
    assert {name: places.tolist() for name, places in mixture.rows_of.items()} == {
        "b": [0, 2, 5],
        "a": [1, 4],
        "c": [3],
    }
    assert list(mixture.rows_of) == ["b", "a", "c"], "in order of first appearance"
    assert Mixture(rows(3), rows(0, "gan"), rows(0), (0, 1)).rows_of == {}


def test_family_joins_children_with_parents_and_groups() -> None:
    real = rows(3, group=np.array(["g", "g", ""]))
    synth = rows(3, "gan", parent=np.array(["real:2", "real:0", "nobody"]))
    family = Mixture(real, synth, rows(0), (0, 1)).family
    assert family[0] == family[1] != family[2]
    assert family[3] == family[2]
    assert family[4] == family[0]
    assert family[5] == -1


def test_weights_must_be_finite_non_negative_and_not_all_zero() -> None:
    ids = np.array(["a", "b"])
    for values in ([1.0, -1.0], [np.nan, 1.0]):
        with pytest.raises(DataError, match="negative or not finite"):
            Weights(np.array(values), ids, "x")
    with pytest.raises(DataError, match="nothing is left"):
        Weights(np.zeros(2), ids, "x")


def test_features_name_what_is_not_finite() -> None:
    values = np.array([[1.0, np.inf], [2.0, 3.0]])
    with pytest.raises(DataError, match="gap are not"):
        Features(values, ("margin", "gap"), np.array(["a", "b"]), np.zeros((2, 1)))


def test_tables_join_only_with_the_same_columns() -> None:
    one = Table(("a",), (np.array([1.0]),), (None,))
    other = Table(("b",), (np.array([1.0]),), (None,))
    assert len(concat_x([one, one])) == 2
    with pytest.raises(DataError, match="different columns"):
        concat_x([one, other])


def test_an_interval_prints_plain_numbers() -> None:
    told = repr(Interval(np.float64(0.5), np.float32(-1.5), 2))
    assert told == "Interval(mean=0.5, low=-1.5, high=2.0, level=0.95)"


def test_prediction_contains_its_mean_and_shows_its_terms() -> None:
    at = np.zeros(1)
    prediction = Prediction(at, at, at, at, {"bias": 3.0})
    assert prediction.bias == 3.0
    assert copy.deepcopy(prediction).bias == 3.0
    with pytest.raises(AttributeError, match="its terms are bias"):
        _ = prediction.variance
    with pytest.raises(ValueError, match="must contain its mean"):
        Prediction(at, at, at + 1, at)
