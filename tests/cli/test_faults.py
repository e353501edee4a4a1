"""What goes wrong beyond the input: a full disk, no memory, an error of ours, an earlier run in the folder."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_data import draw, two_files, write
from cli_runner import snapshot, synthsift

from synthsift import __version__, writing
from synthsift.report import render

pytestmark = pytest.mark.usefixtures("no_pictures")
COMPARE = "synthsift.cli.run.compare"
TORCH_MEMORY = "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried ..."


def fill_disk(patch: pytest.MonkeyPatch, after: int) -> None:
    """From the given call on, nothing can be flushed to the disk."""
    calls, flush = [0], os.fsync

    def full(descriptor: int) -> None:
        calls[0] += 1
        if calls[0] > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(descriptor)

    patch.setattr(os, "fsync", full)


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


def hand_made(folder: Path) -> Path:
    """A finished run that keeps rows of two files."""
    files = [write(folder / f"{name}.csv", draw(10, seed)) for seed, name in enumerate(("real", "made"))]
    run = folder / "run"
    run.mkdir()
    columns = {"file": np.repeat(files, 10), "row": np.tile(np.arange(10), 2), "weight": np.ones(20)}
    columns |= {"source": np.repeat(["real", "made"], 10), "split": np.repeat(["train", "synthetic"], 10)}
    columns |= {"label": np.tile(["a", "b"], 10), "keep": np.arange(20) % 3 > 0}
    writing.write_parquet(run / "weights.parquet", columns)
    writing.write_json(run / "summary.json", {"schema": 1, "verdict": {"sentence": "Use it."}})
    return run


@pytest.mark.parametrize("after", [0, 1])
def test_a_full_disk_during_export_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    run = hand_made(tmp_path)
    before = snapshot(tmp_path)
    with monkeypatch.context() as patch:
        fill_disk(patch, after)
        ended = synthsift("export", run, "--out", tmp_path / "chosen")
    assert ended.code == 2 and ended.out == ""
    assert ended.err.startswith("synthsift: The disk is full: chosen needs more space in") and ".part" not in ended.err
    assert snapshot(tmp_path) == before
    assert synthsift("export", run, "--out", tmp_path / "chosen").code == 0
    assert sorted(file.name for file in (tmp_path / "chosen").iterdir()) == ["made.csv", "real.csv"]


def test_export_without_a_source_file_leaves_nothing(tmp_path: Path) -> None:
    run = hand_made(tmp_path)
    (tmp_path / "made.csv").rename(tmp_path / "mode.csv")
    before = snapshot(tmp_path)
    ended = synthsift("export", run, "--out", tmp_path / "chosen")
    assert ended.code == 2 and "made.csv does not exist" in ended.err and "mode.csv" in ended.err
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("spoil", "pattern"),
    [
        (lambda run: (run / "weights.parquet").write_bytes(b"PAR1"), "weights.parquet cannot be read"),
        (lambda run: (run / "weights.parquet").unlink(), "weights.parquet cannot be read"),
        (lambda run: (run / "summary.json").write_text('{"schema": 2}'), "has schema 2"),
        (lambda run: write(run.parent / "real.csv", draw(3, 0)), "ends before row 8"),
        (lambda run: write(run.parent / "chosen", draw(3, 0)), "chosen is a file; name a new folder"),
        (lambda run: write(run.parent / "chosen" / "mine.csv", draw(3, 0)), "chosen is not empty"),
    ],
)
def test_damage_met_by_export_is_explained(tmp_path: Path, spoil: Callable[[Path], object], pattern: str) -> None:
    run = hand_made(tmp_path)
    spoil(run)
    before = snapshot(tmp_path)
    ended = synthsift("export", run, "--out", tmp_path / "chosen")
    assert ended.code == 2 and pattern in ended.err and "Traceback" not in ended.err
    assert snapshot(tmp_path) == before


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
