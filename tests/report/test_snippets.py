from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_run import write_fake_run

from synthsift import writing
from synthsift.report.collect import collect
from synthsift.report.snippets import write_snippets

EMPTY: dict[str, Any] = {"run": "RUN", "settings": {}, "files": {"suffixes": []}}


class Recorder(SimpleNamespace):
    """A model that remembers what it was fitted on."""

    def fit(self, x: Any, y: Any, *, sample_weight: Any) -> None:
        self.x, self.y, self.weight = x, np.asarray(y), np.asarray(sample_weight)


def pasted(code: str, **names: Any) -> dict[str, Any]:
    space = dict(names)
    exec(code, space)
    return space


def test_the_lines_for_a_table_train_on_the_kept_rows_with_their_weights(tmp_path: Path) -> None:
    import pandas as pd

    run = write_fake_run(tmp_path / "it's a run", data=True)
    model = Recorder()
    snippet = write_snippets(collect(run))["sklearn"]
    assert len(snippet.splitlines()) == 4
    pasted(snippet, model=model)
    weights = pd.read_parquet(run / "weights.parquet").query("weight > 0").sort_values(["file", "row"])
    seen = model.x.assign(y=model.y, weight=model.weight)
    assert list(model.x.columns) == ["a", "b"]
    assert sorted(zip(seen.a, seen.y, seen.weight, strict=True)) == sorted(
        zip(weights.row, weights.label, weights.weight, strict=True)
    )


def test_the_lines_for_arrays(tmp_path: Path) -> None:
    for name, start in (("b", 0.0), ("a", 100.0)):
        np.savez(tmp_path / f"{name}.npz", x=start + np.arange(5.0)[:, None], y=np.arange(5))
    files = [str(tmp_path / f"{name}.npz") for name in ("b", "a", "b", "a", "b")]
    columns = {"weight": [1.0, 2.0, 0.0, 3.0, 4.0], "label": list("vwxyz"), "file": files, "row": [4, 3, 2, 1, 0]}
    writing.write_parquet(tmp_path / "weights.parquet", columns)
    model = Recorder()
    report = {**EMPTY, "run": str(tmp_path), "files": {"suffixes": [".npz"]}}
    pasted(write_snippets(report)["sklearn"], model=model)
    assert model.x[:, 0].tolist() == [103.0, 101.0, 4.0, 0.0]
    assert model.y.tolist() == ["w", "y", "v", "z"] and model.weight.tolist() == [2.0, 3.0, 1.0, 4.0]


def test_the_lines_for_anything_else_ask_for_one_function(tmp_path: Path) -> None:
    columns = {"weight": [1.0, 0.0, 2.0], "label": list("abc"), "file": ["p.png", "q.png", "r.png"], "row": [0, 0, 0]}
    writing.write_parquet(tmp_path / "weights.parquet", columns)
    model = Recorder()
    report = {**EMPTY, "run": str(tmp_path), "files": {"suffixes": [".png"]}}
    pasted(write_snippets(report)["sklearn"], model=model, features_of=lambda file, row: [len(file), row])
    assert model.x.shape == (2, 2) and model.y.tolist() == ["a", "c"]


def test_the_torch_lines_draw_rows_by_weight(tmp_path: Path) -> None:
    writing.write_parquet(tmp_path / "weights.parquet", {"weight": [0.0, 1.0, 0.0, 3.0]})
    space = pasted(write_snippets({**EMPTY, "run": str(tmp_path)})["torch"], dataset=[0, 1, 2, 3])
    drawn = {int(value) for _ in range(20) for batch in space["loader"] for value in batch}
    assert len(space["sampler"]) == 2
    assert drawn <= {1, 3}


@pytest.mark.parametrize(
    ("suffix", "reader"),
    [(".csv", "pd.read_csv(f)"), (".tsv", "sep='\\t'"), (".jsonl", "lines=True"), (".parquet", "pd.read_parquet(f)")],
)
def test_the_reader_fits_the_files(suffix: str, reader: str) -> None:
    settings = {"label": "y", "text": "t", "split_column": "split"}
    report = {**EMPTY, "settings": {"data": settings}, "files": {"suffixes": [suffix]}}
    code = write_snippets(report)["sklearn"]
    assert f"({reader}" in code or reader in code
    assert "model.fit(d['t'], d['y']" in code
    del settings["text"]
    assert "columns=['y', 'weight', 'split']" in write_snippets(report)["sklearn"]


@pytest.mark.parametrize("name", ["a b", "it's", '"; rm -rf ~ #', "`id`", "a\nb", "<script>"])
def test_a_hostile_folder_name_stays_one_argument(name: str) -> None:
    import shlex

    snippets = write_snippets({**EMPTY, "run": name})
    assert shlex.split(snippets["export"]) == ["synthsift", "export", name, "--out", "curated"]
    for code in (snippets["sklearn"], snippets["torch"]):
        assert len(code.splitlines()) == 4
        compile(code, "snippet", "exec")
