"""One small run from files to verdict: every file of the run folder, repeating, resuming, exporting, reporting."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_checks import check_export, check_keep
from cli_data import WEIGHTS, columns_of, draw, read, run_folder, two_files, write
from cli_runner import snapshot, synthsift

pytestmark = pytest.mark.usefixtures("no_pictures")
POLICIES = ("RealOnly", "Everything", "BestSources", "LearnedWeights")


def small_run(folder: Path) -> list[str]:
    """120 real, 30 validation and 60 test rows, a good source of 90 and a bad one of 60."""
    sizes = {"real": 120, "valid": 30, "test": 60, "good": 90, "bad": 60}
    files = {
        name: write(folder / f"{name}.csv", draw(n, seed, flipped=0.9 if name == "bad" else 0.05))
        for seed, (name, n) in enumerate(sizes.items())
    }
    words = ["run", "--real", files["real"], "--valid", files["valid"], "--test", files["test"], "--label", "label"]
    words += ["--synthetic", files["good"], "--synthetic", f"wrong={files['bad']}", "--out", str(folder / "run")]
    return [*words, "--seeds", "2", "--policies", "BestSources,LearnedWeights"]


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory, no_pictures: None) -> list[str]:
    """The command of a finished run; the tests below leave the folder as it is."""
    words = small_run(tmp_path_factory.mktemp("run"))
    ended = synthsift(*words)
    assert ended.code == 0, ended.err
    assert "150 synthetic rows from 2 sources" in ended.err and "<- verdict" in ended.out
    return words


@pytest.fixture(scope="module")
def run(arguments: list[str]) -> Path:
    return run_folder(arguments)


@pytest.fixture(scope="module")
def summary(run: Path) -> dict[str, Any]:
    return json.loads((run / "summary.json").read_text(), parse_constant=pytest.fail)


@pytest.fixture(scope="module")
def weights(run: Path) -> dict[str, np.ndarray]:
    return {name: np.array(column) for name, column in columns_of(run / "weights.parquet").items()}


# ------------------------------------------------------------------------------------------------ the run folder


def test_the_folder_holds_every_file_and_nothing_else(run: Path) -> None:
    tables = ["comparison.csv", "features.parquet", "history.parquet", "predictions.parquet", "weights.parquet"]
    records = ["findings.json", "gallery.json", "plan.json", "settings.json", "summary.json", "log.txt", "report.html"]
    model = ["model", "model/model.json", "model/model.safetensors"]
    assert sorted(str(file.relative_to(run)) for file in run.rglob("*")) == sorted([*tables, *records, *model])


def test_summary(run: Path, summary: dict[str, Any]) -> None:
    verdict = summary["verdict"]
    assert summary["schema"] == 1
    assert set(verdict) >= {"policy", "use", "evidence", "sentence", "gain", "keep_fraction", "effective_fraction"}
    assert verdict["policy"] in POLICIES and verdict["evidence"] in ("proven", "likely", "unproven")
    assert (verdict["gain"]["metric"], verdict["gain"]["unit"]) == ("accuracy", "points")
    for name in ("over_real_only", "over_everything"):
        assert verdict["gain"][name]["low"] <= verdict["gain"][name]["mean"] <= verdict["gain"][name]["high"]
    assert [row["name"] for row in summary["policies"]] == list(POLICIES)
    for row in summary["policies"]:
        assert set(row) == {"name", "metric", "mean", "low", "high", "n", "seconds"}
        assert row["low"] <= row["mean"] <= row["high"] and row["seconds"] > 0
    assert {row["name"] for row in summary["test"]} == set(POLICIES)
    assert all(set(row) == {"name", "metric", "value"} for row in summary["test"])
    assert {name: summary["data"][f"num_{name}"] for name in ("real", "valid", "test", "synth")} == {
        "real": 120, "valid": 30, "test": 60, "synth": 150
    }  # fmt: skip
    assert summary["data"]["sources"] == {"good": 90, "wrong": 60}
    diagnostics = summary["diagnostics"]
    assert {"effective_fraction", "keep_fraction", "learned_effective_fraction", "learned_keep_fraction"} <= set(
        diagnostics
    )
    assert {"gsnr", "mean_weight", "largest_share", "effective_batch", "loss", "temper", "step"} <= set(diagnostics)
    assert diagnostics["outcome"] == diagnostics["learned_outcome"] == "finished as intended"
    said = (run / "log.txt").read_text()
    assert "Learned weights: " in said and "meta-gradient" not in said, "the technical line is for the page"
    assert "meta-gradient" in diagnostics["noise"]
    assert {"synthsift", "numpy", "torch", "python"} <= set(summary["versions"])
    assert {"load", "encode", "compare", "final", "total"} == set(summary["seconds"])


def test_summary_says_who_gains_and_what_the_learned_weights_go_by(run: Path, summary: dict[str, Any]) -> None:
    assert [row["label"] for row in summary["per_class"]] == ["no", "yes"] and summary["per_group"] == []
    for row in summary["per_class"]:
        for name, other in (("gain", "policy"), ("everything_gain", "everything")):
            assert row[name]["low"] <= row[name]["mean"] <= row[name]["high"]
            assert row[name]["mean"] == pytest.approx(row[other] - row["real_only"])
    described = set(columns_of(run / "features.parquet")) - {"id"}
    shares = {row["name"]: row["share"] for row in summary["importance"]}
    assert set(shares) == described | {"place", "class", "source"}
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    items = json.loads((run / "gallery.json").read_text())["items"]
    assert {(item["source"], item["label"], item["end"]) for item in items} == {
        (source, label, end) for source in ("good", "wrong") for label in ("no", "yes") for end in ("highest", "lowest")
    }


def test_groups_are_judged_one_by_one(tmp_path: Path) -> None:
    columns = draw(60, 1)
    columns["who"] = [f"group {k // 6}" for k in range(60)]
    ended = synthsift(*two_files(tmp_path, "--group", "who", real=columns))
    assert ended.code == 0, ended.err
    rows = json.loads((tmp_path / "run" / "summary.json").read_text())["per_group"]
    assert {row["group"] for row in rows} == set(columns["who"]) and {row["n"] for row in rows} == {6}
    predictions = columns_of(tmp_path / "run" / "predictions.parquet")
    right = {name: [] for name in columns["who"]}
    for policy, group, label, no, yes in zip(
        *(predictions[name] for name in ("policy", "group", "label", "p_no", "p_yes")), strict=True
    ):
        if policy == "RealOnly":
            right[group].append((yes > no) == (label == "yes"))
    for row in rows:
        assert row["real_only"] == pytest.approx(100 * np.mean(right[row["group"]])), (
            "predictions.parquet holds them, too"
        )


def test_three_groups_are_three_folds_wherever_splits_are_counted(tmp_path: Path) -> None:
    columns = draw(60, 1)
    columns["who"] = ["big"] * 30 + ["mid"] * 20 + ["small"] * 10
    ended = synthsift(*two_files(tmp_path, "--group", "who", real=columns, quick=("--seeds", "2")))
    assert ended.code == 0, ended.err
    assert "on up to 3 paired splits" in ended.err
    run = tmp_path / "run"
    summary = json.loads((run / "summary.json").read_text())
    assert summary["splits"] == 3 and "3 paired splits" in summary["verdict"]["sentence"]
    assert {row["n"] for row in summary["policies"]} | {row["n_splits"] for row in summary["comparison"]} == {3}
    assert "3 paired splits in all" in (run / "report.html").read_text()
    predictions = columns_of(run / "predictions.parquet")
    homes = set(zip(*(predictions[name] for name in ("seed", "group", "fold")), strict=True))
    assert len(homes) == 3 and len({(seed, fold) for seed, _, fold in homes}) == 3, (
        "a second repetition would be the same"
    )
    assert {row["fold"] for row in read(run / "comparison.csv")} == {"0", "1", "2"}
    for row in summary["comparison"]:
        low, mean, high = (row["gain"][name] for name in ("low", "mean", "high"))
        assert -100 <= low <= mean <= high <= 100


def test_weights_hold_each_example_once(run: Path, weights: dict[str, np.ndarray]) -> None:
    assert list(weights) == WEIGHTS
    assert Counter(weights["split"].tolist()) == {"train": 120, "valid": 30, "synthetic": 150}
    assert Counter(weights["source"].tolist()) == {"real": 150, "good": 90, "wrong": 60}
    assert len(set(weights["id"].tolist())) == 300
    assert weights["weight"].mean() == pytest.approx(1, abs=1e-12) and (weights["weight"] >= 0).all()
    lines = {file: read(Path(file)) for file in set(weights["file"].tolist())}
    found = [lines[file][row]["label"] for file, row in zip(weights["file"], weights["row"], strict=True)]
    assert found == weights["label"].tolist()


def test_keep_and_learned_weight(weights: dict[str, np.ndarray], summary: dict[str, Any]) -> None:
    check_keep(weights, summary)
    learned = weights["learned_weight"]
    assert (learned > 0).all() and learned.mean() == pytest.approx(1)
    assert learned[weights["source"] == "good"].mean() > learned[weights["source"] == "wrong"].mean()


def test_features_history_and_findings(run: Path, weights: dict[str, np.ndarray]) -> None:
    features = columns_of(run / "features.parquet")
    assert features.pop("id") == weights["id"].tolist()
    assert features and all(np.isfinite(column).all() for column in features.values())
    history = columns_of(run / "history.parquet")
    assert {"step", "loss", "effective_batch", "gsnr", "mean_weight", "largest_share"} <= set(history)
    assert len(history["step"]) > 5 and history["step"][0] == 0
    assert isinstance(json.loads((run / "findings.json").read_text()), list)


def test_comparison_and_predictions_agree(run: Path, summary: dict[str, Any]) -> None:
    rows = read(run / "comparison.csv")
    assert list(rows[0]) == ["policy", "seed", "fold", "metric", "value"]
    splits = {row["name"]: row["n"] for row in summary["policies"]}
    assert Counter(row["policy"] for row in rows) == {name: 2 * n for name, n in splits.items()}
    predictions = columns_of(run / "predictions.parquet")
    assert list(predictions) == ["policy", "seed", "fold", "id", "label", "p_no", "p_yes"]
    np.testing.assert_allclose(np.add(predictions["p_no"], predictions["p_yes"]), 1, atol=1e-6)  # float32 sums
    hits, total = Counter[Any](), Counter[Any]()
    places = zip(*(predictions[name] for name in ("policy", "seed", "fold", "label", "p_yes")), strict=True)
    for policy, seed, fold, label, p_yes in places:
        hits[policy, str(seed), str(fold)] += (p_yes > 0.5) == (label == "yes")
        total[policy, str(seed), str(fold)] += 1
    for row in rows:
        if row["metric"] == "accuracy":
            cell = (row["policy"], row["seed"], row["fold"])
            assert float(row["value"]) == pytest.approx(hits[cell] / total[cell])


def test_the_model_folder_needs_no_pickle(run: Path) -> None:
    from safetensors.numpy import load_file

    settings = json.loads((run / "model" / "model.json").read_text())
    assert settings["learner"] == "logistic" and settings["classes"] == ["no", "yes"]
    arrays = load_file(run / "model" / "model.safetensors")
    assert {name.split(".")[0] for name in arrays} == {"encoder", "features", "learner", "metanet"}
    starts = {file.name: file.read_bytes()[:2] for file in run.rglob("*") if file.is_file()}
    assert not [name for name, start in starts.items() if start[:1] == b"\x80" or start == b"PK"]


# ------------------------------------------------------------------------------------- again, and elsewhere


def test_the_same_command_again_changes_nothing(arguments: list[str], run: Path, summary: dict[str, Any]) -> None:
    before = snapshot(run)
    again = synthsift(*arguments)
    assert again.code == 0 and "nothing is left to do" in again.err
    quiet = synthsift(*arguments, "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, summary["verdict"]["sentence"] + "\n", "")
    assert json.loads(synthsift(*arguments, "--json").out) == summary
    assert snapshot(run) == before


def test_the_settings_repeat_the_run_elsewhere(tmp_path: Path) -> None:
    assert synthsift(*two_files(tmp_path)).code == 0
    run, again = tmp_path / "run", tmp_path / "again"
    ended = synthsift("run", "--config", run / "settings.json", "--out", again, "--json")
    assert ended.code == 0
    assert json.loads(ended.out)["verdict"] == json.loads((run / "summary.json").read_text())["verdict"]
    for name in ("comparison.csv", "predictions.parquet", "weights.parquet", "features.parquet", "settings.json"):
        assert (again / name).read_bytes() == (run / name).read_bytes(), name


# ------------------------------------------------------------------------------------------- export and report


def test_export_gives_the_kept_rows_with_their_weights(run: Path, tmp_path: Path) -> None:
    check_export(run, tmp_path / "chosen")


def test_report_in_three_forms(run: Path, summary: dict[str, Any]) -> None:
    page = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    assert str(run / "report.html") in synthsift("report", run).out
    assert (run / "report.html").read_bytes() == page
    assert summary["verdict"]["policy"].encode() in page
    report = json.loads(synthsift("report", run, "--json").out, parse_constant=pytest.fail)
    assert report["verdict"] == summary["verdict"]
    text = synthsift("report", run, "--markdown").out
    assert text.startswith("# ") and "## Comparison" in text and "## Next step" in text


def test_what_the_budget_has_cut_is_said(tmp_path: Path) -> None:
    words = small_run(tmp_path)
    ended = synthsift(*words, "--budget", "0.0001")
    assert ended.code == 0, ended.err
    cut = "5 of 10 paired splits and 2 of 4 policies left out: more would not fit into 0.0001 min (--budget)."
    assert cut in ended.err
    alone = "RealOnly and Everything alone need about 1 s; --budget 0.0001 (min) is too small. Going on with 5 splits"
    assert ended.err.index(alone) < ended.err.index("splits and 1 of"), "said before anything is trained"
    assert "never trained, the last in the order above: " in ended.err
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "5 paired splits in all; more would not fit into the budget of 0.0001 min" in page
    assert "left out untrained to keep to the budget (2 policies): " in page
