"""The meta-gradient of the engine against unrolled automatic differentiation, through every optimizer it knows.

The twin writes each optimizer's step out as a formula of the shares, keeps the graph, and differentiates the trusted
loss through it; the formula is first checked against ``torch.optim``. All in float64.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from synthsift.bilevel.backends import JVP, FiniteDifference
from synthsift.bilevel.controls import SelfNormalized
from synthsift.bilevel.ghost import Ghost
from synthsift.bilevel.reweighter import Reweighter
from synthsift.bilevel.rowlosses import CrossEntropy
from synthsift.bilevel.schedule import Schedule
from synthsift.bilevel.selector import Selector
from synthsift.bilevel.updates import check_optimizer
from synthsift.records import DataError

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

N, M, K = 19, 13, 4
OPTIMIZERS: dict[str, tuple[type, dict[str, Any]]] = {
    "sgd": (torch.optim.SGD, {"lr": 0.3}),
    "decay": (torch.optim.SGD, {"lr": 0.3, "weight_decay": 0.05}),
    "momentum": (torch.optim.SGD, {"lr": 0.3, "momentum": 0.9, "weight_decay": 0.05}),
    "dampening": (torch.optim.SGD, {"lr": 0.3, "momentum": 0.9, "dampening": 0.4}),
    "nesterov": (torch.optim.SGD, {"lr": 0.3, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    "maximize": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.4, "maximize": True}),
    "adam": (torch.optim.Adam, {"lr": 0.02}),
    "adam l2": (torch.optim.Adam, {"lr": 0.02, "weight_decay": 0.1}),
    "adamw": (torch.optim.AdamW, {"lr": 0.02, "weight_decay": 0.1}),
    "amsgrad": (torch.optim.AdamW, {"lr": 0.02, "amsgrad": True}),
}


def each(**settings: Any) -> Schedule:
    """A schedule whose selector steps with every step of the learner, however small the batch."""
    return Schedule(**{"least_rows": 1, **settings})


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


FEATURES, X, Y = normal(N, K, seed=1), normal(N, 5, seed=2), torch.arange(N) % 3
TRUSTED = (normal(M, 5, seed=3), torch.arange(M) % 3)


def make_model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double()


def make_selector(seed: int = 0) -> Selector:
    """A selector that is no longer at its start, where weights are equal."""
    selector = Selector(FEATURES, SelfNormalized(0.0), hidden=6, dtype=torch.float64, seeds=seed)
    with torch.no_grad():
        selector.network.last.weight.copy_(normal(1, 6, seed=5))
    return selector


def stepped(optimizer: Any, params: list[Tensor], grads: list[Tensor], state: list[dict[str, Any]]) -> list[Tensor]:
    """Return the parameters after one step as formulas of the gradients."""
    moved, options = [], optimizer.param_groups[0]
    for p, g, old in zip(params, grads, state, strict=True):
        sign = -1.0 if options["maximize"] else 1.0
        g, p_new = sign * g, p
        if isinstance(optimizer, torch.optim.SGD):
            g = g + options["weight_decay"] * p
            if options["momentum"]:
                buffer = old.get("momentum_buffer")
                buffer = g if buffer is None else options["momentum"] * buffer + (1 - options["dampening"]) * g
                g = g + options["momentum"] * buffer if options["nesterov"] else buffer
            moved.append(p_new - options["lr"] * g)
            continue
        if isinstance(optimizer, torch.optim.AdamW):
            p_new = p * (1 - options["lr"] * options["weight_decay"])
        else:
            g = g + options["weight_decay"] * p
        b1, b2 = options["betas"]
        t = float(old["step"]) + 1 if old else 1.0
        m = b1 * (old["exp_avg"] if old else 0) + (1 - b1) * g
        v = b2 * (old["exp_avg_sq"] if old else 0) + (1 - b2) * g * g
        if options["amsgrad"]:
            v = torch.maximum(v, old["max_exp_avg_sq"]) if old else v
        scale = (v / (1 - b2**t)).sqrt() + options["eps"]
        moved.append(p_new - options["lr"] * m / (1 - b1**t) / scale)
    return moved


def unrolled(model: nn.Module, optimizer: Any, selector: Selector) -> tuple[Tensor, list[Tensor]]:
    """Return the selector's gradient of the trusted loss after the coming step, and where the step leads."""
    params = [p.detach().clone().requires_grad_() for p in model.parameters()]
    names = [name for name, _ in model.named_parameters()]
    state = [
        {k: v.clone() if isinstance(v, Tensor) else v for k, v in optimizer.state.get(p, {}).items()}
        for p in model.parameters()
    ]
    p = torch.softmax(selector.network(selector.features), dim=0)

    def losses(at: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
        out = torch.func.functional_call(model, dict(zip(names, at, strict=True)), (x,))
        return nn.functional.cross_entropy(out, y, reduction="none")

    grads = torch.autograd.grad((p * losses(params, X, Y)).sum(), params, create_graph=True)
    moved = stepped(optimizer, params, list(grads), state)
    found = torch.autograd.grad(losses(moved, *TRUSTED).mean(), list(selector.network.parameters()))
    return torch.cat([g.reshape(-1) for g in found]), [v.detach() for v in moved]


def engine_gradient(reweighter: Reweighter) -> Tensor:
    """Let the loop run one step; return the selector's gradient instead of following it."""
    caught: list[Tensor] = []

    def catch(rows: Tensor, scores: Tensor) -> dict[str, float]:
        selector.gradient(rows, scores)
        flat = torch.cat([p.grad.reshape(-1) for p in selector.network.parameters()])  # type: ignore[union-attr]
        caught.append(flat * scores.std())
        return {}

    selector = reweighter.selector
    selector.update = catch  # type: ignore[method-assign,assignment]
    reweighter.ahead.optimizer.zero_grad()
    reweighter.loss(torch.arange(N), (X, Y)).backward()
    reweighter.ahead.optimizer.step()
    reweighter.step()
    return caught[0]


def relative_error(found: Tensor, right: Tensor) -> float:
    return float((found - right).norm() / right.norm())


BACKENDS = {"ghost": Ghost, "jvp": JVP}
SCHEDULE = each(trusted_rows=M, diagnose=0)


def make_reweighter(model: nn.Module, optimizer: Any, backend: Any, schedule: Schedule = SCHEDULE) -> Reweighter:
    return Reweighter(
        model, optimizer, make_selector(), TRUSTED, loss=CrossEntropy(False), scores=backend, schedule=schedule
    )


def train(model: nn.Module, optimizer: Any, steps: int) -> None:
    for k in range(steps):
        optimizer.zero_grad()
        weights = torch.softmax(normal(N, seed=20 + k), dim=0)
        (weights * nn.functional.cross_entropy(model(X), Y, reduction="none")).sum().backward()
        optimizer.step()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("steps", [0, 3], ids=["first step", "moving"])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_meta_gradient_is_the_unrolled_one(kind: str, steps: int, backend: str) -> None:
    make, options = OPTIMIZERS[kind]
    model = make_model()
    optimizer = make(model.parameters(), **options)
    train(model, optimizer, steps)
    right, moved = unrolled(model, optimizer, make_selector())
    reweighter = make_reweighter(model, optimizer, BACKENDS[backend]())
    found = engine_gradient(reweighter)
    assert reweighter.notices.said == []  # ghost products were not given up
    for p, expected in zip(model.parameters(), moved, strict=True):
        assert torch.allclose(p, expected, rtol=0, atol=1e-13)  # the twin's step is torch's
    # the first step of Adam is nearly the sign of the gradient, so its derivative cancels to eps / |g|: 1e-10 there,
    # 1e-15 elsewhere
    assert relative_error(options["lr"] * found, right) <= 1e-10


@pytest.mark.parametrize(("two_sided", "bound"), [(True, 1e-4), (False, 5e-2)])
def test_finite_differences_come_close(two_sided: bool, bound: float) -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    right, _ = unrolled(model, optimizer, make_selector())
    found = engine_gradient(make_reweighter(model, optimizer, FiniteDifference(two_sided=two_sided)))
    assert 1e-9 < relative_error(0.3 * found, right) < bound  # smooth units: second and first order in 1e-2


def test_groups_with_different_rates_and_a_frozen_layer() -> None:
    """Scores are in units of the largest rate; what the optimizer does not hold cannot answer."""
    model = make_model()
    first, last = model[0], model[2]
    last.bias.requires_grad_(False)
    groups = [{"params": [first.weight], "lr": 0.05}, {"params": [last.weight], "lr": 0.2}]
    optimizer = torch.optim.SGD(groups, momentum=0.9, nesterov=True)
    reweighter = make_reweighter(model, optimizer, Ghost())
    p = torch.softmax(reweighter.selector.network(reweighter.selector.features), dim=0)
    losses = nn.functional.cross_entropy(model(X), Y, reduction="none")
    g = torch.autograd.grad((p * losses).sum(), [first.weight, last.weight], create_graph=True)
    moved = {"0.weight": first.weight - 0.05 * 1.9 * g[0], "2.weight": last.weight - 0.2 * 1.9 * g[1]}
    out = torch.func.functional_call(model, moved, (TRUSTED[0],))
    loss = nn.functional.cross_entropy(out, TRUSTED[1])
    found = torch.autograd.grad(loss, list(reweighter.selector.network.parameters()))
    right = torch.cat([part.reshape(-1) for part in found])
    assert relative_error(0.2 * engine_gradient(reweighter), right) <= 1e-10


def test_a_rate_of_zero_still_scores() -> None:
    """In a warm-up of the learner the scores are those per unit of the rate."""
    found = []
    for rate in (0.0, 1e-9):
        model = make_model()
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
        found.append(engine_gradient(make_reweighter(model, optimizer, Ghost())))
    assert relative_error(found[0], found[1]) < 1e-6  # the step of 1e-9 itself


def test_plain_gamma_under_adam_is_another_gradient() -> None:
    """The reason for the derivative of the update: without it the direction turns."""
    model = make_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    train(model, optimizer, 3)
    right, _ = unrolled(model, optimizer, make_selector())
    reweighter = make_reweighter(model, optimizer, JVP())
    reweighter.ahead.pullback = lambda gamma: gamma
    found = engine_gradient(reweighter)
    assert float(found @ right / found.norm() / right.norm()) < 0.999


def test_an_unknown_optimizer_is_refused_or_explained() -> None:
    model = make_model()
    unknown = torch.optim.RMSprop(model.parameters())
    with pytest.raises(DataError, match=r"RMSprop.*SGD, Adam and AdamW.*pullback="):
        check_optimizer(unknown)
    Reweighter(model, unknown, FEATURES, TRUSTED, pullback=lambda gamma: gamma)


def test_a_subclass_may_step_otherwise() -> None:
    class Signs(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                for p in group["params"]:
                    p.data.sub_(0.1 * p.grad.sign())

    with pytest.raises(DataError, match=r"Signs.*SGD, Adam and AdamW of torch\.optim itself.*pullback="):
        check_optimizer(Signs(make_model().parameters(), lr=0.1))
