"""The lines of the report's next step, pasted after a real run: the model they train is as good as the run's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_data import QUICK, draw, two_files, write
from cli_runner import synthsift
from sklearn.linear_model import LogisticRegression

from synthsift.report.collect import collect
from synthsift.report.snippets import write_snippets

pytestmark = pytest.mark.usefixtures("no_pictures")
CLOSE = 0.04  # the run chooses the strength of its penalty, the pasted model does not


def pasted(run: Path, model: Any) -> dict[str, Any]:
    """Run the printed scikit-learn lines."""
    space = {"model": model}
    exec(write_snippets(collect(run))["sklearn"], space)
    return space


def accuracy(run: Path) -> float:
    """Test accuracy of the verdict's policy."""
    summary = json.loads((run / "summary.json").read_text())
    values = {row["name"]: row["value"] for row in summary["test"]}
    return values[summary["verdict"]["policy"]]


def test_byte_pictures_with_whole_numbers_as_labels(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = (digits.images * 15).astype(np.uint8)
    order = np.random.default_rng(3).permutation(len(x))
    parts = {"real": order[:150], "made": order[150:300], "test": order[300:]}
    for name, rows in parts.items():
        np.savez(tmp_path / f"{name}.npz", x=x[rows], y=digits.target[rows])
    words = [word for name in ("real", "test") for word in (f"--{name}", tmp_path / f"{name}.npz")]
    words += ["--synthetic", tmp_path / "made.npz", "--metric", "accuracy", "--out", tmp_path / "run", *QUICK]
    ended = synthsift("run", *words)
    assert ended.code == 0, ended.err
    model = LogisticRegression(max_iter=1000)
    space = pasted(tmp_path / "run", model)
    score = model.score(space["flat"](x[parts["test"]]), digits.target[parts["test"]])
    assert score == pytest.approx(accuracy(tmp_path / "run"), abs=CLOSE)
    assert score > 0.85


def test_a_table_with_a_feature_called_weight(tmp_path: Path) -> None:
    import pandas as pd
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    def columns(n: int, seed: int) -> dict[str, Any]:
        drawn = draw(n, seed, labels=(0, 1))
        return {"weight": drawn.pop("a"), **drawn}  # the better of the two informative columns

    test = write(tmp_path / "test.csv", columns(400, 3))
    words = two_files(tmp_path, "--test", test, "--metric", "accuracy", real=columns(150, 1), synthetic=columns(150, 2))
    ended = synthsift(*words)
    assert ended.code == 0, ended.err

    class Piped:
        """A pipeline that takes weights as a plain model does."""

        def fit(self, x: Any, y: Any, *, sample_weight: Any) -> None:
            words = OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")
            encode = make_column_transformer(words, remainder=StandardScaler())
            self.names = list(x.columns)
            self.pipeline = make_pipeline(encode, LogisticRegression())
            self.pipeline.fit(x, y, logisticregression__sample_weight=sample_weight)

    model = Piped()
    pasted(tmp_path / "run", model)
    assert model.names == ["weight", "b", "kind"]
    frame = pd.read_csv(test)
    score = model.pipeline.score(frame, frame["label"])
    assert score == pytest.approx(accuracy(tmp_path / "run"), abs=CLOSE)
    assert score > 0.75
