"""What goes wrong beyond the input: a full disk, no memory, an error of ours, an earlier run in the folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cli_data import draw, two_files, write
from cli_runner import fill_disk, snapshot, synthsift

from synthsift import __version__
from synthsift.report import render

pytestmark = pytest.mark.usefixtures("no_pictures")
COMPARE = "synthsift.cli.run.compare"
TORCH_MEMORY = "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried ..."


def raising(patch: pytest.MonkeyPatch, error: BaseException) -> None:
    """The comparison raises `error`."""

    def stand_in(*arguments: object, **more: object) -> None:
        raise error

    patch.setattr(COMPARE, stand_in)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, no_pictures: None) -> dict[str, bytes]:
    """comparison.csv and the data of the usual run, undisturbed."""
    folder = tmp_path_factory.mktemp("clean")
    assert synthsift(*two_files(folder)).code == 0
    return {name: (folder / "run" / name).read_bytes() for name in ("comparison.csv", "predictions.parquet")}


# Two flushes a file: the settings take 2, a cell 2, so 5 is in the comparison; from 22 on results are written.
@pytest.mark.parametrize("after", [0, 5, 22, 30, 36, 38])
def test_a_full_disk_is_explained_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean: dict[str, bytes], after: int
) -> None:
    arguments, run = two_files(tmp_path), tmp_path / "run"
    with monkeypatch.context() as patch:
        fill_disk(patch, after)
        ended = synthsift(*arguments)
    assert ended.code == 2 and "Traceback" not in ended.err
    assert "disk is full" in ended.err or "cannot be written (No space left on device)" in ended.err
    assert run.exists() == (after > 0)
    assert [file for file in tmp_path.rglob("*") if file.suffix in (".tmp", ".part") or file.name == ".lock"] == []
    assert synthsift(*arguments).code == 0
    assert {name: (run / name).read_bytes() for name in clean} == clean
    assert (run / "report.html").exists() and not (run / "cells").exists()


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError(TORCH_MEMORY)])
def test_out_of_memory_says_what_to_lower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    raising(monkeypatch, error)
    ended = synthsift(*two_files(tmp_path))
    assert ended.code == 2 and "Traceback" not in ended.err
    assert "Out of memory. Lower --max-rows-per-source or --max-real" in ended.err and "--pca" in ended.err


def test_an_error_of_ours_is_called_one_and_shows_its_trace_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(monkeypatch, RuntimeError("boom"))
    arguments = two_files(tmp_path)
    ended = synthsift(*arguments)
    assert ended.code == 4 and "Traceback" not in ended.err
    assert "Internal error: RuntimeError: boom. Run again with --debug" in ended.err
    ended = synthsift(*arguments, "--debug")
    assert ended.code == 4 and "Traceback" in ended.err and "stand_in" in ended.err


def test_other_data_in_the_same_folder_is_refused_unless_overwritten(tmp_path: Path) -> None:
    arguments, run = two_files(tmp_path), tmp_path / "run"
    assert synthsift(*arguments).code == 0
    (run / "notes.txt").write_text("mine")
    write(tmp_path / "made.csv", draw(40, 9))
    before = snapshot(run)
    ended = synthsift(*arguments)
    assert ended.code == 2 and "the content of the data" in ended.err and "--overwrite" in ended.err
    assert snapshot(run) == before
    assert synthsift(*arguments, "--overwrite").code == 0
    after = snapshot(run)
    assert before is not None and after is not None
    assert after["notes.txt"] == before["notes.txt"] and after["comparison.csv"] != before["comparison.csv"]


def test_a_killed_run_without_its_report_gets_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments, run = two_files(tmp_path), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(render, "render_html", lambda report: {}["killed here"])
        assert synthsift(*arguments).code == 4
    assert (run / "summary.json").exists() and not (run / "report.html").exists()
    ended = synthsift(*arguments)
    assert ended.code == 0 and "nothing is left to do" in ended.err
    assert (run / "report.html").exists() and not (run / "cells").exists()


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        (["report", "."], "synthsift: . is not a finished run"),
        (["export", ".", "--out", "chosen"], "synthsift: . is not a run of synthsift"),
        (["run", "--metric", "f2", "--out", "run"], "synthsift: unknown metric 'f2'"),
        (["run", "--out"], "requires an argument"),
    ],
)
def test_as_a_process(tmp_path: Path, words: list[str], pattern: str) -> None:
    ended = subprocess.run([sys.executable, "-m", "synthsift", *words], capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 2 and ended.stdout == ""
    assert pattern in ended.stderr and "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


HELP = """
import atexit, sys
from synthsift.cli import main
atexit.register(lambda: sys.stderr.write(" ".join(sys.modules)))
sys.argv = ["synthsift", "--help"]
main()
"""


def test_the_help_needs_no_heavy_library() -> None:
    ended = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True)
    assert ended.returncode == 0 and "demo" in ended.stdout
    assert not {"numpy", "pandas", "torch", "sklearn", "matplotlib"} & set(ended.stderr.split())


def test_the_version(tmp_path: Path) -> None:
    assert synthsift("--version").out == f"{__version__}\n"
