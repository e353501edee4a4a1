"""Two processes that share a batch learn what one process learns from it, to the rounding of float64."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from process_worker import VARIANTS, train

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which two processes left their results."""
    folder = tmp_path_factory.mktemp("processes")
    script = Path(__file__).with_name("process_worker.py")
    started = [
        subprocess.Popen([sys.executable, str(script), str(rank), "2", str(folder)], stderr=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    ends = [(process.communicate(timeout=300)[1], process.returncode) for process in started]  # all, then judge
    assert [code for _, code in ends] == [0, 0], ends
    return folder


@pytest.mark.parametrize("name", VARIANTS)
def test_two_processes_are_one(name: str, pair: Path) -> None:
    """The meta-gradient to 1e-12 relative to its largest entry: sums in another order.

    What six steps of AdamW make of it to 1e-9: they divide by the size of the gradient, entry by entry.
    """
    alone = train(name, 0, 1)
    largest = max((np.abs(v).max() for k, v in alone.items() if k.startswith("meta")), default=0.0)
    assert largest > 0 or name == "l2r"
    for rank in (0, 1):
        with np.load(pair / f"{name} {rank}.npz") as found:
            assert set(found) == set(alone)
            for key, right in alone.items():
                size = np.abs(np.nan_to_num(right)).max() if not key.startswith("meta") else largest
                assert np.array_equal(np.isnan(found[key]), np.isnan(right))  # sizes wanted where no signal shows
                error = np.max(np.abs(np.nan_to_num(found[key] - right))) / max(size, 1e-300)
                assert error <= (1e-12 if key.startswith("meta") else 1e-9), f"{key}: {error}"
