"""Rows in memory come out as rows of files do."""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from synthsift.data.memory import load_arrays
from synthsift.data.spec import DataSpec
from synthsift.records import DataError, Table

N = 24
Y = np.arange(N) % 2
SOURCE = np.where(np.arange(N) % 3 == 2, "gan", "real")


def numbers(n: int = N) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 3))


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "a": np.arange(N) / 2,
            "kind": pd.Categorical(["u", "v"] * (N // 2)),
            "flag": [True, False] * (N // 2),
            "whole": pd.array([1, None, 3] * (N // 3), dtype="Int64"),
            "mixed": [1, "a", None] * (N // 3),
        }
    )


def test_a_data_frame_becomes_the_table_that_its_csv_becomes(tmp_path: Any) -> None:
    from synthsift.data.load import load

    whole = frame().assign(y=Y, source=SOURCE)
    whole.to_csv(tmp_path / "all.csv", index=False)
    filed = load(DataSpec(data=str(tmp_path / "all.csv"), source_column="source", label="y")).mixture
    kept = load_arrays(frame(), Y, SOURCE).mixture
    for part, twin in zip(kept.parts, filed.parts, strict=True):
        assert isinstance(part.x, Table) and part.x.names == twin.x.names
        for k, categories in enumerate(part.x.categories):
            assert (categories is None) == (twin.x.categories[k] is None)
            assert part.x.texts(k).tolist() == twin.x.texts(k).tolist()
        assert part.y.tolist() == twin.y.tolist() and part.ids.tolist() == twin.ids.tolist()


def test_a_data_frame_becomes_the_table_that_its_parquet_becomes(tmp_path: Any) -> None:
    """Dates, times and decimals too, whatever holds them: bit for bit the same cells."""
    from synthsift.data.load import load

    time = pd.date_range("2020-01-31 10:11:12.125", periods=N, freq="36h")
    money = [decimal.Decimal("1.10"), decimal.Decimal("2.5"), None] * (N // 3)
    columns = {
        "nanoseconds": time.as_unit("ns"),
        "seconds": time.floor("s").as_unit("s"),
        "gaps": [pd.NaT, *time[1:]],
        "zone": time.tz_localize("Europe/Vienna"),
        "span": pd.to_timedelta(np.arange(N) * 1.5, unit="h"),
        "day": time.date,
        "clock": time.time,
        "category": pd.Categorical(time),
        "arrow": pd.array(time, dtype="timestamp[us][pyarrow]"),
        "money": money,
        "arrow money": pd.array(money, dtype=pd.ArrowDtype(pa.decimal128(6, 2))),
        "whole": pd.array([1, None, 3] * (N // 3), dtype="Int64"),
        "real": pd.array([0.1, None, 3] * (N // 3), dtype="Float64"),
        "flag": pd.array([True, None, False] * (N // 3), dtype="boolean"),
        "word": pd.array(["a", None, "b"] * (N // 3), dtype="string"),
    }
    whole = pd.DataFrame(columns)
    whole.assign(y=Y, source=SOURCE).to_parquet(tmp_path / "all.parquet")
    filed = load(DataSpec(data=str(tmp_path / "all.parquet"), source_column="source", label="y")).mixture.real.x
    kept = load_arrays(whole, Y, SOURCE).mixture.real.x
    assert kept.names == filed.names and kept.categories == filed.categories
    assert [name for name, texts in zip(kept.names, kept.categories, strict=True) if texts] == ["flag", "word"]
    for own, twin in zip(kept.values, filed.values, strict=True):
        np.testing.assert_array_equal(own, twin)
    assert kept.values[0][1] == pd.Timestamp(time[SOURCE == "real"][1]).timestamp()


def test_rows_keep_their_places_and_sources() -> None:
    x = numbers()
    loaded = load_arrays(x, Y, SOURCE, x_valid=numbers(4), y_valid=Y[:4])
    real, valid, synth = loaded.mixture.parts
    assert real.row is not None and synth.row is not None and valid.row is not None
    assert real.row.tolist() == np.flatnonzero(SOURCE == "real").tolist()
    assert synth.row.tolist() == np.flatnonzero(SOURCE == "gan").tolist()
    assert valid.row.tolist() == [0, 1, 2, 3]
    assert np.allclose(synth.x, x[synth.row]) and synth.x.dtype == np.float32
    assert loaded.mixture.classes == (0, 1) and loaded.findings == ()


def test_pictures_are_flattened_and_bytes_scaled() -> None:
    x = np.full((N, 4, 4), 255, dtype=np.uint8)
    assert load_arrays(x, Y, SOURCE).mixture.real.x.shape == (16, 16)
    assert load_arrays(x, Y, SOURCE).mixture.real.x.max() == 1.0


@pytest.mark.parametrize("missing", [None, float("nan"), ""])
def test_a_text_that_is_missing_is_empty(missing: Any) -> None:
    texts = [missing, *(f"text {i}" for i in range(1, N))]
    for kind in (list, lambda some: np.array(some, dtype=object)):
        loaded = load_arrays(kind(texts), [f"c{k}" for k in Y], SOURCE.tolist())
        every = [text for part in loaded.mixture.parts for text in part.x]
        assert "" in every and not {"nan", "None"} & set(every)
        assert "SS114" in {finding.code for finding in loaded.findings}


def test_pandas_texts_with_a_missing_one() -> None:
    import pandas as pd

    texts = pd.Series([pd.NA, *(f"text {i}" for i in range(1, N))], dtype="string")
    assert "SS114" in {f.code for f in load_arrays(texts, [f"c{k}" for k in Y], SOURCE.tolist()).findings}


@pytest.mark.parametrize("strange", [7, 1.5, b"bytes", ["list"], {"a": 1}])
def test_what_is_no_text_among_texts_is_named(strange: Any) -> None:
    texts: Any = [f"text {i}" for i in range(N)]
    texts[3] = strange
    array = np.empty(N, dtype=object)
    array[:] = texts
    with pytest.raises(DataError, match=r"X holds texts, but entry 3 is .*Give str in every place, None where"):
        load_arrays(array, [f"c{k}" for k in Y], SOURCE.tolist())
    with pytest.raises(DataError, match=r"X holds texts, but entry 0 is b'text' \(bytes\)"):
        load_arrays([b"text"] * N, [f"c{k}" for k in Y], SOURCE.tolist())


def test_half_a_surrogate_pair_is_replaced_as_in_files() -> None:
    texts = ["\ud800 half", *(f"text {i}" for i in range(1, N))]
    mixture = load_arrays(texts, [f"c{k}" for k in Y], SOURCE.tolist()).mixture
    assert any("\ufffd" in text and text.endswith(" half") for text in mixture.real.x)


@pytest.mark.parametrize("kind", [list, np.array, lambda t: np.array(t, dtype=object), pd.Series])
def test_texts(kind: Any) -> None:
    texts = [f"text {i}" for i in range(N)]
    mixture = load_arrays(kind(texts), [f"c{k}" for k in Y], SOURCE.tolist()).mixture
    assert mixture.synth.x.tolist() == texts[2::3] and mixture.classes == ("c0", "c1")


def test_parents_are_places_in_x() -> None:
    parent = np.where(SOURCE == "gan", np.arange(N) - 1, -1).astype(object)
    parent[2], parent[5] = None, float("nan")
    mixture = load_arrays(numbers(), Y, SOURCE, parent=parent).mixture
    assert mixture.synth.parent is not None
    assert mixture.synth.parent.tolist() == ["", "", *(f"train:{k}" for k in range(7, N, 3))]
    assert set(mixture.synth.parent.tolist()) - {""} <= set(mixture.real.ids.tolist())


def test_booleans_stay_booleans() -> None:
    truths = np.asarray(Y) == np.asarray(Y)[0]
    mixture = load_arrays(numbers(), truths, SOURCE).mixture
    assert mixture.classes == (False, True) and all(isinstance(value, bool) for value in mixture.classes)
    for part in mixture.parts:
        assert np.array_equal(np.array(mixture.classes)[part.y], truths[part.row])
    texts = load_arrays(numbers(), np.where(truths, "True", "False"), SOURCE).mixture
    assert texts.classes == ("False", "True")
    mixed = load_arrays(numbers(), truths, SOURCE, x_valid=numbers()[:2], y_valid=["True", "no"]).mixture
    assert mixed.classes == ("False", "True", "no")


def test_a_parent_that_is_synthetic_is_told() -> None:
    parent = np.where(SOURCE == "gan", 2, -1)
    (finding,) = load_arrays(numbers(), Y, SOURCE, parent=parent).findings
    assert finding.code == "SS113"


def test_groups_of_any_type() -> None:
    mixture = load_arrays(numbers(), Y, SOURCE, group=[1, None] * (N // 2)).mixture
    assert mixture.real.group is not None
    assert set(mixture.real.group.tolist()) == {"1", ""}


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "lengths": ({"y": Y[:5]}, r"inconsistent numbers of samples: y has 5 entries for 24 rows"),
    "sources": ({"source": SOURCE[:5]}, r"source has 5 entries for 24 rows"),
    "groups": ({"group": [1]}, r"group has 1 entries"),
    "no real": ({"source": ["gan"] * N}, r"marks no real rows"),
    "no synthetic": ({"source": ["real"] * N}, r"marks no synthetic rows"),
    "source missing": ({"source": [None, *SOURCE[1:]]}, r"1 rows of X have no entry in the source column"),
    "label missing": ({"y": [None, *map(str, Y[1:])]}, r"have no label in 'y='"),
    "flat": ({"x": np.arange(N)}, r"X has shape \(24,\) and dtype int64; needed are numbers"),
    "empty": ({"x": np.zeros((0, 3))}, r"X has shape \(0, 3\)"),
    "infinite": ({"x": np.full((N, 2), np.inf)}, r"hold NaN or infinity"),
    "complex": ({"x": np.zeros((N, 2), dtype=complex)}, r"dtype complex128"),
    "no column": ({"x": pd.DataFrame(index=range(N))}, r"at least one row and one column"),
    "twins": ({"x": pd.DataFrame(np.zeros((N, 2)), columns=["a", "a"])}, r"two columns called 'a'"),
    "reserved": ({"x": pd.DataFrame({"y=": range(N)})}, r"column called 'y=', which is reserved"),
    "intervals": ({"x": pd.DataFrame({"a": pd.cut(np.arange(N), 3)})}, r"column 'a' of X holds .*astype\(str\)"),
    "offsets": ({"x": pd.DataFrame({"a": [pd.DateOffset(days=1)] * N})}, r"column 'a' of X holds month_day_nano"),
    "nested": ({"x": pd.DataFrame({"a": [[1]] * N})}, r"column 'a' of X holds list<item: int64>"),
    "y of two columns": ({"y": np.zeros((N, 2))}, r"y has shape \(24, 2\)"),
    "parent beyond": ({"parent": [99] * N}, r"parent names row 99 but X has 24 rows"),
    "parent odd": ({"parent": ["a"] * N}, r"parent must hold places in X"),
    "parent broken": ({"parent": [0.0, 0.9, *[-1] * (N - 2)]}, r"parent holds 0.9, which is no place in X. Give 0, 1"),
    "parent below 0": ({"parent": [-0.5] * N}, r"parent holds -0.5, which is no place"),
    "parent endless": ({"parent": [np.inf] * N}, r"parent must hold places in X"),
    "valid unlabelled": ({"x_valid": numbers(3)}, r"without y_valid"),
    "valid of another kind": (
        {"x_valid": ["a", "b"], "y_valid": [0, 1]},
        r"X holds a table or numbers but X_valid texts",
    ),
    "valid of another width": ({"x_valid": np.zeros((3, 5)), "y_valid": [0, 1, 0]}, r"rows of X have shape"),
    "regression": ({"y": np.random.default_rng(0).normal(size=N)}, r"regression target"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_rows_are_refused_with_a_reason(name: str) -> None:
    more, pattern = CASES[name]
    arguments = {"x": numbers(), "y": Y, "source": SOURCE, **more}
    with pytest.raises(DataError, match=pattern):
        load_arrays(arguments.pop("x"), arguments.pop("y"), arguments.pop("source"), **arguments)
