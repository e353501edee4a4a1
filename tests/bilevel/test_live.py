"""Both noises of the meta-gradient against brute force over batches of rows and of trusted rows, and the words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from synthsift.bilevel.controls import SelfNormalized, ValueRegression
from synthsift.bilevel.live import drawn_rows, measure, row_gradients
from synthsift.bilevel.noise import Noise
from synthsift.bilevel.selector import Selector

POOL, JUDGES, N, M = 900, 400, 240, 20


def make(spread: float, kind: type = SelfNormalized) -> tuple[Selector, Tensor]:
    """A selector whose log-weights vary by `spread`, and scores (POOL, JUDGES) of each row by each trusted row."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(POOL, 4, generator=generator, dtype=torch.float64)
    selector = Selector(features, kind(), hidden=3, dtype=torch.float64)
    with torch.no_grad():
        selector.network.last.weight.copy_(spread * torch.randn(1, 3, generator=generator))
        selector.network.last.bias.fill_(-3.0)
    quality = 0.8 * features[:, 0] + torch.randn(POOL, generator=generator, dtype=torch.float64)
    ways = torch.randn(POOL, 5, generator=generator, dtype=torch.float64)
    tastes = torch.randn(5, JUDGES, generator=generator, dtype=torch.float64)
    return selector, quality[:, None] + 1.5 * ways @ tastes


def brute_force(selector: Selector, scores: Tensor, num: int) -> float:
    """|G|^2 / tr Var of Cov_p(s, h) over fresh rows and fresh trusted rows."""
    h, s = row_gradients(selector.network, selector.features).numpy(), scores.numpy()
    w = np.exp(selector.outputs(torch.arange(POOL)).numpy())
    rng, found = np.random.default_rng(1), []
    for _ in range(num):
        rows, judges = rng.integers(POOL, size=N), rng.integers(JUDGES, size=M)
        p = w[rows] / w[rows].sum()
        t = s[np.ix_(rows, judges)].mean(axis=1)
        found.append((p * (t - p @ t)) @ (h[rows] - p @ h[rows]))
    variance = np.var(found, axis=0, ddof=1).sum()
    return float((np.sum(np.mean(found, axis=0) ** 2) - variance / num) / variance)


@pytest.mark.parametrize("spread", [0.1, 3.0])
def test_gsnr_with_both_noises(spread: float) -> None:
    """20 %: leading term in 1 / B_eff, which stays above 20; means of 300 measurements carry about 5 % of noise."""
    selector, scores = make(spread)
    right, rng, seen = brute_force(selector, scores, 1500), np.random.default_rng(2), []
    for _ in range(300):
        rows, judges = torch.as_tensor(rng.integers(POOL, size=N)), torch.as_tensor(rng.integers(JUDGES, size=M))
        halves = [scores[rows][:, part].mean(dim=1) for part in judges.chunk(2)]
        seen.append(measure(selector, rows, (halves[0], halves[1]), M))
    signal, rows_noise, trusted_noise = (
        np.mean([getattr(noise, name) for noise in seen]) for name in ("signal", "rows", "trusted")
    )
    assert right > 0.5 and min(1 / noise.largest_share for noise in seen) > 20
    assert abs(signal / (rows_noise / N + trusted_noise / M) / right - 1) < 0.2


def test_without_trusted_noise_it_is_the_ratio_of_the_rows() -> None:
    selector, scores = make(2.0)
    rows, s = torch.arange(N), scores.mean(dim=1)[:N]
    noise = measure(selector, rows, (s, s), M)
    h, p = row_gradients(selector.network, selector.features[rows]), torch.softmax(selector.outputs(rows), dim=0)
    centered = (s - p @ s)[:, None] * (h - p @ h)
    psi = N * p[:, None] * (centered - p @ centered)
    right = float((p @ centered).norm() ** 2 / ((psi**2).sum(dim=1).mean() / N)) - 1  # |G|^2 has its noise in it
    assert noise.trusted == 0
    assert (noise.gsnr, noise.gsnr_rows) == (pytest.approx(right, rel=1e-9), pytest.approx(right, rel=1e-9))


def test_pure_noise_is_no_signal() -> None:
    selector, _ = make(1.0)
    found = []
    for seed in range(60):
        s = torch.randn(2, N, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        found.append(measure(selector, torch.arange(N), (s[0], s[1]), M).signal)
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(60)  # unbiased


def test_values_count_every_row_the_same() -> None:
    selector, scores = make(3.0, ValueRegression)
    noise = measure(selector, torch.arange(N), (scores[:N, 0], scores[:N, 1]), 2)
    assert noise.num_rows == N and noise.gsnr >= 0


def test_wanted_sizes_reach_the_ratio_at_the_lowest_cost() -> None:
    noise = Noise(signal=0.02, rows=30.0, trusted=5.0, num_rows=1024, num_trusted=128, largest_share=0.01)
    n, m = noise.wanted()  # type: ignore[misc]
    assert 0.02 / (30 / n + 5 / m) == pytest.approx(1, rel=1e-2)
    cost = n + 3 * m
    for other in np.geomspace(n / 4, 4 * n, 50):
        rest = 0.02 - 30 / other
        assert rest <= 0 or other + 3 * 5 / rest > cost * 0.999


def test_words() -> None:
    strong = Noise(0.2, 30.0, 5.0, 1024, 128, 0.01)
    weak = Noise(0.02, 30.0, 20.0, 1024, 128, 0.01)
    hidden = Noise(-0.1, 30.0, 5.0, 64, 8, 0.01)
    assert "from 1,024 rows and 128 trusted rows a step;" in strong.sentence()
    assert "A ratio of 1 would take about" in strong.sentence() and strong.sentence().endswith("a step, no more.")
    assert "84 % of the noise comes from the trusted rows. For a ratio of 1 take about" in weak.sentence()
    clear = replace(strong, rows=1e-3)
    assert "nearly all of the noise comes from the trusted rows" in clear.sentence()
    single = Noise(500.0, 5000.0, 1.0, 1024, 128, 0.01)
    assert "and 1 trusted row a step" in single.sentence()
    assert "No signal shows" in hidden.sentence() and hidden.wanted() is None and hidden.gsnr == 0
    numbers = strong.numbers()
    assert (numbers["rows_wanted"], numbers["trusted_wanted"]) == strong.wanted()
    assert (numbers["batch_rows"], numbers["trusted_rows"]) == (1024, 128)
    assert np.isnan(hidden.numbers()["rows_wanted"]) and np.isnan(hidden.numbers()["trusted_wanted"])
    mixed = weak.mixed(strong)
    assert strong.pooled(4096, 256) == Noise(0.2, 30.0, 5.0, 4096, 256, 0.0025)
    small = Noise(0.02, 30.0, 20.0, 512, 64, 0.01).mixed(strong)  # goes on about as many rows
    assert (small.num_rows, small.num_trusted, small.largest_share) == (1024, 128, 0.005)
    assert mixed.signal == pytest.approx(0.7 * 0.2 + 0.3 * 0.02) and weak.mixed(None) is weak


def test_the_ratio_misleads_at_a_small_effective_batch() -> None:
    noise = Noise(0.2, 30.0, 5.0, 1024, 128, 0.01)
    assert "misleads while the effective batch is 12, below 20" in noise.sentence(12.3)
    assert noise.sentence(20.0) == noise.sentence()


def test_pooled_draws_of_trusted_rows() -> None:
    """The variance of the mean over several draws without replacement, against draws; all rows are all rows."""
    rng, count, wanted, steps = np.random.default_rng(0), 60, 15, 6
    means = []
    for _ in range(4000):
        values = rng.normal(size=count)
        means.append(np.mean([rng.choice(values, wanted, replace=False).mean() for _ in range(steps)]))
    assert np.var(means) * drawn_rows(wanted, count, steps) == pytest.approx(1, abs=4 * np.sqrt(2 / 4000))
    assert drawn_rows(count, count, 9) == pytest.approx(count) and drawn_rows(wanted, count, 1) == pytest.approx(wanted)
