"""A file holds all of what was written or what it held before, and what comes back is what was put in."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest

from synthsift import writing
from synthsift.records import DataError, Interval
from synthsift.seeds import Seeds
from synthsift.writing import RunError


def test_run_error_is_a_data_error() -> None:
    assert issubclass(RunError, DataError)


def test_atomic_write_replaces_the_content_and_leaves_nothing_else(tmp_path: Path) -> None:
    writing.atomic_write(tmp_path / "a", b"one")
    writing.atomic_write(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["a"]


KILLED = """
import os, signal, sys
from synthsift import writing
os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
writing.write_text(sys.argv[1], "half")
"""


def test_what_a_killed_writer_left_is_removed_at_the_next_start_and_nothing_else(tmp_path: Path) -> None:
    target, other = tmp_path / "findings.json", tmp_path / "other.json"
    for path in (target, other):
        assert subprocess.run([sys.executable, "-c", KILLED, str(path)]).returncode == -9
    assert len(os.listdir(tmp_path)) == 2
    start = writing._start_of_name(target)
    alive = tmp_path / f"{start}{os.getpid()}-ab.tmp"  # a writer that still runs
    users = [tmp_path / ".synthsift-notes.tmp", tmp_path / f"{start}x-ab.tmp", tmp_path / f"{start}{10**30}-ab.tmp"]
    for file in (alive, *users):
        file.write_text("keep")
    writing.drop_stale(target)
    left = {file.name for file in tmp_path.iterdir()}
    assert {file.name for file in (alive, *users)} < left and len(left) == 5, "the stale one of the other name stays"
    writing.drop_stale(other)
    assert len(os.listdir(tmp_path)) == 4
    writing.drop_stale(tmp_path / "no folder" / "x")  # nothing there, nothing to do


def test_atomic_write_gives_the_usual_rights(tmp_path: Path) -> None:
    writing.write_text(tmp_path / "ours", "x")
    (tmp_path / "usual").write_text("x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_explained_and_damages_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    writing.atomic_write(tmp_path / "a", b"old")

    def full(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"disk is full: a needs 12,345 bytes .* free\. Nothing was damaged.*Free some"):
        writing.atomic_write(tmp_path / "a", bytes(12_345))
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_full_disk_on_a_small_file_system(tmp_path: Path) -> None:
    """A real 64 KiB file system in a private mount namespace, so that nothing stays mounted whatever happens."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    isolate = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = 'mount -t tmpfs -o size=64k tmpfs "$0"'
    if subprocess.run([*isolate, mount, tmp_path], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a file system in a namespace of its own")
    code = """
        import os, sys
        from synthsift import runs, writing
        with runs.RunFolder.open(sys.argv[1] + "/run", {}, "d") as run:
            writing.write_text(run.path / "log.txt", "x" * 9000)
            for size in (90_000, 200_000):
                try:
                    writing.write_text(run.path / "log.txt", "y" * size)
                except writing.RunError as error:
                    print(error)
            print(set((run.path / "log.txt").read_text()), sorted(os.listdir(run.path)))
    """
    script = f'{mount} && "$1" -c "$2" "$0"'
    done = subprocess.run(
        [*isolate, script, tmp_path, sys.executable, textwrap.dedent(code)], capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert "90,000 bytes" in lines[0] and "200,000 bytes" in lines[1]
    assert lines[2] == "{'x'} ['.lock', 'log.txt', 'settings.json']"


def test_parts_of_a_table_are_row_groups_of_one_file(tmp_path: Path) -> None:
    columns = {"id": np.array(["a", "b", "c", "a", "e"]), "weight": np.arange(5) / 3}
    parts = [{name: column[rows] for name, column in columns.items()} for rows in (slice(0, 2), slice(2, 5))]
    writing.write_parquet(tmp_path / "whole", columns)
    writing.write_parquet_parts(tmp_path / "parts", iter(parts))
    whole, found = (pq.read_table(tmp_path / name) for name in ("whole", "parts"))
    assert found.equals(whole) and found.schema.equals(whole.schema)
    assert pq.ParquetFile(tmp_path / "parts").num_row_groups == 2
    writing.write_parquet_parts(tmp_path / "parts", [columns])
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_part_that_cannot_be_made_or_written_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {"weight": np.random.default_rng(0).random(10_000)}
    writing.write_parquet_parts(tmp_path / "a", [columns])
    old = (tmp_path / "a").read_bytes()

    def failing() -> Iterator[dict[str, np.ndarray]]:
        yield columns
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        writing.write_parquet_parts(tmp_path / "a", failing())
    if os.path.exists("/dev/full"):  # a file that takes nothing
        really, start = open, str(tmp_path / writing.TEMPORARY)

        def opened(path: Path | str, *more: str) -> Any:
            return really("/dev/full", "wb") if str(path).startswith(start) else really(path, *more)

        with monkeypatch.context() as patch:
            patch.setattr("builtins.open", opened)
            with pytest.raises(RunError, match="disk is full: a needs more space"):
                writing.write_parquet_parts(tmp_path / "a", [columns])
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == old


def test_a_place_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot be written \(No such file or directory\).*choose another folder"):
        writing.atomic_write(tmp_path / "missing" / "a", b"x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match="Nothing was damaged"):
        writing.atomic_write(tmp_path / "folder", b"x")
    assert os.listdir(tmp_path) == ["folder"]


class Color(Enum):
    red = 1


class Pair(NamedTuple):
    a: int
    b: float


def test_json_holds_no_nan_keeps_order_and_full_precision(tmp_path: Path) -> None:
    value = {
        "z": np.float64(0.1) + 0.2,
        "a": [float("nan"), float("inf"), np.float32(0.5), np.int64(3), np.bool_(True), None],
        "m": np.array([[1.5, np.nan], [2.0, 3.0]]),
        "i": Interval(1.0, 0.0, 2.0),
        "e": Color.red,
        "p": Path("x/y"),
        "t": Pair(1, 2.0),
        "d": np.datetime64("2020-01-02"),
        "s": np.array(["a", "ö"]),
        7: "number as key",
    }
    writing.write_json(tmp_path / "a.json", value)
    back = json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)
    assert list(back) == ["z", "a", "m", "i", "e", "p", "t", "d", "s", "7"]
    assert back["z"] == 0.1 + 0.2
    assert back["a"] == [None, None, 0.5, 3, True, None]
    assert back["m"] == [[1.5, None], [2.0, 3.0]]
    assert back["i"] == {"mean": 1.0, "low": 0.0, "high": 2.0, "level": 0.95}
    assert [back[k] for k in "eptds"] == ["red", "x/y", [1, 2.0], "2020-01-02", ["a", "ö"]]


def test_json_survives_a_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.csv")
    writing.write_json(tmp_path / "a.json", {"file": name})
    assert json.loads((tmp_path / "a.json").read_text())["file"] == name


def test_json_refuses_what_has_no_plain_form(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        writing.write_json(tmp_path / "a.json", {"x": object()})
    assert os.listdir(tmp_path) == []


def test_csv_and_parquet_come_back_equal(tmp_path: Path) -> None:
    import pandas as pd

    rng = Seeds(0).numpy("columns")
    columns = {
        "name": np.array(['a,"b"', "line\nbreak", "ö", ""], dtype=object),
        "value": rng.normal(size=4),
        "count": np.arange(4),
        "keep": np.array([True, False, True, True]),
    }
    writing.write_csv(tmp_path / "t.csv", columns)
    writing.write_parquet(tmp_path / "t.parquet", columns)
    table = pd.read_parquet(tmp_path / "t.parquet")
    assert list(table.columns) == list(columns)
    for name, column in columns.items():
        np.testing.assert_array_equal(table[name].to_numpy(), column)
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == columns["name"].tolist()
    assert [float(row["value"]) for row in rows] == columns["value"].tolist()
    assert [int(row["count"]) for row in rows] == [0, 1, 2, 3]
    assert [row["keep"] for row in rows] == ["True", "False", "True", "True"]


def test_csv_writes_a_missing_number_as_an_empty_field(tmp_path: Path) -> None:
    writing.write_csv(tmp_path / "t.csv", {"a": np.array([1.0, np.nan]), "b": [None, "x"]})
    assert (tmp_path / "t.csv").read_text() == "a,b\n1.0,\n,x\n"
    with pytest.raises(ValueError, match="shorter"):
        writing.write_csv(tmp_path / "t.csv", {"a": [1], "b": []})
