"""One of several processes of a training, as a script and as a function: the same global batches for any number.

python process_worker.py RANK COUNT FOLDER
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from synthsift.bilevel.backends import JVP
from synthsift.bilevel.controls import LearnToReweight, SelfNormalized, Unnormalized, ValueRegression
from synthsift.bilevel.reweighter import Reweighter
from synthsift.bilevel.sampler import WeightedDistributedSampler
from synthsift.bilevel.schedule import RowSource, Schedule
from synthsift.bilevel.selector import Selector
from synthsift.records import DataError


def each(**settings: Any) -> Schedule:
    """A schedule whose selector steps with every step of the learner, however small the batch."""
    return Schedule(**{"least_rows": 1, **settings})


ROWS, BATCH, STEPS = 120, 25, 6  # 25 rows for two processes: 13 and 12
NORMAL = np.random.default_rng(0)
X = torch.tensor(NORMAL.normal(size=(ROWS, 5)))
Y = torch.tensor(NORMAL.integers(3, size=ROWS))
F = NORMAL.normal(size=(ROWS, 3))
TRUSTED = (torch.tensor(NORMAL.normal(size=(30, 5))), torch.tensor(NORMAL.integers(3, size=30)))
VARIANTS: dict[str, dict[str, Any]] = {
    "target": {"schedule": each(diagnose=2)},
    "kl, adamw": {"objective": SelfNormalized(0.3), "adamw": True},
    "fresh": {"schedule": each(batch="fresh", fresh_rows=41, chunk=8), "scores": JVP, "pool": (X, Y)},
    "replay": {"schedule": each(replay=2, warmup=1, held=0.2, check=2)},
    "waiting": {"schedule": Schedule(least_rows=45)},
    "values": {"objective": ValueRegression(0.6)},
    "unnormalized": {"objective": Unnormalized()},
    "l2r": {"objective": LearnToReweight()},
}


def train(name: str, rank: int, count: int) -> dict[str, np.ndarray]:
    """Return weights, learner and history of a variant."""
    settings = dict(VARIANTS[name])
    torch.manual_seed(0)
    model: nn.Module = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double()
    learner = nn.parallel.DistributedDataParallel(model) if count > 1 else model
    kind = torch.optim.AdamW if settings.pop("adamw", False) else torch.optim.SGD
    optimizer = kind(learner.parameters(), lr=0.05)
    if "scores" in settings:
        settings["scores"] = settings["scores"]()
    settings.setdefault("schedule", each())
    reweighter = Reweighter(learner, optimizer, F, TRUSTED, **settings)
    sampler = WeightedDistributedSampler(np.ones(ROWS), num_rows=BATCH * STEPS, rank=0, count=1)
    first: list[np.ndarray] = []
    for batch in torch.tensor(sampler.global_order()).split(BATCH):
        rows = batch[rank::count]
        optimizer.zero_grad()
        reweighter.loss(rows, (X[rows], Y[rows])).backward()
        optimizer.step()
        reweighter.step()
        if reweighter.selector.updates == 1 and not first:
            first = [p.grad.numpy().copy() for p in reweighter.selector.network.parameters()]  # type: ignore[union-attr]
    found = {f"learner {k}": v.numpy() for k, v in model.state_dict().items()}
    found |= {f"meta-gradient {k}": v for k, v in enumerate(first)}
    if name == "l2r":
        return found
    columns = reweighter.selector.history.columns
    return found | {"weights": reweighter.weights()} | {k: np.array(v) for k, v in columns.items()}


def own_network(rank: int) -> nn.Module:
    """A selector's network whose first values depend on the process, as under a seed for its own augmentation."""

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.out = nn.Linear(3, 4), nn.Linear(4, 1)

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return self.out(torch.tanh(self.hidden(features)))[:, 0]

    torch.manual_seed(100 + rank)
    return Own().double()


def give(rank: int, **settings: Any) -> Reweighter:
    """A reweighter, of a learner that is the same everywhere."""
    torch.manual_seed(0)
    learner = nn.parallel.DistributedDataParallel(nn.Linear(5, 3).double())
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.05)
    features, trusted = settings.pop("features", F), settings.pop("trusted", TRUSTED)
    return Reweighter(learner, optimizer, features, trusted, **{"schedule": each(), **settings})


def others(rank: int) -> dict[str, dict[str, Any]]:
    """What differs by process, by what the message has to name."""
    one = rank == 1
    return {
        "values of features": {"features": F[:, ::-1].copy() if one else F},
        "rows": {"features": F[: 100 if one else ROWS]},
        "content of trusted rows": {"trusted": (TRUSTED[0] + one, TRUSTED[1])},
        "seeds": {"seeds": 5 * one},
        "schedule": {"schedule": each(trusted_rows=20 + one)},
        "objective": {"objective": SelfNormalized(0.3 + one)},
        "scores": {"scores": JVP() if one else None},
    }


def meet(rank: int) -> dict[str, Any]:
    """What is said where processes were given different things, and the weights that an own network starts with."""
    said: dict[str, Any] = {}
    for name, settings in others(rank).items():
        try:
            give(rank, **settings)
            said[name] = "nothing"
        except DataError as error:
            said[name] = str(error)
    jitter = torch.Generator().manual_seed(rank)  # trusted pictures that are cut at random
    source = RowSource(30, lambda k: (TRUSTED[0][k] + 1e-3 * torch.rand(len(k), 5, generator=jitter), TRUSTED[1][k]))
    give(rank, trusted=source)
    shared = give(rank, features=Selector(F, network=own_network(rank), dtype=torch.float64))
    said["weights"] = shared.weights().tolist()
    return said


def main(rank: int, count: int, folder: Path) -> None:
    """Run every variant and leave what it found in `folder`."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=count)
    for name in VARIANTS:
        np.savez(folder / f"{name} {rank}.npz", **train(name, rank, count))  # type: ignore[arg-type]
    (folder / f"said {rank}.json").write_text(json.dumps(meet(rank)))
    dist.destroy_process_group()
    # DistributedDataParallel of torch 2.13 keeps the group, and with it gloo's threads. One that drops a tensor while
    # the interpreter ends aborts the process, seldom and where they are slow. All results are on disk.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
