"""The examples of the engine run, and the parallel one gives the numbers of the single one."""

from __future__ import annotations

import importlib.util
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_own_training_loop(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "own_training_loop.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "signal-to-noise" in said and "Effective batch" in said and "test accuracy" in said


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="transformers is not installed")
def test_trainer(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "trainer_reweight.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "signal-to-noise" in said and "Effective batch" in said and "test accuracy" in said


def test_torchrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1e-9: SGD is exact to rounding, and the selector's AdamW divides by the size of its gradient."""
    script, two, one = str(EXAMPLES / "torchrun_reweight.py"), tmp_path / "two.npy", tmp_path / "one.npy"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, "--out", str(two)], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    monkeypatch.setattr("sys.argv", [script, "--out", str(one)])
    runpy.run_path(script, run_name="__main__")
    found, right = np.load(two), np.load(one)
    assert np.abs(found - right).max() <= 1e-9 * right.max() and right.std() > 0.01
