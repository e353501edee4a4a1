"""Scripts in examples/ that need no downloaded data run, and the asserts at their ends hold."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from synthsift.cli.app import run_app
from synthsift.report import render

EXAMPLES = Path(__file__).parents[1] / "examples"
COMMANDS = ("table_files", "text_file", "image_folders")
SCRIPTS = ("notebook_selector",)


def in_this_process(command: list[str], *, check: bool) -> None:
    """Run `python -m synthsift ...` where it is, instead of starting another interpreter."""
    assert command[:3] == [sys.executable, "-m", "synthsift"] and check
    with mock.patch.object(sys, "argv", command[2:]):
        try:
            run_app()
        except SystemExit as end:
            assert end.code == 0, end.code


def run(name: str, *arguments: str) -> dict[str, Any]:
    with mock.patch.object(sys, "argv", [f"{name}.py", *arguments]):
        return runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_of_the_command_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subprocess, "run", in_this_process)
    monkeypatch.setattr(render, "draw_figures", lambda report: {})  # pictures cost seconds; they have their own tests
    monkeypatch.chdir(tmp_path)
    run(name, "--out", "out")
    assert f"Report: {Path('out/run/report.html')}" in capsys.readouterr().out
    assert {"summary.json", "report.html", "weights.parquet"} <= {
        file.name for file in (tmp_path / "out/run").iterdir()
    }


def test_the_example_of_a_retraining_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def here(command: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
        assert command[:3] == [sys.executable, "-m", "synthsift"] and not check
        with mock.patch.object(sys, "argv", command[2:]), pytest.raises(SystemExit) as ended:
            run_app()
        return subprocess.CompletedProcess(command, int(ended.value.code or 0))

    monkeypatch.setattr(subprocess, "run", here)
    monkeypatch.chdir(tmp_path)
    run("drift_loop", "--out", "out")
    printed = capsys.readouterr().out
    assert f"Report: {Path('out/run/report.html')}" in printed and "ALARM: gen4" in printed


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_for_notebooks(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(name)
    assert "test accuracy" in capsys.readouterr().out


def test_the_selector_needs_four_lines_at_most() -> None:
    source = (EXAMPLES / "notebook_selector.py").read_text()
    cell = source.split("\n# %%")[2]
    code = [line for line in cell.splitlines()[1:] if line.strip()]
    assert len(code) <= 4, code
