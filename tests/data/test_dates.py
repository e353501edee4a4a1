"""Dates written as text are the numbers that a typed file holds for them, in every reader of tables."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from small_files import rows, two_files, write

from synthsift.data.columns import NumberColumn, text_column
from synthsift.data.dates import as_dates, odd_date
from synthsift.data.files import read_file
from synthsift.data.fresh import fresh_table
from synthsift.data.generations import read_generations, read_real
from synthsift.data.load import load
from synthsift.records import Table


def seconds(*texts: str) -> list[float]:
    """The twin: Python's own parser, one by one."""
    known = [datetime.fromisoformat(text) for text in texts]
    return [(when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() for when in known]


def column(*cells: str | None) -> object:
    return text_column(pa.chunked_array([pa.array(cells, pa.string())]))


@pytest.mark.parametrize(
    "texts",
    [
        ("2024-02-29", "1850-01-01", "2024-12-31"),
        ("2024-02-29 14:30", "2024-02-29T14:30:05", "2024-02-29 14:30:05.25"),
        ("2024-02-29 14:30Z", "2024-02-29T14:30:05+02:00", "2024-02-29 14:30:05-0330"),
    ],
)
def test_dates_are_seconds(texts: tuple[str, ...]) -> None:
    found = as_dates([column(*texts, None, "NA", "")])
    assert found is not None and found[0].is_date
    assert np.array_equal(found[0].numbers, [*seconds(*texts), np.nan, np.nan, np.nan], equal_nan=True)


@pytest.mark.parametrize(
    "cells",
    [
        ("2024-02-29", "2023-02-29"),
        ("2024-02-29", "01.03.2024"),
        ("2024-02-29", "2024-03-01x"),
        ("2024-02-29 14:30", "2024-02-29 14:30Z"),
        ("2024-02-29", "20240301"),
        ("NA", None),
        ("\u0662\u0660\u0662\u0664-02-29",),
    ],
)
def test_what_is_no_date_stays_what_it_is(cells: tuple[str | None, ...]) -> None:
    assert as_dates([column(*cells)]) is None


def test_the_first_cell_that_is_no_date_is_named() -> None:
    assert odd_date(column("2024-02-29", "NA", "2023-02-29", "soon")) == "2023-02-29"
    assert odd_date(column("2024-02-29", None)) == "" == odd_date(NumberColumn(np.zeros(2), is_date=True))
    assert odd_date(NumberColumn(np.array([np.nan, 20240301]))) == "2.02403e+07"


def dated(count: int = 20, first: str = "2024-01-01") -> list[dict[str, object]]:
    return rows(count, day=lambda i: str(np.datetime64(first) + 3 * i))


@pytest.mark.parametrize("made", ["made.csv", "made.jsonl", "made.parquet"])
def test_a_table_has_them_as_numbers_however_they_are_stored(made: str, tmp_path: Path) -> None:
    spec = two_files(tmp_path, dated())
    table = dated(first="2024-06-01")
    if made.endswith("parquet"):
        frame = pd.DataFrame(table)
        frame["day"] = pd.to_datetime(frame["day"])
        frame.to_parquet(tmp_path / made)
    else:
        write(tmp_path / made, table)
    loaded = load(type(spec)(real=spec.real, synthetic=(str(tmp_path / made),), label=spec.label))
    for part, first in ((loaded.mixture.real, "2024-01-01"), (loaded.mixture.synth, "2024-06-01")):
        assert isinstance(part.x, Table)
        place = part.x.names.index("day")
        assert part.x.categories[place] is None
        assert part.x.values[place][1] - part.x.values[place][0] == 3 * 86400
        assert part.x.values[place][0] == seconds(first)[0]
    assert {finding.code for finding in loaded.findings} & {"SS107", "SS118"} == set()


def test_one_cell_that_is_no_date_is_told_and_makes_categories(tmp_path: Path) -> None:
    spec = two_files(tmp_path, dated(), [*dated(19), *rows(1, day="2024-02-30")])
    loaded = load(spec)
    assert loaded.mixture.real.x.categories[loaded.mixture.real.x.names.index("day")] is not None
    (finding,) = (finding for finding in loaded.findings if finding.code == "SS107")
    assert "'day' holds only dates in the real rows" in finding.seen and "'2024-02-30'" in finding.seen


def test_rows_that_come_later_are_read_alike(tmp_path: Path) -> None:
    raw = read_file(Path(write(tmp_path / "new.csv", dated(5))), set(), None)
    table = fresh_table(raw, ["a", "day"], [True, True])
    assert table.categories == (None, None) and table.values[1][0] == seconds("2024-01-01")[0]
    real, shape, _ = read_real(write(tmp_path / "real.csv", dated(60)), label="label")
    (later,), _ = read_generations([tmp_path / "new.csv"], shape)
    place = real.x.names.index("day")
    assert np.array_equal(later.x.values[place], real.x.values[place][:5])
