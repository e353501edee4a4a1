"""Damaged, missing and unreadable files are refused in one sentence, whatever the damage."""

from __future__ import annotations

import gzip
import io
import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_files import (
    Build,
    csv_text,
    parquet_bytes,
    real_csv,
    real_file,
    real_npz,
    refuses,
    rows,
    two_files,
    write,
    write_npz,
)

from synthsift.data import delimited, jsonlines
from synthsift.data.columnar import read_parquet
from synthsift.data.delimited import read_delimited
from synthsift.data.load import DataSpec, load
from synthsift.records import DataError

GOOD = csv_text(rows())
LINES = GOOD.splitlines(keepends=True)


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def npz_bytes(folder: Path) -> bytes:
    return Path(write_npz(folder / "whole.npz", 500)).read_bytes()


def npy_bytes() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def empty_parquet() -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(pa.table({"a": pa.array([], pa.int64())}), buffer)
    return buffer.getvalue()


def real(path: Path) -> DataSpec:
    """The usual files with another real one."""
    return replace(two_files(path.parent), real=(str(path),))


CASES: dict[str, tuple[Build, str]] = {
    "missing file": (lambda f: replace(two_files(f), real=(f"{f}/reel.csv",)), r"reel\.csv does not exist.*real\.csv"),
    "missing folder": (lambda f: replace(two_files(f), real=(f"{f}/no/real.csv",)), "Nor does its folder"),
    "file used as folder": (lambda f: replace(two_files(f), real=(f"{f}/made.csv/x.csv",)), "is a file, not a folder"),
    "folder as real": (lambda f: replace(two_files(f), real=(str(f),)), "is a folder where one data file"),
    "folder without tables": (
        lambda f: replace(two_files(f), synthetic=(str((f / "e").mkdir() or f / "e"),)),
        "without data files",
    ),
    "glob without match": (lambda f: replace(two_files(f), synthetic=(f"{f}/gen*.csv",)), "matches no file"),
    "no ending": (lambda f: real_file(f, "real", GOOD.encode()), r"no ending.*CSV.*Parquet"),
    "unknown ending": (lambda f: real_file(f, "real.xlsx", b"PK"), r"has \.xlsx, which names no known format"),
    "zipped npz": (lambda f: real_file(f, "real.npz.gz", b"PK"), "names no known format"),
    "empty file": (real_csv(""), "0 bytes"),
    "only blank lines": (real_csv("\n\n\n"), "no header"),
    "empty gzip": (lambda f: real_file(f, "r.csv.gz", gzip.compress(b"")), "no header"),
    "header only": (real_csv("a,b,label\n"), "has a header but no rows"),
    "blank json lines": (lambda f: real_file(f, "r.jsonl", b"\n \n"), "no rows"),
    "parquet without rows": (lambda f: real_file(f, "r.parquet", empty_parquet()), "no rows"),
    "one file twice": (
        lambda f: replace(two_files(f), synthetic=(f"x={f}/real.csv",)),
        "given twice, as --real and as --synthetic",
    ),
    "two sources of one name": (
        lambda f: replace(two_files(f), synthetic=(f"x={f}/made.csv", f"x={f}/real.csv")),
        "two synthetic sources are called 'x'",
    ),
    "source called test": (lambda f: replace(two_files(f), synthetic=(f"Test={f}/made.csv",)), "kept for real rows"),
    "name without path": (lambda f: replace(two_files(f), synthetic=("gpt=",)), "lacks a name or a path"),
    "semicolons": (real_csv(GOOD.replace(",", ";")), "separated by semicolons"),
    "tabs in .csv": (real_csv(GOOD.replace(",", "\t")), "separated by tabs"),
    "commas in .tsv": (lambda f: real_file(f, "r.tsv", GOOD.encode()), r"separated by commas.*\.tsv"),
    "short line": (
        real_csv("".join([*LINES[:4], "1,2\n", *LINES[4:]])),
        "line 5 of .* has 2 cells where the header has 3",
    ),
    "long line after a quoted line end": (
        real_csv("".join([LINES[0], '1,"x\ny",no\n', "1,2,3,4\n", *LINES[1:]])),
        "line 4 of .* has 4 cells",
    ),
    "open quote": (real_csv(GOOD + '5,x,"no\n' + LINES[1]), "a quotation mark is not closed"),
    "not UTF-8": (
        lambda f: real_file(f, "r.csv", GOOD.encode() + "5,é,no\n".encode("latin-1")),
        r"byte 0xe9 at offset \d+",
    ),
    "not UTF-8 in the header": (
        lambda f: real_file(f, "r.csv", b"\xe9" + GOOD.encode()),
        "offset 0 of the text.*iconv",
    ),
    "UTF-16": (lambda f: real_file(f, "r.csv", GOOD.encode("utf-16")), "is UTF-16"),
    "repeated column": (real_csv("a,a,label\n1,2,no\n"), "several columns called 'a'"),
    "cut gzip": (lambda f: real_file(f, "r.csv.gz", half(gzip.compress(GOOD.encode()))), "cut off or damaged gzip"),
    "no gzip": (lambda f: real_file(f, "r.csv.gz", GOOD.encode()), "not sound gzip"),
    "cut gzipped json": (
        lambda f: real_file(f, "r.jsonl.gz", half(gzip.compress(b'{"a": 1}\n' * 99))),
        "cut off or damaged gzip",
    ),
    "wrong checksum": (
        lambda f: real_file(f, "r.csv.gz", gzip.compress(GOOD.encode())[:-8] + b"\0" * 8),
        "not sound gzip",
    ),
    "cut parquet": (lambda f: real_file(f, "r.parquet", half(parquet_bytes(rows()))), "not sound Parquet"),
    "no parquet": (lambda f: real_file(f, "r.parquet", GOOD.encode()), "not sound Parquet"),
    "damaged parquet": (
        lambda f: real_file(f, "r.parquet", b"PAR1" + b"\0" * 60 + parquet_bytes(rows())[64:]),
        "not sound Parquet",
    ),
    "parquet with lists": (lambda f: real_file(f, "r.parquet", parquet_bytes(rows(20, v=[1, 2]))), r"'v' \(list"),
    "parquet with bytes": (lambda f: real_file(f, "r.parquet", parquet_bytes(rows(20, v=b"xx"))), r"'v' \(binary\)"),
    "cut npz": (lambda f: real_file(f, "r.npz", half(npz_bytes(f)), label=None), "cut off or damaged"),
    "no npz": (lambda f: real_file(f, "r.npz", b"something else", label=None), "only pickle could load|not a sound"),
    "pickled x": (real_npz(x=np.array([{}] * 20, dtype=object)), "only pickle could load"),
    "pickled y": (real_npz(y=np.array(["a", 1] * 10, dtype=object)), "only pickle could load"),
    "npz without y": (lambda f: replace(real_npz()(f), label="target"), r"no array 'target' \(--label\)"),
    "labels of another length": (real_npz(y=np.arange(7)), r"shape \(7,\); \(20,\) is needed"),
    "labels with two axes": (real_npz(y=np.zeros((20, 2))), r"shape \(20, 2\)"),
    "text as inputs": (real_npz(x=np.array(["a"] * 20)), "numbers are needed"),
    "rows of another shape": (real_npz(shape=(5,)), r"shape \(5,\) but rows of .* have \(3,\)"),
    "NaN in arrays": (
        real_npz(x=np.where(np.arange(60).reshape(20, 3) == 7, np.nan, 1.0)),
        "1 of 20 real rows .* hold NaN or infinity",
    ),
    "huge numbers in arrays": (
        real_npz(x=np.where(np.arange(60).reshape(20, 3) == 7, -1e300, 1.0)),
        r"1 of 20 real rows .* hold numbers beyond ±1e\+15 \(such as -1e\+300 in column 1\) in 'x', the first is row 2",
    ),
    "huge whole numbers in arrays": (
        real_npz(x=np.where(np.arange(60).reshape(20, 3) == 7, -(2**63), 1)),
        r"such as -9.22337e\+18 in column 1",
    ),
    "arrays and tables": (
        lambda f: replace(real_npz()(f), synthetic=two_files(f, rows(20, y="1")).synthetic, label=None),
        "no column 'y'|--label is missing",
    ),
    "one npy": (lambda f: real_file(f, "r.npz", npy_bytes(), label=None), "single array"),
    "broken json": (lambda f: real_file(f, "r.jsonl", b'{"a": 1, "label": 1}\n{"a": \n'), "line 2 of .* is not JSON"),
    "json list": (lambda f: real_file(f, "r.jsonl", b"[1, 2]\n"), "line 1 of .* holds a list"),
    "nested json": (
        lambda f: real_file(f, "r.jsonl", b'{"a": 1, "label": 1}\n\n{"a": {"b": 1}, "label": 1}\n'),
        "line 3 of .* nested value under 'a'",
    ),
    "json of too many digits": (
        lambda f: real_file(f, "r.jsonl", b'{"a": ' + b"9" * 5000 + b"}\n"),
        "line 1 of .* is not JSON",
    ),
    "json of too many brackets": (lambda f: real_file(f, "r.jsonl", b"[" * 99_999), "line 1 of .* is not JSON"),
    "link to nowhere": (
        lambda f: (f / "r.csv").symlink_to(f / "gone") or real(f / "r.csv"),
        "a link that leads nowhere",
    ),
    "circle of links": (
        lambda f: (f / "r.csv").symlink_to(f / "r.csv") or real(f / "r.csv"),
        "a link that leads nowhere",
    ),
    "pipe": (lambda f: os.mkfifo(f / "r.csv") or real(f / "r.csv"), "is a pipe, socket or device"),
    "json not UTF-8": (lambda f: real_file(f, "r.jsonl", b'{"a": 1}\n{"a": "\xff"}\n'), "byte 0xff at offset 16"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_files_are_refused(tmp_path: Path, name: str) -> None:
    build, pattern = CASES[name]
    refuses(build(tmp_path), pattern)


@pytest.mark.parametrize("ending", ["csv.gz", "jsonl.gz", "parquet", "parquet.gz", "npz"])
def test_a_file_cut_anywhere_is_never_a_traceback(tmp_path: Path, ending: str) -> None:
    whole = tmp_path / f"whole.{ending}"
    write_npz(whole, 30) if ending == "npz" else write(whole, rows(30))
    content = whole.read_bytes()
    for cut in np.linspace(1, len(content) - 1, 12).astype(int):
        spec = real_file(tmp_path, f"real.{ending}", content[:cut], label=None if ending == "npz" else "label")
        refuses(spec, "")


LINE = "1.25," * 6_000_000
ENDLESS: dict[str, tuple[str, str, str]] = {
    "one line": ("r.csv", LINE, "the record that begins in line 1 of .* more than 4,194,304 characters"),
    "one name": ("r.csv", "a" * len(LINE), "the record that begins in line 1 of"),
    "a header that never closes": (
        "r.csv",
        '"' + f"{'x' * 999}\n" * 4500,
        "begins in line 1 of .* not closed",
    ),
    "one line of JSON": ("r.jsonl", LINE, "line 1 of .* more than 16,777,216 bytes.*without line ends"),
    "a JSON list": ("r.jsonl", " [" + LINE, "line 1 of .* more than 16,777,216 bytes.*one JSON list.*jq"),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_file_without_line_ends_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    file, content, pattern = ENDLESS[name]
    spec = real_file(tmp_path, file, content.encode())
    monkeypatch.setattr(jsonlines, "MAX_LINE", 1 << 24)
    tracemalloc.start()
    try:
        refuses(spec, pattern)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50e6, "cut into cells, 6 million of them take several hundred MB"


def test_a_row_that_is_too_long_for_the_reader_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 1000)
    path = tmp_path / "r.csv"
    path.write_text("".join([*LINES[:3], f'5,"{"x" * 900}",no\n', *LINES[3:]]))
    assert read_delimited(path, ",").total == 21
    path.write_text("".join([*LINES[:3], f'5,"{"x" * 40_000_000}",no\n', *LINES[3:]]))
    with pytest.raises(DataError, match=r"the record that begins in line 4 of .* more than 33,554,432 characters"):
        read_delimited(path, ",")


def test_an_open_quote_before_much_text_is_found(tmp_path: Path) -> None:
    spec = real_csv(GOOD + '5,x,"no\n' + "".join(LINES[1:]) * 3000)(tmp_path)  # over 128 KiB in one cell
    refuses(spec, "a quotation mark is not closed")


@pytest.mark.parametrize("has_checksum", [True, False])
def test_a_flipped_bit_in_parquet_is_found_where_the_writer_stored_checksums(
    tmp_path: Path, has_checksum: bool
) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "r.parquet"
    table = pa.table({"a": np.arange(50.0)})
    parquet.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=has_checksum)
    assert read_parquet(path).columns["a"].as_numbers().tolist() == list(range(50))
    data = bytearray(path.read_bytes())
    data[data.index(np.float64(7).tobytes())] ^= 1
    path.write_bytes(data)
    if has_checksum:
        with pytest.raises(DataError, match=r"not sound Parquet .*CRC checksum verification failed"):
            read_parquet(path)
    else:
        assert read_parquet(path).columns["a"].as_numbers()[7] != 7, "nothing in the file could tell"


def test_the_largest_numbers_that_are_taken_can_be_squared_and_summed(tmp_path: Path) -> None:
    x = np.full((20, 3), 1e15)
    x[0] = -1e15
    loaded = load(real_npz(x=x)(tmp_path))
    taken = loaded.mixture.real.x
    assert taken.dtype == np.float32 and np.isfinite((taken**2).sum() * np.float32(1e6 / 60))
