"""Two processes that share a batch learn what one process learns from it, to the rounding of float64."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from process_worker import VARIANTS, others, own_network, train

from synthsift.bilevel.processes import Processes
from synthsift.records import DataError

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


@pytest.mark.parametrize("rank", [0, 1])
def test_processes_that_were_given_different_things_all_stop(rank: int, pair: Path) -> None:
    said = json.loads((pair / f"said {rank}.json").read_text())
    for name in others(rank):
        assert said[name].startswith("the 2 processes do not have the same ") and name in said[name].split(";")[0]
        assert "same features, trusted rows, seeds and settings" in said[name]


def test_a_network_made_by_each_process_is_that_of_the_first(pair: Path) -> None:
    first, second = (json.loads((pair / f"said {rank}.json").read_text())["weights"] for rank in (0, 1))
    assert first == second and np.std(first) > 0.01
    made = [own_network(rank).hidden.weight for rank in (0, 1)]
    assert not torch.equal(*made), "the negative control: what each made for itself differs"  # type: ignore[arg-type]


class Left(Processes):
    """One of two processes, the other of which does not come."""

    rank, count = 0, 2  # type: ignore[assignment]

    def __init__(self) -> None:
        self.group, self.several = None, True


def test_a_process_that_waits_in_vain_says_what_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is torch's own after a timeout; a process that really ends can take the other one down with it."""

    def wait(*_: object, **__: object) -> None:
        raise RuntimeError("[/a/gloo/unbound_buffer.cc:78] Timed out waiting 20000ms for recv\nmore of a stack")

    monkeypatch.setattr("torch.distributed.all_reduce", wait)
    calls = (
        lambda: Left().sum(torch.zeros(2)),
        lambda: Left().max(torch.zeros(())),
        lambda: Left().differ(torch.ones(1)),
    )
    for call in calls:
        with pytest.raises(DataError) as caught:
            call()
        said = str(caught.value)
        assert said.startswith("process 0 of 2 waited for the others in vain (Timed out waiting 20000ms for recv).")
        assert "called loss() or step() more or less often than the others" in said and "stack" not in said


@pytest.mark.parametrize("alone", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("unsupported data type")])
def test_an_error_of_one_process_is_not_laid_on_the_others(alone: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise alone

    monkeypatch.setattr("torch.distributed.all_reduce", fail)
    with pytest.raises(type(alone)) as caught:
        Left().sum(torch.zeros(2))
    assert caught.value is alone
