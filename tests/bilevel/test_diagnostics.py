"""What `LearnedWeights` records, against brute force over batches of rows and of trusted rows, and by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from synthsift.bilevel.diagnostics import MAX_ROWS, Course, Movement, describe_step, in_numbers, in_words
from synthsift.bilevel.history import History
from synthsift.bilevel.live import measure_council, row_gradients, spread_out
from synthsift.bilevel.metanet import Council, MetaNet
from synthsift.bilevel.noise import Noise
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
    found = describe_step(council, features[:50], s, torch.arange(50), halves, 20, 0.25, (90, 40))
    gain = (p @ t - t.mean()) / t.std(ddof=1)
    assert found["loss"] == pytest.approx(0.25 * np.sum(p * np.log(50 * p)) - gain, rel=1e-5)
    assert found["effective_batch"] == pytest.approx(1 / np.sum(p**2), rel=1e-5)
    assert found["effective_fraction"] == pytest.approx(1 / np.sum(p**2) / 50, rel=1e-5)
    assert found["mean_weight"] == pytest.approx(w.mean(), rel=1e-5)
    assert found["largest_share"] == pytest.approx(p.max(), rel=1e-5)
    assert (found["batch_rows"], found["trusted_rows"]) == (50, 20)
    assert (found["rows_there"], found["trusted_there"]) == (90, 40)
    noise = measure_council(council, features[:50], torch.arange(50), halves, 20)
    assert found["gsnr"] == noise.gsnr and (found["rows_wanted"], found["trusted_wanted"]) == noise.wanted()


def test_movement_is_that_of_the_differences_between_rows() -> None:
    council, features, _ = make_pool(1.0)
    moved = Movement(council, features[:200])
    with torch.no_grad():
        before = council(features[:200]).double()
        council.members[0].last.weight.mul_(2.0)  # type: ignore[operator,union-attr]
        after = council(features[:200]).double()
    assert moved() == pytest.approx(float((after - before).std(correction=0))) and moved() == 0
    moved.last = moved.last + 3.0  # every weight by the same factor
    assert moved() == pytest.approx(0, abs=1e-12)


def history_of(*noises: Noise, moved: tuple[float, ...] = (), temper: float = 0.5) -> dict[str, np.ndarray]:
    """A history with a point every ten steps; by default all movement is in the first half."""
    history = History()
    half = len(noises) // 2
    for k, noise in enumerate(noises):
        concentration = {"effective_batch": 400.0, "effective_fraction": 0.5, "mean_weight": 0.4}
        way = moved[k] if moved else float(0 < k <= max(half, 1))
        history.append(10 * k, {"loss": 0.0, **concentration, **noise.numbers(), "moved": way})
    return {**history.arrays(), "temper": np.array([temper])}


STRONG, WEAK, HIDDEN = (Noise(signal, 30.0, 5.0, 800, 128, 0.01, 800, 128) for signal in (2.0, 0.05, -0.1))


def test_a_ratio_that_falls_when_all_is_learned_is_not_held_against_the_weights() -> None:
    """A planted run: clear signal while the weights move, none when they stand."""
    history = history_of(STRONG, STRONG, WEAK, HIDDEN, HIDDEN, HIDDEN, moved=(0, 2, 1, 0.01, 0, 0))
    course = Course.of(history)
    assert course.num_steps == 20 and course.moving.gsnr == pytest.approx(STRONG.gsnr)
    assert course.after is not None and course.after.gsnr == 0
    words = str(in_numbers(history)["noise"])
    assert (
        words.startswith("In the first 20 steps, in which the weights moved, the meta-gradient had")
        and "ratio of 26 from" in words
    )
    assert "about 26 rows and 7 trusted rows a step, no more" in words
    assert words.endswith("After that it was 0, which may only mean that nothing was left to learn.")
    assert in_numbers(history)["gsnr"] == pytest.approx(STRONG.gsnr) and in_numbers(history)["gsnr_after"] == 0
    assert "unsure" not in in_words(history)


def test_a_ratio_that_is_lost_while_the_weights_move_is_told_up_to_that_step() -> None:
    """Half of the way is that of the first ten steps, and their median alone would speak for all."""
    moved = (0.0, 2.35, 1.05, 0.78, 0.45, 0.2)
    course = Course.of(history_of(STRONG, WEAK, HIDDEN, WEAK, WEAK, WEAK, moved=moved))
    words = course.sentence(400)
    assert words.startswith("Before step 10 the meta-gradient had a signal-to-noise ratio of 26 from ")
    assert "From then to step 40, while the weights still moved, it was below 1. After that it was 0." in words
    assert "nothing was left" not in words and "in which the weights moved" not in words
    assert in_numbers(history_of(STRONG, WEAK, WEAK, WEAK, WEAK, WEAK, moved=moved))["gsnr_lost"] == 10
    again = history_of(STRONG, WEAK, HIDDEN, STRONG, WEAK, WEAK, moved=moved)
    assert Course.of(again).lost is None and "gsnr_lost" not in in_numbers(again)


def noise_of(rows: float) -> Noise:
    """Of which a ratio of 1 takes so many of 1,990 rows."""
    return Noise(1.0, rows, 0.0, 800, 128, 0.01, 1990, 128)


def test_no_more_rows_are_asked_for_than_there_are() -> None:
    noise = replace(WEAK, signal=0.01)
    words = Course.of(history_of(*[noise] * 4)).sentence(400)
    assert (
        "These are all there are, so only more data could lower the noise. After that" in words and "take" not in words
    )
    assert noise.wanted()[0] > 800 and noise.reachable() is None  # type: ignore[index]
    for there in ((800, 128), (8000, 128), (800, 1000), (8000, 1000), (10**6, 10**6)):
        for signal in (0.004, 0.02, 0.05, 0.3):
            one = Noise(signal, 30.0, 5.0, 800, 128, 0.01, *there)
            found, cheapest = one.reachable(), one.wanted()
            best = signal / (30 / there[0] + 5 / there[1])  # all that there is
            assert (found is None) == (best < 1) and cheapest is not None
            if found is not None:
                n, m = found
                assert n <= there[0] and m <= there[1] and signal / (30 / n + 5 / m) == pytest.approx(1, rel=0.2)
                assert found == cheapest or n + 3 * m >= cheapest[0] + 3 * cheapest[1]
                assert ("all 800 rows" in one.advice()) == (n == 800)
    assert noise_of(1955.0).advice() == "For a ratio of 1 take about 1,955 rows and 1 trusted row a step"  # not 2,000
    assert noise_of(1944.0).advice() == "For a ratio of 1 take about 1,900 rows and 1 trusted row a step"
    endless = Noise(1.0, 5.0, 200.0, 800, 64, 0.01, math.inf, 200)  # the trusted rows' noise alone is the signal
    assert endless.reachable() is None and "inf" not in endless.sentence()
    hidden = Course.of(history_of(*[HIDDEN] * 4)).sentence(400)
    assert "no signal showed" in hidden and "these are all there are, so only more data" in hidden
    more = Course.of(history_of(*[replace(HIDDEN, rows_there=9000)] * 4)).sentence(400)
    assert "use larger batches, or more telling features" in more
    even = Course.of(history_of(*[replace(noise, rows_there=900)] * 4)).sentence(400)
    assert "Even all 900 rows and 128 trusted rows that there are would not give a ratio of 1" in even


def test_the_end_in_words() -> None:
    softened = "Learned weights: softened, taken to the power 0.5."
    assert in_words(history_of(STRONG, STRONG, STRONG)) == softened, "what is sure enough needs no advice"
    late = WEAK
    assert late.gsnr < 1 and late.wanted()[1] / 128 > 1  # type: ignore[index]
    assert in_words(history_of(late, late, STRONG, STRONG)).startswith(f"{softened} They are unsure")
    assert f"{late.wanted()[1] / 128:.2g} times as many would" in in_words(history_of(late, late, late))  # type: ignore[index]
    assert in_words(history_of(HIDDEN, HIDDEN, HIDDEN)) == (
        f"{softened} The real rows give no clear hint which synthetic rows are better; more real rows may."
    )
    assert in_words(history_of(late, late, temper=1.0)).startswith("Learned weights: taken as they are, as real rows")
    assert "to the power 2, as" in in_words(history_of(late, late, temper=2.0))
    rows_only = Noise(0.01, 30.0, 0.0, 800, 128, 0.01)
    assert rows_only.gsnr < 1 and in_words(history_of(rows_only, rows_only)) == softened, "no real rows would help"
    assert in_words({"temper": np.array([1.0])}) == "" and "no gain" in in_words({"temper": np.array([0.0])})
    still = history_of(HIDDEN, HIDDEN, moved=(0.0, 1e-9))
    assert "never told one from another" in in_words(still) and in_numbers(still) == {} == in_numbers({})


def test_history_collects_columns() -> None:
    history = History()
    history.append(0, {"loss": 1.0, "gsnr": 2.0})
    history.append(10, {"loss": 0.5, "gsnr": 3.0})
    found = history.arrays()
    assert list(found) == ["step", "loss", "gsnr"]
    assert np.array_equal(found["step"], [0, 10]) and np.array_equal(found["gsnr"], [2, 3])
    assert History().arrays() == {}


def test_the_numbers_of_a_run_are_those_of_its_sentence() -> None:
    """The last step saw no signal, those in which the weights moved did: both speak of the latter."""
    ones = np.ones(4)
    history = {
        "step": 10.0 * np.arange(4),
        "effective_batch": np.array([900.0, 800.0, 700.0, 600.0]),
        "gsnr": np.array([2.0, 2.0, 0.0, 0.0]),
        "gsnr_rows": np.array([4.0, 4.0, 0.0, 0.0]),
        "largest_share": np.array([0.01, 0.01, 0.01, 0.02]),
        "batch_rows": 1024 * ones,
        "trusted_rows": 128 * ones,
        "rows_there": 1024 * ones,
        "trusted_there": 128 * ones,
        "rows_wanted": np.array([5.0, 5.0, 5.0, np.nan]),
        "moved": np.array([0.0, 1.0, 1.0, 0.01]),
        "loss": -ones,
    }
    learned = SimpleNamespace(values=np.array([1.0, 1.5, 0.5]), outcome=Outcome.converged, history=history)
    finished = SimpleNamespace(
        verdict=SimpleNamespace(effective_fraction=0.9, keep_fraction=1.0, policy="LearnedWeights"),
        weights={"LearnedWeights": learned},
        loaded=SimpleNamespace(mixture=SimpleNamespace(is_synth=np.array([False, True, True]))),
    )
    told = _diagnostics(finished)  # type: ignore[arg-type]
    assert told["gsnr"] == pytest.approx(2.0) and "signal-to-noise ratio of 2 from 1,024 rows" in told["noise"]
    assert told["gsnr_after"] == pytest.approx(0.0) and told["largest_share"] == 0.02
    assert told["loss"] == -1 and told["effective_batch"] == 600 and "misleads" not in told["noise"]
    history["effective_batch"][-1] = 7.0
    assert "misleads while the effective batch is 7, below 20" in _diagnostics(finished)["noise"]  # type: ignore[arg-type]
    history["gsnr"][:] = 0.0
    hidden = _diagnostics(finished)  # type: ignore[arg-type]
    assert hidden["gsnr"] == 0 and "no signal showed" in hidden["noise"] and "rows_wanted" not in hidden
