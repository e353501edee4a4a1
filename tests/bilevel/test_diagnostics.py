"""The reported signal-to-noise ratio against brute force, and the concentration numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from synthsift.bilevel.diagnostics import MAX_ROWS, History, gsnr, step_diagnostics
from synthsift.bilevel.metanet import MetaNet
from synthsift.bilevel.objective import effective_size, shares

POOL = 1100


def make_pool(spread: float) -> tuple[MetaNet, Tensor, Tensor]:
    """A fixed meta-network whose log-weights vary with `spread`, features (n, 4), and scores that follow the first."""
    generator = torch.Generator().manual_seed(0)
    network = MetaNet(4, 3, generator)
    features = torch.randn(POOL, 4, generator=generator)
    with torch.no_grad():
        network.last.weight.copy_(spread * torch.randn(1, 3, generator=generator))
        network.last.bias.fill_(-3.0)  # where the sigmoid is an exponential and weights can differ
    return network, features, 0.8 * features[:, 0] + torch.randn(POOL, generator=generator)


def row_gradients(network: MetaNet, features: Tensor) -> np.ndarray:
    """grad log w_i of every row (n, P), by the chain rule."""
    f = features.double().numpy()
    w1, b1, w2, b2, w3, b3 = (p.detach().double().numpy() for p in network.parameters())
    first = np.tanh(f @ w1.T + b1)
    second = np.tanh(first @ w2.T + b2)
    by_last = 1 / (1 + np.exp(second @ w3.T + b3))  # (n, 1), derivative of the log of a sigmoid
    by_second = by_last * w3 * (1 - second**2)
    by_first = by_second @ w2 * (1 - first**2)
    pairs = [(by_first, f), (by_second, first), (by_last, second)]
    blocks = [block for g, x in pairs for block in ((g[:, :, None] * x[:, None, :]).reshape(len(f), -1), g)]
    return np.concatenate(blocks, axis=1)


def brute_force(network: MetaNet, features: Tensor, scores: Tensor, size: int, num: int) -> float:
    """|G|^2 / tr Var of the meta-gradient Cov_p(s, h) over `num` random batches of the pool."""
    h, s = row_gradients(network, features), scores.numpy().astype(np.float64)
    with torch.no_grad():
        w = network(features).exp().numpy().astype(np.float64)
    rng, found = np.random.default_rng(1), []
    for _ in range(num):
        rows = rng.integers(POOL, size=size)
        p = w[rows] / w[rows].sum()
        found.append((p * (s[rows] - p @ s[rows])) @ (h[rows] - p @ h[rows]))
    variance = np.var(found, axis=0, ddof=1).sum()
    return float((np.sum(np.mean(found, axis=0) ** 2) - variance / num) / variance)


def test_the_chain_rule_of_the_twin() -> None:
    network, features, _ = make_pool(1.0)
    for row, found in zip(features[:3], row_gradients(network, features[:3]), strict=True):
        right = torch.autograd.grad(network(row[None])[0], list(network.parameters()))
        assert np.allclose(found, np.concatenate([g.ravel().numpy() for g in right]), atol=1e-6)  # float32 there


@pytest.mark.parametrize(("spread", "size"), [(0.1, 200), (4.0, 400)])
def test_gsnr_is_signal_over_noise_of_the_meta_gradient(spread: float, size: int) -> None:
    """20 %: the formula is the leading term in 1 / B_eff; each side carries about 4 % of noise."""
    network, features, scores = make_pool(spread)
    right = brute_force(network, features, scores, size, 1000)
    rng, reported, effective = np.random.default_rng(2), [], []
    for _ in range(80):
        rows = torch.as_tensor(rng.integers(POOL, size=size))
        reported.append(gsnr(network, features[rows], scores[rows]))
        effective.append(effective_size(shares(network(features[rows]).detach())))
    assert np.mean(effective) > 20
    assert right > 0.5  # there is something to compare
    assert abs(np.mean(reported) / right - 1) < 0.2


def test_gsnr_is_zero_without_signal() -> None:
    network, features, _ = make_pool(1.5)
    assert gsnr(network, features[:300], torch.full((300,), 0.7)) == 0.0
    assert gsnr(network, features[:300], torch.zeros(300)) == 0.0


def test_gsnr_of_pure_noise_is_small() -> None:
    """|g|^2 / noise has mean 1 and a standard deviation of at most sqrt(2): its positive part above 1 is below 0.8."""
    network, features, _ = make_pool(1.5)
    found = []
    for seed in range(40):
        noise = torch.randn(POOL, generator=torch.Generator().manual_seed(seed))
        found.append(gsnr(network, features[:200], noise[:200]))
    assert np.mean(found) < 0.8
    assert np.mean(np.array(found) == 0) > 0.3


def test_large_batches_are_described_by_rows_from_all_over_them() -> None:
    """A batch that holds all rows has the real ones first; they must not stand for the others."""
    network, features, scores = make_pool(1.0)
    order = torch.argsort(scores)  # as different a start as can be
    found = step_diagnostics(network, features[order], scores[order], 0.0)["gsnr"]
    assert POOL > 2 * MAX_ROWS
    assert abs(found / gsnr(network, features, scores) - 1) < 0.4  # both from one batch, one of them from 512 rows


def test_step_diagnostics_by_hand() -> None:
    network, features, scores = make_pool(1.5)
    with torch.no_grad():
        w = network(features[:50]).exp().numpy()
    p = w / w.sum()
    found = step_diagnostics(network, features[:50], scores[:50], 1.25)
    assert found["loss"] == 1.25
    assert found["effective_batch"] == pytest.approx(1 / np.sum(p**2), rel=1e-5)
    assert found["effective_fraction"] == pytest.approx(1 / np.sum(p**2) / 50, rel=1e-5)
    assert found["mean_weight"] == pytest.approx(w.mean(), rel=1e-5)
    assert found["largest_share"] == pytest.approx(p.max(), rel=1e-5)
    assert found["gsnr"] == pytest.approx(gsnr(network, features[:50], scores[:50]))


def test_effective_size() -> None:
    assert effective_size(torch.full((40,), 1 / 40)) == pytest.approx(40, rel=1e-6)
    assert effective_size(torch.tensor([1.0, 0.0, 0.0])) == 1.0
    assert effective_size(torch.tensor([0.5, 0.25, 0.25])) == pytest.approx(1 / (0.25 + 0.0625 + 0.0625))


def test_history_collects_columns() -> None:
    history = History()
    history.append(0, {"loss": 1.0, "gsnr": 2.0})
    history.append(10, {"loss": 0.5, "gsnr": 3.0})
    found = history.arrays()
    assert list(found) == ["step", "loss", "gsnr"]
    assert np.array_equal(found["step"], [0, 10]) and np.array_equal(found["gsnr"], [2, 3])
    assert History().arrays() == {}
