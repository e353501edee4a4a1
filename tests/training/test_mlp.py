"""The small network learns what a linear model cannot, and the same seeds give the same network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from synthsift.numerics.metrics import row_losses
from synthsift.seeds import Seeds
from synthsift.training.learners import Logistic, Rows
from synthsift.training.mlp import MLP, FittedMLP

SMALL = MLP(hidden=16, steps=20, rate=0.03)


def rings(num: int, seed: int) -> Rows:
    """Rows inside a circle against rows outside: no line tells them apart."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1.5, 1.5, (num, 2))
    y = (np.linalg.norm(x, axis=1) > 1).astype(np.int64)
    return Rows(x, y, np.ones(num), np.ones(num, dtype=bool), np.arange(num))


def test_a_ring_is_learned() -> None:
    train, fresh = rings(400, 0), rings(1000, 1)
    network = MLP(hidden=32, steps=100, rate=0.03).fit(train, 2, Seeds(0)).predict_proba(fresh.x)
    linear = Logistic().fit(train, 2, Seeds(0)).predict_proba(fresh.x)
    assert np.mean(network.argmax(axis=1) == fresh.y) > 0.93
    assert np.mean(linear.argmax(axis=1) == fresh.y) < 0.75
    np.testing.assert_allclose(network.sum(axis=1), 1.0, atol=1e-6)


def test_the_same_seeds_give_the_same_network_and_other_seeds_another() -> None:
    train = rings(120, 0)
    first, again, other = (SMALL.fit(train, 2, Seeds(k)).predict_proba(train.x) for k in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_the_global_random_state_plays_no_part() -> None:
    train = rings(11, 0)  # too few to choose the decay by: one training
    first = SMALL.fit(train, 2, Seeds(0)).predict_proba(train.x)
    before = torch.get_rng_state()
    torch.rand(7)
    moved = torch.get_rng_state()
    again = SMALL.fit(train, 2, Seeds(0)).predict_proba(train.x)
    assert np.array_equal(first, again)
    assert torch.equal(torch.get_rng_state(), moved) and not torch.equal(moved, before)


def test_predictions_are_those_of_the_torch_module() -> None:
    x = rings(50, 0).x
    model = SMALL.fit(rings(120, 0), 2, Seeds(0))
    assert isinstance(model, FittedMLP)
    net = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    net.load_state_dict({name: torch.as_tensor(value) for name, value in model.arrays.items()})
    with torch.no_grad():
        want = torch.softmax(net(torch.as_tensor(x, dtype=torch.float32)), dim=1).numpy()
    np.testing.assert_allclose(model.predict_proba(x), want, atol=1e-6)  # float32


def test_rows_are_drawn_in_proportion_to_their_weights() -> None:
    # the same inputs with both labels: what is predicted is the share of the weight
    x, y = np.zeros((200, 2)), np.arange(200) % 2
    weight = np.where(y == 1, 1.8, 0.2)
    rows = Rows(x, y, weight, np.zeros(200, dtype=bool), np.full(200, -1))  # no real row: a fixed decay
    prob = replace(SMALL, steps=200).fit(rows, 2, Seeds(0)).predict_proba(x[:1])[0, 1]
    # about the last 50 batches of 128 draws count: standard error sqrt(.9 * .1 / 6400) = .004, and decay pulls to 1/2
    assert prob == pytest.approx(0.9, abs=0.03)


def test_the_decay_is_chosen_by_rows_whose_relatives_do_not_train() -> None:
    # labels are pure noise; synthetic copies of the real rows let a network without decay look good
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 8)), rng.integers(2, size=60)
    rows = np.tile(np.arange(60), 4)
    is_real = np.arange(240) < 60
    fresh_x, fresh_y = rng.standard_normal((2000, 8)), rng.integers(2, size=2000)
    losses = {}
    for name, family in (("leaky", np.full(240, -1)), ("honest", rows)):
        model = MLP(hidden=32, steps=50, rate=0.02).fit(
            Rows(x[rows], y[rows], np.ones(240), is_real, family), 2, Seeds(0)
        )
        losses[name] = row_losses(model.predict_proba(fresh_x), fresh_y)
    worse = losses["leaky"] - losses["honest"]
    assert worse.mean() > 4 * worse.std() / np.sqrt(2000)
