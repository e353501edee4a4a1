"""Which row plays which part: splits, sources, sampling, ids, parents and groups."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_files import mixed_table, one_table, rows, two_files, write, write_npz

from synthsift.data.load import DataSpec, load
from synthsift.records import REAL, DataError


def codes(loaded: object) -> list[str]:
    return [finding.code for finding in loaded.findings]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["all.csv", "all.jsonl", "all.parquet", "all.tsv.gz"])
def test_one_table_is_divided_by_source_and_split(tmp_path: Path, name: str) -> None:
    loaded = load(one_table(tmp_path, name=name))
    mixture, table = loaded.mixture, mixed_table()
    assert loaded.test is not None
    assert (len(mixture.real), len(mixture.valid), len(loaded.test), len(mixture.synth)) == (20, 6, 5, 20)
    assert mixture.real.x.names == ("a", "b"), "source and split are no features"
    for part, prefix in ((mixture.real, "train"), (mixture.valid, "val"), (loaded.test, "test")):
        assert part.ids.tolist() == [f"{prefix}:{row}" for row in part.row]  # type: ignore[union-attr]
        assert all(table[row]["split"] == prefix for row in part.row)  # type: ignore[union-attr]
        assert set(part.source) == {REAL}
    assert mixture.synth.ids.tolist() == [
        f"{s}:{r}" for s, r in zip(mixture.synth.source, mixture.synth.row, strict=True)
    ]  # type: ignore[arg-type]
    assert codes(loaded) == ["SS101"] and "other (4)" in loaded.findings[0].seen


def test_without_a_split_column_all_real_rows_are_training_rows(tmp_path: Path) -> None:
    table = [{key: value for key, value in row.items() if key != "split"} for row in mixed_table()]
    loaded = load(one_table(tmp_path, table, split_column=None))
    assert len(loaded.mixture.real) == 35 and len(loaded.mixture.valid) == 0 and loaded.test is None


def test_another_word_for_real(tmp_path: Path) -> None:
    table = [row | {"source": "human" if row["source"] == "Real" else row["source"]} for row in mixed_table()]
    assert len(load(one_table(tmp_path, table, real_source="Human")).mixture.real) == 20


def test_a_synthetic_source_called_real_is_refused(tmp_path: Path) -> None:
    table = [
        row | {"source": {"Real": "human", "gpt": "real"}.get(row["source"], row["source"])} for row in mixed_table()
    ]
    with pytest.raises(DataError, match="kept for real rows"):
        load(one_table(tmp_path, table, real_source="human"))


def test_valid_and_test_files(tmp_path: Path) -> None:
    spec = two_files(tmp_path)
    held = {role: write(tmp_path / f"{role}.csv", rows(9)) for role in ("valid", "test")}
    loaded = load(replace(spec, **held))
    assert loaded.test is not None
    assert loaded.mixture.valid.ids[3] == "valid:3" and loaded.test.ids[5] == "test:5"
    assert set(loaded.mixture.valid.source) == set(loaded.test.source) == {REAL}


def test_a_sample_has_the_wanted_size_and_keeps_file_order(tmp_path: Path) -> None:
    spec = two_files(tmp_path, rows(100), rows(80), max_real=30, max_rows_per_source=25, max_valid=4)
    spec = replace(spec, valid=write(tmp_path / "valid.csv", rows(9)))
    mixture = load(spec).mixture
    assert (len(mixture.real), len(mixture.valid), len(mixture.synth)) == (30, 4, 25)
    for part in mixture.parts:
        assert part.row is not None and part.row.tolist() == sorted(set(part.row.tolist()))


def test_a_sample_depends_on_the_seed_and_on_no_other_option(tmp_path: Path) -> None:
    spec = two_files(tmp_path, rows(100), rows(80), max_real=30)
    drawn = load(spec).mixture.real.ids.tolist()
    others = [
        replace(spec, max_rows_per_source=5),
        replace(spec, valid=write(tmp_path / "valid.csv", rows(9)), max_valid=3),
        replace(spec, synthetic=(f"other={spec.synthetic[0]}",)),
        replace(spec, group="b"),
    ]
    assert all(load(other).mixture.real.ids.tolist() == drawn for other in others)
    assert load(replace(spec, seed=1)).mixture.real.ids.tolist() != drawn
    assert set(load(replace(spec, max_real=12)).mixture.real.ids) < set(drawn), (
        "smaller samples are nested in larger ones"
    )


def test_every_row_is_drawn_equally_often(tmp_path: Path) -> None:
    spec = two_files(tmp_path, rows(40), max_real=10)
    draws = 120
    counts = np.zeros(40)
    for seed in range(draws):
        counts[load(replace(spec, seed=seed)).mixture.real.row] += 1
    # a count is hypergeometric per draw: mean draws / 4, variance draws * 3/16; 4.5 standard errors for 40 counts
    assert np.abs(counts - draws / 4).max() < 4.5 * np.sqrt(draws * 3 / 16)


def test_own_ids_are_taken_as_they_are(tmp_path: Path) -> None:
    spec = two_files(tmp_path, rows(20, key=lambda i: f"r{i}"), rows(30, key=lambda i: f"s{i}"), id="key")
    mixture = load(spec).mixture
    assert mixture.real.ids[3] == "r3" and mixture.synth.ids[29] == "s29" and "key" not in mixture.real.x.names


def test_whole_numbers_as_ids_lose_no_digit(tmp_path: Path) -> None:
    big = 2**60
    real = write(tmp_path / "real.parquet", rows(20, key=lambda i: big + i))
    made = write(
        tmp_path / "made.parquet", rows(30, key=lambda i: big + 100 + i, of=lambda i: None if i == 0 else big + i % 20)
    )
    loaded = load(DataSpec((real,), synthetic=(made,), label="label", id="key", parent="of"))
    assert loaded.mixture.real.ids[7] == str(big + 7)
    assert loaded.mixture.synth.parent is not None and loaded.mixture.synth.parent[:3].tolist() == [
        "",
        str(big + 1),
        str(big + 2),
    ]


@pytest.mark.parametrize("name", ["all.csv", "all.jsonl", "all.parquet"])
def test_parents_by_row_number_of_a_split(tmp_path: Path, name: str) -> None:
    made = iter(range(20))
    table = [row | {"seed": None if row["source"] == "Real" else next(made)} for row in mixed_table()]
    loaded = load(one_table(tmp_path, table, name, parent="seed", parent_split="train"))
    synth, real = loaded.mixture.synth, loaded.mixture.real
    assert synth.parent is not None and real.parent is not None and set(real.parent) == {""}
    wanted = {row["source"] + str(i): row["seed"] for i, row in enumerate(table)}
    assert [real.ids[wanted[s + str(r)]] for s, r in zip(synth.source, synth.row, strict=True)] == synth.parent.tolist()  # type: ignore[arg-type]


def test_row_numbers_count_before_sampling(tmp_path: Path) -> None:
    spec = two_files(tmp_path, rows(50), rows(50, of=lambda i: i), parent="of", parent_split="real", max_real=12)
    loaded = load(spec)
    assert loaded.mixture.synth.parent is not None
    assert loaded.mixture.synth.parent.tolist() == [f"real:{i}" for i in range(50)] and loaded.findings == ()


def test_parents_that_are_no_row_are_empty_and_counted(tmp_path: Path) -> None:
    odd = [99, -1, 0.5, "", 3]
    spec = two_files(tmp_path, synthetic=rows(5, of=lambda i: odd[i]), parent="of", parent_split="train")
    loaded = load(spec)
    assert loaded.mixture.synth.parent is not None
    assert loaded.mixture.synth.parent.tolist() == ["", "", "", "", "real:3"]
    assert codes(loaded) == ["SS113"] and loaded.findings[0].seen.startswith("3 of 4")


def test_parents_by_id_may_be_validation_and_test_rows(tmp_path: Path) -> None:
    spec = two_files(
        tmp_path, synthetic=rows(4, of=lambda i: ("real:2", "valid:0", "test:1", "nobody")[i]), parent="of"
    )
    spec = replace(spec, **{role: write(tmp_path / f"{role}.csv", rows(9)) for role in ("valid", "test")})
    loaded = load(spec)
    assert loaded.mixture.synth.parent is not None
    assert loaded.mixture.synth.parent.tolist() == ["real:2", "valid:0", "test:1", ""]


def test_groups_are_text_and_empty_where_missing(tmp_path: Path) -> None:
    loaded = load(two_files(tmp_path, rows(20, who=lambda i: "" if i == 2 else i % 4), group="who"))
    assert loaded.mixture.real.group is not None and loaded.mixture.synth.group is not None
    assert loaded.mixture.real.group[:4].tolist() == ["0", "1", "", "3"]
    assert set(loaded.mixture.synth.group) == {""} and codes(loaded) == ["SS117"]
    assert load(two_files(tmp_path)).mixture.real.group is None


def test_arrays_in_one_table_with_all_columns(tmp_path: Path) -> None:
    n = 30
    arrays = {
        "source": np.array(["real"] * 20 + ["gen"] * 10),
        "split": np.array(["train"] * 15 + ["val"] * 5 + [""] * 10),
        "of": np.array([-1] * 20 + list(range(10))),
        "who": np.arange(n) % 4,
    }
    spec = DataSpec(
        data=write_npz(tmp_path / "all.npz", n, **arrays), source_column="source", split_column="split", parent="of",
        parent_split="train", group="who",
    )  # fmt: skip
    mixture = load(spec).mixture
    assert (len(mixture.real), len(mixture.valid), len(mixture.synth)) == (15, 5, 10) and mixture.classes == (0, 1)
    assert mixture.synth.parent is not None and mixture.synth.parent.tolist() == [f"train:{i}" for i in range(10)]
    assert mixture.synth.group is not None and mixture.synth.group[0] == "0"
