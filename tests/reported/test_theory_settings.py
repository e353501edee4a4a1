"""Random settings of a theory: which are left out, which fail, and what the page says of those that are stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks import theory_settings
from benchmarks.theory_settings import Call, Theory, check_settings, section, store

from synthsift.seeds import Seeds


def law(call: Call, seeds: Seeds) -> tuple[float, float, float, float]:
    """A theory that says .8 where the simulation finds .8, but .7 for dimensions from 400 on."""
    return 0.8, 0.7 if call[0][2] >= 400 else 0.8, 0.01, 0.04


THEORY = Theory(
    draw=lambda rng: ((1, 1, int(rng.integers(50, 600))), {}),
    is_at_pole=lambda call: call[0][2] % 5 == 0,
    describe=lambda call: f"dim={call[0][2]}",
    compare=law,
)


def test_poles_are_counted_and_left_out_and_failures_told(capsys: pytest.CaptureFixture[str]) -> None:
    rows = check_settings(THEORY, 40, seed=3, minutes=1)
    dims = np.array([row["dim"] for row in rows])
    left = dims % 5 == 0
    assert (~left).sum() == 40 and [row["excluded"] for row in rows] == left.tolist()
    assert np.isnan([rows[k]["predicted"] for k in np.flatnonzero(left)]).all()
    wrong, told = int((~left & (dims >= 400)).sum()), capsys.readouterr().out
    assert 0 < wrong < 40 and told.count("FAILED") == wrong and f"checked 40, passed {40 - wrong}" in told
    assert check_settings(THEORY, 2, seed=3, minutes=1, start=5)[0]["dim"] == dims[5], "a later start goes on"


def test_the_page_counts_what_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theory_settings, "RESULTS", tmp_path)
    assert section(tmp_path) == []
    rows = check_settings(THEORY, 40, seed=3, minutes=1)
    wrong = sum(row["dim"] >= 400 for row in rows if not row["excluded"])
    assert store(rows, "mixing") == wrong
    (line,) = [line for line in section(tmp_path) if line.startswith("| mixing")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[2:4] == [f"{40 - wrong} of 40", str(len(rows) - 40)]
    assert cells[5] == "10.00%" and float(cells[6]) == pytest.approx(10 * np.sqrt(wrong / 40), abs=0.01)
