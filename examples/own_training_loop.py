"""Learned weights in an own PyTorch loop: the five lines marked <- are all that is added.

Synthetic rows of which 40 % have a wrong label, 200 trusted rows, and two columns that say a little about each row.

    python examples/own_training_loop.py
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from synthsift import Reweighter, Schedule

rng = np.random.default_rng(0)
means = rng.normal(0, 0.8, (3, 10))


def draw(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    y = rng.integers(3, size=n)
    return torch.tensor(means[y] + rng.normal(size=(n, 10)), dtype=torch.float32), torch.tensor(y)


def main() -> None:
    x, y = draw(2000)
    bad = rng.random(2000) < 0.4
    y = torch.where(torch.tensor(bad), torch.tensor(rng.integers(3, size=2000)), y)
    features = np.stack([bad + rng.normal(size=2000), rng.normal(size=2000)], axis=1)  # what is known about a row
    trusted, test = draw(200), draw(2000)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    reweighter = Reweighter(
        model, optimizer, features, trusted, schedule=Schedule(trusted_rows=200, least_rows=256)
    )  # <-
    for _ in range(300):
        rows = torch.randperm(2000)[:256]
        optimizer.zero_grad()
        reweighter.loss(rows, (x[rows], y[rows])).backward()  # <- instead of cross_entropy(...).mean().backward()
        optimizer.step()
        reweighter.step()  # <-
    weights = reweighter.weights()  # <- one a row, mean 1
    print("\n".join(reweighter.summary()))  # <-

    hit = float((model(test[0]).argmax(dim=1) == test[1]).float().mean())
    good, wrong = weights[~bad].mean(), weights[bad].mean()
    print(f"test accuracy {hit:.1%}; mean weight of good rows {good:.2f}, of bad ones {wrong:.2f}")
    assert good > wrong


if __name__ == "__main__":
    main()
