"""Other verdicts, and the other layouts of data, each from files to an export."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from cli_checks import check_export, check_keep
from cli_data import QUICK, WEIGHTS, columns_of, draw, two_files
from cli_runner import synthsift

pytestmark = pytest.mark.usefixtures("no_pictures")


def test_harmful_rows_get_weight_zero_and_still_a_learned_weight(tmp_path: Path) -> None:
    files = {"real": draw(150, 1), "synthetic": draw(150, 2, flipped=1.0)}
    words = two_files(tmp_path, "--policies", "LearnedWeights", **files)
    assert synthsift(*words).code == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["verdict"]["policy"] == "RealOnly" and not summary["verdict"]["use"]
    assert summary["verdict"]["sentence"].startswith("Do not use this synthetic data")
    weights = {name: np.array(column) for name, column in columns_of(tmp_path / "run" / "weights.parquet").items()}
    check_keep(weights, summary)
    synth = weights["split"] == "synthetic"
    assert (weights["weight"][synth] == 0).all() and not weights["keep"][synth].any()
    assert (weights["learned_weight"] > 0).all()
    check_export(tmp_path / "run", tmp_path / "chosen")


def test_without_learned_weights_their_column_is_empty(tmp_path: Path) -> None:
    assert synthsift(*two_files(tmp_path)).code == 0
    weights = columns_of(tmp_path / "run" / "weights.parquet")
    assert list(weights) == WEIGHTS and all(math.isnan(value) for value in weights["learned_weight"])
    assert not (tmp_path / "run" / "history.parquet").exists()


def stories(n: int, seed: int) -> dict[str, list[str]]:
    """Texts whose words depend on the label."""
    rng = np.random.default_rng(seed)
    words = (["rain", "cloud", "storm", "wind"], ["goal", "team", "match", "ball"])
    texts = [" ".join(["the", *rng.choice(words[k % 2], 4), *rng.choice(words[(k + 1) % 2], 1)]) for k in range(n)]
    return {"story": texts, "topic": ["weather" if k % 2 == 0 else "sport" for k in range(n)]}


def test_texts_in_json_lines(tmp_path: Path) -> None:
    for name, n, seed in (("real", 40, 1), ("gpt", 50, 2)):
        columns = stories(n, seed)
        lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    files = {"real": tmp_path / "real.jsonl", "synthetic": tmp_path / "gpt.jsonl"}
    words = two_files(tmp_path, "--text", "story", **files, label="topic")
    ended = synthsift(*words)
    assert ended.code == 0, ended.err
    assert set(columns_of(tmp_path / "run" / "weights.parquet")["source"]) == {"real", "gpt"}
    check_export(tmp_path / "run", tmp_path / "chosen")


def test_arrays_with_embeddings(tmp_path: Path) -> None:
    for name, n, seed in (("real", 40, 1), ("made", 50, 2)):
        rng = np.random.default_rng(seed)
        y = np.arange(n) % 3
        np.savez(tmp_path / f"{name}.npz", x=np.zeros((n, 2, 2), np.uint8), y=y, note=np.array([f"n{k}" for k in y]))
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(n, 5)) + y[:, None])
    vectors = [f"{tmp_path / name}.npz={tmp_path / name}.npy" for name in ("real", "made")]
    files = {"real": tmp_path / "real.npz", "synthetic": tmp_path / "made.npz"}
    words = two_files(tmp_path, "--embeddings", vectors[0], "--embeddings", vectors[1], **files, label="y")
    ended = synthsift(*words)
    assert ended.code == 0 and "3 classes, 5 inputs" in ended.err, ended.err
    assert synthsift("export", tmp_path / "run", "--out", tmp_path / "chosen").code == 0
    with np.load(tmp_path / "chosen" / "real.npz") as chosen:
        assert set(chosen.files) == {"x", "y", "note", "weight"} and chosen["x"].shape == (40, 2, 2)
        assert (chosen["weight"] > 0).all()


def test_one_table_with_parents_and_groups(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    real, made = draw(90, 1), draw(60, 2)
    columns = {name: real[name] + made[name] for name in real}
    columns |= {
        "name": [f"row{k}" for k in range(150)],
        "source": ["real"] * 90 + ["gan"] * 30 + ["llm"] * 30,
        "split": ["seed"] * 60 + ["val"] * 15 + ["test"] * 15 + [""] * 60,
        "patient": [f"p{k // 4}" for k in range(90)] + [""] * 60,
        "made_from": [""] * 90 + [str(k) for k in range(60)],
    }
    pq.write_table(pa.table(columns), tmp_path / "all.parquet")
    words = ["run", "--data", tmp_path / "all.parquet", "--label", "label", "--out", tmp_path / "run", *QUICK]
    words += ["--source-column", "source", "--split-column", "split", "--train-split", "seed", "--id", "name"]
    words += ["--parent", "made_from", "--parent-split", "seed", "--group", "patient"]
    ended = synthsift(*words)
    assert ended.code == 0, ended.err
    weights = columns_of(tmp_path / "run" / "weights.parquet")
    assert Counter(weights["split"]) == {"train": 60, "valid": 15, "synthetic": 60}
    assert weights["id"][0] == "row0" and set(weights["source"]) == {"real", "gan", "llm"}
    codes = [finding["code"] for finding in json.loads((tmp_path / "run" / "findings.json").read_text())]
    assert "SS113" not in codes
    predictions = columns_of(tmp_path / "run" / "predictions.parquet")
    folds: dict[str, set[int]] = {}
    for name, fold in zip(predictions["id"], predictions["fold"], strict=True):
        folds.setdefault(columns["patient"][int(name.removeprefix("row"))], set()).add(fold)
    assert len(folds) == 19 and all(len(those) == 1 for those in folds.values())
    check_export(tmp_path / "run", tmp_path / "chosen")


def test_another_mix_of_classes_is_a_finding(tmp_path: Path) -> None:
    # The third and fourth label move their rows deep into the region of "yes" and call them "no", which is SS150.
    for name, labels, found in (("same", ("no", "yes"), []), ("other", ("no", "yes", "no", "no"), ["SS142", "SS150"])):
        words = two_files(tmp_path / name, real=draw(60, 1), synthetic=draw(80, 2, labels=labels))
        assert synthsift(*words).code == 0
        findings = json.loads((tmp_path / name / "run" / "findings.json").read_text())
        assert [finding["code"] for finding in findings] == found
