from __future__ import annotations

import shlex
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
        zip(weights.row, weights.label, weights.weight / weights.weight.mean(), strict=True)
    )


def test_the_lines_for_a_table_keep_a_feature_that_is_called_weight(tmp_path: Path) -> None:
    import pandas as pd

    for name, heavy in (("b", 70), ("a", 90)):
        frame = pd.DataFrame({"weight": [heavy, heavy + 1, heavy + 2], "size": [1, 2, 3], "y": [0, 1, 0]})
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    files = [str(tmp_path / f"{name}.csv") for name in "bab"]
    columns = {"weight": [0.5, 2.0, 0.0], "label": ["0", "1", "0"], "file": files, "row": [2, 1, 0]}
    writing.write_parquet(tmp_path / "weights.parquet", columns)
    model = Recorder()
    report = {**EMPTY, "run": str(tmp_path), "settings": {"data": {"label": "y"}}, "files": {"suffixes": [".csv"]}}
    pasted(write_snippets(report)["sklearn"], model=model)
    assert model.x.to_dict("list") == {"weight": [91, 72], "size": [2, 3]}
    assert model.y.tolist() == [1, 0] and model.weight.tolist() == [1.6, 0.4]


def test_the_lines_for_arrays(tmp_path: Path) -> None:
    for name, start in (("b", 0.0), ("a", 100.0)):
        np.savez(tmp_path / f"{name}.npz", x=start + np.arange(5.0)[:, None], y=10 * np.arange(5) + int(start))
    files = [str(tmp_path / f"{name}.npz") for name in ("b", "a", "b", "a", "b")]
    label = ["40", "130", "20", "110", "0"]
    columns = {"weight": [1.0, 2.0, 0.0, 3.0, 4.0], "label": label, "file": files, "row": [4, 3, 2, 1, 0]}
    writing.write_parquet(tmp_path / "weights.parquet", columns)
    model = Recorder()
    report = {**EMPTY, "run": str(tmp_path), "files": {"suffixes": [".npz"]}}
    pasted(write_snippets(report)["sklearn"], model=model)
    assert model.x[:, 0].tolist() == [103.0, 101.0, 4.0, 0.0]
    assert model.y.tolist() == [130, 110, 40, 0] and model.weight.tolist() == [0.8, 1.2, 0.4, 1.6]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int64", "float32", "bool"])
def test_the_lines_for_arrays_give_the_inputs_of_the_run(tmp_path: Path, dtype: str) -> None:
    from synthsift.data.arrays import flat_inputs

    x = np.random.default_rng(0).integers(0, 256, size=(6, 3, 2)).astype(dtype)
    np.savez(tmp_path / "a.npz", x=x, kind=np.array(["s", "t"] * 3))
    columns = {"weight": [1.0, 2.0], "label": ["s", "t"], "file": [str(tmp_path / "a.npz")] * 2, "row": [4, 1]}
    writing.write_parquet(tmp_path / "weights.parquet", columns)
    model = Recorder()
    report = {**EMPTY, "run": str(tmp_path), "files": {"suffixes": [".npz"]}, "settings": {"data": {"label": "kind"}}}
    space = pasted(write_snippets(report)["sklearn"], model=model)
    np.testing.assert_allclose(model.x, flat_inputs(x)[[4, 1]], rtol=1e-6)  # the run holds them as float32
    np.testing.assert_allclose(space["flat"](x), flat_inputs(x), rtol=1e-6)
    assert model.y.tolist() == ["s", "t"]


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_the_lines_for_a_run_on_own_vectors_ask_for_them_and_read_the_labels(tmp_path: Path, suffix: str) -> None:
    import pandas as pd

    file = tmp_path / f"a{suffix}"
    if suffix == ".csv":
        pd.DataFrame({"a": [1, 2, 3], "y": [7, 8, 9]}).to_csv(file, index=False)
    else:
        np.savez(file, x=np.zeros((3, 1)), y=np.array([7, 8, 9]))
    columns = {"weight": [0.0, 1.0, 2.0], "label": ["7", "8", "9"], "file": [str(file)] * 3, "row": [0, 2, 1]}
    writing.write_parquet(tmp_path / "weights.parquet", columns)
    model, vectors = Recorder(), np.eye(3)
    report = {**EMPTY, "run": str(tmp_path), "files": {"suffixes": [suffix]}}
    report["settings"] = {"data": {"label": "y", "embeddings": ["v.npy"]}}
    pasted(write_snippets(report)["sklearn"], model=model, vectors_of=lambda file, rows: vectors[rows])
    assert model.x.tolist() == [[0, 0, 1], [0, 1, 0]] and model.y.tolist() == [9, 8]


def test_the_lines_for_anything_else_ask_for_one_function(tmp_path: Path) -> None:
    columns = {"weight": [1.0, 0.0, 2.0], "label": list("abc"), "file": ["p.png", "q.png", "r.png"], "row": [0, 0, 0]}
    writing.write_parquet(tmp_path / "weights.parquet", columns)
    model = Recorder()
    report = {**EMPTY, "run": str(tmp_path), "files": {"suffixes": [".png"]}}
    pasted(write_snippets(report)["sklearn"], model=model, features_of=lambda file, row: [len(file), row])
    assert model.x.shape == (2, 2) and model.y.tolist() == ["a", "c"]


def test_the_torch_lines_draw_rows_by_weight_in_the_order_they_name(tmp_path: Path) -> None:
    columns = {"weight": [1.0, 0.0, 3.0, 0.0], "file": ["b.npz", "a.npz", "a.npz", "b.npz"], "row": [7, 5, 6, 8]}
    writing.write_parquet(tmp_path / "weights.parquet", columns)
    space = pasted(write_snippets({**EMPTY, "run": str(tmp_path)})["torch"], dataset=["a6", "b7"])
    w = space["w"]
    assert [f"{w['file'][i][0]}{w['row'][i]}" for i in range(2)] == ["a6", "b7"]
    assert len(space["sampler"]) == 2
    drawn = [value for _ in range(200) for batch in space["loader"] for value in batch]
    assert 0.65 < drawn.count("a6") / len(drawn) < 0.85  # 0.75 +- 4.6 standard errors of 400 draws


@pytest.mark.parametrize(
    ("suffix", "reader"),
    [
        (".csv", "pd.read_csv(f)"),
        (".tsv", "sep='\\t'"),
        (".jsonl", "lines=True"),
        (".ndjson", "lines=True"),
        (".parquet", "pd.read_parquet(f)"),
        (".pq", "pd.read_parquet(f)"),
    ],
)
def test_the_reader_fits_the_files(suffix: str, reader: str) -> None:
    settings = {"label": "y", "text": "t", "split_column": "split"}
    report = {**EMPTY, "settings": {"data": settings}, "files": {"suffixes": [suffix]}}
    code = write_snippets(report)["sklearn"]
    assert f"({reader}" in code or reader in code
    assert "model.fit(d['t'], d['y']" in code
    del settings["text"]
    assert "columns=['y', 'split']" in write_snippets(report)["sklearn"]


@pytest.mark.parametrize("name", ["a b", "it's", '"; rm -rf ~ #', "`id`", "a\nb", "<script>"])
def test_a_hostile_folder_name_stays_one_argument(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthsift.report.snippets.command_name", lambda: ".venv/bin/synthsift")
    snippets = write_snippets({**EMPTY, "run": name})
    assert shlex.split(snippets["export"]) == [".venv/bin/synthsift", "export", name, "--out", "curated"]
    for code in (snippets["sklearn"], snippets["torch"]):
        assert len(code.splitlines()) <= 5
        compile(code, "snippet", "exec")
