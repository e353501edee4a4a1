"""The bench with weak features: what selection gains over equal weights when features say little about quality.

Eight Gaussian classes in 32 dimensions; 80 real rows and 6,000 synthetic ones of which half have almost always a random
label; the selector sees two very noisy views of the quality among 24 columns of noise. Logistic regression, 400 steps.
Every cell is paired by seed with equal weights on the same batches.

    default       the engine as it is: a floor under the effective batch, judging at the best temperature and priors
    KL .3         the pull to equal weights of mts.md, 3.4, with our network, inputs and judging loss
    rectified     the default objective with a network of rectified units, whose last layer does not start at zero
    as specified  what mts.md, 3.4 and 7 have: KL .3, rectified units, inputs as they are, the plain judging loss
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from synthsift.bilevel.controls import EffectiveBatch, Objective, SelfNormalized, ValueRegression
from synthsift.bilevel.reweighter import Reweighter
from synthsift.bilevel.rowlosses import CrossEntropy
from synthsift.bilevel.schedule import Schedule
from synthsift.bilevel.selector import Selector

DIM, CLASSES, NUM_REAL, NUM_VALID, NUM_TEST, NUM_POOL = 32, 8, 80, 400, 4000, 6000
STEPS, BATCH, TRUSTED, RATE = 400, 128, 128, 0.05
CALIBRATED = CrossEntropy()


@dataclass(frozen=True)
class Way:
    """How the selector learns: its objective, its network and inputs, and what judges."""

    objective: Objective
    rectified: bool = False
    standardize: bool = True
    judge: CrossEntropy = CALIBRATED


GOALS = {
    "default": Way(EffectiveBatch()),
    "rectified": Way(EffectiveBatch(), rectified=True),
    "KL .3": Way(SelfNormalized(0.3)),
    "as specified": Way(SelfNormalized(0.3), True, False, CrossEntropy(calibrated=False)),
    "target .5": Way(EffectiveBatch(0.5, least=0.0)),
    "values .5": Way(ValueRegression(0.5)),
    "no control": Way(SelfNormalized(0.0)),
}
SIZES, RATES = (8, 64, 2048), (1e-3, 5e-3)


def world(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    means = rng.normal(0, 0.45, (CLASSES, DIM))

    def part(n: int) -> tuple[np.ndarray, np.ndarray]:
        y = rng.integers(CLASSES, size=n)
        return means[y] + rng.normal(size=(n, DIM)), y

    real, valid, test, pool = (part(n) for n in (NUM_REAL, NUM_VALID, NUM_TEST, NUM_POOL))
    q = np.concatenate([rng.choice([0.98, 0.5, 0.1], p=[0.2, 0.3, 0.5], size=NUM_POOL), np.ones(NUM_REAL)])
    x, y = np.concatenate([pool[0], real[0]]), np.concatenate([pool[1], real[1]])
    y = np.where(rng.random(len(y)) < q, y, rng.integers(CLASSES, size=len(y)))
    z = (q - q.mean()) / q.std()
    is_real = (np.arange(len(y)) >= NUM_POOL).astype(float)
    views = z[:, None] + 2.5 * rng.normal(size=(len(y), 2))
    features = np.concatenate([views, is_real[:, None], rng.normal(size=(len(y), 24)), np.eye(CLASSES)[y]], axis=1)
    tensors = [(torch.tensor(a, dtype=torch.float32), torch.tensor(b)) for a, b in ((x, y), valid, test)]
    return {"train": tensors[0], "valid": tensors[1], "test": tensors[2], "features": features, "q": q}


def accuracy(seed: int, goal: str, size: int, rate: float, data: dict[str, Any]) -> tuple[float, float]:
    """Return test accuracy in percent and the last effective fraction; the goals "equal" and "oracle" learn nothing."""
    x, y = data["train"]
    torch.manual_seed(seed)
    model = nn.Linear(DIM, CLASSES)
    nn.init.zeros_(model.weight), nn.init.zeros_(model.bias)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, weight_decay=5e-4)
    cosine = [half_cosine(optimizer)]
    reweighter = None
    if goal in GOALS:
        way = GOALS[goal]
        network = Rectified(data["features"].shape[1], seed) if way.rectified else None
        scaling = {"standardize": way.standardize}
        selector = Selector(
            data["features"], way.objective, network=network, hidden=16, rate=rate, seeds=seed, **scaling
        )
        cosine.append(half_cosine(selector.optimizer))
        schedule = Schedule(batch="fresh", fresh_rows=size, trusted_rows=TRUSTED, chunk=2048, diagnose=0)
        settings = {"schedule": schedule, "pool": (x, y), "seeds": seed, "loss": way.judge}
        reweighter = Reweighter(model, optimizer, selector, data["valid"], **settings)
    given = torch.tensor(data["q"] > 0.9).float() + 1e-9 if goal == "oracle" else torch.ones(len(y))
    batches = torch.randint(len(y), (STEPS, BATCH), generator=torch.Generator().manual_seed(seed))
    for rows in batches:
        optimizer.zero_grad()
        if reweighter is not None:
            reweighter.loss(rows, (x[rows], y[rows])).backward()
        else:
            w = given[rows]
            (w * nn.functional.cross_entropy(model(x[rows]), y[rows], reduction="none")).sum().div(w.sum()).backward()
        optimizer.step()
        if reweighter is not None:
            reweighter.step()
        for schedule_ in cosine:
            schedule_.step()
    fraction = reweighter.selector.history.columns["effective_fraction"][-1] if reweighter is not None else 1.0
    return hit(model, data["test"]), fraction


class Rectified(nn.Module):
    """Log of a sigmoid on two layers of 16 rectified units, from torch's own initial values."""

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        layers = [nn.Linear(width, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        return nn.functional.logsigmoid(self.layers(features).squeeze(-1))


def half_cosine(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 0.5 * (1 + math.cos(math.pi * k / STEPS)))


def hit(model: nn.Module, rows: tuple[Tensor, Tensor]) -> float:
    with torch.no_grad():
        return 100 * float((model(rows[0]).argmax(dim=1) == rows[1]).float().mean())


def run(
    out: Path,
    seeds: Sequence[int],
    goals: Sequence[str],
    sizes: Sequence[int],
    rates: Sequence[float],
    *,
    again: bool = True,
) -> list[dict[str, Any]]:
    """Run the cells that `out` (JSON lines) does not have yet; return all that were asked for.

    ``again``: also equal weights and the oracle.
    """
    done = {}
    if out.exists():
        for line in out.read_text().splitlines():
            cell = json.loads(line)
            done[cell["seed"], cell["goal"], cell["size"], cell["rate"]] = cell
    cells = []
    out.parent.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        data = None
        wanted: list[tuple[str, int, float]] = [("equal", 0, 0.0), ("oracle", 0, 0.0)] if again else []
        for goal, size, rate in [*wanted, *itertools.product(goals, sizes, rates)]:
            key = (seed, goal, size, rate)
            if key not in done:
                data = data or world(seed)
                found, fraction = accuracy(seed, goal, size, rate, data)
                done[key] = dict(zip(("seed", "goal", "size", "rate"), key, strict=True))
                done[key] |= {"accuracy": found, "effective_fraction": fraction}
                with out.open("a") as file:
                    file.write(json.dumps(done[key]) + "\n")
            cells.append(done[key])
    return cells
