"""Every finding of the loader: it speaks up in a planted case and is silent on clean files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_files import mixed_table, one_table, rows, two_files, without, write, write_npz

from synthsift.data.load import DataSpec, load
from synthsift.records import Finding, concat_x
from synthsift.represent.encoders import TableEncoder

LONG = "a sentence of more than thirty characters, number "


def arrays(folder: Path, dtype: type) -> DataSpec:
    real = write_npz(folder / "real.npz", dtype=np.uint8)
    return DataSpec((real,), synthetic=(write_npz(folder / "made.npz", dtype=dtype),))


def with_file(folder: Path, role: str, label: str) -> DataSpec:
    made = write(folder / f"{role}.csv", rows(9, label=lambda i: ("no", label)[i % 2]))
    return replace(two_files(folder), **{role: made})


def texts(folder: Path, text: object, **extra: object) -> DataSpec:
    table = [{"t": text if i == 3 else "words", "label": i % 2} | extra for i in range(20)]
    paths = [write(folder / f"{name}.jsonl", table) for name in ("real", "made")]
    return DataSpec((paths[0],), synthetic=(paths[1],), label="label", text="t")


def parents(folder: Path, last: int) -> DataSpec:
    return two_files(folder, synthetic=rows(5, of=lambda i: last if i == 4 else i), parent="of", parent_split="real")


# code: (planted case, what is seen, silent case)
CASES: dict[str, tuple[Callable[[Path], DataSpec], str, Callable[[Path], DataSpec]]] = {
    "SS101": (
        one_table,
        "4 real rows lie in other splits: other (4)",
        lambda f: one_table(f, [r for r in mixed_table() if r["split"] != "other"]),
    ),
    "SS102": (
        lambda f: two_files(f, rows(20, e="")),
        "'e' hold nothing",
        lambda f: two_files(f, rows(20, e=lambda i: 1 if i == 3 else ""), rows(30, e="")),
    ),
    "SS103": (
        lambda f: two_files(f, synthetic=rows(30, a=lambda i: ("inf", "-Infinity", "-2e100", i)[min(i, 3)])),
        "infinite or beyond ±1e+100, by column: a (3)",
        lambda f: two_files(f, rows(20, b="inf or so")),
    ),
    "SS104": (lambda f: two_files(f, synthetic=without("b", rows(30))), "made.csv lacks 'b'", two_files),
    "SS105": (lambda f: two_files(f, [{"": i} | row for i, row in enumerate(rows(20))]), "Kept out: ''", two_files),
    "SS106": (
        lambda f: two_files(f, rows(20, b=lambda i: f"{LONG}{i}")),
        "'b' are distinct",
        lambda f: two_files(f, rows(20, b=lambda i: f"{LONG}{i % 3}")),
    ),
    "SS107": (
        lambda f: two_files(f, synthetic=rows(30, a=lambda i: "*0" if i == 7 else i)),
        "made.csv (made) has '*0'",
        lambda f: two_files(f, rows(20, a="x"), rows(30, a="*0")),
    ),
    "SS108": (lambda f: two_files(f, synthetic=rows(30, c=1)), "'c' in", two_files),
    "SS109": (
        lambda f: two_files(f, synthetic=rows(30, label=lambda i: ("no", "maybe")[i % 2])),
        "15 rows with the label maybe (15)",
        two_files,
    ),
    "SS110": (
        lambda f: with_file(f, "valid", "rare"),
        "No real training row has 'rare'",
        lambda f: with_file(f, "valid", "yes"),
    ),
    "SS111": (
        lambda f: with_file(f, "test", "new"),
        "4 test rows with the label new (4)",
        lambda f: with_file(f, "test", "yes"),
    ),
    "SS112": (
        lambda f: two_files(f, rows(20, label=lambda i: "solo" if i == 3 else "ab"[i % 2]), rows(30, label="a")),
        "'solo' has one real row",
        two_files,
    ),
    "SS113": (lambda f: parents(f, 20), "1 of 5 entries of 'of'", lambda f: parents(f, 19)),
    "SS114": (lambda f: texts(f, None), "2 of 40 rows have no text in", lambda f: texts(f, "some")),
    "SS115": (lambda f: texts(f, "some", also=1), "passed over: 'also'", lambda f: texts(f, "some")),
    "SS116": (lambda f: arrays(f, np.float32), "real.npz'; taken as they are: ", lambda f: arrays(f, np.uint8)),
    "SS117": (
        lambda f: two_files(f, rows(20, g=lambda i: i % 3 or ""), group="g"),
        "7 of 20 real rows",
        lambda f: two_files(f, rows(20, g="x"), group="g"),
    ),
    "SS118": (
        lambda f: two_files(f, rows(20, b=lambda i: f"2024-01-{i + 1:02}")),
        "fewer than 3 rows have, in 'b' (such as '2024-01-01').",
        lambda f: two_files(f, rows(20, b=lambda i: f"{i % 12}"), rows(30, b=lambda i: f"{i % 12}")),
    ),
}


def findings(spec: DataSpec) -> dict[str, Finding]:
    return {finding.code: finding for finding in load(spec).findings}


@pytest.mark.parametrize("code", sorted(CASES))
def test_a_planted_case_is_found(tmp_path: Path, code: str) -> None:
    found = findings(CASES[code][0](tmp_path))
    assert code in found and CASES[code][1] in found[code].seen
    assert all((found[code].title, found[code].why, found[code].advice))


@pytest.mark.parametrize("code", sorted(CASES))
def test_a_clean_case_is_silent(tmp_path: Path, code: str) -> None:
    assert code not in findings(CASES[code][2](tmp_path))


@pytest.mark.parametrize("each", [1, 2, 3])
def test_columns_that_hardly_repeat_are_those_that_the_encoder_drops(tmp_path: Path, each: int) -> None:
    """15 days, of one real and up to two synthetic rows: three rows make a level of its own."""
    days = [row | {"b": f"2024-01-{k % 15:02}"} for k, row in enumerate(rows(15 * each))]
    loaded = load(two_files(tmp_path, days[:15], [*days[15:], *rows(30, b="")]))
    levels = TableEncoder.fit(concat_x([part.x for part in loaded.mixture.parts])).categories[1]
    assert levels is not None and (not levels) == (each < 3)
    assert (not levels) == ("SS118" in {finding.code for finding in loaded.findings})


def test_long_texts_that_hardly_repeat_are_told_once(tmp_path: Path) -> None:
    assert set(findings(two_files(tmp_path, rows(20, b=lambda i: f"{LONG}{i}")))) == {"SS106"}


def test_a_spoiled_column_is_found_inside_one_table(tmp_path: Path) -> None:
    table = [row | {"a": "*0"} if row["source"] == "vae" else row for row in mixed_table()]
    found = findings(one_table(tmp_path, table, "all.csv"))
    assert "all.csv (vae) has '*0'" in found["SS107"].seen


def test_clean_files_give_no_finding(tmp_path: Path) -> None:
    assert findings(two_files(tmp_path)) == {}
