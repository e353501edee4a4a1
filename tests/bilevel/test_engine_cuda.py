"""The engine on a GPU: the numbers of the CPU, 16-bit models, bit-for-bit resuming. Skipped where there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from score_backends import BACKENDS
from torch import Tensor, nn

from synthsift.bilevel.backends import JVP, PLAIN, FiniteDifference
from synthsift.bilevel.checkpoint import load, random_state, save, set_random_state
from synthsift.bilevel.controls import LearnToReweight, SelfNormalized, Unnormalized, ValueRegression
from synthsift.bilevel.ghost import Ghost
from synthsift.bilevel.reweighter import Reweighter
from synthsift.bilevel.rowlosses import CrossEntropy, RowLosses, scoring_mode
from synthsift.bilevel.schedule import Schedule
from synthsift.bilevel.selector import Selector

DEVICE = "cuda"
pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning"),
]

ROWS, TRUSTED = 96, 24
SCHEDULES: dict[str, dict[str, Any]] = {
    "own": {},
    "fresh": {"batch": "fresh", "fresh_rows": 40, "chunk": 16},
    "replay": {"replay": 3, "every": 2, "warmup": 1},
}


@pytest.fixture(autouse=True)
def _exact(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Deterministic kernels, as bit-for-bit comparisons need them."""
    monkeypatch.setitem(os.environ, "CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


def pictures(dropout: float) -> nn.Module:
    """Every kind of layer that ghost products know from pictures."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2),
        nn.Flatten(), nn.LayerNorm(8 * 9), nn.Dropout(dropout), nn.Linear(8 * 9, 3),
    )  # fmt: skip


class Training:
    """Rows of noise, three classes, AdamW; `device` and `dtype` are those of the learner."""

    def __init__(
        self,
        device: str,
        dtype: torch.dtype = torch.float64,
        *,
        dropout: float = 0.0,
        optimizer: str = "AdamW",
        selector: str | None = None,
        **settings: Any,
    ) -> None:
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(ROWS, 3, 8, 8, generator=generator, dtype=torch.float64).to(device, dtype)
        self.y = (torch.arange(ROWS) % 3).to(device)
        self.model = pictures(dropout).to(device, dtype)
        kind = getattr(torch.optim, optimizer)
        self.optimizer = kind(self.model.parameters(), lr=1e-2)
        features = np.random.default_rng(0).normal(size=(ROWS, 4))
        known: Any = features
        if not isinstance(settings.get("objective"), LearnToReweight):
            known = Selector(
                features, settings.pop("objective", None), dtype=torch.float64, device=selector or device, seeds=3
            )
        trusted = (self.x[:TRUSTED], self.y[:TRUSTED])
        schedule = Schedule(**{"least_rows": 1, "trusted_rows": 12, "diagnose": 2, **settings.pop("schedule", {})})
        self.reweighter = Reweighter(
            self.model, self.optimizer, known, trusted, pool=(self.x, self.y), schedule=schedule, **settings
        )

    def run(self, steps: int, start: int = 0) -> None:
        for k in range(start, start + steps):
            rows = (torch.arange(16) * 5 + k) % ROWS
            self.optimizer.zero_grad()
            self.reweighter.loss(rows, self.batch(rows)).backward()
            self.optimizer.step()
            self.reweighter.step()

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        places = rows.to(self.x.device)
        return self.x[places], self.y[places]


def same(a: np.ndarray, b: np.ndarray, tolerance: float) -> None:
    """Compare weights, and see that there is something to compare."""
    assert np.ptp(a) > 1e-3
    assert np.abs(a - b).max() <= tolerance * np.ptp(a)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_are_those_of_the_cpu(backend: str, schedule: str) -> None:
    """In float64; differences amplify rounding by 1 / (eps |d|), so they agree less."""
    found = []
    for device in ("cpu", DEVICE):
        training = Training(device, schedule=SCHEDULES[schedule], scores=BACKENDS[backend]())
        training.run(6)
        found.append(training.reweighter.weights())
        assert not [said for said in training.reweighter.notices.said if "instead" in said]
    same(*found, tolerance=1e-5 if backend in ("differences", "one-sided") else 1e-8)


@pytest.mark.parametrize("objective", [SelfNormalized(0.3), ValueRegression(), Unnormalized()], ids=repr)
def test_objectives_give_the_weights_of_the_cpu(objective: Any) -> None:
    found = []
    for device in ("cpu", DEVICE):
        training = Training(device, objective=objective, optimizer="SGD")
        training.run(6)
        found.append(training.reweighter.weights())
    same(*found, tolerance=1e-8)


def test_learning_to_reweight_moves_the_learner_as_on_the_cpu() -> None:
    found = []
    for device in ("cpu", DEVICE):
        training = Training(device, objective=LearnToReweight())
        training.run(4)
        found.append(torch.cat([p.detach().flatten() for p in training.model.parameters()]).cpu().numpy())
    same(*found, tolerance=1e-8)


def test_the_selector_may_stay_on_the_cpu() -> None:
    """A learner on the GPU with a selector elsewhere: what `Reweighter` makes from an array of features."""
    found = []
    for place in ("cpu", DEVICE):
        training = Training(DEVICE, selector=place)
        training.run(6)
        found.append(training.reweighter.weights())
        assert training.reweighter.summary()
    same(*found, tolerance=1e-8)


def test_dropout_repeats_its_mask_when_rows_are_scored_again() -> None:
    """Forward mode passes the step's rows a second time, ghost products do not; the mask must be the same."""
    found = []
    for scores in (Ghost(), JVP()):
        torch.manual_seed(5)
        training = Training(DEVICE, dropout=0.4, scores=scores)
        training.run(5)
        found.append(training.reweighter.weights())
    same(*found, tolerance=1e-8)


class Recurrent(nn.Module):
    """cuDNN's layer, which has no forward-mode derivative, on rows with positions that are looked up once."""

    def __init__(self) -> None:
        super().__init__()
        self.positions, self.layer, self.head = nn.Embedding(5, 6), nn.LSTM(6, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x + self.positions(torch.arange(5, device=x.device)))[0][:, -1])


@pytest.mark.parametrize("is_recurrent", [True, False], ids=["forward mode", "copies"])
def test_layers_of_cudnn_and_copies_for_each_row(is_recurrent: bool) -> None:
    torch.manual_seed(0)
    model = Recurrent().double().to(DEVICE)
    if not is_recurrent:
        model.layer.requires_grad_(False)
    x, y = torch.randn(9, 5, 6).double().to(DEVICE), torch.arange(9, device=DEVICE) % 3
    of, batch = RowLosses(model, CrossEntropy(False)), (x, y)
    direction, used = {name: torch.randn_like(p) for name, p in of.parameters().items()}, Ghost()
    with scoring_mode(model, everything=True):  # whose backward cuDNN has for layers in training mode alone
        found = used(of, of.parameters(), direction, batch)
    for i, loss in enumerate(of.loss(model, batch)):
        gradients = torch.autograd.grad(loss, list(of.trainable.values()), retain_graph=True)
        right = sum(float((g * d).sum()) for g, d in zip(gradients, direction.values(), strict=True))
        assert abs(float(found[i]) - right) < 1e-8
    assert (PLAIN in used.notices.said) == is_recurrent == (used.fallback is not None) and torch.backends.cudnn.enabled


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("schedule", ["own", "fresh"])
def test_bfloat16_scores_follow_those_of_float64(backend: str, schedule: str) -> None:
    """Eight bits a number: a rank correlation of .9. Differences need a length far above the parameters' rounding."""
    found = []
    for dtype in (torch.float64, torch.bfloat16):
        settings = SCHEDULES[schedule] | {"warmup": 0}
        scores = BACKENDS[backend]()
        if isinstance(scores, FiniteDifference):
            scores.length = 0.2
        training = Training(DEVICE, dtype, schedule=settings, scores=scores, optimizer="SGD")
        kept: list[Tensor] = []
        update = training.reweighter.selector.update

        def noting(rows: Tensor, scores: Tensor, kept: list[Tensor] = kept, update: Any = update) -> Any:
            kept.append(scores.detach().double().cpu())
            return update(rows, scores)

        training.reweighter.selector.update = noting  # type: ignore[method-assign]
        training.run(2)  # the stale products of the second step have a direction
        found.append(kept[-1])
        assert np.isfinite(training.reweighter.weights()).all()
    ranks = [scores.argsort().argsort().double() for scores in found]
    assert float(torch.corrcoef(torch.stack(ranks))[0, 1]) > 0.9


def test_autocast_of_a_float32_model() -> None:
    """The usual mixed precision: the model in float32, its arithmetic in bfloat16."""
    training = Training(DEVICE, torch.float32)
    with torch.autocast(DEVICE, torch.bfloat16):
        training.run(6)
    assert np.ptp(training.reweighter.weights()) > 1e-3 and np.isfinite(training.reweighter.weights()).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("schedule", [*SCHEDULES, "stale"])
def test_resuming_is_bit_for_bit(schedule: str, dtype: torch.dtype, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"schedule": SCHEDULES.get(schedule, {"least_rows": 24}), "dropout": 0.3}
    settings["scores"] = Ghost(stale=schedule == "stale")
    torch.manual_seed(7)
    whole = Training(DEVICE, dtype, **settings)
    start = random_state()
    whole.run(9)
    set_random_state(start)
    first = Training(DEVICE, dtype, **settings | {"scores": Ghost(stale=schedule == "stale")})
    set_random_state(start)
    first.run(4)
    file = tmp_path / "state.safetensors"
    save(file, model=first.model, optimizer=first.optimizer, reweighter=first.reweighter, random=random_state())
    torch.manual_seed(99)
    second = Training(DEVICE, dtype, **settings | {"scores": Ghost(stale=schedule == "stale")})
    found = load(file, model=second.model, optimizer=second.optimizer, reweighter=second.reweighter)
    set_random_state(found["random"])
    second.run(5, start=4)
    for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert np.array_equal(whole.reweighter.weights(), second.reweighter.weights())
    assert np.ptp(whole.reweighter.weights()) > 0
