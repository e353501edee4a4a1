"""Tables in every format become the same records."""

from __future__ import annotations

import datetime
import decimal
import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_files import csv_text, rows, two_files, without, write

from synthsift.data.load import DataSpec, data_hash, load
from synthsift.records import Table

FORMATS = ("csv", "tsv", "jsonl", "parquet", "csv.gz", "tsv.gz", "jsonl.gz", "parquet.gz")


def column(table: Table, name: str) -> list[object]:
    """The cells of a column: text of categories, numbers, None where missing."""
    index = table.names.index(name)
    values, categories = table.values[index], table.categories[index]
    if categories is None:
        return [None if np.isnan(value) else value for value in values.tolist()]
    return [None if code < 0 else categories[code] for code in values]


@pytest.mark.parametrize("real_format", FORMATS)
def test_every_format_gives_the_same_table(tmp_path: Path, real_format: str) -> None:
    real, made = rows(20), rows(30, b=lambda i: "new" if i == 3 else "x")
    spec = DataSpec(
        real=(write(tmp_path / f"real.{real_format}", real),),
        synthetic=(write(tmp_path / "made.csv", made),),
        label="label",
    )
    loaded = load(spec)
    mixture = loaded.mixture
    assert mixture.real.x.names == ("a", "b") and mixture.real.x.categories == (None, ("new", "x", "y", "z"))
    assert column(mixture.real.x, "a") == [row["a"] for row in real]
    assert column(mixture.real.x, "b") == [row["b"] for row in real]
    assert [mixture.classes[code] for code in mixture.real.y] == [row["label"] for row in real]
    assert column(mixture.synth.x, "b")[3] == "new"
    assert loaded.findings == () and loaded.test is None and loaded.left_out is None and len(mixture.valid) == 0


def test_every_row_knows_its_file_and_place(tmp_path: Path) -> None:
    spec = two_files(tmp_path, max_rows_per_source=7)
    synth = load(spec).mixture.synth
    assert synth.file is not None and synth.row is not None
    assert set(synth.file) == {str(tmp_path / "made.csv")} and list(synth.row) == sorted(synth.row)
    assert synth.ids.tolist() == [f"made:{row}" for row in synth.row]
    assert column(synth.x, "a") == [0.5 * row for row in synth.row]


def test_missing_tokens_are_missing_in_numbers_and_text_in_categories(tmp_path: Path) -> None:
    tokens = ["", "NA", "N/A", "nan", "NaN", "null", "None", "?"]
    real = rows(20, a=lambda i: tokens[i] if i < 8 else i, b=lambda i: tokens[i] if i < 8 else "x")
    loaded = load(two_files(tmp_path, real))
    assert column(loaded.mixture.real.x, "a")[:9] == [None] * 8 + [8.0]
    assert column(loaded.mixture.real.x, "b")[:9] == [None, *tokens[1:], "x"]


@pytest.mark.parametrize(
    ("cells", "is_numeric"),
    [
        (["1", "2.5", "-3e4", "+7", ".5", "5."], True),
        ([" 1 ", "\t2", "3"], True),
        (["1", "1,234"], False),
        (["1", "_RARE_"], False),
        (["1", "*0"], False),
        (["0x10", "1"], False),
        (["1_000", "1"], False),
        (["True", "False"], False),
        (["NA", "NA"], False),
    ],
)
def test_a_column_is_numeric_when_every_cell_is_a_finite_number(
    tmp_path: Path, cells: list[str], is_numeric: bool
) -> None:
    loaded = load(two_files(tmp_path, rows(20, a=lambda i: cells[i % len(cells)]), rows(30, a=lambda i: cells[0])))
    assert (loaded.mixture.real.x.categories[0] is None) == is_numeric


def test_one_odd_cell_of_a_synthetic_file_makes_the_column_categorical_everywhere(tmp_path: Path) -> None:
    loaded = load(two_files(tmp_path, rows(20, a=lambda i: i), rows(30, a=lambda i: "*0" if i == 29 else i)))
    categories = loaded.mixture.real.x.categories[0]
    assert categories is not None and "*0" in categories and "7" in categories
    assert [finding.code for finding in loaded.findings] == ["SS107"] and "'*0'" in loaded.findings[0].seen


def test_the_kind_of_a_column_does_not_depend_on_the_rows_drawn(tmp_path: Path) -> None:
    real = rows(200, a=lambda i: "odd" if i == 150 else i)
    kinds = {
        load(two_files(tmp_path, real, max_real=20, seed=seed)).mixture.real.x.categories[0] is None
        for seed in range(5)
    }
    assert kinds == {False}


def test_numbers_of_a_typed_file_and_of_text_are_one_category_when_the_column_is_categorical(tmp_path: Path) -> None:
    real = write(tmp_path / "real.parquet", rows(20, a=lambda i: float(i % 3)))
    made = write(tmp_path / "made.csv", rows(30, a=lambda i: ("0", "1", "2", "many")[i % 4]))
    loaded = load(DataSpec(real=(real,), synthetic=(made,), label="label"))
    assert loaded.mixture.real.x.categories[0] == ("0", "1", "2", "many")
    assert column(loaded.mixture.real.x, "a")[:4] == ["0", "1", "2", "0"]


def test_byte_order_mark_windows_line_ends_quotes_and_blank_lines(tmp_path: Path) -> None:
    spec = two_files(tmp_path)
    text = csv_text(rows(20, b=lambda i: 'say "hi"\nthere, you' if i == 4 else "x")).replace("\n", "\r\n")
    Path(spec.real[0]).write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n\r\n")
    real = load(spec).mixture.real
    assert real.x.names == ("a", "b") and len(real) == 20
    assert column(real.x, "b")[4] == 'say "hi"\r\nthere, you'


def test_gzip_of_several_members_is_read_to_its_end(tmp_path: Path) -> None:
    head, *tail = csv_text(rows(20)).splitlines(keepends=True)
    (tmp_path / "real.csv.gz").write_bytes(
        gzip.compress((head + "".join(tail[:8])).encode()) + gzip.compress("".join(tail[8:]).encode())
    )
    spec = two_files(tmp_path, real=rows(1))
    loaded = load(DataSpec(real=(str(tmp_path / "real.csv.gz"),), synthetic=spec.synthetic, label="label"))
    assert len(loaded.mixture.real) == 20


def test_json_values_of_all_kinds(tmp_path: Path) -> None:
    real = rows(20, a=lambda i: None if i == 0 else i, b=lambda i: i % 2 == 0, c=lambda i: ("one", 2, 3.5, True)[i % 4])
    del real[1]["a"]
    made = rows(30, b=False, c="one")
    spec = DataSpec(
        real=(write(tmp_path / "real.jsonl", real),), synthetic=(write(tmp_path / "made.jsonl", made),), label="label"
    )
    table = load(spec).mixture.real.x
    assert column(table, "a")[:3] == [None, None, 2.0]
    assert column(table, "b")[:2] == ["True", "False"]
    assert column(table, "c")[:4] == ["one", "2", "3.5", "True"]


def test_json_lines_may_be_blank_and_hold_halves_of_surrogate_pairs_and_huge_numbers(tmp_path: Path) -> None:
    path = tmp_path / "real.jsonl"
    write(path, rows(20, b=lambda i: "\ud800x" if i == 0 else "y", c=lambda i: 2**70 + i))
    path.write_text("\n" + path.read_text().replace("\n", "\n\n"))
    made = write(tmp_path / "made.jsonl", rows(30, c=1))
    loaded = load(DataSpec(real=(str(path),), synthetic=(made,), label="label"))
    assert len(loaded.mixture.real) == 20 and column(loaded.mixture.real.x, "c")[0] == float(2**70)
    assert "x" in str(column(loaded.mixture.real.x, "b")[0])


def test_parquet_types_become_numbers_and_text(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    day = datetime.date(1970, 1, 2)
    n = 20
    typed = {
        "whole": pa.array(range(n), pa.int16()),
        "large": pa.array([2**63 + 1] * n, pa.uint64()),
        "half": pa.array(np.arange(n, dtype=np.float16)),
        "money": pa.array([decimal.Decimal("1.50")] * n),
        "time": pa.array([datetime.datetime(1970, 1, 1, 0, 1, tzinfo=datetime.UTC)] * n, pa.timestamp("ms", tz="UTC")),
        "day": pa.array([day] * n),
        "span": pa.array([datetime.timedelta(hours=1)] * n),
        "flag": pa.array([True, None] * (n // 2)),
        "word": pa.array(["u", None] * (n // 2)).dictionary_encode(),
        "long": pa.array(["v"] * n, pa.large_string()),
        "label": pa.array([0, 1] * (n // 2)),
        "__index_level_0__": pa.array(range(n)),
    }
    for name in ("real", "made"):
        parquet.write_table(pa.table(typed), tmp_path / f"{name}.parquet")
    loaded = load(
        DataSpec((str(tmp_path / "real.parquet"),), synthetic=(str(tmp_path / "made.parquet"),), label="label")
    )
    first = {name: column(loaded.mixture.real.x, name)[0] for name in loaded.mixture.real.x.names}
    assert first == {
        "whole": 0.0, "large": float(2**63), "half": 0.0, "money": 1.5, "time": 60.0, "day": 86400.0, "span": 3600.0,
        "flag": "True", "word": "u", "long": "v",
    }  # fmt: skip
    assert column(loaded.mixture.real.x, "flag")[1] is None and column(loaded.mixture.real.x, "word")[1] is None


def test_names_of_sources_come_from_flags_files_globs_and_folders(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    for name in ("b.csv", "a.v2.csv.gz", ".hidden.csv"):
        write(folder / name, rows(12))
    (folder / "README.md").write_text("not a table")
    spec = two_files(tmp_path)
    folder_names = load(DataSpec(real=spec.real, synthetic=(str(folder),), label="label")).mixture.synth.source
    assert sorted(set(folder_names)) == ["a.v2", "b"]
    globbed = load(
        DataSpec(real=spec.real, synthetic=(f"gen={folder}/*.csv*", f"own={tmp_path}/made.csv"), label="label")
    )
    assert sorted(set(globbed.mixture.synth.source)) == ["gen/a.v2", "gen/b", "own"]


def test_an_equals_sign_in_a_file_name_is_no_name(tmp_path: Path) -> None:
    spec = two_files(tmp_path)
    odd = write(tmp_path / "x=1.csv", rows(12))
    assert set(load(DataSpec(real=spec.real, synthetic=(odd,), label="label")).mixture.synth.source) == {"x=1"}


def test_several_real_files_are_numbered_through(tmp_path: Path) -> None:
    spec = two_files(tmp_path)
    more = write(tmp_path / "more.csv", rows(5))
    real = load(DataSpec(real=(*spec.real, more), synthetic=spec.synthetic, label="label")).mixture.real
    assert real.ids.tolist() == [f"real:{i}" for i in range(25)]
    assert real.row is not None and real.row[-5:].tolist() == [0, 1, 2, 3, 4]


def test_columns_only_some_files_have(tmp_path: Path) -> None:
    loaded = load(two_files(tmp_path, synthetic=without("b", rows(30, extra=1))))
    assert loaded.mixture.synth.x.names == ("a", "b")
    assert set(column(loaded.mixture.synth.x, "b")) == {None}
    assert [finding.code for finding in loaded.findings] == ["SS104", "SS108"]


CELL = st.one_of(st.none(), st.text("ab,;\"' \n\té😀?N", max_size=8), st.integers(-5, 5))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELL, st.sampled_from(["no", "yes"])), min_size=12, max_size=30))
def test_csv_keeps_the_number_of_rows_and_every_label(tmp_path: Path, cells: list[tuple[object, str]]) -> None:
    real = [{"b": "" if cell is None else cell, "c": 1, "label": label} for cell, label in cells]
    real[0]["label"], real[1]["label"] = "no", "yes"
    loaded = load(two_files(tmp_path, real, [{"b": "", "c": 2, "label": "no"}]))
    assert [loaded.mixture.classes[code] for code in loaded.mixture.real.y] == [row["label"] for row in real]
    if "b" in loaded.mixture.real.x.names and loaded.mixture.real.x.categories[0] is not None:
        assert column(loaded.mixture.real.x, "b") == [str(row["b"]).strip() or None for row in real]


def test_the_hash_follows_settings_and_contents(tmp_path: Path) -> None:
    spec = two_files(tmp_path)
    first = data_hash(spec)
    assert first == data_hash(spec) and len(first) == 64
    assert data_hash(DataSpec(spec.real, synthetic=spec.synthetic, label="label", max_real=5)) != first
    with open(spec.synthetic[0], "a") as file:
        file.write("9,x,no\n")
    assert data_hash(spec) != first
