"""Two commands on one state, killed commands and places that cannot be written: nobody's generation is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_runner import snapshot, synthsift
from drift_files import write_arrays

from synthsift.cli import drift as verb
from synthsift.cli.drift_turns import check_writable, own_turn
from synthsift.drift.state import unpack_state
from synthsift.records import DataError


@pytest.fixture
def stream(tmp_path: Path) -> tuple[Path, list[Path]]:
    """A state with two generations, and the files of a third and a fourth."""
    real, *files = write_arrays(tmp_path, (0.0, 0.1, 0.1, 0.1))
    state = tmp_path / "s"
    synthsift("drift", "--real", real, *files[:2], "--fresh-fraction", 0.3, "--state", state)
    return state, files[2:]


def test_who_comes_second_is_told_and_writes_nothing(
    stream: tuple[Path, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, files = stream
    look_ahead = verb._look_ahead

    def overtaken(*arguments: object) -> object:
        """While this command measures, another adds its generation."""
        monkeypatch.setattr(verb, "_look_ahead", look_ahead)
        assert synthsift("drift", "--state", state, files[0]).code in (0, 1)
        return look_ahead(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(verb, "_look_ahead", overtaken)
    second = synthsift("drift", "--state", state, files[1], "--out", state.parent / "run")
    assert second.code == 2 and "changed by another command" in second.err and "run this command again" in second.err
    assert not (state.parent / "run").exists()
    assert synthsift("drift", "--state", state, files[1], "--out", state.parent / "run").code in (0, 1)
    assert [seen.name for seen in unpack_state(state.read_bytes(), "s").seen] == ["gen0", "gen1", "gen2", "gen3"]


def test_a_new_stream_does_not_take_the_place_of_one_begun_meanwhile(tmp_path: Path) -> None:
    state = tmp_path / "s"
    with own_turn(state, None, may_replace=False):
        pass
    state.write_bytes(b"another")
    with pytest.raises(DataError, match="made by another command"), own_turn(state, None, may_replace=False):
        pass
    with own_turn(state, None, may_replace=True), own_turn(None, None, may_replace=False):
        assert state.read_bytes() == b"another"
    with pytest.raises(DataError, match="changed by another"), own_turn(tmp_path / "gone", b"x", may_replace=False):
        pass


def test_a_state_behind_a_link_stays_behind_it(stream: tuple[Path, list[Path]]) -> None:
    state, files = stream
    link = state.parent / "link"
    link.symlink_to(state)
    synthsift("drift", "--state", link, files[0])
    assert link.is_symlink() and len(unpack_state(state.read_bytes(), "s").seen) == 3


def test_places_that_cannot_be_written_are_told_first(
    stream: tuple[Path, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, files = stream
    with pytest.raises(DataError, match="is a folder"):
        check_writable(state.parent)
    before = snapshot(state.parent)
    monkeypatch.setattr(os, "access", lambda place, mode: not mode & os.W_OK)
    ended = synthsift("drift", "--state", state, files[0])
    assert ended.code == 2 and "may not be written into" in ended.err and "Measuring" not in ended.err
    assert snapshot(state.parent) == before


def test_what_a_killed_command_leaves_is_passed_over(stream: tuple[Path, list[Path]]) -> None:
    state, files = stream
    out = state.parent / "run"
    out.mkdir()
    (out / ".synthsift-1-ab.tmp").write_text("half")
    (state.parent / ".synthsift-1-cd.tmp").write_text("half")
    assert synthsift("drift", "--state", state, files[0], "--out", out).code in (0, 1)
    assert (out / "report.html").exists()


def test_kill_while_the_state_is_written(stream: tuple[Path, list[Path]]) -> None:
    """The flush to the disk, the last step before the rename, is made to wait, and the process is killed there."""
    state, files = stream
    before, mark = state.read_bytes(), state.parent / "flushing"
    script = (
        "import os, sys, time, pathlib\n"
        "from synthsift import writing\n"
        f"def wait(d): pathlib.Path({str(mark)!r}).touch(); time.sleep(60)\n"
        "writing.os.fsync = wait\n"
        f"writing.atomic_write({str(state)!r}, b'new')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 60
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert mark.exists() and state.read_bytes() == before
    assert synthsift("drift", "--state", state, files[0]).code in (0, 1)


def test_a_truncated_or_empty_state_is_called_one(stream: tuple[Path, list[Path]]) -> None:
    state, files = stream
    whole = state.read_bytes()
    for size in (0, 7, 3000, len(whole) - 1):
        state.write_bytes(whole[:size])
        ended = synthsift("drift", "--state", state, files[0])
        assert ended.code == 2 and "no safetensors file, or a damaged one" in ended.err, (size, ended.err)
