"""`synthsift reproduce` as a user calls it: files, numbers, the table on the terminal, and what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_runner import snapshot, synthsift

from synthsift.cli import reproduce
from synthsift.studies import reproduce_collapse
from synthsift.studies.reproduce_collapse_tables import rebuild_remedies
from synthsift.studies.reproduction import Check, Rebuilt, compare_lines, draw_files


def example(is_exact: bool = True) -> Rebuilt:
    checks = (Check("first", 0.5, 0.5001, 0.52, 0.001), Check("second", 2.0, 2.0))
    columns = {"x": [1, 2], "y": [0.5, None]}
    return Rebuilt("one", "A title", columns, lambda f: f.subplots().plot([1, 2]), (3.0, 2.0), checks, is_exact)


def test_collapse_is_rebuilt_with_figures_numbers_and_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def some(seeds: object, *, quick: bool, data: Path | None) -> Iterator[Rebuilt]:
        yield reproduce_collapse.rebuild_floor(seeds, quick=quick)  # type: ignore[arg-type]
        yield rebuild_remedies()

    monkeypatch.setattr(reproduce_collapse, "rebuild", some)
    out = tmp_path / "figures"
    ended = synthsift("reproduce", "collapse", "--quick", "--out", out)
    assert ended.code == 0, ended.err
    assert "30 printed values, largest difference 0.0" in ended.out and f"Figures and numbers: {out}" in ended.out
    assert sorted(p.name for p in out.iterdir()) == sorted(
        ["numbers.json", *(f"{stem}.{kind}" for stem in ("floor", "remedies") for kind in ("csv", "png", "svg"))]
    )
    assert (out / "floor.png").read_bytes()[:4] == b"\x89PNG" and b"<svg" in (out / "floor.svg").read_bytes()
    numbers = json.loads((out / "numbers.json").read_text())
    assert numbers["settings"] == {"study": "collapse", "quick": True, "seed": 0}
    assert len(numbers["figures"]["floor"]["checks"]) == 30
    with open(out / "remedies.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 25
    before = snapshot(out)
    assert synthsift("reproduce", "collapse", "--quick", "--out", out, "--quiet").code == 0
    assert snapshot(out) == before  # the same numbers and the same bytes again


def test_unknown_names_and_foreign_folders_are_refused(tmp_path: Path) -> None:
    ended = synthsift("reproduce", "nonsense", "--out", tmp_path / "new")
    assert ended.code == 2 and "choose one of rmt, collapse" in ended.err
    assert not (tmp_path / "new").exists()
    (tmp_path / "thesis.tex").write_text("years of work")
    ended = synthsift("reproduce", "rmt", "--out", tmp_path)
    assert ended.code == 2 and "thesis.tex" in ended.err
    ended = synthsift("reproduce", "rmt", "--out", tmp_path / "thesis.tex")
    assert ended.code == 2 and "is a file" in ended.err
    assert synthsift("reproduce", "rmt", "--out", tmp_path / "new", "--seed", "-1").code == 2
    assert synthsift("reproduce").code == 2
    for words, told in (
        (("rmt", "--rows", 500), "only drift's loop"),
        (("drift", "--rows", 99), "--rows is 99; from 100 to 100,000"),
        (("drift", "--rows", 500, "--device", "cpu"), "has no --device"),
    ):
        ended = synthsift("reproduce", *words, "--out", tmp_path / "new")
        assert ended.code == 2 and told in ended.err, ended.err
        assert not (tmp_path / "new").exists()
    ended = synthsift("reproduce", "rmt", "--out", tmp_path / "new", "--data", tmp_path / "nothing")
    assert ended.code == 2 and "holds no MNIST files" in ended.err and "Put them into a folder" in ended.err


def test_a_device_is_for_drift_and_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for arguments, word in (
        (("drift", "--device", "cuda"), "torch finds no such device. Leave --device out"),
        (("drift", "--device", "tpu"), "write cuda"),
        (("rmt", "--device", "cuda"), "rmt computes on the CPU"),
    ):
        ended = synthsift("reproduce", *arguments, "--out", tmp_path / "new")
        assert ended.code == 2 and word in ended.err and not (tmp_path / "new").exists()


def test_every_study_of_the_list_can_be_loaded() -> None:
    import importlib

    for module in reproduce.STUDIES.values():
        assert callable(importlib.import_module(module).rebuild)


def test_the_table_tells_the_worst_value_and_simulations_that_disagree() -> None:
    one = example()
    lines = compare_lines([one])
    assert one.worst.what == "first" and [c.what for c in one.disagreeing] == ["first"]
    assert lines[1] == "  2 printed values, largest difference 0.02% (first: printed 0.5, ours 0.5001)"
    assert lines[2].endswith("1 of them; beyond 4 standard errors and 0.3% of our formula: 1")
    each = compare_lines([example(is_exact=False)])
    assert each[2].split() == ["first", "0.5", "0.5001", "0.52", "0.001"] and len(each) == 5


def test_a_figure_is_the_same_bytes_every_time() -> None:
    assert draw_files(example()) == draw_files(example())
