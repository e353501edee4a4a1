"""The verb `simulate` from flags to table, record, figure and checkpoints."""

from __future__ import annotations

import csv
import json
from pathlib import Path

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


def test_help_names_every_loop() -> None:
    ended = synthsift("simulate", "--help")
    assert all(kind in ended.out for kind in ("gaussian", "mixture", "diffusion", "truncation", "accumulate"))
