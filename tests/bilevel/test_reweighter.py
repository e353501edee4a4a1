"""The loop: what it learns, when it learns, and what it does with input it cannot learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from synthsift.bilevel.backends import JVP, FiniteDifference, LastLayer
from synthsift.bilevel.controls import (
    GRID,
    ROUNDS,
    EffectiveBatch,
    LearnToReweight,
    SelfNormalized,
    Sums,
    Unnormalized,
    ValueRegression,
)
from synthsift.bilevel.ghost import Ghost
from synthsift.bilevel.processes import Processes
from synthsift.bilevel.reweighter import LOST, Reweighter
from synthsift.bilevel.rowlosses import CrossEntropy, RowLosses, best_biases, best_temperature
from synthsift.bilevel.schedule import RowSource, Schedule
from synthsift.bilevel.selector import Selector
from synthsift.records import DataError, Outcome

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

N, DIM = 400, 6


def each(**settings: Any) -> Schedule:
    """A schedule whose selector steps with every step of the learner, however small the batch."""
    return Schedule(**{"least_rows": 1, **settings})


class World:
    """Two classes; 40 % of the rows have the wrong label, which a noisy feature half tells."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        means = rng.normal(0, 0.8, (2, DIM))

        def part(n: int) -> tuple[Tensor, np.ndarray]:
            y = rng.integers(2, size=n)
            return torch.tensor(means[y] + rng.normal(0, 1, (n, DIM)), dtype=torch.float32), y

        self.x, y = part(N)
        self.bad = rng.random(N) < 0.4
        self.y = torch.tensor(np.where(self.bad, 1 - y, y))
        x, y = part(200)
        self.trusted = (x, torch.tensor(y))
        self.features = np.stack([self.bad + rng.normal(0, 0.7, N), rng.normal(0, 1, N)], axis=1)


def linear(classes: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(DIM, classes)


def train(reweighter: Reweighter, world: World, steps: int, batch: int = 64, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = torch.randperm(N, generator=generator)[:batch]
        reweighter.ahead.optimizer.zero_grad()
        reweighter.loss(rows, (world.x[rows], world.y[rows])).backward()
        reweighter.ahead.optimizer.step()
        reweighter.step()


def make(world: World, model: nn.Module | None = None, **settings: Any) -> Reweighter:
    model = linear() if model is None else model
    optimizer = settings.pop("optimizer", None) or torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    features = settings.pop("features", world.features)
    settings.setdefault("schedule", each())
    return Reweighter(model, optimizer, features, settings.pop("trusted", world.trusted), **settings)


def separation(reweighter: Reweighter, world: World) -> float:
    """AUROC of good over bad rows by their weight."""
    w = reweighter.weights()
    return float(np.mean(w[~world.bad][:, None] > w[world.bad][None]))


# ------------------------------------------------------------------------------------------------------- it learns

LEARNING: dict[str, dict[str, Any]] = {
    "own": {},
    "jvp": {"scores": JVP()},
    "differences": {"scores": FiniteDifference(1e-2, two_sided=False)},
    "last layer": {"scores": LastLayer()},
    "stale": {"scores": Ghost(stale=True)},
    "fresh": {"schedule": each(batch="fresh", fresh_rows=200, chunk=64)},
    "every": {"schedule": each(every=3)},
    "replay": {"schedule": each(replay=4, warmup=5)},
    "kl": {"objective": SelfNormalized(0.3)},
    "values": {"objective": ValueRegression(0.5)},
    "unnormalized": {"objective": Unnormalized()},
}


@pytest.mark.parametrize("name", LEARNING)
def test_wrong_labels_weigh_less(name: str) -> None:
    world = World()
    settings = dict(LEARNING[name])
    if name == "fresh":
        settings["pool"] = (world.x, world.y)
    reweighter = make(world, **settings)
    train(reweighter, world, 120)
    best = float(np.mean(-world.features[~world.bad, 0][:, None] > -world.features[world.bad, 0][None]))
    assert separation(reweighter, world) > best - 0.06  # of what the noisy feature can tell at all
    assert reweighter.outcome is Outcome.converged and abs(reweighter.weights().mean() - 1) < 1e-9


def test_negative_control() -> None:
    """Features that know nothing separate nothing: the AUROC is .5 within three standard errors of its mean."""
    found = []
    for seed in range(6):
        world = World(seed)
        world.features = np.random.default_rng(seed + 50).normal(0, 1, (N, 2))
        reweighter = make(world)
        train(reweighter, world, 40)
        found.append(separation(reweighter, world))
    assert abs(np.mean(found) - 0.5) < 3 * np.std(found, ddof=1) / np.sqrt(len(found))


def test_the_target_of_the_effective_batch_is_kept() -> None:
    world = World()
    reweighter = make(world, features=Selector(world.features, EffectiveBatch(0.7, least=0.0), rate=2e-2))
    train(reweighter, world, 200)
    assert np.mean(reweighter.selector.history.columns["effective_fraction"][-50:]) == pytest.approx(0.7, abs=0.08)


def test_learning_to_reweight_needs_no_features() -> None:
    world = World()
    reweighter = make(world, objective=LearnToReweight())
    model = reweighter.of.model
    train(reweighter, world, 60)
    x, y = world.trusted
    plain = make(world, schedule=each(warmup=1000))
    train(plain, world, 60)
    learned, equal = (float((m(x).argmax(dim=1) == y).float().mean()) for m in (model, plain.of.model))
    assert learned > equal + 0.02
    with pytest.raises(DataError, match="weighs batches, not rows"):
        reweighter.weights()


# ------------------------------------------------------------------------------------------------- when it learns


def test_schedule() -> None:
    world = World()
    reweighter = make(world, schedule=each(warmup=4, every=3, diagnose=0))
    train(reweighter, world, 12)
    assert reweighter.selector.history.columns["step"] == [4.0, 7.0, 10.0]


def test_equal_weights_in_the_warm_up() -> None:
    world = World()
    reweighter = make(world, schedule=each(warmup=1))
    with torch.no_grad():
        reweighter.selector.network.last.weight.fill_(2.0)
    rows = torch.arange(10)
    losses = CrossEntropy()(reweighter.of.model, (world.x[rows], world.y[rows]))
    assert torch.allclose(reweighter.loss(rows, (world.x[rows], world.y[rows])), losses.mean())
    reweighter.time = 1
    assert not torch.allclose(reweighter.loss(rows, (world.x[rows], world.y[rows])), losses.mean())


def pooled_sizes(schedule: Schedule, steps: int) -> tuple[list[int], list[tuple[Tensor, Tensor]]]:
    world = World()
    reweighter = make(world, schedule=schedule)
    seen: list[tuple[Tensor, Tensor]] = []
    update = reweighter.selector.update
    reweighter.selector.update = lambda r, s: (seen.append((r, s)), update(r, s))[1]  # type: ignore[method-assign,func-returns-value]
    train(reweighter, world, steps, batch=16)
    return [len(rows) for rows, _ in seen], seen


def test_replayed_steps_are_one_batch() -> None:
    sizes, seen = pooled_sizes(each(replay=2, diagnose=0), 5)
    assert sizes == [16, 32, 48, 48, 48]
    assert torch.equal(seen[3][0][:32], seen[2][0][16:]) and torch.equal(seen[3][1][:32], seen[2][1][16:])


def test_small_batches_wait_for_each_other() -> None:
    """A step of the selector rests on so many rows at least, each of them once; or on kept ones, too."""
    sizes, seen = pooled_sizes(Schedule(least_rows=40, diagnose=1), 7)
    assert sizes == [48, 48] and not torch.equal(seen[0][1], seen[1][1])
    assert pooled_sizes(Schedule(least_rows=40, replay=1, diagnose=0), 9)[0] == [48, 96, 96]


def test_accumulated_parts_are_the_whole_batch() -> None:
    world, found = World(), []
    for parts in (1, 4):
        model = linear().double()
        reweighter = make(
            world, model, schedule=each(diagnose=0), trusted=(world.trusted[0].double(), world.trusted[1])
        )
        for step in range(3):
            rows = torch.arange(40) + 40 * step
            reweighter.ahead.optimizer.zero_grad()
            for part in rows.chunk(parts):
                batch = (world.x[part].double(), world.y[part])
                reweighter.loss(part, batch, within=rows).backward()
            reweighter.ahead.optimizer.step()
            reweighter.step()
        found.append((reweighter.weights(), model.weight.detach()))
    assert np.abs(found[0][0] - found[1][0]).max() < 1e-12
    assert torch.allclose(found[0][1], found[1][1], rtol=0, atol=1e-13)


def test_held_rows_stop_the_selector_and_bring_back_its_best() -> None:
    world = World()
    reweighter = make(world, schedule=each(held=0.3, check=2, patience=3, trusted_rows=64))
    judged = set(reweighter.judges.tolist())
    assert len(reweighter.held) == 60 and judged.isdisjoint(reweighter.held.tolist()) and len(judged) == 140
    for k, loss in enumerate([1.0, 0.5, 0.7, 0.6, 0.8]):
        with torch.no_grad():
            reweighter.selector.network.last.bias.fill_(float(k))
        stop = reweighter.keeper.look(loss, reweighter.selector.network)
        assert stop == (k == 4)
    assert float(reweighter.keeper.state["last.bias"]) == 1.0  # type: ignore[index]
    # and in the loop: a learner that can only get worse on the held rows
    worse = make(world, schedule=each(held=0.3, check=1, patience=4, trusted_rows=64))
    worse.keeper.best = -1.0
    worse.keeper.state = {k: v.clone() for k, v in worse.selector.network.state_dict().items()}
    start = worse.weights()
    train(worse, world, 10)
    assert worse.selector.frozen and worse.selector.updates == 4
    assert np.array_equal(worse.weights(), start)
    assert any("stopped at step 3" in said for said in worse.notices.said)


# ------------------------------------------------------------------------------------------------ the judging loss


def test_best_temperature() -> None:
    """The bisection against a fine grid; 1 where the logits are not over-confident."""
    generator = torch.Generator().manual_seed(0)
    logits, y = 6 * torch.randn(300, 3, generator=generator), torch.randint(0, 3, (300,), generator=generator)
    logits[torch.arange(300), y] += 4
    grid = torch.linspace(1, 40, 20_000)
    losses = torch.stack([nn.functional.cross_entropy(logits / t, y) for t in grid])
    assert best_temperature(logits, y) == pytest.approx(float(grid[losses.argmin()]), abs=4e-3)  # twice the grid
    assert best_temperature(0.01 * logits, y) == 1.0


def test_best_biases() -> None:
    """At the optimum the mean probability of each class is its frequency, but for the small penalty."""
    generator = torch.Generator().manual_seed(0)
    logits, y = torch.randn(500, 4, generator=generator), torch.arange(500) % 7 // 2
    b = best_biases(logits, y)
    frequency = torch.bincount(y, minlength=4) / 500
    assert torch.allclose(torch.softmax(logits + b, dim=1).mean(dim=0), frequency.double(), atol=2e-3)
    assert torch.isfinite(best_biases(logits, torch.zeros(500, dtype=torch.long))).all()  # classes that no row has


def test_class_frequencies_of_trusted_rows_are_no_reward() -> None:
    """A learner that knows nothing but x, judged by rows of which 70 % are of one class.

    The plain judging loss rewards rows of that class whatever else they are; with free priors it does not.
    """
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(900, 4, generator=generator), (torch.rand(900, generator=generator) < 0.7).long()
    rows, labels = torch.randn(400, 4, generator=generator), torch.arange(400) % 2
    model = nn.Linear(4, 2)
    nn.init.zeros_(model.weight), nn.init.zeros_(model.bias)
    gaps = {}
    for free in (False, True):
        of = RowLosses(model, CrossEntropy(free_priors=free))
        gamma = torch.autograd.grad(of.loss.outer(model, (x, y)).mean(), list(model.parameters()))  # type: ignore[attr-defined]
        s = JVP()(of, of.parameters(), dict(zip(of.trainable, gamma, strict=True)), (rows, labels))
        gaps[free] = abs(float(s[labels == 1].mean() - s[labels == 0].mean()))
    assert gaps[True] < 0.05 * gaps[False]


def test_wrong_labels_are_not_rewarded_for_curing_over_confidence() -> None:
    """An over-confident learner that is right about 80 % of the trusted rows, whose mistakes cannot be told from x.

    Half of the training rows have flipped labels. Going back along their gradient lowers the plain trusted loss
    because it shrinks all logits, so they get the higher scores; at the best temperature nothing is gained by that.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2000, 4, generator=generator).double()
    clean = (x[:, 0] > 0).long()
    flip = torch.rand(2000, generator=generator) < 0.2
    noisy = torch.where(flip, 1 - clean, clean)
    model = nn.Linear(4, 2).double()
    with torch.no_grad():
        model.weight.zero_()
        model.bias.zero_()
        model.weight[1, 0], model.weight[0, 0] = 6.0, -6.0
    bad = torch.arange(1000) % 2 == 0
    labels = torch.where(bad, 1 - clean[:1000], clean[:1000])
    gaps = {}
    for calibrated in (False, True):
        loss = CrossEntropy(calibrated, free_priors=calibrated)
        gamma = torch.autograd.grad(loss.outer(model, (x[1000:], noisy[1000:])).mean(), list(model.parameters()))
        backend, rows = JVP(), (x[:1000], labels)
        of = RowLosses(model, loss)
        s = backend(of, of.parameters(), dict(zip(of.trainable, gamma, strict=True)), rows)
        gaps[calibrated] = float((s[~bad].mean() - s[bad].mean()) / s.std())
    assert gaps[False] < -0.5  # fooled
    assert gaps[True] > gaps[False] + 0.4 and abs(gaps[True]) < 0.15


# ------------------------------------------------------------------------------------------------------ bad input


def test_models_that_cannot_learn() -> None:
    world = World()
    frozen = linear()
    frozen.requires_grad_(False)
    other = linear()
    for model, held in ((nn.Flatten(), other), (frozen, frozen), (linear(), other)):
        with pytest.raises(DataError, match=r"0 parameters and none|2 parameters and none|holds none of the model's"):
            Reweighter(model, torch.optim.SGD(held.parameters(), lr=0.1), world.features, world.trusted)


def test_a_frozen_backbone_trains_the_rest() -> None:
    world = World()
    model = nn.Sequential(nn.Linear(DIM, 8), nn.Tanh(), nn.Linear(8, 2))
    model[0].requires_grad_(False)
    start = model[0].weight.clone()
    for backend in (Ghost(), JVP()):
        reweighter = make(world, model, scores=backend)
        train(reweighter, world, 5)
        assert torch.equal(model[0].weight, start) and reweighter.selector.updates == 5
        assert reweighter.notices.said == []


LOSSES = {
    "mean": (lambda m, b: nn.functional.cross_entropy(m(b[0]), b[1]), r"returned \(\) for 8 rows"),
    "matrix": (lambda m, b: m(b[0]), r"returned \(8, 2\) for 8 rows"),
    "number": (lambda m, b: 1.0, "returned float"),
    "detached": (lambda m, b: m(b[0]).sum(dim=1).detach(), "carries no graph"),
    "nan": (
        lambda m, b: m(b[0])[:, 0] / torch.tensor([1.0] * 6 + [0.0] * 2) * 0,
        r"2 of 8 rows is not finite \(places \[6, 7\]",
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_that_are_none(name: str) -> None:
    world = World()
    loss, message = LOSSES[name]
    reweighter = make(world, loss=loss)
    with pytest.raises(DataError, match=message):
        reweighter.loss(torch.arange(8), (world.x[:8], world.y[:8]))


def test_features_that_are_none() -> None:
    world = World()
    spoiled = world.features.copy()
    spoiled[7, 1] = np.nan
    for features, message in (
        (spoiled, "row 7, column 1"),
        (np.ones((N, 2)), "the same features"),
        (world.features[:, 0], "shape"),
        (np.zeros((0, 3)), "shape"),
    ):
        with pytest.raises(DataError, match=message):
            make(world, features=features)


def test_rows_that_do_not_fit() -> None:
    world = World()
    reweighter = make(world)
    for rows, message in (([N], "rows 0 to 399"), ([-1], "rows run from -1"), ([], "empty")):
        with pytest.raises(DataError, match=message):
            reweighter.loss(rows, (world.x[:1], world.y[:1]))
    with pytest.raises(DataError, match=r"returned \(5,\) for 3 rows"):
        reweighter.loss([0, 1, 2], (world.x[:5], world.y[:5]))


def test_trusted_rows_that_are_none() -> None:
    world = World()
    x, y = world.trusted
    cases: list[tuple[Any, str]] = [
        ((x[:0], y[:0]), "no trusted rows"),
        ((x[:3], y), "one length"),
        (7, "a int"),
        ((), "one length"),
    ]
    for trusted, message in cases:
        with pytest.raises(DataError, match=message):
            make(world, trusted=trusted)
    with pytest.raises(DataError, match="cannot be split"):
        make(world, trusted=(x[:1], y[:1]), schedule=each(held=0.5))


def test_fewer_rows_than_asked_for() -> None:
    """All are used, and that is said."""
    world = World()
    x, y = world.trusted
    schedule = each(batch="fresh", fresh_rows=4096)
    reweighter = make(world, trusted=(x[:20], y[:20]), schedule=schedule, pool=(world.x, world.y))
    train(reweighter, world, 2)
    said = " ".join(reweighter.notices.said)
    assert "20 trusted rows judge, fewer than trusted_rows=128" in said and "fewer than fresh_rows=4096" in said
    for pool in (None, (world.x[:5], world.y[:5])):
        with pytest.raises(DataError, match="400 rows that features describe"):
            make(world, schedule=schedule, pool=pool)


class Constant(nn.Module):
    """Logits that do not depend on the parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(DIM, 2)

    def forward(self, x: Tensor) -> Tensor:
        return 0 * self.layer(x)


SIZES = (2, 3, 8, 10, 12, 100)  # of batches; 1 / n is a binary number for some of them only
ZERO = {
    "unconnected": (lambda w: make(w, Constant()), SIZES, "all scores are zero.*connected"),
    "one row": (lambda w: make(w), (1,), "the batch has one row"),
    "equal scores": (lambda w: make(w, loss=lambda m, b: m(torch.ones_like(b[0]))[:, 0]), SIZES, "scores are equal"),
    "values": (lambda w: make(w, Constant(), objective=ValueRegression()), SIZES, "all scores are zero"),
    "unnormalized": (lambda w: make(w, Constant(), objective=Unnormalized()), SIZES, "all scores are zero"),
    "dead network": (lambda w: make(w, features=Selector(w.features, network=Dead())), (8,), "does not answer"),
}


class Dead(nn.Module):
    """A network that a rectifier has switched off."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(self.layer(features)[:, 0] - 100)


@pytest.mark.parametrize("name", ZERO)
def test_a_gradient_of_exactly_zero_is_an_error(name: str) -> None:
    world = World()
    build, sizes, message = ZERO[name]
    for batch in sizes:
        reweighter = build(world)
        with pytest.raises(DataError, match=f"is zero: .*{message}"):
            train(reweighter, world, 1, batch=batch)


def test_scores_that_differ_on_another_process_alone_say_something() -> None:
    """The spread is that of all processes: here one whose scores are all equal, beside one whose scores are not."""

    class Beside(Processes):
        def __init__(self, others: Sums) -> None:
            super().__init__()
            self.others = torch.tensor(list(vars(others).values()), dtype=torch.float64)

        def sum(self, values: Tensor) -> Tensor:
            return values + self.others if values.shape == self.others.shape else values

    world, rows = World(), torch.arange(10)
    selector = Selector(world.features, dtype=torch.float64)
    equal, z = torch.full((10,), 0.1, dtype=torch.float64), selector.outputs(rows)
    with pytest.raises(DataError, match="equal, to rounding"):
        selector.update(rows, equal)
    selector.processes = Beside(Sums.of(z, equal + torch.arange(10), Processes.alone()))
    assert selector.update(rows, equal) is not None
    selector.processes = Beside(Sums.of(z, equal, Processes.alone()))
    with pytest.raises(DataError, match="equal, to rounding"):
        selector.update(rows, equal)


def test_forgetting_to_call_step_is_an_error_and_keeps_nothing() -> None:
    world = World()
    for schedule in (each(), each(warmup=50), each(every=3)):
        reweighter = make(world, schedule=schedule)
        model, optimizer = reweighter.of.model, reweighter.ahead.optimizer
        rows = torch.arange(20)
        with pytest.raises(DataError, match=r"step\(\) was not called after"):
            for _ in range(LOST + 1):
                optimizer.zero_grad()
                reweighter.loss(rows, (world.x[rows], world.y[rows])).backward()
                optimizer.step()
                assert len(reweighter.ahead.parts) <= 1
    # steps of the same optimizer for something else are no mistake
    reweighter = make(world)
    model, optimizer = reweighter.of.model, reweighter.ahead.optimizer
    for _ in range(LOST + 2):
        train(reweighter, world, 1)
        model(world.x).square().mean().backward()
        optimizer.step()
    assert reweighter.selector.updates == LOST + 2 and not reweighter.notices.said


def test_losses_that_no_backward_passed() -> None:
    """One that was thrown away beside one that was used is forgotten; ten steps without any are a mistake."""
    world, found = World(), []
    for throws in (False, True):
        for backend in (Ghost(), JVP()):
            reweighter = make(world, scores=backend)
            rows = torch.arange(20)
            for _ in range(3):
                reweighter.ahead.optimizer.zero_grad()
                if throws:
                    reweighter.loss(rows[:7] + 50, (world.x[57:64], world.y[57:64]))
                reweighter.loss(rows, (world.x[rows], world.y[rows])).backward()
                reweighter.ahead.optimizer.step()
                reweighter.step()
            found.append(reweighter.weights())
            assert reweighter.selector.updates == 3 and not reweighter.notices.said
    assert np.array_equal(found[0], found[2]) and np.array_equal(found[1], found[3])
    with pytest.raises(DataError, match="no backward passed the loss"):
        for _ in range(LOST):
            reweighter.loss(rows, (world.x[rows], world.y[rows]))
            reweighter.ahead.optimizer.step()
            reweighter.step()


class Counting(Processes):
    """One of two processes, by what it says; notes the shapes of what it sums."""

    count = 2  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.several, self.group = True, None
        self.shapes: list[tuple[int, ...]] = []

    rank = 0  # type: ignore[assignment]

    def sum(self, values: Tensor) -> Tensor:
        self.shapes.append(tuple(values.shape))
        return values


@pytest.mark.parametrize("goal", [EffectiveBatch(), ValueRegression()])
def test_reductions_of_a_step(goal: Any) -> None:
    """One sum of weights before it; how many scores, nine sums and the selector's gradient after it.

    For values there are more: their moments, and the grids of the search for b, at the weights of the step and after.
    """
    world = World()
    reweighter = make(world, objective=goal, schedule=each(diagnose=0))
    with torch.no_grad():  # else all values are equal, and b need not be searched
        reweighter.selector.network.last.weight.normal_(generator=torch.Generator().manual_seed(0))
    counting = Counting()
    reweighter.processes = reweighter.selector.processes = counting
    train(reweighter, world, 1)
    size = sum(p.numel() for p in reweighter.selector.network.parameters())
    search = [] if isinstance(goal, EffectiveBatch) else [(3,), *[(2, GRID)] * ROUNDS]
    after = [(9,), (size,)] if not search else [(9,), (), *search, (9,), (size,)]
    assert counting.shapes == [*search, (), (2,), *after]


def test_an_optimizer_that_never_steps() -> None:
    """A step that is skipped now and then (a gradient scaler does that) is left out; ten in a row are a mistake."""
    world = World()
    reweighter = make(world)
    for k in range(LOST):
        reweighter.loss(torch.arange(8), (world.x[:8], world.y[:8])).backward()
        if k < LOST - 1:
            reweighter.step()
    assert any("took no step between" in said for said in reweighter.notices.said)
    with pytest.raises(DataError, match="with the optimizer that was given"):
        reweighter.step()


def test_scores_that_are_not_finite_freeze_the_selector() -> None:
    world = World()

    class Broken(JVP):
        def __call__(self, of: Any, at: Any, direction: Any, batch: Any, known: Tensor | None = None) -> Tensor:
            return torch.full((len(batch[1]),), torch.inf)

    reweighter = make(world, scores=Broken())
    start = reweighter.weights()
    train(reweighter, world, LOST + 2)
    assert reweighter.outcome is Outcome.nonfinite and reweighter.selector.frozen
    assert np.array_equal(reweighter.weights(), start)


def test_evaluating_between_the_calls_changes_nothing() -> None:
    """A forward under no_grad, and a loss that nobody follows up, leave no trace."""
    world, found = World(), []
    for looks in (False, True):
        reweighter = make(world)
        for k in range(4):
            rows = torch.arange(30) + 30 * k
            reweighter.ahead.optimizer.zero_grad()
            loss = reweighter.loss(rows, (world.x[rows], world.y[rows]))
            if looks:
                with torch.no_grad():
                    reweighter.of.model(world.x[:50])
                    reweighter.loss(rows[:5], (world.x[:5], world.y[:5]))
            loss.backward()
            reweighter.ahead.optimizer.step()
            if looks:
                with torch.no_grad():
                    reweighter.loss(rows[:5], (world.x[:5], world.y[:5]))
            reweighter.step()
        assert reweighter.selector.updates == 4 and not reweighter.notices.said
        found.append(reweighter.weights())
    assert np.array_equal(*found)


def test_rows_from_a_source() -> None:
    """Rows that are fetched by place (decoded images, say) instead of tensors; a dict for a batch."""
    world = World()
    x, y = world.trusted
    source = RowSource(len(x), lambda places: {"input": x[places], "label": y[places]})
    loss = lambda m, b: nn.functional.cross_entropy(m(b["input"]), b["label"], reduction="none")  # noqa: E731
    reweighter = make(world, trusted=source, loss=loss)
    rows = torch.arange(20)
    reweighter.loss(rows.numpy(), {"input": world.x[rows], "label": world.y[rows]}).backward()
    reweighter.ahead.optimizer.step()
    reweighter.step()
    assert reweighter.selector.updates == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch": "old"}, "'own' or 'fresh'"),
        ({"every": 0}, "at least 1"),
        ({"held": 1.0}, r"\[0, 1\)"),
        ({"replay": -1}, "at least 0"),
    ],
)
def test_schedules_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Schedule(**settings)
