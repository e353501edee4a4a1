from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from fake_run import HOSTILE, write_fake_run

from synthsift.report import closing_table, closing_text


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path: Path = write_fake_run(tmp_path_factory.mktemp("terminal") / "run")
    return json.loads((path / "summary.json").read_text())


def printed(summary: dict[str, Any], width: int = 140) -> str:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(closing_table(summary))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_has_a_line_for_each_policy_best_first(summary: dict[str, Any]) -> None:
    title, _, *lines = [line.rstrip() for line in printed(summary).splitlines() if line.strip()]
    assert title == "Points of accuracy over RealOnly, before correcting for choice:"
    assert [line.split()[0] for line in lines][:2] == ["TrustedMargin", "LearnedWeights"]
    assert lines[-1].startswith("EL2N") and lines[-1].endswith("5  stopped")
    assert lines[0].split()[1:] == ["+2.1", "+1.4", "to", "+2.8", "0.440", "25", "<-", "verdict"]
    assert ["RealOnly", "0.0", "0.450", "25"] in [line.split() for line in lines]


def test_the_verdict_comes_first_and_what_was_left_out_last(summary: dict[str, Any]) -> None:
    verdict = {**summary["verdict"], "policy": "Everything"}
    changed = {**summary, "verdict": verdict, "stopped": {**summary["stopped"], "KNNShapley": "to keep to the budget"}}
    names = [line.split()[0] for line in closing_text(changed).splitlines()[4:]]
    assert names[:3] == ["Everything", "TrustedMargin", "LearnedWeights"] and names[-2:] == ["EL2N", "KNNShapley"]
    assert closing_text(changed).endswith("-  left out")


def test_the_table_fits_eighty_columns(summary: dict[str, Any]) -> None:
    rows = [{**row, "name": row["name"].replace("EL2N", "TrustedMarginFilter+Real5")} for row in summary["comparison"]]
    changed = {**summary, "comparison": rows, "stopped": {"TrustedMarginFilter+Real5": "clearly behind TrustedMargin"}}
    changed["verdict"] = {**summary["verdict"], "gain": {"metric": "balanced_accuracy"}}
    assert len(printed(changed, 80).splitlines()) == len(rows) + 2


def test_the_text_says_the_same_after_the_sentence(summary: dict[str, Any]) -> None:
    sentence, empty, *lines = closing_text(summary).splitlines()
    assert sentence == summary["verdict"]["sentence"] and empty == ""
    table = [line.split() for line in printed(summary, 300).splitlines() if line.strip()]
    assert [line.split() for line in lines] == table
    assert closing_text(summary).isascii()


def test_names_cannot_move_the_cursor_or_style_the_terminal(summary: dict[str, Any]) -> None:
    name = "[bold red]x[/]\x1b[2J\r\x07\u202e"
    rows = [{"name": name, "gain": None, "n_splits": None, "log_loss": None}]
    bad = {**summary, "comparison": rows, "stopped": {name: "because\x1b[0m"}}
    for text in (printed(bad), closing_text(bad)):
        assert "[bold red]x[/]" in text
        assert not set("\x1b\r\x07\u202e") & set(text)


def test_a_summary_without_a_comparison(summary: dict[str, Any]) -> None:
    bare = {"verdict": {"policy": "RealOnly", "sentence": f"No {HOSTILE[0]}."}}
    assert closing_text(bare).splitlines()[0] == "No <script>alert(1)</script>."
    assert "policy" in printed(bare)
