"""Columns, labels and flags that cannot work are refused in one sentence that says what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from small_files import Build, changed_table, one_table, real_csv, real_npz, refuses, rows, two_files, without, write

from synthsift.data.load import DataSpec

CASES: dict[str, tuple[Build, str]] = {
    "no label flag": (lambda f: two_files(f, label=None), "--label is missing.*'a', 'b', 'label'"),
    "no label flag, many columns": (
        lambda f: two_files(f, rows(20, **{f"c{k:02}": k for k in range(30)}, answer="yes"), label=None),
        "--label is missing.*'c16' and 14 more, the last of them 'answer'",
    ),
    "no label column": (
        lambda f: two_files(f, label="Labels"),
        r"no column 'Labels' \(--label\).*Did you mean 'label'",
    ),
    "label lacks in one source": (
        lambda f: two_files(f, synthetic=without("label", rows())),
        r"made\.csv has no column 'label'",
    ),
    "missing labels": (
        lambda f: two_files(f, rows(20, label=lambda i: "" if i in (4, 9) else "ab"[i % 2])),
        "2 of 20 real rows .* data row 5",
    ),
    "missing numbers as labels": (
        lambda f: two_files(f, rows(20, label=lambda i: "NA" if i == 4 else i % 2), rows(9, label=1)),
        "1 of 20 real rows .* no label",
    ),
    "regression target": (
        lambda f: two_files(f, rows(50, label=lambda i: i / 7), rows(9, label=1)),
        "regression target",
    ),
    "one class": (lambda f: two_files(f, rows(20, label="no"), rows(20, label="no")), "same label 'no'"),
    "three rows": (lambda f: two_files(f, rows(3)), "there are 3 real rows"),
    "labels do not meet": (
        lambda f: two_files(f, synthetic=rows(20, label=lambda i: i % 2)),
        "real labels are no, yes, synthetic ones 0",
    ),
    "only the label": (real_csv("label\n" + "no\nyes\n" * 9), "no column beside the label"),
    "all features missing": (lambda f: two_files(f, rows(20, a="", b="")), "no column of the real rows has values"),
    "nothing shared": (lambda f: two_files(f, synthetic=[{"c": 1, "label": "no"}] * 9), "shares no feature column"),
    "no text column": (lambda f: two_files(f, text="body"), r"no column 'body' \(--text\)"),
    "text of numbers": (
        lambda f: replace(two_files(f, text="a"), real=(write(f / "r.jsonl", rows()),)),
        "no real row of .* has text in 'a'",
    ),
    "text of arrays": (lambda f: replace(real_npz()(f), text="x"), "holds arrays, but --text"),
    "no id column": (lambda f: two_files(f, id="key"), r"no column 'key' \(--id\)"),
    "repeated ids": (lambda f: two_files(f, id="b"), "'x' occurs 7 times"),
    "missing ids": (
        lambda f: two_files(f, rows(20, key=lambda i: i or ""), id="key"),
        "1 rows of .* no id in 'key', the first is data row 1",
    ),
    "ids in two files": (
        lambda f: two_files(f, rows(20, k=lambda i: i), rows(9, k=lambda i: i + 15), id="k"),
        r"'15' is in .*real\.csv .* and in .*made\.csv.*Drop --id",
    ),
    "no parent column": (
        lambda f: two_files(f, rows(20, of=1), parent="of"),
        r"made\.csv has no column 'of' \(--parent\)",
    ),
    "parents are no numbers": (
        lambda f: two_files(f, synthetic=rows(9, of="x1"), parent="of", parent_split="real"),
        "has 'x1' there",
    ),
    "unknown parent split": (
        lambda f: two_files(f, synthetic=rows(9, of=1), parent="of", parent_split="seed"),
        "names no split",
    ),
    "no group column": (lambda f: two_files(f, group="g"), r"no column 'g' \(--group\)"),
    "no source flag": (lambda f: one_table(f, source_column=None), "--data needs --source-column"),
    "no source column": (lambda f: one_table(f, source_column="origin"), r"no column 'origin' \(--source-column\)"),
    "missing source": (
        changed_table(lambda row: {"source": ""} if row["split"] == "val" else {}),
        "6 rows of .* have no entry in the source column",
    ),
    "no real rows": (changed_table(lambda row: {"source": "gpt"}), "marks no real rows: it holds 'gpt'"),
    "no synthetic rows": (changed_table(lambda row: {"source": "real"}), "marks no synthetic rows"),
    "no split column": (lambda f: one_table(f, split_column="part"), r"no column 'part' \(--split-column\)"),
    "unknown train split": (
        lambda f: one_table(f, train_split="trian"),
        "no real row is in the split 'trian'.*Did you mean 'train'",
    ),
    "unknown valid split": (lambda f: one_table(f, valid_split="dev"), r"split 'dev' \(--valid-split\)"),
    "synthetic rows in test": (
        changed_table(lambda row: {"split": "test"} if row["source"] == "vae" else {}),
        "10 synthetic rows .* split 'test'",
    ),
    "nothing named": (lambda f: DataSpec(label="label"), "no real data is named"),
    "no synthetic": (lambda f: replace(two_files(f), synthetic=()), "no synthetic data is named"),
    "both layouts": (lambda f: replace(two_files(f), data="x.csv"), "--data holds all rows, but --real, --synthetic"),
    "source column without data": (lambda f: two_files(f, source_column="b"), "goes with --data"),
    "one split twice": (lambda f: one_table(f, valid_split="test"), "must differ"),
    "one column twice": (lambda f: two_files(f, text="label"), "both name the column 'label'"),
    "parent split alone": (lambda f: two_files(f, parent_split="real"), "without --parent"),
    "no rows wanted": (lambda f: two_files(f, max_real=0), "--max-real is 0"),
    "too few rows wanted": (lambda f: two_files(f, max_real=5), "there are 5 real rows.*--max-real"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_columns_are_refused(tmp_path: Path, name: str) -> None:
    build, pattern = CASES[name]
    refuses(build(tmp_path), pattern)
