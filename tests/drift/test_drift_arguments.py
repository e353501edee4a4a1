"""Raw rows in memory: what NumPy and pandas hold comes through, what is no row is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from synthsift.data.arrays import unsound_rows
from synthsift.drift.arguments import as_labels, as_rows
from synthsift.drift.monitor import trace_of, watch_generation
from synthsift.drift.reference import learn_reference
from synthsift.records import DataError, Images, Table

ROWS = np.random.default_rng(0).standard_normal((120, 2))


def test_lists_and_frames_are_measured_as_the_array_they_hold() -> None:
    reference = learn_reference(pd.DataFrame(ROWS), pd.Series(["a", "b"] * 60), seeds=0)
    assert reference.class_shares == {"a": 0.5, "b": 0.5}
    kinds: tuple[Any, ...] = (ROWS[:60], ROWS[:60].tolist(), pd.DataFrame(ROWS[:60], dtype="Float64"))
    seen = [watch_generation(reference, x, index=0, name="g", seeds=0, labels=["a"] * 60) for x in kinds]
    assert len({s.digest for s in seen}) == 1 and len({s.p_value for s in seen}) == 1
    assert [c.name for c in seen[1].changes if c.kind == "class"] == ["b", "a"]
    with pytest.raises(DataError, match="no generation was given"):
        trace_of(reference, [], 0.1)


@pytest.mark.parametrize(
    ("x", "dtype", "shape"),
    [
        ([1, 2, 3], "float64", (3, 1)),
        (np.ones((2, 3), np.float32), "float32", (2, 3)),
        (np.ones((2, 3), np.float16), "float64", (2, 3)),
        (np.ones((2, 3), bool), "float64", (2, 3)),
        (["some", "words"], "object", (2,)),
        (np.array(["some", "words"]), "object", (2,)),
        (pd.DataFrame({"a": [1, 2], "b": [0.5, np.nan]}), "float64", (2, 2)),
    ],
)
def test_what_comes_through(x: Any, dtype: str, shape: tuple[int, ...]) -> None:
    rows = as_rows("g", x)
    assert rows.dtype == dtype and rows.shape == shape
    assert x is not rows or dtype == "float32"


def test_records_pass_as_they_are() -> None:
    table = Table(("a",), (np.zeros(2),), (None,))
    pictures = Images(np.zeros((1, 8, 8, 3), np.uint8), np.zeros(2, np.int64))
    assert as_rows("g", table) is table and as_rows("g", pictures) is pictures


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ([[1.0, 2.0], [3.0]], ["g is a list", "one length"]),
        (np.zeros((3, 2, 2)), ["(3, 2, 2)", "Flatten"]),
        (np.zeros((3, 2), complex), ["complex128"]),
        (None, ["dtype object", "shape ()"]),
        (["word", None], ["entry 1 of g", "NoneType"]),
        (pd.DataFrame({"a": [1], "city": ["Rome"]}), ["not numbers (city)", "Table"]),
        (np.array([["a", "b"]]), ["<U1"]),
    ],
)
def test_what_is_no_row_is_told(x: Any, words: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        as_rows("g", x)
    assert all(word in str(caught.value) for word in words), caught.value


def test_labels_are_one_a_row() -> None:
    assert as_labels("g", None, 3) is None
    with pytest.raises(DataError, match=r"labels of g have shape \(2,\)"):
        as_labels("g", ["a", "b"], 3)


def test_half_precision_is_judged_without_overflow() -> None:
    """LARGEST is no number of 16 bits: compared there, it was infinite and let infinity pass."""
    rows = np.array([[1, 2], [np.inf, 0], [0, 65504], [np.nan, 1]], np.float16)
    bad, what = unsound_rows(rows)
    assert bad.tolist() == [1, 3] and what == "NaN or infinity"
