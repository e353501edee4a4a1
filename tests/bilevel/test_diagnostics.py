"""What `LearnedWeights` records, against brute force over batches of rows and of trusted rows, and by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from synthsift.bilevel.diagnostics import MAX_ROWS, describe_step, in_words
from synthsift.bilevel.history import History
from synthsift.bilevel.live import Noise, measure_council, row_gradients, spread_out
from synthsift.bilevel.metanet import Council, MetaNet
from synthsift.cli.outputs import _diagnostics
from synthsift.records import Outcome

POOL, JUDGES = 1100, 300


def make_pool(spread: float, members: int = 2) -> tuple[Council, Tensor, Tensor]:
    """A fixed council whose log-weights vary with `spread`, features (n, 4), and scores (n, JUDGES) by trusted row."""
    generator = torch.Generator().manual_seed(0)
    council = Council(members, 4, 3, generator)
    features = torch.randn(POOL, 4, generator=generator)
    with torch.no_grad():
        for member in council.members:
            member.last.weight.copy_(spread * torch.randn(1, 3, generator=generator))  # type: ignore[operator,union-attr]
            member.last.bias.fill_(-3.0)  # type: ignore[operator,union-attr]  # where weights can differ
    quality = 0.8 * features[:, 0] + torch.randn(POOL, generator=generator)
    tastes = torch.randn(5, JUDGES, generator=generator)
    return council, features, quality[:, None] + 1.5 * torch.randn(POOL, 5, generator=generator) @ tastes


def by_chain_rule(network: MetaNet, features: Tensor) -> np.ndarray:
    """grad log w_i of every row (n, P)."""
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


def brute_force(council: Council, features: Tensor, scores: Tensor, size: int, judges: int, num: int) -> float:
    """|G|^2 / tr Var of all members' meta-gradients Cov_p(s, h) over fresh rows and fresh trusted rows."""
    s, rng = scores.numpy().astype(np.float64), np.random.default_rng(1)
    h = [by_chain_rule(member, features) for member in council.members]  # type: ignore[arg-type]
    with torch.no_grad():
        w = council.each(features).exp().numpy().astype(np.float64)
    found = []
    for _ in range(num):
        rows = rng.integers(POOL, size=size)
        t = s[np.ix_(rows, rng.integers(JUDGES, size=judges))].mean(axis=1)
        shares = [one[rows] / one[rows].sum() for one in w]
        parts = [(p * (t - p @ t)) @ (g[rows] - p @ g[rows]) for p, g in zip(shares, h, strict=True)]
        found.append(np.concatenate(parts))
    variance = np.var(found, axis=0, ddof=1).sum()
    return float((np.sum(np.mean(found, axis=0) ** 2) - variance / num) / variance)


def test_the_gradients_of_rows() -> None:
    council, features, _ = make_pool(1.0, members=1)
    found = row_gradients(council.members[0], features[:3])
    assert np.allclose(found, by_chain_rule(council.members[0], features[:3]), atol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize(("spread", "size", "judges"), [(0.1, 200, 8), (4.0, 400, 10)])
def test_gsnr_is_signal_over_both_noises(spread: float, size: int, judges: int) -> None:
    """20 %: the formula is the leading term in 1 / B_eff, which stays above 20; each side has about 5 % of noise."""
    council, features, scores = make_pool(spread)
    right = brute_force(council, features, scores, size, judges, 1500)
    rng, seen = np.random.default_rng(2), []
    for _ in range(150):
        rows, who = torch.as_tensor(rng.integers(POOL, size=size)), torch.as_tensor(rng.integers(JUDGES, size=judges))
        halves = [scores[rows][:, part].mean(dim=1) for part in who.chunk(2)]
        seen.append(measure_council(council, features[rows], torch.arange(size), halves, judges))
    signal, v, u = (np.mean([getattr(noise, name) for noise in seen]) for name in ("signal", "rows", "trusted"))
    assert right > 0.5 and min(1 / noise.largest_share for noise in seen) > 20
    assert u / judges > 0.2 * v / size  # trusted rows are a part of the noise that could not be overlooked
    assert abs(signal / (v / size + u / judges) / right - 1) < 0.2


def test_there_is_no_signal_where_scores_do_not_differ() -> None:
    council, features, _ = make_pool(1.5)
    for value in (0.7, 0.0):
        same = [torch.full((300,), value)] * 2
        assert measure_council(council, features[:300], torch.arange(300), same, 20).gsnr == 0


def test_large_batches_are_described_by_rows_from_all_over_them() -> None:
    """A batch that holds all rows has the real ones first; they must not stand for the others."""
    council, features, scores = make_pool(1.0)
    mean = scores.mean(dim=1)
    order = torch.argsort(mean)  # as different a start as can be
    some = spread_out(POOL, MAX_ROWS)
    assert POOL > 2 * MAX_ROWS and (some[0], some[-1], len(some)) == (0, POOL - 1, MAX_ROWS)
    part = measure_council(council, features[order], some, [mean[order][some]] * 2, 20)
    whole = measure_council(council, features, torch.arange(POOL), [mean] * 2, 20)
    assert part.num_rows == whole.num_rows == POOL
    assert abs(part.gsnr_rows / whole.gsnr_rows - 1) < 0.4  # both from one batch, one of them from 512 rows


def test_a_step_by_hand() -> None:
    council, features, scores = make_pool(1.5)
    s, halves = scores[:50].mean(dim=1), [scores[:50, :10].mean(dim=1), scores[:50, 10:20].mean(dim=1)]
    with torch.no_grad():
        w = np.exp(council(features[:50]).numpy().astype(np.float64))
    p, t = w / w.sum(), s.double().numpy()
    found = describe_step(council, features[:50], s, torch.arange(50), halves, 20, 0.25)
    gain = (p @ t - t.mean()) / t.std(ddof=1)
    assert found["loss"] == pytest.approx(0.25 * np.sum(p * np.log(50 * p)) - gain, rel=1e-5)
    assert found["effective_batch"] == pytest.approx(1 / np.sum(p**2), rel=1e-5)
    assert found["effective_fraction"] == pytest.approx(1 / np.sum(p**2) / 50, rel=1e-5)
    assert found["mean_weight"] == pytest.approx(w.mean(), rel=1e-5)
    assert found["largest_share"] == pytest.approx(p.max(), rel=1e-5)
    assert (found["batch_rows"], found["trusted_rows"]) == (50, 20)
    noise = measure_council(council, features[:50], torch.arange(50), halves, 20)
    assert found["gsnr"] == noise.gsnr and (found["rows_wanted"], found["trusted_wanted"]) == noise.wanted()


def history_of(*noises: Noise) -> dict[str, np.ndarray]:
    history = History()
    for step, noise in enumerate(noises):
        concentration = {"effective_batch": 400.0, "effective_fraction": 0.5, "mean_weight": 0.4}
        history.append(step, {"loss": 0.0, **concentration, **noise.numbers()})
    return {**history.arrays(), "temper": np.array([0.5])}


def test_the_end_in_words() -> None:
    early, late, hidden = (Noise(signal, 30.0, 5.0, 800, 128, 0.01) for signal in (2.0, 0.05, -0.1))
    spread = (
        "Learned weights: worth 400 of 800 rows that weigh alike, the heaviest 1 % of all, before they are taken to "
        "the power 0.5."
    )
    assert in_words(history_of(early, early, early)) == spread, "what is sure enough needs no advice"
    assert late.gsnr < 1 and late.wanted()[1] / 128 > 1
    times = f"{late.wanted()[1] / 128:.2g} times as many would"
    assert in_words(history_of(early, early, late, late)).startswith(f"{spread} They are unsure")
    assert times in in_words(history_of(late, late, late)), "of the second half, in other units"
    assert in_words(history_of(early, hidden, hidden)) == (
        f"{spread} The real rows give no clear hint which synthetic rows are better; more real rows may."
    )
    trusted = in_words({**history_of(late, late), "temper": np.array([1.0])})
    assert trusted.endswith("heaviest 1 % of all."), "weights that held-out real rows follow in full are not doubted"
    rows_only = Noise(0.01, 30.0, 0.0, 800, 128, 0.01)
    assert rows_only.gsnr < 1 and in_words(history_of(rows_only, rows_only)) == spread, "more real rows would not help"
    assert in_words({"temper": np.array([1.0])}) == "" and "alike" in in_words({"temper": np.array([0.0])})


def test_history_collects_columns() -> None:
    history = History()
    history.append(0, {"loss": 1.0, "gsnr": 2.0})
    history.append(10, {"loss": 0.5, "gsnr": 3.0})
    found = history.arrays()
    assert list(found) == ["step", "loss", "gsnr"]
    assert np.array_equal(found["step"], [0, 10]) and np.array_equal(found["gsnr"], [2, 3])
    assert History().arrays() == {}


def test_the_numbers_of_a_run_are_those_of_its_sentence() -> None:
    """The last step saw no signal, the second half of the training did: both speak of the latter."""
    ones = np.ones(4)
    history = {
        "effective_batch": np.array([900.0, 800.0, 700.0, 600.0]),
        "gsnr": np.array([0.1, 2.0, 2.0, 0.0]),
        "gsnr_rows": np.array([0.1, 4.0, 4.0, 0.0]),
        "largest_share": 0.01 * ones,
        "batch_rows": 1024 * ones,
        "trusted_rows": 128 * ones,
        "rows_wanted": np.array([5.0, 5.0, 5.0, np.nan]),
        "loss": -ones,
    }
    learned = SimpleNamespace(values=np.array([1.0, 1.5, 0.5]), outcome=Outcome.converged, history=history)
    finished = SimpleNamespace(
        verdict=SimpleNamespace(effective_fraction=0.9, keep_fraction=1.0, policy="LearnedWeights"),
        weights={"LearnedWeights": learned},
        loaded=SimpleNamespace(mixture=SimpleNamespace(is_synth=np.array([False, True, True]))),
    )
    told = _diagnostics(finished)  # type: ignore[arg-type]
    assert told["gsnr"] == pytest.approx(1.0) and "signal-to-noise ratio of 1 from 1,024 rows" in told["noise"]
    assert told["loss"] == -1 and told["effective_batch"] == 600 and "misleads" not in told["noise"]
    history["effective_batch"][-1] = 7.0
    assert "misleads while the effective batch is 7, below 20" in _diagnostics(finished)["noise"]  # type: ignore[arg-type]
    history["gsnr"][:] = 0.0
    hidden = _diagnostics(finished)  # type: ignore[arg-type]
    assert hidden["gsnr"] == 0 and "No signal shows" in hidden["noise"] and "rows_wanted" not in hidden
