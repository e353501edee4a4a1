"""A run on unbalanced classes: its metric counts classes alike, and the log-loss that chooses does, too."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from cli_runner import synthsift


def test_a_run_says_it(tmp_path: Path) -> None:
    """Unbalanced classes make balanced accuracy the metric; screen, page, Markdown and summary tell of the loss."""
    rng = np.random.default_rng(3)
    for name, num in (("real", 150), ("made", 120)):
        y = (rng.random(num) < 0.15).astype(int)
        x = rng.standard_normal((num, 3)) + 1.5 * y[:, None]
        pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y}).to_csv(tmp_path / f"{name}.csv", index=False)
    files = ("--real", tmp_path / "real.csv", "--synthetic", tmp_path / "made.csv", "--label", "y")
    policies = ("--policies", "RealOnly,Everything", "--seeds", "1", "--out", tmp_path / "run")
    done = synthsift("run", *files, *policies)
    told = "the log-loss counts every class alike"
    assert done.code == 0 and told in done.out + done.err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["metric"] == "balanced_accuracy" and summary["balanced_loss"] is True
    assert told in (tmp_path / "run" / "report.html").read_text()
    assert told in synthsift("report", tmp_path / "run", "--markdown").out
    again = synthsift("run", *files, *policies[:-1], tmp_path / "plain", "--metric", "accuracy")
    assert again.code == 0 and told not in again.out + again.err
