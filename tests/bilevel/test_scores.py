"""The scores and the objective give the meta-gradient that unrolling the learner's step would give, without unrolling.

Everything is in float64, so the tolerances are a few thousand roundings: 1e-10 through a network and two
differentiations, 1e-12 for a closed form against automatic differentiation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor

from synthsift.bilevel import inner
from synthsift.bilevel.inner import MOMENTUM, LinearLearner, NetworkLearner
from synthsift.bilevel.metanet import MetaNet
from synthsift.bilevel.objective import meta_gradient, shares, standardized_scores
from synthsift.bilevel.scores import Parameters, jvp_scores, linear_scores

# torch compiles rules for forward-mode differentiation at its first use, by a function that it has deprecated itself.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

NUM_ROWS, NUM_TRUSTED, DIM, NUM_CLASSES, HIDDEN, NUM_FEATURES = 23, 11, 5, 3, 7, 4
RATE, DECAY = 0.3, 0.05
Logits = Callable[[Mapping[str, Tensor], Tensor], Tensor]


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def labels(num: int, seed: int) -> Tensor:
    return torch.randint(NUM_CLASSES, (num,), generator=torch.Generator().manual_seed(seed))


X, Y = normal(NUM_ROWS, DIM, seed=1), labels(NUM_ROWS, seed=2)
TRUSTED_X, TRUSTED_Y = normal(NUM_TRUSTED, DIM, seed=3), labels(NUM_TRUSTED, seed=4)
FEATURES = normal(NUM_ROWS, NUM_FEATURES, seed=5)


def linear_logits(params: Mapping[str, Tensor], x: Tensor) -> Tensor:
    return x @ params["slope"] + params["offset"]


def network_logits(params: Mapping[str, Tensor], x: Tensor) -> Tensor:
    return torch.relu(x @ params["hidden"] + params["bias"]) @ params["slope"] + params["offset"]


def linear_params(seed: int) -> Parameters:
    return {"slope": normal(DIM, NUM_CLASSES, seed=seed), "offset": normal(NUM_CLASSES, seed=seed + 1)}


def network_params(seed: int) -> Parameters:
    return {
        "hidden": normal(DIM, HIDDEN, seed=seed),
        "bias": normal(HIDDEN, seed=seed + 1),
        "slope": normal(HIDDEN, NUM_CLASSES, seed=seed + 2),
        "offset": normal(NUM_CLASSES, seed=seed + 3),
    }


MODELS: dict[str, tuple[Logits, Callable[[int], Parameters]]] = {
    "linear": (linear_logits, linear_params),
    "network": (network_logits, network_params),
}


def make_learner(kind: str, params: Parameters, velocity: Parameters) -> LinearLearner | NetworkLearner:
    if kind == "linear":
        return LinearLearner(params["slope"], params["offset"], RATE, DECAY, velocity)
    return NetworkLearner(params, RATE, DECAY, velocity)


def make_network() -> MetaNet:
    """A meta-network past its start: the last layer begins at zero, where the other layers have no gradient."""
    network = MetaNet(NUM_FEATURES, 6, torch.Generator().manual_seed(6)).double()
    with torch.no_grad():
        for k, p in enumerate(network.parameters()):
            p.copy_(normal(*p.shape, seed=10 + k))
    return network


def row_losses(logits_of: Logits, params: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits_of(params, x), y, reduction="none")


def gradient_vector(network: MetaNet) -> Tensor:
    return torch.cat([p.grad.reshape(-1) for p in network.parameters() if p.grad is not None])


def relative_error(found: Tensor, right: Tensor) -> float:
    return float((found - right).norm() / right.norm())


def unrolled_gradient(kind: str, start: Parameters, velocity: Parameters) -> Tensor:
    """The slow twin: differentiate the trusted loss after the step through the step itself."""
    logits_of, network = MODELS[kind][0], make_network()
    params = {name: value.clone().requires_grad_() for name, value in start.items()}
    weights = torch.sigmoid(network.last(torch.tanh(network.second(torch.tanh(network.first(FEATURES))))).squeeze(-1))
    loss = (weights / weights.sum() * row_losses(logits_of, params, X, Y)).sum()
    decays = "slope" if kind == "linear" else ""  # the linear learner leaves its offset alone
    gradient = dict(zip(params, torch.autograd.grad(loss, list(params.values()), create_graph=True), strict=True))
    moved = {}
    for name, value in params.items():
        force = gradient[name] + (DECAY * value if decays in name else 0)
        moved[name] = value - RATE * (MOMENTUM * velocity.get(name, torch.zeros_like(value)) + force)
    row_losses(logits_of, moved, TRUSTED_X, TRUSTED_Y).mean().backward()
    return gradient_vector(network)


@pytest.mark.parametrize("moving", [False, True], ids=["at rest", "moving"])
@pytest.mark.parametrize("kind", ["linear", "network"])
def test_meta_gradient_is_the_unrolled_one(kind: str, moving: bool) -> None:
    """Up to the factor rate * std(s), which the standardized scores leave out; momentum and decay do not enter it."""
    start = MODELS[kind][1](20)
    velocity = MODELS[kind][1](40) if moving else {}
    network, learner = make_network(), make_learner(kind, start, velocity)
    log_weights = network(FEATURES)
    learner.step(X, Y, shares(log_weights).detach())
    scores = learner.scores(learner.trusted_gradient(TRUSTED_X, TRUSTED_Y), X, Y)
    log_weights.backward(meta_gradient(log_weights.detach(), scores, 0.0))
    found = RATE * scores.std() * gradient_vector(network)
    assert relative_error(found, unrolled_gradient(kind, start, velocity)) <= 1e-10


@pytest.mark.parametrize("kind", ["linear", "network"])
def test_scores_are_the_derivatives_by_the_shares(kind: str) -> None:
    """d L_trusted(theta') / d p_i = - rate * s_i, by central differences of the learner's own step."""
    start = MODELS[kind][1](20)
    p = torch.full((NUM_ROWS,), 1.0 / NUM_ROWS, dtype=torch.float64)

    def after(shares_used: Tensor) -> float:
        learner = make_learner(kind, start, {})
        learner.step(X, Y, shares_used)
        moved = {"slope": learner.slope, "offset": learner.offset} if kind == "linear" else learner.params  # type: ignore
        return float(row_losses(MODELS[kind][0], moved, TRUSTED_X, TRUSTED_Y).mean())

    learner = make_learner(kind, start, {})
    learner.step(X, Y, p)
    scores = learner.scores(learner.trusted_gradient(TRUSTED_X, TRUSTED_Y), X, Y)
    step = 1e-5 * torch.eye(NUM_ROWS, dtype=torch.float64)
    slopes = torch.tensor([(after(p + e) - after(p - e)) / 2e-5 for e in step], dtype=torch.float64)
    assert relative_error(-RATE * scores, slopes) < 1e-7  # of a central difference: about step^2 + rounding / step


@pytest.mark.parametrize("kind", ["linear", "network"])
def test_jvp_scores_are_dot_products_of_row_gradients(kind: str) -> None:
    logits_of, make = MODELS[kind]
    params, direction = make(20), make(60)
    leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
    losses = row_losses(logits_of, leaves, X, Y)
    right = []
    for loss in losses:
        gradient = torch.autograd.grad(loss, list(leaves.values()), retain_graph=True)
        right.append(sum((g * d).sum() for g, d in zip(gradient, direction.values(), strict=True)))
    found = jvp_scores(logits_of, params, direction, X, Y)
    assert relative_error(found, torch.stack(right)) < 1e-12  # type: ignore


def test_linear_scores_are_the_jvp_scores() -> None:
    params, direction = linear_params(20), linear_params(60)
    residual = torch.softmax(linear_logits(params, X), dim=1) - torch.eye(NUM_CLASSES, dtype=torch.float64)[Y]
    found = linear_scores(residual, X, direction["slope"], direction["offset"])
    assert relative_error(found, jvp_scores(linear_logits, params, direction, X, Y)) < 1e-12


def test_the_linear_learner_is_the_network_learner_without_a_hidden_layer() -> None:
    """Its closed forms of step, trusted gradient and scores against the differentiated ones; no decay of the offset."""
    start, p = linear_params(20), shares(normal(NUM_ROWS, seed=7))
    learner = LinearLearner(start["slope"], start["offset"], RATE, DECAY)
    learner.step(X, Y, p)

    def weighted(params: Parameters) -> Tensor:
        return (p * row_losses(linear_logits, params, X, Y)).sum() + 0.5 * DECAY * (params["slope"] ** 2).sum()

    gradient = torch.func.grad(weighted)(start)
    moved = {name: value - RATE * gradient[name] for name, value in start.items()}
    assert relative_error(learner.slope, moved["slope"]) < 1e-12
    assert relative_error(learner.offset, moved["offset"]) < 1e-12
    direction = torch.func.grad(lambda at: row_losses(linear_logits, at, TRUSTED_X, TRUSTED_Y).mean())(moved)
    found = learner.trusted_gradient(TRUSTED_X, TRUSTED_Y)
    assert all(relative_error(found[name], direction[name]) < 1e-12 for name in direction)
    scores = jvp_scores(linear_logits, start, direction, X, Y)
    assert relative_error(learner.scores(direction, X, Y), scores) < 1e-12


def confident(kind: str, labels: Tensor, times: float) -> tuple[LinearLearner | NetworkLearner, Tensor]:
    """A learner whose logits are `times` too far apart, and trusted rows that agree with most of them."""
    learner = make_learner(kind, MODELS[kind][1](20), {})
    plain = MODELS[kind][0](MODELS[kind][1](20), TRUSTED_X)
    y = torch.where(torch.arange(NUM_TRUSTED) % 4 == 0, labels, plain.argmax(dim=1))
    if isinstance(learner, LinearLearner):
        learner.slope, learner.offset = times * learner.slope, times * learner.offset
    else:
        learner.params = {
            name: v * (times if name in ("slope", "offset") else 1.0) for name, v in learner.params.items()
        }
    return learner, y


@pytest.mark.parametrize("kind", ["linear", "network"])
def test_the_calibrated_gradient_is_that_of_the_best_temperature(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Envelope theorem: by central differences of min_T CE(logits / T), the minimum taken anew at every point."""
    monkeypatch.setattr(inner, "TEMPERATURE_TOLERANCE", 1e-9)
    learner, y = confident(kind, TRUSTED_Y, 5.0)
    params = {"slope": learner.slope, "offset": learner.offset} if kind == "linear" else learner.params  # type: ignore

    def lowest(at: Parameters) -> float:
        logits = MODELS[kind][0](at, TRUSTED_X)
        return min(
            float(torch.nn.functional.cross_entropy(logits / t, y)) for t in torch.linspace(1, 99, 20_001).tolist()
        )

    found = learner.trusted_gradient(TRUSTED_X, y, calibrated=True)
    direction = {name: normal(*value.shape, seed=80 + k) for k, (name, value) in enumerate(params.items())}
    slope = sum(float((found[name] * direction[name]).sum()) for name in params)
    ahead, behind = ({k: v + sign * 1e-3 * direction[k] for k, v in params.items()} for sign in (1, -1))
    # the grid of T misses the minimum by at most (3e-3)^2 / 2 times the curvature: far below the difference
    assert slope == pytest.approx((lowest(ahead) - lowest(behind)) / 2e-3, rel=1e-3)
    plain = learner.trusted_gradient(TRUSTED_X, y)
    assert relative_error(found["slope"], plain["slope"]) > 0.1, "the learner was over-confident"


@pytest.mark.parametrize("kind", ["linear", "network"])
def test_trusted_rows_that_contradict_the_learner_have_no_calibrated_gradient(kind: str) -> None:
    learner, _ = confident(kind, TRUSTED_Y, 5.0)
    y = MODELS[kind][0](MODELS[kind][1](20), TRUSTED_X).argmin(dim=1)
    found = learner.trusted_gradient(TRUSTED_X, y, calibrated=True)
    assert all(float(value.abs().max()) == 0.0 for value in found.values())


@pytest.mark.parametrize("kind", ["linear", "network"])
def test_an_unsure_learner_is_judged_as_it_is(kind: str) -> None:
    learner, y = confident(kind, TRUSTED_Y, 0.01)
    plain, found = (learner.trusted_gradient(TRUSTED_X, y, calibrated=flag) for flag in (False, True))
    assert all(torch.equal(plain[name], found[name]) for name in plain)


@pytest.mark.parametrize(
    "learner", [LinearLearner(torch.zeros(2, 2), torch.zeros(2), 0.1, 0.0), NetworkLearner({}, 0.1, 0.0)]
)
def test_scores_before_a_step_are_refused(learner: LinearLearner | NetworkLearner) -> None:
    with pytest.raises(AssertionError, match="take a step"):
        learner.scores({}, X, Y)


# -------------------------------------------------------------------------------------------------- the objective


def meta_loss(log_weights: Tensor, scores: Tensor, strength: float) -> Tensor:
    """The objective as it is written in `objective`, for automatic differentiation."""
    p = shares(log_weights)
    return -(p * standardized_scores(scores, p)).sum() + strength * (p * torch.log(p * len(p))).sum()


@pytest.mark.parametrize("strength", [0.0, 0.5, 3.0])
def test_meta_gradient_is_the_derivative_of_meta_loss(strength: float) -> None:
    log_weights, scores = normal(NUM_ROWS, seed=8).requires_grad_(), normal(NUM_ROWS, seed=9)
    meta_loss(log_weights, scores, strength).backward()
    assert log_weights.grad is not None
    assert relative_error(meta_gradient(log_weights.detach(), scores, strength), log_weights.grad) < 1e-12


def test_a_constant_in_the_scores_does_not_matter() -> None:
    """Nor, therefore, whether the mean that is subtracted from the scores is differentiated: shares sum to 1."""
    log_weights, scores = normal(NUM_ROWS, seed=8).requires_grad_(), normal(NUM_ROWS, seed=9)
    right = meta_gradient(log_weights.detach(), scores, 0.5)
    assert relative_error(meta_gradient(log_weights.detach(), scores + 7.0, 0.5), right) < 1e-12
    assert relative_error(meta_gradient(log_weights.detach() + 7.0, scores, 0.5), right) < 1e-12
    p = shares(log_weights)
    plain = -(p * scores).sum() / scores.std() + 0.5 * (p * torch.log(p * NUM_ROWS)).sum()
    assert relative_error(torch.autograd.grad(plain, log_weights)[0], right) < 1e-12


def test_the_size_of_the_scores_does_not_matter() -> None:
    log_weights, scores = normal(NUM_ROWS, seed=8), normal(NUM_ROWS, seed=9)
    small, large = (meta_gradient(log_weights, factor * scores, 0.5) for factor in (1e-6, 1e6))
    assert relative_error(small, large) < 1e-12


def test_standardized_scores() -> None:
    p, scores = shares(normal(NUM_ROWS, seed=8)), 3 + 5 * normal(NUM_ROWS, seed=9)
    found = standardized_scores(scores, p)
    assert abs(float((p * found).sum())) < 1e-12 and abs(float(found.std()) - 1) < 1e-12
    assert torch.equal(standardized_scores(torch.full((4,), 2.0), torch.full((4,), 0.25)), torch.zeros(4))


def test_rest_points() -> None:
    """The objective rests at p ~ exp(s / strength), so at equal weights where the scores do not differ."""
    scores = normal(NUM_ROWS, seed=9)
    assert meta_gradient(scores / scores.std() / 0.5, scores, 0.5).abs().max() < 1e-14
    assert meta_gradient(torch.zeros(NUM_ROWS), torch.ones(NUM_ROWS), 0.5).abs().max() < 1e-7  # float32 here
    assert meta_gradient(torch.zeros(NUM_ROWS).double(), scores, 0.5).abs().max() > 1e-3
