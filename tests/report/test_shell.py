from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from synthsift.report.shell import command_name


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A virtual environment of the current folder, with the script beside its interpreter and off the PATH."""
    folder = tmp_path / "my project" / ".venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "synthsift").write_text("#!/bin/sh\n")
    (folder / "synthsift").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    monkeypatch.chdir(tmp_path / "my project")
    return folder


def test_the_script_beside_the_interpreter_where_the_environment_is_not_activated(bin_folder: Path) -> None:
    assert command_name() == ".venv/bin/synthsift"


def test_the_bare_name_where_it_is(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.fspath(bin_folder))
    assert command_name() == "synthsift"


def test_another_installation_on_the_path_is_not_called(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "synthsift").write_text("#!/bin/sh\n")
    (tmp_path / "synthsift").chmod(0o755)
    assert command_name() == ".venv/bin/synthsift"
    (bin_folder / "synthsift").unlink()
    assert command_name() == "synthsift"


def test_a_path_elsewhere_is_whole_and_quoted(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "my project" / ".venv" / "bin")
    assert command_name() == "./synthsift"
    monkeypatch.chdir("/")
    root = Path("/")
    assert command_name() == f"'{(bin_folder / 'synthsift').relative_to(root)}'"
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert command_name() == f"'{bin_folder / 'synthsift'}'"


def test_without_a_script_the_interpreter_runs_the_package(bin_folder: Path) -> None:
    (bin_folder / "synthsift").unlink()
    assert command_name() == ".venv/bin/python -m synthsift"
