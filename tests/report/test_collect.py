from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from fake_run import GROUPS, HOSTILE, SCRIPT, SOURCES, write_fake_run

from synthsift import writing
from synthsift.records import DataError
from synthsift.report.collect import MAX_POINTS, collect

MINIMAL = {"schema": 1, "verdict": {"policy": "RealOnly", "sentence": "Do not use it."}}


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(run, tmp_path / "run")


def test_the_dictionary_is_what_json_holds(run: Path) -> None:
    report = collect(run)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert collect(str(run)) == report


def test_every_part_is_there(run: Path) -> None:
    report = collect(run)
    assert report["metric"] == "accuracy" and report["splits"] == 25
    names = [row["name"] for row in report["comparison"]]
    assert names == ["TrustedMargin", "LearnedWeights", "BestSources", "RealTimes(5)", "RealOnly", "Everything", "EL2N"]
    assert [row["name"] for row in report["comparison"] if row["is_chosen"]] == ["TrustedMargin"]
    assert [row["name"] for row in report["comparison"] if row["stopped"]] == ["EL2N"]
    assert report["metrics"]["names"] == ["accuracy", "log_loss", "auc"]
    assert {row["name"]: row["rows"] for row in report["kept"]["sources"]} == SOURCES
    assert report["kept"]["real"]["rows"] == 400
    assert set(report["weights"]) == {"weight", "learned_weight"}
    assert [finding["code"] for finding in report["findings"]] == ["SS101", "SS103", "SS105"]
    assert report["settings"]["data"]["label"] == "kind"
    assert report["files"]["suffixes"] == [".csv"]
    assert [len(source["classes"]) for source in report["gallery"]["sources"]] == [2, 2, 2]
    assert [row["label"] for row in report["per_group"]] == list(GROUPS)
    assert [row["name"] for row in report["importance"]] == ["trusted_loss", "knn_shapley", SCRIPT, "class"]
    assert report["planted"] is None


def test_history_is_thinned_and_keeps_its_ends(run: Path) -> None:
    history = collect(run)["history"]
    assert len(history["step"]) == MAX_POINTS
    assert (history["step"][0], history["step"][-1]) == (0, 799)
    assert history["step"] == sorted(history["step"])
    assert None in history["curves"]["gsnr"]
    assert set(map(len, history["curves"].values())) == {MAX_POINTS}


def test_metrics_are_means_of_the_finite_values(run: Path) -> None:
    import csv

    with open(run / "comparison.csv", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["policy"] == "RealOnly" and row["metric"] == "log_loss"]
    values = [float(row["value"]) for row in rows if row["value"]]
    assert len(values) == 24, "the planted missing value is one of them"
    first = collect(run)["metrics"]["rows"][0]
    assert first["name"] == "RealOnly"
    assert first["means"][1] == pytest.approx(sum(values) / 24, rel=1e-12)


def test_a_summary_is_enough(tmp_path: Path) -> None:
    writing.write_json(tmp_path / "summary.json", MINIMAL)
    report = collect(tmp_path)
    assert report["verdict"] == MINIMAL["verdict"]
    assert report["comparison"] == [] and report["findings"] == [] and report["test"] == []
    assert [report[name] for name in ("kept", "weights", "history", "gallery", "metrics", "splits")] == [None] * 6


def test_optional_files_may_be_missing_one_by_one(copy: Path) -> None:
    for name, part in {
        "history.parquet": "history",
        "gallery.json": "gallery",
        "comparison.csv": "metrics",
        "weights.parquet": "kept",
    }.items():
        assert collect(copy)[part] is not None
        (copy / name).unlink()
        assert collect(copy)[part] is None


def test_no_finished_run(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DataError, match=r"is not a finished run: its summary\.json was needed.*resume it"):
            collect(place)


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        ("{", "cannot be read"),
        ("[]", "has schema 'list'"),
        ('{"schema": 2}', "has schema 2, this version of synthsift reads 1"),
        ('{"schema": 1}', "holds no verdict"),
        ('{"schema": 1, "verdict": {"policy": "x"}}', "holds no verdict"),
    ],
)
def test_a_broken_summary(tmp_path: Path, content: str, pattern: str) -> None:
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(DataError, match=pattern):
        collect(tmp_path)


@pytest.mark.parametrize(
    "name", ["weights.parquet", "history.parquet", "comparison.csv", "findings.json", "gallery.json", "settings.json"]
)
def test_a_damaged_file_is_named(copy: Path, name: str) -> None:
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(b"policy,metric\nx,y\n" if name == "comparison.csv" else data[: len(data) // 2])
    with pytest.raises(DataError, match=rf"{name} cannot be read .*repeat the run"):
        collect(copy)


def test_weights_without_a_needed_column(copy: Path) -> None:
    writing.write_parquet(copy / "weights.parquet", {"source": ["real"], "weight": [1.0]})
    with pytest.raises(DataError, match="lacks the columns keep, label"):
        collect(copy)


def test_labels_of_any_type_and_a_missing_one(copy: Path) -> None:
    columns = {"source": ["real", "a", "a"], "weight": [1.0, 2.0, 0.0], "keep": [True, True, False]}
    for labels, texts in (
        ([1, 2, 2], {"1", "2"}),
        ([True, False, None], {"True", "False", ""}),
        ([0.5, 1.0, 1.0], {"0.5", "1.0"}),
    ):
        writing.write_parquet(copy / "weights.parquet", {**columns, "label": labels})
        assert {row["label"] for row in collect(copy)["kept"]["classes"]} == texts


def test_classes_are_those_of_everything_where_the_verdict_is_real_only(tmp_path: Path) -> None:
    gains = {name: {"mean": mean, "low": -30.0, "high": 10.0} for name, mean in (("a", 0.0), ("b", -10.0))}
    row = {"n": 9, "real_only": 50.0, "policy": 50.0, "everything": 40.0, "gain": gains["a"]}
    row["everything_gain"] = gains["b"]
    for policy, of, value, gain in (
        ("RealOnly", "Everything", 40.0, gains["b"]),
        ("TrustedMargin", "TrustedMargin", 50.0, gains["a"]),
    ):
        verdict = {"policy": policy, "sentence": "."}
        rows = {"per_class": [{"label": "a", **row}], "per_group": [{"group": "g", **row}]}
        writing.write_json(tmp_path / "summary.json", {**MINIMAL, "verdict": verdict, **rows})
        report = collect(tmp_path)
        assert report["per_class_of"] == of
        for part, name in (("per_class", "a"), ("per_group", "g")):
            assert report[part] == [{"label": name, "n": 9, "real_only": 50.0, "policy": value, "gain": gain}]


def test_a_run_of_an_earlier_version_has_gains_without_intervals(tmp_path: Path) -> None:
    rows = [{"label": "a", "n": 9, "real_only": 50.0, "policy": 53.0}]
    writing.write_json(tmp_path / "summary.json", {**MINIMAL, "per_class": rows})
    assert collect(tmp_path)["per_class"][0]["gain"] == {"mean": 3.0, "low": None, "high": None}


def test_what_was_planted_is_read(tmp_path: Path) -> None:
    planted = collect(write_fake_run(tmp_path / "run", planted=True))["planted"]
    assert (planted["num_bad"], planted["found"], len(planted["kinds"])) == (12, 9, 1)


def test_policies_left_out_before_they_had_a_split_are_listed(tmp_path: Path) -> None:
    writing.write_json(tmp_path / "summary.json", {**MINIMAL, "stopped": {"KNNShapley": "to keep to the budget"}})
    assert [(row["name"], row["stopped"]) for row in collect(tmp_path)["comparison"]] == [
        ("KNNShapley", "to keep to the budget")
    ]


def test_of_countless_findings_the_worst_are_kept_and_cut(tmp_path: Path) -> None:
    writing.write_json(tmp_path / "summary.json", MINIMAL)
    words = {"title": "t", "seen": "x" * 100_000, "why": None, "advice": 5}
    notes = [{"code": f"SS{k}", "severity": "note", **words} for k in range(500)]
    writing.write_json(tmp_path / "findings.json", [*notes, {"code": "SS1", "severity": "error", **words}])
    findings = collect(tmp_path)["findings"]
    assert len(findings) == 200 and findings[0]["severity"] == "error"
    assert [findings[0][name] for name in ("why", "advice")] == [None, 5] and len(findings[0]["seen"]) == 2000


def test_incomplete_rows_are_filled_and_foreign_ones_left_out(tmp_path: Path) -> None:
    summary = {**MINIMAL, "comparison": [{"name": SCRIPT}, 3], "per_class": [{}], "test": [{"name": HOSTILE[1]}]}
    writing.write_json(tmp_path / "summary.json", summary)
    writing.write_json(tmp_path / "findings.json", [{"code": "SS1"}, None])
    report = collect(tmp_path)
    assert [row["name"] for row in report["comparison"]] == [SCRIPT]
    assert report["per_class"] == [{"label": None, "n": None, "real_only": None, "policy": None, "gain": {}}]
    assert report["per_class_of"] == summary["verdict"]["policy"]
    assert report["findings"][0]["why"] is None and len(report["findings"]) == 1
