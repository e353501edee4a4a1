"""A training that is saved and goes on repeats the uninterrupted one bit for bit; damaged files are told apart."""

from __future__ import annotations

import copy
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from synthsift.bilevel.backends import JVP
from synthsift.bilevel.checkpoint import load, random_state, save, set_random_state
from synthsift.bilevel.controls import EffectiveBatch, ValueRegression
from synthsift.bilevel.ghost import Ghost
from synthsift.bilevel.reweighter import Reweighter
from synthsift.bilevel.sampler import WeightedDistributedSampler
from synthsift.bilevel.schedule import Schedule
from synthsift.bilevel.selector import Selector
from synthsift.records import DataError

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


def each(**settings: Any) -> Schedule:
    """A schedule whose selector steps with every step of the learner, however small the batch."""
    return Schedule(**{"least_rows": 1, **settings})


X = torch.randn(90, 5, generator=torch.Generator().manual_seed(1))
Y = torch.arange(90) % 3
F = np.random.default_rng(0).normal(size=(90, 3))
CASES: dict[str, dict[str, Any]] = {
    "waiting": {"schedule": Schedule(least_rows=12)},
    "plain": {},
    "replay and held": {"schedule": each(replay=3, held=0.3, check=2, patience=3, trusted_rows=10, diagnose=2)},
    "fresh": {"schedule": each(batch="fresh", fresh_rows=40, chunk=16, every=2, warmup=2), "scores": JVP},
    "stale": {"scores": lambda: Ghost(stale=True)},
    "values": {"objective": ValueRegression()},
}


class Training:
    """Model with dropout, batch norm, AdamW with a schedule, sampler, reweighter."""

    def __init__(self, case: str) -> None:
        settings = dict(CASES[case])
        torch.manual_seed(0)
        norm = nn.LayerNorm(8) if case == "stale" else nn.BatchNorm1d(8)
        self.model = nn.Sequential(nn.Linear(5, 8), norm, nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 3))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-2)
        self.rate = torch.optim.lr_scheduler.StepLR(self.optimizer, 3, 0.5)
        self.sampler = WeightedDistributedSampler(np.ones(90), rank=0, count=1, num_rows=60)
        if "scores" in settings:
            settings["scores"] = settings["scores"]()
        settings.setdefault("schedule", each())
        self.reweighter = Reweighter(self.model, self.optimizer, F, (X[:40], Y[:40]), pool=(X, Y), **settings)

    def run(self, steps: int) -> None:
        reading = iter(self.sampler)
        for _ in range(steps):
            rows = torch.tensor([next(reading) for _ in range(5)])
            self.optimizer.zero_grad()
            self.reweighter.loss(rows, (X[rows], Y[rows])).backward()
            self.optimizer.step()
            self.reweighter.step()
            self.rate.step()

    def parts(self) -> dict[str, Any]:
        names = ("model", "optimizer", "rate", "sampler", "reweighter")
        return {name: getattr(self, name) for name in names}


@pytest.mark.parametrize("case", CASES)
def test_resuming_is_bit_for_bit(case: str, tmp_path: Path) -> None:
    whole = Training(case)
    whole.run(11)
    first = Training(case)
    first.run(5)
    save(tmp_path / "state", **first.parts(), random=random_state())
    torch.manual_seed(99)
    second = Training(case)
    state = load(tmp_path / "state", **second.parts())
    set_random_state(state["random"])
    second.run(6)
    for a, b in zip(whole.model.state_dict().values(), second.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert np.array_equal(whole.reweighter.weights(), second.reweighter.weights())
    a, b = (json.dumps(t.reweighter.selector.history.columns) for t in (whole, second))
    assert a == b and whole.reweighter.summary() == second.reweighter.summary()
    assert whole.reweighter.keeper.best == second.reweighter.keeper.best


def test_everything_a_state_may_hold(tmp_path: Path) -> None:
    tied = torch.randn(4)
    state = {
        "numbers": [1, -2.5, float("inf"), 0.1 + 0.2, True, None, "text"],
        "pair": (tied, tied),
        "low": torch.randn(3).bfloat16(),
        "strided": torch.arange(6).reshape(2, 3).T,
        "empty": torch.zeros(0, 2),
        "array": np.arange(3, dtype=np.int64),
        "by number": OrderedDict({0: "a", 7: {"deep": []}}),
    }
    save(tmp_path / "s", state=state)
    found = load(tmp_path / "s")["state"]
    assert found["numbers"] == state["numbers"] and found["by number"] == {0: "a", 7: {"deep": []}}
    assert torch.equal(found["pair"][0], tied) and isinstance(found["pair"], tuple)
    assert torch.equal(found["low"], state["low"]) and torch.equal(found["strided"], state["strided"])  # type: ignore[arg-type]
    assert found["empty"].shape == (0, 2) and np.array_equal(found["array"], np.arange(3))
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_what_has_no_place_in_a_state(tmp_path: Path) -> None:
    for part, message in (
        (object(), "part is a object"),
        ({(1, 2): 3}, "tuple for a key"),
        ([lambda: 0], r"part\.0 is a function"),
    ):
        with pytest.raises(DataError, match=message):
            save(tmp_path / "s", part=part)
    with pytest.raises(DataError, match="cannot be written"):
        save(tmp_path / "absent" / "s", part=1)
    assert not list(tmp_path.iterdir())


def test_files_that_are_none(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save(tmp_path / "whole", part={"a": torch.randn(50)})
    data = (tmp_path / "whole").read_bytes()
    (tmp_path / "cut").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 4)
    save_file({"a": torch.zeros(2)}, tmp_path / "foreign")
    (tmp_path / "old").write_bytes(data.replace(b'\\"schema\\": 1', b'\\"schema\\": 9'))
    for name in ("cut", "empty", "noise", "absent", "foreign", "old"):
        with pytest.raises(DataError, match="saved training"):
            load(tmp_path / name)
    with pytest.raises(DataError, match="holds part and not model"):
        load(tmp_path / "whole", model=nn.Linear(1, 1))


class Other(Training):
    """A training in which one thing is another one."""

    def __init__(self, rows: int = 90, columns: int = 3, width: int = 8, sgd: bool = False, **settings: Any) -> None:
        super().__init__("plain")
        if width != 8:
            self.model = nn.Sequential(nn.Linear(5, width), nn.Linear(width, 3))
            self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-2)
        if sgd:
            self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-2)  # type: ignore[assignment]
        f = np.random.default_rng(0).normal(size=(rows, columns))
        features = Selector(f, hidden=9) if settings.pop("wide", False) else f
        settings = {"schedule": each(), **settings}
        self.reweighter = Reweighter(self.model, self.optimizer, features, (X[:40], Y[:40]), **settings)


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "rows": ({"rows": 50}, "rows: 90 instead of 50"),
    "columns": ({"columns": 2}, "columns of features: 3 instead of 2"),
    "objective": ({"objective": ValueRegression()}, r"objective: EffectiveBatch\(.* instead of ValueRegression\("),
    "its setting": ({"objective": EffectiveBatch(0.25)}, r"fraction=0.5.* instead of EffectiveBatch\(fraction=0.25"),
    "backend": ({"scores": JVP()}, r"scores: Ghost\(stale=False\) instead of JVP\(\)"),
    "schedule": ({"schedule": each(replay=2)}, "schedule: .*replay=0.* instead of .*replay=2"),
    "network": ({"wide": True}, "selector's network: 6 tensors of"),
    "learner": ({"width": 7}, "learner: 6 tensors of .* instead of 4 tensors"),
    "optimizer": ({"sgd": True}, "learner's optimizer: AdamW instead of SGD"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_state_of_another_training_is_refused_and_changes_nothing(name: str) -> None:
    first = Training("plain")
    first.run(3)
    settings, message = OTHERS[name]
    other = Other(**settings)
    before = copy.deepcopy(other.reweighter.selector.network.state_dict())
    with pytest.raises(DataError, match=f"another training .*{message}"):
        other.reweighter.load_state_dict(first.reweighter.state_dict())
    after = other.reweighter.selector.network.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before) and other.reweighter.time == 0
    Other().reweighter.load_state_dict(first.reweighter.state_dict())  # the same one is taken


def test_parts_that_do_not_fit_are_named_with_the_file(tmp_path: Path) -> None:
    first = Training("plain")
    save(tmp_path / "s", **first.parts(), bare={"a": 1})
    with pytest.raises(DataError, match=r"s holds a model that does not fit the one given \(.*size mismatch"):
        load(tmp_path / "s", model=nn.Sequential(nn.Linear(5, 9)))
    with pytest.raises(DataError, match="s: the state belongs to another training"):
        load(tmp_path / "s", reweighter=Other(rows=50).reweighter)
    apart = Other(rows=50)  # its model and optimizer would take their parts
    before = [p.detach().clone() for p in apart.model.parameters()]
    with pytest.raises(DataError, match="another training"):
        load(tmp_path / "s", **apart.parts())
    now = list(apart.model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, now, strict=True)) and not apart.optimizer.state
    for state in ({"a": 1}, [1], None):
        with pytest.raises(DataError, match="no state of a Reweighter of this version"):
            first.reweighter.load_state_dict(state)  # type: ignore[arg-type]
