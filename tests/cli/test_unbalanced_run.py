"""A run on unbalanced classes: metric and choosing log-loss count classes alike, and models are trained so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_runner import synthsift


def test_a_run_says_it(tmp_path: Path) -> None:
    """Unbalanced classes make balanced accuracy the metric; screen, page, Markdown, summary and export tell of it."""
    rng = np.random.default_rng(3)
    for name, num in (("real", 150), ("made", 120)):
        y = (rng.random(num) < 0.15).astype(int)
        x = rng.standard_normal((num, 3)) + 1.5 * y[:, None]
        pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y}).to_csv(tmp_path / f"{name}.csv", index=False)
    files = ("--real", tmp_path / "real.csv", "--synthetic", tmp_path / "made.csv", "--label", "y")
    policies = ("--policies", "RealOnly,Everything", "--seeds", "1", "--out", tmp_path / "run")
    done = synthsift("run", *files, *policies)
    said = ("the log-loss counts every class alike", "trained with every class of the same total weight")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["metric"] == "balanced_accuracy"
    assert summary["balanced_loss"] is True and summary["balanced_training"] is True
    page, markdown = (tmp_path / "run" / "report.html").read_text(), synthsift("report", tmp_path / "run", "--markdown")
    for told in said:
        assert done.code == 0 and told in " ".join((done.out + done.err).split())
        assert told in page and told in markdown.out
    assert "before every class was given the same total" in page and "every class was given" in markdown.out
    exported = synthsift("export", tmp_path / "run", "--out", tmp_path / "export")
    assert ("rows of the best bet" in exported.err) == (summary["verdict"]["use"] is False)
    rows = pd.concat([pd.read_csv(file) for file in (tmp_path / "export").glob("*.csv")])
    total = rows.groupby("y")["weight"].sum()
    assert "every class has the same total" in exported.err and total[0] == pytest.approx(total[1])
    again = synthsift("run", *files, *policies[:-1], tmp_path / "plain", "--metric", "accuracy")
    assert again.code == 0 and not any(told in again.out + again.err for told in said)
    exported = synthsift("export", tmp_path / "plain", "--out", tmp_path / "plain export")
    assert exported.code == 0 and "every class" not in exported.err
