"""The residual network inside the meta-training: exact scores, the right meta-gradient, planted truths in pixels."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from synthsift.bilevel import pictures
from synthsift.bilevel.importance import log_weights_of
from synthsift.bilevel.inner import MOMENTUM, NetworkLearner
from synthsift.bilevel.learned import LearnedWeights
from synthsift.bilevel.metanet import MetaNet
from synthsift.bilevel.objective import meta_gradient, shares
from synthsift.bilevel.pictures import Pictures
from synthsift.bilevel.scores import Parameters
from synthsift.records import DataError, Examples, Features, Images, Mixture, Weights, concat_x
from synthsift.represent.encoders import fit_encoder
from synthsift.represent.table import FeatureTable
from synthsift.seeds import Seeds
from synthsift.training.convnet import ResidualNet

# torch compiles rules for forward-mode differentiation at its first use, by a function that it has deprecated itself.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

NET = ResidualNet(16, 3, 8)
RATE, DECAY, NUM_ROWS, NUM_TRUSTED = 0.3, 0.05, 11, 7


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X, Y = normal(NUM_ROWS, 3, 16, 16, seed=1), torch.arange(NUM_ROWS) % 3
TRUSTED_X, TRUSTED_Y = normal(NUM_TRUSTED, 3, 16, 16, seed=2), torch.arange(NUM_TRUSTED) % 3
TOLD = normal(NUM_ROWS, 4, seed=3)


def parameters(seed: int) -> Parameters:
    """The network's start in float64, moved so that no layer is zero."""
    start = NET.start(torch.Generator().manual_seed(seed))
    return {k: v.double() + 0.1 * normal(*v.shape, seed=seed + n) for n, (k, v) in enumerate(start.items())}


def learner(seed: int, piece: int, velocity: Parameters | None = None) -> NetworkLearner:
    return NetworkLearner(parameters(seed), RATE, DECAY, velocity or {}, logits=NET.logits, piece=piece)


def row_losses(params: Parameters, x: Tensor, y: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(NET.logits(params, x), y, reduction="none")


def error(found: Tensor, right: Tensor) -> float:
    return float((found - right).norm() / right.norm())


# -------------------------------------------------------------------------------------------------- exactness


@pytest.mark.parametrize("piece", [1, 4, 100])
def test_scores_are_dot_products_of_the_gradients_of_single_rows(piece: int) -> None:
    """Whatever rows go through the network together; 1e-10 is some thousand roundings of float64."""
    one = learner(20, piece)
    one.step(X, Y, torch.full((NUM_ROWS,), 1 / NUM_ROWS, dtype=torch.float64))
    direction = one.trusted_gradient(TRUSTED_X, TRUSTED_Y)
    for at, found in ((parameters(20), one.scores(direction, X, Y)), (one.params, one.scores_now(direction, X, Y))):
        leaves = {name: value.detach().clone().requires_grad_() for name, value in at.items()}
        right = []
        for k in range(NUM_ROWS):
            (loss,) = row_losses(leaves, X[k : k + 1], Y[k : k + 1])
            gradient = torch.autograd.grad(loss, list(leaves.values()))
            right.append(sum((g * d).sum() for g, d in zip(gradient, direction.values(), strict=True)))
        assert error(found, torch.stack(right)) < 1e-10  # type: ignore


@pytest.mark.parametrize("moving", [False, True], ids=["at rest", "moving"])
def test_the_meta_gradient_is_the_unrolled_one(moving: bool) -> None:
    """Against differentiating the trusted loss through the learner's own step, momentum and decay included."""
    velocity = parameters(40) if moving else {}
    network = MetaNet(4, 6, torch.Generator().manual_seed(6)).double()
    with torch.no_grad():
        for k, value in enumerate(network.parameters()):
            value.copy_(normal(*value.shape, seed=60 + k))

    params = {name: value.clone().requires_grad_() for name, value in parameters(20).items()}
    loss = (shares(network(TOLD)) * row_losses(params, X, Y)).sum()
    gradient = dict(zip(params, torch.autograd.grad(loss, list(params.values()), create_graph=True), strict=True))
    moved = {
        name: value - RATE * (MOMENTUM * velocity.get(name, torch.zeros_like(value)) + gradient[name] + DECAY * value)
        for name, value in params.items()
    }
    row_losses(moved, TRUSTED_X, TRUSTED_Y).mean().backward()
    right = torch.cat([p.grad.reshape(-1) for p in network.parameters() if p.grad is not None])
    network.zero_grad()

    one, log_weights = learner(20, 4, velocity), network(TOLD)
    one.step(X, Y, shares(log_weights).detach())
    scores = one.scores(one.trusted_gradient(TRUSTED_X, TRUSTED_Y), X, Y)
    log_weights.backward(meta_gradient(log_weights.detach(), scores, 0.0))
    found = torch.cat([p.grad.reshape(-1) for p in network.parameters() if p.grad is not None])
    assert error(RATE * scores.std() * found, right) < 1e-9


@pytest.mark.parametrize("calibrated", [False, True])
def test_pieces_do_not_change_the_trusted_gradient(calibrated: bool) -> None:
    sure = parameters(20)
    sure["head.weight"] = 30 * sure["head.weight"]  # over-confident, so that the best temperature is above 1
    y = torch.where(torch.arange(NUM_TRUSTED) % 3 == 0, TRUSTED_Y, NET.logits(sure, TRUSTED_X).argmax(dim=1))
    whole, pieces = (
        replace(learner(20, piece), params=sure).trusted_gradient(TRUSTED_X, y, calibrated=calibrated)
        for piece in (100, 3)
    )
    assert max(error(pieces[name], whole[name]) for name in whole) < 1e-10
    plain = replace(learner(20, 100), params=sure).trusted_gradient(TRUSTED_X, y)
    assert (error(whole["head.weight"], plain["head.weight"]) > 0.1) == calibrated


def test_two_threads_may_ask_for_scores_at_once() -> None:
    """The number of open levels of forward mode is torch's, one for the whole process."""

    def scores(seed: int) -> Tensor:
        net = ResidualNet(16, 3, 8)
        one = NetworkLearner(parameters(seed), RATE, DECAY, logits=net.logits, piece=2)
        direction = one.trusted_gradient(TRUSTED_X, TRUSTED_Y)
        return torch.cat([one.scores_now(direction, X, Y) for _ in range(5)])

    alone = [scores(seed) for seed in range(20, 24)]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(scores, range(20, 24)))
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


# ------------------------------------------------------------------------------------------------ planted worlds


def world(seed: int, wrong: float, count: int = 120, num_real: int = 40) -> tuple[Mixture, np.ndarray]:
    """Lying and standing bars of 16 pixels: some real ones, and synthetic ones of which a share is mislabeled."""
    rng = np.random.default_rng(seed)
    y = np.arange(num_real + count) % 2
    x = rng.normal(60, 15, (len(y), 16, 16))
    for picture, label in zip(x, y, strict=True):
        start = rng.integers(1, 13)
        (picture.T if label else picture)[start : start + 2] += 120
    store = np.repeat(x.clip(0, 255).astype(np.uint8)[..., None], 3, axis=3)
    bad = rng.permutation(count) < wrong * count
    shown = np.concatenate([y[:num_real], np.where(bad, 1 - y[num_real:], y[num_real:])])
    ids = np.array([f"row{k}" for k in range(len(y))])
    source = np.where(np.arange(len(y)) < num_real, "real", "made")
    every = Examples(Images(store, np.arange(len(y))), shown, ids, source)
    real, synth = every[np.arange(num_real)], every[np.arange(num_real, len(y))]
    return Mixture(real, synth, real[:0], ("lying", "standing")), bad


def describe(mixture: Mixture, seed: int) -> Features:
    x = concat_x([part.x for part in mixture.parts if len(part)])
    embedding = fit_encoder(x).transform(x)
    return FeatureTable(embedding, {name: k for k, name in enumerate(mixture.ids)})(mixture, Seeds(seed))


def weigh(mixture: Mixture, features: Features, seed: int, steps: int) -> Weights:
    weigher = LearnedWeights("cnn", steps=steps, batch=64, selector_batch=128, members=2)
    return weigher(mixture, features, Seeds(seed))


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the usual channels, to be quick."""
    monkeypatch.setattr(pictures, "WIDTH", 8)


@pytest.mark.usefixtures("narrow")
def test_planted_bad_rows_weigh_less() -> None:
    mixture, bad = world(0, 0.4)
    weights = weigh(mixture, describe(mixture, 0), 0, steps=20)
    assert roc_auc_score(~bad, weights.values[mixture.is_synth]) > 0.95
    assert np.isfinite(weights.values).all() and (weights.values > 0).all()


@pytest.mark.usefixtures("narrow")
def test_the_same_seeds_give_the_same_weights_and_nothing_else_plays_a_part() -> None:
    mixture, _ = world(0, 0.4)
    features = describe(mixture, 0)
    first = weigh(mixture, features, 0, steps=4)
    state = torch.get_rng_state()
    torch.rand(3)
    again, other = (weigh(mixture, features, seed, steps=4) for seed in (0, 1))
    torch.set_rng_state(state)
    assert np.array_equal(first.state["network.members.0.last.weight"], again.state["network.members.0.last.weight"])
    assert np.array_equal(first.values, again.values)
    assert not np.array_equal(
        first.state["network.members.0.last.weight"], other.state["network.members.0.last.weight"]
    )


@pytest.mark.usefixtures("narrow")
def test_negative_control_without_truth_no_order() -> None:
    """With permuted real labels, half of the labels flipped and two classes, good and bad rows are exchangeable.

    So the AUROC is symmetric about .5 and its mean over worlds within three standard errors of it.
    """
    found = []
    for seed in range(6):
        mixture, bad = world(seed, 0.5, count=80)
        permuted = np.random.default_rng(seed).permutation(mixture.real.y)
        mixture = replace(mixture, real=replace(mixture.real, y=permuted))
        features = describe(mixture, seed)
        weights = weigh(mixture, features, seed, steps=5)
        log_weights = log_weights_of(weights.state, mixture)(mixture, features)
        found.append(roc_auc_score(~bad, log_weights[mixture.is_synth]))
    assert np.std(found) > 0.05, "single worlds are far from .5"
    assert abs(np.mean(found) - 0.5) < 3 * np.std(found, ddof=1) / np.sqrt(len(found))


# ------------------------------------------------------------------------------------------------------ inputs


@pytest.mark.usefixtures("narrow")
def test_batches_are_bytes_and_the_network_sees_what_the_learner_of_a_run_sees() -> None:
    mixture, _ = world(0, 0.0)
    seen, rows = Pictures.of(mixture), torch.tensor([150, 3, 3])
    assert seen.side == 16 and seen[rows].dtype == torch.uint8
    assert np.array_equal(seen[rows][0].numpy(), np.asarray(mixture.synth.x[[110]])[0])
    one, net = seen.learner(2, torch.Generator().manual_seed(0)), ResidualNet(16, 2, 8)
    one.params["head.weight"] += 0.1
    want = net.probabilities(one.params, mixture.synth.x[[110]])
    found = torch.softmax(one.logits(one.params, seen[rows[:1]]), dim=1)
    torch.testing.assert_close(found, torch.from_numpy(want))


def test_rows_that_are_no_pictures_are_refused() -> None:
    mixture, _ = world(0, 0.0)
    features = describe(mixture, 0)
    flat = [replace(part, x=np.zeros((len(part), 5))) for part in (mixture.real, mixture.synth, mixture.valid)]
    with pytest.raises(DataError, match="pictures are needed"):
        LearnedWeights("cnn")(Mixture(*flat, mixture.classes), features, Seeds(0))
