"""`export` and `report` of damaged runs and into bad places: a sentence, exit code 2, and nothing new on the disk."""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_data import columns_of, draw, finished_run, write
from cli_runner import fill_disk, snapshot, synthsift

from synthsift import writing
from synthsift.cli import whole_folder

Spoil = Callable[[Path], object]


def summary(content: Any) -> Spoil:
    """The summary holds this text, these bytes, or this as JSON."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda run: (run / "summary.json").write_bytes(data)


def weights(**changes: Any) -> Spoil:
    """weights.parquet has these columns instead; None leaves one out."""

    def spoil(run: Path) -> None:
        columns = columns_of(run / "weights.parquet") | changes
        writing.write_parquet(run / "weights.parquet", {k: v for k, v in columns.items() if v is not None})

    return spoil


def of_a_run(spoil: Spoil) -> Spoil:
    """The same damage in a folder that has settings of ours."""
    settings = {"schema": 1, "tool": "synthsift", "data_hash": "", "settings": {}}
    return lambda run: (writing.write_json(run / "settings.json", settings), spoil(run))


def flip(run: Path) -> None:
    """One bit of a stored file name is another; the file still has its shape."""
    data = bytearray((run / "weights.parquet").read_bytes())
    data[data.index(b"real")] ^= 1
    (run / "weights.parquet").write_bytes(data)


NO_VERDICT = "is damaged: it holds no verdict with a sentence. Repeat the run's command"
DAMAGE: dict[str, tuple[Spoil, str, str]] = {  # of the summary: what export says, what report says
    "summary without verdict": (summary({"schema": 1}), NO_VERDICT, "holds no verdict"),
    "verdict is a text": (summary({"schema": 1, "verdict": "Use it."}), NO_VERDICT, "holds no verdict"),
    "verdict without sentence": (summary({"schema": 1, "verdict": {"policy": "RealOnly"}}), NO_VERDICT, "no verdict"),
    "sentence is a number": (
        summary({"schema": 1, "verdict": {"policy": "RealOnly", "sentence": 3}}), NO_VERDICT, ""
    ),
    "summary is a list": (summary([1]), "is not one", "has schema 'list'"),
    "summary is null": (summary(None), "is not one", "is not a finished run"),
    "summary is empty": (summary(b""), "is not one", "cannot be read"),
    "summary is cut off": (summary(b'{"schema": 1, "verdict": {"pol'), "is not one", "cannot be read"),
    "summary is not UTF-8": (summary(b'{"schema": 1, "verdict": "\xff"}'), "is not one", "cannot be read"),
    "summary of a later version": (summary({"schema": 2}), "has schema 2", "has schema 2"),
    "cut off, settings of ours": (
        of_a_run(summary(b'{"schema": 1, ')), "is damaged: it is not the JSON object that was written", "cannot be read"
    ),
    "summary is a folder": (
        lambda run: ((run / "summary.json").unlink(), (run / "summary.json").mkdir()), "is not one", "cannot be read"
    ),
}  # fmt: skip
EXPORT: dict[str, tuple[Spoil, str]] = {
    "no weights": (lambda run: (run / "weights.parquet").unlink(), "weights.parquet cannot be read"),
    "weights are cut off": (
        lambda run: (run / "weights.parquet").write_bytes(b"PAR1"), "weights.parquet cannot be read"
    ),
    "weights with a flipped bit": (flip, "CRC checksum verification failed"),
    "weights without a column": (weights(keep=None), "lacks the column 'keep'"),
    "weights with text for numbers": (weights(row=["x"] * 20), "weights.parquet cannot be read"),
    "weights with empty cells": (weights(weight=[None, *[1.0] * 19]), "has empty cells in 'weight'"),
    "weights without rows": (
        weights(**{key: [] for key in ("file", "row", "source", "split", "label", "weight", "keep")}), "has no rows"
    ),
    "a source file is gone": (lambda run: (run.parent / "made.csv").unlink(), "made.csv does not exist"),
    "a source file is shorter": (lambda run: write(run.parent / "real.csv", draw(3, 0)), "ends before row 8"),
    "a source file is another": (
        lambda run: (run.parent / "real.csv").write_bytes(b"a\n\xff\xfe\n"), "is not UTF-8: byte 0xff"
    ),
    "a source file is blank": (lambda run: (run.parent / "real.csv").write_bytes(b"\n\n"), "ends before row 8"),
    "output is a file": (lambda run: write(run.parent / "new", draw(3, 0)), "new is a file; name a new folder"),
    "output is not empty": (lambda run: write(run.parent / "new" / "m.csv", draw(3, 0)), "new is not empty"),
    "output is a link to nowhere": (lambda run: os.symlink("gone", run.parent / "new"), "a link that leads nowhere"),
    "output is a circle of links": (lambda run: os.symlink("new", run.parent / "new"), "a link that leads nowhere"),
}  # fmt: skip


def refused(folder: Path, words: list[object], pattern: str) -> None:
    """Exit code 2 with the words, and all is as it was."""
    before = snapshot(folder)
    ended = synthsift(*words)
    assert ended.code == 2 and pattern in ended.err, ended.err
    assert ended.out == "" and "Traceback" not in ended.err and "rows ->" not in ended.err
    assert snapshot(folder) == before


@pytest.mark.parametrize("name", [*DAMAGE, *EXPORT])
@pytest.mark.parametrize("out", ["new", "deep/down/new"])
def test_export_is_refused_and_nothing_is_made(tmp_path: Path, name: str, out: str) -> None:
    if name.startswith("output") and out != "new":
        (tmp_path / "deep" / "down").mkdir(parents=True)
    run = finished_run(tmp_path)
    spoil, pattern, *_ = (DAMAGE | EXPORT)[name]
    spoil(run)
    if name.startswith("output") and out != "new":
        os.rename(tmp_path / "new", tmp_path / out)
    refused(tmp_path, ["export", run, "--out", tmp_path / out], pattern)


def test_relative_paths_are_told_with_the_folder_from_which_they_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, other = tmp_path / "work", tmp_path / "elsewhere"
    other.mkdir()
    run = finished_run(place)
    columns = columns_of(run / "weights.parquet")
    weights(file=[os.path.relpath(file, place) for file in columns["file"]])(run)
    monkeypatch.chdir(other)
    told = f"does not exist in {other}. The run was given relative paths, and they hold from the folder in which "
    refused(tmp_path, ["export", run, "--out", tmp_path / "new"], f"{told}`synthsift run` was called; by what lies ")
    refused(tmp_path, ["export", run, "--out", tmp_path / "new"], f"that was {place}. Export from there.")
    moved = run.rename(other / "run")
    refused(tmp_path, ["export", moved, "--out", tmp_path / "new"], f"{told}`synthsift run` was called. Export from")
    monkeypatch.chdir(place)
    assert synthsift("export", moved, "--out", tmp_path / "new").code == 0


@pytest.mark.parametrize("name", [name for name, (_, _, pattern) in DAMAGE.items() if pattern])
def test_report_is_refused_and_nothing_is_made(tmp_path: Path, name: str) -> None:
    run = finished_run(tmp_path)
    spoil, _, pattern = DAMAGE[name]
    spoil(run)
    refused(tmp_path, ["report", run], pattern)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("call", ["mkdir", "replace"])
def test_the_system_refuses_and_only_names_of_the_user_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    run, work = finished_run(tmp_path), getattr(os, call)

    def refuse(path: Any, *more: Any, **also: Any) -> None:
        if str(path).endswith(".part"):
            raise OSError(code, os.strerror(code), str(path))
        work(path, *more, **also)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        out = tmp_path / "deep" / "new"
        refused(tmp_path, ["export", run, "--out", out], f"{out} cannot be written ({os.strerror(code)})")
        assert ".part" not in synthsift("export", run, "--out", out).err
    assert synthsift("export", run, "--out", out).code == 0


@pytest.mark.parametrize("after", [0, 1])
def test_a_full_disk_during_export_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    run = finished_run(tmp_path)
    with monkeypatch.context() as patch:
        fill_disk(patch, after)
        refused(tmp_path, ["export", run, "--out", tmp_path / "a" / "new"], "The disk is full: new needs more space in")
    ended = synthsift("export", run, "--out", tmp_path / "a" / "new")
    assert ended.code == 0 and ended.out == "Use it.\n"
    assert ended.err.splitlines()[1] == f"{tmp_path}/made.csv: 7 rows -> {tmp_path}/a/new/made.csv"
    assert sorted(file.name for file in (tmp_path / "a" / "new").iterdir()) == ["made.csv", "real.csv"]


def test_a_full_disk_while_images_are_copied_is_not_blamed_on_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished_run(tmp_path)
    weights(file=[f"{tmp_path}/real.png"] * 20)(run)
    (tmp_path / "real.png").write_bytes(b"image")

    def full(source: Any, place: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", source, None, place)

    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfile", full)
        refused(tmp_path, ["export", run, "--out", tmp_path / "new"], "The disk is full: new needs more space")
    (tmp_path / "real.png").unlink()
    refused(tmp_path, ["export", run, "--out", tmp_path / "new"], "real.png cannot be copied")


def test_what_a_killed_export_left_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, out = finished_run(tmp_path), tmp_path / "deep" / "new"
    kill = "import os; os.replace = lambda *p: os._exit(9) if p[0].name.startswith('.new.') else os.rename(*p)\n"
    code = kill + "from synthsift.cli.export import execute_export\nfrom pathlib import Path\n"
    code += f"execute_export(Path({str(run)!r}), Path({str(out)!r}))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 9 and ended.stderr == ""
    (left,) = out.parent.iterdir()
    assert left.name.endswith(".part") and len(list(left.iterdir())) == 2
    own = whole_folder.begun_name(out)  # a container may give every process the same number
    running = own.with_name(own.name.replace(f"-{os.getpid()}.", f"-{os.getppid()}."))  # of a process that is there
    others = [running, out.parent / ".new.part", left.with_name(left.name.replace(".new.", ".old."))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(platform, "node", lambda: "another")  # which shares the disk: its processes have these numbers
        others.append(whole_folder.begun_name(out))
    for folder in (*others, own):
        (folder / "inside").mkdir(parents=True)
    assert synthsift("export", run, "--out", out).code == 0
    assert sorted(out.parent.iterdir()) == sorted([*others, out])


def test_a_process_of_another_user_is_running(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(process: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert whole_folder._is_running(os.getpid() + 1) and not whole_folder._is_running(os.getpid())


def test_a_parent_that_another_process_uses_stays(tmp_path: Path) -> None:
    with pytest.raises(KeyError), whole_folder.whole_folder(tmp_path / "a" / "b" / "new"):
        (tmp_path / "a" / "theirs").write_text("")
        raise KeyError
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "theirs"]


def test_a_link_to_an_empty_folder_is_followed(tmp_path: Path) -> None:
    run = finished_run(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "new").symlink_to("there")
    assert synthsift("export", run, "--out", tmp_path / "new").code == 0
    assert (tmp_path / "new").is_symlink() and len(list((tmp_path / "there").iterdir())) == 2


def test_names_that_a_terminal_would_act_on_are_told_without_these_signs(tmp_path: Path) -> None:
    folder = tmp_path / "\x1b[31mred"
    folder.mkdir()
    run = finished_run(folder)
    summary({"schema": 1, "verdict": {"sentence": "Use \x1b]0;title\x07 it."}})(run)
    ended = synthsift("export", run, "--out", tmp_path / "new")
    assert ended.code == 0 and "red/made.csv: 7 rows" in ended.err
    assert not {"\x1b", "\x07"} & set(ended.err + ended.out)
