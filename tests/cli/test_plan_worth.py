"""Worth in real rows, by the accuracy of the gain, against the theory and against trained models."""

from __future__ import annotations

import numpy as np
import pytest

from synthsift.cli.plan_mixing import MixingAsk, plan_mixing
from synthsift.cli.plan_worlds import FOLDS, NumberWorld, RowWorld
from synthsift.cli.plan_worth import row_worth
from synthsift.seeds import Seeds
from synthsift.theory.mixing import predict_accuracy
from synthsift.theory.mixing_conditional import stratified_folds
from synthsift.theory.mixing_simulation import ridge_weights

SEEDS = Seeds(4)


def rows(n: int, seed: int, wrong: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.choice([-1.0, 1.0], n)
    x = rng.standard_normal((n, 12)) + 0.3 * y[:, None]
    return x, np.where(rng.random(n) < wrong, -y, y)


@pytest.mark.parametrize(("noise", "towards"), [(0.0, "up"), (0.45, "down")])
def test_so_many_real_rows_alone_are_as_accurate_as_the_mixture(noise: float, towards: str) -> None:
    world = NumberWorld(200.0, 100, {"generator_size": 1000}, 1.2, 10.0)
    plan = plan_mixing(world, MixingAsk(label_noise=noise, num_synth=400.0), SEEDS)
    worth = row_worth(world, plan, towards)
    assert worth is not None and (worth["equal_rows"] > 200) == (towards == "up")
    mixed = float(predict_accuracy(200, 400, 100, 1.2, 10.0, label_noise=noise, generator_size=1000).mean)
    alone = float(predict_accuracy(worth["equal_rows"], 0, 100, 1.2, 10.0).mean)
    assert alone == pytest.approx(mixed, abs=3e-4)
    assert worth["low"] == worth["equal_rows"] == worth["high"]  # nothing is uncertain


def test_no_worth_without_a_direction_and_none_beyond_the_real_rows_at_hand() -> None:
    (x, y), (z, t) = rows(120, 0), rows(300, 1)
    world = RowWorld(x, y, z, t, 0.3, SEEDS, 30)
    plan = plan_mixing(world, MixingAsk(knows_noise=False, num_synth=300.0, num_sizes=8, num_draws=30), SEEDS)
    assert row_worth(world, plan, "open") is None and row_worth(world, plan, "up") is None


def test_rows_that_hurt_leave_a_part_of_the_real_rows() -> None:
    (x, y), (z, t) = rows(300, 2), rows(2000, 3, wrong=0.5)
    world = RowWorld(x, y, z, t, 0.3, SEEDS, 30)
    plan = plan_mixing(world, MixingAsk(knows_noise=False, num_synth=2000.0, num_sizes=8, num_draws=30), SEEDS)
    worth = row_worth(world, plan, "down")
    assert worth is not None and worth["num_real"] == 300
    assert worth["low"] is None or worth["low"] <= worth["equal_rows"] <= worth["high"] <= 300
    part, far = int(worth["equal_rows"]), rows(20000, 9)
    right = []
    for seed in range(30):  # a large test set and other subsets say the same
        some = np.random.default_rng(seed).permutation(300)[:part]
        w = ridge_weights(x[some], y[some], np.ones(part), 0.3 * part)
        right.append(float((far[1] * (far[0] @ w) > 0).mean()))
    mixed = plan["real_only"] + plan["at_hand"]["value"]
    assert np.mean(right) == pytest.approx(mixed, abs=0.05)


def test_trained_gain_is_that_of_plain_fits() -> None:
    (x, y), (z, t) = rows(90, 5), rows(200, 6, wrong=0.2)
    world = RowWorld(x, y, z, t, 0.3, SEEDS, 25)
    alone, mixed = world.trained(0.5, 0.3, 0.7)
    place, right = stratified_folds(y, FOLDS, SEEDS), np.zeros((2, 90))
    for fold in range(FOLDS):
        train = place != fold
        size = int(train.sum())
        both, labels = np.vstack([x[train], z]), np.concatenate([y[train], t])
        weights = np.concatenate([np.ones(size), np.full(200, 0.5)])
        for k, w in enumerate(
            (
                ridge_weights(x[train], y[train], np.ones(size), 0.3 * size),
                ridge_weights(both, labels, weights, 0.7 * (size + 200)),
            )
        ):
            right[k, ~train] = y[~train] * (x[~train] @ w) > 0
    counts = world.counts
    np.testing.assert_allclose(alone, right[0] @ counts / counts.sum(axis=0), atol=1e-12)
    np.testing.assert_allclose(mixed, right[1] @ counts / counts.sum(axis=0), atol=1e-12)
