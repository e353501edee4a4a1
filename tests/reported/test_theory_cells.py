"""The list of cases holds fast, a stored cell is not computed again, a small cell predicts what it measures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from benchmarks import theory, theory_page, theory_page_mixing, theory_page_rows
from benchmarks.theory_accuracy import run_mixing
from benchmarks.theory_cases import (
    AFTERWARDS,
    DEVELOPMENT,
    DEVELOPMENT_MIXING,
    REPORTED,
    REPORTED_COLLAPSE,
    MixingCase,
    fingerprint,
)

DIGITS = replace(DEVELOPMENT_MIXING[0], num_seeds=2)


def test_the_list_is_the_one_that_was_fixed_before_the_first_run() -> None:
    assert fingerprint() == "ce20bf9c2e51"
    assert [case.of for case in AFTERWARDS] == [case for case in REPORTED_COLLAPSE if case.model == "features"]
    assert fingerprint(AFTERWARDS) == "c1d5ecfe4260"
    changed = (replace(REPORTED[0], num_seeds=3), *REPORTED[1:])
    assert fingerprint(changed) != fingerprint() != fingerprint(REPORTED[::-1])


def test_development_used_nothing_that_is_reported() -> None:
    def tasks(cases: tuple[object, ...]) -> set[tuple[object, ...]]:
        mixing = [case for case in cases if isinstance(case, MixingCase)]
        return {(c.data, c.positive, c.negative, c.generator) for c in mixing}

    assert not tasks(DEVELOPMENT) & tasks(REPORTED)
    names = [case.name for case in (*REPORTED, *DEVELOPMENT)]
    assert len(set(names)) == len(names)
    files = [cell.file for cases in (REPORTED, AFTERWARDS) for cell in theory.all_cells(cases, 1000)]
    assert len(set(files)) == len(files) == sum(case.num_seeds for case in (*REPORTED, *AFTERWARDS))
    assert min(cell.seed for cell in theory.all_cells(REPORTED, 1000)) >= 1000


def test_finished_cells_are_kept_and_broken_or_foreign_ones_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = []

    def compute(cell: theory.Cell, data: Path) -> list[dict[str, int]]:
        computed.append(cell.seed)
        if cell.seed == 1 and len(computed) == 2:
            raise KeyboardInterrupt
        return [{"value": cell.seed}]

    monkeypatch.setattr(theory, "_compute", compute)
    cells = theory.all_cells((DIGITS,), 0)
    with pytest.raises(KeyboardInterrupt):
        theory.run(cells, tmp_path, tmp_path, 1)
    assert [p.name for p in tmp_path.iterdir()] == [cells[0].file]
    assert theory.run(cells, tmp_path, tmp_path, 1) == 1 and computed == [0, 1, 1]
    assert theory.run(cells, tmp_path, tmp_path, 1) == 0
    (tmp_path / cells[0].file).write_text('{"list": "')
    stored = json.loads((tmp_path / cells[1].file).read_text())
    (tmp_path / cells[1].file).write_text(json.dumps(stored | {"list": "another"}))
    assert theory.collect(cells, tmp_path, tmp_path / "results") == {}
    assert theory.run(cells, tmp_path, tmp_path, 1) == 2
    assert theory.collect(cells, tmp_path, tmp_path / "results") == {"mixing": 2}
    table = pd.read_parquet(tmp_path / "results" / "theory-mixing.parquet")
    assert table["value"].tolist() == [0, 1] and set(table["list"]) == {fingerprint((DIGITS,))}


def test_a_small_cell_predicts_what_it_measures() -> None:
    case = replace(DIGITS, num_real=60, label_noise=0.3)
    rows = pd.DataFrame([row for seed in range(6) for row in run_mixing(case, seed, Path())])
    assert set(rows["verifier"]) == {"none", "real", "perfect"} and rows["num_kept"].le(rows["num_synth"]).all()
    perfect = rows[rows["verifier"] == "perfect"]
    assert (perfect["keep_right"] == 1).all() and (perfect["keep_wrong"] == 0).all()
    means = rows.groupby(["verifier", "num_synth"])[["same_points", "ridge"]].mean()
    # 6 draws of 60 rows: one row of 90 is 1.1 points
    assert (means["same_points"] - means["ridge"]).abs().mean() < 1.5
    # a wrong theory would not pass: without verification accuracy falls by more than that first
    assert means.loc[("none", 0), "ridge"] - means.loc[("none", 30), "ridge"] > 1.5
    again = pd.DataFrame(run_mixing(case, 0, Path()))
    pd.testing.assert_frame_equal(again, rows.iloc[: len(again)])


def test_the_page_counts_errors_and_signs_as_they_are() -> None:
    rows = []
    for seed in range(3):
        for verifier in ("none", "real", "perfect"):
            for size, ridge, predicted in ((0, 80.0, 80.5), (100, 84.0, 84.0), (200, 78.0, 81.0)):
                values = dict.fromkeys((*theory_page_mixing.PREDICTIONS, "ridge", "logistic"), predicted) | {
                    "ridge": ridge
                }
                rows.append({"case": "one", "seed": seed, "verifier": verifier, "num_synth": size} | values)
    points = theory_page_mixing.mixing_points(pd.DataFrame(rows))
    assert len(points) == 7  # real rows alone count once
    mean, worst, sign = theory_page_mixing.error_cells(points, "predicted", "ridge")
    assert mean.startswith(f"{(0.5 + 3 * 0.0 + 3 * 3.0) / 7:.2f}") and worst == "3.00"
    assert sign.startswith("50.0 %") and sign.endswith("n = 6")
    text = "\n".join(theory_page_mixing._goal_lines(points))
    assert "mean **missed**" in text and "right sign **missed**" in text and "one, real, 200 rows: 81.0 / 78.0" in text


def test_both_predictions_are_compared_over_the_seeds_they_share() -> None:
    keys = {"case": "features", "width": 50, "fraction": 0.0}
    measured = pd.DataFrame(
        [
            keys | {"seed": seed, "rows": rows, "predicted": 0.8, "measured": 1.0 + 0.2 * seed}
            for seed in range(3)
            for rows in (100, 400)
        ]
    )
    by_rows = measured[measured["seed"] < 2].assign(by_rows=1.1, evenness=0.9)
    points = theory_page_rows.row_points(measured, by_rows)
    assert points["seeds"].tolist() == [2, 2] and points["measured"].tolist() == pytest.approx([1.1, 1.1])
    assert points["by_rows_error"].abs().max() < 1e-9
    assert points["predicted_error"].tolist() == pytest.approx([100 * (0.8 / 1.1 - 1)] * 2)
    text = "\n".join(theory_page_rows.row_section(measured, by_rows))
    assert "| features; fewer features than rows | 2 | 2 | 27.3 % | 27.3 % | 0 of 2 | 0.0 % | 0.0 % | 2 of 2 |" in text
    assert theory_page_rows.row_section(measured, by_rows.iloc[:0]) == [] and "overstates" not in text
    wide = [rows.assign(width=rows["rows"] + 50) for rows in (measured, by_rows.assign(by_rows=2.2))]
    assert "With more features than rows the second prediction overstates" in "\n".join(
        theory_page_rows.row_section(*wide)
    )


def test_the_stored_page_belongs_to_this_list() -> None:
    found = theory_page.stored()
    if not found:
        pytest.skip("no stored results of the theory benchmark")
    page = theory_page.RESULTS / "theory.md"
    assert page.read_text(encoding="utf-8") == theory_page.document(found)
    assert all((theory_page.RESULTS / f"theory-{part}.svg").exists() for part in found)
