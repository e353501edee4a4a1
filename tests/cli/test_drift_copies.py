"""Copies are found by rows; small tables, where rows recur by chance, and casts that lose nothing are left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_runner import synthsift
from drift_files import draw, write_arrays, write_table

from synthsift.cli.drift_copies import copied_share
from synthsift.drift.monitor import digest_set
from synthsift.drift.reference import Reference, learn_reference


@pytest.fixture(scope="module")
def reference() -> Reference:
    return learn_reference(draw(0, 600)[0], None, seeds=0)


@pytest.mark.parametrize(("copied", "low", "high"), [(0, 0.0, 0.0), (60, 0.15, 0.3), (240, 0.9, 1.0)])
def test_share_of_copies(reference: Reference, copied: int, low: float, high: float) -> None:
    """Of 240 rows; a third of the real ones is not kept, so what is found is scaled up."""
    rng = np.random.default_rng(copied)
    rows = np.concatenate([draw(0, 600)[0][rng.permutation(600)[:copied]], draw(5, 240 - copied)[0]])
    assert low <= copied_share(reference.encoder.transform(rows).astype(np.float32), reference) <= high


def test_rows_that_recur_by_chance_are_no_copies() -> None:
    rng = np.random.default_rng(1)
    real, made = (rng.integers(0, 4, (900, 4)).astype(np.float32) for _ in range(2))  # 256 different rows
    reference = learn_reference(real, None, seeds=0)
    assert copied_share(reference.encoder.transform(made[:100]).astype(np.float32), reference) == 0


def test_fingerprint_of_a_set_ignores_order_and_nothing_else() -> None:
    rows = draw(2, 50)[0]
    assert digest_set(rows) == digest_set(rows[::-1]) == digest_set(rows.astype(np.float64))
    changed = rows.copy()
    changed[3, 1] += 1e-3
    assert digest_set(changed) != digest_set(rows) != digest_set(np.concatenate([rows, rows[:1]]))


def test_types_that_lose_nothing_pass_and_cut_values_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_arrays(tmp_path, (0.0,))
    made = draw(11, 250)[0]
    np.save("double.npy", made.astype(np.float64))
    np.save("cut.npy", made.astype(np.int64))
    fine = synthsift("drift", "--real", "real.npy", "double.npy", "--state", "s")
    assert fine.code == 0 and "SS409" not in fine.out
    cut = synthsift("drift", "--state", "s", "cut.npy", "--fresh-fraction", "0.3")
    assert "SS409 warning: Only whole numbers stand in column 0" in cut.out.replace("\n", " "), cut.out
    write_table(tmp_path / "real.csv", 3)
    lines = write_table(tmp_path / "made.csv", 4).read_text().splitlines()
    whole = [line.split(",") for line in lines[1:]]
    text = "\n".join([lines[0], *(",".join([str(round(float(a))), *rest]) for a, *rest in whole)])
    (tmp_path / "made.csv").write_text(text + "\n")
    told = synthsift("drift", "--real", "real.csv", "made.csv", "--label", "label").out
    assert "SS409" in told and "size of made.csv" in told and "weight of" not in told


def test_whole_numbers_on_both_sides_are_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(4)
    np.save("counts.npy", rng.poisson(40, (400, 3)).astype(np.float64))
    np.save("made.npy", rng.poisson(40, (200, 3)))
    assert "SS409" not in synthsift("drift", "--real", "counts.npy", "made.npy").out
