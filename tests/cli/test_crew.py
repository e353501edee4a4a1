"""`run` under torchrun: the files of one process, one message for what is wrong, nothing lost with a process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from cli_data import draw, two_files, write
from cli_runner import synthsift
from test_kill import check_equal

from synthsift import crew
from synthsift.cli.crew import is_called
from synthsift.records import DataError

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "synthsift"]
# A learner that ends its process, as a lack of memory would, at the third of its fits that process 1 is asked for.
LEARNER = """
import os, signal
from sklearn.linear_model import LogisticRegression

class Ends(LogisticRegression):
    fits = 0

    def fit(self, x, y, sample_weight=None):
        Ends.fits += 1
        if os.environ.get("RANK") == "1" and Ends.fits > 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(x, y, sample_weight)
"""


def torchrun(*words: object, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line in two processes; `path` is where modules are found, too."""
    places = os.pathsep.join([*([str(path)] if path else []), *sys.path])
    quiet = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": places}
    command = [*TORCHRUN, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=quiet, timeout=300)


def command(folder: Path, *more: str) -> list[str]:
    """A run without --out."""
    real, made = draw(80, 1, flipped=0.1), draw(120, 2, flipped=0.2)
    test = write(folder / "test.csv", draw(40, 3))
    words = two_files(folder, "--test", test, real=real, synthetic=made, quick=more)
    at = words.index("--out")
    return [*words[:at], *words[at + 2 :]]


@pytest.mark.parametrize(
    ("environment", "called"),
    [
        ({}, False),
        ({"WORLD_SIZE": "1", "RANK": "0", "MASTER_ADDR": "here"}, False),
        ({"WORLD_SIZE": "2", "RANK": "0"}, False),
        ({"WORLD_SIZE": "two", "RANK": "0", "MASTER_ADDR": "here"}, False),
        ({"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "here"}, True),
    ],
)
def test_only_the_environment_of_torchrun_calls_a_crew(environment: dict[str, str], called: bool) -> None:
    assert is_called(environment) is called


def test_processes_that_do_not_come_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in {"RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(crew, "MEETING", timedelta(seconds=1))
    with pytest.raises(DataError, match=r"process 0 of 2, and the processes did not meet .*unset WORLD_SIZE"):
        crew.Crew.join()


@pytest.mark.usefixtures("no_pictures")
def test_two_processes_write_the_files_of_one(tmp_path: Path) -> None:
    words = command(tmp_path, "--seeds", "2", "--policies", "TrustedMargin,TrustedMargin+Real5,LearnedWeights")
    ended = torchrun(*words, "--out", tmp_path / "two")
    assert ended.returncode == 0, ended.stderr
    alone = synthsift(*words, "--out", tmp_path / "one")
    assert alone.code == 0, alone.err
    check_equal(tmp_path / "two", tmp_path / "one")
    assert ended.stdout.replace(str(tmp_path / "two"), "") == alone.out.replace(str(tmp_path / "one"), "")
    assert ended.stderr.count("Reading the data") == ended.stderr.count("Fitting the final models") == 1


def test_bad_input_is_told_once_with_its_code(tmp_path: Path) -> None:
    words = [*command(tmp_path), "--out", str(tmp_path / "run"), "--valid", str(tmp_path / "absent.csv")]
    ended = torchrun(*words)
    assert ended.stderr.count("synthsift: ") == ended.stderr.count("absent.csv does not exist") == 1
    assert "exitcode  : 2" in ended.stderr and "exitcode  : 4" not in ended.stderr
    assert ended.returncode == 1, "torchrun's own, whatever the reason"
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("no_pictures")
def test_a_lost_process_ends_the_run_and_one_process_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ending_learner.py").write_text(LEARNER)
    monkeypatch.syspath_prepend(tmp_path)
    words = command(tmp_path, "--seeds", "1", "--policies", "TrustedMargin", "--learner", "ending_learner:Ends")
    run = tmp_path / "run"
    ended = torchrun(*words, "--out", run, path=tmp_path)
    assert ended.returncode == 1 and "SIGKILL" in ended.stderr
    assert ended.stderr.count("Finished cells are kept: the same command goes on from there") == 1
    assert ended.stderr.count("synthsift: ") == 1  # whether 3 or a signal stands in torchrun's table, it decides
    cells = list(run.glob("cells/*.safetensors"))
    assert 3 <= len(cells) < 15
    for out in (run, tmp_path / "undisturbed"):
        alone = synthsift(*words, "--out", out)
        assert alone.code == 0, alone.err
    check_equal(run, tmp_path / "undisturbed")
