"""Labels of any type onto one list of classes, and what is said about labels that only some files have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_files import rows, two_files, write, write_npz

from synthsift.data.load import DataSpec, load
from synthsift.records import DataError, Severity


def classes_of(tmp_path: Path, real: list[Any], made: list[Any], form: str = "jsonl") -> tuple[Any, ...]:
    spec = DataSpec(
        real=(write(tmp_path / f"real.{form}", rows(20, label=lambda i: real[i % len(real)])),),
        synthetic=(write(tmp_path / "made.csv", rows(30, label=lambda i: made[i % len(made)])),),
        label="label",
    )
    loaded = load(spec)
    assert loaded.left_out is None and (loaded.mixture.synth.y >= 0).all()
    return loaded.mixture.classes


@pytest.mark.parametrize(
    ("real", "made", "classes"),
    [
        ([1, 0], ["1", "0"], (0, 1)),
        ([1.0, 0.0], ["1", "0"], (0, 1)),
        (["1", "0"], ["1.0", "0.00"], (0, 1)),
        ([10, 9, 2], [" 2", "9 "], (2, 9, 10)),
        ([1.5, 0.5], ["1.50", "0.5"], (0.5, 1.5)),
        (["b", " a"], ["a ", "b"], ("a", "b")),
        (["1", "x"], ["1.0", "x"], ("1", "x")),
        ([True, False], ["True", "False"], ("False", "True")),
        ([-1, 1], ["1", "-1"], (-1, 1)),
        (["None", "NA"], ["NA", "None"], ("NA", "None")),
        (["caf\u00e9", "x"], ["cafe\u0301", "x"], ("caf\u00e9", "x")),  # composed and decomposed accents
        (["cafe\u0301", "x"], ["caf\u00e9", "x"], ("cafe\u0301", "x")),
        ([2**53 + 1, 2**53], [str(2**53), str(2**53 + 1)], (str(2**53), str(2**53 + 1))),  # one number as doubles
        ([1 - 2**53, 2**53 - 1], [str(2**53 - 1), str(1 - 2**53)], (1 - 2**53, 2**53 - 1)),
    ],
)
def test_labels_written_in_different_ways_are_one_class(
    tmp_path: Path, real: list[Any], made: list[Any], classes: tuple[Any, ...]
) -> None:
    found = classes_of(tmp_path, real, made)
    assert found == classes and [type(value) for value in found] == [type(value) for value in classes]


def test_hundreds_of_classes(tmp_path: Path) -> None:
    real = rows(900, label=lambda i: f"c{i % 300:03d}")
    loaded = load(two_files(tmp_path, real, rows(300, label=lambda i: f"c{i:03d}")))
    assert len(loaded.mixture.classes) == 300 and loaded.mixture.synth.y.tolist() == list(range(300))
    assert loaded.findings == ()


def test_synthetic_rows_with_an_unknown_label_are_left_out(tmp_path: Path) -> None:
    loaded = load(two_files(tmp_path, synthetic=rows(30, label=lambda i: ("no", "maybe", "yes")[i % 3])))
    assert loaded.left_out is not None and len(loaded.left_out) == 10 and len(loaded.mixture.synth) == 20
    assert set(loaded.left_out.y) == {-1} and loaded.left_out.ids[0] == "made:1"
    (finding,) = loaded.findings
    assert finding.code == "SS109" and finding.severity == Severity.warning and "maybe (10)" in finding.seen


def test_labels_only_in_valid_are_classes_and_noted(tmp_path: Path) -> None:
    valid = write(tmp_path / "valid.csv", rows(9, label=lambda i: ("no", "rare")[i % 2]))
    loaded = load(replace(two_files(tmp_path), valid=valid))
    assert loaded.mixture.classes == ("no", "rare", "yes") and [f.code for f in loaded.findings] == ["SS110"]


def test_test_rows_with_an_unknown_label_are_kept_out(tmp_path: Path) -> None:
    test = write(tmp_path / "test.csv", rows(9, label=lambda i: ("no", "new")[i % 2]))
    loaded = load(replace(two_files(tmp_path), test=test))
    assert loaded.test is not None and len(loaded.test) == 5 and [f.code for f in loaded.findings] == ["SS111"]
    strange = write(tmp_path / "strange.csv", rows(9, label="new"))
    assert load(replace(two_files(tmp_path), test=strange)).test is None


def test_a_class_with_one_real_row_is_a_warning(tmp_path: Path) -> None:
    loaded = load(two_files(tmp_path, rows(20, label=lambda i: "once" if i == 3 else ("no", "yes")[i % 2])))
    assert [(f.code, f.severity) for f in loaded.findings] == [("SS112", Severity.warning)]
    assert "'once' has one real row" in loaded.findings[0].seen


def test_a_row_in_train_and_one_in_valid_are_two_rows(tmp_path: Path) -> None:
    twice = lambda i: "rare" if i == 3 else ("no", "yes")[i % 2]  # noqa: E731
    spec = two_files(tmp_path, rows(20, label=twice))
    assert load(replace(spec, valid=write(tmp_path / "valid.csv", rows(9, label=twice)))).findings == ()


@pytest.mark.parametrize(
    "labels",
    [np.linspace(0, 1, 20), np.arange(500) * 3, np.arange(40) / 7],
    ids=["few rows all different", "many whole numbers", "many fractions"],
)
def test_a_regression_target_is_refused(tmp_path: Path, labels: np.ndarray) -> None:
    real = rows(len(labels), label=lambda i: labels[i])
    with pytest.raises(DataError, match=r"regression target.*classification"):
        load(two_files(tmp_path, real, rows(30, label=0)))


def test_ratings_and_many_numbered_classes_are_no_regression_target(tmp_path: Path) -> None:
    ratings = rows(60, label=lambda i: i % 10 / 2)
    assert len(load(two_files(tmp_path, ratings, rows(30, label=0.5))).mixture.classes) == 10
    numbered = rows(750, label=lambda i: i % 250)
    assert len(load(two_files(tmp_path, numbered, rows(30, label=7))).mixture.classes) == 250


def test_labels_of_arrays_keep_their_type(tmp_path: Path) -> None:
    for y, classes in (
        (np.arange(20) % 3, (0, 1, 2)),
        (np.array(["b", "a"] * 10), ("a", "b")),
        (np.array([b"b", b"a"] * 10), ("a", "b")),
        (np.array([2.0, 1.0] * 10), (1, 2)),
        (np.array([True, False] * 10), ("False", "True")),
    ):
        files = [write_npz(tmp_path / f"{name}.npz", 20, y=y) for name in ("real", "made")]
        assert load(DataSpec((files[0],), synthetic=(files[1],))).mixture.classes == classes


@pytest.mark.parametrize("numbers", [(np.inf, 1.0), (np.nan, -np.inf)])
def test_infinite_labels_are_not_called_missing(tmp_path: Path, numbers: tuple[float, float]) -> None:
    y = np.tile([0.0, *numbers], 10)
    spec = DataSpec((write_npz(tmp_path / "r.npz", 30, y=y),), synthetic=(write_npz(tmp_path / "m.npz", 30),))
    with pytest.raises(DataError, match=r"10 of 30 real rows .* have a label that is not finite in 'y'"):
        load(spec)


def test_real_labels_that_differ_in_their_accents_only_are_one_class(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="all real rows have the same label"):
        classes_of(tmp_path, ["caf\u00e9", "cafe\u0301"], ["x"])
