"""Layers that answer once for all rows, layers without a forward-mode derivative, and labels that are none.

Scores are held against the gradient of each row's own loss, in the training's own step and on another batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from test_backends import error
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from synthsift.bilevel.backends import ATTENTION, JVP, PLAIN, FiniteDifference, NoForwardModeError
from synthsift.bilevel.ghost import MIXED, Ghost, few_rows, rows_of
from synthsift.bilevel.lookahead import LookAhead
from synthsift.bilevel.reweighter import Reweighter
from synthsift.bilevel.rowlosses import CrossEntropy, RowLosses, scoring_mode
from synthsift.bilevel.schedule import Schedule
from synthsift.bilevel.trainer_hook import label_losses
from synthsift.records import DataError

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

N, T, D, WORDS = 7, 5, 6, 11
PLACES = torch.arange(T)


class Encoder(nn.Module):
    """Words plus positions, fused attention and a head, as BERT has them; `places` says how positions come in."""

    def __init__(self, places: Callable[[Encoder, Tensor], Tensor]) -> None:
        super().__init__()
        self.words, self.positions, self.far = nn.Embedding(WORDS, D), nn.Embedding(T, D), nn.Linear(3, D)
        self.norm, self.mix, self.head = nn.LayerNorm(D), nn.Linear(D, 3 * D), nn.Linear(D, 3)
        self.places = places

    def forward(self, x: Tensor) -> Tensor:
        h = self.places(self, self.words(x))
        q, k, v = self.mix(self.norm(h))[:, None].chunk(3, dim=-1)
        return self.head((h + nn.functional.scaled_dot_product_attention(q, k, v)[:, 0]).mean(dim=1))


def in_place(m: Encoder, words: Tensor) -> Tensor:
    return words + m.positions(PLACES[None]).mul_(2.0).add_(1.0)


def from_numbers(m: Encoder, words: Tensor) -> Tensor:
    """Positions as waves, through a linear layer and a normalization."""
    return words + m.norm(m.far(torch.sin(PLACES[:, None] * torch.ones(3, dtype=words.dtype))))


def for_each_head(m: Encoder, words: Tensor) -> Tensor:
    """Rows have two axes before the positions: a copy for each row would be taken for the first of them."""
    return (words[:, None].expand(N, 1, T, D) + m.positions(PLACES[None]))[:, 0]


SPREAD: dict[str, Callable[[Encoder, Tensor], Tensor]] = {
    "an axis of 1": lambda m, words: words + m.positions(PLACES[None]),
    "no axis": lambda m, words: words + m.positions(PLACES),
    "in place": in_place,
    "from numbers": from_numbers,
    "turned": lambda m, words: (words.transpose(0, 1) + m.positions(PLACES[None]).transpose(0, 1)).transpose(0, 1),
    "both": lambda m, words: words + m.positions(PLACES[None]) + m.far(torch.ones(1, 1, 3, dtype=words.dtype)),
}
NOT_SPREAD: dict[str, Callable[[Encoder, Tensor], Tensor]] = {
    "repeated": lambda m, words: words + m.positions(PLACES[None]).repeat(len(words), 1, 1),
    "another axis": lambda m, words: words + m.positions(PLACES)[None],
    "viewed": lambda m, words: words + m.positions(PLACES[None]).view(T, D),
    "the first one": lambda m, words: words + m.positions(PLACES[None])[0],
    "for each head": for_each_head,
    "one mask for all": lambda m, words: words + nn.functional.dropout(m.positions(PLACES[None]), 0.3, m.training),
}


def by_rows(of: RowLosses, batch: Any, direction: dict[str, Tensor]) -> Tensor:
    """The definition: the gradient of each row's loss, one backward a row, times the direction."""
    found = []
    with scoring_mode(of.model, everything=False):
        state = torch.get_rng_state()
        for i in range(len(of.loss(of.model, batch))):
            torch.set_rng_state(state)
            grads = torch.autograd.grad(of.loss(of.model, batch)[i], list(of.trainable.values()), allow_unused=True)
            moves = zip(grads, direction.values(), strict=True)
            found.append(sum((g * d).sum() for g, d in moves if g is not None))
        torch.set_rng_state(state)
    return torch.stack(found)  # type: ignore[arg-type]


def two_steps(of: RowLosses, batch: Any, backend: Any, direction: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Scores of two steps' own rows by hooks, and by rows at the same parameters; the second relies on the first."""
    ahead, found = LookAhead(of, torch.optim.SGD(of.model.parameters(), lr=0.01), backend), []
    for _ in range(2):
        coefficients = torch.softmax(torch.randn(N, dtype=torch.float64), dim=0)
        right = by_rows(of, batch, direction)  # with the random numbers that the step is about to draw
        before = torch.get_rng_state()
        part = ahead.follow(torch.arange(N), batch, own=True)
        assert torch.equal(before, torch.get_rng_state())
        losses = of.loss(of.model, batch)
        if part.tape is not None:
            part.tape.hold()
        part.losses, part.coefficients = losses.detach(), coefficients.to(losses.dtype)
        ahead.optimizer.zero_grad()
        (part.coefficients * losses).sum().backward()
        ahead.optimizer.step()
        found.append((ahead.own_scores(ahead.direction(direction)).detach(), right))
        ahead.close()
        ahead.clear()
    return found


def directions(of: RowLosses) -> dict[str, Tensor]:
    return {name: torch.randn_like(p) for name, p in of.parameters().items()}


def encoder(places: Callable[[Encoder, Tensor], Tensor]) -> tuple[RowLosses, Any]:
    torch.manual_seed(0)
    return RowLosses(Encoder(places).double(), CrossEntropy(False)), (
        torch.randint(0, WORDS, (N, T)),
        torch.arange(N) % 3,
    )


@pytest.mark.parametrize("kind", [*SPREAD, *NOT_SPREAD])
def test_position_embeddings(kind: str) -> None:
    of, batch = encoder({**SPREAD, **NOT_SPREAD}[kind])
    direction, used = directions(of), Ghost()
    for found, right in two_steps(of, batch, used, direction):
        assert error(found, right) < 1e-10
    assert (used.fallback is None) == (kind in SPREAD) and (not used.notices.said) == (kind in SPREAD)
    of.model.eval()
    used, right = Ghost(), by_rows(of, batch, direction)
    for _ in range(2):  # on another batch than the step's, the first time checked and the second time not
        assert error(used(of, of.parameters(), direction, batch), right) < 1e-10
    assert (used.fallback is None) == (kind in SPREAD or kind == "one mask for all")


@pytest.mark.parametrize("kind", ["an axis of 1", "no axis"])
def test_as_many_places_as_rows(kind: str) -> None:
    """The first axis is as long as the batch, and is not the batch: seen on fewer rows."""
    of, batch = encoder(SPREAD[kind])
    batch, direction = (batch[0][:T], batch[1][:T]), directions(of)
    used = Ghost()
    assert error(used(of, of.parameters(), direction, batch), by_rows(of, batch, direction)) < 1e-10
    assert used.fallback is None


def test_stale_products_of_position_embeddings() -> None:
    of, batch = encoder(SPREAD["an axis of 1"])
    backend, direction = Ghost(stale=True), directions(of)
    backend.verified = True
    ahead = LookAhead(of, torch.optim.SGD(of.model.parameters(), lr=0.0), backend)
    ahead.stale = direction
    part = ahead.follow(torch.arange(N), batch, own=True)
    losses = of.loss(of.model, batch)
    part.losses, part.coefficients = losses.detach(), torch.full((N,), 1 / N, dtype=torch.float64)
    losses.mean().backward()
    assert error(ahead.own_scores(directions(of)), by_rows(of, batch, direction)) < 1e-10


class Scale(nn.Module):
    """An own normalization, as those of large language models are; called by name."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(D))

    def forward(self, hidden: Tensor) -> Tensor:
        return self.weight * hidden * torch.rsqrt(hidden.square().mean(-1, keepdim=True) + 1e-6)


class Pictures(nn.Module):
    """A class token and positions that the model itself owns, as vision transformers have them."""

    def __init__(self, token: Callable[[Tensor, int], Tensor], power: float = 1.0) -> None:
        super().__init__()
        self.mask = nn.Parameter(torch.zeros(1, 1, D))  # unused, as some have it
        self.token, self.positions = nn.Parameter(torch.randn(1, 1, D)), nn.Parameter(torch.randn(1, T + 1, D))
        self.patches, self.scale, self.head = nn.Linear(3, D), Scale(), nn.Linear(D, 3)
        self.of_rows, self.power = token, power

    def forward(self, x: Tensor) -> Tensor:
        h = torch.cat([self.of_rows(self.token, len(x)), self.patches(x)], dim=1) + self.positions.abs() ** self.power
        h = self.scale(hidden=h)
        return self.head(torch.tanh(h[:, 0] + self.scale(hidden=h).mean(dim=1)))


class Recomputed(nn.Module):
    """Throws activations away and computes them again in the backward, where there are no copies."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.scale, self.head = nn.Linear(3, D), Scale(), nn.Linear(D, 3)

    def scaled(self, h: Tensor) -> Tensor:
        return self.scale(torch.tanh(self.scale(h)))

    def forward(self, x: Tensor) -> Tensor:
        h = self.patches(x)
        h = checkpoint(self.scaled, h, use_reentrant=False) if torch.is_grad_enabled() else self.scaled(h)
        return self.head(h.mean(dim=1))


OWNED: dict[str, tuple[Callable[[], nn.Module], bool]] = {
    "expanded": (lambda: Pictures(lambda token, n: token.expand(n, -1, -1)), True),
    "not linear": (lambda: Pictures(lambda token, n: torch.sin(token).expand(n, -1, -1), 2.0), True),
    "repeated": (lambda: Pictures(lambda token, n: token.repeat(n, 1, 1)), False),
    "recomputed": (Recomputed, False),
    "first": (lambda: Pictures(lambda token, n: token[:1].expand(n, -1, -1)), False),
}


@pytest.mark.parametrize("kind", OWNED)
def test_parameters_outside_layers(kind: str) -> None:
    torch.manual_seed(0)
    make, is_exact = OWNED[kind]
    of = RowLosses(make().double(), CrossEntropy(False))
    owned = dict(of.model.named_parameters())
    batch, direction, used = (torch.randn(N, T, 3).double(), torch.arange(N) % 3), directions(of), Ghost()
    for found, right in two_steps(of, batch, used, direction):
        assert error(found, right) < 1e-10
    used_alone, right = Ghost(), by_rows(of, batch, direction)
    for _ in range(2):
        assert error(used_alone(of, of.parameters(), direction, batch), right) < 1e-10
    for one in (used, used_alone):
        assert (one.fallback is None) == is_exact == (not one.notices.said)
    said = {"repeated": "the model itself, a Pictures, holds parameters outside layers: mask, token, positions"}
    said |= {"first": MIXED, "recomputed": "layer 'scale' is a Scale"}
    assert is_exact or said[kind] in used.notices.said[0]
    assert all(p is owned[name] for name, p in of.model.named_parameters())


def test_the_look_before_the_first_batch_leaves_no_trace() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.positions = nn.Linear(3, 3), nn.Embedding(T, 3)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return self.layer(x + self.positions(PLACES)).mean(dim=1)

    of = RowLosses(Counting(), CrossEntropy(False))
    x = torch.randn(N, T, 3)
    before = torch.get_rng_state()
    assert not Ghost().gives_up(of, (x, torch.arange(N) % 3), N)
    assert torch.equal(before, torch.get_rng_state())
    assert float(of.model.calls) == 0 and all(p.grad is None for p in of.trainable.values())  # type: ignore[arg-type]


def test_parameters_are_put_back_after_an_error() -> None:
    torch.manual_seed(0)
    of = RowLosses(OWNED["expanded"][0]().double(), CrossEntropy(False))
    batch, ghost, owned = (torch.randn(N, T, 3).double(), torch.arange(N) % 3), Ghost(), dict(of.trainable)
    assert not ghost.gives_up(of, batch, N)
    tape = ghost.tape(of, N)
    with pytest.raises(RuntimeError):
        of.model(batch[0][:, :2])  # too few places
    tape.close()
    assert all(p is owned[name] for name, p in of.model.named_parameters())
    of.model(batch[0][:3])  # of another number of rows, once the hooks are off


def test_a_batch_that_does_not_show_its_rows() -> None:
    """Copies need the number of rows before the forward; without it ghost products give way."""
    of, (x, y) = encoder(SPREAD["no axis"])
    direction, right = directions(of), by_rows(of, (x, y), directions(of))
    shown, hidden = RowLosses(of.model, of.loss), RowLosses(of.model, lambda m, b: CrossEntropy(False)(m, (x, y)))
    right, used = by_rows(of, (x, y), direction), Ghost()
    assert error(used(shown, shown.parameters(), direction, (x, y)), right) < 1e-10 and used.fallback is None
    assert error(used(hidden, hidden.parameters(), direction, "all"), right) < 1e-10
    assert "does not show how many rows" in used.notices.said[0]


SIZES = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12, "num_labels": 3}
GPT2 = {"n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": T, "num_labels": 3, "bos_token_id": 0, "eos_token_id": 0}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "Bert": ("SequenceClassification", {"vocab_size": WORDS, "max_position_embeddings": T, **SIZES}),
    "GPT2": ("SequenceClassification", {"vocab_size": WORDS, "pad_token_id": 0, **GPT2}),
    "Llama": ("SequenceClassification", {"vocab_size": WORDS, "pad_token_id": 0, **SIZES}),  # in part in float32
    "ViT": ("ImageClassification", {"image_size": 4, "patch_size": 2, "num_channels": 1, **SIZES}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_models_of_transformers(kind: str) -> None:
    """Tiny ones with random parameters and their dropout, by the loss of the Trainer's hook."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    task, settings = KINDS[kind]
    model = getattr(transformers, f"{kind}For{task}")(getattr(transformers, f"{kind}Config")(**settings))
    dtype, least = (torch.float32, 1e-4) if kind == "Llama" else (torch.float64, 1e-10)
    of = RowLosses(model.to(dtype).train(), label_losses)
    x = {"pixel_values": torch.randn(N, 1, 4, 4).double()} if kind == "ViT" else {}
    rows = x or {"input_ids": torch.randint(1, WORDS, (N, T))}
    batch = transformers.BatchEncoding({**rows, "labels": torch.arange(N) % 3})
    direction, used = directions(of), Ghost()
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            direction[f"{name}.weight"][module.padding_idx] = 0
    for found, right in two_steps(of, batch, used, direction):
        assert error(found, right) < least
    assert used.fallback is None and not used.notices.said


@pytest.mark.parametrize("kind", ["an axis of 1", "both"])
def test_a_first_batch_of_one_row_does_not_decide_for_all(kind: str) -> None:
    """With one row, what answers once for all and what answers for each look alike."""
    of, (x, y) = encoder(SPREAD[kind])
    direction, used = directions(of), Ghost()
    for size in (1, 1, N, N, 1):
        batch = (x[:size], y[:size])
        assert error(used(of, of.parameters(), direction, batch), by_rows(of, batch, direction)) < 1e-10
    assert used.fallback is None and used.copies and used.verified


class Centered(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        h = super().forward(x)
        return h - h.mean(dim=0, keepdim=True) if len(h) > 1 else h


def test_rows_that_answer_to_one_another_are_found_after_a_batch_of_one_row() -> None:
    torch.manual_seed(0)
    of = RowLosses(Centered(5, 3).double(), CrossEntropy(False))
    x, y = torch.randn(N, 5, dtype=torch.float64), torch.arange(N) % 3
    direction, used = directions(of), Ghost()
    for size in (1, N, 1):
        batch = (x[:size], y[:size])
        assert error(used(of, of.parameters(), direction, batch), by_rows(of, batch, direction)) < 1e-10
        assert (used.fallback is None) == (size == 1 and not used.notices.said)
    assert any(MIXED in said for said in used.notices.said)


def test_few_rows_of_batches_of_every_kind() -> None:
    from collections import UserDict

    x = torch.zeros(N, 2)
    for batch in ((x, x), {"x": x}, UserDict({"x": x, "y": [x]})):
        assert rows_of(batch) == N and rows_of(few_rows(batch, N)) == 4 and type(few_rows(batch, N)) is type(batch)
    assert rows_of((x, x[:3])) is None and rows_of("no tensor") is None
    assert rows_of(few_rows((x, torch.tensor(1.0)), N)) == 4


class Reader(nn.Module):
    """A recurrent layer, whose fused kernel has no forward-mode derivative, or a bag of words, which has none."""

    def __init__(self, layer: nn.Module, dropout: float = 0.0) -> None:
        super().__init__()
        self.layer, self.drop, self.head = layer, nn.Dropout(dropout), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        found = self.layer(self.drop(x) if x.is_floating_point() else x)
        return self.head(self.drop(found[0][:, -1] if isinstance(found, tuple) else found))


def reader(kind: str, dropout: float = 0.0) -> tuple[RowLosses, Any, dict[str, Tensor]]:
    torch.manual_seed(0)
    layer = nn.LSTM(D, 8, batch_first=True) if kind == "lstm" else nn.EmbeddingBag(WORDS, 8)
    of = RowLosses(Reader(layer, dropout), CrossEntropy(False))
    x = torch.randn(N, T, D) if kind == "lstm" else torch.randint(0, WORDS, (N, T))
    return of, (x, torch.arange(N) % 3), directions(of)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("kind", ["lstm", "bag"])
def test_layers_without_forward_mode(kind: str, dropout: float) -> None:
    """In float32, in which the fused kernel is taken: an LSTM is exact with torch's own, a bag is approximate."""
    of, batch, direction = reader(kind, dropout)
    used = Ghost()
    state = torch.backends.mkldnn.enabled
    for found, right in two_steps(of, batch, used, direction):  # the step's dropout is met in every try
        assert error(found, right) < (1e-5 if kind == "lstm" else 2e-2)
    assert torch.backends.mkldnn.enabled == state
    is_exact = kind == "lstm"
    assert used.exact == is_exact and isinstance(used.fallback, JVP if is_exact else FiniteDifference)
    said = " ".join(used.notices.said)
    assert "forward mode instead of ghost" in said and (PLAIN in said) == is_exact and ATTENTION not in said
    assert ("approximate from now on" in said and "_embedding_bag" in said) == (not is_exact)


def test_recurrent_layers_are_scored_without_dropout_in_the_mode_they_are_in() -> None:
    torch.manual_seed(0)
    layer, x = nn.LSTM(D, 8, num_layers=2, dropout=0.5), torch.randn(T, N, D)
    model = nn.Sequential(layer)
    with scoring_mode(model, everything=True):
        found = model(x)[0]
        assert layer.training and not model.training
    assert layer.training and model.training and layer.dropout == 0.5
    with scoring_mode(model, everything=False):
        assert not torch.equal(model(x)[0], found)  # the step's dropout
    assert torch.equal(model.eval()(x)[0], found)


def test_forward_mode_by_name_keeps_its_error() -> None:
    of, batch, direction = reader("bag")
    scores = JVP()
    with pytest.raises(NoForwardModeError, match=r"_embedding_bag.*use scores=FiniteDifference\(\), whose") as told:
        scores(of, of.parameters(), direction, batch)
    assert "Ghost" not in str(told.value) and not scores.notices.said
    of, batch, direction = reader("lstm")
    assert error(scores(of, of.parameters(), direction, batch), by_rows(of, batch, direction)) < 1e-5


def test_differences_that_replace_forward_mode_suit_16_bits() -> None:
    of, batch, direction = reader("bag")
    right, low = by_rows(of, batch, direction), RowLosses(of.model.bfloat16(), CrossEntropy(False))
    used = Ghost()
    found = used(low, low.parameters(), {name: d.bfloat16() for name, d in direction.items()}, batch)
    assert float(torch.corrcoef(torch.stack([found.float(), right]))[0, 1]) > 0.95
    assert not any("rounding of 16-bit" in said for said in used.notices.said)


def looping(model: nn.Module, x: Tensor, y: Tensor, steps: int = 2) -> Reweighter:
    """The loop of the manual on all rows."""
    optimizer, features = torch.optim.SGD(model.parameters(), lr=0.1), np.random.default_rng(0).normal(size=(len(x), 3))
    schedule = Schedule(least_rows=1, trusted_rows=len(x))
    reweighter = Reweighter(model, optimizer, features, (x.clone(), y % 3), schedule=schedule)
    for _ in range(steps):
        optimizer.zero_grad()
        reweighter.loss(torch.arange(len(x)), (x, y)).backward()
        optimizer.step()
        reweighter.step()
    return reweighter


def test_a_loop_with_a_bag_of_words_says_that_its_scores_are_approximate() -> None:
    torch.manual_seed(0)
    reweighter = looping(Reader(nn.EmbeddingBag(WORDS, 8)), torch.randint(0, WORDS, (N, T)), torch.arange(N) % 3)
    assert any("Note: scores are approximate from now on" in sentence for sentence in reweighter.summary())
    assert not reweighter.backend.exact and reweighter.selector.updates == 2
    assert reweighter.backend.fallback._last is None  # type: ignore[attr-defined]  # displaced parameters are let go


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            torch.tensor([0, 1, 2, 3, 4, 5, 6]),
            r"4 of 7 labels are none of the model's 3 classes, 0 to 2 \(seen: \[3, 4",
        ),
        (torch.tensor([0, 1, 2, -100, 0, 1, 2]), r"1 of 7 labels .*seen: \[-100\]"),
        (
            torch.arange(N) % 3 + 0.0,
            r"shape \(7,\) and type torch.float32 beside logits \(7, 3\); needed is the number",
        ),
        ((torch.arange(N) % 3)[:, None], r"labels have shape \(7, 1\)"),
        ((torch.arange(N) % 3)[:5], r"labels have shape \(5,\)"),
    ],
    ids=["too large", "negative", "floats", "a column", "too few"],
)
def test_labels_that_are_no_classes(labels: Tensor, said: str) -> None:
    torch.manual_seed(0)
    x, loss = torch.randn(N, 4), CrossEntropy()
    for call in (loss, loss.outer):
        with pytest.raises(DataError, match=said):
            call(nn.Linear(4, 3), (x, labels))
    if len(labels) == N and labels.ndim == 1:
        with pytest.raises(DataError, match=said):
            looping(nn.Linear(4, 3), x, labels)


def test_labels_of_other_whole_types_and_outputs_that_are_no_logits() -> None:
    torch.manual_seed(0)
    x, y, loss, model = torch.randn(N, 4), torch.arange(N) % 3, CrossEntropy(), nn.Linear(4, 3)
    for call in (loss, loss.outer):
        assert torch.equal(call(model, (x, y.to(torch.uint8))), call(model, (x, y)))
        with pytest.raises(DataError, match=r"output has shape \(7, 1, 3\)"):
            call(nn.Sequential(model, nn.Unflatten(1, (1, 3))), (x, y))
        with pytest.raises(DataError, match="output has type dict"):
            call(lambda x: {"logits": x}, (x, y))  # type: ignore[arg-type]
    soft = nn.functional.one_hot(y).float()
    assert torch.allclose(loss(model, (x, soft)), loss(model, (x, y)))
    with pytest.raises(DataError, match=r"labels have shape \(7, 3\)"):
        loss.outer(model, (x, soft))
