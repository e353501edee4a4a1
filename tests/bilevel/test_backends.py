"""Every score backend on every kind of layer, against the gradient of each row taken alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from synthsift.bilevel.backends import ATTENTION, JVP, FiniteDifference, LastLayer, _no_forward_mode
from synthsift.bilevel.ghost import Ghost
from synthsift.bilevel.lookahead import LookAhead, scores_at
from synthsift.bilevel.rowlosses import CrossEntropy, RowLosses, scoring_mode
from synthsift.bilevel.schedule import as_source
from synthsift.records import DataError

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

N = 7


class Tied(nn.Module):
    """Words in, words out, one matrix for both, as language models have it."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 6, padding_idx=0)
        self.norm = nn.RMSNorm(6)
        self.out = nn.Linear(6, 11)
        self.out.weight = self.words.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.norm(self.words(x)).mean(dim=1))


class Residual(nn.Module):
    """A rectifier in place, and layers that are called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular")
        self.norm = nn.GroupNorm(1, 2)
        self.head = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2):
            out = nn.functional.relu(self.norm(self.conv(x)), inplace=True)
            x = out + x
        return self.head(x.mean(dim=(2, 3)))


class Attention(nn.Module):
    """Plain projections around torch's fused attention."""

    def __init__(self) -> None:
        super().__init__()
        self.mix, self.head = nn.Linear(4, 12), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.mix(x)[:, None].chunk(3, dim=-1)
        return self.head(nn.functional.scaled_dot_product_attention(q, k, v)[:, 0].mean(dim=1))


class Functional(nn.Module):
    """Uses a layer's weight behind its back."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x)) @ self.first.weight)


def images(channels: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(N, channels, 5, 5, dtype=torch.float64)


def channels_last() -> Tensor:
    """The gradient that comes back through the flattening has its channels first."""
    return images(2)().to(memory_format=torch.channels_last)


def rows(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(N, *shape, dtype=torch.float64)


def words() -> Tensor:
    return torch.randint(0, 11, (N, 5))


def with_batch_norm() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(36, 3)
    )


EXACT: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "mlp": (lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(inplace=True), nn.Linear(5, 3)), rows(4)),
    "layer norm": (lambda: nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 3)), rows(4)),
    "conv": (Residual, images(2)),
    "strided": (
        lambda: nn.Sequential(nn.Conv2d(2, 4, 3, stride=2, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)),
        images(2),
    ),
    "conv1d": (lambda: nn.Sequential(nn.Conv1d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(9, 3)), rows(2, 5)),
    "words": (lambda: nn.Sequential(nn.Embedding(11, 4, padding_idx=0), nn.Flatten(), nn.Linear(20, 3)), words),
    "tied": (Tied, words),
    "batch norm": (with_batch_norm, images(2)),
    "channels last": (
        lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Tanh(), nn.Linear(36, 3)),
        channels_last,
    ),
    "attention": (Attention, rows(3, 4)),
}
FALL_BACK = {
    "functional": (Functional, rows(4)),
    "transformer": (lambda: nn.Sequential(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), Mean()), rows(3, 4)),
    "bilinear": (lambda: Pairs(), rows(4)),
}


class Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=1)


class Pairs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Bilinear(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x, x)


def make(case: tuple[Callable[[], nn.Module], Callable[[], Tensor]]) -> tuple[RowLosses, Any, dict[str, Tensor]]:
    """A model (float64, evaluation mode), a batch, and a random direction."""
    torch.manual_seed(0)
    model = case[0]().double().eval()
    of = RowLosses(model, CrossEntropy(False))
    batch = (case[1](), torch.arange(N) % 3)
    direction = {name: torch.randn_like(p) for name, p in of.parameters().items()}
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            direction[f"{name}.weight"][module.padding_idx] = 0  # as Gamma has it, whose padding row gets no gradient
    return of, batch, direction


def by_rows(of: RowLosses, batch: Any, direction: dict[str, Tensor]) -> Tensor:
    """The definition: the gradient of each row's loss, one backward a row, times the direction."""
    found = []
    with scoring_mode(of.model, everything=False):
        for i in range(N):
            loss = of.loss(of.model, tuple(part[i : i + 1] for part in batch))[0]
            grads = torch.autograd.grad(loss, list(of.trainable.values()))
            found.append(sum((g * direction[name]).sum() for name, g in zip(of.trainable, grads, strict=True)))
    return torch.stack(found)  # type: ignore[arg-type]


def error(found: Tensor, right: Tensor) -> float:
    assert found.shape == right.shape and not found.requires_grad
    return float((found - right).norm() / right.norm())


@pytest.mark.parametrize("backend", [JVP, Ghost])
@pytest.mark.parametrize("kind", [*EXACT, *FALL_BACK])
def test_exact_backends(kind: str, backend: Any) -> None:
    of, batch, direction = make({**EXACT, **FALL_BACK}[kind])
    right, used = by_rows(of, batch, direction), backend()
    for _ in range(2):  # the first call of ghost products checks itself, the second relies on it
        with scoring_mode(of.model, everything=True):
            assert error(used(of, of.parameters(), direction, batch), right) < 1e-10
    if backend is Ghost:
        assert (used.fallback is not None) == (kind in FALL_BACK)
        assert any("forward mode instead of ghost" in said for said in used.notices.said) == (kind in FALL_BACK)
    needs_math = kind in ("attention", "transformer") and (backend is JVP or kind in FALL_BACK)
    assert (ATTENTION in used.notices.said) == needs_math


def test_a_padding_row_that_another_layer_uses() -> None:
    """The backward drops the gradient of a padding row, forward mode does not; ghost products follow the backward."""
    of, batch, direction = make(EXACT["tied"])
    direction["words.weight"][0] = 1.0
    right = by_rows(of, batch, direction)
    assert error(Ghost()(of, of.parameters(), direction, batch), right) < 1e-10
    assert error(JVP()(of, of.parameters(), direction, batch), right) > 1e-3


def own_step(of: RowLosses, batch: Any, backend: Any, coefficients: Tensor, gamma: dict[str, Tensor]) -> Tensor:
    """Scores of a real step's own rows, through hooks; the step is plain SGD, so the direction is gamma."""
    ahead = LookAhead(of, torch.optim.SGD(of.model.parameters(), lr=0.01), backend)
    part = ahead.follow(torch.arange(N), batch, own=True)
    losses = of.loss(of.model, batch)
    part.losses, part.coefficients = losses.detach(), coefficients
    ahead.optimizer.zero_grad()
    (coefficients * losses).sum().backward()
    ahead.optimizer.step()
    return ahead.own_scores(ahead.direction(gamma)).detach()


@pytest.mark.parametrize("backend", [JVP, Ghost, FiniteDifference, LastLayer])
@pytest.mark.parametrize("kind", [*EXACT, *FALL_BACK])
def test_the_own_batch_of_a_step(kind: str, backend: Any) -> None:
    of, batch, direction = make({**EXACT, **FALL_BACK}[kind])
    of.model.train()
    if kind == "transformer":
        of.model[0].dropout.p = of.model[0].dropout1.p = of.model[0].dropout2.p = 0.0  # type: ignore[index,union-attr]
        of.model[0].self_attn.dropout = 0.0  # type: ignore[index,union-attr]
    coefficients = torch.softmax(torch.randn(N, dtype=torch.float64), dim=0)
    # statistics that the training forward will not move, so that the twin sees the same
    for module in of.model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0
    right, used = by_rows(of, batch, direction), backend()
    if backend is LastLayer:
        if kind in ("tied", "bilinear", "transformer", "batch norm"):
            return  # its last layer shares its weight, is none, lies inside a layer, or sees the batch's statistics
        head = [name for name in direction if direction[name].shape[0] == 3][-2:]
        right = by_rows(of, batch, {k: v if k in head else torch.zeros_like(v) for k, v in direction.items()})
    found = own_step(of, batch, used, coefficients, direction)
    assert error(found, right) < (3e-2 if backend is FiniteDifference else 1e-10)  # rectifiers have kinks
    if backend is Ghost:
        assert (used.fallback is not None) == (kind in FALL_BACK)
        assert any("second pass with frozen" in said for said in used.notices.said) == (kind == "batch norm")


def test_dropout_of_the_step_is_repeated() -> None:
    """Forward mode has to meet the mask of the step; ghost products have it."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 50), nn.Dropout(0.5), nn.Linear(50, 3)).double().train()
    batch = (torch.randn(N, 4, dtype=torch.float64), torch.arange(N) % 3)
    found = []
    for backend in (Ghost(), JVP()):
        of = RowLosses(model, CrossEntropy(False))
        start = {k: v.clone() for k, v in model.state_dict().items()}
        gamma = {k: torch.ones_like(v) for k, v in of.parameters().items()}
        torch.manual_seed(3)
        found.append(own_step(of, batch, backend, torch.full((N,), 1 / N, dtype=torch.float64), gamma))
        model.load_state_dict(start)
    assert error(found[1], found[0]) < 1e-10


def test_chunks_do_not_matter() -> None:
    of, batch, direction = make(EXACT["batch norm"])
    of.model.train()
    source = as_source(batch, "pool")
    for backend in (JVP(), Ghost()):
        whole, parts = (
            scores_at(of, backend, of.parameters(), direction, source, torch.arange(N), chunk) for chunk in (N, 2)
        )
        assert error(parts, whole) < 1e-12
    assert of.model.training and all(m.training for m in of.model.modules())


def test_stale_products_follow_the_direction_they_were_given() -> None:
    of, batch, direction = make(EXACT["conv"])
    backend = Ghost(stale=True)
    ahead = LookAhead(of, torch.optim.SGD(of.model.parameters(), lr=0.0), backend)
    backend.verified, ahead.stale = True, direction
    part = ahead.follow(torch.arange(N), batch, own=True)
    losses = of.loss(of.model, batch)
    part.losses, part.coefficients = losses.detach(), torch.full((N,), 1 / N, dtype=torch.float64)
    losses.mean().backward()
    assert all(call.x is None and call.delta is None for call in part.tape.calls)  # type: ignore[union-attr]
    other = {name: torch.randn_like(d) for name, d in direction.items()}
    assert error(ahead.own_scores(other), by_rows(of, batch, direction)) < 1e-10
    assert not backend.exact and Ghost().exact


def test_low_precision() -> None:
    """bfloat16: the scores keep the order of the float64 ones."""
    of, batch, direction = make(EXACT["conv"])
    right = by_rows(of, batch, direction)
    low = RowLosses(of.model.bfloat16(), CrossEntropy(False))
    small = (batch[0].bfloat16(), batch[1])
    for backend in (JVP(), Ghost()):
        found = backend(low, low.parameters(), {k: v.bfloat16() for k, v in direction.items()}, small).double()
        assert float(torch.nn.functional.cosine_similarity(found, right, dim=0)) > 0.99


def test_a_direction_of_zero() -> None:
    of, batch, direction = make(EXACT["mlp"])
    nothing = {name: torch.zeros_like(d) for name, d in direction.items()}
    for backend in (JVP(), Ghost(), FiniteDifference(), LastLayer()):
        assert not backend(of, of.parameters(), nothing, batch).any()


def test_an_operation_without_forward_mode_is_named() -> None:
    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Tensor:
            return grads[0] * 2

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return Own.apply(self.layer(x))

    of, batch, direction = make((Odd, rows(4)))
    with pytest.raises(DataError, match=r"forward-mode.*FiniteDifference"):
        JVP()(of, of.parameters(), direction, batch)
    right = by_rows(of, batch, direction)
    assert error(FiniteDifference()(of, of.parameters(), direction, batch), right) < 1e-3
    assert error(Ghost()(of, of.parameters(), direction, batch), right) < 1e-10


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NotImplementedError(), "NotImplementedError"),
        (RuntimeError("no forward AD for x\nmore"), "no forward AD for x"),
        (
            RuntimeError("Cannot access data pointer of Tensor"),
            "Cannot access data pointer of Tensor",
        ),  # cuDNN
    ],
)
def test_a_missing_forward_mode_rule_is_explained_even_if_it_says_nothing(error: Exception, said: str) -> None:
    told = _no_forward_mode(error)
    assert isinstance(told, DataError) and f"({said})" in str(told)
    own = ValueError("mine")
    assert _no_forward_mode(own) is own
