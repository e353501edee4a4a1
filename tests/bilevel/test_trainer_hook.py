"""The Trainer hook, in a stand-in with the Trainer's calls; and in transformers itself where it is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from synthsift.bilevel.schedule import Schedule
from synthsift.bilevel.trainer_hook import label_losses, reweighting_trainer
from synthsift.records import DataError

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


def each(**settings: Any) -> Schedule:
    """A schedule whose selector steps with every step of the learner, however small the batch."""
    return Schedule(**{"least_rows": 1, **settings})


RNG = np.random.default_rng(0)
Y = RNG.integers(2, size=160)
X = RNG.normal(size=(160, 4)) + 1.5 * (2 * Y - 1)[:, None] * np.array([1, 0, 0, 0])
BAD = RNG.random(160) < 0.4
LABELS = np.where(BAD, 1 - Y, Y)
FEATURES = np.stack([BAD + 0.3 * RNG.normal(size=160), RNG.normal(size=160)], axis=1)


def row(k: int, label: int) -> dict[str, Any]:
    return {"x": torch.tensor(X[k], dtype=torch.float32), "labels": int(label), "row": k}


TRAIN = [row(k, LABELS[k]) for k in range(120)]


class Rows(torch.utils.data.Dataset[dict[str, Any]]):
    """A data set, as the Trainer takes it."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, k: int) -> dict[str, Any]:
        return self.rows[k]


TRUSTED = Rows([row(k, Y[k]) for k in range(120, 160)])


class Model(nn.Module):
    """Returns an object with logits, and takes the loss only if it is given labels."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Any:
        logits = self.layer(x)
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return {"loss": loss, "logits": logits} if labels is not None else SimpleNamespace(logits=logits)


def collate(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    return {name: torch.stack([torch.as_tensor(r[name]) for r in rows]) for name in rows[0]}


class StandIn:
    """The calls of transformers.Trainer that matter here, in their order."""

    def __init__(self, model: nn.Module, train: list[dict[str, Any]], accumulation: int = 1) -> None:
        self.model, self.rows, self.data_collator = model, train, collate
        self.args = SimpleNamespace(gradient_accumulation_steps=accumulation)
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        outputs = model(**inputs)
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]

    def train(self, steps: int) -> None:
        self.model.train()
        for step in range(steps):
            batch = self.data_collator(self.rows[(30 * step) % 120 :][:30])
            self.compute_loss(self.model, batch, num_items_in_batch=30).backward()
            self.optimizer.step()
            self.model.zero_grad()

    def evaluate(self) -> float:
        self.model.eval()
        with torch.no_grad():
            loss, _ = self.compute_loss(self.model, self.data_collator(self.rows[:20]), return_outputs=True)
        return float(loss)


def auroc(weights: np.ndarray) -> float:
    w, bad = weights[:120], BAD[:120]
    return float(np.mean(w[~bad][:, None] > w[bad][None]))


def test_the_trainer_learns_weights() -> None:
    torch.manual_seed(0)
    kind = reweighting_trainer(FEATURES, TRUSTED, trainer=StandIn, schedule=each(warmup=2))
    trainer = kind(Model(), TRAIN)
    trainer.train(80)
    assert trainer.reweighter.time == 80 and trainer.reweighter.selector.updates == 78
    assert auroc(trainer.reweighter.weights()) > 0.9
    assert np.isfinite(trainer.evaluate()) and trainer.reweighter.time == 80


def test_outputs_are_returned_on_demand() -> None:
    trainer = reweighting_trainer(FEATURES, TRUSTED, trainer=StandIn)(Model(), TRAIN)
    loss, outputs = trainer.compute_loss(trainer.model, collate(TRAIN[:5]), True)
    assert outputs["loss"] is loss and loss.requires_grad


def test_mistakes_are_named() -> None:
    make = reweighting_trainer(FEATURES, TRUSTED, trainer=StandIn)
    batch = collate(TRAIN[:5])
    with pytest.raises(DataError, match="remove_unused_columns=False"):
        make(Model(), TRAIN).compute_loss(Model(), {k: v for k, v in batch.items() if k != "row"})
    with pytest.raises(DataError, match="gradient_accumulation_steps=1"):
        make(Model(), TRAIN, accumulation=4).compute_loss(Model(), batch)


def test_losses_of_next_tokens() -> None:
    """By hand: the mean over a row's own tokens, shifted by one, without those that do not count."""
    logits = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[0, 1, 2, -100], [3, 4, 0, 1]])
    found = label_losses(lambda **_: SimpleNamespace(logits=logits), {"labels": labels})  # type: ignore[arg-type]
    logs = -torch.log_softmax(logits, dim=-1)
    first = (logs[0, 0, 1] + logs[0, 1, 2]) / 2
    second = (logs[1, 0, 4] + logs[1, 1, 0] + logs[1, 2, 1]) / 3
    assert torch.allclose(found, torch.stack([first, second]))


@pytest.mark.skipif(importlib.util.find_spec("transformers") is not None, reason="transformers is installed")
def test_without_transformers() -> None:
    with pytest.raises(DataError, match=r"synthsift\[train\]"):
        reweighting_trainer(FEATURES, TRUSTED)


def real_arguments(folder: Path, **more: Any) -> Any:
    """Arguments of the Trainer of transformers, on the CPU and silent."""
    from transformers import TrainingArguments

    quiet = {"report_to": [], "remove_unused_columns": False, "use_cpu": True, "disable_tqdm": True}
    return TrainingArguments(str(folder), per_device_train_batch_size=30, learning_rate=0.05, **quiet, **more)


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="transformers is not installed")
@pytest.mark.filterwarnings("ignore")
def test_the_real_trainer(tmp_path: Path) -> None:
    arguments = real_arguments(tmp_path, num_train_epochs=12, save_strategy="no")
    torch.manual_seed(0)
    trainer = reweighting_trainer(FEATURES, TRUSTED, schedule=each())(
        model=Model(), args=arguments, train_dataset=Rows(TRAIN), eval_dataset=Rows(TRAIN[:20]), data_collator=collate
    )
    trainer.train()
    assert trainer.reweighter.selector.updates == 48
    assert auroc(trainer.reweighter.weights()) > 0.8
    assert np.isfinite(trainer.evaluate()["eval_loss"])


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="transformers is not installed")
@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_of_the_real_trainer_holds_the_selector(tmp_path: Path) -> None:
    """Resumed in the middle, the weights are bit for bit those of a training that nobody interrupted."""

    def make() -> Any:
        arguments = real_arguments(
            tmp_path, max_steps=8, save_strategy="steps", save_steps=4, logging_strategy="no", seed=0
        )
        torch.manual_seed(0)
        kind = reweighting_trainer(FEATURES, TRUSTED, schedule=each(trusted_rows=20))
        return kind(model=Model(), args=arguments, train_dataset=Rows(TRAIN), data_collator=collate)

    whole = make()
    whole.train()
    middle = tmp_path / "checkpoint-4"
    assert (middle / "reweighter.safetensors").is_file()
    later = make()
    later.train(resume_from_checkpoint=str(middle))
    assert (later.reweighter.time, later.reweighter.selector.updates) == (8, 8)
    assert np.ptp(whole.reweighter.weights()) > 0.1
    assert np.array_equal(later.reweighter.weights(), whole.reweighter.weights())
    (middle / "reweighter.safetensors").unlink()
    with pytest.raises(DataError, match=r"holds no reweighter\.safetensors"):
        make().train(resume_from_checkpoint=str(middle))
