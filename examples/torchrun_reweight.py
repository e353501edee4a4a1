"""Learned weights under several processes: the same numbers as with one process and the same global batch.

python examples/torchrun_reweight.py --out one.npy
torchrun --nproc-per-node 2 examples/torchrun_reweight.py --out two.npy
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from synthsift import Reweighter, Schedule, WeightedDistributedSampler

ROWS, BATCH = 1200, 200  # the batch of all processes together


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("weights.npy"))
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count > 1:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    torch.set_num_threads(1)

    rng = np.random.default_rng(0)  # the same rows on every process
    y = rng.integers(2, size=ROWS + 100)
    x = torch.tensor(rng.normal(size=(ROWS + 100, 8)) + 0.7 * (2 * y - 1)[:, None])
    bad = rng.random(ROWS) < 0.4
    labels = torch.tensor(np.where(np.append(bad, np.zeros(100, dtype=bool)), 1 - y, y))
    features = np.stack([bad + 0.5 * rng.normal(size=ROWS), rng.normal(size=ROWS)], axis=1)

    torch.manual_seed(0)
    model: nn.Module = nn.Linear(8, 2).double()
    learner = nn.parallel.DistributedDataParallel(model) if count > 1 else model
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.1, momentum=0.9)
    trusted = (x[ROWS:], labels[ROWS:])
    reweighter = Reweighter(learner, optimizer, features, trusted, schedule=Schedule(least_rows=BATCH))
    sampler = WeightedDistributedSampler(np.ones(ROWS), replacement=False)  # every row once an epoch, shared out
    data = TensorDataset(torch.arange(ROWS), x[:ROWS], labels[:ROWS])
    for epoch in range(arguments.epochs):
        sampler.set_epoch(epoch)
        for rows, *batch in DataLoader(data, batch_size=BATCH // count, sampler=sampler):
            optimizer.zero_grad()
            reweighter.loss(rows, tuple(batch)).backward()
            optimizer.step()
            reweighter.step()
    weights = reweighter.weights()
    if not dist.is_initialized() or dist.get_rank() == 0:
        np.save(arguments.out, weights)
        good, wrong = weights[~bad].mean(), weights[bad].mean()
        print(f"{count} processes: mean weight of good rows {good:.3f}, of bad ones {wrong:.3f}", flush=True)
    if count > 1:
        dist.destroy_process_group()
        os._exit(0)  # threads of gloo, which DistributedDataParallel keeps, may abort an interpreter that cleans up


if __name__ == "__main__":
    main()
