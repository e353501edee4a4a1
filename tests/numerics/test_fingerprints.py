"""Row hashes against a slow comparison of tuples, and texts that are made comparable."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from synthsift.numerics.fingerprints import copies_of, fingerprint_arrays, fingerprint_rows, normalize_text


def cell_key(value: Any) -> Any:
    """The slow twin of one cell's hash: a value that equals that of every copy."""
    if isinstance(value, str):
        return value
    if value is None or math.isnan(value):
        return "missing", None
    number = float(value)
    return number + 0.0 if not math.isfinite(number) or number == round(number) else float(f"{number:.5e}")


def row_keys(columns: list[np.ndarray]) -> list[tuple[Any, ...]]:
    return [tuple(map(cell_key, row)) for row in zip(*(column.tolist() for column in columns), strict=True)]


def random_columns(seed: int, rows: int = 400) -> list[np.ndarray]:
    """Columns of every kind with few distinct values, so that many rows are equal."""
    rng = np.random.default_rng(seed)
    numbers = np.array([0.0, -0.0, 1.0, 0.1, 0.1000000001, 123.456, 123.4567, -5e-7, 1e30, np.nan, np.inf, -np.inf])
    texts = np.array(["", "a", "A", "é", "1"], dtype=object)
    mixed = np.array([None, "x", 1, 1.0, True, float("nan"), 0.25], dtype=object)
    return [
        numbers[rng.integers(len(numbers), size=rows)],
        texts[rng.integers(len(texts), size=rows)],
        mixed[rng.integers(len(mixed), size=rows)],
        rng.integers(-1, 2, size=rows),
    ]


@pytest.mark.parametrize("seed", range(5))
def test_hashes_are_equal_exactly_where_the_slow_twin_says_so(seed: int) -> None:
    columns = random_columns(seed)
    hashes, keys = fingerprint_rows(columns), row_keys(columns)
    assert hashes.dtype == np.uint64
    by_key: dict[tuple[Any, ...], set[int]] = {}
    for key, value in zip(keys, hashes.tolist(), strict=True):
        by_key.setdefault(key, set()).add(value)
    assert all(len(values) == 1 for values in by_key.values()), "equal content has one hash"
    assert len({next(iter(values)) for values in by_key.values()}) == len(by_key), "different content has another"


@pytest.mark.parametrize("seed", range(3))
def test_copies_against_the_slow_twin(seed: int) -> None:
    needles, haystack = random_columns(seed, 50), random_columns(seed + 100)
    known = set(row_keys(needles))
    found = copies_of(fingerprint_rows(needles), fingerprint_rows(haystack))
    assert found.tolist() == [key in known for key in row_keys(haystack)]
    assert found.any() and not found.all()


def test_rounding_follows_decimal_rounding_over_the_whole_range() -> None:
    rng = np.random.default_rng(0)
    exact = np.array([float(f"{v:.5e}") for v in rng.normal(size=2000) * 10.0 ** rng.integers(-200, 200, 2000)])
    noisy = exact * (1 + 1e-9 * rng.uniform(-1, 1, 2000))  # far from any rounding border, which lies 5e-7 away or more
    part = exact != np.rint(exact)
    assert part.sum() > 900
    np.testing.assert_array_equal(fingerprint_rows([exact[part]]), fingerprint_rows([noisy[part]]))
    assert len(np.unique(fingerprint_rows([exact]))) == len(np.unique(exact))


def test_a_number_next_to_a_power_of_ten_meets_it() -> None:
    near = fingerprint_rows([np.array([999.9999999, 9.9999999e-5, 1.0000000001])])
    assert near.tolist() == fingerprint_rows([np.array([1000.0, 1e-4, 1.0])]).tolist()


def test_whole_numbers_are_exact_and_the_same_in_every_type() -> None:
    values = [0, 1, -7, 1234567, 1234568, 2**52]
    as_int, as_float = (fingerprint_rows([np.array(values, dtype=kind)]) for kind in (np.int64, np.float64))
    assert as_int.tolist() == as_float.tolist() and len(set(as_int.tolist())) == len(values)
    objects = fingerprint_rows([np.array(values, dtype=object)])
    assert objects.tolist() == as_int.tolist()
    large = fingerprint_rows([np.array([2**60, 2**60 + 1])])
    assert large[0] != large[1]


def test_a_copy_that_went_through_text_is_a_copy() -> None:
    values = np.random.default_rng(1).normal(size=(2000, 3)) * [1, 1e-4, 1e5]
    through_text = np.array([[float(f"{cell:.6g}") for cell in row] for row in values])
    hashes = fingerprint_rows(list(values.T)), fingerprint_rows(list(through_text.T))
    assert copies_of(*hashes).all()


def test_order_of_columns_and_kind_of_text_array() -> None:
    a, b = np.array(["x", "y"]), np.array(["y", "x"])
    assert fingerprint_rows([a, b])[0] != fingerprint_rows([b, a])[0]
    assert fingerprint_rows([a]).tolist() == fingerprint_rows([a.astype(object)]).tolist()
    assert fingerprint_rows([a, a])[0] != fingerprint_rows([a])[0]


def test_hashes_are_the_same_in_another_process() -> None:
    code = (
        "import numpy as np; from synthsift.numerics.fingerprints import fingerprint_rows as f;"
        "print(f([np.array(['a', None, 1.5], dtype=object), np.array([0.1, -0.0, np.nan])]).tolist())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    here = fingerprint_rows([np.array(["a", None, 1.5], dtype=object), np.array([0.1, -0.0, np.nan])])
    assert runs[0].strip() == str(here.tolist())


def test_empty_columns_and_bad_ones() -> None:
    assert fingerprint_rows([np.empty(0)]).shape == (0,)
    assert copies_of(np.empty(0, np.uint64), np.array([1], np.uint64)).tolist() == [False]
    with pytest.raises(ValueError, match="columns of one length"):
        fingerprint_rows([])
    with pytest.raises(ValueError, match="one length"):
        fingerprint_rows([np.zeros(2), np.zeros(3)])
    with pytest.raises(ValueError, match="not complex"):
        fingerprint_rows([np.array([1j], dtype=object)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello,   World!", "hello world"),
        ("  spaced\tout\n", "Spaced out"),
        ("STRASSE", "straße"),
        ("ﬁne ＦＵＬＬ", "fine full"),
        ("don't", "DONT"),
        ("“quoted” — text…", "quoted text"),
        ("cafe\u0301", "café"),
    ],
)
def test_near_identical_texts_become_equal(one: str, other: str) -> None:
    assert normalize_text(one) == normalize_text(other)


@pytest.mark.parametrize(
    ("one", "other"), [("a b", "ab"), ("!!!", "???"), ("😀", "😢"), ("10 %", "20 %"), ("कि", "का")]
)
def test_different_texts_stay_different(one: str, other: str) -> None:
    assert normalize_text(one) != normalize_text(other)


def test_an_empty_text_stays_empty() -> None:
    assert normalize_text(" \n") == ""


def test_the_digest_of_arrays_is_what_files_already_hold() -> None:
    """Cells, drift states and rounds of earlier runs carry it: these bytes, whatever the order of keys."""
    arrays = {"b": np.array([[1, 2]], dtype=np.uint8), "a": np.array([1.5], dtype="<f8")}
    told = b"text" + b"a|<f8|(1,)|" + b"\x00\x00\x00\x00\x00\x00\xf8\x3f" + b"b||u1|(1, 2)|" + b"\x01\x02"
    assert fingerprint_arrays(arrays, "text") == hashlib.sha256(told).hexdigest()
    assert fingerprint_arrays({}) == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"a": np.array([0.0, 2.0])}, "other"),
        ({"b": np.array([0.0, 2.0])}, ""),
        ({"a": np.array([[0.0, 2.0]])}, ""),
        ({"a": np.array([0.0, 2.0], dtype=np.float32)}, ""),
        ({"a": np.array([-0.0, 2.0])}, ""),
        ({}, ""),
    ],
)
def test_the_digest_of_arrays_sees_every_difference(arrays: dict[str, np.ndarray], text: str) -> None:
    assert fingerprint_arrays(arrays, text) != fingerprint_arrays({"a": np.array([0.0, 2.0])})
