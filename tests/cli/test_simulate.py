"""The verb `simulate` from flags to table, record, figure and checkpoints."""

from __future__ import annotations

import csv
import json
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from cli_runner import synthsift

from synthsift.cli import simulate

TINY = (
    "diffusion", "--rows", 200, "--paths", 100, "--steps", 8, "--sampling-steps", 10, "--generations"
)  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ("gaussian", "--rounds", 4, "--runs", 100),
        ("accumulate", "--rounds", 4, "--runs", 100),
        ("mixture", "--rounds", 4, "--runs", 20),
        ("truncation", "--rounds", 3, "--rows", 1000),
    ],
)
def test_every_loop_writes_table_figure_and_record(tmp_path: Path, arguments: tuple[object, ...]) -> None:
    out = tmp_path / "out"
    ended = synthsift("simulate", *arguments, "--out", out)
    assert ended.code == 0, ended.err
    record = json.loads((out / "simulate.json").read_text())
    assert record["sentence"] in ended.out and record["kind"] == arguments[0] == record["settings"]["kind"]
    table = list(csv.DictReader((out / "simulate.csv").read_text().splitlines()))
    assert [float(row["simulated"]) for row in table] == record["columns"]["simulated"]
    assert (out / "simulate.png").read_bytes().startswith(b"\x89PNG")
    assert "</svg>" in (out / "simulate.svg").read_text()
    again = synthsift("simulate", *arguments, "--out", out, "--json")
    assert json.loads(again.out) == record


def test_seeds_change_the_numbers_and_repeat_them() -> None:
    arguments = ("simulate", "accumulate", "--rounds", 3, "--runs", 50, "--json")
    one, two, other = (json.loads(synthsift(*arguments, "--seed", k).out)["columns"] for k in (1, 1, 2))
    assert one == two and one["simulated"] != other["simulated"] and one["formula"] == other["formula"]


def test_quiet_prints_the_sentence_only() -> None:
    ended = synthsift("simulate", "gaussian", "--rounds", 2, "--runs", 20, "--quiet")
    assert ended.out.count("\n") == 1 and ended.err == ""


def test_trained_loops_keep_checkpoints_and_go_on_from_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "draw_files", lambda figure: {})
    once, parts = tmp_path / "once", tmp_path / "parts"
    whole = synthsift("simulate", *TINY, 2, "--out", once)
    assert whole.code == 0 and "Generation 2 of 2" in whole.err, whole.err
    assert synthsift("simulate", *TINY, 1, "--out", parts).code == 0
    assert sorted(p.name for p in (parts / "rounds").iterdir()) == ["round-001.safetensors"]
    more = synthsift("simulate", *TINY, 2, "--out", parts)
    assert more.code == 0 and "1 of 2 generations are in" in more.err and "Generation 1 of 2" not in more.err
    first, second = (json.loads((out / "simulate.json").read_text()) for out in (once, parts))
    assert first == second and len(first["heat"]) == 2 and len(first["columns"]["eps2"]) == 2
    assert first["bounds"]["exact recursion of drift"] == [True, True]


def test_loops_on_pictures_are_watched_drawn_and_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "threadpool_limits", lambda count: nullcontext())  # tiny steps on a busy machine
    pictures, out = tmp_path / "bars.npy", tmp_path / "out"
    rng = np.random.default_rng(0)
    x = rng.normal(0.2, 0.05, (460, 4, 4))
    x[np.arange(460), rng.integers(4, size=460)] += 0.7
    np.save(pictures, x)
    words = ("simulate", "diffusion", "--data", pictures, "--rows", 60, "--paths", 100, "--steps", 8, "--width", 8,
             "--batch", 16, "--sampling-steps", 6, "--out", out, "--generations")  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(simulate, "draw_files", lambda figure: {})
        one = synthsift(*words, 1)
    assert one.code == 0 and "Generation 1 of 1" in one.err, one.err
    two = synthsift(*words, 2)
    assert two.code == 0 and "1 of 2 generations are in" in two.err, two.err
    record = json.loads((out / "simulate.json").read_text())
    assert record["columns"]["round"] == [1, 2] and record["columns"]["score_gap"][0] == 0
    assert "density of pictures is unknown" in record["sentence"] in two.out and record["num_held"] == 153
    assert (out / "simulate.png").read_bytes().startswith(b"\x89PNG") and len(record["heat"]) == 2
    np.save(pictures, x[::-1])
    other = synthsift(*words, 2)
    assert other.code == 2 and "other settings" in other.err


def test_help_names_every_loop() -> None:
    ended = synthsift("simulate", "--help")
    assert all(kind in ended.out for kind in ("gaussian", "mixture", "diffusion", "truncation", "accumulate"))
